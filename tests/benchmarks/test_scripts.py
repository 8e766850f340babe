"""Every benchmark runs in its quickest mode, and both its ways agree."""

import numpy as np
import pytest
import torch

from benchmarks import (
    channel_statistics,
    clouds_cascade,
    clouds_ingest,
    codec,
    contrails_records,
    feed,
    grouping,
    ingest,
    overhead,
    predict,
)
from benchmarks.__main__ import SUBJECTS
from benchmarks.sample import tiles
from benchmarks.table import COLUMNS


@pytest.fixture(autouse=True)
def _leave_torch_alone():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def check(rows):
    assert rows
    for row in rows:
        assert tuple(row) == COLUMNS
        assert row["what"]
        for name in ("ours", "plain"):
            # Nothing where there is no plain way to compare with.
            assert row[name] is None or float(row[name]) >= 0
        assert row["ratio"] is None or row["ratio"] > 0


@pytest.mark.parametrize("module", [feed, channel_statistics, ingest, codec])
def test_both_ways_agree_and_are_measured(module):
    check(module.rows(quick=True))


def test_the_comparison_would_notice_another_augmentation():
    sample = tiles(8, 4)
    channels = feed.KelpTask(sample.member).channels()
    statistics = sample.dataset.statistics(channels, sample.ids)
    ours, theirs = (kind(sample, statistics, 4) for kind in (feed.Ours, feed.Plain))
    moves = [each["moves"] for each in ours.batches()]
    assert any((some[:, 3] != 0).any() for some in moves)
    turned = [some * torch.tensor([1, 1, 1, -1]) for some in moves]
    with pytest.raises(AssertionError):
        feed._agree(ours, theirs, turned)


def test_both_ways_predict_the_same(tmp_path):
    sample = tiles(8)
    predict.prepare(tmp_path, sample, 2, (2,))
    files = [str(sample.files[n][0]) for n in range(2)]
    predict.ours(str(tmp_path), 2, 2)
    predict.theirs(str(tmp_path), 2, 2, files)
    predict.agree(tmp_path, 2, 2)
    # Not because both are empty.
    assert (
        np.unique(predict.Dataset(tmp_path / "ours-2-2").sample("T00000")["prob"]).size
        > 3
    )
    predict.theirs(str(tmp_path), 1, 2, files[::-1])
    (tmp_path / "plain-2-2").rename(tmp_path / "kept")
    (tmp_path / "plain-1-2").rename(tmp_path / "plain-2-2")
    with pytest.raises(AssertionError):
        predict.agree(tmp_path, 2, 2)


def test_the_comparison_would_notice_another_code(monkeypatch):
    monkeypatch.setattr(codec.plain, "encode_mask", lambda _: "1 1")
    with pytest.raises(AssertionError):
        codec.rows(quick=True)


def test_all_subjects_are_run():
    named = {"feed", "channel_statistics", "ingest", "grouping", "predict"}
    named |= {"codec", "clouds_ingest", "clouds_cascade", "contrails_records"}
    assert named | {"overhead"} == set(SUBJECTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [grouping, predict, clouds_ingest, clouds_cascade, contrails_records, overhead],
)
def test_the_long_ones_run_too(module):
    check(module.rows(quick=True))
