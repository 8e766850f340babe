"""Whole tiles by views and windows, in every precision, against forwards by hand."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp.inference import probabilities
from tenfold.challenges.kelp.model import task
from tenfold.challenges.kelp.outputs import decode
from tenfold.challenges.kelp.tiles import pack_tile
from tenfold.data.statistics import Statistics
from tenfold.recipe import Inference
from tenfold.training.engines import find_engine
from tenfold.training.windows import starts, weights

MEMBER, GAP = "members.unet-quantile", -32768


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Keep the networks of this file to one core."""


def learner(*settings):
    recipe = load_recipe("kelp", "smoke", [f"{MEMBER}.{s}" for s in settings])
    return task(recipe, recipe.member("unet-quantile"))


@pytest.fixture(scope="module")
def raws(kelp):
    """Two tiles with bright patches, some land, and a gap in the imagery."""
    made = []
    for seed in (0, 1):
        raw = kelp.make_tile(seed=seed)
        raw[1, 200:300, 40:120] += 9000
        raw[6, :60, 250:] = 80
        raw[:5, 100:110] = kelp.GAP
        made.append(raw)
    return made


@pytest.fixture(scope="module")
def model():
    """A network of random weights, scaled so that it is sure of some pixels."""
    learn = learner()
    names = learn.channels().names
    low = {name: 0.0 if name[0] == "N" and name != "NIR" else 6000.0 for name in names}
    high = {name: 1.0 if low[name] == 0 else 15_000.0 for name in names}
    one = dict.fromkeys(names, 1.0)
    torch.manual_seed(3)
    made = learn.model(
        Statistics(mean=low, std=one, low=low, high=high, q01=low, q99=high)
    )
    with torch.no_grad():
        for parameter in made.net.segmentation_head.parameters():
            parameter.mul_(20)
    return made.eval()


def said(model, raws):
    """The plain forward: softmax of the two logits."""
    with torch.inference_mode():
        logits = model(torch.from_numpy(np.stack(raws)))
        return torch.softmax(logits, dim=1)[:, 1]


def outputs(learn, model, raws):
    batch = {"raw": torch.from_numpy(np.stack(raws))}
    with torch.inference_mode():
        return learn.outputs(model, batch)["prob"]


def test_the_network_of_these_tests_is_of_many_minds(model, raws):
    prob = said(model, raws)
    assert prob.std() > 0.05
    mirrored = said(model, [raw[..., ::-1].copy() for raw in raws]).flip(-1)
    assert (prob - mirrored).abs().mean() > 0.02


def test_without_options_outputs_are_the_plain_forward_to_the_bit(model, raws):
    expected = np.rint(said(model, raws).numpy() * 255)
    found = outputs(learner(), model, raws)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("tta", "views"), [("flips", 4), ("dihedral", 8)])
def test_views_are_a_mean_of_probabilities_of_raw_tiles(model, raws, tta, views):
    """By hand on raw tiles: what is moved before preprocessing or after is the same."""
    raw = torch.from_numpy(np.stack(raws))
    seen = []
    for mirror in (False, True):
        for turns in (0, 2) if views == 4 else range(4):
            turned = torch.rot90(raw.flip(-1) if mirror else raw, turns, (-2, -1))
            back = torch.rot90(said(model, turned.numpy()), -turns, (-2, -1))
            seen.append(back.flip(-1) if mirror else back)
    assert len(seen) == views
    expected = torch.stack(seen).mean(dim=0).numpy() * 255
    found = outputs(learner(f"inference.tta={tta}"), model, raws)
    assert np.abs(found - expected).max() < 0.51
    plain = outputs(learner(), model, raws)
    assert (found != plain).mean() > 0.3


