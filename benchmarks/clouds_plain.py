"""The plain way of the clouds challenge: a JPEG and four run-length codes an image.

Written after the published third-place system's own preparation, with OpenCV as there,
and no slower than that needs: it makes the codes of each size in a pass of its own, but
skips blank ones.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from tenfold.data.arrays import BoolArray, ByteArray, Float32Array

CLASSES = ("Fish", "Flower", "Gravel", "Sugar")
PICTURE, PREPARED, SCORED = (1400, 2100), (384, 576), (350, 525)

#: (size, class) → code at that size; blank where the class is absent.
Codes = Mapping[tuple[tuple[int, int], str], str]


def prepare_picture(source: Path, folder: Path) -> ByteArray:
    """Write the small JPEG of an image, and return what it was made from, RGB."""
    picture = cv2.cvtColor(cv2.imread(str(source)), cv2.COLOR_BGR2RGB)
    small = cv2.resize(picture, PREPARED[::-1])
    cv2.imwrite(str(folder / source.name), cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    return np.asarray(small, np.uint8)


def prepare_codes(labels: Mapping[str, str]) -> Codes:
    """Return an image's codes at both sizes."""
    return {
        (size, name): resize_code(labels.get(name, ""), size)
        for size in (PREPARED, SCORED)
        for name in CLASSES
    }


def resize_code(code: str, size: tuple[int, int]) -> str:
    """Return the code of a mask at another size; what is above 0 is set."""
    if not code:
        return ""
    return encode(cv2.resize(decode(code, PICTURE), size[::-1]) > 0)


def decode(code: str, shape: tuple[int, int]) -> Float32Array:
    """Return the mask (H, W) of a code, run by run."""
    numbers = np.array(code.split(), dtype=int)
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    height, width = shape
    mask = np.zeros(height * width, np.float32)
    for start, end in zip(starts, starts + lengths, strict=True):
        mask[start:end] = 1
    return mask.reshape(width, height).T


def encode(mask: BoolArray) -> str:
    """Return the code of a mask."""
    flat = np.concatenate([[0], mask.T.ravel(), [0]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    return " ".join(str(number) for number in edges)
