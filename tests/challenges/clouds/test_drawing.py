"""Pictures of any output, the images worth a look, and warnings that fire in time."""

import itertools

import numpy as np
import polars as pl
import pytest

from tenfold.challenges.clouds import canvas, drawing
from tenfold.challenges.clouds.classes import CLASSES

SUBMITTED = (350, 525)
FISH, FLOWER, GRAVEL, SUGAR = (1 << place for place in range(4))
ON_LABELS = "prediction (outlines) on labels (tints)"


def sample(size=(96, 160), **boxes):
    """A grey picture whose label has some boxes, each of a set of classes' bits."""
    truth = np.zeros(SUBMITTED, np.uint8)
    for bits, box in boxes.values():
        truth[box] |= np.uint8(bits)
    picture = np.full((*size, 3), 90, np.uint8)
    return {"picture": picture, "classes": np.zeros(size, np.uint8), "truth": truth}


def decided(*boxes):
    bits = np.zeros(SUBMITTED, np.uint8)
    for value, box in boxes:
        bits[box] |= np.uint8(value)
    return {"classes": bits}


def where(picture, colour):
    """Rows and columns of a colour in the picture proper, above its legend."""
    return np.nonzero((picture[: SUBMITTED[0]] == colour).all(axis=-1))


def extent(picture, colour):
    rows, columns = where(picture, colour)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


BOX = np.s_[100:200, 150:300]


@pytest.mark.parametrize("size", [(64, 96), (96, 160), (384, 576)])
@pytest.mark.parametrize("labelled", [True, False])
def test_every_kind_of_output_can_be_drawn(size, labelled):
    arrays = sample(size, **({"a": (FISH | SUGAR, BOX)} if labelled else {}))
    prob = {"prob": np.full((4, *size), 200, np.uint8)}
    presence = {"presence": np.array([0.0, 0.2, 0.7, 1.0], np.float32)}
    painted = ON_LABELS if labelled else "prediction"
    expected = {
        (painted, "probabilities"): prob,
        (painted, "probabilities", "presence"): prob | presence,
        ("presence",): presence,
        (painted, "presence"): decided((FLOWER, BOX)) | presence,
        (painted,): decided((FLOWER, BOX)),
    }
    pictures = dict(drawing.views(arrays))
    assert list(pictures) == ["picture", *(["labels"] if labelled else [])]
    assert pictures["picture"].shape == (*size, 3)
    for names, outputs in expected.items():
        drawn = drawing.overlay(arrays, outputs)
        assert tuple(drawn) == names
        for name, picture in drawn.items():
            # What is painted has a legend under it.
            assert picture.shape[0] - 350 == (34 if name == painted else 0)
            assert picture.shape[1:] == (525, 3)
            assert picture.dtype == np.uint8
    assert drawing.scales(arrays) == {}


@pytest.mark.parametrize("place", range(4))
def test_a_mask_is_outlined_in_its_class_colour_alone(place):
    drawn = drawing.overlay(sample(), decided((1 << place, BOX)))["prediction"]
    for other, colour in enumerate(canvas.COLOURS):
        if other == place:
            assert extent(drawn, colour) == (100, 200, 150, 300)
        else:
            assert where(drawn, colour)[0].size == 0
    # The border leaves the inside to be seen, and is two pixels wide on a page.
    assert (drawn[150, 225] == 90).all()
    page = np.linspace(0, 524, 384).round().astype(int)
    line = (drawn[150, page] == canvas.COLOURS[place]).all(axis=-1)
    assert line.sum() >= 2 * 2


def test_a_mask_of_the_whole_picture_is_outlined_too():
    drawn = drawing.overlay(sample(), decided((GRAVEL, np.s_[:])))["prediction"]
    assert extent(drawn, canvas.COLOURS[2]) == (0, 350, 0, 525)


def test_classes_with_one_border_share_it_in_stripes():
    arrays, both = sample(), decided((FISH | SUGAR, BOX))
    drawn = drawing.overlay(arrays, both)["prediction"]
    alone = drawing.overlay(arrays, decided((FISH, BOX)))["prediction"]
    shares = [len(where(drawn, canvas.COLOURS[place])[0]) for place in (0, 3)]
    assert sum(shares) == len(where(alone, canvas.COLOURS[0])[0])
    assert min(shares) > 0.4 * sum(shares)


