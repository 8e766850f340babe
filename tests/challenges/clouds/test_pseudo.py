"""Which predictions become labels, and what the labels are."""

import numpy as np
import pytest

from tenfold.challenges.clouds import pseudo
from tenfold.challenges.clouds.labels import columns_of
from tenfold.challenges.clouds.masks import resize_labels
from tenfold.challenges.clouds.options import CloudsPseudo
from tenfold.challenges.clouds.planes import pack_planes, unpack_planes

SUBMITTED, PREPARED = (350, 525), (64, 96)
ARRAYS = {
    "picture": np.full((*PREPARED, 3), 9, np.uint8),
    "classes": np.zeros(PREPARED, np.uint8),
    "truth": np.zeros(SUBMITTED, np.uint8),
}
#: Fish and Sugar are painted; the others are empty.
PAINTED = (True, False, False, True)
SURE = (0.9, 0.1, 0.05, 0.8)


def predicted(presence, painted=PAINTED):
    masks = np.zeros((4, *SUBMITTED), bool)
    masks[0, 100:250, 30:400] = True
    masks[3, 20:21, 7:9] = True
    masks &= np.array(painted)[:, None, None]
    return {"classes": pack_planes(masks), "presence": np.float32(presence)}


def test_a_sure_prediction_becomes_the_label():
    prediction = predicted(SURE)
    found = pseudo.select(prediction, ARRAYS, CloudsPseudo())
    assert set(found) == set(ARRAYS)
    np.testing.assert_array_equal(found["truth"], prediction["classes"])
    np.testing.assert_array_equal(found["picture"], ARRAYS["picture"])
    expected = resize_labels(unpack_planes(prediction["classes"]), PREPARED, "any")
    np.testing.assert_array_equal(unpack_planes(found["classes"]), expected)
    for name, values in found.items():
        assert values.dtype == ARRAYS[name].dtype
        assert values.shape == ARRAYS[name].shape
    # The sample itself is as it was.
    assert not ARRAYS["classes"].any()


@pytest.mark.parametrize("place", range(4))
def test_one_unsure_row_is_enough_to_leave_an_image_out(place):
    presence = list(SURE)
    presence[place] = 0.5
    assert pseudo.select(predicted(presence), ARRAYS, CloudsPseudo()) is None


@pytest.mark.parametrize(
    ("low", "high", "taken"),
    [(0.3, 0.7001, False), (0.2999, 0.7, False), (0.2999, 0.7001, True)],
)
def test_both_limits_are_strict(low, high, taken):
    presence = (high, low, low, high)
    found = pseudo.select(predicted(presence), ARRAYS, CloudsPseudo())
    assert (found is not None) is taken


def test_a_class_that_is_likely_but_not_painted_does_not_qualify():
    painted = (True, False, False, False)
    assert pseudo.select(predicted(SURE, painted), ARRAYS, CloudsPseudo()) is None


def test_nothing_at_all_may_be_sure_too():
    prediction = predicted([0.1] * 4, [False] * 4)
    found = pseudo.select(prediction, ARRAYS, CloudsPseudo())
    assert not found["classes"].any()
    assert not found["truth"].any()


def test_other_limits_take_other_images():
    prediction = predicted((0.6, 0.4, 0.4, 0.6))
    assert pseudo.select(prediction, ARRAYS, CloudsPseudo()) is None
    assert pseudo.select(prediction, ARRAYS, CloudsPseudo(low=0.5, high=0.5))


def test_with_low_above_high_what_lies_between_is_sure_of_either():
    options = CloudsPseudo(low=1.0, high=0.0)
    assert pseudo.select(predicted((0.1, 0.9, 0.5, 0.5)), ARRAYS, options)
    # Both limits are strict all the same.
    assert pseudo.select(predicted((0.0, 0.9, 0.5, 0.5)), ARRAYS, options) is None


def test_columns_say_what_the_labels_are():
    found = pseudo.columns(pseudo.select(predicted(SURE), ARRAYS, CloudsPseudo()))
    pixels = 350 * 525
    assert found == {
        "fish": True,
        "flower": False,
        "gravel": False,
        "sugar": True,
        "fish_share": pytest.approx(150 * 370 / pixels),
        "flower_share": 0,
        "gravel_share": 0,
        "sugar_share": pytest.approx(2 / pixels),
        "classes": "Fish Sugar",
        "black_share": found["black_share"],
    }
    assert columns_of(np.zeros(SUBMITTED, np.uint8))["classes"] == ""
