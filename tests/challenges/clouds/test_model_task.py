"""A clouds member as a learning task: what is moved and counted, outputs, weights."""

import numpy as np
import polars as pl
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from tenfold.challenges.clouds.learning import moved, unpacked
from tenfold.challenges.clouds.model import task
from tenfold.challenges.clouds.network import Scores
from tenfold.challenges.clouds.options import CloudsClassifier, CloudsSegmenter
from tenfold.challenges.clouds.outputs import encode
from tenfold.challenges.clouds.planes import pack_planes, unpack_planes

TINY = "mobilenetv3_small_050"
H, W = 64, 96
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BOXES = {
    0: (slice(4, 44), slice(0, 40)),
    1: (slice(20, 60), slice(50, 96)),
    2: (slice(0, 30), slice(30, 80)),
    3: (slice(36, 64), slice(8, 60)),
}


@pytest.fixture(autouse=True)
def _one_thread():
    """Two threads that share a busy core wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def segmenter(**sections):
    """A member that paints, and its task."""
    options = {"net": {"encoder": f"tu-{TINY}"}, **sections}
    training = {"epochs": 1, "batch": 4, **options.pop("training", {})}
    member = CloudsSegmenter(name="seg", training=training, **options)
    return member, task(None, member)


def classifier(**sections):
    """A member that names classes, and its task."""
    options = {"net": {"backbone": TINY, "dropout": 0.0}, **sections}
    training = {"epochs": 1, "batch": 4, **options.pop("training", {})}
    member = CloudsClassifier(name="cls", training=training, role="cls", **options)
    return member, task(None, member)


def sample(number, classes):
    """A picture whose boxes have a colour a class, and its arrays."""
    rng = np.random.default_rng(number)
    picture = rng.integers(40, 80, (H, W, 3)).astype(np.uint8)
    masks = np.zeros((4, H, W), bool)
    for c in classes:
        masks[(c, *BOXES[c])] = True
        picture[BOXES[c]] = np.roll([230, 120, 20], c) if c < 3 else 255
    return {"picture": picture, "classes": pack_planes(masks)}


SAMPLES = [sample(i, classes) for i, classes in enumerate([(0,), (1,), (2,), (3,)])]


def batch_of(arrays, moves=None):
    names = ("picture", "classes")
    batch = {n: torch.from_numpy(np.stack([a[n] for a in arrays])) for n in names}
    still = np.array([0, 0, 1, 0] + [1] * 10, np.float32)
    rows = [still] * len(arrays) if moves is None else moves
    return {**batch, "moves": torch.from_numpy(np.stack(rows).astype(np.float32))}


def normalised(picture):
    shares = np.moveaxis(picture, -1, 0) / 255
    return (shares - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]


class Fixed(nn.Module):
    """A network that says what it was told, so that a loss can be worked out."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.ParameterList([nn.Parameter(x) for x in logits])

    def forward(self, _):
        return tuple(self.logits) if len(self.logits) > 1 else self.logits[0]


def model_with(learner, *logits):
    model = learner.model(None)
    model.net = Fixed(*(torch.as_tensor(x) for x in logits))
    return model


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, np.float64)))


# Examples.


def test_an_example_is_the_packed_sample_and_a_move_of_its_own():
    _, learner = segmenter()
    arrays = SAMPLES[0] | {"truth": np.zeros((350, 525), np.uint8)}
    example = learner.example(arrays, np.random.default_rng(0))
    assert set(example) == {"picture", "classes", "moves"}
    assert example["picture"].dtype == example["classes"].dtype == np.uint8
    again = learner.example(arrays, np.random.default_rng(0))
    other = learner.example(arrays, np.random.default_rng(1))
    np.testing.assert_array_equal(example["moves"], again["moves"])
    assert not np.array_equal(example["moves"], other["moves"])
    assert set(learner.whole(arrays)) == {"picture"}
    assert set(learner.labelled(arrays)) == {"picture", "classes"}
    assert learner.channels() is None
    assert learner.draw_weights(pl.DataFrame({"id": ["a"]})) is None


def test_bits_are_unpacked_on_the_device_as_they_were_packed():
    bits = np.random.default_rng(0).integers(0, 16, (3, 5, 7)).astype(np.uint8)
    found = unpacked(torch.from_numpy(bits))
    assert found.dtype == torch.bool
    expected = np.stack([unpack_planes(one) for one in bits])
    np.testing.assert_array_equal(found.numpy(), expected)


def test_picture_and_masks_are_flipped_together_and_normalised():
    _, learner = segmenter()
    flips = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 0]]
    batch = batch_of(SAMPLES, [np.array(f + [1] * 10) for f in flips])
    image, truth = moved(learner.model(None), batch)
    for n, (left_right, up_down, *_) in enumerate(flips):
        axes = [a for a, flip in ((1, left_right), (0, up_down)) if flip]
        picture = np.flip(SAMPLES[n]["picture"], axes)
        np.testing.assert_allclose(image[n], normalised(picture), atol=1e-5)
        masks = unpack_planes(np.flip(SAMPLES[n]["classes"], axes))
        np.testing.assert_array_equal(truth[n].numpy(), masks)


