"""Preprocessing does not depend on how it is run: in parts, compiled, or restored."""

import numpy as np
import pytest
import torch

from tenfold.challenges.kelp import network
from tenfold.challenges.kelp.channels import reduce_tile, wanted
from tenfold.challenges.kelp.indices import WINNING
from tenfold.challenges.kelp.network import Preprocess
from tenfold.challenges.kelp.options import KelpInput
from tenfold.data.statistics import Partials, StatisticsSum

GAP = -32768


@pytest.fixture
def raw(kelp):
    tiles = [kelp.make_tile(seed=seed)[:, :40, :48] for seed in range(5)]
    batch = np.ascontiguousarray(np.stack(tiles), dtype=np.int32)
    batch[1, :5, 3:9] = GAP
    batch[2, 6, :, 5:20] = GAP
    batch[3, 5, 10:20] = 1
    batch[4, 4, :4] = 0
    return torch.from_numpy(batch)


def statistics_of(raw, options):
    channels = wanted([(options.channels, options.masking)])
    parts = [reduce_tile(tile.numpy(), channels) for tile in raw]
    stacked = {
        name: np.stack([getattr(part, name) for part in parts])
        for name in Partials.__dataclass_fields__
    }
    total = StatisticsSum(channels)
    total.add(Partials(**stacked), range(len(parts)))
    return total.result()


@pytest.fixture(params=["quantile", "z-score"])
def preprocess(request, raw):
    options = KelpInput(indices=WINNING, normalise=request.param)
    return Preprocess(options, statistics_of(raw, options))


@pytest.mark.parametrize("tiles", [1, 2, 4])
def test_parts_of_a_batch_are_the_batch_bit_by_bit(preprocess, raw, tiles, monkeypatch):
    whole = preprocess(raw)
    monkeypatch.setattr(network, "_CPU_PIXELS", tiles * 40 * 48 + 7)
    assert torch.equal(preprocess(raw), whole)


def test_tiles_larger_than_a_part_are_made_too(preprocess, raw, monkeypatch):
    whole = preprocess(raw)
    monkeypatch.setattr(network, "_CPU_PIXELS", 3)
    assert torch.equal(preprocess(raw), whole)


def test_a_compiler_finds_one_graph_of_the_same_numbers(preprocess, raw):
    compiled = torch.compile(preprocess, backend="eager", fullgraph=True, dynamic=False)
    assert torch.equal(compiled(raw), preprocess(raw))


def test_restored_constants_are_used_at_once(preprocess, raw):
    restored = Preprocess(preprocess.options, None)
    assert not torch.equal(restored(raw), preprocess(raw))
    restored.load_state_dict(preprocess.state_dict())
    assert torch.equal(restored(raw), preprocess(raw))


def test_the_model_around_it_may_restore_it(preprocess, raw):
    around = torch.nn.Sequential(Preprocess(preprocess.options, None))
    around.load_state_dict({f"0.{k}": v for k, v in preprocess.state_dict().items()})
    assert torch.equal(around(raw), preprocess(raw))
