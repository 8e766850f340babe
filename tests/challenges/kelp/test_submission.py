"""The tar that is handed in: its exact profile, read back, refused, scored."""

import io
import tarfile

import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile

from tenfold.challenges.kelp import submission
from tenfold.errors import SubmissionError
from tenfold.metrics.confusion import Confusion, dice

SHAPE = (350, 350)


def mask(*boxes):
    """A mask with boxes (top, bottom, left, right) of kelp."""
    found = np.zeros(SHAPE, np.uint8)
    for top, bottom, left, right in boxes:
        found[top:bottom, left:right] = 1
    return found


MASKS = {
    "AB000001": mask((0, 10, 0, 10), (340, 350, 349, 350)),
    "CD000002": mask(),
    "EF000003": mask((0, 350, 0, 350)),
}


@pytest.fixture
def written(tmp_path):
    submission.write(((i, {"kelp": m}) for i, m in MASKS.items()), tmp_path / "out")
    return tmp_path / "out" / "submission.tar"


def tif(array, dtype="int8"):
    """The bytes of a GeoTIFF (bands, H, W), written without the code under test."""
    count, height, width = array.shape
    profile = {"count": count, "height": height, "width": width, "dtype": dtype}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", **profile) as file:
            file.write(array.astype(dtype))
        return bytes(memory.read())


def tar_of(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
                continue
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


GOOD = ("AB000001_kelp.tif", tif(MASKS["AB000001"][None]))


# Writing.


def test_the_tar_is_plain_and_flat(written):
    with tarfile.open(written, "r:") as tar:
        members = tar.getmembers()
        assert [m.name for m in members] == [f"{i}_kelp.tif" for i in MASKS]
        assert all(m.isreg() for m in members)
    assert {p.name for p in written.parent.iterdir()} == {"submission.tar"}
    # Not compressed: three masks of 122,500 bytes and a little around them.
    assert 3 * 122_500 < written.stat().st_size < 390_000


def test_members_have_the_published_profile(written, tmp_path):
    with tarfile.open(written) as tar:
        tar.extractall(tmp_path / "flat", filter="data")
    for id_, expected in MASKS.items():
        with rasterio.open(tmp_path / "flat" / f"{id_}_kelp.tif") as file:
            assert file.driver == "GTiff"
            assert file.dtypes == ("int8",)
            assert (file.count, file.height, file.width) == (1, 350, 350)
            assert file.crs.to_string() == "EPSG:4326"
            assert file.nodata is None
            assert file.compression is None
            assert file.res == pytest.approx((30 / 111_320, 30 / 111_320))
            np.testing.assert_array_equal(file.read(1), expected)


def test_equal_masks_give_equal_bytes(written, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    again = ((i, {"kelp": m.astype(bool)}) for i, m in MASKS.items())
    submission.write(again, tmp_path / "again")
    assert (tmp_path / "again" / "submission.tar").read_bytes() == written.read_bytes()
    with tarfile.open(written) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
            assert member.uname == member.gname == ""
            assert member.mode == 0o644


def test_a_failed_write_leaves_nothing(tmp_path):
    def predictions():
        yield "AB000001", {"kelp": MASKS["AB000001"]}
        raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        submission.write(predictions(), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


# Reading.


def test_what_was_written_is_read_back(written):
    found = dict(submission.read(written))
    assert list(found) == list(MASKS)
    for id_, expected in MASKS.items():
        assert found[id_]["kelp"].dtype == np.uint8
        np.testing.assert_array_equal(found[id_]["kelp"], expected)


def test_a_folder_of_masks_reads_like_a_tar(written, tmp_path):
    with tarfile.open(written) as tar:
        tar.extractall(tmp_path / "flat", filter="data")
    for (one, a), (two, b) in zip(
        submission.read(written), submission.read(tmp_path / "flat"), strict=True
    ):
        assert one == two
        np.testing.assert_array_equal(a["kelp"], b["kelp"])


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([GOOD, ("notes.txt", b"hello")], "notes.txt"),
        ([GOOD, ("CD000002_satellite.tif", GOOD[1])], "CD000002_satellite.tif"),
        ([("masks/AB000001_kelp.tif", GOOD[1])], "masks/AB000001_kelp.tif"),
        ([("masks", None), GOOD], "masks is not a plain file"),
        ([GOOD, GOOD], "AB000001_kelp.tif comes twice"),
        ([("AB000001_kelp.tif", tif(mask()[None, :349]))], "shape .*349"),
        ([("AB000001_kelp.tif", tif(np.stack([mask()] * 2)))], r"shape \(2, 350"),
        ([("AB000001_kelp.tif", tif(mask()[None] + 2))], "other than 0 and 1"),
        ([("AB000001_kelp.tif", tif(mask()[None] - 1.0))], "other than 0 and 1"),
        (
            [("AB000001_kelp.tif", tif(mask()[None] + 0.5, "float32"))],
            "other than 0 and 1",
        ),
        ([("AB000001_kelp.tif", b"no picture")], "cannot be read"),
        ([("AB000001_kelp.tif", GOOD[1][:60_000])], "cannot be read"),
        ([("AB000001_kelp.tif", b"")], "AB000001_kelp.tif"),
    ],
)
def test_a_member_that_breaks_a_rule_is_named(tmp_path, members, reason):
    path = tar_of(tmp_path / "submission.tar", members)
    with pytest.raises(SubmissionError, match=reason):
        list(submission.read(path))


def test_a_link_is_no_mask(tmp_path):
    with tarfile.open(tmp_path / "submission.tar", "w") as tar:
        info = tarfile.TarInfo("AB000001_kelp.tif")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(info)
    with pytest.raises(SubmissionError, match="not a plain file"):
        list(submission.read(tmp_path / "submission.tar"))


@pytest.mark.parametrize("content", [b"not a tar at all" * 64, b"PK\x03\x04"])
def test_a_file_that_is_no_tar_is_refused(tmp_path, content):
    path = tmp_path / "submission.tar"
    path.write_bytes(content)
    with pytest.raises(SubmissionError, match=r"submission\.tar"):
        list(submission.read(path))


def test_a_compressed_tar_is_refused(tmp_path):
    path = tar_of(tmp_path / "submission.tar", [GOOD], "w:gz")
    with pytest.raises(SubmissionError, match="not a readable tar"):
        list(submission.read(path))


def test_a_tar_cut_short_is_refused(written):
    written.write_bytes(written.read_bytes()[:200_000])
    with pytest.raises(SubmissionError):
        list(submission.read(written))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SubmissionError, match="nowhere"):
        list(submission.read(tmp_path / "nowhere.tar"))


