"""Which records a source has: folders, metadata and the list of test records."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tenfold.challenges.contrails.metadata import Listed, read_metadata
from tenfold.challenges.contrails.npy import Header, read_header, shown, sized
from tenfold.challenges.contrails.options import FRAMES
from tenfold.errors import Rejected, SourceError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
#: Parts with labels. The competition allows training on both.
LABELLED_PARTS = (TRAIN, VALIDATION)
TABLE, HEADER = "sample_submission.csv", ["record_id", "encoded_pixels"]
PIXEL_MASKS, INDIVIDUAL_MASKS = "human_pixel_masks", "human_individual_masks"
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Record:
    """A record that was found and not yet read.

    Attributes:
        part: train, validation or test.
        files: role, which is the file's stem → file.
        shape: height and width of its frames, px.
        listed: what the metadata say; None for test records, which have none.
    """

    part: str
    id: str
    files: Mapping[str, Path]
    shape: tuple[int, int]
    listed: Listed | None


@dataclass
class Findings:
    """Records, and what cannot be one."""

    records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def file_of(role: str) -> str:
    """Return the name of a role's file."""
    return f"{role}.npy"


def role_of(band: int) -> str:
    """Return the role of a band, e.g. band_08."""
    return f"band_{band:02d}"


def find_root(source: Path) -> Path:
    """Return the folder that holds train/ and test/.

    Raises:
        SourceError: there is none.
    """
    inner = sorted(path for path in source.iterdir() if path.is_dir())
    # An archive often holds one folder that holds the data.
    for root in (source, *inner):
        if (root / TRAIN).is_dir() and (root / TEST).is_dir():
            return root
    raise SourceError(
        f"{source}: not a contrails data set; expected the folders train, validation"
        f" and test with a folder of .npy files for each record, train_metadata.json,"
        f" validation_metadata.json and {TABLE}"
    )


def find_labelled(root: Path, bands: Sequence[int]) -> Findings:
    """List the records of train/ and validation/.

    Raises:
        SourceError: a metadata file is not there or malformed.
    """
    found = Findings()
    for part in LABELLED_PARTS:
        if part == VALIDATION and not (root / part).is_dir():
            continue
        listed = read_metadata(root / f"{part}_metadata.json")
        ids = set()
        for id_ in _folders(root / part):
            ids.add(id_)
            try:
                said = _said(listed, part, id_)
                found.records.append(_record(root / part / id_, bands, said))
            except Rejected as fault:
                found.rejected.append(fault)
        found.rejected += [
            Rejected(f"{part}/{id_}", f"is in {part}_metadata.json, but not there")
            for id_ in sorted(listed.keys() - ids)
        ]
    return found


def find_test(root: Path, bands: Sequence[int]) -> list[Record]:
    """List the records of test/, which are those of the sample submission.

    Raises:
        SourceError: they are not, or one cannot be used.
    """
    table, folders = _read_table(root / TABLE), list(_folders(root / TEST))
    for id_ in sorted({*table, *folders}):
        if id_ not in table:
            raise SourceError(f"{root}: test/{id_} has no row in {TABLE}")
        if id_ not in folders:
            raise SourceError(
                f"{root}: record {id_} is in {TABLE}, and there is no test/{id_}"
            )
    try:
        return [_record(root / TEST / id_, bands, None) for id_ in folders]
    except Rejected as fault:
        raise SourceError(f"{fault}; a submission needs every test record") from None


def keep_one_size(found: Findings, test: Sequence[Record]) -> None:
    """Reject records whose frames are not of the size that most have.

    Raises:
        SourceError: that is so for a test record.
    """
    sizes = Counter(record.shape for record in (*found.records, *test))
    # Of two equally common sizes, the larger one.
    usual = max(sizes, key=lambda size: (sizes[size], size))

    def fault(record: Record) -> Rejected | None:
        if record.shape == usual:
            return None
        mine = sized(record.shape)
        why = f"has frames of {mine} pixels, and most have {sized(usual)}"
        return Rejected(f"{record.part}/{record.id}", why)

    for record in test:
        wrong = fault(record)
        if wrong:
            raise SourceError(f"{wrong}; a submission needs every test record")
    _reject(found, fault)


