"""What run-length codes cost: masks to the text of a submission, and back.

The plain way is the published third-place clouds system's: copies of the whole mask
at 8 bytes a pixel and a string a number, and back a slice of the mask for each run.
pycocotools, which is written in C, makes its own packed code of the same runs.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from pycocotools import mask as coco

from benchmarks import plain
from benchmarks.table import Row, raced, row, script
from tenfold.codecs.run_length import decode, encode
from tenfold.data.arrays import BoolArray

TITLE = "Run-length codes (masks per CPU-second, one thread)"
SUBMITTED, SOURCE = (350, 525), (1400, 2100)
SEED = 7
PUBLISHED = "plain as published, but on today's Python and NumPy"
#: Masks of a box per CPU-second reported of the published code at 350 × 525: the higher
#: of 820 to 885 encoded and 750 to 820 decoded. Not measured in this run, and on what
#: machine they were is not recorded.
RATES = {"encode": 885.0, "decode": 820.0}
RATE = "plain is the published code's reported rate, not measured in this run"
COCO = "plain is pycocotools, whose code is not text"

#: A function and what it is called with, one after the other.
Way = tuple[Callable[[Any], object], Sequence[Any]]


def boxes(shape: tuple[int, int], count: int) -> list[BoolArray]:
    """Draw masks of a box each, as labels are; at 350 × 525 about 350 runs.

    Sides are 2/5 to 14/15 of the mask's, the corner anywhere it fits.
    """
    rng = np.random.default_rng(SEED)
    height, width = shape
    masks = []
    for _ in range(count):
        h, w = (int(side * rng.uniform(2 / 5, 14 / 15)) for side in shape)
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        mask = np.zeros(shape, bool)
        mask[top : top + h, left : left + w] = True
        masks.append(mask)
    return masks


def rows(quick: bool) -> list[Row]:
    """Measure; all codes and masks are compared first."""
    small, large = (boxes(shape, 2 if quick else 16) for shape in (SUBMITTED, SOURCE))
    rounds, times = (1, 1) if quick else (8, 5)
    # pycocotools 2.0.11 makes its arrays in a way that NumPy 2 warns of.
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        for mask in (*small, *large):
            _agree(mask)
        encoding = _encoding(small, rounds, times)
        decoding = _decoding(small, rounds, times)
        return [
            *_against_rate("encode", encoding),
            *encoding,
            *_against_rate("decode", decoding),
            *decoding,
            *_encoding(large, 1, times),
            *_decoding(large, 1, times),
        ]


def _against_rate(what: str, measured: Sequence[Row]) -> list[Row]:
    """Hold our figure against the published code's own rate, which has a bar."""
    ours, rate = float(str(measured[0]["ours"]).replace(",", "")), RATES[what]
    return [row(f"{what} 350 × 525", ours, rate, ours / rate, "≥ 20", RATE)]


def _encoding(masks: Sequence[BoolArray], rounds: int, times: int) -> list[Row]:
    wide, narrow = ([m.astype(kind) for m in masks] for kind in (np.int64, np.uint8))
    ways: tuple[Way, ...] = (
        (encode, masks),
        (plain.encode_mask, wide),
        (plain.encode_mask, narrow),
        (lambda mask: coco.encode(np.asfortranarray(mask)), narrow),
    )
    notes = (PUBLISHED, "plain on masks of 1 byte a pixel, not 8", COCO)
    return _rows("encode", masks[0].shape, ways, rounds, times, notes)


def _decoding(masks: Sequence[BoolArray], rounds: int, times: int) -> list[Row]:
    shape = height, width = masks[0].shape
    texts = [encode(mask) for mask in masks]
    codes = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    ways: tuple[Way, ...] = (
        (lambda text: decode(text, shape), texts),
        (lambda text: plain.decode_mask(text, height, width), texts),
        (coco.decode, codes),
    )
    return _rows("decode", shape, ways, rounds, times, (PUBLISHED, COCO))


def _rows(
    what: str,
    shape: tuple[int, ...],
    ways: Sequence[Way],
    rounds: int,
    times: int,
    notes: Sequence[str],
) -> list[Row]:
    """Time our way, the first, against each of the others.

    Args:
        what: is done.
        shape: of a mask.
        ways: a function each, and what it is called with.
        rounds: over all masks in a measurement.
        times: measured; the best counts.
        notes: on each of the others.
    """
    count = rounds * len(ways[0][1])
    seconds = raced([partial(_all, *way, rounds) for way in ways], times)
    ours, *others = (count / each for each in seconds)
    title = f"{what} {shape[0]} × {shape[1]}"
    return [
        row(title, ours, other, ours / other, "", note)
        for other, note in zip(others, notes, strict=True)
    ]


def _all(function: Callable[[Any], object], items: Sequence[Any], rounds: int) -> None:
    for _ in range(rounds):
        for item in items:
            function(item)


def _agree(mask: BoolArray) -> None:
    """Check that each way gives the same code and the same mask."""
    height, width = mask.shape
    text = encode(mask)
    assert text == plain.encode_mask(mask.astype(np.int64))
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    of_plain = plain.decode_mask(text, height, width)
    for decoded in (decode(text, mask.shape), of_plain, coco.decode(code)):
        assert np.array_equal(decoded, mask)


if __name__ == "__main__":
    script(rows, TITLE)