# Scoring.


@pytest.fixture
def truth(tmp_path):
    folder = tmp_path / "truth"
    folder.mkdir()
    masks = {
        "AB000001": mask((0, 10, 3, 13)),  # 100 pixels, 70 of them predicted
        "CD000002": mask((5, 10, 5, 9)),  # 20 pixels, none predicted
        "EF000003": mask((0, 350, 0, 175)),  # half of the tile; all predicted
    }
    for id_, kelp in masks.items():
        (folder / f"{id_}_kelp.tif").write_bytes(tif(kelp[None], "uint8"))
    return folder


def test_the_score_is_one_dice_over_all_pixels(written, truth):
    figures = submission.score(written, truth)
    tp = 70 + 0 + 61_250
    predicted = 110 + 0 + 122_500
    true = 100 + 20 + 61_250
    assert figures["dice_kelp"] == pytest.approx(2 * tp / (predicted + true))
    assert figures["precision"] == pytest.approx(tp / predicted)
    assert figures["recall"] == pytest.approx(tp / true)
    # The published figure of the same name is the mean of both classes.
    tn = 3 * 122_500 - predicted - true + tp
    background = 2 * tn / (2 * 3 * 122_500 - predicted - true)
    assert figures["dice"] == pytest.approx((figures["dice_kelp"] + background) / 2)


def test_the_truth_itself_scores_one(truth):
    assert submission.score(truth, truth)["dice_kelp"] == 1


def test_a_tile_too_few_is_an_error(written, truth):
    (truth / "ZZ999999_kelp.tif").write_bytes(GOOD[1])
    with pytest.raises(SubmissionError, match=r"missing of .*truth: ZZ999999$"):
        submission.score(written, truth)


def test_a_tile_too_many_is_an_error(written, truth):
    (truth / "CD000002_kelp.tif").unlink()
    with pytest.raises(SubmissionError, match=r"not in .*truth: CD000002$"):
        submission.score(written, truth)


