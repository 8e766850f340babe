"""The metric of predictions and of each role against brute force and scikit-learn."""

import json
import math

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from tenfold.challenges.clouds import scoring
from tenfold.challenges.clouds.planes import pack_planes

CLASSES = ("fish", "flower", "gravel", "sugar")


def masks(rng, size=(20, 30)):
    """Four masks, about half of them empty."""
    filled = rng.random((4, *size)) < rng.random((4, 1, 1))
    return filled & (rng.random(4) < 0.5)[:, None, None]


def dice(painted, truth):
    """Dice of a row, a pixel at a time."""
    pairs = list(zip(painted.ravel().tolist(), truth.ravel().tolist(), strict=True))
    sizes = sum(p for p, _ in pairs) + sum(t for _, t in pairs)
    return 2 * sum(p and t for p, t in pairs) / sizes if sizes else 1.0


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(2)
    return [(masks(rng), masks(rng)) for _ in range(12)]


def total(tallies):
    tallies = list(tallies)
    return sum(tallies[1:], tallies[0])


def predictions(pairs):
    for painted, truth in pairs:
        yield {"classes": pack_planes(painted)}, {"truth": pack_planes(truth)}


def test_the_metric_is_the_mean_dice_of_all_rows(pairs):
    figures = scoring.metrics(total(scoring.tally(*p) for p in predictions(pairs)))
    rows = np.array([[dice(*row) for row in zip(*p, strict=True)] for p in pairs])
    positive = np.array([truth.any(axis=(1, 2)) for _, truth in pairs])
    assert figures[scoring.MONITOR] == pytest.approx(rows.mean(), abs=1e-11)
    assert figures["dice_empty"] == pytest.approx(rows[~positive].mean(), abs=1e-11)
    assert figures["dice_positive"] == pytest.approx(rows[positive].mean(), abs=1e-11)
    for c, name in enumerate(CLASSES):
        assert figures[f"dice_{name}"] == pytest.approx(rows[:, c].mean(), abs=1e-11)
        own = rows[positive[:, c], c].mean()
        assert figures[f"dice_positive_{name}"] == pytest.approx(own, abs=1e-11)
    assert 0 < figures["dice_positive"] < figures["dice_empty"] < 1


def test_silence_is_right_where_there_is_nothing_and_wrong_elsewhere():
    nothing, something = np.zeros((4, 5, 5), bool), np.zeros((4, 5, 5), bool)
    something[:2, 2, 2] = True
    cases = (
        (nothing, nothing, 1),
        (nothing, something, 0.5),
        (something, nothing, 0.5),
    )
    for painted, truth, expected in cases:
        (given,) = predictions([(painted, truth)])
        assert scoring.metrics(scoring.tally(*given))["dice"] == expected


def test_presence_is_counted_by_row(pairs):
    names, counts = scoring.confusion(
        total(scoring.tally(*p) for p in predictions(pairs))
    )
    said, truth = (
        np.array([p[side].any(axis=(1, 2)) for p in pairs]).ravel() for side in (0, 1)
    )
    assert names == ("absent", "present")
    np.testing.assert_array_equal(counts, confusion_matrix(truth, said))
    figures = scoring.metrics(total(scoring.tally(*p) for p in predictions(pairs)))
    assert figures["accuracy"] == pytest.approx((said == truth).mean())
    assert figures["tpr"] == pytest.approx(said[truth].mean())
    assert figures["tnr"] == pytest.approx((~said[~truth]).mean())


def test_sums_do_not_depend_on_their_order_and_travel_as_json(pairs):
    tallies = [scoring.tally(*p) for p in predictions(pairs)]
    one, other = total(tallies), total(tallies[::-1])
    assert one == other
    assert one != tallies[0]
    assert scoring.from_json(json.loads(json.dumps(one.to_json()))) == one
    # Rows of a table, as the scores of single samples are written.
    table = pl.DataFrame([t.to_json() for t in tallies])
    assert table.select(pl.sum("empty_units_fish")).item() == int(one.empty_units[0])


# Segmenters.


def outputs(pairs):
    """Steps that are painted above one half, 128 and more, and what they are of."""
    for painted, truth in pairs:
        prob = np.where(painted, 128, 127).astype(np.uint8)
        yield {"prob": prob}, {"classes": pack_planes(truth)}


def published(painted, truth):
    both = (painted & truth).sum()
    return (2 * both + 1e-9) / (painted.sum() + truth.sum() + 1e-9)


def test_segmenters_are_scored_at_the_prepared_size_by_the_published_rule(pairs):
    scorers = {role: scoring.of_role(role) for role in ("seg1", "seg2")}
    assert scorers["seg1"].MONITOR == "dice"
    assert scorers["seg2"].MONITOR == "dice_positive"
    rows = np.array([[published(*r) for r in zip(*p, strict=True)] for p in pairs])
    positive = np.array([truth.any(axis=(1, 2)) for _, truth in pairs])
    for scorer in scorers.values():
        figures = scorer.metrics(total(scorer.tally(*o) for o in outputs(pairs)))
        expected = rows.mean(axis=0).mean()
        assert figures["dice"] == pytest.approx(expected, abs=1e-11)
        expected = rows[positive].mean()
        assert figures["dice_positive"] == pytest.approx(expected, abs=1e-11)


