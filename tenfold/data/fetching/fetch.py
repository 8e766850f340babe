"""Fetch one file: bring it, check it, unpack it, put it in place."""

import hashlib
from pathlib import Path

from tenfold.data.archives import SUFFIXES, extract, kind_of
from tenfold.data.fetching import https, kaggle
from tenfold.data.fetching.https import PATIENCE, OnBytes, Patience, Remote
from tenfold.data.fetching.listing import Download, KaggleSet
from tenfold.data.fetching.orders import Order
from tenfold.data.fetching.room import full, is_full
from tenfold.data.fetching.shelf import Identity, Kept, Shelf
from tenfold.data.files import files_below, is_hidden, remove_directory
from tenfold.errors import SourceError

_BLOCK = 1 << 20


def fetch(
    order: Order,
    shelf: Shelf,
    token: str | None,
    on_bytes: OnBytes,
    patience: Patience = PATIENCE,
) -> Kept:
    """Make the shelf hold a file that it does not hold yet.

    Wherever an earlier call was killed, this one goes on from there.

    Args:
        order: the file, and where it is from.
        shelf: the folder that gets it.
        token: of the user.
        on_bytes: told of what arrives.
        patience: with a service in trouble.

    Raises:
        SourceError: it cannot be had, is not the listed one, or cannot be unpacked.
    """
    download, desk = order.download, shelf.desk(order.download)
    desk.mkdir(parents=True, exist_ok=True)
    file = _arrived(desk, download)
    if file is None:
        file = _bring(order, desk, token, on_bytes, patience)
    identity = _identify(file)
    fault = identity.differs(download)
    if fault is not None:
        file.unlink()
        raise SourceError(
            f"{download.name} is not the listed file: {fault}; it was removed. Run the"
            " same command again, and if that does not help, copy its link anew"
        )
    tree = _unpack(file, download, desk) if download.unpack else file
    kept = shelf.place(download, tree, identity)
    shelf.tidy(download)
    return kept


def _arrived(desk: Path, download: Download) -> Path | None:
    """Return the file if it had arrived whole when an earlier call ended."""
    names = [download.name, *(download.name + suffix for suffix in SUFFIXES)]
    return next((desk / name for name in names if (desk / name).is_file()), None)


def _bring(
    order: Order, desk: Path, token: str | None, on_bytes: OnBytes, patience: Patience
) -> Path:
    download, file = order.download, desk / order.download.name
    if order.url is not None:
        remote = Remote(order.url, token if order.takes_token else None)
        https.download(remote, file, download.size, on_bytes, patience)
        return file
    if download.kaggle is None:
        raise SourceError(f"{download.name}: nobody has said where it is from")
    sent = kaggle.download(download.kaggle, desk / "kaggle", download.size, on_bytes)
    _unwrapped(sent, download.kaggle, desk).replace(file)
    return file


def _unwrapped(sent: Path, wanted: KaggleSet, desk: Path) -> Path:
    """Return the file that was asked for; Kaggle sends some single files zipped."""
    wrapped = wanted.file is not None and not wanted.file.endswith(sent.suffix)
    if not wrapped or kind_of(sent) != ".zip":
        return sent
    tree = desk / "unwrapped"
    _extract(sent, tree)
    names = [name for name in files_below(tree) if not is_hidden(name)]
    if len(names) != 1:
        raise SourceError(f"{sent} holds {len(names)} files instead of {wanted.file}")
    return tree / names[0]


def _identify(file: Path) -> Identity:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
        size = opened.tell()
    return Identity(size=size, sha256=sha256.hexdigest(), md5=md5.hexdigest())


def _unpack(file: Path, download: Download, desk: Path) -> Path:
    kind = kind_of(file)
    if kind is None:
        file.unlink()
        raise SourceError(
            f"{download.name} is no zip, tar or tar.gz, so it was removed; copy the"
            " link of the archive itself"
        )
    if not file.name.endswith(kind):
        file = file.rename(desk / f"{download.name}{kind}")
    tree = desk / "unpacked"
    _extract(file, tree)
    return tree


def _extract(archive: Path, tree: Path) -> None:
    remove_directory(tree)
    try:
        extract(archive, tree)
    except SourceError as error:
        if is_full(error):
            raise full(tree) from None
        # Else the next call would find it here again.
        archive.unlink()
        raise SourceError(f"{error} (it was removed)") from None
