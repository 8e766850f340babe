"""A site's links resolve, and it is replaced whole or not at all."""

import re
from pathlib import Path

import pytest

from tenfold.reports.page import Page, ReportError
from tenfold.reports.site import SitePage, write_site


def build(directory, stored, title="run"):
    Page("Ingest").write(stored)
    pages = [
        SitePage("ingest", "Ingest", "Data", stored, "5 tiles"),
        SitePage("train-0", "<b>fold 0</b>", "Training", Page("Fold 0")),
        SitePage("folds", "Folds", "Data", Page("Folds"), "no <leak>"),
    ]
    return write_site(directory, title, Page("Overview"), pages)


@pytest.fixture
def site(tmp_path):
    return build(tmp_path / "site", tmp_path / "ingest.html")


def test_every_link_resolves(site):
    folder = site.parent
    names = {path.name for path in folder.iterdir()}
    assert names == {"index.html", "ingest.html", "train-0.html", "folds.html"}
    for path in folder.iterdir():
        links = re.findall(r'href="([^"]*)"', path.read_text("utf-8"))
        assert set(links) == names | {"#content"}


def test_pages_know_where_they_are(site):
    html = (site.parent / "folds.html").read_text("utf-8")
    assert html.count('href="folds.html" aria-current="page"') == 2
    assert 'rel="prev" href="ingest.html"' in html
    assert 'rel="next" href="train-0.html"' in html
    assert '<a rel="prev"' not in site.read_text("utf-8")
    assert '<a rel="next"' not in (site.parent / "train-0.html").read_text("utf-8")


def test_overview_lists_the_pages(site):
    html = site.read_text("utf-8")
    assert "<span>no &lt;leak&gt;</span>" in html
    assert "<b>fold 0" not in html
    assert "<!--tenfold" not in html


def test_same_pages_give_the_same_bytes(site, tmp_path):
    again = build(tmp_path / "again", tmp_path / "ingest.html")
    for path in site.parent.iterdir():
        assert path.read_bytes() == (again.parent / path.name).read_bytes()


def test_an_old_site_is_replaced_and_nothing_stays_behind(site, tmp_path):
    write_site(site.parent, "new", Page("New"), [])
    assert [path.name for path in site.parent.iterdir()] == ["index.html"]
    assert "<h1>New</h1>" in site.read_text("utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"site", "ingest.html"}


def test_a_failure_leaves_the_old_site(site, tmp_path):
    before = site.read_bytes()
    missing = SitePage("gone", "Gone", "", tmp_path / "gone.html")
    with pytest.raises(ReportError, match=r"gone\.html of page 'Gone'"):
        write_site(site.parent, "new", Page("New"), [missing])
    assert site.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"site", "ingest.html"}


def test_a_failed_swap_puts_the_old_site_back(site, tmp_path, monkeypatch):
    before = site.read_bytes()
    rename = Path.rename
    calls = []

    def second_fails(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(OSError, match="no"):
        write_site(site.parent, "new", Page("New"), [])
    assert site.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"site", "ingest.html"}


def test_other_directories_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ReportError, match="no report site"):
        write_site(tmp_path, "t", Page("t"), [])
    assert (tmp_path / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("slug", ["index", "../up", "A b", "", "x/y"])
def test_bad_slugs_are_refused(tmp_path, slug):
    with pytest.raises(ReportError, match="slug"):
        write_site(tmp_path / "s", "t", Page("t"), [SitePage(slug, "p", "", Page("p"))])


def test_foreign_html_is_refused(tmp_path):
    foreign = tmp_path / "x.html"
    foreign.write_text("<html></html>")
    with pytest.raises(ReportError, match="only pages of this kit"):
        write_site(tmp_path / "s", "t", Page("t"), [SitePage("x", "x", "", foreign)])
