"""Two runs beside each other: figures against a count by hand, and what is refused."""

import json
import math
import shutil

import numpy as np
import pytest

from tenfold.challenges.kelp.tiles import unpack_mask
from tenfold.data.files import write_json
from tenfold.errors import StoreError
from tenfold.metrics.paired import Difference
from tenfold.stages.compare import compare, recipe_differences
from tenfold.stages.entries import SCORES
from tenfold.stages.pages.compare import page_of, verdict
from tenfold.store import Store
from tests.stages.made_runs import make_run, synthesise

WELL = {"unet-quantile": 1, "unet-z-score": 3}
BADLY = {"unet-quantile": 2, "unet-z-score": 3}
RATE = "members.unet-quantile.training.learning_rate"
#: Its name would be a tag if it were not escaped.
B = "<b>second"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give the folder of runs: a, B on the same folds, of other folds and of others."""
    root = tmp_path_factory.mktemp("made")
    source, store = synthesise(root / "raw"), root / "store"
    other = synthesise(root / "other", "synth.seed=7")
    make_run(root / "a", source, store, WELL, truth=0.5)
    make_run(root / B, source, store, BADLY, f"{RATE}=0.001")
    make_run(root / "folds", source, store, WELL, "split.k=3")
    make_run(root / "data", other, store, WELL)
    make_run(root / "lucky", source, store, WELL, optimistic=True)
    return root


@pytest.fixture(scope="module")
def found(made):
    return compare(made / "a", made / B)


def dice(side, model):
    """Kelp Dice of a model over all out-of-fold pixels, counted at once."""
    predicted, true = [], []
    for id_, outputs in side.outputs.items():
        predicted.append(np.asarray(outputs[model]["prob"]) > 127)
        true.append(unpack_mask(side.dataset.sample(id_)) == 1)
    p, t = np.stack(predicted), np.stack(true)
    return 2 * (p & t).sum() / (p.sum() + t.sum())


def test_models_are_scored_as_when_all_pixels_are_counted_at_once(found):
    for model in WELL:
        difference = found.differences[model]
        assert difference.first == pytest.approx(dice(found.a, model))
        assert difference.second == pytest.approx(dice(found.b, model))
    assert found.differences["unet-quantile"].value < 0
    same = found.differences["unet-z-score"]
    assert (same.value, same.low, same.high, same.second_ahead) == (0, 0, 0, 0.5)


def test_the_ensembles_difference_is_that_of_the_choice_itself(found):
    ensemble = found.differences["ensemble"]
    assert ensemble.first == pytest.approx(found.a.scores["naive"])
    assert ensemble.second == pytest.approx(found.b.scores["naive"])
    assert ensemble.low <= ensemble.value <= ensemble.high
    groups = found.a.table.table.filter(found.a.table.table["fold"] >= 0)["group"]
    assert ensemble.units == groups.n_unique()


def test_scores_folds_and_recipes_are_those_of_the_runs(found):
    rows = {row["what"]: row for row in found.scores}
    honest = rows["ensemble, honest"]
    assert (honest["A"], honest["B"]) == (
        found.a.scores["honest"],
        found.b.scores["honest"],
    )
    assert honest["difference"] == pytest.approx(honest["B"] - honest["A"])
    truth = rows["on kept-aside truth"]
    assert (truth["A"], truth["B"], truth["difference"]) == (0.5, None, None)
    assert len(found.folds) == 4
    for row in found.folds:
        (board,) = [r for r in found.b.board if r["model"] == row["model"]]
        assert row["B"] == board["fold_scores"][str(row["fold"])]
    assert found.recipes == [{"key": RATE, "A": 0.006, "B": 0.001}]


def test_the_tiles_shown_are_those_decided_most_otherwise(found):
    shares = {}
    for id_ in found.a.outputs:
        a, b = (np.asarray(side.decide(id_)["kelp"]) for side in (found.a, found.b))
        shares[id_] = (a != b).sum() / a.size
    expected = sorted(shares, key=lambda id_: (-shares[id_], id_))[:6]
    assert [id_ for id_, _ in found.tiles] == [i for i in expected if shares[i] > 0]
    for id_, share in found.tiles:
        assert share == pytest.approx(shares[id_])


def test_the_page_shows_all_of_it_without_scripts_and_escapes_names(found):
    html = page_of(found).render()
    for heading in (
        *("Scores", "Is the difference more than chance?", "Models and folds"),
        *("Recipes", "Learning curves", "Times", "Where they differ most", "Record"),
    ):
        assert f">{heading}</h2>" in html
    assert "&lt;b&gt;second" in html
    assert "<b>second" not in html
    assert "<script" not in html
    assert len(html.encode()) <= 2_000_000
    assert RATE in html
    assert "B is ahead in 0 of 4." in html
    assert html.count("<img ") == 5 * len(found.tiles)
    for id_, _ in found.tiles:
        assert id_ in html
    for side in (found.a, found.b):
        assert str(side.record.code) in html


def test_the_figures_are_valid_json(found, tmp_path):
    write_json(tmp_path / "c.json", found.to_json())
    read = json.loads((tmp_path / "c.json").read_text())
    assert read["differences"]["ensemble"]["units"] > 1
    assert math.isfinite(read["differences"]["ensemble"]["low"])


def test_other_folds_refuse_every_paired_statement(made):
    found = compare(made / "a", made / "folds")
    assert "Their folds differ" in found.unpaired
    assert (found.differences, found.folds) == ({}, [])
    assert found.tiles == []  # The same outputs, whatever the folds.
    html = page_of(found).render()
    assert "Their folds differ" in html
    assert "more than chance" not in html
    assert "resamples" not in html


def test_other_data_refuse_pictures_too(made):
    found = compare(made / "a", made / "data")
    assert "They are of different data" in found.unpaired
    assert found.differences == {}
    assert found.tiles == []
    html = page_of(found).render()
    assert "They are of different data" in html
    assert "<img " not in html
    assert "resamples" not in html


def test_epochs_chosen_on_the_fold_are_called_optimistic(made):
    html = page_of(compare(made / "a", made / "lucky")).render()
    assert "Out-of-fold scores of B are optimistic: " in html
    assert "Out-of-fold scores of A" not in html


def test_a_decision_of_another_version_leaves_the_models_paired(made, tmp_path):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    record["store"] = str(tmp_path / "store")
    (task,) = [t for t in record["tasks"] if t["stage"] == "tune"]
    entry = tmp_path / "store" / task["address"]
    decision = json.loads((entry / "decision.json").read_text())
    del decision["choice"]["model_weights"]
    write_json(entry / "decision.json", decision)
    (entry / "manifest.json").write_text(resealed(entry))
    write_json(tmp_path / "a" / "run.json", record)
    found = compare(tmp_path / "a", made / "lucky")
    assert "of another version of the code (KeyError: 'model_weights')" in (
        found.undecided
    )
    assert set(found.differences) == set(WELL)
    html = page_of(found).render()
    assert "run it again to compare ensembles" in html
    assert "<img " not in html


def resealed(entry):
    """The manifest of an entry whose files were changed."""
    from tenfold.data.files import sha256_of

    manifest = json.loads((entry / "manifest.json").read_text())
    for file in manifest["files"]:
        path = entry / file["name"]
        file |= {"size": path.stat().st_size, "sha256": sha256_of(path)}
    return json.dumps(manifest)


def test_what_is_no_finished_run_is_named(made, tmp_path):
    with pytest.raises(StoreError, match="empty holds no finished run"):
        compare(made / "a", tmp_path / "empty")
    shutil.copytree(made / "a", tmp_path / "a")
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    gone = record | {"store": str(tmp_path / "gone")}
    write_json(tmp_path / "a" / "run.json", gone)
    with pytest.raises(StoreError, match=r"a cannot be opened: .* missing"):
        compare(made / "a", tmp_path / "a")
    untuned = [t for t in record["tasks"] if t["stage"] != "tune"]
    write_json(tmp_path / "a" / "run.json", record | {"tasks": untuned})
    with pytest.raises(StoreError, match="no decision to compare"):
        compare(tmp_path / "a", made / "a")


def test_scores_are_read_from_a_verified_store(made, found):
    address = found.a.record.of("tune")[0].address
    assert found.a.scores == Store(made / "store").open(address).json(SCORES)


def test_options_are_compared_by_key_and_members_by_name():
    a = {"seed": 1, "members": [{"name": "x", "net": {"w": [1, 2]}}, {"name": "y"}]}
    b = {"seed": 2, "members": [{"name": "x", "net": {"w": [1, 3]}}], "new": None}
    assert recipe_differences(a, b) == [
        {"key": "seed", "A": 1, "B": 2},
        {"key": "members.x.net.w", "A": [1, 2], "B": [1, 3]},
        {"key": "members.y.name", "A": "y", "B": None},
    ]
    assert recipe_differences(a, a) == []


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.003, "x: B is 0.0020 above A; 95 % of resamples lie between +0.0010"),
        (-0.001, 0.005, "That includes 0, so it may well be chance."),
        (0.001, 0.003, "all on one side of 0."),
    ],
)
def test_a_difference_is_put_into_words(low, high, words):
    assert words in verdict("x", Difference(0.5, 0.502, low, high, 0.9, 20))


def test_no_difference_at_all_is_called_that():
    tie = Difference(0.5, 0.5, 0.0, 0.0, 0.5, 20)
    assert verdict("x", tie) == "x: A and B score the same, on every resample."
    below = verdict("x", Difference(0.5, 0.4, -0.2, -0.05, 0.0, 20))
    assert "B is 0.1000 below A" in below
    assert "between −0.2000 and −0.0500" in below
