"""Sets that Kaggle hosts, through Kaggle's own client.

The client is imported when it is used, since its import asks who the user is. It goes
on with what an earlier call left when Kaggle still has the same bytes, and asks again
when a connection breaks. While it works its own output is swallowed: it holds signed
addresses, and with VERBOSE set the user's credentials.
"""

import contextlib
import importlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import HTTPError as BrokenReply

from tenfold.data.fetching.https import OnBytes, unlogged
from tenfold.data.fetching.listing import KaggleSet
from tenfold.data.fetching.room import full, is_full
from tenfold.data.files import remove_directory
from tenfold.errors import SourceError

#: What the client puts beside a file of which a part has arrived.
_MARKER = ".kaggle-partial"
_SECONDS_BETWEEN_LOOKS = 0.5
_WHO = (
    "Kaggle asks who you are: make a token at https://www.kaggle.com/settings/api and"
    " put kaggle.json at ~/.kaggle/kaggle.json (chmod 600), or set KAGGLE_USERNAME and"
    " KAGGLE_KEY, or KAGGLE_API_TOKEN"
)


def download(
    wanted: KaggleSet, folder: Path, size: int | None, on_bytes: OnBytes
) -> Path:
    """Bring a set, or one file of it, into a folder that is for it alone.

    Args:
        wanted: the set.
        folder: also keeps what was cut short, for the next call.
        size: bytes that it will have, if that is known.
        on_bytes: told of what arrives.

    Returns:
        The file, under the name that Kaggle gave it; a single file may come as a zip.

    Raises:
        SourceError: Kaggle refuses, cannot be reached or sends something damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        _failing(wanted, folder),
        _watched(folder, size, on_bytes),
        unlogged(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        _ask(_client(), wanted, str(folder))
    arrived = [path for path in folder.iterdir() if path.suffix != _MARKER]
    if len(arrived) != 1:
        raise SourceError(f"{_name(wanted)}: Kaggle sent {len(arrived)} files, not one")
    return arrived[0]


def _client() -> Any:
    """Return the client, signed in.

    Its import signs in too, but says nothing if that fails.
    """
    api = importlib.import_module("kaggle").api
    try:
        api.authenticate()
    except SystemExit:
        raise SourceError(_WHO) from None
    return api


def _ask(api: Any, wanted: KaggleSet, folder: str) -> None:
    kept: dict[str, Any] = {"path": folder, "force": False, "quiet": True}
    if wanted.dataset is not None and wanted.file is not None:
        api.dataset_download_file(wanted.dataset, wanted.file, **kept)
    elif wanted.dataset is not None:
        api.dataset_download_files(wanted.dataset, **kept)
    elif wanted.file is not None:
        api.competition_download_file(wanted.competition, wanted.file, **kept)
    else:
        api.competition_download_files(wanted.competition, **kept)


@contextlib.contextmanager
def _failing(wanted: KaggleSet, folder: Path) -> Iterator[None]:
    """Turn what the client raises into a sentence; its own would show addresses."""
    try:
        yield
    except requests.HTTPError as error:
        raise _refused(wanted, getattr(error.response, "status_code", 0)) from None
    except (requests.RequestException, BrokenReply):
        raise SourceError(
            f"{_name(wanted)}: Kaggle does not answer, or connections break; run the"
            " same command again: what has arrived is kept"
        ) from None
    except OSError as error:
        if is_full(error):
            raise full(folder) from None
        raise
    except ValueError:
        # The client may have written a refusal to the file, marked as a good part.
        remove_directory(folder)
        raise SourceError(
            f"{_name(wanted)}: what Kaggle sent has not the size it said, so it was"
            f" removed; run the same command again, or see {wanted.page}"
        ) from None


def _refused(wanted: KaggleSet, status: int) -> SourceError:
    name = _name(wanted)
    if status == 401:
        return SourceError(f"{name}: Kaggle does not know these credentials. {_WHO}")
    if status == 403:
        cure = (
            f"accept the rules at {wanted.page}/rules"
            if wanted.competition is not None
            else f"see at {wanted.page} whether it is open to you"
        )
        return SourceError(f"{name}: Kaggle refuses (403); {cure}, and run again")
    if status == 404:
        return SourceError(f"{name}: Kaggle has no such file (404); see {wanted.page}")
    return SourceError(f"{name}: Kaggle answers {status}; run the same command again")


def _name(wanted: KaggleSet) -> str:
    name = f"{wanted.competition or wanted.dataset}"
    return f"{name}, {wanted.file}" if wanted.file is not None else name


@contextlib.contextmanager
def _watched(folder: Path, size: int | None, on_bytes: OnBytes) -> Iterator[None]:
    """Tell how much has arrived while the client, which is quiet, works."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            on_bytes(_size_of(folder), size)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        on_bytes(_size_of(folder), size)


def _size_of(folder: Path) -> int:
    files = [path for path in folder.glob("*") if path.suffix != _MARKER]
    return sum(path.stat().st_size for path in files if path.is_file())
