"""Look-alikes by thumbnails: groups and claims without a network or weights."""

import html

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tenfold.challenges import find_challenge, load_recipe
from tenfold.challenges.kelp import duplicates
from tenfold.data.dataset import Dataset
from tenfold.errors import RecipeError
from tenfold.grouping import embedder
from tenfold.stages import group, ingest, split
from tenfold.stages.context import Context
from tenfold.stages.entries import EDGES, FOLDS, GROUPS, SUMMARY
from tenfold.stages.pages import page_path, show
from tenfold.store import Store

THRESHOLD = 0.8
SETTINGS = (
    "synth.train=16",
    "synth.test=4",
    "synth.coasts=4",
    "synth.bad_files=false",
    "split.k=3",
    "groups.overlap.enabled=false",
    "groups.embedding.enabled=true",
    "groups.embedding.network=thumbnail",
    f"groups.embedding.threshold={THRESHOLD}",
)
#: A machine that is not here; thumbnails do not ask for it.
GPU = ("profiles.group.gpu=NVIDIA_L4", "profiles.group.gpus=1")


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """Group a coast where there is no weights folder and nothing embeds."""
    folder = tmp_path_factory.mktemp("coast")
    recipe = load_recipe("kelp", "smoke", (*SETTINGS, *GPU))
    find_challenge("kelp").synth.synthesise(folder / "raw", recipe.synth)
    context = Context(recipe, Store(folder / "store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(embedder, "embed")
        patch.setenv("TENFOLD_WEIGHTS", str(folder / "none"))
        data = ingest.run(context, str(folder / "raw" / "data"))
        return context, data, group.run(context, data)


def correlations(dataset, ids):
    """Correlate the thumbnails of pictures that have any contrast, each by itself."""
    small = {}
    for id_ in ids:
        grey = duplicates.picture(dataset.sample(id_))[..., 0]
        image = Image.fromarray(grey.astype(np.float32))
        values = np.asarray(image.resize((24, 16), Image.Resampling.BOX)).ravel()
        if np.ptp(values) >= 1:
            small[id_] = values
    return {
        (a, b): float(np.corrcoef(small[a], small[b])[0, 1])
        for a in small
        for b in small
        if a < b
    }, set(ids) - set(small)


def test_pairs_are_those_whose_thumbnails_correlate(grouped):
    context, data, groups = grouped
    dataset, made = Dataset(context.entry(data).path), context.entry(groups)
    every, flat = correlations(dataset, sorted(dataset.catalogue["id"]))
    wanted = {pair: value for pair, value in every.items() if value >= THRESHOLD}
    edges = pl.read_parquet(made.path / EDGES)
    found = {(a, b): s for a, b, s in edges.select("a", "b", "strength").iter_rows()}
    assert len(wanted) > 5
    assert len(flat) > 0
    assert found == pytest.approx(wanted, abs=1e-6)
    (search,) = made.json(SUMMARY)["searches"]
    assert (search["network"], search["recall"]) == ("thumbnail", None)
    assert (search["samples"], search["blank"]) == (20, len(flat))
    group_of = dict(
        pl.read_parquet(made.path / GROUPS).select("id", "group").iter_rows()
    )
    both = [(a, b) for a, b in wanted if {a, b} <= {*group_of}]
    assert both
    assert all(group_of[a] == group_of[b] for a, b in both)


def test_the_pages_say_that_it_was_thumbnails(grouped):
    context, data, groups = grouped
    folds = split.run(context, data, groups)
    entry = context.entry(folds)
    (claim,) = entry.json(SUMMARY)["statement"]["claims"]
    said = (
        "No pair of samples with thumbnails that correlate by at least 0.8 crosses"
        " folds."
    )
    assert claim.startswith(said)
    assert claim.endswith("samples whose thumbnail is of one shade took no part.")
    assert len(pl.read_parquet(entry.path / FOLDS)) == 16
    page = page_path(show(context, context.entry(groups))).read_text("utf-8")
    words = html.unescape(page)
    assert "correlation of at least 0.8 between grey thumbnails of 16 × 24" in words
    assert "neither shifted nor mirrored ones" in words
    assert "embeddings by" not in words


def test_weights_for_thumbnails_are_refused():
    with pytest.raises(RecipeError, match="network thumbnail has no weights"):
        load_recipe(
            "kelp", "smoke", (*SETTINGS, "groups.embedding.weights=net.safetensors")
        )
