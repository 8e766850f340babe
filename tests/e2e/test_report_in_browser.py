"""Every page that people open, in a headless Chromium, on a desk and on a phone."""

import shutil
import subprocess
import urllib.parse
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.contract.driver import run_stages

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1440
LIGHT, DARK = [], ["--blink-settings=preferredColorScheme=0"]
MOST_BYTES = 2_000_000
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--allow-file-access-from-files"),
    *("--virtual-time-budget=4000", "--hide-scrollbars"),
]
#: Opens a page in a frame of a given width, and writes down what it finds there.
PROBE = """<!doctype html><body><iframe id=f src="{page}"
 style="width:{width}px;height:900px;border:0"></iframe><p id=o></p><script>
onload = () => {{ const d = document.getElementById('f').contentDocument;
 const ids = new Set([...d.querySelectorAll('[id]')].map(e => e.id));
 const inner = [...d.querySelectorAll('a[href^="#"]')];
 const style = d.defaultView.getComputedStyle(d.body);
 const focusable = 'a[href], summary, button, input, [tabindex]';
 document.getElementById('o').textContent = [
  'wide=' + d.documentElement.scrollWidth,
  'images=' + [...d.images].filter(i => !i.naturalWidth).length,
  'nameless=' + [...d.images].filter(i => !i.alt.trim()).length,
  'drawings=' + [...d.querySelectorAll('svg')].filter(
    s => !(s.closest('[role=img]')?.getAttribute('aria-label') || '').trim()).length,
  'scripts=' + d.scripts.length,
  'lost=' + inner.filter(a => !ids.has(decodeURIComponent(a.hash.slice(1)))).length,
  'stops=' + [...d.querySelectorAll(focusable)].filter(e => e.tabIndex > 0).length,
  'headings=' + d.querySelectorAll('h1').length,
  'language=' + (d.documentElement.lang || 'none'),
  'back=' + style.backgroundColor.replaceAll(' ', ''),
  'ink=' + style.color.replaceAll(' ', '')].join(' '); }}</script>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """All pages: a run's site, its data explored, two runs compared, one image."""
    from tenfold.challenges import find_challenge, load_recipe
    from tenfold.stages.context import Context
    from tenfold.stages.report import RunRecord, write_report
    from tenfold.store import Store
    from tests.contract.test_kelp_contract import TestKelp

    directory: Path = tmp_path_factory.mktemp("site")
    recipe = load_recipe("kelp", "smoke", TestKelp.settings)
    find_challenge("kelp").synth.synthesise(directory / "data", recipe.synth)
    store, source = directory / "store", str(directory / "data" / "data")
    sites = []
    for name, setting in (
        ("one", "tune.invalid=background"),
        ("two", "tune.land=tuned"),
    ):
        recipe = load_recipe("kelp", "smoke", (*TestKelp.settings, setting))
        run = run_stages(Context(recipe, Store(store)), source)
        tasks = tuple(replace(task) for task in run.tasks.values())
        record = RunRecord(recipe.to_json(), source, "f", str(store), "c", tasks)
        sites.append(write_report(record, directory / name).parent)
        record.write(directory / name)
    verb = (
        *("--store", str(store)),
        *(x for s in TestKelp.settings for x in ("-s", s)),
    )
    named = directory / "two" / "results"
    tile = next((directory / "data" / "data").rglob("test*/**/*_satellite.tif"))
    ok(
        "explore",
        "kelp",
        *verb,
        "-s",
        "tune.land=tuned",
        "--dataset",
        str(named / "dataset.json"),
        "--groups",
        str(named / "groups.json"),
        "--folds",
        str(named / "folds.json"),
        "--out",
        str(directory / "explored.json"),
    )
    ok(
        "compare",
        str(directory / "one"),
        str(directory / "two"),
        "--out",
        str(directory / "compared"),
    )
    ok(
        "predict",
        "--model",
        str(named / "decision.json"),
        "--store",
        str(store),
        "--out",
        str(directory / "predicted"),
        str(tile),
    )
    explored = [p for p in store.glob("page/*/page.html") if "xplor" in p.read_text()]
    return [
        *(page for site in sites for page in sorted(site.glob("*.html"))),
        *sorted((directory / "compared").rglob("*.html")),
        *sorted((directory / "predicted").rglob("*.html")),
        *explored[:1],
    ]


def ok(*arguments):
    from pipelines.cli import main

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None)


def measure(page, width, colours, tmp_path):
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.format(page=page.as_uri(), width=width))
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
        timeout=120,
    )
    text = done.stdout.partition('<p id="o">')[2].partition("<")[0]
    return dict(part.split("=", 1) for part in text.split())


@pytest.mark.parametrize(
    ("width", "colours"), [(PHONE, LIGHT), (DESK, LIGHT), (DESK, DARK)]
)
def test_a_page_fits_the_screen_and_lacks_nothing(pages, width, colours, tmp_path):
    names = {page.stem for page in pages}
    assert {"index", "preview", "group", "tune"} <= names
    assert len(pages) >= 25
    for page in pages:
        found = measure(page, width, colours, tmp_path)
        assert int(found["wide"]) <= width, page
        wrong = {
            name: found[name]
            for name in ("images", "nameless", "drawings", "scripts", "lost", "stops")
            if found[name] != "0"
        }
        assert not wrong, (page, wrong)
        assert (found["headings"], found["language"]) == ("1", "en"), page


def test_dark_colours_are_dark_and_light_ones_light(pages, tmp_path):
    page = next(page for page in pages if page.stem == "index")
    for colours, darker in ((LIGHT, "ink"), (DARK, "back")):
        found = measure(page, DESK, colours, tmp_path)
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
