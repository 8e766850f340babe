"""The rule to beat: kelp is where NDVI and NIR are high, on clear sea."""

import numpy as np

from tenfold.challenges.kelp.bands import BAND_INDEX
from tenfold.challenges.kelp.channels import spectral_valid
from tenfold.challenges.kelp.tiles import TileArray
from tenfold.data.arrays import BoolArray, Float32Array, IntArray
from tenfold.recipe import Json

_BINS = 64
#: Both tables span what sea and kelp can reach; outside falls in the end bins.
_NDVI = (-0.3, 0.8)
_NIR = (5000.0, 25_000.0)


class PixelRule:
    """Finds the best pair of thresholds, leaving each fold out of the choice.

    A pixel is kelp if NDVI ≥ a and NIR ≥ b, it has no elevation above 0, and QA
    does not mark it. Either threshold may be so low that it decides nothing, so
    the rules of one index alone are among those tried.

    Args:
        folds: how many there are.
    """

    def __init__(self, folds: int) -> None:
        self._counts = np.zeros((folds, 2, _BINS, _BINS), np.int64)
        self._kelp = np.zeros(folds, np.int64)

    def add(self, fold: int, raw: TileArray, truth: BoolArray) -> None:
        """Count a tile (7, 350, 350) with its mask."""
        red, nir = (raw[BAND_INDEX[b]].astype(np.float32) for b in ("R", "NIR"))
        clear = spectral_valid(raw) & (raw[BAND_INDEX["QA"]] == 0)
        clear &= raw[BAND_INDEX["DEM"]] <= 0
        ndvi = (nir - red)[clear] / np.maximum((nir + red)[clear], 1)
        place = (truth[clear] * _BINS + _bin(ndvi, _NDVI)) * _BINS + _bin(
            nir[clear], _NIR
        )
        self._counts[fold] += np.bincount(place, minlength=2 * _BINS**2).reshape(
            2, _BINS, _BINS
        )
        self._kelp[fold] += int(truth.sum())

    def result(self) -> Json:
        """Return the rule in words, its honest score and the score it was made on."""
        above = self._counts[..., ::-1, ::-1].cumsum(-1).cumsum(-2)[..., ::-1, ::-1]
        fp, tp = above[:, 0], above[:, 1]
        sums = np.zeros(3, np.int64)
        for fold in range(len(self._kelp)):
            rest = [i for i in range(len(self._kelp)) if i != fold] or [fold]
            a, b = self._best(tp[rest].sum(0), fp[rest].sum(0), self._kelp[rest].sum())
            sums += [tp[fold, a, b], fp[fold, a, b], self._kelp[fold]]
        a, b = self._best(tp.sum(0), fp.sum(0), self._kelp.sum())
        ndvi = _NDVI[0] + a * (_NDVI[1] - _NDVI[0]) / _BINS
        nir = _NIR[0] + b * (_NIR[1] - _NIR[0]) / _BINS
        return {
            "name": f"NDVI ≥ {ndvi:.2f} and NIR ≥ {nir:.0f} on clear sea",
            "honest": _dice(*(int(v) for v in sums)),
            "naive": _dice(
                int(tp.sum(0)[a, b]), int(fp.sum(0)[a, b]), int(self._kelp.sum())
            ),
        }

    @staticmethod
    def _best(tp: IntArray, fp: IntArray, kelp: int) -> tuple[int, int]:
        scores = 2 * tp / np.maximum(tp + fp + kelp, 1)
        a, b = np.unravel_index(int(np.argmax(scores)), scores.shape)
        return int(a), int(b)


def _dice(tp: int, fp: int, kelp: int) -> float:
    return 2 * tp / (tp + fp + kelp) if fp + kelp else 1.0


def _bin(values: Float32Array, span: tuple[float, float]) -> IntArray:
    low, high = span
    place = (values - low) / (high - low) * _BINS
    bins: IntArray = np.clip(place, 0, _BINS - 1).astype(np.int64)
    return bins
