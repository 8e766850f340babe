"""Folds: whole groups, every sample once, and a proof that cannot be forged."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tenfold.balancing import BalancedGroups
from tenfold.errors import LeakError, RecipeError
from tenfold.folds import (
    ALWAYS,
    NO_FOLD,
    FoldTable,
    assign,
    published,
    random_leak,
    split_groups,
)


@st.composite
def grouped(draw, labels=4):
    """Draw groups, strata, k and seed; there are at least k groups."""
    k = draw(st.integers(2, 6))
    sizes = draw(st.lists(st.integers(1, 5), min_size=k, max_size=20))
    names = draw(st.permutations(range(len(sizes))))
    groups = np.repeat(np.array(names) * 3 + 7, sizes)
    order = draw(st.permutations(range(len(groups))))
    strata = draw(
        st.lists(
            st.sampled_from("abcdefgh"[:labels]),
            min_size=len(groups),
            max_size=len(groups),
        )
    )
    return groups[list(order)], strata, k, draw(st.integers(0, 2**32 - 1))


def many_small_groups(rng, n_groups=600, largest=4):
    sizes = rng.integers(1, largest + 1, n_groups)
    groups = np.repeat(np.arange(n_groups), sizes)
    strata = rng.choice(["kelp", "water", "land"], len(groups), p=[0.5, 0.4, 0.1])
    return groups, strata.tolist()


def table_of(folds, groups=None, ids=None):
    count = len(folds)
    return pl.DataFrame(
        {
            "id": ids or [f"s{i:03d}" for i in range(count)],
            "group": list(range(count)) if groups is None else list(groups),
            "fold": list(folds),
            "stratum": ["all"] * count,
        },
        schema_overrides={"group": pl.Int64, "fold": pl.Int64},
    )


def folds_of(folds, groups=None, k=3):
    return FoldTable(table_of(folds, groups), k, "fingerprint")


# Assigning


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(max_examples=80, deadline=None)
@given(grouped())
def test_no_group_is_split_and_no_fold_is_empty(case):
    groups, strata, k, seed = case
    fold_of = assign(groups, strata, k, seed)
    assert fold_of.shape == groups.shape
    assert set(fold_of.tolist()) == set(range(k))
    places = {(group, fold) for group, fold in zip(groups, fold_of, strict=True)}
    assert len(places) == len(set(groups.tolist()))


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(max_examples=30, deadline=None)
@given(grouped())
def test_folds_depend_on_nothing_but_what_is_given(case):
    groups, strata, k, seed = case
    first = assign(groups, strata, k, seed)
    np.random.seed(seed % 1000)
    assert np.array_equal(assign(groups.copy(), list(strata), k, seed), first)


def test_samples_that_are_all_of_one_kind_are_spread_evenly():
    fold_of = assign(np.arange(100), ["all"] * 100, 5, 0)
    assert Counter(fold_of.tolist()) == dict.fromkeys(range(5), 20)


def test_as_many_groups_as_folds_gives_each_fold_one():
    groups = np.array([5, 5, 5, 9, 1, 1])
    fold_of = assign(groups, list("aabbab"), 3, 0)
    assert len({fold_of[0], fold_of[3], fold_of[4]}) == 3


def test_one_huge_group_leaves_no_fold_empty():
    groups = np.concatenate([np.zeros(500, int), np.arange(1, 5)])
    fold_of = assign(groups, ["a"] * 500 + ["b"] * 4, 4, 3)
    assert set(fold_of.tolist()) == {0, 1, 2, 3}


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_a_fold_that_scikit_learn_leaves_empty_gets_a_group():
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 3])
    strata = list("acbacabacb")
    splitter = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    held_out = [part for _, part in splitter.split(groups, strata, groups)]
    assert [] in [part.tolist() for part in held_out]
    fold_of = assign(groups, strata, 4, 0)
    assert set(fold_of.tolist()) == {0, 1, 2, 3}
    assert len(set(zip(groups.tolist(), fold_of.tolist(), strict=True))) == 4


def test_kinds_rarer_than_folds_are_no_obstacle():
    kinds = [f"kind-{i // 2}" for i in range(12)]
    fold_of = assign(np.arange(12), kinds, 4, 0)
    assert set(fold_of.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", range(3))
def test_kinds_are_balanced_over_folds(seed):
    groups, strata = many_small_groups(np.random.default_rng(seed))
    k = 5
    fold_of = assign(groups, strata, k, seed)
    sizes = np.bincount(fold_of)
    assert sizes.min() > 0.9 * len(groups) / k
    assert sizes.max() < 1.1 * len(groups) / k
    for kind in ("kelp", "water", "land"):
        having = np.array(strata) == kind
        shares = [having[fold_of == fold].mean() for fold in range(k)]
        assert max(shares) - min(shares) < 0.03


def test_another_seed_gives_other_folds():
    groups, strata = many_small_groups(np.random.default_rng(0))
    one, two = (assign(groups, strata, 5, seed) for seed in (1, 2))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(("k", "distinct"), [(3, 2), (10, 9)])
def test_more_folds_than_groups_are_refused_with_both_numbers(k, distinct):
    groups = np.arange(50) % distinct
    with pytest.raises(RecipeError) as error:
        assign(groups, ["all"] * 50, k, 0)
    assert f"split.k is {k}" in str(error.value)
    assert f"only {distinct} groups" in str(error.value)


@given(
    groups=st.lists(st.integers(0, 30), min_size=40, max_size=120),
    kinds=st.integers(1, 4),
    k=st.integers(2, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_folds_are_those_of_scikit_learn(groups, kinds, k, seed):
    groups = np.array([*groups, *range(6)])
    labels = np.random.default_rng(seed).integers(0, kinds, len(groups))
    labels[: 2 * k] = 0
    given = (np.zeros(len(groups)), labels, groups)
    ours, theirs = (
        list(kind(k, shuffle=True, random_state=seed).split(*given))
        for kind in (BalancedGroups, StratifiedGroupKFold)
    )
    for (_, one), (_, two) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_single_group_cannot_be_split_at_all():
    with pytest.raises(RecipeError, match=r"all usable samples \(50\) are one group"):
        assign(np.zeros(50, np.int64), ["all"] * 50, 2, 0)


# The table


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(max_examples=30, deadline=None)
@given(grouped(), st.data())
def test_each_sample_is_held_out_once_and_trained_on_otherwise(case, data):
    groups, strata, k, seed = case
    fold_of = assign(groups, strata, k, seed)
    left_out = data.draw(st.sets(st.integers(0, len(groups) - 1), max_size=3))
    fold_of[list(left_out)] = NO_FOLD
    table = table_of(fold_of, groups)
    folds = FoldTable(table, k, "x")
    everyone = set(table["id"]) - {f"s{i:03d}" for i in left_out}
    held_out = [id_ for fold in range(k) for id_ in folds.held_out(fold)]
    assert len(held_out) == len(everyone)
    assert set(held_out) == everyone
    for fold in range(k):
        assert set(folds.training(fold)) == everyone - set(folds.held_out(fold))
        assert folds.training(fold) == sorted(folds.training(fold))


def test_ids_come_sorted_however_the_table_is():
    folds = FoldTable(table_of([0, 1, 0, 1], ids=["d", "c", "b", "a"]), 2, "x")
    assert folds.held_out(0) == ["b", "d"]
    assert folds.training(0) == ["a", "c"]


def test_a_table_without_leaks_passes_and_says_so():
    folds = folds_of([0, 0, 1, 2, NO_FOLD], [4, 4, 5, 6, 7])
    folds.check()
    folds.check(fold=2)
    assert folds.proof() == {
        "fingerprint": "fingerprint",
        "k": 3,
        "samples": 4,
        "groups": 3,
        "groups_in_two_folds": 0,
    }


def test_a_tampered_table_is_refused_by_group_and_folds():
    folds = folds_of([0, 0, 1, 1, 2], [1, 17, 5, 9, 17])
    with pytest.raises(LeakError, match="group 17 is in folds 0 and 2"):
        folds.check()
    assert folds.proof()["groups_in_two_folds"] == 1


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(max_examples=30, deadline=None)
@given(grouped(), st.data())
def test_moving_any_sample_of_a_larger_group_is_noticed(case, data):
    groups, strata, k, seed = case
    fold_of = assign(groups, strata, k, seed)
    sizes = Counter(groups.tolist())
    row = data.draw(st.integers(0, len(groups) - 1))
    fold_of[row] = (fold_of[row] + 1) % k
    folds = FoldTable(table_of(fold_of, groups), k, "x")
    if sizes[int(groups[row])] == 1:
        folds.check()
    else:
        with pytest.raises(LeakError, match=f"group {groups[row]} "):
            folds.check()


def test_a_group_partly_left_out_does_not_leak():
    folds_of([0, NO_FOLD, 1], [3, 3, 4]).check()


@pytest.mark.parametrize("fold", [-1, 3, 100])
def test_a_fold_that_is_not_there_is_refused(fold):
    with pytest.raises(RecipeError, match=f"no fold {fold}; the folds are 0 to 2"):
        folds_of([0, 1, 2]).check(fold)


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(NO_FOLD, 3)), min_size=1, max_size=20
    )
)
def test_split_groups_against_brute_force(rows):
    table = table_of([fold for _, fold in rows], [group for group, _ in rows])
    expected = {}
    for group in {group for group, _ in rows}:
        folds = sorted({f for g, f in rows if g == group and f != NO_FOLD})
        if len(folds) > 1:
            expected[group] = folds
    assert split_groups(table) == expected


# What a split without groups would have leaked


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(max_examples=30, deadline=None)
@given(grouped(labels=1))
def test_random_leak_against_brute_force(case):
    groups, strata, k, seed = case
    leaked, crossing = 0, set()
    splitter = StratifiedKFold(k, shuffle=True, random_state=seed)
    for train, held_out in splitter.split(groups, np.zeros(len(groups), int)):
        seen = set(groups[train].tolist())
        both = [int(groups[i]) for i in held_out if int(groups[i]) in seen]
        leaked += len(both)
        crossing.update(both)
    leak = random_leak(groups, strata, k, seed)
    assert leak["samples"] == pytest.approx(leaked / len(groups))
    assert leak["groups"] == len(crossing)


@pytest.mark.filterwarnings("error")
@settings(max_examples=30, deadline=None)
@given(grouped(labels=8))
def test_random_leak_is_a_share_whatever_the_strata(case):
    groups, strata, k, seed = case
    leak = random_leak(groups, strata, k, seed)
    several = {g for g, size in Counter(groups.tolist()).items() if size > 1}
    candidates = sum(int(g) in several for g in groups)
    assert 0 <= leak["samples"] <= candidates / len(groups)
    assert 0 <= leak["groups"] <= len(several)


def test_single_samples_leak_nothing_and_one_group_leaks_everything():
    singles = random_leak(np.arange(40), ["all"] * 40, 4, 0)
    assert (singles["samples"], singles["groups"]) == (0, 0)
    whole = random_leak(np.zeros(40, int), ["all"] * 40, 4, 0)
    assert (whole["samples"], whole["groups"]) == (1, 1)


# The split of the source itself


def test_the_published_split_is_one_fold_and_the_rest_is_always_trained_on():
    held_out = np.array([True, False, False, True])
    assert published(held_out).tolist() == [0, ALWAYS, ALWAYS, 0]
    folds = folds_of([0, ALWAYS, ALWAYS, 0, NO_FOLD], k=1)
    folds.check(fold=0)
    assert folds.held_out(0) == ["s000", "s003"]
    assert folds.training(0) == ["s001", "s002"]


@pytest.mark.parametrize("held_out", [[True] * 3, [False] * 3])
def test_a_published_split_needs_both_sides(held_out):
    words = f"holds out {sum(held_out)} of 3 usable samples"
    with pytest.raises(RecipeError, match=words):
        published(np.array(held_out))


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from([0, ALWAYS, NO_FOLD])),
        min_size=1,
        max_size=20,
    )
)
def test_what_the_published_split_leaks_is_counted_and_nothing_is_refused(rows):
    folds = folds_of([fold for _, fold in rows], [group for group, _ in rows], k=1)
    trained = {group for group, fold in rows if fold == ALWAYS}
    wanted = [
        f"s{i:03d}" for i, (g, fold) in enumerate(rows) if fold == 0 and g in trained
    ]
    folds.check()
    proof = folds.proof()
    assert folds.leaked(0) == wanted
    assert proof["leaked"] == len(wanted)
    assert proof["held_out"] == sum(fold == 0 for _, fold in rows)
    assert (proof["groups_in_two_folds"] > 0) == bool(wanted)


def test_folds_that_no_group_crosses_leak_no_sample():
    folds = folds_of([0, 0, 1, 2, NO_FOLD], [4, 4, 5, 6, 4])
    assert [folds.leaked(fold) for fold in range(3)] == [[], [], []]
    assert "leaked" not in folds.proof()


@pytest.mark.parametrize(
    ("folds", "k", "outside"),
    [([0, 1, ALWAYS], 1, 1), ([0, 1, ALWAYS], 2, ALWAYS), ([0, 3, 1], 3, 3)],
)
def test_only_the_published_split_may_leak_and_only_from_training(folds, k, outside):
    with pytest.raises(LeakError, match=f"s00. is in fold {outside}, and the folds"):
        folds_of(folds, [7, 7, 7], k).check()
