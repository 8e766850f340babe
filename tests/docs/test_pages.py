"""Links lead somewhere, pictures are there, and every page is found from the index."""

import re
from pathlib import Path

import pytest

from tenfold.stages import entries
from tests.docs.pages import (
    INDEX,
    ROOT,
    anchors,
    commands,
    links,
    name_of,
    pages,
    prose,
)

LARGEST_PICTURE = 300_000
LINKS = [link for page in pages() for link in links(page)]
LOCAL = [link for link in LINKS if not re.match(r"[a-z]+:", link.target)]
HEADINGS = ("Tutorial", "How-to", "Reference", "Explanation")


def place(link):
    """Return the file and the anchor that a link names."""
    path, _, anchor = link.target.partition("#")
    page = ROOT / link.page
    return (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("link", LOCAL, ids=str)
def test_a_link_leads_to_a_file_and_an_anchor_of_it(link):
    file, anchor = place(link)
    assert file.exists()
    assert file.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(file)


def test_pictures_are_described_and_small():
    pictures = [link for link in LINKS if link.picture]
    assert pictures
    for picture in pictures:
        file, _ = place(picture)
        assert picture.text, f"{picture}: no words for who cannot see it"
        assert file.stat().st_size < LARGEST_PICTURE, picture


def test_every_picture_is_on_a_page():
    shown = {place(link)[0] for link in LOCAL}
    assert [
        p.name for p in (ROOT / "docs" / "images").iterdir() if p not in shown
    ] == []


def test_other_places_are_named_by_https():
    elsewhere = [link for link in LINKS if link not in LOCAL]
    assert [
        str(link) for link in elsewhere if not link.target.startswith("https:")
    ] == []


def test_every_page_is_found_from_the_index_in_one_line():
    listed = [place(link)[0] for link in links(INDEX)]
    assert len(set(listed)) == len(listed)
    expected = {p for p in pages() if (ROOT / "docs") in p.parents and p != INDEX}
    assert expected <= set(listed)
    assert INDEX in {place(link)[0] for link in links(ROOT / "README.md")}


def test_the_index_has_its_four_headings():
    found = [line[3:] for _, line in prose(INDEX) if line.startswith("## ")]
    assert tuple(found) == HEADINGS


def test_every_how_to_says_what_was_executed():
    how_to = INDEX.read_text("utf-8").split("## How-to")[1].split("## ")[0]
    for target in re.findall(r"\(([\w/-]+\.md)\)", how_to):
        text = (INDEX.parent / target).read_text("utf-8")
        assert re.search(r"executed", text, re.IGNORECASE), (
            f"{target} does not say what was executed"
        )


def test_the_page_of_artifacts_names_every_file_of_every_stage():
    page = (ROOT / "docs" / "reference" / "artifacts.md").read_text("utf-8")
    names = {v for k, v in vars(entries).items() if k.isupper() and isinstance(v, str)}
    assert "decision.json" in names
    assert [name for name in sorted(names) if f"`{name}" not in page] == []


def test_pages_speak_of_this_project_alone():
    """No path of somebody's machine gets into a page."""
    for page in pages():
        text = page.read_text("utf-8")
        for place in (ROOT, Path.home()):
            short = len(place.parts) < 3  # "/", or "/home": no telling whose.
            assert short or str(place) not in text, name_of(page)


@pytest.mark.parametrize(("mark", "count"), [("", 66), ("C", 34), ("T", 52)])
def test_every_published_feature_has_its_row(mark, count):
    page = (ROOT / "docs" / "published-features.md").read_text("utf-8")
    rows = re.findall(
        rf"^\| {mark}(\d+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE
    )
    assert sorted(int(number) for number, _, _ in rows) == list(range(1, count + 1))
    assert {answer for _, answer, _ in rows} == {"yes", "in part", "no"}
    assert all(where.strip() for _, _, where in rows)


PAGE = """# One
```console
$ tenfold run kelp \\
    --out runs/a     # the same, # twice
what it says
$ make run
```
1. Indented

   ```console
   $ export A=b
   ```
"""


def test_commands_are_read_without_output_comment_and_indent():
    found = [(c.line, c.text) for c in commands(ROOT / "README.md", PAGE)]
    assert found == [
        (3, "tenfold run kelp --out runs/a"),
        (6, "make run"),
        (11, "export A=b"),
    ]


def test_a_block_that_does_not_end_is_named():
    with pytest.raises(AssertionError, match=r"README.md:1"):
        commands(ROOT / "README.md", "```console\n$ make run\n")
