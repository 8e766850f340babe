"""Pictures of samples in a folder: what is written, what is kept, what is refused."""

import numpy as np
import pytest
from PIL import Image

from tenfold.challenges import find_challenge, load_recipe
from tenfold.data.dataset import Dataset
from tenfold.errors import StoreError
from tenfold.reports.page import ReportError
from tenfold.stages import draw as stage
from tenfold.stages import ingest
from tenfold.stages.context import Context
from tenfold.store import Store

SETTINGS = ("synth.train=8", "synth.test=2", "synth.coasts=3", "synth.bad_files=false")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("drawn")
    recipe = load_recipe("kelp", "smoke", SETTINGS)
    find_challenge("kelp").synth.synthesise(directory, recipe.synth)
    context = Context(recipe, Store(directory / "store"))
    return context.entry(ingest.run(context, str(directory / "data")))


@pytest.fixture
def ids(data):
    return Dataset(data.path).rows("train")["id"].to_list()


def draw(data, ids, folder, *composites, **how):
    return stage.draw(data, "kelp", ids, folder, composites, **how)


def pixels(path):
    return np.array(Image.open(path))


def test_each_sample_gets_one_sheet_with_all_its_views(data, ids, tmp_path):
    seen = []
    done = draw(
        data, ids[:2], tmp_path, on_progress=lambda *counts: seen.append(counts)
    )
    assert (done.written, done.kept, done.lacking) == (2, 0, 0)
    assert {p.name for p in tmp_path.iterdir()} == {f"{id_}.png" for id_ in ids[:2]}
    assert seen == [(1, 2), (2, 2)]
    sheet = pixels(tmp_path / f"{ids[0]}.png")
    views = find_challenge("kelp").drawing.views(Dataset(data.path).sample(ids[0]))
    assert len(views) == 7
    assert sheet.shape[1] >= 4 * 350
    for view in views.values():
        # A view's first row of pixels, wherever it stands in the sheet.
        row = view[0].tobytes()
        assert any(row in line.tobytes() for line in sheet)


def test_composites_are_the_views_at_their_own_resolution(data, ids, tmp_path):
    done = draw(data, ids[:1], tmp_path, "ndvi", "false-colour")
    assert done.written == 2
    views = find_challenge("kelp").drawing.views(Dataset(data.path).sample(ids[0]))
    for name, view in (("ndvi", "NDVI"), ("false-colour", "false colour")):
        found = pixels(tmp_path / f"{ids[0]}_{name}.png")
        np.testing.assert_array_equal(found, views[view])


def test_what_is_there_is_kept_unless_forced(data, ids, tmp_path):
    draw(data, ids[:2], tmp_path)
    (tmp_path / f"{ids[0]}.png").write_bytes(b"mine")
    done = draw(data, ids[:3], tmp_path)
    assert (done.written, done.kept) == (1, 2)
    assert (tmp_path / f"{ids[0]}.png").read_bytes() == b"mine"
    done = draw(data, ids[:3], tmp_path, force=True)
    assert (done.written, done.kept) == (3, 0)
    assert pixels(tmp_path / f"{ids[0]}.png").ndim == 3


def test_a_sample_with_one_of_two_composites_is_drawn_again(data, ids, tmp_path):
    draw(data, ids[:1], tmp_path, "dem")
    done = draw(data, ids[:1], tmp_path, "dem", "qa")
    assert (done.written, done.kept) == (2, 0)


def test_a_test_sample_has_no_label_and_that_is_counted(data, ids, tmp_path):
    test = Dataset(data.path).rows("test")["id"].to_list()
    done = draw(data, [ids[0], *test], tmp_path, "kelp-label")
    assert (done.written, done.lacking) == (1, len(test))


def test_several_processes_write_the_same_pictures(data, ids, tmp_path, monkeypatch):
    draw(data, ids, tmp_path / "one")
    monkeypatch.setattr(stage, "_WORTH_A_PROCESS", 3)
    monkeypatch.setattr(stage.os, "sched_getaffinity", lambda _: {0, 1})
    assert draw(data, ids, tmp_path / "two").written == len(ids)
    for id_ in ids:
        one, two = (tmp_path / part / f"{id_}.png" for part in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_unknown_samples_and_composites_are_named(data, ids, tmp_path):
    with pytest.raises(StoreError, match="no sample ZZ000000"):
        draw(data, [ids[0], "ZZ000000"], tmp_path)
    with pytest.raises(
        ReportError, match=r"no composite 'ndwi'; there is true-colour,"
    ):
        draw(data, ids, tmp_path, "ndwi")
    assert not list(tmp_path.iterdir())
