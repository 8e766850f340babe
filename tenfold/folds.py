"""Assign whole groups to folds, and prove that no group is split.

Balanced by strata and grouped by near-duplicates, a pure function of what it is
given: scikit-learn's StratifiedGroupKFold, or the rarest label first. The one fold
of a source's own split may share groups with training; these samples are counted.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from tenfold import rare_first
from tenfold.data.arrays import BoolArray, IntArray
from tenfold.errors import LeakError, RecipeError
from tenfold.recipe import Json

#: The fold of a sample that is in none: left out by the recipe.
NO_FOLD = -1
#: The fold of a sample that every model trains on and none holds out.
ALWAYS = -2

Method = Literal["stratified", "rare-first"]
_MOST_SEED = 2**32 - 1


def assign(
    groups: IntArray,
    strata: Sequence[str],
    k: int,
    seed: int,
    method: Method = "stratified",
) -> IntArray:
    """Return the fold of each sample, 0 … k - 1.

    Args:
        groups: (N,) samples of one group share a fold.
        strata: N labels; each is spread over the folds as evenly as groups allow.
            For rare-first each is a set of labels, joined by blanks.
        k: number of folds; every one gets at least one group.
        seed: of the order among equals, 0 to 2³² - 1.
        method: stratified, or by the rarest label (`tenfold.rare_first`).

    Raises:
        RecipeError: if there are fewer groups than folds, or for an impossible seed.
    """
    _check(groups, k, seed)
    spread = rare_first.spread if method == "rare-first" else _stratified
    return _fill_empty(spread(groups, strata, k, seed), groups, k)


def label_sets(
    catalogue: pl.DataFrame, labels: Mapping[str, pl.Expr], columns: Sequence[str]
) -> pl.Series:
    """Join what columns say of each sample to one set of labels: "Fish Gravel".

    Args:
        catalogue: one row a sample.
        labels: column → the label, or labels, that it gives a sample; null for none.
        columns: of these, in any order.

    Raises:
        RecipeError: for a column that no folds can be balanced by.
    """
    unknown = [name for name in columns if name not in labels]
    if unknown:
        raise RecipeError(
            f"split.strata: no column {unknown[0]!r} to balance; there is"
            f" {', '.join(labels)}"
        )
    if not columns:
        return pl.Series("stratum", ["all"] * len(catalogue), dtype=pl.String)
    wanted = [labels[name] for name in columns]
    joined = pl.concat_str(wanted, separator=" ", ignore_nulls=True)
    return catalogue.select(joined.alias("stratum")).to_series()


def published(held_out: BoolArray) -> IntArray:
    """Return the fold of each sample by the source's own split: 0, or ALWAYS.

    Args:
        held_out: (N,) whether the source holds a sample out.

    Raises:
        RecipeError: if nothing is left to train on, or to hold out.
    """
    count = int(np.count_nonzero(held_out))
    if not 0 < count < len(held_out):
        raise RecipeError(
            f"the source's own split holds out {count} of {len(held_out)} usable"
            " samples, and folds need both sides; read the whole source, or set"
            " split.method to stratified"
        )
    return np.where(held_out, 0, ALWAYS)


def _check(groups: IntArray, k: int, seed: int) -> None:
    """Refuse what no folds can be made of."""
    distinct = len(np.unique(groups))
    if distinct < 2:
        raise RecipeError(
            f"all usable samples ({len(groups)}) are one group of near-duplicates, and"
            " nothing can be held out of it; folds need samples of at least two places"
        )
    if distinct < k:
        raise RecipeError(
            f"split.k is {k}, but there are only {distinct} groups of near-duplicates;"
            f" set split.k to at most {distinct}"
        )
    if not 0 <= seed <= _MOST_SEED:
        raise RecipeError(f"seed is {seed}; folds need one from 0 to {_MOST_SEED}")


def _stratified(groups: IntArray, strata: Sequence[str], k: int, seed: int) -> IntArray:
    """Balance each stratum; a fold may come out empty."""
    # Only making folds needs scikit-learn; those who read them start quicker.
    from tenfold.balancing import BalancedGroups

    fold_of = np.full(len(groups), NO_FOLD)
    splitter = BalancedGroups(k, shuffle=True, random_state=seed)
    labels = np.unique(np.asarray(strata, dtype=str), return_inverse=True)[1]
    if np.bincount(labels).max() < k:
        # scikit-learn refuses when every stratum is rarer than folds.
        labels = np.zeros_like(labels)
    with warnings.catch_warnings():
        # A stratum rarer than folds is spread as far as it goes; the report shows it.
        warnings.filterwarnings("ignore", "The least populated class")
        parts = list(splitter.split(np.zeros(len(groups)), labels, groups))
    for fold, (_, held_out) in enumerate(parts):
        fold_of[held_out] = fold
    return fold_of


def _fill_empty(fold_of: IntArray, groups: IntArray, k: int) -> IntArray:
    """Give a fold that came out empty the smallest group of the largest fold."""
    for fold in range(k):
        if (fold_of == fold).any():
            continue
        group_fold = {int(g): int(f) for g, f in zip(groups, fold_of, strict=True)}
        sizes = np.bincount(fold_of, minlength=k)
        several = [f for f in range(k) if sum(v == f for v in group_fold.values()) > 1]
        largest = max(several, key=lambda f: (sizes[f], -f))
        members = [g for g, f in group_fold.items() if f == largest]
        smallest = min(members, key=lambda g: (int((groups == g).sum()), g))
        fold_of = np.where(groups == smallest, fold, fold_of)
    return fold_of


@dataclass(frozen=True)
class FoldTable:
    """The fold and group of every train sample.

    Attributes:
        table: columns id, group, fold (-1: in none, -2: always trained on), stratum.
        k: number of folds. One is the source's own validation part, whose groups may
            have training samples, too.
        fingerprint: of the data set the folds belong to.
    """

    table: pl.DataFrame
    k: int
    fingerprint: str

    @property
    def published(self) -> bool:
        """Whether the only fold is the source's own validation part."""
        return self.k == 1

    def held_out(self, fold: int) -> list[str]:
        """Return the ids of a fold, sorted."""
        return self._ids(pl.col("fold") == fold)

    def training(self, fold: int) -> list[str]:
        """Return the ids of all other folds, and those of ALWAYS, sorted."""
        return self._ids((pl.col("fold") != fold) & (pl.col("fold") != NO_FOLD))

    def leaked(self, fold: int) -> list[str]:
        """Return the ids of a fold that share a group with its training, sorted."""
        return leaked(self.table, fold)["id"].sort().to_list()

    def _ids(self, choice: pl.Expr) -> list[str]:
        return self.table.filter(choice)["id"].sort().to_list()

    def check(self, fold: int | None = None) -> None:
        """Refuse folds that leak or do not exist.

        The published split may leak from training into its one fold, and no other way.

        Raises:
            LeakError: naming a group on two sides, or a sample in a fold that should
                not be.
            RecipeError: for a fold that is not there.
        """
        outside = self.table.filter(~pl.col("fold").is_in(self._sides()))
        if len(outside):
            id_, where = outside.select("id", "fold").row(0)
            raise LeakError(
                f"{id_} is in fold {where}, and the folds are 0 to {self.k - 1}; run"
                " split again"
            )
        leaks = self.leaks()
        if leaks and not self.published:
            group, folds = next(iter(leaks.items()))
            names = " and ".join(map(str, folds))
            raise LeakError(f"group {group} is in folds {names}; run split again")
        if fold is not None and not 0 <= fold < self.k:
            raise RecipeError(f"no fold {fold}; the folds are 0 to {self.k - 1}")

    def _sides(self) -> list[int]:
        """Return the values that a sample's fold may have."""
        return [NO_FOLD, *range(self.k), *([ALWAYS] if self.published else [])]

    def leaks(self) -> dict[int, list[int]]:
        """Return group → folds for groups in more than one; empty is the proof."""
        return split_groups(self.table)

    def proof(self) -> Json:
        """Return the statement that later stages check before they start.

        Of the published split it also says how much of the fold leaks.
        """
        used = self.table.filter(pl.col("fold") != NO_FOLD)
        proof: Json = {
            "fingerprint": self.fingerprint,
            "k": self.k,
            "samples": len(used),
            "groups": used["group"].n_unique(),
            "groups_in_two_folds": len(self.leaks()),
        }
        if self.published:
            counts = {"held_out": self.held_out(0), "leaked": self.leaked(0)}
            proof |= {name: len(ids) for name, ids in counts.items()}
        return proof


