"""The presets say what the published system did, and what is different."""

import math
from pathlib import Path

import pytest
import torch
import yaml

from tenfold.challenges import FOLDER, find_challenge, load_recipe, recipe_from_json
from tenfold.challenges.clouds.network import ClassifierModel, SegmenterModel
from tenfold.challenges.clouds.options import CloudsRecipe
from tenfold.data.fetching.listing import load_list
from tenfold.errors import RecipeError
from tenfold.recipe import validate

PRESETS = ["baseline", "published", "smoke", "tenfold"]


@pytest.fixture(scope="module")
def published():
    return load_recipe("clouds", "published")


@pytest.fixture(scope="module")
def ours():
    return load_recipe("clouds", "tenfold")


@pytest.fixture(scope="module")
def baseline():
    return load_recipe("clouds", "baseline")


def of_role(recipe, role):
    return [member for member in recipe.members if member.role == role]


def test_the_presets_are_these():
    assert find_challenge("clouds").recipes() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_the_way_between_tasks(name):
    recipe = load_recipe("clouds", name)
    assert recipe.name == name
    back = recipe_from_json(recipe.to_json())
    assert back == recipe
    assert back.digest() == recipe.digest()


@pytest.mark.parametrize("name", ["baseline", "published"])
def test_about_is_one_sentence_that_says_what_is_different(name):
    about = load_recipe("clouds", name).about
    assert about.endswith(".")
    assert about.count(". ") == 0
    assert "deliberately different" in about


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("baseline", ("0.664", "0.669", "0.670")),
        ("published", ("0.6805", "0.67080", "0.67175")),
    ],
)
def test_the_figures_to_expect_are_the_published_ones(name, figures):
    lands_near = load_recipe("clouds", name).lands_near
    assert all(figure in lands_near for figure in figures)


# The published final set.


def test_the_published_set_is_seven_networks_and_the_first_classifier(published):
    final = [member for member in published.members if member.final]
    assert len(final) == 7
    nets = [
        (m.role, m.net.encoder, m.net.architecture) for m in final if m.role != "cls"
    ]
    assert nets == [
        ("seg1", "densenet121", "fpn"),
        ("seg2", "efficientnet-b5", "unet"),
        ("seg2", "inceptionresnetv2", "fpn"),
        ("seg2", "efficientnet-b7", "unet"),
        ("seg2", "efficientnet-b7", "fpn"),
        ("seg2", "efficientnet-b7", "fpn"),
    ]
    assert {member.net.backbone for member in of_role(published, "cls")} == {
        "tf_efficientnet_b1"
    }
    assert [m.name for m in published.members if not m.final] == ["cls-b1"]


def test_the_published_rounds(published):
    first, second = (published.of_round(number) for number in (1, 2))
    assert [m.name for m in second if m.pseudo] == ["seg2-fpn-b7-pl", "cls-b1-pl"]
    assert len(of_role(published, "seg2")) == 5
    assert [sum(m.role == "seg2" for m in part) for part in (first, second)] == [4, 5]
    assert [sum(m.role == "cls" for m in part) for part in (first, second)] == [1, 1]
    assert (published.pseudo.low, published.pseudo.high) == (0.3, 0.7)


@pytest.mark.parametrize(
    ("early", "late"), [("seg2-fpn-b7", "seg2-fpn-b7-pl"), ("cls-b1", "cls-b1-pl")]
)
def test_what_learns_from_pseudo_labels_is_else_the_same(published, early, late):
    options = [published.member(name).model_dump() for name in (early, late)]
    for one in options:
        for own in ("name", "pseudo", "final"):
            del one[own]
    assert options[0] == options[1]


def test_the_published_losses(published):
    for member in of_role(published, "seg1"):
        assert (member.loss.bce, member.loss.dice, member.loss.presence) == (1, 0, 0)
        assert member.loss.rows == "all"
    for member in of_role(published, "seg2"):
        assert (member.loss.bce, member.loss.dice, member.loss.presence) == (0, 1, 0)
        assert (member.loss.rows, member.loss.dice_over) == ("positive", "row")
    for member in of_role(published, "cls"):
        assert member.loss.balanced
        assert (member.loss.negative, member.loss.positive) == (1, 1)
        assert (member.net.dropout, member.net.hidden) == (0.2, 64)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("seg1-fpn-densenet121", 9.3),
        ("seg2-unet-b5", 31.2),
        ("seg2-fpn-inceptionresnetv2", 56.7),
        ("cls-b1", 6.5),
    ],
)
def test_a_published_network_has_as_many_weights_as_counted(published, name, millions):
    member = published.member(name)
    kind = ClassifierModel if member.role == "cls" else SegmenterModel
    with torch.device("meta"):
        model = kind(member.input, member.net)
    count = sum(p.numel() for p in model.net.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.1)


