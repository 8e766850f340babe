"""Figures of segmentation against scikit-learn, and against pixels counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics as sk

from tenfold.metrics.confusion import Confusion, count, dice, figures, iou, swapped

COUNTS = st.integers(0, 10**12)
CONFUSIONS = st.builds(Confusion, COUNTS, COUNTS, COUNTS, COUNTS)
#: Both classes in truth and prediction, so that no figure is a matter of taste.
SEEN = st.builds(Confusion, *[st.integers(1, 200)] * 4)


def pairs(shape=(7, 5)):
    mask = npst.arrays(bool, shape)
    return st.tuples(mask, mask)


def pixels_of(c):
    """Return prediction and truth with these counts."""
    counts = [c.tp, c.fp, c.fn, c.tn]
    prediction = np.repeat([True, True, False, False], counts)
    return prediction, np.repeat([True, False, True, False], counts)


@given(pairs())
def test_counting_against_brute_force(masks):
    prediction, truth = masks
    pixels = list(zip(prediction.flat, truth.flat, strict=True))
    assert count(prediction, truth) == Confusion(
        tp=pixels.count((True, True)),
        fp=pixels.count((True, False)),
        fn=pixels.count((False, True)),
        tn=pixels.count((False, False)),
    )


@given(st.lists(pairs(), min_size=1, max_size=4))
def test_counts_add_up_to_those_of_all_images_together(images):
    total = sum((count(*masks) for masks in images), Confusion())
    prediction, truth = (np.concatenate(masks) for masks in zip(*images, strict=True))
    assert total == count(prediction, truth)


def test_a_case_worked_out_by_hand():
    truth = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    prediction = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)
    c = count(prediction, truth)
    assert (c.tp, c.fp, c.fn, c.tn) == (2, 1, 1, 6)
    assert dice(c) == pytest.approx(4 / 6)
    assert iou(c) == pytest.approx(2 / 4)
    assert figures(c) == pytest.approx(
        {
            "dice": (4 / 6 + 12 / 14) / 2,
            "iou": 2 / 4,
            "iou_background": 6 / 8,
            "accuracy": 8 / 10,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
        }
    )
    assert c.matrix().tolist() == [[6, 1], [1, 2]]


@settings(max_examples=25, deadline=None)
@given(SEEN)
def test_figures_against_scikit_learn(c):
    prediction, truth = (mask.ravel() for mask in pixels_of(c))
    found = figures(c)
    expected = {
        "iou": sk.jaccard_score(truth, prediction),
        "iou_background": sk.jaccard_score(truth, prediction, pos_label=False),
        "accuracy": sk.accuracy_score(truth, prediction),
        "precision": sk.precision_score(truth, prediction),
        "recall": sk.recall_score(truth, prediction),
        "f1": sk.f1_score(truth, prediction),
        # Dice is F1; the published figure is the mean over both classes.
        "dice": sk.f1_score(truth, prediction, average="macro"),
    }
    assert found == pytest.approx(expected)
    assert dice(c) == pytest.approx(sk.f1_score(truth, prediction))
    assert dice(swapped(c)) == pytest.approx(
        sk.f1_score(truth, prediction, pos_label=False)
    )


@given(CONFUSIONS)
def test_no_figure_is_ever_outside_0_to_1(c):
    assert all(0 <= value <= 1 for value in figures(c).values())


@given(CONFUSIONS)
def test_f1_of_the_foreground_is_its_dice(c):
    assert figures(c)["f1"] == pytest.approx(dice(c) if c.tp + c.fp + c.fn else 0)


@pytest.mark.parametrize(
    ("c", "score", "both"),
    [
        (Confusion(), 1, 1),
        (Confusion(tn=9), 1, 1),
        (Confusion(tp=9), 1, 1),
        (Confusion(fp=9), 0, 0),
        (Confusion(fn=9), 0, 0),
        (Confusion(fp=1, tn=9), 0, 18 / 19 / 2),
    ],
)
def test_a_class_that_is_nowhere_scores_as_agreement(c, score, both):
    assert dice(c) == score
    assert iou(c) == score
    assert figures(c)["dice"] == pytest.approx(both)


@given(CONFUSIONS)
def test_swapping_the_classes_swaps_the_figures(c):
    assert swapped(swapped(c)) == c
    assert iou(swapped(c)) == figures(c)["iou_background"]
    assert figures(swapped(c))["dice"] == pytest.approx(figures(c)["dice"])
    assert np.array_equal(swapped(c).matrix(), c.matrix()[::-1, ::-1])


@given(CONFUSIONS)
def test_counts_survive_their_plain_form(c):
    assert Confusion(**c.to_json()) == c
    assert int(c.matrix().sum()) == c.tp + c.fp + c.fn + c.tn
