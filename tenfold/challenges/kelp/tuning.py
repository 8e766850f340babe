"""The search for kelp's decision on out-of-fold tiles, in at most two passes.

The first fills histograms of the weighted mean probability by fold, truth and land;
the score of every mix of models and every threshold, on land and off it, follows
from them. The second labels patches, at the few cuts that the first one chose, and
is made only where small patches may be removed. So the least size is chosen after
the threshold, and given it; the honest score repeats that order without each fold.
"""

import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tenfold.challenges import OutOfFold
from tenfold.challenges.kelp.cleaning import counts_by_size, on_land, settle
from tenfold.challenges.kelp.options import KelpTune
from tenfold.challenges.kelp.outputs import STEPS, encode, opinion, step_of
from tenfold.challenges.kelp.rules import PixelRule
from tenfold.challenges.kelp.tiles import unpack_mask, unpack_tile
from tenfold.data.arrays import (
    Arrays,
    BoolArray,
    ByteArray,
    Float32Array,
    Float64Array,
    IntArray,
)
from tenfold.ensembling.refining import Refined, refine
from tenfold.ensembling.thresholds import Cut, best_cut, counts_of, cuts_without

LANDS = ("keep", "remove")
_BINS = STEPS + 1
OnProgress = Callable[[int], None]


class Candidate(NamedTuple):
    """What is chosen beside the threshold: weights over models, and land."""

    weights: Float64Array
    land: str


@dataclass(frozen=True)
class Tile:
    """An out-of-fold tile.

    Attributes:
        fold: its place among the folds that there are.
        opinions: of the models, (models, H, W).
    """

    fold: int
    arrays: Arrays
    truth: BoolArray
    opinions: Float32Array

    def steps(self, candidate: Candidate, invalid: str) -> ByteArray:
        """Return the mean of the opinions as a decision sees it, in steps."""
        weights = candidate.weights.astype(np.float32)
        mean = np.tensordot(weights, self.opinions, axes=1)
        return encode(settle(mean, self.arrays, invalid, candidate.land))


@dataclass(frozen=True)
class Found:
    """The choice, its scores, and the counts that they follow from.

    Attributes:
        candidate: the chosen weights and rule for land.
        step: of the chosen threshold.
        least: pixels of the smallest patch that stays.
        scores: of all three choices together.
        histograms: by rule for land, with the chosen weights, (2, folds, 2, S).
        sizes: least sizes that were measured, 0 among them; none without a second
            pass.
        by_size: tp, fp, fn and patches at the chosen cut, (sizes, 4).
        rule: the one to beat.
    """

    candidate: Candidate
    step: int
    least: int
    scores: Refined
    histograms: IntArray
    sizes: IntArray
    by_size: IntArray
    rule: PixelRule