def test_what_a_turn_brings_in_is_black_before_it_is_normalised():
    _, learner = segmenter()
    turned = np.array([0, 0, 0.8, 30] + [1] * 10)
    white = SAMPLES[0] | {"picture": np.full((H, W, 3), 255, np.uint8)}
    image, truth = moved(learner.model(None), batch_of([white], [turned]))
    black = normalised(np.zeros((1, 1, 3)))[:, 0, 0]
    np.testing.assert_allclose(image[0, :, 0, 0], black, atol=1e-5)
    white = normalised(np.full((1, 1, 3), 255))[:, 0, 0]
    np.testing.assert_allclose(image[0, :, H // 2, W // 2], white, atol=1e-4)
    assert not truth[0, :, 0, 0].any()


# Steps.


def rows_dice(logits, truth):
    """Dice of each row as published, in loops."""
    found = []
    for n, c in np.ndindex(truth.shape[:2]):
        p, t = logits[n, c] > 0, truth[n, c]
        found.append((2 * (p & t).sum() + 1e-9) / (p.sum() + t.sum() + 1e-9))
    return np.reshape(found, truth.shape[:2])


def test_counts_and_figures_of_a_step():
    rng = np.random.default_rng(4)
    logits = rng.normal(-1, 2, (4, 4, H, W)).astype(np.float32)
    logits[0, 1:3] = -5  # rightly silent
    _, learner = segmenter(loss={"bce": 1, "dice": 0.5, "rows": "dice-positive"})
    loss, counts = learner.step(model_with(learner, logits), batch_of(SAMPLES))
    truth = np.stack([unpack_planes(a["classes"]) for a in SAMPLES])
    dice, there = rows_dice(logits, truth), truth.any(axis=(2, 3))
    figures = learner.step_figures({k: v.item() for k, v in counts.items()})
    assert figures["dice"] == pytest.approx(dice.mean(), rel=1e-6)
    assert figures["dice_positive"] == pytest.approx(dice[there].mean(), rel=1e-6)
    parts = figures["loss_bce"] + 0.5 * figures["loss_dice"]
    assert parts == pytest.approx(loss.item(), rel=1e-6)
    s = sigmoid(logits)
    bce = -(truth * np.log(s) + ~truth * np.log(1 - s)).mean()
    assert figures["loss_bce"] == pytest.approx(bce, rel=1e-5)


def test_a_single_part_is_not_told_twice_nor_a_dice_of_no_rows():
    _, learner = segmenter()
    nothing = [a | {"classes": np.zeros((H, W), np.uint8)} for a in SAMPLES]
    logits = np.full((4, 4, H, W), -1, np.float32)
    _, counts = learner.step(model_with(learner, logits), batch_of(nothing))
    figures = learner.step_figures({k: v.item() for k, v in counts.items()})
    assert figures == {"dice": 1.0}


def test_a_row_that_a_move_took_out_of_the_picture_is_empty():
    """Presence is of the moved masks: a mask in a corner that is turned away."""
    masks = np.zeros((4, H, W), bool)
    masks[2, :3, :3] = True
    corner = SAMPLES[0] | {"classes": pack_planes(masks)}
    turned = np.array([0, 0, 1.2, 30] + [1] * 10)
    logits = np.random.default_rng(0).normal(0, 1, (1, 4, H, W)).astype(np.float32)
    _, learner = segmenter(loss={"dice": 1, "rows": "positive"})
    model = model_with(learner, logits)
    stays, _ = learner.step(model, batch_of([corner]))
    assert stays.item() > 0.9
    goes, counts = learner.step(model, batch_of([corner], [turned]))
    assert goes.item() == 0
    assert counts["positives"] == 0
    goes.backward()
    assert not model.net.logits[0].grad.any()
    _, learner = classifier(loss={"positive": 1, "negative": 0})
    model = model_with(learner, np.zeros((1, 4), np.float32))
    assert learner.step(model, batch_of([corner]))[0].item() > 0.6
    assert learner.step(model, batch_of([corner], [turned]))[0].item() == 0


def test_a_classifiers_step():
    logits = np.random.default_rng(1).normal(0, 2, (4, 4)).astype(np.float32)
    _, learner = classifier()
    loss, counts = learner.step(model_with(learner, logits), batch_of(SAMPLES))
    there, s = np.eye(4, dtype=bool), sigmoid(logits)
    expected = -np.log(s[there]).mean() - np.log(1 - s[~there]).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    figures = learner.step_figures({k: v.item() for k, v in counts.items()})
    assert figures == {"accuracy": pytest.approx(((logits > 0) == there).mean())}


# Outputs.


def test_outputs_are_probabilities_in_steps_and_of_the_head():
    rng = np.random.default_rng(2)
    pixels = rng.normal(0, 3, (2, 4, H, W)).astype(np.float32)
    presence = rng.normal(0, 3, (2, 4)).astype(np.float32)
    _, learner = segmenter()
    batch = {"picture": torch.from_numpy(np.stack([SAMPLES[0]["picture"]] * 2))}
    with torch.inference_mode():
        plain = learner.outputs(model_with(learner, pixels), batch)
        headed = learner.outputs(model_with(learner, pixels, presence), batch)
    assert set(plain) == {"prob"}
    assert set(headed) == {"prob", "presence"}
    expected = encode(torch.sigmoid(torch.from_numpy(pixels)).numpy())
    for found in (plain, headed):
        assert found["prob"].dtype == np.uint8
        np.testing.assert_array_equal(found["prob"], expected)
    assert headed["presence"].dtype == np.float32
    np.testing.assert_allclose(headed["presence"], sigmoid(presence), rtol=1e-5)


def said(model, pictures):
    """Probabilities of a plain forward: pixels' and presence's, or presence's."""
    with torch.inference_mode():
        found = model(torch.from_numpy(np.ascontiguousarray(pictures)))
    if isinstance(found, Scores):
        return [torch.sigmoid(part).numpy() for part in found]
    return [torch.sigmoid(found).numpy()]


@pytest.mark.parametrize(
    ("tta", "axes"), [("none", []), ("horizontal", [2]), ("mirrors", [2, 1])]
)
def test_views_are_turned_back_where_there_is_a_place(tta, axes):
    """By hand on pictures; a class's presence is the same upside down."""
    net = {"encoder": f"tu-{TINY}", "head": True}
    pictures = np.stack([a["picture"] for a in SAMPLES[:2]])
    batch = {"picture": torch.from_numpy(pictures)}
    torch.manual_seed(0)
    _, paints = segmenter(net=net, inference={"tta": tta})
    painter = paints.model(None).eval()
    _, names = classifier(inference={"tta": tta})
    namer = names.model(None).eval()
    with torch.no_grad():
        for part in (painter.net.segmentation_head, painter.net.classification_head):
            for parameter in part.parameters():
                parameter.mul_(20)
    prob, presence = said(painter, pictures)
    named = said(namer, pictures)[0]
    for axis in axes:
        seen = said(painter, np.flip(pictures, axis))
        # Pictures have their colours last, planes have no colours.
        prob = prob + np.flip(seen[0], axis + 1)
        presence = presence + seen[1]
        named = named + said(namer, np.flip(pictures, axis))[0]
    views = 1 + len(axes)
    with torch.inference_mode():
        found = paints.outputs(painter, batch)
        found_names = names.outputs(namer, batch)
    assert np.abs(found["prob"] - prob / views * 255).max() < 0.51
    np.testing.assert_allclose(found["presence"], presence / views, rtol=1e-4)
    np.testing.assert_allclose(found_names["presence"], named / views, rtol=1e-4)
    if axes:
        plain = encode(said(painter, pictures)[0])
        assert (found["prob"] != plain).mean() > 0.2


@pytest.mark.parametrize("make", [segmenter, classifier])
def test_assess_gives_the_plain_outputs_and_the_loss_without_moves(make):
    """Validation scores every epoch; views would take their time each time."""
    _, learner = make(inference={"tta": "mirrors"})
    _, plain = make()
    model, batch = learner.model(None).eval(), batch_of(SAMPLES)
    held_out = {name: batch[name] for name in ("picture", "classes")}
    with torch.inference_mode():
        outputs, loss = learner.assess(model, held_out)
        expected = plain.outputs(model, held_out)
        same, _ = learner.step(model, batch)
    assert outputs.keys() == expected.keys()
    for name, values in outputs.items():
        np.testing.assert_array_equal(values, expected[name])
    torch.testing.assert_close(loss, same)


# Weights.


@pytest.mark.parametrize(
    ("make", "net", "prefix"),
    [
        (segmenter, {"encoder": "tu-test_resnet"}, "net.encoder.model."),
        (classifier, {"backbone": "test_resnet"}, "net.backbone."),
    ],
)
def test_a_member_starts_from_weights_and_is_restored_without_them(
    make, net, prefix, tmp_path
):
    path = tmp_path / "test_resnet.r160_in1k.safetensors"
    torch.manual_seed(3)
    pretrained = timm.create_model("test_resnet").state_dict()
    save_file({k: t.clone().contiguous() for k, t in pretrained.items()}, path)
    _, learner = make(net={**net, "weights": str(path)}, input={"normalise": "encoder"})
    assert learner.files() == {"encoder": path}
    model = learner.model(None)
    state = model.state_dict()
    name = "layer2.0.conv1.weight"
    found = [t for k, t in state.items() if k.startswith(prefix) and k.endswith(name)]
    assert torch.equal(found[0], pretrained[name])
    description = learner.describe(model)
    assert len(description["pretrained_sha256"]) == 64
    assert description["classes"] == ["Fish", "Flower", "Gravel", "Sugar"]
    assert description["parameters"] == sum(p.numel() for p in model.parameters())
    path.unlink()
    restored = learner.restore(description)
    restored.load_state_dict(state)
    picture = torch.from_numpy(SAMPLES[0]["picture"][None])
    with torch.inference_mode():
        one, two = (net.eval()(picture) for net in (model, restored))
    one, two = (x[0] if isinstance(x, Scores) else x for x in (one, two))
    assert torch.equal(one, two)
