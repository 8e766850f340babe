"""The rule to beat: contrail is where one channel is above, or below, a constant."""

from collections.abc import Sequence

import numpy as np

from tenfold.challenges.contrails.options import BandRange
from tenfold.challenges.contrails.outputs import STEPS, encode
from tenfold.challenges.contrails.thresholds import BINS, histogram
from tenfold.data.arrays import Arrays, IntArray
from tenfold.ensembling.refining import refine
from tenfold.ensembling.thresholds import best_cut, counts_of, cuts_without
from tenfold.recipe import Json


class BrightnessRule:
    """Finds the constant that scores best, on any channel and in either direction.

    Every value that a packed byte can have is tried; channels of float16 are rounded
    to as many.

    Args:
        channels: as they were packed.
        labelled: place of the labelled frame among those that were.
        parts: how many, of which each is left out of the choice once.
    """

    def __init__(
        self, channels: Sequence[BandRange], labelled: int, parts: int
    ) -> None:
        self._channels, self._labelled = channels, labelled
        self._counts = np.zeros((len(channels), parts, 2, BINS), np.int64)

    def add(self, part: int, arrays: Arrays) -> None:
        """Count a labelled record."""
        frame = np.asarray(arrays["image"])[self._labelled]
        steps = frame if frame.dtype == np.uint8 else encode(frame.astype(np.float32))
        for place in range(len(self._channels)):
            counts = histogram(steps[..., place], np.asarray(arrays["label"]))
            self._counts[place, part] += counts

    def result(self, parts: IntArray) -> Json:
        """Return the rule in words, its honest Dice and the one it was made on.

        Args:
            parts: those that have records.
        """
        at_least = self._counts[:, parts]
        at_most = np.zeros_like(at_least)
        at_most[..., : STEPS + 1] = at_least[..., STEPS::-1]
        both = np.concatenate([at_least, at_most])
        tried = np.arange(STEPS + 1)
        chosen = best_cut(both.sum(axis=1), tried)
        without = cuts_without(both, tried)
        # There is no second choice: of each cut only itself.
        counts = {cut: counts_of(both, cut)[:, None] for cut in (chosen, *without)}
        found = refine(chosen, without, counts)
        down, place = divmod(chosen.candidate, len(self._channels))
        channel, step = self._channels[place], chosen.step
        value = _kelvin(channel, STEPS - step if down else step)
        name = f"{_name(channel)} {'≤' if down else '≥'} {value:.1f} K"
        return {"name": name, "honest": found.honest, "naive": found.naive}


def _name(channel: BandRange) -> str:
    less = "" if channel.less is None else f" less band {channel.less}"
    return f"band {channel.band}{less}"


def _kelvin(channel: BandRange, step: int) -> float:
    return channel.low + step / STEPS * (channel.high - channel.low)