def test_every_tile_on_one_side_only_is_named(written, truth):
    for number in range(7):
        (truth / f"XX00000{number}_kelp.tif").write_bytes(GOOD[1])
    named = "XX000000, XX000001, XX000002, XX000003, XX000004 and 2 more"
    with pytest.raises(SubmissionError, match=f"missing of .*: {named}$"):
        submission.score(written, truth)
    for id_ in ("AB000001", "CD000002"):
        (truth / f"{id_}_kelp.tif").unlink()
    with pytest.raises(SubmissionError, match=r"not in .*: AB000001, CD000002$"):
        submission.score(written, truth)


def test_tiles_are_paired_by_id_and_not_by_place(truth, tmp_path):
    """A tar in another order scores the same; swapped names score otherwise."""
    names = [f"{i}_kelp.tif" for i in sorted(MASKS, reverse=True)]
    data = {name: (truth / name).read_bytes() for name in names}
    turned = tar_of(tmp_path / "turned.tar", data.items())
    assert submission.score(turned, truth)["dice_kelp"] == 1
    swapped = list(zip(names, reversed(data.values()), strict=True))
    wrong = tar_of(tmp_path / "swapped.tar", swapped)
    assert submission.score(wrong, truth)["dice_kelp"] < 0.1


def test_each_tile_is_counted_by_itself(written, truth):
    found = dict(submission.tallies(written, truth))
    assert set(found) == set(MASKS)
    counts = found["AB000001"]
    assert (counts.tp, counts.fp, counts.fn) == (70, 40, 30)
    assert counts.tn == 350 * 350 - 140
    total = sum(found.values(), Confusion())
    assert submission.score(written, truth)["dice_kelp"] == dice(total)


@pytest.fixture
def soft(tmp_path, truth):
    """Probabilities: 0.45 where the truth is kelp, 0.1 elsewhere, and some doubt."""
    folder = tmp_path / "soft"
    folder.mkdir()
    for file in truth.iterdir():
        with rasterio.open(file) as band:
            prob = np.where(band.read() == 1, 0.45, 0.1)
        prob[0, -1] = np.maximum(prob[0, -1], 0.3)
        (folder / file.name).write_bytes(tif(prob, "float32"))
    return folder


def test_probabilities_are_cut_at_or_above_the_threshold(soft, truth):
    found = dict(submission.tallies(soft, truth, threshold=0.45))
    assert all(counts.fp == counts.fn == 0 for counts in found.values())
    found = dict(submission.tallies(soft, truth, threshold=0.2))
    # The last row of the third tile is half kelp.
    assert [c.fp for c in found.values()] == [350, 350, 175]
    found = dict(submission.tallies(soft, truth, threshold=0.46))
    assert all(counts.tp == 0 for counts in found.values())


def test_probabilities_without_a_threshold_are_refused(soft, truth):
    with pytest.raises(SubmissionError, match="name a threshold"):
        submission.score(soft, truth)
    with pytest.raises(SubmissionError, match="name a threshold"):
        list(submission.read(soft))


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1, np.inf])
def test_values_that_are_no_probabilities_are_refused(soft, truth, value):
    prob = np.full((1, 350, 350), 0.2)
    prob[0, 7, 7] = value
    (soft / "CD000002_kelp.tif").write_bytes(tif(prob, "float32"))
    with pytest.raises(SubmissionError, match=r"CD000002_kelp\.tif.*no probabilities"):
        list(submission.tallies(soft, truth, threshold=0.5))


def test_masks_are_the_same_at_any_threshold(written, truth):
    plain = dict(submission.tallies(written, truth))
    assert dict(submission.tallies(written, truth, threshold=0.3)) == plain


def test_hidden_files_of_a_folder_are_no_predictions(truth):
    (truth / ".DS_Store").write_bytes(b"x")
    assert submission.score(truth, truth)["dice_kelp"] == 1
    (truth / "more").mkdir()
    with pytest.raises(SubmissionError, match="more is not a plain file"):
        submission.score(truth, truth)


def test_an_exported_mask_is_the_tars_own_file(written, tmp_path):
    for id_, expected in MASKS.items():
        path = submission.export(id_, {"kelp": expected}, tmp_path / "masks")
        assert path.name == f"{id_}_kelp.tif"
        with tarfile.open(written) as tar:
            assert path.read_bytes() == tar.extractfile(path.name).read()


def test_nothing_to_score_against_is_an_error(written, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SubmissionError, match="to score against"):
        submission.score(written, tmp_path / "empty")
