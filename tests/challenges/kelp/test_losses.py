"""Every loss against its formula in double precision, and where it might break."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.ndimage import gaussian_filter
from segmentation_models_pytorch import losses as smp

from tenfold.challenges.kelp.choices import (
    LOSSES,
    OF_ONE_CLASS,
    OF_TWO_CLASSES,
    SOFT_TRUTH,
)
from tenfold.challenges.kelp.losses import build_loss
from tenfold.challenges.kelp.network_options import KelpLoss

SHAPE = (3, 8, 9)
CASES = [
    (name, classes)
    for name in LOSSES
    for classes in (1, 2)
    if not (name in OF_TWO_CLASSES and classes == 1)
    and not (name in OF_ONE_CLASS and classes == 2)
]
#: Settings that are not the loss's own.
OTHERS = {
    "ce": {"class_weights": (0.4, 0.6)},
    "soft-ce": {"smoothing": 0.3},
    "bce": {"class_weights": (0.4, 0.6), "smoothing": 0.2},
    "tversky": {"alpha": 0.3, "beta": 0.7, "smooth": 2.0},
    "focal": {"alpha": 0.25, "gamma": 1.5},
    "ce-dice": {"class_weights": (1.0, 3.0), "smooth": 1.0, "parts": (2.0, 0.5)},
    "focal-tversky": {"alpha": 0.3, "beta": 0.7, "gamma": 0.75},
    "hausdorff": {"alpha": 1.0},
    "t-loss": {"nu": 3.0},
    "combo": {"beta": 0.8, "smooth": 0.5, "parts": (0.3, 0.7)},
    "exp-log": {"gamma": 0.5, "smooth": 2.0, "parts": (0.2, 0.8)},
    "focal-dice": {"alpha": 0.6, "gamma": 1.0, "smooth": 3.0, "parts": (2.0, 1.0)},
}


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Keep sums of this file to one core."""


def draw(classes, seed=0, soft=False):
    """Logits, truth and validity; one image has no valid pixel."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (SHAPE[0], classes, *SHAPE[1:])).astype(np.float32)
    truth = (rng.random(SHAPE) < 0.3).astype(np.float32)
    if soft:
        truth = gaussian_filter(truth, (0, 0.5, 0.5)).astype(np.float32)
    valid = rng.random(SHAPE) < 0.8
    valid[2] = False
    return logits, truth, valid


def loss_of(options, logits, truth, valid):
    arrays = (torch.as_tensor(array) for array in (logits, truth, valid))
    return build_loss(options, logits.shape[1])(*arrays)


# Formulas, written from the papers, of one row of pixels.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dice(p, y, smooth):
    # What both hold; for a truth of 0 and 1 it is the sum of their product.
    both = np.minimum(p, y).sum()
    return (2 * both + smooth) / (p.sum() + y.sum() + smooth)


def tversky(p, y, alpha, beta, smooth):
    both = np.minimum(p, y).sum()
    alarms, misses = p.sum() - both, y.sum() - both
    return (both + smooth) / (both + alpha * alarms + beta * misses + smooth)


def overlap(z, y, alpha, beta, smooth):
    """1 - Tversky of each class that there is, a mean over the network's classes."""
    scores = [
        (1 - tversky(p, t, alpha, beta, smooth)) * (t.sum() > 0)
        for p, t in of_classes(z, y)
    ]
    return sum(scores) / len(scores)


def kelp_of(z):
    return z[0] if len(z) == 1 else z[1] - z[0]


def of_classes(z, y):
    p = sigmoid(kelp_of(z))
    return [(p, y)] if len(z) == 1 else [(1 - p, 1 - y), (p, y)]


def entropy(z, y, class_weights, smoothing):
    p = sigmoid(kelp_of(z))
    background, kelp = class_weights or (1, 1)
    weight = np.where(y == 1, kelp, background)
    y = y * (1 - smoothing) + smoothing / 2
    return -(weight * (y * np.log(p) + (1 - y) * np.log(1 - p))).sum() / weight.sum()


def focal(z, y, alpha, gamma):
    """One class against the rest, each by its own logit, as smp has it."""
    total = 0.0
    truths = [y] if len(z) == 1 else [1 - y, y]
    for logit, t in zip(z, truths, strict=True):
        cross = -(t * np.log(sigmoid(logit)) + (1 - t) * np.log(sigmoid(-logit)))
        weight = 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
        total += (weight * (1 - np.exp(-cross)) ** gamma * cross).mean()
    return total / len(z)


