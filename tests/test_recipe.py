"""Recipes: what is accepted, what is refused in which words, what a digest sees."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from tenfold import challenges
from tenfold.challenges import (
    challenge_names,
    find_challenge,
    load_recipe,
    recipe_from_json,
)
from tenfold.errors import RecipeError
from tenfold.recipe import override, validate

PRESET_FOLDER = Path(challenges.__file__).parent
PRESETS = sorted(
    (path.parent.parent.name, path.stem)
    for path in PRESET_FOLDER.glob("*/recipes/*.yaml")
)
#: One more value per kind, and every word that any option can have.
ODD_VALUES = [
    {"gpu": "T4", "hours_a_fold": 1, "epochs": 1, "source": "a report"},
    True,
    False,
    0,
    1,
    2,
    3,
    64,
    0.25,
    0.5,
    1.0,
    "other",
    "big",
    ["R"],
    [1],
    ["NDVI"],
    {},
]
#: Has no second value, or needs another option to change with it.
FIXED = {"challenge", "engine", "vote", "class_weights", "momentum", "final", "pseudo"}
#: Of networks, losses and inputs that are not the default
#: (tests/challenges/kelp/test_network_options.py).
FIXED |= {"fit", "size", "alpha", "beta", "gamma", "nu", "parts", "smoothing"}
FIXED |= {"attention", "classes", "decoder_channels", "depth", "dropout", "smooth"}
#: Of schedules that are not the default (tests/test_recipe_training.py).
FIXED |= {"minimum_rate", "period_epochs", "period_factor", "base_rate", "up_epochs"}
FIXED |= {"down_epochs", "decay", "factor", "patience", "threshold", "monitor"}
FIXED |= {"by_epoch", "tail"}


MINE = yaml.safe_load("""
challenge: kelp
name: mine
about: Two small models.
lands_near: Nothing that was published.
seed: 42
split: {k: 3, strata: [has_kelp, qa_ok]}
members:
  - name: unet-small
    input: {bands: [R, G, B, SWIR, NIR, QA, DEM], indices: [DEMWM, NDVI]}
    net: {architecture: unet, encoder: tu-mobilenetv3_small_050}
    training: {epochs: 10, batch: 8, ema: 0.95, weights: ema}
  - name: unet-raw
    input: {bands: [R, G, B, NIR]}
    loss: {name: jaccard}
    training: {epochs: 10, batch: 8, samples_per_epoch: 160}
