"""Padding and resizing to what a network takes, and the way back."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import nn

from tenfold.challenges.kelp.fitting import Fit
from tenfold.challenges.kelp.network import KelpModel
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.challenges.kelp.options import KelpInput
from tenfold.errors import RecipeError

TINY = KelpNet(architecture="fcn", encoder=None, decoder_channels=(4,))
MODES = {"zero": {"mode": "constant"}, "reflect": {"mode": "reflect"}}
MODES["replicate"] = {"mode": "edge"}


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Keep the networks of this file to one core."""


class Spy(nn.Module):
    """A network without neighbours; remembers what it was given."""

    def forward(self, channels):
        self.seen = channels
        return channels[:, :2] * 3 + 1


def spied(**options):
    model = KelpModel(KelpInput(bands=("R", "NIR"), **options), TINY, None)
    model.net = Spy()
    return model


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


# Padding.


@pytest.mark.parametrize("pad", ["zero", "reflect", "replicate"])
@pytest.mark.parametrize(
    ("size", "length", "side"),
    [
        (None, 350, 352),
        (None, 64, 64),
        (None, 97, 128),
        (416, 350, 416),
        (416, 97, 128),
    ],
)
def test_padding_is_of_its_kind_and_comes_off_in_place(pad, size, length, side):
    """A size is of whole tiles; a crop is padded as far as the network needs."""
    model = spied(pad=pad, size=size)
    channels = noise(1, 2, length, length)
    logits = model.logits(torch.from_numpy(channels)).numpy()
    np.testing.assert_array_equal(logits, channels * 3 + 1)
    first = (side - length) // 2
    both = (first, side - length - first)
    expected = np.pad(channels, ((0, 0), (0, 0), both, both), **MODES[pad])
    np.testing.assert_array_equal(model.net.seen.numpy(), expected)


def test_sides_are_padded_each_by_its_own():
    model = spied()
    channels = noise(1, 2, 97, 130)
    logits = model.logits(torch.from_numpy(channels)).numpy()
    np.testing.assert_array_equal(logits, channels * 3 + 1)
    assert model.net.seen.shape == (1, 2, 128, 160)


def test_a_size_that_the_network_cannot_take_is_refused_with_two_that_it_can():
    with pytest.raises(RecipeError, match=r"size 360 is no multiple of 32.*384 or 352"):
        spied(size=360)


def test_too_wide_a_reflection_is_refused_in_words():
    fit = Fit(KelpInput(pad="reflect"), multiple=224)
    with pytest.raises(RecipeError, match="reflect cannot make 64×64 px 224×224"):
        fit.pad(torch.zeros(1, 2, 64, 64))


# Resizing.


def at_centres(plane, side, order):
    """Sample a plane at the centres of `side` pixels across, as SciPy does it."""
    centres = (np.arange(side) + 0.5) * len(plane) / side - 0.5
    grid = np.meshgrid(centres, centres, indexing="ij")
    return map_coordinates(plane.astype(np.float64), grid, order=order, mode="nearest")


@pytest.mark.parametrize("side", [224, 512])
def test_a_bilinear_resize_samples_between_pixels(side):
    model = spied(size=side, fit="resize")
    channels = noise(1, 2, 350, 350)
    model.scores(torch.from_numpy(channels))
    expected = at_centres(channels[0, 1], side, order=1)
    np.testing.assert_allclose(model.net.seen[0, 1].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("mode", ["nearest-exact", "bilinear", "bicubic"])
def test_a_resize_leaves_a_ramp_a_ramp(mode):
    """Of a plane in space every interpolation gives the plane, but at the rim."""
    rows = np.broadcast_to(np.arange(350, dtype=np.float32)[:, None], (350, 350))
    model = spied(size=640, fit="resize", interpolation=mode)
    model.scores(torch.from_numpy(np.stack([rows, rows])[None].copy()))
    expected = (np.arange(640) + 0.5) * 350 / 640 - 0.5
    # Nearest is off by half a pixel at most; PyTorch's cubic (a = -0.75) bends a bit.
    slack = {"nearest-exact": 0.5, "bilinear": 0, "bicubic": 0.1}[mode]
    found = model.net.seen[0, 0, 8:-8, 300].numpy()
    np.testing.assert_allclose(found, expected[8:-8], atol=slack + 1e-3)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_makes_no_new_values(mode):
    model = spied(size=448, fit="resize", interpolation=mode)
    channels = (noise(1, 2, 350, 350) < 0.5).astype(np.float32)
    model.scores(torch.from_numpy(channels))
    assert set(np.unique(model.net.seen.numpy())) == {0.0, 1.0}


def test_masks_and_validity_keep_their_type_and_their_place():
    fit = Fit(KelpInput(size=704, fit="resize"), 32)
    mask = torch.zeros(1, 350, 350, dtype=torch.bool)
    mask[0, 100:200, 50:300] = True
    found = fit.labels(mask)
    assert found.dtype == torch.bool
    assert found.shape == (1, 704, 704)
    rows, columns = np.nonzero(found[0].numpy())
    factor = 704 / 350
    for places, first, last in ((rows, 100, 200), (columns, 50, 300)):
        assert abs(places.min() - first * factor) <= 1
        assert abs(places.max() + 1 - last * factor) <= 1


def test_without_a_resize_labels_are_themselves():
    mask = torch.zeros(1, 350, 350)
    assert Fit(KelpInput(size=512), 32).labels(mask) is mask


def test_crops_are_enlarged_as_whole_tiles_are():
    model = spied(size=704, fit="resize")
    model.scores(torch.zeros(1, 2, 128, 175))
    # 128 · 704/350 = 257.5 and 175 · 704/350 = 352, padded to multiples of 32.
    assert model.net.seen.shape == (1, 2, 288, 352)


@pytest.mark.parametrize("undo", ["nearest", "bilinear"])
@pytest.mark.parametrize("side", [224, 352, 704, 1024])
def test_logits_come_back_at_the_size_of_the_tile(undo, side):
    """A smooth pattern survives the way there and back."""
    model = spied(size=side, fit="resize", undo=undo)
    y, x = np.mgrid[:350, :350].astype(np.float32)
    pattern = np.sin(x / 40) * np.cos(y / 30)
    channels = torch.from_numpy(np.stack([pattern, -pattern])[None])
    logits = model.logits(channels)
    assert logits.shape == (1, 2, 350, 350)
    # Half a pixel of the coarser grid, at 1/30 a pixel of slope.
    slack = 3 * (0.08 if undo == "nearest" else 0.005)
    found = logits[0, 0].numpy()
    # At the rim there is nothing beyond to average.
    inside = np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(found[inside], (pattern * 3 + 1)[inside], atol=slack)


def test_going_back_down_averages_all_pixels():
    """Each tile pixel is a mean, so none of the network's is left unseen."""
    fit = Fit(KelpInput(size=1056, fit="resize"), 32)
    checks = torch.zeros(1, 1, 1056, 1056)
    checks[..., ::3, ::3] = 9.0
    found = fit.back(checks, 352, 352)[..., 2:-2, 2:-2]
    assert found.min() > 0.5
    assert found.mean() == pytest.approx(1.0, abs=0.01)