def jaccard_of_set(wrong, y):
    """Jaccard loss when exactly the pixels `wrong` are wrong."""
    right_kelp = (y & ~wrong).sum()
    return 1 - right_kelp / (y.sum() + (~y & wrong).sum())


def lovasz_extension(errors, y):
    order = np.argsort(-errors, kind="stable")
    wrong, last, total = np.zeros(len(y), bool), 0.0, 0.0
    for pixel in order:
        wrong[pixel] = True
        value = jaccard_of_set(wrong, y)
        total += errors[pixel] * (value - last)
        last = value
    return total


def lovasz(z, y):
    true = y == 1
    if len(z) == 1:  # the hinge form
        hinge = np.maximum(1 - z[0] * (2 * y - 1), 0)
        return lovasz_extension(hinge, true)
    p = sigmoid(kelp_of(z))
    present = [kind for kind in (true, ~true) if kind.any()]
    return np.mean([lovasz_extension(np.abs(y - p), kind) for kind in present])


def exp_log(z, y, gamma, smooth, parts):
    p = sigmoid(kelp_of(z))
    scores = np.array([dice(1 - p, 1 - y, smooth), dice(p, y, smooth)])
    cross = -np.log(np.where(y == 1, p, 1 - p))
    return (
        parts[0] * ((-np.log(scores)) ** gamma).mean()
        + parts[1] * (cross**gamma).mean()
    )


def combo(z, y, beta, smooth, parts):
    p = sigmoid(kelp_of(z))
    cross = -(beta * y * np.log(p) + (1 - beta) * (1 - y) * np.log(1 - p)).mean()
    return parts[0] * cross + parts[1] * (1 - dice(p, y, smooth))


def focal_dice(z, y, alpha, gamma, smooth, parts):
    kelp = kelp_of(z)
    share = 1 - dice(sigmoid(kelp), y, smooth)
    return parts[0] * focal(kelp[None], y, alpha, gamma) + parts[1] * share


def batch_soft_dice(z, y, smooth):
    p = sigmoid(kelp_of(z))
    return 1 - (dice(p, y, smooth) + dice(1 - p, 1 - y, smooth)) / 2


FLAT = {
    "dice": lambda z, y, smooth: overlap(z, y, 0.5, 0.5, smooth),
    "jaccard": lambda z, y, smooth: overlap(z, y, 1, 1, smooth),
    "tversky": overlap,
    "ce": entropy,
    "soft-ce": entropy,
    "bce": entropy,
    "focal": focal,
    "lovasz": lovasz,
    "ce-dice": lambda z, y, class_weights, smooth, parts: (
        parts[0] * entropy(z, y, class_weights, 0)
        + parts[1] * overlap(z, y, 0.5, 0.5, smooth)
    ),
    "focal-tversky": lambda z, y, gamma, **has: overlap(z, y, **has) ** gamma,
    "log-cosh-dice": lambda z, y, smooth: math.log(
        math.cosh(overlap(z, y, 0.5, 0.5, smooth))
    ),
    "combo": combo,
    "exp-log": exp_log,
    "batch-soft-dice": batch_soft_dice,
    "focal-dice": focal_dice,
}


def t_loss(z, y, nu):
    """By SciPy's density of all of an image's differences as one vector."""
    apart = sigmoid(kelp_of(z)) - y
    density = scipy.stats.multivariate_t(np.zeros(len(y)), np.eye(len(y)), df=nu)
    return -density.logpdf(apart) / len(y)


def distances(inside):
    """Distance of each pixel to the nearest of the other kind, 0 if there is none."""
    places = np.argwhere(np.ones_like(inside))
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    flat = inside.ravel()
    apart[flat[:, None] == flat[None]] = np.inf
    nearest = apart.min(axis=1)
    return np.where(np.isfinite(nearest), nearest, 0).reshape(inside.shape)


def hausdorff(logits, truth, valid, alpha):
    total = 0.0
    for z, y, known in zip(logits, truth, valid, strict=True):
        p, y = sigmoid(kelp_of(z)) * known, y * known
        field = distances(p > 0.5) ** alpha + distances(y > 0.5) ** alpha
        total += ((p - y) ** 2 * field).sum()
    return total / valid.sum()


