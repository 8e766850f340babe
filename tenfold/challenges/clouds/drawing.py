"""A picture of clouds as a person wants to see it, and what to look at first."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from tenfold.challenges.clouds import canvas
from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.outputs import decode
from tenfold.challenges.clouds.planes import unpack_planes
from tenfold.data.arrays import Arrays, BoolArray, ByteArray, Float32Array
from tenfold.reports.panels import Scale

LEGEND = "Outlines are what is predicted, tints are labels."
_SHARES = tuple(f"{name.lower()}_share" for name in CLASSES)
_AREA = pl.sum_horizontal(*_SHARES)
# Beyond these differences, and these ratios, a warning is given. They are ours: what a
# good submission predicts on the real test images is not published.
_FAR_SHARE, _FAR_BLANK, _FAR_NOTHING = 0.2, 0.15, 0.25
_FAR_TIMES, _FAR_AREA = 2.0, 1.5


def views(arrays: Arrays) -> Mapping[str, ByteArray]:
    """Return the picture as prepared and, where it is labelled, with its classes."""
    picture = np.asarray(arrays["picture"], np.uint8)
    pictures = {"picture": picture}
    truth = _truth(arrays)
    if truth is not None:
        drawn = canvas.outlined(canvas.on_canvas(picture), truth)
        pictures["labels"] = canvas.with_legend(drawn, _shown(truth))
    return pictures


def scales(arrays: Arrays) -> Mapping[str, Scale]:
    """Return nothing: no view of a sample maps values."""
    del arrays
    return {}


def overlay(
    arrays: Arrays, outputs: Arrays, truth: bool = True
) -> Mapping[str, ByteArray]:
    """Return what is painted over the picture, probabilities, and presence as bars.

    All are drawn at 350 × 525, whatever the size of outputs.

    Args:
        arrays: the sample.
        outputs: of a member, `prob` in steps of 1/255 or `presence`, or both; or a
            prediction, `classes` as bits and perhaps `presence`.
        truth: tint the labels too, where there are any.
    """
    labels = _truth(arrays) if truth else None
    drawn = {}
    masks = _masks(outputs)
    if masks is not None:
        name, picture = "prediction", canvas.on_canvas(np.asarray(arrays["picture"]))
        seen = masks
        if labels is not None:
            name, seen = "prediction (outlines) on labels (tints)", masks | labels
            picture = canvas.filled(picture, labels)
        painted = canvas.outlined(picture, masks)
        drawn[name] = canvas.with_legend(painted, _shown(seen))
    if "prob" in outputs:
        drawn["probabilities"] = canvas.maps(decode(np.asarray(outputs["prob"])))
    if "presence" in outputs:
        presence: Float32Array = np.asarray(outputs["presence"], np.float32)
        labelled = None if labels is None else _shown(labels)
        drawn["presence"] = canvas.bars(presence, labelled)
    return drawn


def _truth(arrays: Arrays) -> BoolArray | None:
    """Return the masks (4, 350, 525) of the label; none has the same as no label."""
    truth = unpack_planes(np.asarray(arrays["truth"]))
    return truth if truth.any() else None


def _masks(outputs: Arrays) -> BoolArray | None:
    """Return masks (4, 350, 525) of outputs that paint, cut at one half."""
    if "classes" in outputs:
        return canvas.masks_on_canvas(unpack_planes(np.asarray(outputs["classes"])))
    if "prob" in outputs:
        prob = decode(np.asarray(outputs["prob"]))
        return canvas.masks_on_canvas(np.asarray(prob > 0.5, bool))
    return None


def _shown(masks: BoolArray) -> list[bool]:
    return [bool(mask.any()) for mask in masks]


def choose(table: pl.DataFrame, count: int) -> Mapping[str, list[str]]:
    """Pick images that tell most: extremes, doubts, and some at random.

    Args:
        table: with the share that each class covers and, where there is a classifier,
            its `presence_margin`.
        count: most images of a kind.
    """
    # Where a class is absent there is no mask that could be small.
    painted = [pl.when(pl.col(share) > 0).then(pl.col(share)) for share in _SHARES]
    ranked = table.with_columns(
        found=pl.sum_horizontal(*(pl.col(share) > 0 for share in _SHARES)),
        area=_AREA,
        largest=pl.max_horizontal(*painted),
        smallest=pl.min_horizontal(*painted),
    )

    def first(column: str, descending: bool) -> list[str]:
        known = ranked.drop_nulls(column)
        order = known.sort([column, "id"], descending=[descending, False])
        return order["id"].head(count).to_list()

    chosen = {
        "most classes": first("found", descending=True),
        "emptiest": first("area", descending=False),
        "largest mask": first("largest", descending=True),
        "smallest mask": first("smallest", descending=False),
    }
    if "presence_margin" in table.columns:
        chosen["least certain presence"] = first("presence_margin", descending=False)
    at_random = table.sample(min(count, len(table)), seed=0)
    return chosen | {"at random": at_random["id"].to_list()}


def comparison(test: pl.DataFrame, train: pl.DataFrame) -> list[dict[str, Any]]:
    """Compare what is predicted with the labels of training images, class by class."""
    rows: dict[str, tuple[float | None, float | None]] = {
        "rows (image and class) without a mask": (_blank(test), _blank(train)),
        "images without any class": (_without_any(test), _without_any(train)),
    }
    for name, share in zip(CLASSES, _SHARES, strict=True):
        rows[f"images with {name}"] = (_present(test[share]), _present(train[share]))
    for name, share in zip(CLASSES, _SHARES, strict=True):
        what = f"share of the image that {name} covers, where it is"
        rows[what] = (_area(test[share]), _area(train[share]))
    return [
        {"what": what, "predicted, test": predicted, "labelled, train": labelled}
        for what, (predicted, labelled) in rows.items()
    ]


def warnings(test: pl.DataFrame, train: pl.DataFrame) -> list[str]:
    """Compare predictions with the labels of training images, in words."""
    found = list(_of_blanks(test, train))
    for name, share in zip(CLASSES, _SHARES, strict=True):
        found += _of_class(name, test[share], train[share])
    return found


def _of_blanks(test: pl.DataFrame, train: pl.DataFrame) -> Iterator[str]:
    blank, usual = _blank(test), _blank(train)
    if abs(blank - usual) > _FAR_BLANK:
        yield (
            f"{blank:.0%} of the rows (image and class) of the test images are blank;"
            f" {usual:.0%} of the training rows are. A right blank scores as much as a"
            " perfect mask: look at the cuts of presence and classifier."
        )
    nothing, usually = _without_any(test), _without_any(train)
    if nothing - usually > _FAR_NOTHING:
        yield (
            f"{nothing:.0%} of the test images have no class at all; {usually:.0%} of"
            " the training images have none. tune.force_best keeps the likeliest"
            " class of each."
        )


def _of_class(name: str, test: pl.Series, train: pl.Series) -> Iterator[str]:
    there, usual = _present(test), _present(train)
    few = not usual / _FAR_TIMES <= there <= usual * _FAR_TIMES
    if few or abs(there - usual) > _FAR_SHARE:
        yield (
            f"{name} is predicted in {there:.0%} of the test images; {usual:.0%} of the"
            " training images have it."
        )
    area, usual_area = _area(test), _area(train)
    if area is None or usual_area is None:
        return
    if not usual_area / _FAR_AREA <= area <= usual_area * _FAR_AREA:
        size = "larger" if area > usual_area else "smaller"
        yield (
            f"Masks of {name} are much {size} than labels: {area:.0%} of an image"
            f" against {usual_area:.0%}. Is the pixel cut right?"
        )


def _present(shares: pl.Series) -> float:
    """Return the share of images that have any."""
    return _mean(shares > 0)


def _area(shares: pl.Series) -> float | None:
    """Return the mean share of the images that have any; none if no image has."""
    some = shares.filter(shares > 0)
    return _mean(some) if len(some) else None


def _blank(table: pl.DataFrame) -> float:
    return 1 - sum(_present(table[share]) for share in _SHARES) / len(_SHARES)


def _without_any(table: pl.DataFrame) -> float:
    return _mean(table.select(area=_AREA)["area"] == 0)


def _mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
