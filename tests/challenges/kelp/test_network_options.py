"""What a recipe cannot say of a network, its input and its loss, and in which words."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from tenfold.challenges.kelp.choices import ARCHITECTURES, LOSSES, SOFT_TRUTH
from tenfold.challenges.kelp.network_options import KelpLoss, KelpNet
from tenfold.challenges.kelp.options import KelpAugment, KelpInput, KelpMember


def member(batch=2, **sections):
    return KelpMember(name="m", training={"epochs": 1, "batch": batch}, **sections)


ONE = {"classes": 1, "probability": "sigmoid"}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: KelpNet(architecture="unet-of-dreams"), "'unet', 'unetplusplus'"),
        (
            lambda: KelpNet(architecture="linknet", decoder_channels=(8,)),
            "set them null",
        ),
        (
            lambda: KelpNet(architecture="fpn", decoder_channels=(8, 4)),
            r"such as \[256\]",
        ),
        (lambda: KelpNet(decoder_channels=(8,)), "2 to 5"),
        (lambda: KelpNet(decoder_channels=(64, 0)), "greater than or equal to 1"),
        (
            lambda: KelpNet(attention="scse", decoder_channels=(64, 32, 8)),
            "at least 16 each",
        ),
        (lambda: KelpNet(depth=4), "unet takes no depth"),
        (lambda: KelpNet(architecture="fpn", attention="scse"), "takes no attention"),
        (lambda: KelpNet(dropout=0.2), "unet takes no dropout"),
        (lambda: KelpNet(encoder=None), "unet needs an encoder"),
        (lambda: KelpNet(architecture="fcn"), "fcn has no encoder; set encoder"),
        (lambda: KelpNet(classes=1), "classes: 1 needs probability: sigmoid"),
        (lambda: KelpLoss(name="dice", gamma=2), "takes no gamma; it takes smooth"),
        (lambda: KelpLoss(name="lovasz", alpha=1), "takes no alpha; it takes nothing"),
        (lambda: KelpLoss(name="dice", class_weights=(1, 2)), "takes no class_weights"),
        (lambda: KelpLoss(name="ce", class_weights=(0, 1)), "greater than 0"),
        (lambda: KelpLoss(name="ce", soft_boundary=0.5), "truth of 0 and 1 alone"),
        (lambda: KelpLoss(name="focal", gamma=0.5), "no finite gradient"),
        (lambda: KelpInput(fit="resize"), "fit: resize needs a size"),
        (lambda: KelpInput(size=320), "below the 350 px of a tile; use fit: resize"),
        (lambda: member(net=ONE, loss={"name": "ce"}), "needs net.classes: 2"),
        (lambda: member(loss={"name": "bce"}), "needs net.classes: 1; for two use ce"),
        (
            lambda: member(batch=1, net={"architecture": "upernet"}),
            "upernet needs a training.batch of 2",
        ),
        (
            lambda: member(net={"architecture": "pan"}, augment={"crop": 64}),
            "pan needs an augment.crop of 128 px",
        ),
        (
            lambda: member(
                input=KelpInput(normalise="tile-quantile"), augment=KelpAugment(crop=64)
            ),
            "would scale by the crop, not by the tile; set augment.crop null",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_in_words(build, words):
    with pytest.raises(ValidationError, match=words):
        build()


def test_a_loss_has_its_own_settings_unless_the_recipe_says():
    assert KelpLoss(name="exp-log", smooth=0).settings == {
        "gamma": 0.3,
        "smooth": 0,
        "parts": (0.5, 0.5),
    }
    assert set(SOFT_TRUTH) <= set(LOSSES)
    for name in LOSSES:
        assert KelpLoss(name=name).settings == LOSSES[name]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_can_be_said(name):
    encoder = "resnet18" if ARCHITECTURES[name].encoder else None
    net = KelpNet(architecture=name, encoder=encoder)
    assert KelpNet.model_validate(net.model_dump(mode="json")) == net


def test_a_recipe_is_checked_without_a_framework():
    """A recipe is read by every stage, and by who has no torch."""
    program = (
        "import sys; from tenfold.challenges import load_recipe;"
        " load_recipe('kelp', 'winning');"
        " print([m for m in ('torch', 'timm', 'monai') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