def test_the_published_optimiser(published):
    for member in published.members:
        training = member.training
        assert (training.optimiser, training.learning_rate) == ("adam", 5e-4)
        assert (training.weight_decay, training.clip_norm, training.ema) == (0, None, 0)
        assert (training.batch, training.accumulate) == (16, 1)
        assert training.precision == "16-mixed"
        assert (training.weights, training.monitor) == ("best", "score")
        assert member.seed == 1217
        assert member.input.normalise == "imagenet"


#: The rates of the real training's log, by epoch.
LOGGED = (5.00e-4, 4.88e-4, 4.52e-4, 3.97e-4, 3.28e-4, 2.51e-4, 1.73e-4, 1.04e-4)


def test_the_published_rates_of_segmentation_networks(published):
    """Period, peak and floor give the logged rates; the tail is the logged one."""
    for member in published.members:
        if member.role == "cls":
            continue
        training, schedule = member.training, member.training.schedule
        assert schedule.name == "cosine-restarts"
        assert (schedule.period_epochs, schedule.period_factor) == (10, 1)
        assert schedule.by_epoch
        assert schedule.tail == ((3, 1e-5), (2, 5e-6))
        assert training.epochs == 3 * schedule.period_epochs + 5 == 35
        low, high = schedule.minimum_rate, training.learning_rate
        for epoch, logged in enumerate(LOGGED):
            turn = math.cos(math.pi * epoch / schedule.period_epochs)
            rate = low + (high - low) * (1 + turn) / 2
            assert rate == pytest.approx(logged, rel=5e-3)


def test_the_published_classifier_watches_its_loss_the_wrong_way(published):
    for member in of_role(published, "cls"):
        training, schedule = member.training, member.training.schedule
        assert training.epochs == 15
        assert (schedule.name, schedule.factor) == ("plateau", 0.1)
        assert (schedule.patience, schedule.monitor) == (2, "+loss")
        # Low enough for the last of the published rates.
        assert schedule.lowest < 5e-8


def test_the_published_trainings_have_1125_epochs(published):
    final = [member for member in published.members if member.final]
    assert published.split.k * sum(m.training.epochs for m in final) == 1125
    assert published.split.k * len(final) == 35


def test_the_published_views_at_inference(published):
    views = {m.role: set() for m in published.members}
    for member in published.members:
        views[member.role].add(member.inference.tta)
    assert views == {"seg1": {"none"}, "seg2": {"mirrors"}, "cls": {"mirrors"}}


def test_the_published_augmentation(published):
    for member in published.members:
        assert member.augment.model_dump() == {
            "horizontal": True,
            "vertical": True,
            "turn_share": 0.5,
            "scale": 0.2,
            "rotate_degrees": 30,
            "distort_share": 0.5,
            "distort": 0.3,
            "distort_steps": 5,
        }


def test_the_published_decision(published):
    tune = published.tune
    assert (tune.combine, tune.votes) == ("vote", 2)
    assert tune.pixel_cuts == (0.5,)
    assert (tune.presence_from, tune.presence_pixels) == ("pixels", 1)
    assert (tune.presence_cut, tune.least_area) == (0.5, 0)
    assert tune.classifier_cut is None
    assert tune.published_grid
    assert not tune.force_best


def test_the_published_preparation_and_folds(published):
    data = published.data
    assert (data.size, data.resample, data.masks) == ((384, 576), "bilinear", "any")
    assert data.leave_out == ()
    split = published.split
    assert (split.k, split.method, split.strata) == (5, "rare-first", ("classes",))
    assert published.seed == 42
    assert not published.groups.overlap.enabled
    assert not published.groups.embedding.enabled


def test_no_machine_is_asked_for_that_this_pytorch_has_no_code_for(published):
    machines = {published.profile(member.profile).gpu for member in published.members}
    assert machines == {"NVIDIA_TESLA_A100", "NVIDIA_L4"}


# The others.


def test_the_baseline_is_resnet34_throughout(baseline):
    seg1, seg2, cls = baseline.members
    assert [m.role for m in baseline.members] == ["seg1", "seg2", "cls"]
    assert {m.net.encoder for m in (seg1, seg2)} == {"resnet34"}
    assert {m.net.architecture for m in (seg1, seg2)} == {"fpn"}
    assert (cls.net.backbone, cls.net.dropout) == ("resnet34", 0.5)
    # The write-up's seg1 follows its held-out Dice, in the right direction.
    assert seg1.training.schedule.name == "plateau"
    assert seg1.training.schedule.monitor == "score"
    assert seg2.training.schedule.name == "cosine-restarts"
    assert baseline.tune.classifier_cut == 0.5
    assert baseline.pseudo is None


