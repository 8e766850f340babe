"""Own what charts say to those who do not see them: their last, best or extreme values.

Values are written as in tables; one that is not finite is no value.
"""

import math
from collections.abc import Mapping, Sequence

from tenfold.reports.cells import show

Lines = Mapping[str, tuple[Sequence[float], Sequence[float | None]]]


def ends(what: str, lines: Lines) -> str:
    """Say where each curve ends, e.g. "loss: train ends at 0.3, val at 0.4"."""
    found = {name: points[-1][1] for name, points in _points(lines).items() if points}
    return _joined(what, [f"{name} ends at {show(y)}" for name, y in found.items()])


def peaks(what: str, lines: Lines) -> str:
    """Say where each curve is highest, the first of equal places."""
    found = {
        name: max(points, key=lambda point: point[1])
        for name, points in _points(lines).items()
        if points
    }
    said = [
        f"{name} is highest at {show(x)}, {show(y)}" for name, (x, y) in found.items()
    ]
    return _joined(what, said)


def extremes(what: str, values: Mapping[str, float]) -> str:
    """Say which bar is longest and which is shortest."""
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    if not known:
        return _joined(what, [])
    most, least = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    said = [f"most {show(known[most])} ({most})"]
    if len(known) > 1:
        said.append(f"least {show(known[least])} ({least})")
    return _joined(what, said)


def _points(lines: Lines) -> dict[str, list[tuple[float, float]]]:
    return {
        name: [
            (float(x), float(y))
            for x, y in zip(*row, strict=True)
            if y is not None and math.isfinite(y)
        ]
        for name, row in lines.items()
    }


def _joined(what: str, said: Sequence[str]) -> str:
    return f"{what}: {', '.join(said)}." if said else f"{what}."
