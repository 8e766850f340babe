"""The synthetic competition download: exact format, determinism, honest side files."""

import csv
import itertools
import re

import numpy as np
import pydantic
import pytest
from PIL import Image

from tenfold.challenges.clouds.options import CloudsSynth
from tenfold.challenges.clouds.synth import plan_shots, synthesise
from tenfold.errors import RecipeError, SourceError

OPTIONS = CloudsSynth(train=8, test=2, twins=2, seed=4)
CLASSES = ["Fish", "Flower", "Gravel", "Sugar"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("synth")
    synthesise(directory, OPTIONS)
    return directory


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def split_key(row):
    image, _, name = row["Image_Label"].rpartition("_")
    return image, name


def decode(text):
    """Fill a mask run by run: down the columns, counted from 1."""
    flat = np.zeros(1400 * 2100, bool)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(2100, 1400).T


def masks_of(rows, image_id):
    return [decode(r["EncodedPixels"]) for r in rows if image_id in r["Image_Label"]]


def thumbnail(path):
    with Image.open(path) as image:
        small = image.convert("L").resize((36, 24), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def contents(directory):
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    return {str(p.relative_to(directory)): p.read_bytes() for p in files}


def test_folders_hold_what_the_competition_ships(source):
    names = {str(p.relative_to(source)) for p in source.rglob("*")}
    images = {name for name in names if name.endswith(".jpg")}
    assert names - images == {
        *("data", "data/train_images", "data/test_images", "data/train.csv"),
        *("data/sample_submission.csv", "truth", "truth/truth.csv", "truth/twins.csv"),
    }
    stems = [name.rpartition("/")[2].removesuffix(".jpg") for name in images]
    assert len(set(stems)) == 8 + 2
    assert all(re.fullmatch(r"[0-9a-f]{7}", stem) for stem in stems)
    assert sum(name.startswith("data/train_images/") for name in images) == 8


def test_pictures_have_the_real_format(source):
    for path in source.glob("data/*/*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert image.size == (2100, 1400)
            assert image.convert("L").getextrema()[1] > 120  # clouds are bright


@pytest.mark.parametrize(
    ("csv_name", "folder"),
    [
        ("data/train.csv", "train_images"),
        ("truth/truth.csv", "test_images"),
        ("data/sample_submission.csv", "test_images"),
    ],
)
def test_tables_have_a_row_for_every_image_and_class(source, csv_name, folder):
    text = (source / csv_name).read_text()
    assert text.startswith("Image_Label,EncodedPixels\n")
    assert "\r" not in text
    keys = [split_key(row) for row in table(source / csv_name)]
    files = sorted(path.name for path in (source / "data" / folder).iterdir())
    assert keys == list(itertools.product(files, CLASSES))


def test_sample_submission_marks_one_pixel_a_row(source):
    rows = table(source / "data/sample_submission.csv")
    assert {row["EncodedPixels"] for row in rows} == {"1 1"}


@pytest.mark.parametrize("csv_name", ["data/train.csv", "truth/truth.csv"])
def test_labels_are_sorted_runs_of_large_areas(source, csv_name):
    rows = table(source / csv_name)
    for row in rows:
        numbers = np.array(row["EncodedPixels"].split(), int).reshape(-1, 2)
        ends = numbers.sum(axis=1)
        assert (numbers > 0).all()
        assert (numbers[1:, 0] > ends[:-1]).all()
        assert not len(ends) or ends[-1] <= 1400 * 2100 + 1
        assert not len(ends) or decode(row["EncodedPixels"]).mean() > 0.02
    labelled = {split_key(row)[0] for row in rows if row["EncodedPixels"]}
    assert labelled == {split_key(row)[0] for row in rows}


def test_labels_follow_the_plan(source):
    rows = table(source / "data/train.csv") + table(source / "truth/truth.csv")
    found = {row["Image_Label"] for row in rows if row["EncodedPixels"]}
    assert found == {
        f"{shot.image_id}.jpg_{name}"
        for shot in plan_shots(OPTIONS)
        for name, present in zip(CLASSES, shot.present, strict=True)
        if present
    }


def test_twins_show_one_scene_and_others_do_not(source):
    pairs = {(r["id_a"], r["id_b"]) for r in table(source / "truth/twins.csv")}
    assert len(pairs) == 2
    paths = sorted(source.glob("data/train_images/*.jpg"))
    small = {path.stem: thumbnail(path).ravel() for path in paths}
    for a, b in itertools.combinations(small, 2):
        alike = np.corrcoef(small[a], small[b])[0, 1]
        assert (alike > 0.95) == bool({(a, b), (b, a)} & pairs)
        assert alike > 0.95 or alike < 0.75


def test_twins_are_encoded_anew_with_labels_that_moved_along(source):
    rows = table(source / "data/train.csv")
    for pair in table(source / "truth/twins.csv"):
        a, b = pair["id_a"], pair["id_b"]
        files = [source / f"data/train_images/{name}.jpg" for name in (a, b)]
        assert files[0].read_bytes() != files[1].read_bytes()
        for one, other in zip(masks_of(rows, a), masks_of(rows, b), strict=True):
            assert one.any() == other.any()
            shared = (one & other).sum() / max(1, (one | other).sum())
            assert 0.85 < shared < 1 or not one.any()


def test_same_options_give_the_same_bytes(source, tmp_path):
    calls = []
    synthesise(tmp_path, OPTIONS, lambda done, total: calls.append((done, total)))
    assert contents(tmp_path) == contents(source)
    assert calls == [(done, 10) for done in range(1, 11)]


def test_another_seed_gives_another_plan():
    ids = [{s.image_id for s in plan_shots(CloudsSynth(seed=seed))} for seed in (4, 5)]
    assert len(ids[0] | ids[1]) == 2 * (60 + 24)


def test_a_plan_of_the_real_size_has_the_real_counts():
    options = CloudsSynth(train=5546, test=3698, twins=0)
    train = [s.present for s in plan_shots(options) if s.split == "train"]
    assert np.sum(train, axis=0).tolist() == [2781, 2365, 2939, 3751]
    assert (len(train) * 4 - np.sum(train)) == 10348  # blank rows, 46.65 %
    assert np.any(train, axis=1).all()


@pytest.mark.parametrize("count", [1, 2, 3, 17])
def test_every_image_of_a_small_plan_has_a_class(count):
    options = CloudsSynth(train=8, test=count, twins=4, seed=count)
    shots = plan_shots(options)
    assert len(shots) == 8 + count
    assert all(any(shot.present) for shot in shots)


def test_twins_repeat_scenes_of_train():
    shots = plan_shots(CloudsSynth(train=20, test=5, twins=10))
    twins = [shot for shot in shots if shot.is_twin]
    assert len({shot.scene for shot in twins}) == 10
    for shot in twins:
        first = shots[shot.scene]
        assert (shot.split, first.split, first.is_twin) == ("train", "train", False)
        assert shot.present == first.present


def test_an_existing_data_set_is_kept(source):
    with pytest.raises(SourceError, match="exists; remove it or choose another"):
        synthesise(source, OPTIONS)


def test_too_many_twins_are_refused_before_anything_is_written(tmp_path):
    options = CloudsSynth(train=8, twins=5)
    with pytest.raises(RecipeError, match=r"synth\.twins is 5.*set it to 4 or less"):
        synthesise(tmp_path, options)
    assert not list(tmp_path.iterdir())


def test_unknown_options_are_refused():
    with pytest.raises(pydantic.ValidationError):
        CloudsSynth(tiles=3)
