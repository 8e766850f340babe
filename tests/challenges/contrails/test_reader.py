"""Reading the competition's folders: exact arrays and columns, every fault named."""

import os

import numpy as np
import pytest

from tenfold.challenges.contrails import reader
from tenfold.challenges.contrails.options import BandRange, ContrailsData
from tenfold.errors import Rejected, SourceError

TRAIN = ("1000216489776414077", "1000603527582775543", "17")
VALIDATION = ("1000834164244036115", "1002653297254493116")
TEST = ("1704010292581573769", "9223372036854775807")
ASH = ("band_11", "band_14", "band_15")
LABEL, HANDS = "human_pixel_masks", "human_individual_masks"


def scan(made, **options):
    return reader.scan(made.root, ContrailsData(side=32, **options))


def pack(made, id_, **options):
    (sample,) = (s for s in scan(made, **options).samples if s.id == id_)
    return reader.pack(sample, None, ContrailsData(side=32, **options))


def test_only_the_bands_and_frames_of_the_recipe_are_read(made):
    for part, id_ in [("train", TRAIN[0]), ("test", TEST[0])]:
        for band in (8, 9, 10, 12, 13, 16):
            made.file(part, id_, f"band_{band:02d}").unlink()
    bands = made.read("train", TRAIN[0], "band_11")
    bands[..., 0] = np.nan
    made.replace("train", TRAIN[0], "band_11", bands)
    assert scan(made).rejected == ()
    pack(made, TRAIN[0])
    pack(made, TRAIN[0], frames=5)
    with pytest.raises(Rejected, match=r"band_11\.npy: frame 0 has 1024 pixels that"):
        pack(made, TRAIN[0], frames=8, before=4)


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, [4]),
        ({"frames": 3}, [3, 4, 5]),
        ({"frames": 4, "before": 3}, [1, 2, 3, 4]),
        ({"frames": 5}, [2, 3, 4, 5, 6]),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_frames_are_packed_in_order_with_channels_last(made, options, times, dtype):
    image = pack(made, TRAIN[0], dtype=dtype, **options).arrays["image"]
    assert (image.shape, image.dtype) == ((len(times), 32, 32, 3), np.dtype(dtype))
    t11, t14, t15 = (made.read("train", TRAIN[0], role) for role in ASH)
    ash = [(t15 - t14 + 4) / 6, (t14 - t11 + 4) / 9, (t14 - 243) / 60]
    expected = np.clip(np.stack(ash, axis=-1), 0, 1)[:, :, times]
    top, tolerance = (255, 0.501) if dtype == "uint8" else (1, 1e-3)
    np.testing.assert_allclose(
        image, top * np.moveaxis(expected, 2, 0), rtol=0, atol=tolerance
    )


def test_a_recipe_may_have_channels_of_its_own(made):
    colours = (BandRange(band=9, low=200, high=300),)
    packed = pack(made, TEST[0], colours=colours, dtype="float16")
    t9 = made.read("test", TEST[0], "band_09")[None, :, :, 4, None]
    found = packed.arrays["image"]
    np.testing.assert_allclose(found, np.clip((t9 - 200) / 100, 0, 1), atol=1e-3)


def test_labels_of_train_have_votes_and_those_of_validation_a_majority(made):
    hands = made.read("train", TRAIN[1], HANDS)
    arrays = pack(made, TRAIN[1]).arrays
    assert {name: array.dtype.name for name, array in arrays.items()} == dict.fromkeys(
        ("image", "labelled", "label", "votes", "annotators"), "uint8"
    )
    np.testing.assert_array_equal(arrays["votes"], hands[:, :, 0].sum(axis=-1))
    np.testing.assert_array_equal(arrays["label"], arrays["votes"] > 2.5)
    assert (arrays["annotators"].shape, arrays["annotators"]) == ((), 5)
    arrays = pack(made, VALIDATION[0]).arrays
    label = made.read("validation", VALIDATION[0], LABEL)[..., 0]
    np.testing.assert_array_equal(arrays["label"], label)
    np.testing.assert_array_equal(arrays["votes"], label)
    assert arrays["annotators"] == 1
    assert list(pack(made, TEST[0]).arrays) == ["image", "labelled"]


