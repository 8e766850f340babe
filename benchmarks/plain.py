"""The plain ways: a GeoTIFF a sample, index after index; run-length codes in a loop.

The first is written after the published second-place kelp system's own order of work,
and no slower than that needs: what it copies, it copies with one call of PyTorch. The
second is as the published third-place clouds system does it, dtypes included.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rasterio
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from tenfold.challenges.kelp.bands import BAND_INDEX, MISSING
from tenfold.challenges.kelp.indices import FORMULAS, Planes
from tenfold.challenges.kelp.network import Preprocess
from tenfold.data.arrays import Float32Array, IntArray

_EPS = 1e-10
#: Bands in the order of the published model, counted from 1 as rasterio does.
ORDER = ("R", "G", "B", "SWIR", "NIR", "QA", "DEM")
_PLACE = {name: place for place, name in enumerate(ORDER)}


class Tiles(Dataset[tuple[Tensor, Tensor]]):
    """Tiles and masks, decoded each time they are asked for.

    Args:
        files: (tile, mask) of each sample.
    """

    def __init__(self, files: Sequence[tuple[Path, Path]]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        tile, mask = self._files[place]
        with rasterio.open(mask) as file:
            label = torch.from_numpy(file.read(1)).long()
        return read_tile(tile), label


def read_tile(path: Path) -> Tensor:
    """Return a tile (7, H, W) float32 in the model's order; missing is NaN."""
    with rasterio.open(path) as file:
        raw = file.read([BAND_INDEX[name] + 1 for name in ORDER])
    bands = torch.from_numpy(raw).float()
    return torch.where(bands == MISSING, torch.nan, bands)


def add_indices(bands: Tensor, names: Sequence[str]) -> Tensor:
    """Append one index after the other, each with a copy of all that is there.

    An index counts where QA and then the clipped elevation are 0; what is not a
    number is not 0. Indices that end in WM are never masked.

    Args:
        bands: (N, 7, H, W) in the model's order.
        names: DEMWM first, since the others are masked by it.
    """
    for name in names:
        of = {band: bands[:, place] for band, place in _PLACE.items()}
        index = FORMULAS[name](
            Planes(of["SWIR"], of["NIR"], of["R"], of["G"], of["B"], of["DEM"], torch)
        )
        if not name.endswith("WM"):
            index = torch.where(of["QA"] == 0, index, torch.nan)
            index = torch.where(bands[:, len(ORDER)] == 0, index, torch.nan)
        bands = torch.cat([bands, index[:, None]], dim=1)
    return bands


class Scale:
    """Replaces what is not finite and scales by quantiles, each step on all channels.

    Args:
        low: (C,) of each channel, for NaN and -inf.
        high: (C,) for +inf.
        q01: (C,) becomes 0.
        q99: (C,) becomes 1.
    """

    def __init__(self, low: Tensor, high: Tensor, q01: Tensor, q99: Tensor) -> None:
        self._low, self._high = low[:, None, None], high[:, None, None]
        self._q01, self._q99 = q01[:, None, None], q99[:, None, None]

    def __call__(self, channels: Tensor) -> Tensor:
        """Return the scaled channels (N, C, H, W)."""
        absent = torch.isnan(channels) | torch.isneginf(channels)
        finite = torch.where(absent, self._low, channels)
        finite = torch.where(torch.isposinf(finite), self._high, finite)
        clipped = torch.clamp(finite, self._q01, self._q99)
        return (clipped - self._q01) / (self._q99 - self._q01 + _EPS)


def scale_of(preprocess: Preprocess) -> Scale:
    """Return the same scaling as a model's own preprocessing."""
    shift = preprocess.shift
    return Scale(preprocess.low, preprocess.high, shift, shift + 1 / preprocess.scale)


def augment(image: Tensor, mask: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate, flip left-right, flip up-down, as a container of augmentations does.

    Each step takes out the samples that it is drawn for, moves them, and puts them
    back into a copy of the batch; image and mask go through it one after the other.
    (That is how kornia's augmentations apply a step to a part of a batch.)

    Args:
        image: (N, C, H, W), bilinear.
        mask: (N, H, W), nearest.
        moves: (N, 4) as `tenfold.training.augment` has them, where flips come
            first; they are turned into the order of this function.
    """
    degrees = torch.where(moves[:, 0] == moves[:, 1], moves[:, 3], -moves[:, 3])
    planes = mask[:, None].float()
    image = _part(image, degrees != 0, lambda some: _turned(some, degrees, "bilinear"))
    planes = _part(planes, degrees != 0, lambda some: _turned(some, degrees, "nearest"))
    for place, axis in ((0, -1), (1, -2)):
        drawn = moves[:, place] != 0
        image = _part(image, drawn, lambda some, axis=axis: some.flip(axis))
        planes = _part(planes, drawn, lambda some, axis=axis: some.flip(axis))
    return image, planes[:, 0].long()


def _part(batch: Tensor, drawn: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    if not drawn.any():
        return batch
    return step(batch) if drawn.all() else batch.index_put((drawn,), step(batch[drawn]))


def _turned(planes: Tensor, degrees: Tensor, mode: str) -> Tensor:
    angle = degrees[degrees != 0] * (math.pi / 180)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [
        torch.stack(row, 1) for row in ((cosine, -sine, zero), (sine, cosine, zero))
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(planes.shape), align_corners=False)
    return F.grid_sample(planes, grid, mode=mode, align_corners=False)


def encode_mask(mask: IntArray) -> str:
    """Return a mask's run-length code, down the columns from 1.

    The pixels are copied into their order and then between two that are not set;
    where neighbours differ, runs start and end. Each number becomes a string.

    Args:
        mask: (H, W), 0 or 1 in 8 bytes a pixel.
    """
    pixels = mask.T.flatten()
    if pixels.sum() == 0:
        return ""
    framed = np.concatenate([[0], pixels, [0]])
    edges = np.where(framed[:-1] != framed[1:])[0] + 1
    starts, ends = edges[0::2], edges[1::2]
    numbers = np.stack([starts, ends - starts], axis=1).ravel()
    return " ".join(str(number) for number in numbers)


def decode_mask(text: str, height: int, width: int) -> Float32Array:
    """Return the mask (H, W) of a run-length code, run by run."""
    pixels = np.zeros(height * width, np.float32)
    numbers = [int(word) for word in text.split(" ")] if text else []
    for start, length in np.array(numbers, np.int64).reshape(-1, 2):
        first = start - 1
        pixels[first : first + length] = 1
    return pixels.reshape(width, height).T