def test_windows_are_blended_over_the_whole_tile(model, raws):
    learn = learner("inference.window=192", "inference.overlap=0.25")
    found = outputs(learn, model, raws[:1])[0]
    top, bottom = np.zeros((350, 350)), np.zeros((350, 350))
    weight = weights(192, 192).double().numpy()
    places = starts(350, 192, 0.25)
    assert len(places) == 3
    for i in places:
        for j in places:
            part = said(model, [raws[0][:, i : i + 192, j : j + 192]])[0]
            top[i : i + 192, j : j + 192] += weight * part.double().numpy()
            bottom[i : i + 192, j : j + 192] += weight
    assert np.abs(found - top / bottom * 255).max() < 0.51
    assert (found != outputs(learner(), model, raws[:1])[0]).mean() > 0.1


def test_a_window_larger_than_the_tile_is_the_tile(model, raws):
    found = outputs(learner("inference.window=512"), model, raws)
    np.testing.assert_array_equal(found, outputs(learner(), model, raws))


def test_every_window_is_seen_in_every_view():
    shapes = []

    def see(channels):
        shapes.append(tuple(channels.shape))
        return channels[:, 0].sigmoid()

    channels = torch.randn(1, 2, 64, 96, generator=torch.Generator().manual_seed(0))
    options = Inference(tta="dihedral", window=64, overlap=0.5)
    found = probabilities(see, channels, options)
    assert shapes == [(1, 2, 64, 64)] * 8 * 2
    torch.testing.assert_close(found, channels[:, 0].sigmoid(), atol=1e-6, rtol=0)


def test_validation_while_training_stays_plain(model, raws):
    """`assess` scores every epoch; views would take their time each time."""
    batch = {
        "raw": torch.from_numpy(np.stack(raws)),
        "mask": torch.zeros(2, 350, 350, dtype=torch.uint8),
    }
    with torch.inference_mode():
        found, _ = learner("inference.tta=dihedral").assess(model, batch)
    np.testing.assert_array_equal(found["prob"], outputs(learner(), model, raws))


class Samples:
    def __init__(self, raws):
        self._arrays = {str(i): pack_tile(raw, None) for i, raw in enumerate(raws)}

    def sample(self, id_):
        return self._arrays[id_]


@pytest.mark.parametrize(
    "precision", ["16-mixed", "bf16-mixed", "16-true", "bf16-true"]
)
@pytest.mark.parametrize("tta", ["none", "flips"])
def test_half_precision_says_nearly_the_same(model, raws, precision, tta, tmp_path):
    """Weights and layers lose digits; raw values, which need 16 bits, keep theirs.

    Values between 9000 and 9100 are all one in bfloat16, and 65535 is none in float16.
    """
    dim = [raw.copy() for raw in raws]
    for raw in dim:
        known = raw[:5] != GAP
        raw[:5][known] = 9000 + raw[:5][known] % 100
    dim[0][4, :40] = 65_535
    learn = learner(f"inference.tta={tta}")
    state = {k: t.clone().contiguous() for k, t in model.state_dict().items()}
    narrow = {"low": 9000.0, "high": 9100.0, "shift": 9000.0, "scale": 0.01}
    for name, value in narrow.items():
        state[f"preprocess.{name}"][:5] = value
    save_file(state, tmp_path / "weights.safetensors")

    def run(precision):
        engine, file = find_engine("torch"), tmp_path / "weights.safetensors"
        runner = engine.load(learn, learn.describe(model), file, precision)
        found = dict(runner(Samples(dim), ["0", "1"], 2))
        assert all(o["prob"].dtype == np.uint8 for o in found.values())
        return decode(np.stack([found[i]["prob"] for i in ("0", "1")]))

    whole, half = run("32-true"), run(precision)
    # float16 keeps 11 binary digits, bfloat16 8.
    tolerance = 0.0005 if precision.startswith("16") else 0.002
    difference = np.abs(half - whole)
    assert difference.mean() < tolerance
    assert difference.max() < 100 * tolerance
    if "true" in precision:
        assert difference.any()
    assert torch.get_default_dtype() == torch.float32
