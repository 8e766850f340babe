"""What it costs to take in clouds' pictures and codes: check, resize, pack.

Ours decodes a JPEG at half its size where the recipe averages areas, makes of masks
only what is read of them, and leaves arrays. The plain way is the published one: whole
JPEGs, small JPEGs written again, and codes made anew at two sizes.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks import clouds_plain
from benchmarks.clouds_plain import PREPARED, SCORED
from benchmarks.table import Row, alone, row, script, timed
from tenfold.challenges import SourceSample
from tenfold.challenges.clouds import reader
from tenfold.challenges.clouds.options import CloudsData, CloudsSynth
from tenfold.challenges.clouds.pictures import read_picture
from tenfold.challenges.clouds.planes import unpack_planes
from tenfold.challenges.clouds.synth import synthesise
from tenfold.codecs import run_length
from tenfold.data.shards import write_shard

TITLE = "Taking in clouds' pictures and masks (images per CPU-second, one thread)"
SEED = 7
#: The largest array, in bytes, whose end makes glibc keep what is freed after it.
_LARGE = 31_000_000
_DEFAULT = CloudsData()
#: How the published system resizes.
_PUBLISHED = CloudsData(resample="bilinear", masks="any")

Sources = Sequence[SourceSample]


def ours(sources: Sources, folder: Path, options: CloudsData = _DEFAULT) -> None:
    """Pack images into a shard as the stage does."""
    packed = [reader.pack(source, None, options).arrays for source in sources]
    write_shard(folder / "shard", packed, {})


def ours_as_published(sources: Sources, folder: Path) -> None:
    """Pack images that are resized by the published rules."""
    ours(sources, folder, _PUBLISHED)


def our_pictures(sources: Sources, _: Path) -> None:
    """Read and resize the pictures alone."""
    for source in sources:
        read_picture(source.files[reader.PICTURE], PREPARED, "area")


def theirs(sources: Sources, folder: Path) -> None:
    """Prepare images one by one, and write both tables of codes."""
    their_pictures(sources, folder)
    codes = [clouds_plain.prepare_codes(source.labels) for source in sources]
    for size in (PREPARED, SCORED):
        lines = [
            f"{source.id}.jpg_{name},{each[size, name]}\n"
            for source, each in zip(sources, codes, strict=True)
            for name in clouds_plain.CLASSES
        ]
        (folder / f"train_{size[0]}.csv").write_text("".join(lines), "utf-8")


def their_pictures(sources: Sources, folder: Path) -> None:
    """Write the small JPEGs alone."""
    for source in sources:
        clouds_plain.prepare_picture(source.files[reader.PICTURE], folder)


_WAYS: Mapping[str, Callable[[Sources, Path], None]] = {
    each.__name__: each
    for each in (ours, ours_as_published, our_pictures, theirs, their_pictures)
}


def seconds(way: str, data: str, count: int, repeat: int, large: bool) -> float:
    """Return the CPU seconds of a way in this process.

    Args:
        way: name of its function.
        data: folder of the images.
        count: of images.
        repeat: how often; the best counts.
        large: whether a large array was freed before.
    """
    cv2.setNumThreads(1)
    if large:
        np.ones(_LARGE, np.uint8)
    sources = _sources(Path(data), count)
    with tempfile.TemporaryDirectory(prefix="tenfold-benchmark-") as folder:
        return timed(lambda: _WAYS[way](sources, Path(folder)), repeat)


def _sources(data: Path, count: int) -> Sources:
    samples = reader.scan(data, _DEFAULT).samples
    return [sample for sample in samples if sample.split == "train"][:count]


def compare(source: SourceSample, folder: Path) -> None:
    """Check that by the published rules both ways make the same, to the bit."""
    arrays = reader.pack(source, None, _PUBLISHED).arrays
    codes = clouds_plain.prepare_codes(source.labels)
    for name, size in (("classes", PREPARED), ("truth", SCORED)):
        masks = unpack_planes(arrays[name])
        for label, mask in zip(clouds_plain.CLASSES, masks, strict=True):
            assert np.array_equal(mask, run_length.decode(codes[size, label], size))
    picture = clouds_plain.prepare_picture(source.files[reader.PICTURE], folder)
    assert np.array_equal(arrays["picture"], picture)


def rows(quick: bool) -> list[Row]:
    """Measure; what both ways make is compared first."""
    count, turns, repeat = (2, 1, 1) if quick else (12, 3, 5)
    cases = [(way, False) for way in _WAYS]
    cases += [("ours", True), ("theirs", True)]
    best = dict.fromkeys(cases, float("inf"))
    with tempfile.TemporaryDirectory(prefix="tenfold-benchmark-") as place:
        folder = Path(place)
        synthesise(folder / "set", CloudsSynth(train=12, test=1, twins=0, seed=SEED))
        data = folder / "set" / "data"
        for source in _sources(data, count):
            compare(source, folder)
        given = {"data": str(data), "count": count, "repeat": repeat}
        for way, large in cases * turns:
            # What one way leaves of memory would change what another costs.
            found = alone(seconds, way=way, large=large, **given).value
            best[way, large] = min(best[way, large], found)
    return _table({case: count / cpu for case, cpu in best.items()})


def _table(rates: Mapping[tuple[str, bool], float]) -> list[Row]:
    """Make the rows from images per CPU-second."""

    def pair(
        what: str,
        own: str,
        other: str,
        bar: str = "",
        note: str = "",
        large: bool = False,
    ) -> Row:
        one, two = rates[own, large], rates[other, large]
        return row(what, one, two, one / two, bar, note)

    kept = "memory is kept from then on, so that the plain way's arrays cost less"
    published = "bilinear from whole JPEGs, as the plain way"
    both = "pictures and masks"
    return [
        pair(both, "ours", "theirs", "≥ 4", "each way in processes of its own"),
        pair("… once a large array was freed", "ours", "theirs", "", kept, True),
        pair("… by the published rules", "ours_as_published", "theirs", "", published),
        pair("pictures alone", "our_pictures", "their_pictures"),
    ]


if __name__ == "__main__":
    script(rows, TITLE)