def test_columns_say_where_when_and_how_much(made):
    packed = pack(made, TRAIN[2])
    columns = packed.columns
    assert packed.partials is None
    assert (columns["part"], columns["timestamp"]) == ("train", 1_560_000_000)
    assert columns["longitude"] == pytest.approx(-87)
    assert columns["west"] < -89 < -85 < columns["east"]
    assert 27 < columns["south"] < columns["latitude"] < columns["north"] < 32
    label = made.read("train", TRAIN[2], LABEL)
    assert (columns["pixels"], columns["contrail"]) == (label.sum(), True)
    assert columns["annotators"] == 5
    hands = made.read("train", TRAIN[2], HANDS)[:, :, 0]
    dice = [
        2
        * (hands[..., who] * label[..., 0]).sum()
        / (hands[..., who].sum() + label.sum())
        for who in range(5)
    ]
    assert columns["agreement"] == pytest.approx(np.mean(dice))
    other = pack(made, VALIDATION[1]).columns
    assert (other["part"], other["annotators"], other["agreement"]) == (
        *("validation", None, None),
    )
    test = pack(made, TEST[1]).columns
    assert test == dict.fromkeys(columns)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", ">i4"])
def test_masks_of_any_integers_are_read_the_same(made, dtype):
    expected = pack(made, TRAIN[0])
    for role in (LABEL, HANDS):
        mask = made.read("train", TRAIN[0], role).astype(dtype)
        made.replace("train", TRAIN[0], role, mask)
    found = pack(made, TRAIN[0])
    assert found.columns == expected.columns
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_bands_in_another_order_or_precision_are_read_the_same(made):
    expected = pack(made, TRAIN[0]).arrays["image"]
    for role, form in zip(ASH, (np.asfortranarray, np.float64, ">f4"), strict=True):
        band = made.read("train", TRAIN[0], role)
        band = form(band) if callable(form) else band.astype(form)
        made.replace("train", TRAIN[0], role, band)
    np.testing.assert_array_equal(pack(made, TRAIN[0]).arrays["image"], expected)


def spoil(change):
    """A test's change of one array of a record."""

    def apply(array):
        changed = array.copy()
        change(changed)
        return changed

    return apply


def put(place, value):
    return spoil(lambda array: array.__setitem__(place, value))


@pytest.mark.parametrize(
    ("role", "change", "reason"),
    [
        ("band_14", put((3, 5, 4), np.nan), "frame 4 has 1 pixels that are not finite"),
        ("band_15", put((3, 5, 4), -np.inf), "frame 4 has 1 pixels that are not fin"),
        ("band_14", lambda a: a[:, :11], "has 32×11 pixels, and band 11 has 32×32"),
        ("band_14", lambda a: a[..., :7], "has shape 32×32×7 instead of H×W×8"),
        ("band_14", lambda a: a[..., 0], "has shape 32×32 instead of H×W×8"),
        ("band_14", lambda a: a.astype(np.int32), "has dtype int32 instead of float32"),
        ("band_14", lambda a: a.astype("f2"), "has dtype float16 instead of float32"),
        ("band_14", lambda a: a.astype(object), "holds pickled objects, which are nev"),
        (LABEL, put((0, 0, 0), 2), "holds 2; expected 0 and 1 only"),
        (LABEL, put((0, 0, 0), -1), "holds -1; expected 0 and 1 only"),
        (LABEL, lambda a: a[..., 0], "has shape 32×32 instead of 32×32×1"),
        (LABEL, lambda a: a.astype(float), "has dtype float64 instead of integers"),
        (HANDS, put((0, 0, 0, 0), 255), "holds 255; expected 0 and 1 only"),
        (HANDS, lambda a: a[..., :0], "has shape 32×32×1×0 instead of 32×32×1×R"),
        (HANDS, lambda a: a[:, :, 0], "has shape 32×32×5 instead of 32×32×1×R"),
        ("band_14", lambda a: a - np.float32(273.15), "holds -"),
    ],
)
def test_a_fault_of_a_file_rejects_the_record_and_names_it(made, role, change, reason):
    id_ = TRAIN[1]
    made.replace("train", id_, role, change(made.read("train", id_, role)))
    name = f"train/{id_}/{role}.npy"
    with pytest.raises(Rejected) as caught:
        pack(made, id_)
    assert caught.value.file == name
    assert caught.value.reason.startswith(reason)
    pack(made, TRAIN[0])


