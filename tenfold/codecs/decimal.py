"""Many whole numbers as decimal text at once, by tables of three digits."""

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.data.arrays import IntArray

_Words = NDArray[np.uint32]


def _tables() -> tuple[_Words, _Words]:
    """Return the digits of groups of three as four bytes, by value.

    Values from 1000 on are those of a group that other digits come before, and keep
    their leading zeros; in the others, a NUL stands for each. The fourth byte is NUL
    too, but a blank in the second table, of the last group, where 0 is a digit.
    """
    values = np.arange(2000)
    padded = values >= 1000
    digits = np.zeros((2000, 4), np.uint8)
    for place, unit in enumerate((100, 10, 1)):
        shown = padded | (values >= unit)
        digits[:, place] = np.where(shown, ord("0") + values // unit % 10, 0)
    last = digits.copy()
    last[0, 2], last[:, 3] = ord("0"), ord(" ")
    return digits.view(np.uint32)[:, 0], last.view(np.uint32)[:, 0]


_GROUP, _LAST_GROUP = _tables()


def spaced(numbers: IntArray, most: int) -> str:
    """Return numbers in decimal, separated by blanks.

    Args:
        numbers: (N,), 0 or more.
        most: none is larger.
    """
    if not numbers.size:
        return ""
    groups = ceil(len(str(most)) / 3)
    words = np.empty((numbers.size, groups), np.uint32)
    rest: NDArray[Any] = numbers.astype(np.uint64 if groups > 3 else np.uint32)
    table = _LAST_GROUP
    for column in range(groups - 1, 0, -1):
        above = rest // 1000
        words[:, column] = table[rest - above * 1000 + (above > 0) * np.uint32(1000)]
        rest, table = above, _GROUP
    words[:, 0] = table[rest]
    return words.tobytes().translate(None, b"\0")[:-1].decode("ascii")
