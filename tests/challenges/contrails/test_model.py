"""A contrails member as a learning task: what is seen, learned from, and given out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tenfold.challenges.contrails.losses import pixel_loss
from tenfold.challenges.contrails.model import dice_counts, logit_of, task
from tenfold.challenges.contrails.networks.heads import shift_back
from tenfold.challenges.contrails.options import ContrailsRecipe
from tenfold.challenges.contrails.outputs import decode, encode
from tenfold.errors import RecipeError

SIDE = 32
TINY = {"widths": (4, 8)}
SYMMETRIC = {**TINY, "head": "symmetric"}


def learner(data=None, **sections):
    member = {"name": "unet", "training": {"epochs": 1, "batch": 2}, "net": TINY}
    recipe = ContrailsRecipe(
        challenge="contrails",
        name="test",
        about="a test",
        lands_near="nothing",
        data={"side": SIDE, **(data or {})},
        members=({**member, **sections},),
    )
    return task(recipe, recipe.members[0])


def record(seed=0, frames=1, dtype=np.uint8, side=SIDE):
    """A packed record: a bright bar, of which three of four annotators see a part."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 90, (frames, side, side, 3)).astype(np.uint8)
    votes = np.zeros((side, side), np.uint8)
    top, left = rng.integers(2, side // 2, 2)
    votes[top : top + 4, left : left + 12] = 4
    votes[top, left : left + 12] = 2
    image[:, votes > 0] += 130
    if dtype == np.float16:
        image = (image / np.float32(255)).astype(np.float16)
    label = (votes > 2).astype(np.uint8)
    return {
        "image": image,
        "label": label,
        "votes": votes,
        "annotators": np.array(4, np.uint8),
    }


def batch_of(*examples):
    return {
        name: tf.constant(np.stack([example[name] for example in examples]))
        for name in examples[0]
    }


class Said(keras.Model):
    """A network that says what it was told, and remembers what it saw."""

    def __init__(self, **logits):
        super().__init__()
        self.logits = {name: tf.constant(v, tf.float32) for name, v in logits.items()}

    def call(self, frames, training=None):
        self.seen, self.trains = frames, training
        return self.logits


def some_logits(count, seed=0):
    return np.random.default_rng(seed).normal(0, 2, (count, SIDE, SIDE, 1))


# What is read.


def test_arrays_stay_as_they_are_packed():
    arrays = record()
    example = learner().example(arrays, np.random.default_rng(0))
    assert set(example) == {"image", "label", "moves"}
    assert example["image"].dtype == np.uint8
    np.testing.assert_array_equal(example["image"], arrays["image"])
    assert example["moves"].shape == (6,)
    assert set(learner().whole(arrays)) == {"image"}
    assert set(learner().labelled(arrays)) == {"image", "label"}
    soft = learner(loss={"labels": "soft"}).labelled(arrays)
    assert set(soft) == {"image", "votes", "annotators"}


def test_a_test_record_has_no_label():
    assert set(learner().whole({"image": record()["image"]})) == {"image"}


def test_of_many_frames_a_network_sees_the_labelled_one_or_all():
    arrays = record(frames=5)
    data = {"frames": 5, "before": 3}
    seen = learner(data).whole(arrays)["image"]
    np.testing.assert_array_equal(seen, arrays["image"][3:4])
    net = {"backbone": "p3d", "architecture": "deeplab"}
    every = learner(data, net=net, input={"frames": "all"})
    np.testing.assert_array_equal(every.whole(arrays)["image"], arrays["image"])
    description = every._shape_of_inputs()
    assert (description["frames"], description["labelled"]) == (5, 3)


# The network and its description.


def test_a_description_rebuilds_the_network():
    learns = learner({"frames": 3}, net=SYMMETRIC)
    model = learns.model(None)
    description = learns.describe(model)
    assert description["classes"] == ["contrail"]
    assert description["parameters"] == sum(
        int(np.prod(v.shape)) for v in model.weights
    )
    assert description["versions"] == {
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    assert (description["frames"], description["side"]) == (1, SIDE)
    assert [c["band"] for c in description["channels"]] == [15, 14, 14]
    # From the description alone, whatever this member says.
    again = learner({"side": 64}).restore(description)
    again.set_weights(model.get_weights())
    frames = np.random.default_rng(0).random((1, 1, SIDE, SIDE, 3), np.float32)
    for name, logits in model(frames).items():
        np.testing.assert_allclose(again(frames)[name], logits, atol=1e-5)


def test_statistics_and_weights_of_samples_are_not_asked_for():
    assert learner().channels() is None
    assert learner().draw_weights(None) is None
    assert learner().files() == {}


def test_pretrained_weights_that_are_not_there_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TENFOLD_WEIGHTS", str(tmp_path))
    net = {"backbone": "resnet50", "weights": "resnet50.h5"}
    learns = learner(net=net, input={"normalise": "caffe"})
    with pytest.raises(RecipeError, match=r"for ResNet50: put resnet50\.h5 in"):
        learns.files()


# The step.


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_a_network_sees_moved_frames_from_0_to_1(dtype):
    learns = learner({"dtype": "float16" if dtype == np.float16 else "uint8"})
    arrays, rng = record(dtype=dtype), np.random.default_rng(3)
    mirrored = learns.example(arrays, rng) | {
        "moves": np.array([-1, 0, SIDE - 1, 0, 1, 0], np.float32)
    }
    model = Said(logit=some_logits(1))
    learns.step(model, batch_of(mirrored))
    assert model.trains is True
    assert model.seen.dtype == tf.float32
    unit = 255 if dtype == np.uint8 else 1
    expected = arrays["image"][None, :, :, ::-1].astype(np.float32) / unit
    np.testing.assert_allclose(model.seen, expected, rtol=1e-6)
    np.testing.assert_array_equal(learns.whole(arrays)["image"], arrays["image"])
    learns.assess(model, batch_of(learns.labelled(arrays)))
    assert not model.trains
    np.testing.assert_allclose(model.seen[:, :, :, ::-1], expected, rtol=1e-6)


@pytest.mark.parametrize("labels", ["majority", "soft"])
def test_the_loss_is_against_the_moved_label(labels):
    learns = learner(
        loss={"labels": labels, "dice": 0.5}, augment={"level": "published-light"}
    )
    examples = [learns.example(record(i), np.random.default_rng(i)) for i in range(3)]
    turn = np.array([0, -1, SIDE - 1, 1, 0, 0], np.float32)
    examples = [{**example, "moves": turn} for example in examples]
    logits = some_logits(3)
    loss, _ = learns.step(Said(logit=logits), batch_of(*examples))
    truth = [
        record(i)["label"] if labels == "majority" else record(i)["votes"] / 4
        for i in range(3)
    ]
    turned = np.rot90(np.stack(truth), 1, (1, 2))[..., None]
    expected = pixel_loss(learns.member.loss, logits, turned)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("labels", ["majority", "soft"])
def test_a_majority_stays_one_under_any_move_and_a_share_is_interpolated(labels):
    learns = learner(loss={"labels": labels}, augment={"level": "full"})
    example = learns.example(record(), np.random.default_rng(0))
    nothing = np.full((1, SIDE, SIDE, 1), -100.0)
    _, counts = learns.step(Said(logit=nothing), batch_of(example))
    # Of a network that finds nothing, the total is that of the moved label.
    pixels = float(counts["dice_coef_total"])
    assert pixels > 10
    assert (pixels == round(pixels)) == (labels == "majority")


def test_counts_are_global_sums_of_two_dice():
    logits = some_logits(2)
    truth = np.stack([record(i)["label"] for i in range(2)])[..., None]
    counts = {k: float(v) for k, v in dice_counts(logits, truth).items()}
    share = 1 / (1 + np.exp(-logits))
    figures = learner().step_figures({k: 2 * v for k, v in counts.items()})
    soft = 2 * (share * truth).sum() / (share.sum() + truth.sum())
    hard = 2 * ((logits > 0) & (truth > 0)).sum() / ((logits > 0).sum() + truth.sum())
    assert figures == pytest.approx({"dice_coef": soft, "dice": hard}, rel=1e-5)
    assert {v.dtype for v in dice_counts(logits, truth).values()} == {tf.float64}


def test_nothing_found_where_nothing_is_is_a_dice_of_1():
    names = ("dice_coef_overlap", "dice_coef_total", "dice_overlap", "dice_total")
    assert learner().step_figures(dict.fromkeys(names, 0.0))["dice"] == 1


# The symmetric head.


def shifted_by_numpy(label):
    wide = np.pad(label.astype(float), ((0, 1), (0, 1)), mode="edge")
    return (wide[:-1, :-1] + wide[1:, :-1] + wide[:-1, 1:] + wide[1:, 1:]) / 4


def test_a_symmetric_head_learns_the_shifted_label_and_the_plain_one_where_it_is():
    learns = learner(net=SYMMETRIC)
    stays = np.array([1, 0, 0, 0, 1, 0], np.float32)
    mirror = np.array([-1, 0, SIDE - 1, 0, 1, 0], np.float32)
    records = [record(i) for i in range(2)]
    examples = [
        {**learns.labelled(r), "moves": m}
        for r, m in zip(records, (stays, mirror), strict=True)
    ]
    own, last = some_logits(2, 1), some_logits(2, 2)
    model = Said(symmetric_logit=own, logit=last)
    loss, counts = learns.step(model, batch_of(*examples))
    labels = [r["label"] for r in records]
    targets = [shifted_by_numpy(labels[0]), np.fliplr(shifted_by_numpy(labels[1]))]
    targets = np.stack(targets)[..., None]
    options = learns.member.loss
    expected = float(pixel_loss(options, own, targets))
    # One of two samples stayed, so its loss counts half.
    expected += 0.5 * float(pixel_loss(options, last[:1], labels[0][None, ..., None]))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    found = dice_counts(own, targets)
    assert {k: float(v) for k, v in counts.items()} == pytest.approx(
        {k: float(v) for k, v in found.items()}
    )


def test_a_symmetric_batch_in_which_all_moved_has_a_loss_of_its_own_head_alone():
    learns = learner(net=SYMMETRIC, loss={"dice": 1.0})
    mirror = np.array([-1, 0, SIDE - 1, 0, 1, 0], np.float32)
    batch = batch_of({**learns.labelled(record()), "moves": mirror})
    own, last = some_logits(1, 1), some_logits(1, 2)
    loss, _ = learns.step(Said(symmetric_logit=own, logit=last), batch)
    target = np.fliplr(shifted_by_numpy(record()["label"]))[None, ..., None]
    expected = float(pixel_loss(learns.member.loss, own, target))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


# Outputs.


def test_outputs_are_probabilities_in_steps():
    logits = some_logits(2)
    batch = batch_of(*(learner().whole(record(i)) for i in range(2)))
    found = learner().outputs(Said(logit=logits), batch)
    share = 1 / (1 + np.exp(-logits[..., 0]))
    assert set(found) == {"prob"}
    assert found["prob"].dtype == tf.uint8
    np.testing.assert_allclose(decode(found["prob"].numpy()), share, atol=0.5 / 255)
    expected = encode(share.astype(np.float32))
    assert (found["prob"].numpy() != expected).mean() < 0.001


def test_assess_gives_the_loss_against_the_label_as_it_is():
    learns, logits = learner(net=SYMMETRIC), some_logits(2)
    records = [record(i) for i in range(2)]
    batch = batch_of(*(learns.labelled(r) for r in records))
    model = Said(logit=logits, symmetric_logit=some_logits(2, 1))
    outputs, loss = learns.assess(model, batch)
    truth = np.stack([r["label"] for r in records])[..., None]
    expected = float(pixel_loss(learns.member.loss, logits, truth))
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    share = 1 / (1 + np.exp(-logits[..., 0]))
    np.testing.assert_allclose(outputs["prob"] / 255, share, atol=0.51 / 255)


def test_compact_probabilities_go_there_and_back():
    steps = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(encode(decode(steps)), steps)
    assert decode(steps).dtype == np.float32


def test_logits_of_sure_probabilities_are_finite():
    found = logit_of(tf.constant([0.0, 0.25, 1.0])).numpy()
    np.testing.assert_allclose(found[1], np.log(1 / 3), rtol=1e-5)
    assert found[0] < -15 < 15 < found[2]
    assert np.isfinite(found).all()


def test_views_are_averaged():
    published = {"level": "published-light"}
    learns = learner(inference={"tta": "horizontal"}, augment=published)
    model = learns.model(None)
    image = record()["image"][None]
    found = learns.outputs(model, {"image": tf.constant(image)})["prob"][0].numpy()
    seen = [
        tf.sigmoid(model(view / np.float32(255))["logit"])[0, ..., 0].numpy()
        for view in (image, image[:, :, :, ::-1])
    ]
    expected = encode((seen[0] + seen[1][:, ::-1]) / 2)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_the_last_layer_of_a_symmetric_head_comes_after_the_views():
    """It shifts one way: shifted in each view, views would lie apart."""
    learns = learner(net=SYMMETRIC, inference={"tta": "dihedral"})
    # A network without neighbours, whose views say the same.
    frames = keras.Input((1, SIDE, SIDE, 3))
    own = 8 * frames[:, 0, ..., :1] - 4
    model = keras.Model(frames, {"logit": shift_back(own), "symmetric_logit": own})
    # A last layer that looks up and to the left, and nowhere else: x is x⁺ - (-x)⁺.
    maps, last = np.zeros((3, 3, 1, 9)), np.zeros((1, 1, 9, 1))
    maps[0, 0, 0, :2] = last[0, 0, :2, 0] = 1, -1
    model.get_layer("shift_maps").set_weights([maps, np.zeros(9)])
    model.get_layer("shift_logit").set_weights([last, np.zeros(1)])
    image = record()["image"]
    batch = {"image": tf.constant(image[None])}
    found = tf.function(lambda b: learns.outputs(model, b)["prob"])(batch)[0]
    share = 1 / (1 + np.exp(4 - 8 * (image[0, ..., 0] / 255)))
    expected = np.pad(share, ((1, 0), (1, 0)), mode="edge")[:-1, :-1]
    np.testing.assert_allclose(found / 255, expected, atol=0.51 / 255)


# Learning.


def test_a_tiny_network_learns_through_its_steps():
    keras.utils.set_random_seed(0)
    loss, half = {"labels": "soft", "dice": 1.0}, {"level": "light", "share": 0.5}
    learns = learner(net=SYMMETRIC, loss=loss, augment=half)
    model, rng = learns.model(None), np.random.default_rng(0)
    optimiser = keras.optimizers.Adam(0.02)
    optimiser.build(model.trainable_variables)

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            loss, counts = learns.step(model, batch)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.apply(gradients, model.trainable_variables)
        return loss, counts

    losses, figures = [], []
    for number in range(40):
        records = [record(4 * (number % 4) + i) for i in range(4)]
        found, counts = step(batch_of(*(learns.example(r, rng) for r in records)))
        losses.append(float(found))
        figures.append(learns.step_figures({k: float(v) for k, v in counts.items()}))
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert np.mean([f["dice"] for f in figures[-5:]]) > 0.7
