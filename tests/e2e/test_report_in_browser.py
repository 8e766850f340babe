"""Every page that people open, in a headless Chromium, on a desk and on a phone."""

import html
import json
import shutil
import subprocess
import urllib.parse
from html.parser import HTMLParser

import pytest

from tests.e2e.browser_pages import every_page

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1440
LIGHT, DARK = [], ["--blink-settings=preferredColorScheme=0"]
MOST_BYTES = 2_000_000
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--allow-file-access-from-files"),
    *("--virtual-time-budget=600000", "--hide-scrollbars"),
]
#: Opens pages in frames of a given width, and writes down what it finds in each.
PROBE = """<!doctype html><meta charset="utf-8"><body><p id=o></p><script>
const name = e => (e.getAttribute('aria-label') || '').trim();
const scrolls = e => {{ const s = e.ownerDocument.defaultView.getComputedStyle(e);
 return (/auto|scroll/.test(s.overflowX) && e.scrollWidth > e.clientWidth) ||
  (/auto|scroll/.test(s.overflowY) && e.scrollHeight > e.clientHeight); }};
const reached = e => e.tabIndex >= 0 || e.querySelector('a[href]');
const look = d => {{
 const ids = new Set([...d.querySelectorAll('[id]')].map(e => e.id));
 const inner = [...d.querySelectorAll('a[href^="#"]')];
 const style = d.defaultView.getComputedStyle(d.body);
 const focusable = 'a[href], summary, button, input, [tabindex]';
 const folded = d.documentElement.scrollWidth;
 for (const e of d.querySelectorAll('details')) e.open = true;
 const scrolling = [...d.body.querySelectorAll('*')].filter(scrolls);
 const alike = [...d.querySelectorAll('.pictures')].map(grid => {{
  const alts = [...grid.querySelectorAll('img')].map(i => i.alt);
  return alts.length - new Set(alts).size; }});
 return {{
  wide: Math.max(folded, d.documentElement.scrollWidth),
  images: [...d.images].filter(i => !i.naturalWidth).length,
  nameless: [...d.images].filter(i => !i.alt.trim()).length,
  alike: alike.reduce((a, b) => a + b, 0),
  drawings: [...d.querySelectorAll('svg')].filter(
    s => !s.closest('[role=img]') || !name(s.closest('[role=img]'))).length,
  scripts: d.scripts.length,
  lost: inner.filter(a => !ids.has(decodeURIComponent(a.hash.slice(1)))).length,
  stops: [...d.querySelectorAll(focusable)].filter(e => e.tabIndex > 0).length,
  stuck: scrolling.filter(e => !reached(e) || !name(e)).length,
  scrolling: scrolling.length,
  headings: d.querySelectorAll('h1').length,
  language: d.documentElement.lang || 'none',
  back: style.backgroundColor, ink: style.color}}; }};
const open = page => new Promise(done => {{
 const f = document.createElement('iframe');
 f.style = 'width:{width}px;height:900px;border:0';
 f.onload = () => {{ done(look(f.contentDocument)); f.remove(); }};
 f.src = page; document.body.append(f); }});
(async () => {{ const found = [];
 for (const page of {pages}) found.push(await open(page));
 document.getElementById('o').textContent = JSON.stringify(found); }})();
</script>"""
#: Of these there is none on any page.
FAULTS = (
    "images",
    "nameless",
    "alike",
    "drawings",
    "scripts",
    "lost",
    "stops",
    "stuck",
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return every_page(tmp_path_factory.mktemp("pages"))


def measure(pages, width, colours, tmp_path):
    """Return what the browser finds on each page."""
    probe = tmp_path / "probe.html"
    listed = json.dumps([page.as_uri() for page in pages])
    probe.write_text(PROBE.format(pages=listed, width=width), "utf-8")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "install Chromium to run the browser tests"
    done = subprocess.run(
        [
            *(chromium, *FLAGS, *colours, f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--window-size={max(width, 600)},1000", "--dump-dom", probe.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    text = done.stdout.partition('<p id="o">')[2].partition("</p>")[0]
    found = json.loads(html.unescape(text))
    assert len(found) == len(pages)
    return found


def test_every_kind_of_page_is_there(pages):
    text = {page: page.read_text("utf-8") for page in pages}
    for said in (
        "Against truth kept aside",
        "What the trees look at",
        "Pseudo-labels",
        "Examples",
        "Ranking",
        "One choice of a sweep",
        "Is the difference more than chance?",
    ):
        assert any(said in each for each in text.values()), said
    names = {page.stem for page in pages}
    assert {"index", "preview", "group", "tune", "predictions"} <= names
    assert len(pages) >= 60


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_page_fits_the_screen_and_lacks_nothing(pages, width, colours, tmp_path):
    every = measure(pages, width, colours, tmp_path)
    for page, found in zip(pages, every, strict=True):
        assert found["wide"] <= width, page
        wrong = {name: found[name] for name in FAULTS if found[name]}
        assert not wrong, (page, wrong)
        assert (found["headings"], found["language"]) == (1, "en"), page
    assert sum(found["scrolling"] for found in every) >= 10


def test_dark_colours_are_dark_and_light_ones_light(pages, tmp_path):
    page = next(page for page in pages if page.stem == "index")
    for colours, darker in ((LIGHT, "ink"), (DARK, "back")):
        (found,) = measure([page], DESK, colours, tmp_path)
        shades = {
            name: sum(float(v) for v in found[name].strip("rgba()").split(",")[:3])
            for name in ("back", "ink")
        }
        assert min(shades, key=shades.get) == darker
        assert abs(shades["back"] - shades["ink"]) > 300, "too little contrast"


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.files = []

    def handle_starttag(self, _tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value and not value.startswith("#"):
                self.files.append(value)


def test_links_lead_somewhere_and_no_page_is_heavy(pages):
    for page in pages:
        assert page.stat().st_size <= MOST_BYTES, page
        links = Links()
        links.feed(page.read_text("utf-8"))
        for link in links.files:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme == "data":
                continue
            assert parts.scheme in ("", "https"), (page, link[:80])
            if not parts.scheme:
                target = page.parent / urllib.parse.unquote(parts.path)
                assert target.exists(), (page, link)
