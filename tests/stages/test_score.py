"""Predictions scored from the command line, together and tile by tile."""

import json
import math

import numpy as np
import polars as pl
import pytest
import rasterio
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from tenfold.cli import main

IDS = ("AB000001", "CD000002", "EF000003")


def write(folder, planes, dtype):
    folder.mkdir(parents=True)
    profile = {"count": 1, "height": 350, "width": 350, "dtype": dtype}
    for id_, plane in planes.items():
        path = folder / f"{id_}_kelp.tif"
        with rasterio.open(path, "w", driver="GTiff", **profile) as file:
            file.write(plane.astype(dtype), 1)
    return folder


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Three tiles: much kelp, a little, none; predictions that are mostly right."""
    rng = np.random.default_rng(2)
    folder = tmp_path_factory.mktemp("größe 海藻")
    shares = dict(zip(IDS, (0.3, 0.002, 0.0), strict=True))
    truth = {i: rng.random((350, 350)) < share for i, share in shares.items()}
    prob = {
        i: np.where(t, 0.55, 0.3) + 0.2 * rng.random(t.shape) for i, t in truth.items()
    }
    prob = {i: p.astype(np.float32) for i, p in prob.items()}
    prob["EF000003"][:] = 0
    write(folder / "truth", truth, "uint8")
    write(folder / "prob", prob, "float32")
    write(folder / "masks", {i: p >= 0.48 for i, p in prob.items()}, "int8")
    return folder, truth, {i: p >= np.float32(0.48) for i, p in prob.items()}


def score(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(["score", "kelp", *map(str, words)])
    captured = capsys.readouterr()
    assert ended.value.code in (0, None), captured.err
    return captured.out


def expected(truth, guess):
    return {
        "dice_kelp": f1_score(truth, guess),
        "iou": jaccard_score(truth, guess),
        "precision": precision_score(truth, guess),
        "recall": recall_score(truth, guess),
        "accuracy": accuracy_score(truth, guess),
        "f1": f1_score(truth, guess),
    }


def flat(planes):
    return np.concatenate([planes[i].ravel() for i in IDS])


@pytest.mark.parametrize("words", [("masks",), ("prob", "--threshold", "0.48")])
def test_figures_are_those_of_an_independent_library(case, capsys, tmp_path, words):
    folder, truth, guess = case
    file = tmp_path / "new" / "figures.json"
    where = (folder / words[0], folder / "truth")
    said = score(capsys, *where, *words[1:], "--json", file)
    written = json.loads(file.read_text())
    assert written["samples"] == 3
    assert written["challenge"] == "kelp"
    assert written["threshold"] == (0.48 if words[1:] else None)
    assert written["truth"] == str(folder / "truth")
    for name, value in expected(flat(truth), flat(guess)).items():
        assert written["figures"][name] == pytest.approx(value)
        assert f"{name:16s} {value:.4f}" in said


def test_every_tile_has_a_row_of_its_own(case, capsys, tmp_path):
    folder, truth, guess = case
    file = tmp_path / "tiles.csv"
    score(capsys, folder / "masks", folder / "truth", "--table", file)
    table = pl.read_csv(file)
    assert table["id"].to_list() == list(IDS)
    for row in table.iter_rows(named=True):
        t, g = truth[row["id"]], guess[row["id"]]
        counts = {
            "tp": (t & g).sum(),
            "fp": (~t & g).sum(),
            "fn": (t & ~g).sum(),
            "tn": (~t & ~g).sum(),
        }
        assert {name: row[name] for name in counts} == counts
        assert all(math.isfinite(v) for k, v in row.items() if k != "id")
    full = table.row(0, named=True)
    for name, value in expected(truth[IDS[0]].ravel(), guess[IDS[0]].ravel()).items():
        assert full[name] == pytest.approx(value)
    # No kelp and none predicted is agreement.
    assert table.row(2, named=True)["dice_kelp"] == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("prob",), "name a threshold"),
        (("gone",), "gone does not exist; name a submission"),
        (("masks", "nowhere"), "nowhere does not exist; name the folder with the"),
    ],
)
def test_what_cannot_be_scored_writes_nothing(case, capsys, tmp_path, words, reason):
    folder, file = case[0], tmp_path / "figures.json"
    where = [str(folder / word) for word in (*words, "truth")[:2]]
    with pytest.raises(SystemExit) as ended:
        main(["score", "kelp", *where, "--json", str(file)])
    error = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2
    assert len(error) == 1
    assert reason in error[0]
    assert not file.exists()