def by_hand(name, logits, truth, valid, has):
    logits, truth = logits.astype(np.float64), truth.astype(np.float64)
    if name == "hausdorff":
        return hausdorff(logits, truth, valid, **has)
    if name in ("soft-dice", "t-loss"):
        one = t_loss if name == "t-loss" else batch_soft_dice
        images = [
            one(z[:, known], y[known], **has)
            for z, y, known in zip(logits, truth, valid, strict=True)
            if known.any()
        ]
        return np.mean(images)
    row = np.moveaxis(logits, 1, 0)[:, valid]
    return FLAT[name](row, truth[valid], **has)


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize(("name", "classes"), CASES)
def test_a_loss_is_its_formula_over_valid_pixels(name, classes, changed):
    given = OTHERS.get(name, {}) if changed else {}
    options = KelpLoss(name=name, **given)
    logits, truth, valid = draw(classes, seed=len(name))
    expected = by_hand(name, logits, truth, valid, options.settings)
    found = loss_of(options, logits, truth, valid)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize(
    ("name", "classes"), [case for case in CASES if case[0] in SOFT_TRUTH]
)
def test_a_loss_of_shares_is_its_formula_too(name, classes):
    options = KelpLoss(name=name, soft_boundary=0.5)
    logits, truth, valid = draw(classes, seed=3, soft=True)
    assert ((truth[valid] > 0.2) & (truth[valid] < 0.8)).sum() > 10
    expected = by_hand(name, logits, truth, valid, options.settings)
    found = loss_of(options, logits, truth, valid).item()
    assert found == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("kelp", [0, 1])
@pytest.mark.parametrize(("name", "classes"), CASES)
def test_a_loss_is_its_formula_where_a_class_is_absent(name, classes, kelp):
    options = KelpLoss(name=name)
    logits, _, valid = draw(classes, seed=9)
    truth = np.full(SHAPE, kelp, np.float32)
    expected = by_hand(name, logits, truth, valid, options.settings)
    found = loss_of(options, logits, truth, valid).item()
    assert found == pytest.approx(expected, rel=2e-5, abs=1e-6)


def test_dice_of_few_pixels_by_hand():
    # All logits are 0 but for 32 kelp pixels that are sure of kelp.
    logits = np.zeros((1, 2, 32, 32), np.float32)
    logits[0, 1, 0] = 50
    truth = np.zeros((1, 32, 32), np.uint8)
    truth[0, 0] = 1
    # Kelp: p·y = 32, p + y = 32 + 992/2 + 32. Background: 496, 496 + 992.
    kelp, background = 2 * 32 / 560, 2 * 496 / 1488
    found = loss_of(KelpLoss(name="dice"), logits, truth, np.ones((1, 32, 32), bool))
    expected = ((1 - kelp) + (1 - background)) / 2
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_soft_dice_is_monais():
    monai = pytest.importorskip("monai.losses.dice")
    logits, truth, _ = draw(2, seed=8)
    valid = np.ones(SHAPE, bool)
    planes = torch.as_tensor(np.stack([1 - truth, truth], axis=1))
    for name, batch in (("soft-dice", False), ("batch-soft-dice", True)):
        theirs = monai.DiceLoss(softmax=True, batch=batch, smooth_nr=1, smooth_dr=1)
        expected = theirs(torch.as_tensor(logits), planes).item()
        found = loss_of(KelpLoss(name=name), logits, truth, valid).item()
        assert found == pytest.approx(expected, rel=1e-5), name


def test_focal_tversky_is_smps_but_for_a_loss_of_zero():
    options = KelpLoss(name="focal-tversky", gamma=0.75)
    theirs = smp.TverskyLoss("binary", **options.settings)
    logits, truth, _ = draw(1, seed=12)
    valid = np.ones(SHAPE, bool)
    found, slopes = [], []
    for mask in (truth, np.zeros_like(truth)):
        leaves = [torch.tensor(logits, requires_grad=True) for _ in range(2)]
        planes = torch.as_tensor(mask)[:, None]
        losses = loss_of(options, leaves[0], mask, valid), theirs(leaves[1], planes)
        for loss in losses:
            loss.backward()
        found.append([loss.item() for loss in losses])
        slopes.append([leaf.grad for leaf in leaves])
    assert found[0][0] == pytest.approx(found[0][1], rel=1e-6)
    torch.testing.assert_close(*slopes[0])
    # Without kelp nothing can be wrong; theirs has no gradient there.
    assert found[1] == pytest.approx([0, 0], abs=1e-5)
    assert not slopes[1][0].any()
    assert slopes[1][1].isnan().any()


