"""group: near-duplicates found and joined; each sample gets its group."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tenfold.challenges import Challenge
from tenfold.data.arrays import BoolArray, ByteArray, Float32Array, IntArray
from tenfold.data.dataset import Dataset, write_table
from tenfold.data.files import sha256_of, write_json
from tenfold.data.weights import find_weights
from tenfold.grouping import footprints, thumbnails
from tenfold.grouping.components import connected_components
from tenfold.grouping.lattices import OverlapOptions
from tenfold.grouping.overlap import find_overlaps
from tenfold.grouping.search import search
from tenfold.grouping.statement import (
    EMBEDDING,
    FOOTPRINT,
    OVERLAP,
    of_embeddings,
    of_footprints,
    of_overlaps,
)
from tenfold.recipe import (
    EmbeddingSearch,
    FootprintSearch,
    GroupOptions,
    Json,
    OverlapSearch,
)
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.device import check_device
from tenfold.stages.entries import EDGES, GROUPS, SUMMARY
from tenfold.store import Workspace

PARTS = ("duplicates",)
_EDGE_COLUMNS: dict[str, type[pl.DataType]] = {
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
    entry = context.entry(dataset, "ingest")

    def work(workspace: Workspace) -> None:
        _group(context.challenge, Dataset(entry.path), options, workspace)

    inputs = {"dataset": entry.address}
    if options.needs_network:
        check_device(context.recipe.profile("group"), "group", ["torch"])
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
    catalogue = dataset.catalogue.sort("id").select("id", "split")
    ids = catalogue["id"].to_list()
    edges, searches, featureless = _search(challenge, dataset, ids, options, workspace)
    train = catalogue.filter(pl.col("split") == "train")["id"]
    groups = _join(train, edges)
    write_table(workspace.path / GROUPS, groups)
    write_table(workspace.path / EDGES, edges)
    summary = _summarise(groups, options)
    summary |= {
        "edges": {search["kind"]: search["pairs"] for search in searches},
        "searches": searches,
        "featureless": featureless,
        "test_matches": _test_matches(groups, edges, catalogue),
    }
    write_json(workspace.path / SUMMARY, summary)


def _search(
    challenge: Challenge,
    dataset: Dataset,
    ids: Sequence[str],
    options: GroupOptions,
    workspace: Workspace,
) -> tuple[pl.DataFrame, list[Json], list[str]]:
    """Return all edges, how they were looked for, and what has nothing to match on."""
    found: list[tuple[pl.DataFrame, Json]] = []
    blank: list[str] = []
    if options.overlap.enabled:
        edges, blank = _overlaps(challenge, dataset, ids, options.overlap, workspace)
        done = of_overlaps(options.overlap, len(ids), len(edges), len(blank))
        found.append((edges, done))
    if options.embedding.enabled:
        found.append(
            _look_alikes(challenge, dataset, ids, options.embedding, workspace)
        )
    if options.footprint.enabled:
        found.append(_scenes(challenge, dataset.catalogue, options.footprint))
    tables = [pl.DataFrame(schema=_EDGE_COLUMNS), *(edges for edges, _ in found)]
    return pl.concat(tables, how="diagonal"), [done for _, done in found], blank


def _overlaps(
    challenge: Challenge,
    dataset: Dataset,
    ids: Sequence[str],
    options: OverlapSearch,
    workspace: Workspace,
) -> tuple[pl.DataFrame, list[str]]:
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
            "kind": OVERLAP,
            "strength": found.agreement,
            "row_shift": found.row_shift,
            "col_shift": found.col_shift,
            "overlap_share": found.overlap_share,
        }
        for found in result.overlaps
    ]
    table = pl.DataFrame(edges, schema=_EDGE_COLUMNS)
    return table, [ids[i] for i in result.featureless]


def _look_alikes(
    challenge: Challenge,
    dataset: Dataset,
    ids: Sequence[str],
    options: EmbeddingSearch,
    workspace: Workspace,
) -> tuple[pl.DataFrame, Json]:
    """Find samples whose pictures are described alike; say how."""
    if options.uses_network:
        seen, vectors = _embed(challenge, dataset, ids, options, workspace)
    else:
        seen, vectors = _thumbnails(challenge, dataset, ids, workspace)
    found = search(
        vectors,
        options.threshold,
        options.index,
        options.probes,
        lambda done, total: workspace.progress.update(done, total, "embeddings"),
    )
    of_row = pl.Series(seen, dtype=pl.String)
    edges = pl.DataFrame(
        {
            "a": of_row.gather(found.pairs[:, 0]),
            "b": of_row.gather(found.pairs[:, 1]),
            "strength": found.cosine,
        }
    ).with_columns(kind=pl.lit(EMBEDDING))
    return edges, of_embeddings(options, len(ids), len(ids) - len(seen), found)


def _embed(
    challenge: Challenge,
    dataset: Dataset,
    ids: Sequence[str],
    options: EmbeddingSearch,
    workspace: Workspace,
) -> tuple[list[str], Float32Array]:
    """Return which samples show anything, and what a network makes of each."""
    # Only this search needs a deep-learning framework.
    from tenfold.grouping.embedder import embed

    seen: list[str] = []
    embeddings = embed(
        _pictures(challenge, dataset, ids, seen),
        options.network,
        _weights(options),
        on_progress=lambda done, _: workspace.progress.update(
            done, len(ids), "pictures"
        ),
    )
    return seen, embeddings


def _pictures(
    challenge: Challenge, dataset: Dataset, ids: Sequence[str], seen: list[str]
) -> Iterator[ByteArray]:
    """Yield the pictures that show anything, and note in `seen` whose they are.

    Pictures of one colour, such as open sea, would all be look-alikes; they say
    nothing about the place.
    """
    for id_ in ids:
        picture = challenge.duplicates.picture(dataset.sample(id_))
        if picture.min() < picture.max():
            seen.append(id_)
            yield picture


def _thumbnails(
    challenge: Challenge, dataset: Dataset, ids: Sequence[str], workspace: Workspace
) -> tuple[list[str], Float32Array]:
    """Return which samples' thumbnails show anything, and the pattern of each."""
    pattern_of: dict[str, Float32Array] = {}
    for done, id_ in enumerate(ids, 1):
        pattern = thumbnails.describe(challenge.duplicates.picture(dataset.sample(id_)))
        if pattern is not None:
            pattern_of[id_] = pattern
        workspace.progress.update(done, len(ids), "pictures")
    patterns = np.array([*pattern_of.values()], np.float32)
    return [*pattern_of], patterns.reshape(-1, thumbnails.ROWS * thumbnails.COLUMNS)