def test_probabilities_are_outlined_where_they_are_above_one_half():
    prob = np.zeros((4, 70, 105), np.uint8)
    prob[1, 20:40, 30:60] = 128
    prob[2] = 127
    drawn = drawing.overlay(sample((70, 105)), {"prob": prob})["prediction"]
    # Five times as large.
    assert extent(drawn, canvas.COLOURS[1]) == (100, 200, 150, 300)
    assert where(drawn, canvas.COLOURS[2])[0].size == 0


def test_labels_are_tinted_unless_they_are_to_be_kept_secret():
    arrays = sample(label=(FISH, BOX))
    elsewhere = decided((SUGAR, np.s_[:50, :50]))
    shown = drawing.overlay(arrays, elsewhere)[ON_LABELS]
    hidden = drawing.overlay(arrays, elsewhere, truth=False)["prediction"]
    differs = (shown != hidden)[:350].any(axis=-1)
    inside = np.zeros(SUBMITTED, bool)
    inside[BOX] = True
    np.testing.assert_array_equal(differs, inside)


def test_the_labels_view_has_the_outlines_of_the_truth():
    labels = drawing.views(sample(label=(FLOWER, BOX)))["labels"]
    assert extent(labels, canvas.COLOURS[1]) == (100, 200, 150, 300)


def test_the_legend_fills_the_swatches_of_what_is_there():
    drawn = drawing.overlay(sample(), decided((GRAVEL, BOX)))["prediction"]
    legend = drawn[SUBMITTED[0] :]
    filled = [(legend == colour).all(axis=-1).sum() for colour in canvas.COLOURS]
    # A swatch of 19 px; those of absent classes are a frame of two.
    assert [count > 300 for count in filled] == [False, False, True, False]
    assert all(filled)


def test_a_bar_is_as_long_as_its_probability():
    presence = np.array([1.0, 0.5, 0.25, 0.0], np.float32)
    drawn = drawing.overlay(sample(), {"presence": presence})["presence"]
    lengths = [
        np.ptp(columns) + 1 if (columns := where(drawn, colour)[1]).size else 0
        for colour in canvas.COLOURS
    ]
    assert lengths[3] == 0
    assert lengths[0] > 300
    assert lengths[1] == pytest.approx(lengths[0] / 2, abs=2)
    assert lengths[2] == pytest.approx(lengths[0] / 4, abs=2)


def test_bars_say_which_classes_are_labelled():
    arrays, presence = sample(a=(FISH, BOX)), {"presence": np.full(4, 0.5, np.float32)}
    known = drawing.overlay(arrays, presence)["presence"]
    secret = drawing.overlay(arrays, presence, truth=False)["presence"]
    rows = np.nonzero((known != secret).any(axis=(1, 2)))[0]
    assert rows.size
    assert rows.max() < SUBMITTED[0] / len(CLASSES)


def _lab(colour, seen):
    """CIELAB of an sRGB colour, D65, as a simulated eye has it."""
    shares = np.array(colour) / 255
    linear = np.where(
        shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4
    )
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = np.array(to_xyz) @ np.clip(seen @ linear, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


#: Machado, Oliveira and Fernandes (2009), the whole deficiency.
EYES = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


@pytest.mark.parametrize("eye", EYES)
def test_colours_differ_for_everybody(eye):
    pairs = itertools.combinations(canvas.COLOURS, 2)
    apart = [np.linalg.norm(_lab(a, EYES[eye]) - _lab(b, EYES[eye])) for a, b in pairs]
    assert len(apart) == 6
    assert min(apart) >= 20


# What to look at.

TABLE = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d", "e"],
        "fish_share": [0.0, 0.2, 0.01, 0.0, 0.0],
        "flower_share": [0.0, 0.3, 0.0, 0.0, 0.6],
        "gravel_share": [0.0, 0.1, 0.02, 0.0, 0.0],
        "sugar_share": [0.0, 0.0, 0.0, 0.4, 0.0],
        "presence_margin": [0.3, 0.1, 0.4, 0.01, 0.05],
    }
)


def test_extremes_and_doubts_are_chosen_in_order():
    chosen = drawing.choose(TABLE, 2)
    assert chosen["most classes"] == ["b", "c"]
    assert chosen["emptiest"] == ["a", "c"]
    assert chosen["largest mask"] == ["e", "d"]
    assert chosen["smallest mask"] == ["c", "b"]
    assert chosen["least certain presence"] == ["d", "e"]
    assert len(set(chosen["at random"])) == 2
    assert set(chosen["at random"]) <= set(TABLE["id"])


