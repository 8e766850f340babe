"""Join the pages of a run to one site of plain relative links, swapped in whole."""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tenfold.reports.page import (
    CONTENTS,
    FOLLOWING,
    GENERATOR,
    NAVIGATION,
    Page,
    ReportError,
    environment,
)

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class SitePage:
    """One page of a site.

    Attributes:
        slug: its file name without .html.
        title: its name in the navigation.
        group: heading that it stands under, such as "Training".
        html: a page, or the file that one was written to.
        summary: one line for the overview.
    """

    slug: str
    title: str
    group: str
    html: Path | Page
    summary: str = ""


def write_site(
    directory: Path, title: str, overview: Page, pages: Sequence[SitePage]
) -> Path:
    """Write a site; an existing one is replaced, and never seen half-written.

    Args:
        directory: holds the site and nothing else.
        title: name of the site, over its navigation.
        overview: becomes index.html, followed by a list of all pages.
        pages: in reading order; pages of one group need not be neighbours.

    Returns:
        Path of index.html.

    Raises:
        ReportError: a slug is bad or doubled, a file is no page of ours, or the
            directory holds something else than a site.
    """
    _check_slugs(pages)
    _check_replaceable(directory)
    groups = _grouped(pages)
    ordered = [page for _, members in groups for page in members]
    index = SitePage("index", "Overview", "", overview)
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
    try:
        for position, page in enumerate([index, *ordered]):
            html = _joined(page, title, [index, *ordered], position, groups)
            target = fresh / f"{page.slug}.html"
            target.write_text(html, encoding="utf-8", newline="\n")
        fresh.chmod(0o755)
        _swap(fresh, directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return directory / "index.html"


def _check_slugs(pages: Sequence[SitePage]) -> None:
    seen = {"index"}
    for page in pages:
        if not _SLUG.fullmatch(page.slug):
            raise ReportError(
                f"page {page.title!r} has slug {page.slug!r}; "
                "use lower-case letters, digits, dots and dashes"
            )
        if page.slug in seen:
            raise ReportError(
                f"two pages have the slug {page.slug!r}; give each its own"
            )
        seen.add(page.slug)


def _check_replaceable(directory: Path) -> None:
    """Refuse to wipe a directory that some wrong path points at."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    index = directory / "index.html"
    if not index.is_file() or GENERATOR not in index.read_text("utf-8", "replace"):
        raise ReportError(
            f"{directory} exists and is no report site; name another directory"
        )


def _grouped(pages: Sequence[SitePage]) -> list[tuple[str, list[SitePage]]]:
    order = list(dict.fromkeys(page.group for page in pages))
    by_group = sorted(pages, key=lambda page: order.index(page.group))
    return [(g, list(members)) for g, members in groupby(by_group, lambda p: p.group)]


def _joined(
    page: SitePage,
    title: str,
    everything: Sequence[SitePage],
    position: int,
    groups: Sequence[tuple[str, Sequence[SitePage]]],
) -> str:
    neighbours = {
        "previous": everything[position - 1] if position else None,
        "following": everything[position + 1] if everything[position + 1 :] else None,
    }
    here = {"title": title, "current": page, "groups": groups}
    html = _html(page)
    html = _filled(html, NAVIGATION, "navigation", here, page)
    html = _filled(html, FOLLOWING, "following", neighbours, page)
    if page.slug == "index":
        html = _filled(html, CONTENTS, "contents", here, page)
    return html


def _html(page: SitePage) -> str:
    if isinstance(page.html, Page):
        return page.html.render()
    with suppress(FileNotFoundError):
        return page.html.read_text("utf-8")
    raise ReportError(f"report {page.html} of page {page.title!r} does not exist")


def _filled(
    html: str, slot: str, template: str, values: Mapping[str, object], page: SitePage
) -> str:
    # Text cannot hold a slot: the page escapes its "<".
    if html.count(slot) != 1:
        raise ReportError(
            f"page {page.title!r} has no {slot}; only pages of this kit join a site"
        )
    part = environment().get_template(f"{template}.html.j2").render(values)
    return html.replace(slot, part)


def _swap(fresh: Path, directory: Path) -> None:
    """Put a finished directory in the place of an old one by renaming."""
    if not directory.exists():
        fresh.rename(directory)
        return
    old = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
    # A rename onto an empty directory is allowed and keeps the name reserved.
    directory.rename(old)
    try:
        fresh.rename(directory)
    except OSError:
        old.rename(directory)
        raise
    shutil.rmtree(old)
