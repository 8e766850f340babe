"""Tables about a catalogue against NumPy, and by hand where something is missing."""

import numpy as np
import polars as pl
import pytest

from tenfold.data import describe

RNG = np.random.default_rng(3)
N = 40
TABLE = pl.DataFrame(
    {
        "id": [f"s{i:02d}" for i in range(N)],
        "split": ["train"] * 30 + ["test"] * 10,
        "group": [*(i // 3 for i in range(30)), *[None] * 10],
        "group_size": [*[3] * 30, *[None] * 10],
        "fold": [*(i // 3 % 2 for i in range(27)), *[None] * 13],
        "amount": RNG.integers(0, 100_000, N),
        "share": RNG.random(N),
        "labelled": [*RNG.random(30), *[None] * 10],
        "flag": RNG.random(N) < 0.3,
        "has_label": [*(RNG.random(30) < 0.6), *[None] * 10],
        "source": ["a.tif"] * N,
        "checksum": ["0"] * N,
    }
)
TRAIN = TABLE.head(30)


def row(table, **keys):
    (found,) = table.filter(**keys).to_dicts()
    return found


def test_only_columns_that_say_something_are_described():
    assert describe.numbers(TABLE) == ["amount", "share", "labelled"]
    assert describe.flags(TABLE) == ["flag", "has_label"]


def test_splits_are_counted():
    assert describe.splits(TABLE).to_dicts() == [
        {"split": "test", "samples": 10, "share": 0.25},
        {"split": "train", "samples": 30, "share": 0.75},
    ]


@pytest.mark.parametrize("name", ["amount", "share"])
@pytest.mark.parametrize(
    ("split", "part"), [("train", TRAIN), ("test", TABLE.tail(10)), ("all", TABLE)]
)
def test_moments_and_quartiles_are_numpys(name, split, part):
    values = part[name].to_numpy()
    found = row(describe.description(TABLE), column=name, split=split)
    assert found["count"] == len(values)
    assert found["missing"] == 0
    assert found["mean"] == pytest.approx(values.mean())
    assert found["std"] == pytest.approx(values.std(ddof=1))
    quartiles = np.percentile(values, [0, 25, 50, 75, 100])
    names = ("min", "25%", "50%", "75%", "max")
    assert [found[n] for n in names] == pytest.approx(quartiles.tolist())


def test_what_is_unknown_is_counted_and_left_out():
    table = describe.description(TABLE)
    test, whole = (row(table, column="labelled", split=s) for s in ("test", "all"))
    assert (test["count"], test["missing"], test["mean"]) == (0, 10, None)
    assert (whole["count"], whole["missing"]) == (30, 10)
    assert whole["mean"] == pytest.approx(TRAIN["labelled"].mean())


def test_one_value_has_no_deviation_and_infinity_is_no_value():
    odd = pl.DataFrame({"id": ["a", "b"], "split": ["train"] * 2, "x": [2.0, np.inf]})
    found = row(describe.description(odd), split="all")
    assert (found["count"], found["missing"], found["mean"]) == (1, 1, 2.0)
    assert found["std"] is None


def test_each_yes_and_no_is_counted():
    table = describe.proportions(TABLE)
    for name, part, split in (("flag", TABLE, "all"), ("has_label", TRAIN, "train")):
        yes = int(part[name].sum())
        found = row(table, column=name, split=split)
        assert (found["yes"], found["no"]) == (yes, len(part) - yes)
        assert found["share_yes"] == pytest.approx(yes / len(part))
    unknown = row(table, column="has_label", split="test")
    assert (unknown["unknown"], unknown["share_yes"]) == (10, None)


def test_correlations_are_numpys_over_what_both_know():
    table = describe.correlations(TABLE)
    names = ["amount", "share", "labelled", "flag", "has_label"]
    assert table["column"].to_list() == names
    known = TRAIN.select(pl.col(names).cast(pl.Float64)).to_numpy()
    whole = TABLE.select("amount", "share").to_numpy().astype(float)
    assert row(table, column="amount")["share"] == pytest.approx(
        np.corrcoef(whole.T)[0, 1]
    )
    expected = np.corrcoef(known.T)[2]
    found = row(table, column="labelled")
    assert [found[n] for n in names] == pytest.approx(expected.tolist())


def test_a_column_that_does_not_vary_correlates_with_nothing():
    flat = TABLE.with_columns(share=pl.lit(0.5))
    table = describe.correlations(flat)
    assert row(table, column="amount")["share"] is None
    assert row(table, column="share")["share"] is None


def test_groups_are_counted_by_size():
    extra = pl.DataFrame({"id": ["x"], "group": [99], "group_size": [1]})
    table = pl.concat([TABLE, extra], how="diagonal_relaxed")
    assert describe.group_sizes(table).to_dicts() == [
        {"size": 1, "groups": 1, "samples": 1},
        {"size": 3, "groups": 10, "samples": 30},
    ]


def test_folds_are_compared_by_counts_shares_and_means():
    table = describe.fold_balance(TABLE, ["labelled", "has_label"])
    assert table["fold"].to_list() == ["0", "1", "all"]
    for fold in (0, 1):
        part = TABLE.filter(pl.col("fold") == fold)
        found = row(table, fold=str(fold))
        assert found["samples"] == len(part)
        assert found["groups"] == part["group"].n_unique()
        assert found["labelled"] == pytest.approx(part["labelled"].to_numpy().mean())
        assert found["has_label"] == pytest.approx(part["has_label"].to_numpy().mean())
    assert row(table, fold="all")["samples"] == 27
