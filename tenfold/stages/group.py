"""group: near-duplicates found and joined; each sample gets its group."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tenfold.challenges import Challenge
from tenfold.data.arrays import BoolArray, IntArray
from tenfold.data.dataset import Dataset, write_table
from tenfold.data.files import sha256_of, write_json
from tenfold.data.weights import find_weights
from tenfold.grouping.components import connected_components
from tenfold.grouping.overlap import OverlapOptions, find_overlaps
from tenfold.grouping.similarity import similar_pairs
from tenfold.recipe import EmbeddingSearch, GroupOptions, Json, OverlapSearch
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.device import check_device
from tenfold.stages.entries import EDGES, GROUPS, SUMMARY
from tenfold.store import Workspace

PARTS = ("duplicates",)
_EDGE_COLUMNS = {
    "a": pl.String,
    "b": pl.String,
    "kind": pl.String,
    "strength": pl.Float64,
    "row_shift": pl.Int64,
    "col_shift": pl.Int64,
    "overlap_share": pl.Float64,
}


def run(context: Context, dataset: Reference) -> Reference:
    """Group the samples of a data set.

    Train and test samples are compared alike, but only edges between train
    samples make groups: test samples are reported beside them, and used for
    nothing.
    """
    options = context.recipe.groups
    entry = context.entry(dataset)

    def work(workspace: Workspace) -> None:
        _group(context.challenge, Dataset(entry.path), options, workspace)

    inputs = {"dataset": entry.address}
    if options.embedding.enabled:
        check_device(context.recipe.profile("group"), "group")
        # Before any work, so that a missing file costs nothing.
        inputs["weights"] = sha256_of(_weights(options.embedding))
    return context.build("group", "group", inputs, section(options), PARTS, work)


def _weights(options: EmbeddingSearch) -> Path:
    name = options.weights or f"{options.network}.safetensors"
    return find_weights(name, options.network)


class _Views:
    """The lattices of a data set, read when asked for."""

    def __init__(
        self, challenge: Challenge, dataset: Dataset, ids: Sequence[str]
    ) -> None:
        self._lattice = challenge.duplicates.lattice
        self._dataset, self._ids = dataset, ids

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, i: int) -> tuple[IntArray, BoolArray]:
        return self._lattice(self._dataset.sample(self._ids[i]))


def _group(
    challenge: Challenge, dataset: Dataset, options: GroupOptions, workspace: Workspace
) -> None:
    ids = dataset.catalogue.sort("id")["id"].to_list()
    split = dict(dataset.catalogue.select("id", "split").iter_rows())
    edges: list[Json] = []
    featureless: list[str] = []
    if options.overlap.enabled:
        found, featureless = _overlaps(
            challenge, dataset, ids, options.overlap, workspace
        )
        edges += found
    if options.embedding.enabled:
        edges += _look_alikes(challenge, dataset, ids, options.embedding, workspace)
    train = [id_ for id_ in ids if split[id_] == "train"]
    groups = _join(train, edges)
    write_table(workspace.path / GROUPS, groups)
    write_table(workspace.path / EDGES, pl.DataFrame(edges, schema=_EDGE_COLUMNS))
    summary = _summarise(groups, edges, split, featureless, options)
    write_json(workspace.path / SUMMARY, summary)


def _overlaps(
    challenge: Challenge,
    dataset: Dataset,
    ids: Sequence[str],
    options: OverlapSearch,
    workspace: Workspace,
) -> tuple[list[Json], list[str]]:
    """Find shifted crops of one lattice; also name what has nothing to match on."""
    result = find_overlaps(
        _Views(challenge, dataset, ids),
        OverlapOptions(min_agreement=options.agreement),
        lambda done, total: workspace.progress.update(done, total, "samples"),
    )
    edges = [
        {
            "a": ids[found.a],
            "b": ids[found.b],
            "kind": "overlap",
            "strength": found.agreement,
            "row_shift": found.row_shift,
            "col_shift": found.col_shift,
            "overlap_share": found.overlap_share,
        }
        for found in result.overlaps
    ]
    return edges, [ids[i] for i in result.featureless]


def _look_alikes(
    challenge: Challenge,
    dataset: Dataset,
    ids: Sequence[str],
    options: EmbeddingSearch,
    workspace: Workspace,
) -> list[Json]:
    """Find samples that a pretrained network sees as the same."""
    # Only this search needs a deep-learning framework.
    from tenfold.grouping.embedder import embed

    pictures = (challenge.duplicates.picture(dataset.sample(id_)) for id_ in ids)

    def on_progress(done: int, _: int) -> None:
        workspace.progress.update(done, len(ids), "pictures")

    embeddings = embed(
        pictures, options.network, _weights(options), on_progress=on_progress
    )
    pairs, similarity = similar_pairs(embeddings, options.threshold)
    return [
        {
            "a": ids[a],
            "b": ids[b],
            "kind": "embedding",
            "strength": float(strength),
            "row_shift": None,
            "col_shift": None,
            "overlap_share": None,
        }
        for (a, b), strength in zip(pairs.tolist(), similarity, strict=True)
    ]


def _join(train: Sequence[str], edges: Sequence[Json]) -> pl.DataFrame:
    """Number the connected components of the train samples."""
    place = {id_: i for i, id_ in enumerate(train)}
    pairs = [
        (place[e["a"]], place[e["b"]])
        for e in edges
        if e["a"] in place and e["b"] in place
    ]
    joined = np.array(pairs, np.int64).reshape(-1, 2)
    groups = connected_components(len(train), joined)
    table = pl.DataFrame({"id": train, "group": groups})
    return table.with_columns(size=pl.len().over("group"))


def _summarise(
    groups: pl.DataFrame,
    edges: Sequence[Json],
    split: dict[str, str],
    featureless: Sequence[str],
    options: GroupOptions,
) -> Json:
    sizes = groups.unique("group")["size"]
    kinds: dict[str, int] = {}
    for edge in edges:
        kinds[edge["kind"]] = kinds.get(edge["kind"], 0) + 1
    return {
        "samples": len(groups),
        "groups": len(sizes),
        "singles": int((sizes == 1).sum()),
        "largest": int(sizes.to_numpy().max()),
        "large_groups": int((sizes > options.large).sum()),
        "edges": kinds,
        "featureless": sorted(featureless),
        "test_matches": _test_matches(groups, edges, split),
    }


def _test_matches(
    groups: pl.DataFrame, edges: Sequence[Json], split: dict[str, str]
) -> dict[str, list[Any]]:
    """Return test id → train groups it looks like; for people to know, only."""
    group_of = dict(groups.select("id", "group").iter_rows())
    matches: dict[str, set[int]] = {}
    for edge in edges:
        for test, train in ((edge["a"], edge["b"]), (edge["b"], edge["a"])):
            if split[test] == "test" and train in group_of:
                matches.setdefault(test, set()).add(group_of[train])
    return {test: sorted(found) for test, found in sorted(matches.items())}
