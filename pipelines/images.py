"""Names of images: the same tree gives the same tag."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_CONTENT = ("tenfold", "components", "requirements.txt")
_SUFFIXES = {".py", ".yaml", ".txt", ".j2", ".css"}


def content_tag() -> str:
    """Return a tag over the files that go into the images."""
    digest = hashlib.sha256()
    for path in sorted(_files()):
        name = path.relative_to(ROOT).as_posix()
        digest.update(f"{name}\0{len(path.read_bytes())}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files() -> list[Path]:
    found = []
    for name in _CONTENT:
        path = ROOT / name
        inside = path.rglob("*") if path.is_dir() else [path]
        found += [file for file in inside if file.suffix in _SUFFIXES]
    return found
