"""What it costs to take in clouds' pictures and codes: check, resize, pack.

Ours decodes a JPEG at half its size where the recipe averages areas, resizes masks
from two lines a pixel, and leaves arrays. The plain way is the published one: whole
JPEGs, small JPEGs written again, and codes made anew at two sizes.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import clouds_plain
from benchmarks.clouds_plain import PREPARED, SCORED
from benchmarks.table import Row, raced, row, script
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
_DEFAULT = CloudsData()
#: How the published system resizes.
_PUBLISHED = CloudsData(resample="bilinear", masks="any")

Sources = Sequence[SourceSample]


def ours(sources: Sources, options: CloudsData, folder: Path) -> None:
    """Pack images into a shard as the stage does."""
    packed = [reader.pack(source, None, options).arrays for source in sources]
    write_shard(folder / "shard", packed, {})


def our_pictures(sources: Sources) -> None:
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


def compare(source: SourceSample, folder: Path) -> None:
    """Check that both ways make the same of an image: masks to the bit."""
    arrays = reader.pack(source, None, _PUBLISHED).arrays
    codes = clouds_plain.prepare_codes(source.labels)
    for name, size in (("classes", PREPARED), ("truth", SCORED)):
        masks = unpack_planes(arrays[name])
        for label, mask in zip(clouds_plain.CLASSES, masks, strict=True):
            assert np.array_equal(mask, run_length.decode(codes[size, label], size))
    picture = clouds_plain.prepare_picture(source.files[reader.PICTURE], folder)
    # Pillow cuts off what OpenCV, and ours, round.
    assert np.abs(arrays["picture"].astype(int) - picture).max() <= 1


def rows(quick: bool) -> list[Row]:
    """Measure; what both ways make is compared first."""
    count = 2 if quick else 12
    with tempfile.TemporaryDirectory(prefix="tenfold-benchmark-") as place:
        folder = Path(place)
        synthesise(folder / "set", CloudsSynth(train=12, test=1, twins=0, seed=SEED))
        found = reader.scan(folder / "set" / "data", _DEFAULT).samples
        sources = [sample for sample in found if sample.split == "train"][:count]
        for source in sources:
            compare(source, folder)
        ways: Mapping[str, Callable[[], None]] = {
            "ours": lambda: ours(sources, _DEFAULT, folder),
            "ours, published rules": lambda: ours(sources, _PUBLISHED, folder),
            "plain": lambda: theirs(sources, folder),
            "our pictures": lambda: our_pictures(sources),
            "plain pictures": lambda: their_pictures(sources, folder),
        }
        seconds = raced(list(ways.values()), 1 if quick else 5)
    rates = {name: count / cpu for name, cpu in zip(ways, seconds, strict=True)}
    return _table(rates)


def _table(rates: Mapping[str, float]) -> list[Row]:
    """Make the rows from images per CPU-second."""

    def pair(what: str, own: str, other: str, bar: str = "", note: str = "") -> Row:
        ratio = rates[own] / rates[other]
        return row(what, rates[own], rates[other], ratio, bar, note)

    published = "bilinear from whole JPEGs, as the plain way"
    return [
        pair("pictures and masks", "ours", "plain", "≥ 4"),
        pair(
            "… by the published rules", "ours, published rules", "plain", "", published
        ),
        pair("pictures alone", "our pictures", "plain pictures"),
    ]


if __name__ == "__main__":
    script(rows, TITLE)