def keep_ids_apart(found: Findings, test: Sequence[Record]) -> None:
    """Reject labelled records whose id another part has, too.

    The public test records are copies of validation records. They are predicted, and
    so not learnt from.
    """
    tested = {record.id for record in test}
    times = Counter(record.id for record in found.records)

    def fault(record: Record) -> Rejected | None:
        name = f"{record.part}/{record.id}"
        if record.id in tested:
            why = "is a test record, too, and so not learnt from"
            return Rejected(name, why, meant=True)
        if times[record.id] > 1:
            return Rejected(name, "is in train and in validation")
        return None

    _reject(found, fault)


def _reject(found: Findings, fault: Callable[[Record], Rejected | None]) -> None:
    """Move the records that have a fault to those rejected."""
    faults = [(record, fault(record)) for record in found.records]
    found.records = [record for record, wrong in faults if wrong is None]
    found.rejected += [wrong for _, wrong in faults if wrong is not None]


def _folders(part: Path) -> Iterator[str]:
    """Yield the names in a part's folder that are not hidden, sorted."""
    for path in sorted(part.iterdir()):
        if not path.name.startswith("."):
            yield path.name


def _said(listed: Mapping[str, Listed | Rejected], part: str, id_: str) -> Listed:
    """Return what the metadata say of a record.

    Raises:
        Rejected: nothing, or nothing that can be used.
    """
    said = listed.get(id_)
    if said is None:
        raise Rejected(f"{part}/{id_}", f"is not in {part}_metadata.json")
    if isinstance(said, Rejected):
        raise said
    return said


def _record(folder: Path, bands: Sequence[int], listed: Listed | None) -> Record:
    """Look at a record's folder, and at the header of its first band.

    Raises:
        Rejected: it is no record's folder, or lacks a file.
    """
    part, id_ = folder.parent.name, folder.name
    name = f"{part}/{id_}"
    if not _DECIMAL.fullmatch(id_) or int(id_) > _LARGEST_ID:
        raise Rejected(name, "is not a record id: a decimal number of at most 63 bits")
    if not folder.is_dir():
        raise Rejected(name, "is not a folder")
    roles = [role_of(band) for band in bands]
    if part in LABELLED_PARTS:
        roles.append(PIXEL_MASKS)
    there = {file.name for file in folder.iterdir()}
    # Validation records have the majority alone.
    if part == TRAIN or (part == VALIDATION and file_of(INDIVIDUAL_MASKS) in there):
        roles.append(INDIVIDUAL_MASKS)
    for role in roles:
        if file_of(role) not in there:
            raise Rejected(f"{name}/{file_of(role)}", "is not there")
    files = {role: folder / file_of(role) for role in roles}
    height, width, _ = band_header(files[roles[0]]).shape
    return Record(part, id_, files, (height, width), listed)


def band_header(path: Path) -> Header:
    """Read the header of a band, (H, W, 8).

    Raises:
        Rejected: it is no band.
    """
    header = read_header(path)
    if len(header.shape) != 3 or header.shape[2] != FRAMES or 0 in header.shape:
        found = sized(header.shape)
        raise Rejected(shown(path), f"has shape {found} instead of H×W×{FRAMES}")
    if header.dtype.kind != "f" or header.dtype.itemsize < 4:
        raise Rejected(shown(path), f"has dtype {header.dtype} instead of float32")
    return header


def _read_table(path: Path) -> set[str]:
    """Read the ids of the sample submission.

    Raises:
        SourceError: it is not there, malformed, or has a record twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        raise SourceError(f"{path} is not there; it lists the test records") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read: {error}") from None
    if not rows or rows[0] != HEADER:
        found = ",".join(rows[0]) if rows else ""
        raise SourceError(
            f"{path}: its header is {found!r} instead of {','.join(HEADER)!r}"
        )
    ids: set[str] = set()
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(HEADER):
            raise SourceError(f"{path}, row {number}: {len(row)} values instead of 2")
        if row[0] in ids:
            raise SourceError(f"{path}, row {number}: record {row[0]} comes twice")
        ids.add(row[0])
    if not ids:
        raise SourceError(f"{path} has no rows")
    return ids
