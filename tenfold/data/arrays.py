"""Names for the arrays that travel through the pipeline."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The named arrays of one sample, without a batch axis.
Arrays = Mapping[str, NDArray[Any]]

BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32] | NDArray[np.float64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
