"""From a JPEG of the competition to the picture that networks see, prepared once."""

from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from tenfold.challenges.clouds.classes import SOURCE
from tenfold.challenges.clouds.sampling import resize_bytes
from tenfold.data.arrays import ByteArray
from tenfold.errors import Rejected

Resample = Literal["area", "bilinear"]

#: A picture decoded at a part of its size keeps at least so many times the pixels a
#: side that are wanted; with fewer, resizing what is left blurs.
_SPARE = 1.5
#: All colours below it are the gap between two orbits, not dark sea: JPEG leaves
#: small values around the 0 that the gap was drawn with. A power of two.
_BLACK = 8


def read_picture(path: Path, size: tuple[int, int], resample: Resample) -> ByteArray:
    """Read a JPEG of 1400 × 2100 px and bring it to a size.

    Args:
        path: of the file.
        size: height and width wanted, px.
        resample: area averages all that a pixel covers; bilinear reads up to four
            pixels without averaging, the published way, to the bit.

    Returns:
        (*size, 3), RGB.

    Raises:
        Rejected: the file is no JPEG, has another size, or ends too early.
    """
    height, width = size
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            _check_size(path, image)
            if resample == "area":
                # Decodes at a half, quarter or eighth where that is large enough:
                # means of whole pixels, for less work.
                image.draft(None, (ceil(_SPARE * width), ceil(_SPARE * height)))
            image.load()
            # Converting what is RGB already would copy it.
            picture = image if image.mode == "RGB" else image.convert("RGB")
    except UnidentifiedImageError:
        raise Rejected(path.name, "no JPEG that can be read") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise Rejected(path.name, f"cannot be read: {error}; fetch it again") from None
    if resample == "area":
        # Its weights are nearer to the area that a pixel covers of its neighbours than
        # those of a box, which takes each neighbour wholly or not at all.
        return np.asarray(picture.resize((width, height), Image.Resampling.HAMMING))
    return resize_bytes(np.asarray(picture), size)


def _check_size(path: Path, image: Image.Image) -> None:
    found = (image.height, image.width)
    if found != SOURCE:
        sides, wanted = (f"{height} × {width}" for height, width in (found, SOURCE))
        raise Rejected(path.name, f"{sides} px instead of {wanted}")


def black_share(picture: ByteArray) -> float:
    """Return the share of a picture (H, W, 3) that no satellite saw, 0 … 1."""
    values = picture.ravel()
    # Below a power of two are those that have no higher bit. Neighbouring bytes are
    # taken together in their order, which is faster than every third alone.
    together = values[:-2] | values[1:-1]
    together |= values[2:]
    of_pixels = together[::3]
    return np.count_nonzero(of_pixels < _BLACK) / of_pixels.size