def test_a_head_says_presence_where_there_is_one(pairs):
    scorer = scoring.of_role("seg1")
    (given, arrays), *_ = outputs(pairs)
    truth = pairs[0][1].any(axis=(1, 2))
    head = np.where(truth, 0.51, 0.5).astype(np.float32)
    figures = scorer.metrics(scorer.tally({**given, "presence": head}, arrays))
    assert figures["accuracy"] == 1
    names, matrix = scorer.confusion(scorer.tally(given, arrays))
    said = pairs[0][0].any(axis=(1, 2))
    expected = confusion_matrix(truth, said, labels=[False, True])
    np.testing.assert_array_equal(matrix, expected)
    assert names == ("absent", "present")


def test_without_any_positive_row_its_figures_are_finite():
    scorer = scoring.of_role("seg2")
    arrays = {"classes": np.zeros((6, 6), np.uint8)}
    figures = scorer.metrics(scorer.tally({"prob": np.zeros((4, 6, 6))}, arrays))
    assert all(math.isfinite(value) for value in figures.values())
    assert (figures["dice_positive"], figures["dice"]) == (0, 1)


# Classifiers.


def judged(images=60, seed=0, lacking=()):
    """Probabilities (N, 4) and truth; classes that are never there, or always."""
    rng = np.random.default_rng(seed)
    truth = rng.random((images, 4)) < 0.5
    for place, value in lacking:
        truth[:, place] = value
    probability = rng.normal(0.4 + 0.2 * truth, 0.25).clip(0, 1).astype(np.float32)
    probability[:4, 0] = (0, 0.5, 1, 0.5)
    return probability, truth


def counted(probability, truth):
    scorer = scoring.of_role("cls")
    tallies = []
    for score, there in zip(probability, truth, strict=True):
        bits = np.zeros((4, 3, 3), bool)
        bits[there, 1, 1] = True
        arrays = {"classes": pack_planes(bits)}
        tallies.append(scorer.tally({"presence": score}, arrays))
    return scorer, total(tallies)


def saturated(images=200, seed=1):
    """Scores of a sure classifier: nearly all within a thousandth of 0 or 1."""
    rng = np.random.default_rng(seed)
    truth = rng.random((images, 4)) < 0.5
    logits = rng.normal(np.where(truth, 12, -2), 6)
    return (1 / (1 + np.exp(-logits))).astype(np.float32), truth


@pytest.mark.parametrize("rows", [judged, saturated])
def test_the_area_under_the_curve_is_scikit_learns_of_the_raw_scores(rows):
    probability, truth = rows()
    scorer, tally = counted(probability, truth)
    assert scorer.MONITOR == "auc"
    areas = [roc_auc_score(truth[:, c], probability[:, c]) for c in range(4)]
    for read in (tally, scorer.from_json(json.loads(json.dumps(tally.to_json())))):
        figures = scorer.metrics(read)
        for name, area in zip(CLASSES, areas, strict=True):
            assert figures[f"auc_{name}"] == pytest.approx(area, abs=1e-12)
        assert figures["auc"] == pytest.approx(np.mean(areas), abs=1e-12)


def test_one_half_is_absent_and_more_is_present():
    probability, truth = judged()
    scorer, tally = counted(probability, truth)
    figures, said = scorer.metrics(tally), probability > 0.5
    flat = truth.ravel(), said.ravel()
    assert figures["accuracy"] == pytest.approx((truth == said).mean())
    assert figures["f1_empty"] == pytest.approx(f1_score(~flat[0], ~flat[1]))
    names, matrix = scorer.confusion(tally)
    assert names == ("absent", "present")
    np.testing.assert_array_equal(matrix, confusion_matrix(*flat))


def test_a_class_of_one_value_is_left_out_of_the_mean():
    probability, truth = judged(lacking=[(1, False), (3, True)])
    scorer, tally = counted(probability, truth)
    figures = scorer.metrics(tally)
    assert "auc_flower" not in figures
    assert "auc_sugar" not in figures
    expected = (figures["auc_fish"] + figures["auc_gravel"]) / 2
    assert figures["auc"] == pytest.approx(expected)
    alone = scorer.metrics(counted(probability[:1], truth[:1])[1])
    assert alone["auc"] == 0.5
    assert all(math.isfinite(value) for value in alone.values())


def test_counts_add_and_travel_as_json():
    scorer, whole = counted(*judged())
    probability, truth = judged()
    first, second = (
        counted(probability[part], truth[part])[1]
        for part in (slice(0, 20), slice(20, None))
    )
    assert second + first == whole
    assert first != whole
    back = scorer.from_json(json.loads(json.dumps(whole.to_json())))
    assert back == whole
    assert scorer.metrics(back + first) == scorer.metrics(first + whole)
