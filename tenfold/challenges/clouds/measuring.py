"""What tuning keeps of each out-of-fold row: a few numbers, whatever pictures hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.challenges import OutOfFold
from tenfold.challenges.clouds.cascade import (
    Cascade,
    Painting,
    head_of,
    masks_of,
    presence_score,
    probability_of,
    voted,
)
from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.options import CloudsTune
from tenfold.challenges.clouds.planes import unpack_planes
from tenfold.challenges.clouds.row_dice import anywhere, dice_of_rows, in_units
from tenfold.data.arrays import Arrays, BoolArray, Float32Array, IntArray
from tenfold.ensembling.average import Average

OnProgress = Callable[[int], None]
Outputs = Mapping[str, Arrays]
#: The published cut of seg1's own masks.
_HALF = 0.5
_ALL = len(CLASSES)


@dataclass(frozen=True)
class Measured:
    """The rows of N images; the last axis is the class.

    Attributes:
        ids: of the images.
        fold: (N,) its place among the folds that there are.
        truth: (N, 4) whether there is the class.
        labelled: (N, 4) px of it.
        pixels: of a mask.
        first: (N, 4) Dice of seg1 alone, in units.
        dice: (cuts, N, 4) Dice of seg2's masks at each pixel cut, in units.
        area: likewise, px.
        core: likewise, px that the least area is of.
        presence: (N, 4) seg1's.
        probability: (N, 4) of the classifier; None without one.
    """

    ids: tuple[str, ...]
    fold: IntArray
    truth: BoolArray
    labelled: IntArray
    pixels: int
    first: IntArray
    dice: IntArray
    area: IntArray
    core: IntArray
    presence: Float32Array
    probability: Float32Array | None


def measure(
    cascade: Cascade,
    options: CloudsTune,
    out_of_fold: OutOfFold,
    on_progress: OnProgress,
) -> Measured:
    """Read every out-of-fold image once, and keep its numbers.

    Args:
        cascade: of the recipe; its pixel cuts are not used.
        options: of the recipe; they say which pixel cuts are tried.
        out_of_fold: outputs of every model.
        on_progress: told how many images are done.
    """
    pixels, ids, fold_of, kept = 0, [], [], []
    for done, (id_, fold, arrays, outputs) in enumerate(out_of_fold.samples(), 1):
        pixels = arrays["truth"].size
        ids.append(id_)
        fold_of.append(out_of_fold.folds.index(fold))
        kept.append(_Image(cascade, arrays, outputs).numbers(options))
        on_progress(done)
    stacked = {
        name: np.stack([numbers[name] for numbers in kept], axis=-2) for name in kept[0]
    }
    return Measured(
        ids=tuple(ids),
        fold=np.array(fold_of, np.int64),
        pixels=pixels,
        truth=stacked["truth"],
        labelled=stacked["labelled"],
        first=stacked["first"],
        dice=stacked["dice"],
        area=stacked["area"],
        core=stacked["core"],
        presence=stacked["presence"],
        probability=stacked.get("probability"),
    )


class _Image:
    """An out-of-fold image; every model has an output of one fold.

    Args:
        cascade: of the recipe.
        arrays: the sample.
        outputs: by model.
    """

    def __init__(self, cascade: Cascade, arrays: Arrays, outputs: Outputs) -> None:
        self._cascade, self._outputs = cascade, outputs
        self._truth = unpack_planes(np.asarray(arrays["truth"]))
        models = cascade.models("seg2")
        self._votes = cascade.votes if cascade.combine == "vote" else 0
        self._shapes = (
            [self._steps(model) for model in models]
            if cascade.combine == "vote"
            else [self._mean("seg2")]
        )

    def numbers(self, options: CloudsTune) -> Arrays:
        """Return what `Measured` has of one image, without the axis of images."""
        cascade, truth = self._cascade, self._truth
        painted = [self._painted(cut) for cut in options.pixel_cuts]
        areas = np.stack([_areas(masks) for masks in painted])
        core = areas
        if cascade.core_cut is not None:
            core = np.stack([_areas(self._painted(cascade.core_cut))] * len(painted))
        seg1 = masks_of(self._mean("seg1"), (_HALF,) * _ALL)
        numbers: dict[str, NDArray[Any]] = {
            "truth": anywhere(truth),
            "labelled": _areas(truth),
            "first": in_units(dice_of_rows(seg1, truth)),
            "dice": np.stack([in_units(dice_of_rows(m, truth)) for m in painted]),
            "area": areas,
            "core": core,
            "presence": self._presence(options.presence_cut),
        }
        if cascade.models("cls"):
            numbers["probability"] = self._heads("cls")
        return numbers

    def _mean(self, role: str) -> Painting:
        """Return the mean probability of a role's models; of one model its steps."""
        steps = [self._steps(model) for model in self._cascade.models(role)]
        if len(steps) == 1:
            return steps[0]
        average = Average()
        for each in steps:
            average.add({"prob": probability_of(each)}, 1.0)
        return average.result()["prob"]

    def _painted(self, cut: float) -> BoolArray:
        """Return seg2's masks at a pixel cut: of the vote, or of the one mean."""
        masks = [masks_of(shape, (cut,) * _ALL) for shape in self._shapes]
        count = np.sum(np.stack(masks), axis=0, dtype=np.uint8)
        return voted(np.asarray(count), self._votes)

    def _steps(self, model: str) -> Painting:
        return np.asarray(self._outputs[model]["prob"])

    def _head(self, model: str) -> Float32Array:
        return head_of(self._outputs[model], model)

    def _heads(self, role: str) -> Float32Array:
        """Return the mean presence of a role's models."""
        average = Average()
        for model in self._cascade.models(role):
            average.add({"presence": self._head(model)}, 1.0)
        return average.result()["presence"]

    def _presence(self, cut: float | None) -> Float32Array:
        """Return seg1's presence: of the mean of its models, or the least of theirs.

        Args:
            cut: that is fixed, so that more need not be known than what is above it.
        """
        cascade = self._cascade
        levels = None if cut is None else np.array([cut], np.float32)
        by_head = cascade.presence_from == "head"
        if cascade.agree == "mean":
            head = self._heads("seg1") if by_head else None
            return presence_score(self._mean("seg1"), head, cascade, levels)
        scores = []
        for model in cascade.models("seg1"):
            head = self._head(model) if by_head else None
            scores.append(presence_score(self._steps(model), head, cascade, levels))
        least: Float32Array = np.min(scores, axis=0)
        return least


def _areas(masks: BoolArray) -> IntArray:
    return np.asarray(np.count_nonzero(masks, axis=(1, 2)), np.int64)
