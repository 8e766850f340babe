"""The synthetic competition download: exact format, determinism, honest side files."""

import csv
import itertools
import json
import re

import numpy as np
import pytest

from tenfold.challenges.contrails import reader
from tenfold.challenges.contrails.options import ContrailsData, ContrailsSynth
from tenfold.challenges.contrails.synth import plan_shots, synthesise
from tenfold.errors import SourceError

OPTIONS = ContrailsSynth(train=12, validation=5, test=3, revisits=3, side=96, seed=3)
BANDS = [f"band_{band:02d}.npy" for band in range(8, 17)]
KEYS = ["record_id", "timestamp", "projection_wkt"]
KEYS += ["row_min", "row_size", "col_min", "col_size"]
MASKS = {
    "train": ["human_individual_masks.npy", "human_pixel_masks.npy"],
    "validation": ["human_pixel_masks.npy"],
    "test": [],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("synth")
    synthesise(directory, OPTIONS)
    return directory


@pytest.fixture(scope="module")
def packed(source):
    found = reader.scan(source / "data", ContrailsData(side=96))
    assert found.rejected == ()
    return {
        sample.id: reader.pack(sample, None, ContrailsData(side=96))
        for sample in found.samples
    }


def folders(source, part):
    return sorted((source / "data" / part).iterdir())


def metadata(source):
    files = (source / f"data/{part}_metadata.json" for part in ("train", "validation"))
    return {e["record_id"]: e for file in files for e in json.loads(file.read_text())}


def revisits(source):
    with (source / "truth/revisits.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(directory):
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    return {str(p.relative_to(directory)): p.read_bytes() for p in files}


@pytest.mark.parametrize(("part", "count"), [("train", 12), ("validation", 5)])
def test_labelled_parts_hold_what_the_competition_ships(source, part, count):
    found = folders(source, part)
    assert len(found) == count
    for folder in found:
        names = sorted(file.name for file in folder.iterdir())
        assert names == sorted([*BANDS, *MASKS[part]])
        pixels = np.load(folder / "human_pixel_masks.npy")
        assert (pixels.shape, pixels.dtype) == ((96, 96, 1), np.int32)
        if part == "train":
            hands = np.load(folder / "human_individual_masks.npy")
            assert hands.dtype == np.int32
            assert hands.shape[:3] == (96, 96, 1)
            assert hands.shape[3] in (4, 5, 6)
            agreed = hands.sum(axis=3) * 2 > hands.shape[3]
            np.testing.assert_array_equal(pixels, agreed)


def test_test_records_have_no_labels_and_a_blank_row_each(source):
    ids = [folder.name for folder in folders(source, "test")]
    for folder in folders(source, "test"):
        assert sorted(file.name for file in folder.iterdir()) == BANDS
    text = (source / "data/sample_submission.csv").read_text()
    rows = "".join(f"{id_},-\n" for id_ in ids)
    assert text == f"record_id,encoded_pixels\n{rows}"
    answers = {path.stem: np.load(path) for path in source.glob("truth/test/*.npy")}
    assert sorted(answers) == ids
    for mask in answers.values():
        assert (mask.shape, mask.dtype) == ((96, 96), np.uint8)


def test_ids_are_decimal_and_fit_63_bits(source):
    ids = [path.name for part in MASKS for path in folders(source, part)]
    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"[1-9][0-9]{15,18}", id_) for id_ in ids)
    assert all(int(id_) < 2**63 for id_ in ids)


def test_bands_are_kelvin_with_time_last(source):
    folder = folders(source, "train")[0]
    bands = {}
    for name in BANDS:
        content = (folder / name).read_bytes()
        # As in the competition: 128 bytes of header, then 4 a value.
        assert len(content) == 128 + 96 * 96 * 8 * 4
        band = bands[name] = np.load(folder / name)
        assert (band.shape, band.dtype.str) == ((96, 96, 8), "<f4")
        assert band.flags.c_contiguous
        assert 190 < band.min() < band.max() < 325
    # Vapour hides the ground the more the shorter the wave.
    means = [bands[name].mean() for name in ("band_08.npy", "band_09.npy", BANDS[2])]
    assert means == sorted(means)
    assert bands["band_10.npy"].mean() < bands["band_14.npy"].mean()
    # Neighbouring frames are alike, and the more so the nearer they are.
    frames = np.moveaxis(bands["band_14.npy"], 2, 0)
    change = [np.abs(frames[4] - frames[time]).mean() for time in (4, 5, 7)]
    assert change == sorted(change)
    assert change[1] > 0


def test_metadata_have_the_keys_of_the_competition(source):
    found = metadata(source)
    labelled = {
        p.name for part in ("train", "validation") for p in folders(source, part)
    }
    assert set(found) == labelled
    for entry in found.values():
        assert sorted(entry) == sorted(KEYS)
        assert entry["row_size"] == entry["col_size"] == 96 * 2000
        assert isinstance(entry["timestamp"], int)


def test_places_are_where_goes_16_looks(packed):
    for id_, one in packed.items():
        columns = one.columns
        if columns["part"] is None:
            continue
        assert -152 < columns["west"] < columns["longitude"] < columns["east"] < 0, id_
        assert 0 < columns["south"] < columns["latitude"] < columns["north"] < 55


