"""What it costs to take in clouds' pictures and codes: check, resize, pack.

Ours decodes a JPEG at half its size where the recipe averages areas, resizes masks
from two lines a pixel, and leaves arrays. The plain way is the published one: whole
JPEGs, small JPEGs written again, and codes made anew at two sizes.
"""

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import clouds_plain
from benchmarks.table import Row, raced, row, script
from tenfold.challenges import Packed, SourceSample
from tenfold.challenges.clouds import reader
from tenfold.challenges.clouds.options import CloudsData, CloudsSynth
from tenfold.challenges.clouds.planes import unpack_planes
from tenfold.challenges.clouds.synth import synthesise
from tenfold.codecs import run_length
from tenfold.data.shards import write_shard

TITLE = "Taking in clouds' pictures and masks (images per CPU-second, one thread)"
SEED = 7
#: How the published system resizes.
_PUBLISHED = CloudsData(resample="bilinear", masks="any")
_DEFAULT = CloudsData()


def ours(
    sources: Sequence[SourceSample], options: CloudsData, folder: Path
) -> list[Packed]:
    """Pack images into a shard as the stage does."""
    packed = [reader.pack(source, None, options) for source in sources]
    write_shard(folder / "shard", [each.arrays for each in packed], {})
    return packed


def theirs(
    sources: Sequence[SourceSample], folder: Path
) -> list[clouds_plain.Prepared]:
    """Prepare images one by one, and write both tables of codes."""
    prepared = [
        clouds_plain.prepare(source.files[reader.PICTURE], source.labels, folder)
        for source in sources
    ]
    for size in (clouds_plain.PREPARED, clouds_plain.SCORED):
        lines = [
            f"{source.id}.jpg_{name},{each.codes[size, name]}\n"
            for source, each in zip(sources, prepared, strict=True)
            for name in clouds_plain.CLASSES
        ]
        (folder / f"train_{size[0]}.csv").write_text("".join(lines), "utf-8")
    return prepared


def agree(packed: Packed, prepared: clouds_plain.Prepared) -> None:
    """Check that both ways make the same of an image: masks to the bit."""
    for name, size in (
        ("classes", clouds_plain.PREPARED),
        ("truth", clouds_plain.SCORED),
    ):
        masks = unpack_planes(packed.arrays[name])
        for label, mask in zip(clouds_plain.CLASSES, masks, strict=True):
            code = prepared.codes[size, label]
            assert np.array_equal(mask, run_length.decode(code, size))
    # Pillow cuts off what OpenCV rounds.
    off = packed.arrays["picture"].astype(int) - prepared.picture
    assert np.abs(off).max() <= 1


def rows(quick: bool) -> list[Row]:
    """Measure; what both ways make is compared first."""
    count = 2 if quick else 12
    with tempfile.TemporaryDirectory(prefix="tenfold-benchmark-") as place:
        folder = Path(place)
        synthesise(folder / "set", CloudsSynth(train=12, test=1, twins=0, seed=SEED))
        found = reader.scan(folder / "set" / "data", _DEFAULT).samples
        sources = [sample for sample in found if sample.split == "train"][:count]
        pairs = zip(
            ours(sources, _PUBLISHED, folder), theirs(sources, folder), strict=True
        )
        for packed, prepared in pairs:
            agree(packed, prepared)
        ways = [
            functools.partial(ours, sources, _DEFAULT, folder),
            functools.partial(ours, sources, _PUBLISHED, folder),
            functools.partial(theirs, sources, folder),
        ]
        *seconds, plain = raced(ways, 1 if quick else 3)
    names = ("prepare, averaging areas", "prepare, the published way")
    bars, note = ("≥ 4", ""), "plain: stand-ins for OpenCV, see clouds_plain.py"
    return [
        row(name, count / own, count / plain, plain / own, bar, note)
        for name, own, bar in zip(names, seconds, bars, strict=True)
    ]


if __name__ == "__main__":
    script(rows, TITLE)