def _scenes(
    challenge: Challenge, catalogue: pl.DataFrame, options: FootprintSearch
) -> tuple[pl.DataFrame, Json]:
    """Find scenes that overlap in space and time; say how."""
    scenes = challenge.duplicates.footprints(catalogue)
    edges = footprints.edges(scenes, options).with_columns(kind=pl.lit(FOOTPRINT))
    unknown = catalogue.join(scenes, on="id", how="anti").group_by("split").len()
    counts = dict(unknown.sort("split").iter_rows())
    return edges, of_footprints(options, len(catalogue), counts, len(edges))


def _join(train: pl.Series, edges: pl.DataFrame) -> pl.DataFrame:
    """Number the connected components of the train samples."""
    place = pl.DataFrame({"id": train, "place": np.arange(len(train))})
    pairs = edges.select("a", "b").join(place, left_on="a", right_on="id")
    pairs = pairs.join(place, left_on="b", right_on="id", suffix="_b")
    joined = pairs.select("place", "place_b").to_numpy()
    groups = connected_components(len(train), joined)
    table = pl.DataFrame({"id": train, "group": groups})
    return table.with_columns(size=pl.len().over("group"))


def _summarise(groups: pl.DataFrame, options: GroupOptions) -> Json:
    sizes = groups.unique("group")["size"]
    return {
        "samples": len(groups),
        "groups": len(sizes),
        "singles": int((sizes == 1).sum()),
        "largest": int(sizes.to_numpy().max()),
        "large_groups": int((sizes > options.large).sum()),
    }


def _test_matches(
    groups: pl.DataFrame, edges: pl.DataFrame, catalogue: pl.DataFrame
) -> dict[str, list[int]]:
    """Return test id → train groups it looks like; for people to know, only."""
    test = catalogue.filter(pl.col("split") == "test").select(test="id")
    both_ways = pl.concat(
        [edges.select(test="a", train="b"), edges.select(test="b", train="a")]
    )
    found = (
        both_ways.join(test, on="test", how="semi")
        .join(groups, left_on="train", right_on="id")
        .group_by("test")
        .agg(pl.col("group").unique().sort())
        .sort("test")
    )
    return dict(zip(found["test"].to_list(), found["group"].to_list(), strict=True))