def test_pixels_of_the_label_that_annotators_contradict_are_counted(made):
    label = made.read("train", TRAIN[0], LABEL)
    label[[0, 1, 2], 4] ^= 1
    made.replace("train", TRAIN[0], LABEL, label)
    packed = pack(made, TRAIN[0])
    assert packed.columns["differing"] == 3
    np.testing.assert_array_equal(packed.arrays["label"], label[..., 0])
    assert pack(made, TRAIN[1]).columns["differing"] == 0
    assert pack(made, VALIDATION[0]).columns["differing"] is None


@pytest.mark.parametrize("role", ["band_15", LABEL, HANDS])
@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        (lambda b: b[:-5], "is truncated: "),
        (lambda b: b + b"more", "is too long: "),
        (lambda b: b[:40], "is not a whole .npy file: "),
        (lambda _: b"", "is not a whole .npy file: "),
        (lambda _: b"PK\x03\x04 an archive", "is not a whole .npy file: "),
    ],
)
def test_a_file_that_is_not_whole_is_named(made, role, cut, reason):
    file = made.file("train", TRAIN[1], role)
    file.write_bytes(cut(file.read_bytes()))
    with pytest.raises(Rejected) as caught:
        pack(made, TRAIN[1])
    assert caught.value.file == f"train/{TRAIN[1]}/{role}.npy"
    assert caught.value.reason.startswith(reason)


def test_a_folder_in_the_place_of_a_file_is_named(made):
    file = made.file("train", TRAIN[1], "band_15")
    file.unlink()
    file.mkdir()
    with pytest.raises(Rejected, match=r"band_15\.npy: cannot be read: Is a directory"):
        pack(made, TRAIN[1])


def test_a_projection_that_cannot_be_read_rejects_its_record(made):
    made.entries["validation"][0] |= {"projection_wkt": "nonsense"}
    made.tabulate()
    with pytest.raises(Rejected, match=f"record {VALIDATION[0]}: its projection_wkt"):
        pack(made, VALIDATION[0])


def test_a_record_of_its_own_is_named_by_its_folder_or_a_band(made, monkeypatch):
    folder = made.root / "train" / TRAIN[0]
    monkeypatch.chdir(folder.parent)
    for path in (folder, folder / "band_14.npy", folder.relative_to(folder.parent)):
        sample = reader.single(path)
        assert (sample.id, sample.split) == (TRAIN[0], "test")
        assert set(sample.files) == {f"band_{band:02d}" for band in range(8, 17)}
        packed = reader.pack(sample, None, ContrailsData(side=32))
        assert list(packed.arrays) == ["image", "labelled"]
        np.testing.assert_array_equal(
            packed.arrays["image"], pack(made, TRAIN[0]).arrays["image"]
        )


def test_what_is_no_record_of_its_own_is_refused(made, tmp_path):
    with pytest.raises(SourceError, match="there is no such file"):
        reader.single(tmp_path / "gone")
    mask = made.file("train", TRAIN[0], LABEL)
    for path in (tmp_path, made.root / "train", mask):
        with pytest.raises(SourceError, match="a record is a folder of band_08"):
            reader.single(path)
    made.file("train", TRAIN[0], "band_11").unlink()
    sample = reader.single(mask.parent)
    with pytest.raises(
        Rejected, match=r"band_11\.npy: is not there, and the recipe us"
    ):
        reader.pack(sample, None, ContrailsData(side=32))


def test_a_file_that_may_not_be_read_is_named(made):
    file = made.file("train", TRAIN[0], "band_14")
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    file.chmod(0)
    with pytest.raises(Rejected, match=r"band_14\.npy: cannot be read: Permission"):
        pack(made, TRAIN[0])


def test_no_statistics_are_needed():
    assert reader.channels(None) is None
