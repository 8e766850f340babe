"""A page is safe, self-contained, deterministic and never over its cap."""

import base64
import io
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tenfold.errors import TenfoldError
from tenfold.reports import figures
from tenfold.reports.encoding import LEVELS
from tenfold.reports.page import Page, Picture, ReportError

NASTY = '<b onclick="x()">&\'</b><script>alert(1)</script>'
FORBIDDEN = {"script", "iframe", "object", "embed", "link", "form", "base"}


class Tags(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.stack, self.text = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def noise(side=384, seed=0):
    shape = (side, side, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@cache
def curves():
    return figures.lines({NASTY: ([1, 2], [3, 4])}, NASTY, NASTY)


def full_page():
    page = Page(NASTY, NASTY, NASTY)
    page.facts({NASTY: NASTY, "samples": 5635, "score": 0.72134})
    page.section(NASTY, NASTY)
    page.text(NASTY)
    for kind in ("good", "info", "warning", "bad"):
        page.note(kind, NASTY)
    page.table([{NASTY: NASTY, "n": 1234.5}, {"n": None}], NASTY, 1, ["n"])
    page.figure(curves(), NASTY, NASTY)
    page.figure(figures.matrix([[1]], [NASTY], [NASTY]))
    page.figure(figures.graph_strip([(NASTY, NASTY, NASTY)]), NASTY)
    pictures = [Picture(noise(40), NASTY, group, NASTY) for group in (NASTY, "b", "b")]
    page.pictures(pictures, NASTY)
    page.details(NASTY, NASTY)
    page.details("rows", [{NASTY: NASTY}])
    return page


def images(html):
    for kind, data in re.findall(r'src="data:image/(\w+);base64,([^"]+)"', html):
        yield kind, Image.open(io.BytesIO(base64.b64decode(data)))


def test_nothing_runs_and_nothing_is_fetched():
    html = full_page().render()
    seen = Tags(html)
    assert not FORBIDDEN & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    targets = [v for k, v in seen.attributes if k in ("src", "href", "xlink:href")]
    assert all(target.startswith(("data:image/", "#")) for target in targets)
    assert not re.search(r"@import|javascript:", html)
    assert set(re.findall(r"https?://[^\"\s]*", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert set(re.findall(r"url\((.)", html)) <= {"#"}


def test_text_arrives_as_it_is():
    assert Tags(full_page().render()).text.count(NASTY) >= 15


def test_same_blocks_give_the_same_bytes():
    assert full_page().render() == full_page().render()


def test_neighbouring_pictures_of_a_group_share_a_row():
    html = full_page().render()
    assert html.count('<div class="grid">') == 2
    assert html.count("<h3>b</h3>") == 1


def test_neighbouring_figures_share_a_row():
    html = full_page().render()
    assert html.count('<div class="figures') == 1


def test_numbers_are_right_aligned_and_missing_ones_dashed():
    page = Page("t")
    page.table([{"id": "x", "n": 1234}, {"id": "y", "n": None}], highlight=1)
    html = page.render()
    assert '<td>x</td><td class="n">1,234</td>' in html
    assert '<tr class="best"><td>y</td><td class="n">\u2013</td>' in html


def test_pictures_shrink_until_the_page_fits():
    generous = Page("t")
    tight = Page("t", max_bytes=90_000)
    for page in (generous, tight):
        page.pictures([Picture(noise(400, seed), str(seed)) for seed in range(4)])
    wide, narrow = generous.render(), tight.render()
    assert len(wide.encode()) <= 2_000_000
    assert len(narrow.encode()) <= 90_000
    assert len(list(images(narrow))) == len(list(images(wide))) == 4
    side = next(images(narrow))[1].width
    assert side in [level.max_side for level in LEVELS[1:]]
    assert f"scaled down to {side} pixels" in narrow


def test_a_page_that_cannot_fit_is_refused():
    page = Page("big", max_bytes=20_000)
    page.pictures([Picture(noise(64, seed)) for seed in range(30)])
    with pytest.raises(ReportError, match=r"'big' takes .* cap of 20,000") as caught:
        page.render()
    assert isinstance(caught.value, TenfoldError)
    words = Page("words", max_bytes=20_000)
    words.text("x" * 20_000)
    with pytest.raises(ReportError, match="words"):
        words.render()


def test_label_maps_keep_their_values():
    labels = np.random.default_rng(1).choice([0, 90, 255], (500, 500)).astype(np.uint8)
    page = Page("t")
    page.pictures([Picture(labels, pixelated=True)])
    html = page.render()
    kind, image = next(images(html))
    assert kind in ("png", "webp")
    assert set(np.unique(np.asarray(image.convert("L")))) == {0, 90, 255}
    assert 'class="pixelated"' in html


def test_a_picture_is_taken_as_it_was():
    pixels = np.zeros((8, 8, 3), np.uint8)
    page = Page("t")
    page.pictures([Picture(pixels)])
    before = page.render()
    pixels[:] = 255
    assert page.render() == before


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), float),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_odd_pictures_are_refused(pixels):
    with pytest.raises(ReportError, match="'odd' of page 't'"):
        Page("t").pictures([Picture(pixels, "odd")])


@pytest.mark.parametrize(
    "markup",
    [
        "<svg><script>1</script></svg>",
        "<svg><SCRIPT/></svg>",
        '<svg onload="x()"></svg>',
        '<svg><image href="https://example.org/x.png"/></svg>',
        "<svg><a xlink:href='javascript:x()'>a</a></svg>",
        '<svg><rect fill="url(https://example.org)"/></svg>',
        "<svg><style>@import 'x'</style></svg>",
        "<svg><foreignObject/></svg>",
        "<svg><!--tenfold:navigation--></svg>",
    ],
)
def test_active_figures_are_refused(markup):
    with pytest.raises(ReportError, match="may not run code"):
        Page("t").figure(markup, "f")


def test_write_is_atomic(tmp_path, monkeypatch):
    target = tmp_path / "deep" / "report.html"
    Page("first").write(target)
    first = target.read_text("utf-8")
    assert first == Page("first").render()
    assert target.stat().st_mode & 0o777 == 0o644

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        Page("second").write(target)
    assert target.read_text("utf-8") == first
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_pages_do_not_wait_for_matplotlib():
    code = (
        "import sys, tenfold.reports.site;"
        "sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_scrolls_can_be_reached_and_has_a_name():
    page = Page("Title")
    page.table([{"a": 1}])
    page.section("Heading")
    page.table([{"a": 1}])
    page.table([{"a": 1}], "A caption.")
    page.details("Folded rows", [{"a": 1}])
    page.details("Folded text", "a: 1")
    regions = re.findall(r'<(?:div|pre)[^>]* role="region"[^>]*>', page.render())
    assert all('tabindex="0"' in region for region in regions)
    named = [re.search('aria-label="([^"]*)"', region)[1] for region in regions]
    titles = ["Title", "Heading", "A caption.", "Folded rows", "Folded text"]
    assert named == titles


def test_a_picture_says_of_which_sample_it_is():
    page = Page("Title")
    small = np.zeros((4, 4), np.uint8)
    shown = [
        Picture(small, "true colour", "AB12"),
        Picture(small, "mask", note="quiet"),
        Picture(small, note="only a note"),
    ]
    page.pictures(shown)
    found = re.findall('alt="([^"]*)"', page.render())
    assert found == ["AB12: true colour", "mask", "only a note"]
