"""Pretrained weights: files that the user put in place, never a hidden download."""

import hashlib
import os
from pathlib import Path

from tenfold.data.files import sha256_of
from tenfold.data.storage import Storage, cache_folder, open_storage
from tenfold.errors import RecipeError

MIRROR_VARIABLE = "TENFOLD_WEIGHTS"
DEFAULT_MIRROR = "weights"
#: What `sha256sum` wrote of a mirror's files, if anybody had it do so.
SUMS = "SHA256SUMS"


def find_weights(name: str, network: str) -> Path:
    """Return the local file of a network's weights.

    A file of a bucket is downloaded once and kept as long as it is the same there.

    Args:
        name: absolute path, or a file in the mirror of weights: the folder, gs:// or
            s3:// address in `TENFOLD_WEIGHTS`, else `weights/` in the current folder.
        network: what the weights are for, named in the error.

    Raises:
        RecipeError: it is not there, saying where to put it, or it is not the file
            that the mirror's SHA256SUMS describes.
        StoreError: the bucket cannot be read.
    """
    if Path(name).is_absolute():
        mirror, name = open_storage(Path(name).parent), Path(name).name
    else:
        mirror = open_storage(os.environ.get(MIRROR_VARIABLE, DEFAULT_MIRROR))
    if not mirror.exists(name):
        folder, _, file = mirror.address(name).rpartition("/")
        raise RecipeError(
            f"no pretrained weights for {network}: put {file} in {folder}"
            f" (or set {MIRROR_VARIABLE}), or train from random weights by setting"
            " the recipe's `weights` to null; docs/weights.md says where they are from"
        )
    here = mirror.local_path
    path = _copy(mirror, name) if here is None else here / name
    expected = _sums(mirror).get(name)
    if expected is not None and sha256_of(path) != expected:
        if here is None:
            path.unlink(missing_ok=True)
        raise RecipeError(
            f"{mirror.address(name)} is not the file that {mirror.address(SUMS)}"
            f" describes (SHA-256 {expected[:12]}…); put the right one there, or"
            f" write {SUMS} again"
        )
    return path


def _copy(mirror: Storage, name: str) -> Path:
    """Return a local copy; what changed in the mirror gets another path."""
    (stamp,) = mirror.stamps([name])
    version = f"{mirror.address(name)} {stamp.size} {stamp.digest}"
    folder = hashlib.sha256(version.encode()).hexdigest()[:16]
    path = cache_folder() / "weights" / folder / Path(name).name
    if not path.is_file():
        mirror.download(name, path)
    return path


def _sums(mirror: Storage) -> dict[str, str]:
    """Read SHA256SUMS: lines of a digest, a blank, a blank or star, and a name."""
    if not mirror.exists(SUMS):
        return {}
    try:
        lines = mirror.read_bytes(SUMS).decode().splitlines()
        pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
        return {file.lstrip("*").removeprefix("./"): sha for sha, file in pairs}
    except ValueError:
        raise RecipeError(
            f"{mirror.address(SUMS)} is not what sha256sum writes; write it again:"
            f" sha256sum *.safetensors > {SUMS}"
        ) from None