def test_the_choice_depends_on_the_images_and_not_on_their_order():
    order = {k: v for k, v in drawing.choose(TABLE, 3).items() if k != "at random"}
    mixed = drawing.choose(TABLE.reverse(), 3)
    assert order == {k: v for k, v in mixed.items() if k != "at random"}


def test_an_image_without_masks_has_none_that_is_large_or_small():
    chosen = drawing.choose(TABLE.head(1), 4)
    assert chosen["emptiest"] == chosen["at random"] == ["a"]
    assert chosen["largest mask"] == chosen["smallest mask"] == []


def test_without_a_classifier_nobody_doubts():
    chosen = drawing.choose(TABLE.drop("presence_margin"), 2)
    assert "least certain presence" not in chosen


# Against training.

SHARES = [f"{name.lower()}_share" for name in CLASSES]
#: Each class in half of the images, on 0.2 of them; one image without any.
TRAIN = {
    "fish_share": [0.1, 0.3, 0.0, 0.0],
    "flower_share": [0.1, 0.3, 0.0, 0.0],
    "gravel_share": [0.0, 0.2, 0.2, 0.0],
    "sugar_share": [0.2, 0.0, 0.2, 0.0],
}


def compared(**columns):
    rows = drawing.comparison(pl.DataFrame(TRAIN | columns), pl.DataFrame(TRAIN))
    return {row["what"]: tuple(row.values())[1:] for row in rows}


def test_predictions_are_compared_class_by_class():
    rows = compared(fish_share=[0.0, 0.3, 0.0, 0.0])
    assert rows["images with Fish"] == (0.25, 0.5)
    assert rows["images with Sugar"] == (0.5, 0.5)
    area = "share of the image that Fish covers, where it is"
    assert rows[area] == pytest.approx((0.3, 0.2))
    assert rows["rows (image and class) without a mask"] == (9 / 16, 0.5)
    assert rows["images without any class"] == (0.25, 0.25)


def test_a_class_that_is_never_predicted_has_no_area():
    rows = compared(gravel_share=[0.0] * 4)
    area = "share of the image that Gravel covers, where it is"
    assert rows[area] == (None, pytest.approx(0.2))


def warned(**columns):
    return drawing.warnings(pl.DataFrame(TRAIN | columns), pl.DataFrame(TRAIN))


def test_predictions_like_the_labels_raise_no_warning():
    assert warned() == []


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"fish_share": [0.0, 0.2, 0.0, 0.0]},
            "Fish is predicted in 25% of the test images; 50% of the training images",
        ),
        ({"sugar_share": [0.2, 0.2, 0.2, 0.0]}, "Sugar is predicted in 75%"),
        ({"gravel_share": [0.0] * 4}, "Gravel is predicted in 0%"),
        ({"flower_share": [0.3, 0.4, 0.0, 0.0]}, "Flower are much larger than labels"),
        (
            {"gravel_share": [0.0, 0.1, 0.1, 0.0]},
            "Masks of Gravel are much smaller than labels: 10% of an image against 20%",
        ),
    ],
)
def test_each_warning_of_a_class_fires_alone_and_says_the_figure(columns, words):
    (sentence,) = warned(**columns)
    assert words in sentence


@pytest.mark.parametrize(
    "columns",
    [
        {"flower_share": [0.2, 0.39, 0.0, 0.0]},
        {"gravel_share": [0.0, 0.14, 0.14, 0.0]},
    ],
)
def test_just_within_the_usual_raises_no_warning(columns):
    assert warned(**columns) == []


def test_blank_rows_are_counted_against_the_training_rows():
    # 12 rows of 16 are blank, 8 are in training; then 10, which is near enough.
    seldom = {share: [0.2, 0.0, 0.0, 0.0] for share in SHARES}
    sentences = warned(**seldom)
    assert sentences[0].startswith("75% of the rows (image and class) of the test")
    assert "50% of the training rows" in sentences[0]
    assert sentences[1].startswith("75% of the test images have no class at all")
    few = warned(**{share: seldom[share] for share in SHARES[:2]})
    assert not any("blank" in sentence for sentence in few)


def test_predictions_without_anything_are_warned_of_not_divided_by():
    sentences = warned(**{share: [0.0] * 4 for share in SHARES})
    assert len(sentences) == 2 + len(CLASSES)
    assert "100% of the rows" in sentences[0]