tune: {vote: soft, model_weights: tuned}
""")


def mine(*settings):
    kind = find_challenge("kelp").options.RECIPE
    return validate(kind, override(MINE, settings), "mine.yaml")


def refused(*settings):
    with pytest.raises(RecipeError) as error:
        mine(*settings)
    return str(error.value)


def written(path, raw):
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


# Presets


def test_there_are_presets():
    assert ("kelp", "smoke") in PRESETS


@pytest.mark.parametrize(("challenge", "preset"), PRESETS)
def test_every_preset_validates_and_says_what_it_is(challenge, preset):
    recipe = load_recipe(challenge, preset)
    assert (recipe.challenge, recipe.name) == (challenge, preset)
    assert recipe.about.strip()
    assert recipe.lands_near.strip()
    assert preset in find_challenge(challenge).recipes()


@pytest.mark.parametrize(("challenge", "preset"), PRESETS)
def test_a_preset_survives_its_json(challenge, preset):
    recipe = load_recipe(challenge, preset)
    back = recipe_from_json(recipe.to_json())
    assert back == recipe
    assert type(back) is type(recipe)
    assert back.to_json() == recipe.to_json()
    assert back.digest() == recipe.digest()


def test_every_challenge_has_presets():
    for name in challenge_names():
        assert find_challenge(name).recipes()


def test_a_recipe_cannot_be_changed_after_it_was_read():
    recipe = mine()
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 7
    with pytest.raises(ValueError, match="frozen"):
        recipe.members[0].training.epochs = 7


# Unknown keys


def test_an_unknown_key_is_named_with_its_file_and_the_nearest_key():
    with pytest.raises(RecipeError) as error:
        load_recipe("kelp", "smoke", ["sede=1"])
    assert "kelp/recipes/smoke.yaml" in str(error.value)
    assert "unknown key 'sede', did you mean 'seed'?" in str(error.value)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("split.stratta", "strata"),
        ("split.max_kelp_shar", "max_kelp_share"),
        ("groups.overlap.agreemnt", "agreement"),
        ("members.0.training.lerning_rate", "learning_rate"),
        ("members.0.training.schedule.warm_up", "warmup"),
        ("members.1.input.band", "bands"),
        ("members.0.sampler.has_kelpp", "has_kelp"),
        ("tune.treshold", "threshold"),
        ("profiles.train.memory_bg", "memory_gb"),
    ],
)
def test_an_unknown_nested_key_is_named_with_the_nearest_key(key, meant):
    message = refused(f"{key}=1")
    assert f"unknown key {key!r}" in message
    assert f"did you mean {meant!r}?" in message


def test_an_unknown_key_far_from_all_others_gets_no_hint():
    message = refused("zzzzzz=1")
    assert "unknown key 'zzzzzz'" in message
    assert "did you mean" not in message


def test_an_unknown_key_in_a_users_file_names_that_file(tmp_path):
    path = written(tmp_path / "mine.yaml", MINE | {"previeww": {}})
    with pytest.raises(RecipeError) as error:
        load_recipe("kelp", path)
    assert str(path) in str(error.value)
    assert "did you mean 'preview'?" in str(error.value)


def test_every_fault_is_named_at_once():
    message = refused("sede=1", "split.k=1", "members.0.training.epochs=none")
    assert "sede" in message
    assert "split.k" in message
    assert "members.0.training.epochs" in message


@pytest.mark.parametrize("section", ["name", "about", "members"])
def test_a_missing_section_is_named(tmp_path, section):
    raw = copy.deepcopy(MINE)
    del raw[section]
    with pytest.raises(RecipeError, match=rf"{section}: Field required"):
        load_recipe("kelp", written(tmp_path / "r.yaml", raw))


# --set


def test_settings_reach_a_member_by_name_and_by_position():
    by_name = mine("members.unet-raw.training.epochs=77")
    by_place = mine("members.1.training.epochs=77")
    assert by_name == by_place
    epochs = [member.training.epochs for member in by_name.members]
    assert epochs == [mine().members[0].training.epochs, 77]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("members.0.training.learning_rate=6e-3", 0.006),
        ("members.0.training.samples_per_epoch=null", None),
        ("members.0.training.picture_epochs=[1, 2]", (1, 2)),
        ("members.0.augment.flips=false", False),
        ("members.0.input.indices=[]", ()),
        ("groups.overlap.agreement=1", 1.0),
        ("name=a=b", "a=b"),
    ],
)
def test_values_of_settings_are_yaml(setting, value):
    node = mine(setting)
    for key in setting.partition("=")[0].split("."):
        node = node[int(key)] if key.isdigit() else getattr(node, key)
    assert node == value


def test_settings_make_sections_that_were_left_out():
    recipe = mine(
        "profiles.big.gpu=NVIDIA_L4",
        "profiles.big.gpus=2",
        "members.0.profile=big",
        "members.0.sampler.has_kelp=2.5",
    )
    assert recipe.profile("big").gpus == 2
    assert recipe.members[0].sampler.has_kelp == 2.5


def test_the_last_of_two_settings_counts():
    assert mine("seed=1", "seed=2").seed == 2


def test_settings_reach_a_preset():
    assert load_recipe("kelp", "smoke", ["split.k=4", "seed=9"]).split.k == 4


def test_settings_leave_what_they_were_given_alone():
    raw = {"seed": 1, "members": [{"name": "a", "input": {"bands": ["R"]}}]}
    before = copy.deepcopy(raw)
    override(raw, ["seed=3", "members.a.input.bands=[G]", "new.y=2"])
    assert raw == before


@pytest.mark.parametrize(
    "setting",
    [
        "seed",
        "=3",
        "",
        "seed.x=1",
        "members.nobody.seed=1",
        "members.9.seed=1",
        "members.-1.seed=1",
        "members.0=1",
        "members.unet-raw.input.bands.0=R",
        "members.unet-raw.input.bands.0.x=1",
        "members.unet-raw.input.bands.z.x=1",
        "seed=[1",
        "seed={a: b: c}",
    ],
)
def test_a_setting_that_cannot_be_applied_is_refused_by_its_name(setting):
    assert f"--set {setting}" in refused(setting)


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("data.shard_samples=many", "data.shard_samples"),
        ("data.shard_samples=0", "data.shard_samples"),
        ("seed=2020-01-01", "seed"),
        ("split.k=1", "split.k"),
        ("members.0.name=Upper Case", "members.0.name"),
        ("members.0.training.ema=1.5", "members.0.training.ema"),
        ("members.0.training.precision=8-bit", "members.0.training.precision"),
        ("members.0.engine=jax", "members.0.engine"),
        ("predict.workers=101", "predict.workers"),
        ("members=[]", "members"),
        ("split=3", "split"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_place(setting, where):
    message = refused(setting)
    assert "mine.yaml" in message
    assert where in message


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize(
    "option",
    ["members.0.training.learning_rate", "members.0.sampler.has_kelp"],
)
def test_numbers_that_json_cannot_carry_are_refused(option, value):
    assert option in refused(f"{option}={value}")


# Which recipe


def test_a_recipe_for_another_challenge_is_refused(tmp_path):
    path = written(tmp_path / "r.yaml", MINE | {"challenge": "cactus"})
    with pytest.raises(RecipeError, match="is for challenge 'cactus'"):
        load_recipe("kelp", path)


def test_an_unknown_challenge_lists_those_there_are():
    with pytest.raises(RecipeError, match="unknown challenge 'kepl'") as error:
        load_recipe("kepl", "smoke")
    assert all(name in str(error.value) for name in challenge_names())


def test_an_unknown_recipe_lists_those_there_are():
    with pytest.raises(RecipeError, match="kelp has no recipe 'smokey'") as error:
        load_recipe("kelp", "smokey")
    assert all(name in str(error.value) for name in find_challenge("kelp").recipes())


def test_a_recipe_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"cannot read recipe .*lost\.yaml"):
        load_recipe("kelp", tmp_path / "lost.yaml")


@pytest.mark.parametrize(
    "content",
    [b"a: [1", b"- 1\n", b"", b"just words", b"name: \xff\xfe\n", b"a: b: c"],
)
def test_a_file_that_is_no_recipe_is_refused_by_its_name(tmp_path, content):
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"odd\.yaml"):
        load_recipe("kelp", path)


def test_a_date_in_a_recipe_is_a_fault_like_any_other(tmp_path):
    path = tmp_path / "dated.yaml"
    path.write_text(yaml.safe_dump(copy.deepcopy(MINE)) + "\nabout: 2024-01-31\n")
    with pytest.raises(RecipeError, match=r"dated\.yaml.*about"):
        load_recipe("kelp", path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"challenge": "kepl"}'])
def test_a_damaged_recipe_string_is_refused(text):
    with pytest.raises(RecipeError):
        recipe_from_json(text)


def test_a_recipe_string_with_an_unknown_key_is_refused():
    raw = json.loads(mine().to_json()) | {"sede": 1}
    with pytest.raises(RecipeError, match="did you mean 'seed'"):
        recipe_from_json(json.dumps(raw))


# Digest


def test_the_digest_does_not_depend_on_how_the_file_is_written(tmp_path):
    raw = copy.deepcopy(MINE)
    backwards = {key: raw[key] for key in reversed(raw)}
    spelled_out = json.loads(mine().to_json())
    for number, other in enumerate([backwards, spelled_out]):
        path = written(tmp_path / f"{number}.yaml", other)
        assert load_recipe("kelp", path).digest() == mine().digest()


def test_the_digest_does_not_depend_on_the_order_of_profiles():
    settings = ["profiles.a.cpu=3", "profiles.b.cpu=5"]
    assert mine(*settings).digest() == mine(*settings[::-1]).digest()
    assert mine(*settings).to_json() == mine(*settings[::-1]).to_json()


def leaves(node, path=()):
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list) and node and isinstance(node[0], dict):
        for place, value in enumerate(node):
            yield from leaves(value, (*path, place))
    else:
        yield path


def changed(raw, path, value):
    result = json.loads(json.dumps(raw))
    node = result
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return result


def words(schema):
    if isinstance(schema, dict):
        named = schema.get("enum")
        found = named if isinstance(named, list) else []
        return [*found, *(word for value in schema.values() for word in words(value))]
    if isinstance(schema, list):
        return [word for value in schema for word in words(value)]
    return []


def another(base, raw, path, values):
    """Return a valid recipe that differs from `base` at one place, if there is one."""
    for value in values:
        try:
            recipe = recipe_from_json(json.dumps(changed(raw, path, value)))
        except RecipeError:
            continue
        if recipe != base:
            return recipe
    return None


def test_the_digest_changes_with_any_value():
    base = mine(
        "profiles.big.gpu=NVIDIA_L4",
        "profiles.big.gpus=1",
        "members.0.sampler.has_kelp=2",
        "members.0.took={gpu: T4, hours_a_fold: 7, epochs: 7, source: somewhere}",
    )
    raw = json.loads(base.to_json())
    values = [*ODD_VALUES, *words(type(base).model_json_schema())]
    digests = {base.digest(): "unchanged"}
    for path in leaves(raw):
        other = another(base, raw, path, values)
        if other is None:
            assert path[-1] in FIXED, f"no second value tried for {path}"
            continue
        digest = other.digest()
        assert digest not in digests, f"{path} and {digests.get(digest)}"
        digests[digest] = str(path)
    assert len(digests) > 80


def test_the_digest_changes_with_the_order_of_members():
    raw = json.loads(mine().to_json())
    turned = recipe_from_json(json.dumps(raw | {"members": raw["members"][::-1]}))
    assert turned.digest() != mine().digest()


# Options that go together


@pytest.mark.parametrize(
    "settings",
    [["profiles.p.gpu=NVIDIA_L4"], ["profiles.p.gpus=1"], ["profiles.p.gpus=-1"]],
)
def test_a_gpu_is_named_and_counted_or_neither(settings):
    assert "gpu" in refused(*settings)


@pytest.mark.parametrize(("shm", "fits"), [(0, True), (7, True), (8, False)])
def test_shared_memory_is_part_of_memory(shm, fits):
    settings = ["profiles.p.memory_gb=8", f"profiles.p.shm_gb={shm}"]
    if fits:
        assert mine(*settings).profile("p").shm_gb == shm
    else:
        assert "shm_gb counts against memory_gb" in refused(*settings)


def test_a_profile_nobody_described_is_a_small_machine_without_gpu():
    resources = mine().profile("predict")
    assert (resources.gpu, resources.gpus) == (None, 0)


def test_a_member_with_an_unknown_profile_is_refused():
    assert "member unet-raw: no profile 'huge'" in refused("members.1.profile=huge")


def test_two_members_of_one_name_are_refused():
    assert "distinct names" in refused("members.1.name=unet-small")


def test_a_member_is_found_by_name_or_the_others_are_listed():
    recipe = mine()
    assert recipe.member("unet-raw") is recipe.members[1]
    with pytest.raises(RecipeError, match="no member 'unet'; it has unet-small, "):
        recipe.member("unet")


def test_more_folds_than_a_graph_can_gather_are_refused():
    assert mine("split.k=100").split.k == 100
    assert "at most 100 outputs" in refused("split.k=101")


def test_averaged_weights_need_an_average():
    assert "ema" in refused("members.0.training.ema=0")
    chosen = mine("members.0.training.ema=0", "members.0.training.weights=best")
    assert chosen.members[0].training.weights == "best"
    both = mine("members.0.training.weights=best")
    assert both.members[0].training.ema > 0


HARD = ["tune.vote=hard", "tune.model_weights=equal"]
THRESHOLDS = ["tune.member_threshold=0.4", "tune.threshold=0.5"]


def test_a_hard_vote_needs_both_thresholds_and_equal_models():
    tune = mine(*HARD, *THRESHOLDS).tune
    assert (tune.member_threshold, tune.threshold) == (0.4, 0.5)
    for threshold in THRESHOLDS:
        assert "hard votes need" in refused(*HARD, threshold)
    assert "hard votes cannot be tuned" in refused(
        "tune.vote=hard", "tune.model_weights=tuned", *THRESHOLDS
    )


def test_an_unknown_band_lists_the_bands():
    message = refused("members.0.input.bands=[R, X]")
    assert "no band 'X'" in message
    assert all(band in message for band in ("SWIR", "NIR", "R", "G", "B", "QA", "DEM"))


def test_an_unknown_index_is_named():
    message = refused("members.1.input.indices=[NDVI, NDXX]")
    assert "members.1.input" in message
    assert "no index 'NDXX'" in message


@pytest.mark.parametrize(
    "settings",
    [
        ["members.0.input.bands=[R, R]"],
        ["members.0.input.bands=[]", "members.0.input.indices=[]"],
        ["members.0.input.indices=[NDVI, NDVI]"],
    ],
)
def test_a_network_sees_some_channels_and_none_twice(settings):
    assert "at least one, none twice" in refused(*settings)


def test_class_weights_are_for_cross_entropy():
    weights = "members.0.loss.class_weights=[0.4, 0.6]"
    assert "class_weights" in refused(weights)
    assert mine(weights, "members.0.loss.name=ce").members[0].loss.name == "ce"


def test_overriding_one_member_leaves_those_that_share_its_yaml_anchor():
    raw = yaml.safe_load("members: [{name: a, t: &t {x: 1}}, {name: b, t: *t}]")
    assert override(raw, ["members.a.t.x=2"])["members"][1]["t"] == {"x": 1}


# Two rounds.


def clouds(*settings):
    return load_recipe("clouds", "baseline", settings)


def test_a_recipe_of_one_round_decides_by_all_members():
    recipe = clouds()
    assert recipe.rounds == (1,)
    assert recipe.of_round(1) == recipe.trained_in(1) == recipe.members
    assert recipe.trained_in(2) == ()


def test_members_of_two_rounds():
    recipe = load_recipe("clouds", "published")
    names = {n: [m.name for m in recipe.trained_in(n)] for n in recipe.rounds}
    assert names[2] == ["seg2-fpn-b7-pl", "cls-b1-pl"]
    assert len(names[1]) == 6
    assert [m.name for m in recipe.of_round(1)] == names[1]
    # The first classifier only chooses pseudo-labels; the second takes its place.
    last = {m.name for m in recipe.of_round(2)}
    assert last == {*names[1], *names[2]} - {"cls-b1"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("members.1.pseudo=true",), "learns from pseudo-labels; add a pseudo section"),
        (("members.0.final=false",), "final: false needs a pseudo section"),
        (("pseudo={}",), "no member learns from it"),
        (
            (*(f"members.{n}.pseudo=true" for n in range(3)), "pseudo={}"),
            "some member must be trained before the labels",
        ),
        (
            ("members.1.pseudo=true", "members.1.final=false", "pseudo={}"),
            "would be used for nothing",
        ),
    ],
)
def test_rounds_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(RecipeError, match=said):
        clouds(*settings)