def test_about_half_of_the_records_have_contrails_of_ten_pixels_or_more(packed):
    labelled = [one for one in packed.values() if one.columns["part"]]
    pixels = [one.columns["pixels"] for one in labelled]
    assert 5 <= sum(count > 0 for count in pixels) <= 11
    assert min(count for count in pixels if count) >= 10
    # Lines in a small frame are shorter, but no thinner.
    assert 0.001 < sum(pixels) / (len(pixels) * 96 * 96) < 0.03


def test_annotators_agree_as_people_do(packed):
    found = [one.columns["agreement"] for one in packed.values()]
    known = [value for value in found if value is not None]
    assert len(known) >= 5
    assert 0.65 < np.median(known) < 0.92
    assert len(set(known)) == len(known)


def test_no_constant_brightness_tells_contrails(packed):
    labelled = [one.arrays for one in packed.values() if one.columns["part"]]
    label = np.stack([arrays["label"] for arrays in labelled]) > 0
    image = np.stack([arrays["image"][0] for arrays in labelled])
    best = 0.0
    for channel, cut in itertools.product(range(3), range(256)):
        value = image[..., channel]
        for mask in (value < cut, value >= cut):
            both = (mask & label).sum()
            best = max(best, 2 * both / (mask.sum() + label.sum()))
    assert 0 < best < 0.3


def test_contrails_are_dark_lines_in_the_ash_image(source, packed):
    lines, around = [], []
    for path in source.glob("truth/exact/*.npy"):
        exact = np.load(path).astype(bool)
        image = packed[path.stem].arrays["image"][0].astype(float)
        lines += image[exact].tolist()
        around += image[~exact].tolist()
    darker = np.median(around, axis=0) - np.median(lines, axis=0)
    # All three channels: red and green by what ice does, blue since it is cold.
    assert (darker > 5).all()


def test_revisits_are_validation_records_of_train_scenes(source):
    pairs = [(row["record"], row["of"]) for row in revisits(source)]
    assert len(pairs) == 3
    parts = {part: {p.name for p in folders(source, part)} for part in MASKS}
    assert {again for again, _ in pairs} <= parts["validation"]
    assert {first for _, first in pairs} <= parts["train"]
    assert len({first for _, first in pairs}) == 3


def test_revisits_overlap_in_space_and_time_and_others_do_not(source):
    found, pairs = metadata(source), {(r["record"], r["of"]) for r in revisits(source)}
    for a, b in itertools.combinations(found, 2):
        one, other = found[a], found[b]
        apart = abs(one["timestamp"] - other["timestamp"])
        assert (apart <= 1800) == bool({(a, b), (b, a)} & pairs)
        assert apart <= 1800 or apart > 3600
        if apart > 1800:
            continue
        assert one["projection_wkt"] == other["projection_wkt"]
        for key in ("row_min", "col_min"):
            moved = abs(one[key] - other[key]) / 2000
            assert 0 < moved <= 96 // 4


def test_revisits_show_the_same_scene_moved(source):
    found = metadata(source)
    for row in revisits(source):
        again, first = found[row["record"]], found[row["of"]]
        later = (again["timestamp"] - first["timestamp"]) // 600
        # Rows go south, and row_min is the southern end.
        rows = round((first["row_min"] - again["row_min"]) / 2000)
        cols = round((again["col_min"] - first["col_min"]) / 2000)
        a = np.load(source / f"data/train/{row['of']}/band_14.npy")[..., 4]
        b = np.load(source / f"data/validation/{row['record']}/band_14.npy")
        b = b[..., 4 - later]
        here = a[max(0, rows) : 96 + min(0, rows), max(0, cols) : 96 + min(0, cols)]
        there = b[max(0, -rows) : 96 - max(0, rows), max(0, -cols) : 96 - max(0, cols)]
        assert here.shape == there.shape
        # Nothing but the imager's noise is between them.
        assert 0 < np.abs(here - there).mean() < 0.15


def test_same_options_give_the_same_bytes(source, tmp_path):
    calls = []
    synthesise(tmp_path, OPTIONS, lambda done, total: calls.append((done, total)))
    assert contents(tmp_path) == contents(source)
    assert calls == [(done, 20) for done in range(1, 21)]


def test_another_seed_gives_other_records():
    plans = [plan_shots(ContrailsSynth(seed=seed)) for seed in (4, 5)]
    assert not {s.record_id for s in plans[0]} & {s.record_id for s in plans[1]}


def test_a_small_plan_has_what_it_is_asked_for():
    options = ContrailsSynth(train=4, validation=9, test=1, revisits=9, side=32)
    shots = plan_shots(options)
    assert [shot.part for shot in shots].count("validation") == 9
    # More revisits than scenes: some scenes are seen again twice.
    assert sum(shot.is_revisit for shot in shots) == 9
    for shot in shots:
        first = shots[shot.scene]
        assert (first.part == "train") or not shot.is_revisit
        assert first.contrails == shot.contrails


def test_an_existing_data_set_is_kept(source):
    with pytest.raises(SourceError, match="exists; remove it or choose another"):
        synthesise(source, OPTIONS)
