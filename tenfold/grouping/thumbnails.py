"""Own thumbnails as embeddings of pictures: no network, no weights, no framework."""

import numpy as np
from PIL import Image

from tenfold.data.arrays import ByteArray, Float32Array
from tenfold.errors import TenfoldError

#: Rows and columns of a thumbnail; pictures of another shape are squashed to it.
ROWS, COLUMNS = 16, 24

#: Red, green and blue in grey (ITU-R BT.601).
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
#: Of 255. Pictures of 8 bits say nothing about contrasts below one step.
_LEAST_CONTRAST = 1.0


def describe(picture: ByteArray) -> Float32Array | None:
    """Reduce a picture to the pattern of light and dark in its thumbnail.

    Every pixel of the thumbnail is the mean of what it covers. The cosine of two
    patterns is the correlation of the thumbnails, so brightness and contrast do not
    matter, nor does what a JPEG loses; a shift by a few pixels of the thumbnail does.

    Args:
        picture: (H, W, 3) uint8.

    Returns:
        (ROWS · COLUMNS,) with mean 0 and length 1; None where the thumbnail is flat.

    Raises:
        TenfoldError: if it is no such picture.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise TenfoldError(
            f"a picture is {picture.dtype} {picture.shape};"
            " thumbnails need uint8 (H, W, 3)"
        )
    # Floats all the way: eight bits would round faint patterns off.
    grey = Image.fromarray(picture.astype(np.float32) @ _GREY)
    small = np.asarray(grey.resize((COLUMNS, ROWS), Image.Resampling.BOX), np.float64)
    if np.ptp(small) < _LEAST_CONTRAST:
        return None
    pattern = (small - small.mean()).ravel()
    unit: Float32Array = (pattern / np.linalg.norm(pattern)).astype(np.float32)
    return unit
