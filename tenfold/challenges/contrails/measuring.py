"""What the choice of a decision needs to know of out-of-fold records, in two passes.

The first keeps a histogram of each record's mean probability by truth, from which the
counts of every threshold follow. The second labels the pieces of masks, at a few
thresholds, and is only made where specks may be removed.
"""

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tenfold.challenges import OutOfFold
from tenfold.challenges.contrails.brightness import BrightnessRule
from tenfold.challenges.contrails.options import ContrailsData
from tenfold.challenges.contrails.specks import counts_by_least
from tenfold.challenges.contrails.thresholds import histogram, whole_steps
from tenfold.data.arrays import Arrays, ByteArray, Float32Array, IntArray
from tenfold.ensembling.average import Average
from tenfold.recipe import Json

#: What stands in for folds where there is but one.
PARTS = 5
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class Measured:
    """Records by what thresholds make of them.

    Attributes:
        ids: of the N records.
        parts: how many have records; each is left out of the choice once.
        part: (N,) place of each record's part: its fold's, or see `part_of`.
        histograms: (N, 2, BINS) pixels by truth and step of the mean probability.
        rule: the one to beat.
    """

    ids: tuple[str, ...]
    parts: int
    part: IntArray
    histograms: IntArray
    rule: Json

    @property
    def labelled(self) -> IntArray:
        """Labelled pixels of each record, (N,)."""
        pixels: IntArray = self.histograms[:, 1].sum(axis=-1, dtype=np.int64)
        return pixels

    def by_part(self, values: IntArray) -> IntArray:
        """Return sums (parts, ...) of values (N, ...) of each record."""
        sums = np.zeros((self.parts, *values.shape[1:]), np.int64)
        np.add.at(sums, self.part, values)
        return sums


def part_of(id_: str) -> int:
    """Return which part of the only fold a record is in; follows from its id alone."""
    return zlib.crc32(id_.encode()) % PARTS


def as_steps(outputs: Arrays) -> Float32Array:
    """Return a member's probability in steps, which float32 adds up without error."""
    return np.asarray(outputs["prob"], np.float32)


def measure(
    data: ContrailsData, out_of_fold: OutOfFold, on_progress: OnProgress
) -> Measured:
    """Go once through the records.

    Args:
        data: how they were packed.
        out_of_fold: outputs of every model, which all weigh the same.
        on_progress: told how many records are done.
    """
    folds = out_of_fold.folds
    alone = len(folds) == 1
    rule = BrightnessRule(data.channels, data.labelled, PARTS if alone else len(folds))
    ids, parts, histograms = [], [], []
    samples = out_of_fold.samples()
    for done, (id_, fold, arrays, outputs) in enumerate(samples, 1):
        part = part_of(id_) if alone else folds.index(fold)
        rule.add(part, arrays)
        counts = histogram(mean_steps(outputs), np.asarray(arrays["label"]))
        # A count is at most the pixels of a frame.
        histograms.append(counts.astype(np.int32))
        ids.append(id_)
        parts.append(part)
        on_progress(done)
    used, part_places = np.unique(parts, return_inverse=True)
    return Measured(
        ids=tuple(ids),
        parts=len(used),
        part=part_places,
        histograms=np.stack(histograms),
        rule=rule.result(used),
    )


def measure_pieces(
    out_of_fold: OutOfFold,
    steps: Collection[int],
    least: IntArray,
    on_progress: OnProgress,
) -> dict[int, IntArray]:
    """Go a second time through the records, in the same order.

    Args:
        out_of_fold: outputs of every model.
        steps: first ones above the thresholds that are measured.
        least: sizes of pieces that stay, in pixels.
        on_progress: told how many records are done.

    Returns:
        Step → (N, sizes, 3) of tp, predicted pixels and pieces.
    """
    found: dict[int, list[IntArray]] = {step: [] for step in sorted(steps)}
    for done, (mean, arrays) in enumerate(_means(out_of_fold), 1):
        truth = np.asarray(arrays["label"]) == 1
        for step, counts in found.items():
            counted = counts_by_least(mean >= step, truth, least)
            counts.append(counted.astype(np.int32))
        on_progress(done)
    return {step: np.stack(counts) for step, counts in found.items()}


def _means(out_of_fold: OutOfFold) -> Iterator[tuple[ByteArray, Arrays]]:
    for _, _, arrays, outputs in out_of_fold.samples():
        yield mean_steps(outputs), arrays


def mean_steps(outputs: Mapping[str, Arrays]) -> ByteArray:
    """Return the mean probability over models as a decision sees it, in steps."""
    average = Average()
    for output in outputs.values():
        average.add({"prob": as_steps(output)}, 1.0)
    return whole_steps(average.result()["prob"])
