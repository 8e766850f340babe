"""Sources of raw data: what they hold, and a local folder of it.

A source is a folder, an archive file, or a gs:// or s3:// address of either.
"""

import fcntl
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tenfold.data.archives import SUFFIXES, extract, is_archive
from tenfold.data.files import (
    TEMPORARY_PREFIX,
    atomic_directory,
    files_below,
    is_hidden,
    read_json,
    remove_directory,
    write_json,
)
from tenfold.data.storage import FileStamp, Storage, checked_name, open_storage
from tenfold.errors import SourceError, StoreError

#: Tells of a file, by its name in the source, whether it is ever read.
Reads = Callable[[str], bool]
#: Called with files done, files in all and the word "files".
OnProgress = Callable[[int, int, str], None]

_TRANSFER_THREADS = 8
_CONTENTS = ".localised.json"


def fingerprint(uri: str | Path, reads: Reads | None = None) -> str:
    """Return the digest of what a source holds, whatever its dates say.

    The data of local files are read; of objects, only the listing is. Hidden files
    and `__MACOSX` do not count.

    Args:
        uri: of a folder, an archive, or objects.
        reads: of a folder or objects, files that it does not want do not count; none:
            all do. An archive is one file.

    Raises:
        SourceError: the source is missing, unreadable or empty.
    """
    with _source_errors():
        return _digest(_stamps_of(uri, *_source(uri), reads))


def localise(
    uri: str | Path,
    scratch: Path,
    on_progress: OnProgress | None = None,
    reads: Reads | None = None,
) -> Path:
    """Return a local folder with the source's files.

    A folder is returned as it is. Anything else is brought below `scratch`, wholly
    or not at all, under a name made from its content; what is there already is used
    again, and a download that was cut short keeps the files that it has. Of objects,
    only those that `reads` wants are downloaded.

    Raises:
        SourceError: the source is missing, unreadable, empty or unsafe to unpack.
    """
    with _source_errors():
        storage, archive = _source(uri)
        if archive is None and storage.local_path is not None:
            if all(is_hidden(name) for name in storage.names()):
                raise SourceError(f"no files in {uri}")
            return storage.local_path
        if archive is not None and not is_archive(archive):
            raise SourceError(
                f"{uri} is neither a folder nor an archive ({', '.join(SUFFIXES)})"
            )
        stamps = _stamps_of(uri, storage, archive, reads)
        return _bring(stamps, storage, archive, scratch, on_progress or _say_nothing)


def _source(uri: str | Path) -> tuple[Storage, str | None]:
    """Split a source into a place and, if it is a single file, its name there."""
    whole = open_storage(uri)
    path = whole.local_path
    if path is not None:
        if not path.exists():
            raise SourceError(f"no files in {uri}: it does not exist")
        return (
            (open_storage(path.parent), path.name) if path.is_file() else (whole, None)
        )
    above, _, name = whole.uri.rpartition("/")
    if is_archive(name) and not above.endswith("/"):
        folder = open_storage(above)
        if folder.exists(name):
            return folder, name
    return whole, None


def _stamps_of(
    uri: str | Path, storage: Storage, archive: str | None, reads: Reads | None
) -> list[FileStamp]:
    if archive is not None:
        stamps = storage.stamps([archive])
    elif reads is None:
        stamps = storage.stamps()
    elif storage.local_path is None:
        # A listing has them all at once.
        stamps = [stamp for stamp in storage.stamps() if reads(stamp.name)]
    else:
        names = [name for name in storage.names() if not is_hidden(name)]
        stamps = storage.stamps([name for name in names if reads(name)])
    if not stamps:
        raise SourceError(f"no files in {uri}")
    return stamps


def _digest(stamps: Sequence[FileStamp]) -> str:
    digest = hashlib.sha256()
    for stamp in stamps:
        line = json.dumps([stamp.name, stamp.size, stamp.digest])
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def _bring(
    stamps: Sequence[FileStamp],
    storage: Storage,
    archive: str | None,
    scratch: Path,
    on_progress: OnProgress,
) -> Path:
    address = storage.address(archive)
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", address.rpartition("/")[2])
    target = scratch / f"{label[:40]}-{_digest(stamps)[:16]}"
    # Named after the address, so that a download goes on after the source grew.
    key = hashlib.sha256(address.encode()).hexdigest()[:16]
    arrived = scratch / f"{TEMPORARY_PREFIX}{key}"
    with _alone(arrived.with_suffix(".lock")):
        if _is_complete(target):
            return target
        remove_directory(target)
        if archive is not None and storage.local_path is not None:
            extract(storage.local_path / archive, target)
        else:
            _fetch(storage, stamps, arrived, on_progress)
            if archive is not None:
                extract(_place(arrived, stamps[0]), target)
            else:
                _arrange(arrived, stamps, target)
            remove_directory(arrived)
        sizes = {name: (target / name).stat().st_size for name in files_below(target)}
        write_json(target / _CONTENTS, sizes)
    return target


def _is_complete(target: Path) -> bool:
    """Tell whether all is there; cleaners of /tmp remove single old files."""
    if not (target / _CONTENTS).is_file():
        return False
    sizes = read_json(target / _CONTENTS)
    found = {name: (target / name).stat().st_size for name in files_below(target)}
    found.pop(_CONTENTS)
    return bool(sizes == found)


def _fetch(
    storage: Storage,
    stamps: Sequence[FileStamp],
    arrived: Path,
    on_progress: OnProgress,
) -> None:
    """Make a folder hold exactly the stamped files, keeping those that it has.

    Each lies there under a name made from its stamp, and only once it is whole, so
    what is there need not be looked into: not every store tells a checksum.
    """
    names = {checked_name(stamp.name) for stamp in stamps}
    folders = {str(above) for name in names for above in PurePosixPath(name).parents}
    if both := sorted(names & folders):
        raise SourceError(
            f"{storage.address(both[0])} is a file and a folder; rename one of them"
        )
    arrived.mkdir(parents=True, exist_ok=True)
    places = {_place(arrived, stamp): stamp for stamp in stamps}
    for path in arrived.iterdir():
        if path not in places:
            path.unlink()
    pool = ThreadPoolExecutor(_TRANSFER_THREADS)
    try:
        jobs = [
            pool.submit(_fetch_one, storage, stamp.name, path)
            for path, stamp in places.items()
        ]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            on_progress(done, len(jobs), "files")
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch_one(storage: Storage, name: str, path: Path) -> None:
    if not path.exists():
        storage.download(name, path)


def _place(arrived: Path, stamp: FileStamp) -> Path:
    # The end of the name stays, since an archive is known by it.
    return arrived / f"{_digest([stamp])[:32]}-{Path(stamp.name).name[-40:]}"


def _arrange(arrived: Path, stamps: Sequence[FileStamp], target: Path) -> None:
    with atomic_directory(target) as tree:
        for stamp in stamps:
            path = tree / stamp.name
            path.parent.mkdir(parents=True, exist_ok=True)
            _place(arrived, stamp).rename(path)


@contextmanager
def _source_errors() -> Iterator[None]:
    try:
        yield
    except (StoreError, OSError) as error:
        raise SourceError(str(error)) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time fill a folder; the lock ends with its holder."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say_nothing(done: int, total: int, unit: str) -> None:
    """Report progress to nobody."""
