"""A curve shows what a class would score at every value of a cut that is chosen."""

import numpy as np
import pytest

from tenfold.challenges.clouds.curves import curves
from tenfold.challenges.clouds.options import CloudsTune
from tenfold.challenges.clouds.tuning import search
from tests.challenges.clouds.measured_rows import Forced, mean, measured

CLASSES = ("Fish", "Flower", "Gravel", "Sugar")
FIXED = {
    "pixel_cuts": (0.4,),
    "presence_cut": 0.25,
    "least_area": 500,
    "classifier_cut": 0.125,
}
#: Option that opens a cut → its value, and the curve's name of it.
OPEN = {
    "pixel_cuts": ((0.5, 0.4), "pixel cut"),
    "presence_cut": (None, "presence cut"),
    "least_area": (None, "least area"),
    "classifier_cut": (None, "classifier cut"),
}
#: Curve's name of a cut → its place in `Cuts`.
PLACE = {"pixel cut": 0, "presence cut": 1, "least area": 2, "classifier cut": 3}


def cut_of(curve):
    return PLACE[curve["title"].partition(": every ")[2]]


def drawn(rows, open_, force=False, published_grid=False):
    opened = {option: OPEN[option][0] for option in open_}
    options = CloudsTune(
        **FIXED | opened, published_grid=published_grid, force_best=force
    )
    found = search(rows, options)
    return options, found, curves(rows, found, options)


@pytest.mark.parametrize("open_", [[], ["least_area"], ["pixel_cuts"], list(OPEN)])
def test_a_curve_a_class_is_drawn_of_each_open_cut_and_of_no_other(open_):
    _, _, found = drawn(measured(1), open_)
    assert [curve["title"] for curve in found] == [
        f"{name}: every {OPEN[option][1]}" for option in open_ for name in CLASSES
    ]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("open_", [*([option] for option in OPEN), list(OPEN)])
def test_a_curve_is_the_mean_dice_at_every_value(open_, grid, force):
    rows = measured(2)
    options, found, every = drawn(rows, open_, force, grid)
    for number, curve in enumerate(every):
        c = number % 4
        cut, cuts = cut_of(curve), found.cuts[c]
        assert curve["chosen"] == cuts[cut]
        ((x, y),) = curve["lines"].values()
        assert x == sorted(set(x))
        for value, score in zip(x, y, strict=True):
            pixel, *others = (*cuts[:cut], value, *cuts[cut + 1 : 4])
            place = options.pixel_cuts.index(pixel)
            assert score == pytest.approx(mean(Forced(rows, force), c, place, *others))


@pytest.mark.parametrize("grid", [False, True])
def test_the_four_curves_of_a_cut_meet_the_score_of_the_choice(grid):
    _, found, every = drawn(measured(4, ties=False), OPEN, published_grid=grid)
    assert len(every) == 16
    for first in range(0, 16, 4):
        at_choice = []
        for curve in every[first : first + 4]:
            ((x, y),) = curve["lines"].values()
            # Probabilities are of single precision.
            at_choice.append(dict(zip(map(np.float32, x), y, strict=True)))
            at_choice[-1] = at_choice[-1][np.float32(curve["chosen"])]
        assert np.mean(at_choice) == pytest.approx(found.naive)


def test_without_a_classifier_there_is_no_curve_of_it():
    rows = measured(1)
    blind = type(rows)(**vars(rows) | {"probability": None})
    _, _, found = drawn(blind, ["classifier_cut"])
    assert found == []