class Search:
    """Tries what a recipe leaves open.

    Args:
        options: of the recipe.
        out_of_fold: outputs of every model; read tile by tile.
        on_progress: told how many tiles of a pass are done.
    """

    def __init__(
        self, options: KelpTune, out_of_fold: OutOfFold, on_progress: OnProgress
    ) -> None:
        self._options, self._out_of_fold = options, out_of_fold
        self._on_progress = on_progress
        self._mixes = list(mixes(options, len(out_of_fold.models)))
        self._lands = LANDS if options.land == "tuned" else (options.land,)
        self._candidates = [
            Candidate(weights, land) for weights in self._mixes for land in self._lands
        ]

    def run(self) -> Found:
        """Return the choice and what it is worth."""
        histograms, rule = self._first_pass()
        lands = [LANDS.index(land) for land in self._lands]
        open_ = histograms[:, lands].reshape(-1, *histograms.shape[2:])
        allowed = _allowed_steps(self._options)
        chosen = best_cut(open_.sum(axis=1), allowed)
        without = cuts_without(open_, allowed)
        tried = np.array(sorted(self._options.min_sizes))
        if tried[-1] > 1:
            sizes = np.union1d([0], tried)
            measured = self._second_pass({chosen, *without}, sizes)
            asked = np.isin(sizes, tried)
            counts = {cut: found[:, asked, :3] for cut, found in measured.items()}
            by_size = measured[chosen].sum(axis=0)
        else:
            sizes, by_size = np.empty(0, np.int64), np.empty((0, 4), np.int64)
            counts = {c: counts_of(open_, c)[:, None] for c in (chosen, *without)}
        scores = refine(chosen, without, counts)
        return Found(
            candidate=self._candidates[chosen.candidate],
            step=chosen.step,
            least=int(tried[scores.option]),
            scores=scores,
            histograms=histograms[chosen.candidate // len(lands)],
            sizes=sizes,
            by_size=by_size,
            rule=rule,
        )

    def _tiles(self) -> Iterator[Tile]:
        """Yield the tiles, and say how many are done when one is."""
        options, folds = self._options, self._out_of_fold.folds
        samples = self._out_of_fold.samples()
        for done, (_, fold, arrays, outputs) in enumerate(samples, 1):
            opinions = [
                opinion(outputs[model], options.vote, options.member_threshold)
                for model in self._out_of_fold.models
            ]
            truth = unpack_mask(arrays) == 1
            yield Tile(folds.index(fold), arrays, truth, np.stack(opinions))
            self._on_progress(done)

    def _first_pass(self) -> tuple[IntArray, PixelRule]:
        """Return histograms (mixes, lands, folds, 2, S), and the rule to beat."""
        folds = len(self._out_of_fold.folds)
        shape = (len(self._mixes), len(LANDS), folds, 2, _BINS)
        histograms, rule = np.zeros(shape, np.int64), PixelRule(folds)
        for tile in self._tiles():
            land = on_land(tile.arrays["dem"])
            for mix, weights in enumerate(self._mixes):
                steps = tile.steps(Candidate(weights, "keep"), self._options.invalid)
                sea, ashore = _histograms(steps, tile.truth, land)
                histograms[mix, 0, tile.fold] += sea + ashore
                # Removed from land means: probability 0 there, as `settle` does.
                sea[:, 0] += ashore.sum(axis=1)
                histograms[mix, 1, tile.fold] += sea
            rule.add(tile.fold, unpack_tile(tile.arrays), tile.truth)
        return histograms, rule

    def _second_pass(
        self, cuts: Collection[Cut], sizes: IntArray
    ) -> dict[Cut, IntArray]:
        """Return tp, fp, fn and patches at each cut, (folds, sizes, 4)."""
        shape = (len(self._out_of_fold.folds), len(sizes), 4)
        counts = {cut: np.zeros(shape, np.int64) for cut in sorted(cuts)}
        for tile in self._tiles():
            for cut, found in counts.items():
                candidate = self._candidates[cut.candidate]
                kelp = tile.steps(candidate, self._options.invalid) >= cut.step
                found[tile.fold] += counts_by_size(kelp, tile.truth, sizes)
        return counts


def _histograms(steps: ByteArray, truth: BoolArray, land: BoolArray) -> IntArray:
    """Count pixels by land (sea first), truth and step, (2, 2, S)."""
    place = steps + _BINS * (truth + 2 * land.astype(np.int64))
    return np.bincount(place.ravel(), minlength=4 * _BINS).reshape(2, 2, _BINS)


def _allowed_steps(options: KelpTune) -> IntArray:
    """Return the thresholds to choose from, as steps: `prob >= step` is kelp."""
    if options.threshold is not None:
        return np.array([step_of(options.threshold)])
    return np.arange(1, _BINS)


def mixes(options: KelpTune, models: int) -> Iterator[Float64Array]:
    """Yield the weights over models to try; each sums to 1."""
    if options.model_weights == "equal" or models == 1:
        yield np.full(models, 1 / models)
        return
    steps = options.weight_steps
    for cuts in itertools.combinations_with_replacement(range(steps + 1), models - 1):
        yield np.diff([0, *cuts, steps]) / steps