def test_ours_chooses_nothing_on_the_fold_that_it_predicts(ours):
    assert {member.training.weights for member in ours.members} == {"ema"}
    # A plateau would lower the rate by what it sees on that fold.
    assert {member.training.schedule.name for member in ours.members} == {"onecycle"}
    assert ours.pseudo is None
    for option in ("presence_cut", "least_area", "classifier_cut"):
        assert getattr(ours.tune, option) is None
    assert len(ours.tune.pixel_cuts) > 1
    assert not ours.tune.published_grid


def test_ours_has_what_its_comments_promise(ours):
    assert ours.tune.combine == "mean"
    assert ours.tune.force_best
    assert ours.groups.embedding.enabled
    assert ours.groups.embedding.network == "thumbnail"
    assert ours.data.resample == "area"
    for member in ours.members:
        assert member.inference.tta == "flips"
        assert member.input.normalise == "encoder"
    # The first place's share of pixels: 17,500 of 350 × 525.
    height, width = ours.data.size
    assert ours.tune.presence_pixels / (height * width) == pytest.approx(
        17500 / (350 * 525), rel=0.01
    )


def test_smoke_plays_all_roles_in_two_rounds_and_needs_no_weights():
    smoke = load_recipe("clouds", "smoke")
    assert {member.role for member in smoke.members} == {"seg1", "seg2", "cls"}
    assert smoke.rounds == (1, 2)
    assert all(member.net.weights is None for member in smoke.members)
    assert not smoke.groups.overlap.enabled
    assert smoke.groups.embedding.network == "thumbnail"
    assert smoke.profiles == {}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("pseudo=null", "learns from pseudo-labels; add a pseudo section"),
        ("members.seg1-fpn-densenet121.loss.bce=0", "a weight above 0"),
        ("members.seg1-fpn-densenet121.net.architecture=jpu", "'fpn' or 'unet'"),
        ("members.cls-b1.net.encoder=resnet34", "unknown key"),
        ("data.size=[350, 525]", "multiples of 32"),
        ("tune.vote=soft", "did you mean 'votes'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_words(setting, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe("clouds", "published", [setting])


@pytest.mark.parametrize("name", ["baseline", "published"])
def test_published_slips_are_named_where_they_are_chosen(name):
    """A reader of the YAML finds each oddity explained, on the line or above it."""
    text = (FOLDER / "clouds" / "recipes" / f"{name}.yaml").read_text("utf-8")
    lines = text.splitlines()
    for option in ("monitor: +loss", "weights: best", "classifier_cut:"):
        (place, *_) = (i for i, line in enumerate(lines) if option in line)
        near = "\n".join(lines[max(place - 4, 0) : place + 1])
        assert "#" in near, option


def test_weights_of_one_name_are_of_one_network():
    """A file that two recipes name is of the same encoder, whoever else reads it."""
    encoders: dict[str, set[str]] = {}
    for name in PRESETS:
        for member in load_recipe("clouds", name).members:
            net = member.net
            if net.weights is not None:
                known = getattr(net, "encoder", None) or net.backbone
                encoders.setdefault(net.weights, set()).add(known)
    assert len(encoders) == 6
    for file, names in encoders.items():
        assert len(names) == 1
        assert file.startswith(names.pop().removeprefix("tu-"))


def test_the_list_of_files_states_no_checksum_that_nobody_knows():
    files = load_list("clouds", FOLDER / "clouds").files
    assert [file.kaggle.file for file in files] == [
        *("train.csv", "sample_submission.csv", "train_images.zip", "test_images.zip")
    ]
    for file in files:
        assert file.kaggle.competition == "understanding_cloud_organization"
        assert file.sha256 is file.md5 is file.size is None
    raw = yaml.safe_load(Path(FOLDER / "clouds" / "downloads.yaml").read_text("utf-8"))
    assert raw["page"] == files[0].kaggle.page


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("data.size=[100, 576]",), "multiples of 32"),
        (("members.0.net.decoder_channels=[8, 8]",), "an FPN has one width"),
        (("members.0.loss={bce: 0}",), "give bce, dice or presence a weight above 0"),
        (("members.2.loss={positive: 0, negative: 0}",), "give negative or positive"),
        (("members.0.inference.window=64",), "no sliding windows"),
        (("members.0.engine=trees",), "train with engine torch"),
        (("members.1.role=seg1",), "round 1 has none of role seg2"),
        (("tune.votes=1",), "more than 1 of the 1 seg2 models of round 1 can never"),
        (("tune.presence_from=head",), "has no head; set its net.head true"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe("clouds", "baseline", ["tune.combine=vote", *settings])


def test_the_likeliest_class_needs_a_classifier():
    raw = load_recipe("clouds", "baseline").model_dump(mode="json")
    raw["members"] = [m for m in raw["members"] if m["role"] != "cls"]
    raw["tune"]["force_best"] = True
    with pytest.raises(RecipeError, match=r"force_best: the likeliest class needs"):
        validate(CloudsRecipe, raw, "here")
