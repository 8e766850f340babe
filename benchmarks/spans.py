"""Spans of time, (begin, end) in seconds: joined, cut, and added up."""

from collections.abc import Iterable, Sequence

Span = tuple[float, float]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans that do not overlap and cover the same time, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if end <= begin:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def within(spans: Iterable[Span], whole: Span) -> list[Span]:
    """Return the parts of spans that lie in another one."""
    return joined((max(b, whole[0]), min(e, whole[1])) for b, e in spans)


def without(spans: Iterable[Span], holes: Sequence[Span]) -> list[Span]:
    """Return spans less the time that others cover."""
    left = joined(spans)
    for begin, end in joined(holes):
        parts = [((b, min(e, begin)), (max(b, end), e)) for b, e in left]
        left = joined(part for pair in parts for part in pair)
    return left


def seconds(spans: Iterable[Span]) -> float:
    """Return how long spans are together, overlaps counted once."""
    return sum(end - begin for begin, end in joined(spans))