def test_bce_weighs_as_the_cross_entropy_of_two_classes_does():
    logits, truth, valid = draw(1, seed=13)
    two = np.concatenate([np.zeros_like(logits), logits], axis=1)
    has = {"class_weights": (0.4, 0.6)}
    found = loss_of(KelpLoss(name="bce", **has), logits, truth, valid).item()
    expected = loss_of(KelpLoss(name="ce", **has), two, truth, valid).item()
    assert found == pytest.approx(expected, rel=1e-5)


# What does not count, and what might break.


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_what_is_invalid_changes_nothing_and_learns_nothing(name, classes):
    logits, truth, valid = draw(classes, seed=5)
    rng = np.random.default_rng(1)
    other, flipped = logits.copy(), truth.copy()
    flipped[~valid] = 1 - flipped[~valid]
    np.moveaxis(other, 1, 0)[:, ~valid] = rng.normal(0, 9, (classes, (~valid).sum()))
    found = []
    for some, mask in ((logits, truth), (other, flipped)):
        leaf = torch.tensor(some, requires_grad=True)
        loss = loss_of(KelpLoss(name=name), leaf, mask, valid)
        loss.backward()
        reached = (leaf.grad != 0).any(dim=1).numpy()
        assert not reached[~valid].any()
        assert reached[valid].any()
        found.append(loss.item())
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("share", [0.0, 1.0, 0.3])
@pytest.mark.parametrize(("name", "classes"), CASES)
def test_value_and_gradient_are_finite(name, classes, share, dtype):
    """Without kelp, all of it, and with logits as sure as half precision can be."""
    rng = np.random.default_rng(2)
    truth = (rng.random(SHAPE) < share).astype(np.uint8)
    valid = np.ones(SHAPE, bool)
    signs = np.stack([1.0 - 2 * truth, 2.0 * truth - 1], axis=1)[:, -classes:]
    for scale in (0.0, 1.0, 30.0, -30.0, 6e4):
        leaf = torch.tensor(signs * scale, dtype=dtype, requires_grad=True)
        loss = loss_of(KelpLoss(name=name), leaf, truth, valid)
        loss.backward()
        assert torch.isfinite(loss), scale
        assert torch.isfinite(leaf.grad).all(), scale


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_what_is_right_costs_least(name, classes):
    rng = np.random.default_rng(4)
    truth = (rng.random(SHAPE) < 0.3).astype(np.uint8)
    valid = np.ones(SHAPE, bool)
    signs = np.stack([1.0 - 2 * truth, 2.0 * truth - 1], axis=1)[:, -classes:]
    # Label smoothing by 0.1 wants odds of 19, and no surer.
    best = math.log(19) / 2 if name == "soft-ce" else 12.0
    costs = [
        loss_of(KelpLoss(name=name), (signs * scale), truth, valid).item()
        for scale in (best, 0.5, 0.0, -12.0)
    ]
    assert costs[0] < min(costs[1:])
    assert max(costs) == costs[-1]
    # t-loss is a log-likelihood, whose least is not 0; a power of 0.3 is steep at 0.
    if name not in ("soft-ce", "t-loss", "exp-log"):
        assert costs[0] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_mixed_precision_leaves_a_loss_as_it_is(name, classes):
    logits, truth, valid = draw(classes, seed=6)
    expected = loss_of(KelpLoss(name=name), logits, truth, valid)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss_of(KelpLoss(name=name), logits, truth, valid)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("weights", [None, (0.4, 0.6)])
def test_class_weights_are_on_the_device_of_the_batch(weights):
    """PyTorch's meta device stands for a GPU: it refuses to mix devices alike."""
    measure = build_loss(KelpLoss(name="ce", class_weights=weights), 2).to("meta")
    logits = torch.zeros(1, 2, 8, 8, device="meta")
    truth = torch.zeros(1, 8, 8, device="meta")
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    assert measure(logits, truth, valid).device.type == "meta"
