"""Unpack archives of unknown origin: wholly and safely, or not at all."""

import functools
import gzip
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from tenfold.data.files import atomic_directory
from tenfold.errors import SourceError

#: The endings of the archives that `extract` reads.
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

_BLOCK = 1 << 20
_TAR_BLOCK = 512
#: Members are read in blocks; tarfile asks for more at once only when a header
#: claims to be larger, which no honest header does.
_LARGEST_READ = 16 << 20
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class ExtractLimits:
    """What an archive may ask for before it is taken for a bomb.

    Attributes:
        members: files and folders in the archive.
        total_bytes: size of all files once unpacked.
        ratio: unpacked bytes over packed bytes. Honest empty masks reach hundreds,
            so it counts only above `ratio_from_bytes` unpacked bytes.
    """

    members: int = 2_000_000
    total_bytes: int = 1 << 40
    ratio: float = 200.0
    ratio_from_bytes: int = 1 << 30


def is_archive(name: str) -> bool:
    """Tell by its ending whether a file is an archive that `extract` reads."""
    return name.lower().endswith(SUFFIXES)


def kind_of(file: Path) -> str | None:
    """Tell by its first bytes what archive a file is, whatever it is called.

    Returns:
        The ending by which `extract` knows it; none if it is no archive.
    """
    with file.open("rb") as opened:
        head = opened.read(_TAR_BLOCK)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ".zip"
    if head.startswith(b"\x1f\x8b"):
        return ".tar.gz"
    return ".tar" if head[257:262] == b"ustar" else None


def extract(
    archive: Path, directory: Path, limits: ExtractLimits | None = None
) -> None:
    """Unpack a .zip, .tar, .tar.gz or .tgz into a folder that does not exist yet.

    Names that leave the folder, links, devices, encrypted and repeated members are
    refused, whatever the archive's purpose. Permissions and times are not restored.
    One process at a time may extract to a given folder.

    Raises:
        SourceError: the archive is damaged, unsafe, too large or empty; nothing is
            left behind.
    """
    unpack = _unpack_zip if archive.name.lower().endswith(".zip") else _unpack_tar
    if not is_archive(archive.name):
        raise SourceError(f"{archive} is not one of {', '.join(SUFFIXES)}")
    try:
        with atomic_directory(directory) as temporary:
            intake = _Intake(archive, temporary, limits or ExtractLimits())
            unpack(intake)
            if intake.files == 0:
                raise SourceError(f"no files in {archive}")
    except SourceError:
        raise
    except Exception as error:  # Hostile bytes make the readers raise almost anything.
        reason = str(error) or type(error).__name__
        raise SourceError(
            f"cannot extract {archive} to {directory}: {reason}; if the archive is "
            "damaged, download it again"
        ) from error


@dataclass
class _Intake:
    """Writes members below a folder and counts what they cost."""

    archive: Path
    directory: Path
    limits: ExtractLimits
    files: int = 0
    written: int = 0
    seen: set[str] = field(default_factory=set)
    packed: int = field(init=False)

    def __post_init__(self) -> None:
        self.packed = max(self.archive.stat().st_size, 1)

    def refuse(self, member: str, reason: str) -> NoReturn:
        raise SourceError(f"{self.archive}, member {member!r}: {reason}")

    def place(self, member: str) -> Path | None:
        """Return where a member goes, or None for the archive's own root."""
        parts = [part for part in member.split("/") if part not in ("", ".")]
        if member.startswith("/") or "\\" in member or _DRIVE.match(member):
            self.refuse(member, "its name is not a relative path with '/'")
        if ".." in parts or "\0" in member:
            self.refuse(member, "its name leads out of the archive")
        name = "/".join(parts)
        if name in self.seen:
            self.refuse(member, "the name occurs twice")
        self.seen.add(name)
        if len(self.seen) > self.limits.members:
            self.refuse(member, f"more than {self.limits.members:,} members")
        return self.directory / name if parts else None

    def make_directory(self, member: str) -> None:
        target = self.place(member)
        if target is not None:
            target.mkdir(parents=True, exist_ok=True)

    def write(self, member: str, open_member: Callable[[], IO[bytes]]) -> None:
        """Copy a member, trusting no size that the archive claims."""
        target = self.place(member)
        if target is None:
            self.refuse(member, "a file without a name")
        target.parent.mkdir(parents=True, exist_ok=True)
        # 'x' also catches names that differ only for the archive, not for the disk.
        with open_member() as source, target.open("xb") as file:
            while block := source.read(_BLOCK):
                self.count(member, len(block))
                file.write(block)
        self.files += 1

    def count(self, member: str, size: int) -> None:
        self.written += size
        limits = self.limits
        if self.written > limits.total_bytes:
            self.refuse(member, f"more than {limits.total_bytes:,} bytes unpacked")
        if (
            self.written > limits.ratio_from_bytes
            and self.written > limits.ratio * self.packed
        ):
            self.refuse(
                member,
                f"unpacks to more than {limits.ratio:g} times the archive's size",
            )


def _unpack_zip(intake: _Intake) -> None:
    with zipfile.ZipFile(intake.archive) as opened:
        for info in opened.infolist():
            name = info.orig_filename
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 0x1:
                intake.refuse(name, "it is encrypted; unpack the archive by hand")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                intake.refuse(name, "it is a link or a device")
            if info.is_dir():
                intake.make_directory(name)
            else:
                intake.write(name, functools.partial(opened.open, info))


def _unpack_tar(intake: _Intake) -> None:
    with intake.archive.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = _TarStream(gzip.GzipFile(fileobj=file) if packed else file)
        opened: Any = tarfile.TarFile(fileobj=cast(Any, stream))
        while (member := opened.next()) is not None:
            # It keeps all it has seen; a million members would be a gigabyte.
            opened.members.clear()
            _unpack_member(intake, opened, member)
        _require_end(intake, stream)


def _unpack_member(
    intake: _Intake, opened: tarfile.TarFile, member: tarfile.TarInfo
) -> None:
    name = member.name
    if member.issym() or member.islnk():
        intake.refuse(name, "it is a link")
    if not (member.isfile() or member.isdir()):
        intake.refuse(name, "it is a device or of an unknown kind")
    try:
        tarfile.data_filter(member, str(intake.directory))
    except tarfile.FilterError as error:
        intake.refuse(name, str(error))
    if member.isdir():
        intake.make_directory(name)
    else:
        intake.write(name, lambda: tarfile.ExFileObject(opened, member))


class _TarStream:
    """What TarFile reads from; remembers its last block."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int) -> bytes:
        if size > _LARGEST_READ:
            raise ValueError(f"a header claims {size:,} bytes")
        self.last = self._stream.read(size)
        return self.last

    def seek(self, position: int) -> int:
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True


def _require_end(intake: _Intake, stream: _TarStream) -> None:
    """Refuse a tar that just stops: TarFile takes that, and garbage, for the end."""
    if stream.last != bytes(_TAR_BLOCK):
        raise SourceError(f"{intake.archive} is truncated or damaged")
    # Reading to the very end also makes gzip compare its checksum.
    while rest := stream.read(_BLOCK):
        intake.count("the end", len(rest))
        if rest.strip(b"\0"):
            raise SourceError(f"{intake.archive} has data after its end")
