"""The eight right-angle views of a picture, and which of them a recipe's `tta` means.

What a view does to arrays is said by each engine, in its own framework.
"""

from dataclasses import dataclass
from typing import Literal

ViewsName = Literal["none", "horizontal", "mirrors", "flips", "dihedral"]


@dataclass(frozen=True)
class Turn:
    """One element of the dihedral group of the square.

    Each of the eight is a transposition or none, followed by mirrorings, so that no
    two of this form are the same and each is undone exactly.

    Attributes:
        transposed: rows become columns, first.
        upside_down: the order of rows is reversed.
        left_right: the order of columns is reversed.
    """

    transposed: bool = False
    upside_down: bool = False
    left_right: bool = False


_BOTH = (False, True)
_FLIPS = tuple(Turn(False, rows, columns) for rows in _BOTH for columns in _BOTH)
_TURNED = tuple(Turn(True, rows, columns) for rows in _BOTH for columns in _BOTH)
#: As it is, left-right, up-down; the published clouds system's TTA2 and TTA3.
_MIRRORS = (Turn(), Turn(left_right=True), Turn(upside_down=True))
_TURNS: dict[ViewsName, tuple[Turn, ...]] = {
    "none": _MIRRORS[:1],
    "horizontal": _MIRRORS[:2],
    "mirrors": _MIRRORS,
    "flips": _FLIPS,
    "dihedral": _FLIPS + _TURNED,
}


def turns_of(name: ViewsName) -> tuple[Turn, ...]:
    """Return what a recipe's `tta` shows, the sample as it is first."""
    return _TURNS[name]
