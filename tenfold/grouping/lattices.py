"""Own what exact overlap matching reads: integer grids, and its options."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tenfold.errors import RecipeError, SourceError

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
AnyIntArray = npt.NDArray[np.integer[Any]]

#: Sides of lattices are below this, so that a row or column fits in 16 bits.
MAX_SIDE = 1 << 15


class Lattices(Protocol):
    """Integer grids with random access, so that only a few need to be in memory."""

    def __len__(self) -> int:
        """Count the lattices."""

    def __getitem__(self, i: int) -> tuple[AnyIntArray, BoolArray]:
        """Read lattice i: values (H, W) of any integer type, valid (H, W)."""


@dataclass(frozen=True)
class OverlapOptions:
    """What counts as a distinctive window, a candidate pair and a verified overlap.

    Attributes:
        window: side of the hashed windows, in pixels. Larger windows are rarer by
            chance, but each must be free of changed pixels: with a share p of pixels
            changed in either lattice, (1 - p)^(2 * window²) of them survive.
        min_relief: smallest share of a window's neighbour pairs (horizontal and
            vertical) whose values differ. Keeps flat sea, plateaus and their straight
            edges from becoming keypoints; smooth lowland needs it this small.
        spacing: a keypoint has the smallest hash among informative windows up to this
            many pixels away in rows and columns, which bounds keypoints per lattice.
        max_bucket: a window seen in more lattices than this is compared only with that
            many following ones: groups stay whole, time and memory stay bounded.
        min_votes: keypoints that must agree on a shift before it is verified.
        max_shifts: shifts verified per pair, those with most votes first.
        min_agreement: smallest share of equal values among the shared pixels.
        min_distinctive: smallest number of shared pixels that are equal and differ
            from their right neighbour in both lattices; plateaus offer none.
        background: the value that carries no information, such as sea level.
    """

    window: int = 7
    min_relief: float = 0.1
    spacing: int = 4
    max_bucket: int = 256
    min_votes: int = 2
    max_shifts: int = 3
    min_agreement: float = 0.9
    min_distinctive: int = 100
    background: int = 0

    def __post_init__(self) -> None:
        """Refuse options that could not find anything."""
        if self.window < 2:
            raise RecipeError(f"overlap window must be at least 2, got {self.window}")
        if min(self.spacing, self.max_bucket, self.min_votes, self.max_shifts) < 1:
            raise RecipeError(
                "overlap spacing, max_bucket, min_votes and max_shifts must be at "
                f"least 1, got {self}"
            )
        if not (0 < self.min_relief <= 1 and 0 < self.min_agreement <= 1):
            raise RecipeError(
                "overlap min_relief and min_agreement must be in (0, 1], got "
                f"{self.min_relief} and {self.min_agreement}"
            )


def read_lattice(lattices: Lattices, i: int) -> tuple[AnyIntArray, BoolArray]:
    """Read one lattice and refuse it if it is not what `Lattices` promises."""
    values, valid = lattices[i]
    if values.ndim != 2 or values.shape != valid.shape:
        raise SourceError(
            f"lattice {i} has values {values.shape} and mask {valid.shape}; "
            "both must be (H, W)"
        )
    if not np.issubdtype(values.dtype, np.integer):
        raise SourceError(
            f"lattice {i} holds {values.dtype}; exact matching needs integers"
        )
    if max(values.shape) >= MAX_SIDE:
        raise SourceError(
            f"lattice {i} is {values.shape}; sides must be below {MAX_SIDE} pixels"
        )
    return values, np.asarray(valid, dtype=np.bool_)
