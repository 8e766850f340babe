"""Reads the pages of the documentation: commands, links, anchors and pictures."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "README.md"
#: A block of code, which may be indented in a list.
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*) *$")
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *$")
_ANCHOR = re.compile(r'<a id="(?P<id>[^"]+)">')
_COMMENT = re.compile(r"\s+#\s.*$")


@dataclass(frozen=True)
class Block:
    """A block of code of a page, its lines without their indent."""

    page: str
    line: int
    language: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """What a page tells its reader to type, on one line and without its comment."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Link:
    """A link or a picture of a page."""

    page: str
    line: int
    text: str
    target: str
    picture: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.target}"


def pages() -> list[Path]:
    """List all pages, the first one first."""
    below = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    return [ROOT / "README.md", *sorted(below)]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, text: str | None = None) -> Iterator[Block]:
    """Yield the blocks of code of a page."""
    lines = (page.read_text("utf-8") if text is None else text).splitlines()
    opened = None
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened = (number, fence["language"], len(fence["indent"]))
            held: list[str] = []
        elif opened and fence and not fence["language"]:
            yield Block(name_of(page), opened[0], opened[1], tuple(held))
            opened = None
        elif opened:
            held.append(line[opened[2] :])
    assert opened is None, f"{name_of(page)}:{opened[0]}: a block that does not end"


def commands(page: Path, text: str | None = None) -> list[Command]:
    """List the commands of a page, in order."""
    found = []
    for block in blocks(page, text):
        if block.language != "console":
            continue
        lines = iter(enumerate(block.lines, block.line + 1))
        for number, line in lines:
            if not line.startswith("$ "):
                continue
            typed = line[2:]
            while typed.endswith("\\"):
                typed = f"{typed[:-1].rstrip()} {next(lines)[1].strip()}"
            found.append(Command(block.page, number, _COMMENT.sub("", typed).strip()))
    return found


def prose(page: Path) -> list[tuple[int, str]]:
    """List (number, line) of a page without its blocks of code."""
    inside, kept = False, []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append((number, line))
    return kept


def links(page: Path) -> list[Link]:
    """List the links and pictures of a page."""
    return [
        Link(name_of(page), number, m["text"], m["target"], bool(m["picture"]))
        for number, line in prose(page)
        for m in _LINK.finditer(re.sub(r"`[^`]*`", lambda code: _hidden(code[0]), line))
    ]


def _hidden(code: str) -> str:
    """Keep the length of what stands as code, where brackets are no link."""
    return code if "](" not in code else "`" * len(code)


def anchors(page: Path) -> set[str]:
    """Return what a link may name after a #, as GitHub makes it of headings."""
    found: set[str] = set()
    for _, line in prose(page):
        found |= {m["id"] for m in _ANCHOR.finditer(line)}
        heading = _HEADING.match(line)
        if heading:
            title = re.sub(r"<[^>]+>|[^\w\- ]", "", heading["title"].strip().lower())
            found.add(title.strip().replace(" ", "-"))
    return found