def leaked(table: pl.DataFrame, fold: int) -> pl.DataFrame:
    """Return the rows of a fold that share a group with what it is trained on.

    Args:
        table: columns group and fold, and any others.
        fold: the one that is held out.
    """
    held_out = table.filter(pl.col("fold") == fold)
    training = table.filter(~pl.col("fold").is_in([fold, NO_FOLD]))
    return held_out.join(training, on="group", how="semi")


def split_groups(table: pl.DataFrame) -> dict[int, list[int]]:
    """Return group → folds for groups that are in more than one fold."""
    pairs = (
        table.filter(pl.col("fold") != NO_FOLD)
        .group_by("group")
        .agg(pl.col("fold").unique().sort())
        .filter(pl.col("fold").list.len() > 1)
        .sort("group")
    )
    return dict(zip(pairs["group"].to_list(), pairs["fold"].to_list(), strict=True))


def random_leak(
    groups: IntArray,
    strata: Sequence[str],
    k: int,
    seed: int,
    method: Method = "stratified",
) -> Mapping[str, float]:
    """Say what a split of the same method that ignores groups would have leaked.

    Returns:
        `samples`: share of held-out samples with a near-duplicate in training;
        `groups`: number of groups on two sides.
    """
    if method == "rare-first":
        fold_of = rare_first.spread(np.arange(len(groups)), strata, k, seed)
    else:
        fold_of = _ungrouped(strata, k, seed)
    table = pl.DataFrame({"group": groups, "fold": fold_of})
    sizes = table.group_by("group", "fold").len()
    whole = table.group_by("group").len(name="all")
    joined = sizes.join(whole, on="group").filter(pl.col("len") < pl.col("all"))
    leaked = int(joined["len"].sum())
    return {
        "samples": leaked / max(len(groups), 1),
        "groups": float(len(split_groups(table))),
    }


def _ungrouped(strata: Sequence[str], k: int, seed: int) -> IntArray:
    """Balance each stratum as if every sample were alone."""
    from sklearn.model_selection import StratifiedKFold

    labels = np.unique(np.asarray(strata, dtype=str), return_inverse=True)[1]
    rarest = int(np.bincount(labels).min()) if len(labels) else 0
    if rarest < k:
        labels = np.zeros_like(labels)
    fold_of = np.full(len(strata), NO_FOLD)
    splitter = StratifiedKFold(k, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels)):
        fold_of[held_out] = fold
    return fold_of
