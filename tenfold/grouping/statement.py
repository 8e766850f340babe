"""Own the words for what a search for near-duplicates allows to be said of folds.

A search is described by plain data, as group stores it: its `kind`, `pairs` (how many
it found) and what `of_overlaps`, `of_embeddings` or `of_footprints` add.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from tenfold.grouping import thumbnails
from tenfold.grouping.search import Similar
from tenfold.recipe import EmbeddingSearch, FootprintSearch, Json, OverlapSearch

OVERLAP, EMBEDDING, FOOTPRINT = "overlap", "embedding", "footprint"


def of_overlaps(options: OverlapSearch, samples: int, pairs: int, blank: int) -> Json:
    """Describe a search for exact overlaps.

    Args:
        options: of the search.
        samples: that took part.
        pairs: that were found.
        blank: samples with nothing to match on.
    """
    return {
        "kind": OVERLAP,
        "agreement": options.agreement,
        "samples": samples,
        "blank": blank,
        "pairs": pairs,
    }


def of_embeddings(
    options: EmbeddingSearch, samples: int, blank: int, found: Similar
) -> Json:
    """Describe a search for similar embeddings.

    Args:
        options: of the search.
        samples: that took part.
        blank: samples without contrast, which have no embedding.
        found: what came of it.
    """
    recall = found.recall
    described: Json = {
        "kind": EMBEDDING,
        "network": options.network,
        "threshold": options.threshold,
        "index": found.index,
        "samples": samples,
        "blank": blank,
        "pairs": len(found.pairs),
        "recall": None,
    }
    if recall is not None:
        low, high = recall.interval
        measured = {"value": recall.value, "low": low, "high": high}
        described |= {"probes": options.probes, "recall": asdict(recall) | measured}
    return described


def of_footprints(
    options: FootprintSearch, samples: int, unknown: Mapping[str, int], pairs: int
) -> Json:
    """Describe a search for scenes that overlap in space and time.

    Args:
        options: of the search.
        samples: that there are.
        unknown: split → samples without metadata, which took no part.
        pairs: that were found.
    """
    return {
        "kind": FOOTPRINT,
        "overlap": options.overlap,
        "hours": options.hours,
        "samples": samples,
        "unknown": {"train": 0, "test": 0} | dict(unknown),
        "pairs": pairs,
    }


def is_complete(search: Json) -> bool:
    """Tell whether a search compared every pair of samples that may be in folds."""
    if search["kind"] == FOOTPRINT:
        return not search["unknown"]["train"]
    return search["kind"] == EMBEDDING and search["recall"] is None


def method(search: Json) -> str:
    """Say how a search looked for pairs, and what it may have missed."""
    if search["kind"] == OVERLAP:
        return (
            "Exact overlaps: pairs are proposed by windows of detail that two samples"
            f" share, and kept where at least {search['agreement']:.0%} of the"
            " informative pixels are equal. Samples that share little detail may be"
            f" missed; {search['blank']} of {search['samples']} samples have nothing"
            " to match on."
        )
    if search["kind"] == FOOTPRINT:
        return (
            f"Scenes: two samples are a pair if {_scenes(search)}. A footprint is the"
            " box in longitude and latitude around a scene, as the metadata give it;"
            f" all of them were compared. {_without_metadata(search)}"
        )
    compared = search["samples"] - search["blank"]
    alike = f"Look-alikes: {_likeness(search)}."
    if _of_thumbnails(search):
        alike += (
            " Thumbnails find copies of a picture, whatever their brightness, contrast"
            " and size, and neither shifted nor mirrored ones."
        )
    if search["blank"]:
        alike += f" {_left_out(search)}"
    if is_complete(search):
        return f"{alike} All {compared} samples were compared with each other."
    return (
        f"{alike} The index is approximate: each of {compared} samples was compared"
        f" with those in the {search['probes']} cells nearest to it. {_recall(search)}"
    )


def claim(search: Json) -> str:
    """Say what a search proves about folds whose groups join all of its pairs."""
    if search["kind"] == OVERLAP:
        return "No two samples that were found to overlap exactly are in two folds."
    if search["kind"] == FOOTPRINT:
        claimed = f"No two samples are in two folds if {_scenes(search)}."
        left = search["unknown"]["train"]
        return claimed + (f" {left} training samples have no metadata." if left else "")
    if _of_thumbnails(search):
        alike = f"thumbnails that correlate by at least {search['threshold']:g}"
    else:
        alike = f"a cosine similarity of at least {search['threshold']:g}"
    blank = f" {_left_out(search)}" if search["blank"] else ""
    if is_complete(search):
        return f"No pair of samples with {alike} crosses folds.{blank}"
    return (
        f"No pair of samples that was found to have {alike} crosses folds. The search"
        f" was approximate, so pairs may have been missed. {_recall(search)}{blank}"
    )


def claims(searches: Sequence[Json]) -> list[str]:
    """Say what all searches together prove about folds."""
    if not searches:
        return [
            "No search for near-duplicates was made, so nothing is known about"
            " near-duplicates across folds."
        ]
    return [claim(search) for search in searches]


def leak(published: Json, searches: Sequence[Json]) -> str:
    """Say how much of a source's own validation part its training part gives away.

    Args:
        published: `held_out` samples, those `leaked` (in a group with training
            samples) and those that are `direct` near-duplicates of one.
        searches: that found the near-duplicates.
    """
    if not searches:
        return claims(searches)[0]
    held_out, leaked, direct = (published[n] for n in ("held_out", "leaked", "direct"))
    least = "" if any(map(is_complete, searches)) else "At least "
    share = _percent(leaked / held_out)
    said = f"{least}{leaked} of {held_out} held-out samples ({share}) have a"
    if leaked == direct:
        return f"{said} near-duplicate in training."
    return (
        f"{said} near-duplicate in training: {direct} directly, the others through"
        " further held-out ones."
    )


def _scenes(search: Json) -> str:
    """Say what makes two scenes a pair."""
    share = search["overlap"]
    much = f"share more than {share:g} of the smaller one" if share else "overlap"
    return f"their footprints {much} and their times differ by {_hours(search)} at most"


def _hours(search: Json) -> str:
    hours = search["hours"]
    return "1 hour" if hours == 1 else f"{hours:g} hours"


def _without_metadata(search: Json) -> str:
    unknown = search["unknown"]
    return (
        f"Of {search['samples']} samples {sum(unknown.values())} have no metadata and"
        f" took no part: {unknown['train']} of training, {unknown['test']} of test."
    )


def _of_thumbnails(search: Json) -> bool:
    return bool(search["network"] == EmbeddingSearch.THUMBNAIL)


def _likeness(search: Json) -> str:
    """Say what makes two samples a pair."""
    least = f"{search['threshold']:g}"
    if _of_thumbnails(search):
        return (
            f"a correlation of at least {least} between grey thumbnails of"
            f" {thumbnails.ROWS} × {thumbnails.COLUMNS} pixels"
        )
    return (
        f"a cosine similarity of at least {least} between embeddings by"
        f" {search['network']}"
    )


def _left_out(search: Json) -> str:
    flat = "picture is of one colour"
    if _of_thumbnails(search):
        flat = "thumbnail is of one shade"
    return f"{search['blank']} samples whose {flat} took no part."


def _recall(search: Json) -> str:
    """Put a measured recall into words."""
    recall = search["recall"]
    drawn = f"{recall['drawn']} samples drawn at random (seed {recall['seed']})"
    if recall["value"] is None:
        return (
            f"Its recall could not be measured: by the exact search none of {drawn}"
            " has a pair."
        )
    return (
        f"Its measured recall is {_percent(recall['value'])} (95% interval"
        f" {_percent(recall['low'])} to {_percent(recall['high'])}): of {drawn},"
        f" {recall['trials']} have pairs by the exact search, and for"
        f" {recall['complete']} of these all were found."
    )


def _percent(share: float) -> str:
    """Write a share, rounded down: only what is whole reads as 100%."""
    # The tiny summand mends products such as 0.57 * 1000 = 569.9999.
    return f"{math.floor(share * 1000 + 1e-6) / 10:g}%"
