"""From a tile's size to what a network accepts, and back: resizing and padding."""

import torch.nn.functional as F
from torch import Tensor

from tenfold.challenges.kelp.bands import SIZE
from tenfold.challenges.kelp.options import KelpInput
from tenfold.errors import RecipeError

_MODES = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}


class Fit:
    """Resizes where the recipe says so, then pads to what the network takes.

    `size` is of a whole tile: crops and windows are resized by the same factor, or
    padded to the next multiple only.

    Args:
        options: of the recipe.
        multiple: the network's sides are multiples of it.

    Raises:
        RecipeError: if the size is none.
    """

    def __init__(self, options: KelpInput, multiple: int) -> None:
        self._options, self._multiple = options, multiple
        size = options.size
        if size is not None and size % multiple:
            below = size - size % multiple
            raise RecipeError(
                f"input.size {size} is no multiple of {multiple}, which the network"
                f" needs; set {below + multiple}" + (f" or {below}" if below else "")
            )

    @property
    def _resized_to(self) -> int | None:
        return self._options.size if self._options.fit == "resize" else None

    def image(self, channels: Tensor) -> Tensor:
        """Resize channels (N, C, H, W) as the recipe says."""
        mode = self._options.interpolation
        return self._resize(channels, mode) if self._resized_to else channels

    def labels(self, plane: Tensor) -> Tensor:
        """Resize masks, truth or validity (N, H, W) to their nearest pixel."""
        if not self._resized_to:
            return plane
        return self._resize(plane[:, None].float(), "nearest")[:, 0].to(plane.dtype)

    def pad(self, channels: Tensor) -> tuple[Tensor, tuple[slice, slice]]:
        """Pad on all sides alike; return also the rows and columns of the inside."""
        size = channels.shape[-2:]
        added = [self._padded(length) - length for length in size]
        (top, left) = first = [length // 2 for length in added]
        mode = _MODES[self._options.pad]
        if mode == "reflect" and any(
            more - less >= length
            for more, less, length in zip(added, first, size, strict=True)
        ):
            raise RecipeError(
                f"input.pad: reflect cannot make {size[0]}×{size[1]} px"
                f" {added[0] + size[0]}×{added[1] + size[1]}; use replicate or zero"
            )
        sides = (left, added[1] - left, top, added[0] - top)
        inside = slice(top, top + size[0]), slice(left, left + size[1])
        return F.pad(channels, sides, mode=mode), inside

    def back(self, logits: Tensor, height: int, width: int) -> Tensor:
        """Return logits (N, C, h, w) at the size that the image had.

        What shrinks is averaged over all pixels that fall into one (bilinear) or is
        one of them (nearest).
        """
        if not self._resized_to or logits.shape[-2:] == (height, width):
            return logits
        smooth = self._options.undo == "bilinear"
        return F.interpolate(
            logits.float(),
            (height, width),
            mode=self._options.undo,
            antialias=smooth and logits.shape[-1] > width,
        )

    def _resize(self, planes: Tensor, mode: str) -> Tensor:
        assert self._resized_to is not None  # noqa: S101 - callers asked
        factor = self._resized_to / SIZE
        size = [max(round(length * factor), 1) for length in planes.shape[-2:]]
        return F.interpolate(planes, size, mode=mode)

    def _padded(self, length: int) -> int:
        whole = self._options.fit == "pad" and length == SIZE
        if whole and self._options.size is not None:
            return self._options.size
        return length + -length % self._multiple
