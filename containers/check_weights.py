"""Refuses weights that SHA256SUMS does not name, or names with another digest."""

import hashlib
import sys
from pathlib import Path

SUMS = "SHA256SUMS"


def faults(folder: Path) -> list[str]:
    """Return a sentence for each file that is missing, unnamed or not itself."""
    try:
        wanted = _sums(folder / SUMS)
    except ValueError:
        return [f"{SUMS} is not what sha256sum writes; {_write_again()}"]
    there = {path.name: path for path in folder.iterdir() if path.name != SUMS}
    found = [f"{name}: in {SUMS}, but not here" for name in wanted.keys() - there]
    for name, path in there.items():
        if name not in wanted:
            found.append(f"{name}: not in {SUMS}; {_write_again()}")
        elif _digest(path) != wanted[name]:
            found.append(f"{name}: its SHA-256 is not the one in {SUMS}")
    return sorted(found)


def _sums(path: Path) -> dict[str, str]:
    """Read lines as tenfold.data.weights does, which is not here in a build."""
    lines = path.read_text("utf-8").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    return {name.lstrip("*").removeprefix("./"): digest for digest, name in pairs}


def _write_again() -> str:
    return f"sha256sum *.safetensors > {SUMS}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    if found := faults(Path(sys.argv[1])):
        sys.exit("weights are not as they should be:\n" + "\n".join(found))
