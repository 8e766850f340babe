"""A sweep file's trials: how many, which, and what is refused."""

import itertools
import math
import shlex
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tenfold.challenges import challenge_names, load_recipe
from tenfold.errors import RecipeError
from tenfold.sweep import (
    MOST_TRIALS,
    Sweep,
    expand,
    load_sweep,
    plan_from_json,
    plan_sweep,
    sweep_names,
    trial_recipe,
)

MEMBER = "members.unet-quantile"
RATE = f"{MEMBER}.training.learning_rate"
NET = f"{MEMBER}.net"
PRESETS = [(name, sweep) for name in challenge_names() for sweep in sweep_names(name)]

scalars = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3))
axes = st.dictionaries(
    st.sampled_from(["a.b.x", "a.c.x", "x", "c", "split.k"]),
    st.lists(values, min_size=1, max_size=3, unique_by=repr),
    min_size=1,
    max_size=3,
)


def sweep(**content):
    base = {"name": "s", "about": "", "recipe": "smoke", "method": "grid"}
    return Sweep.model_validate(base | content)


def read(setting):
    """(option, value) of an override, as a recipe reads it."""
    option, _, text = setting.partition("=")
    return option, yaml.safe_load(text)


# Grids -----------------------------------------------------------------------------


@given(axes)
def test_a_grid_is_every_combination_once(axes):
    trials = list(expand(sweep(axes=axes)))
    found = [tuple(map(read, trial.set)) for trial in trials]
    options = [[(name, value) for value in axis] for name, axis in axes.items()]
    # By what they say: to Python, True is 1 and -0.0 is 0.
    assert [*map(repr, found)] == [*map(repr, itertools.product(*options))]
    assert len({trial.label for trial in trials}) == len(trials)


def test_a_value_that_is_a_mapping_sets_several_options_and_is_called_by_the_first():
    axis = [{"encoder": "a", "weights": "a.st"}, {"encoder": "b", "weights": None}]
    trials = list(expand(sweep(axes={NET: axis, "x.encoder": [1]})))
    assert trials[1].set == (
        f"{NET}.encoder=b",
        f"{NET}.weights=null",
        "x.encoder=1",
    )
    assert trials[1].values == {"net.encoder": "b", "x.encoder": 1}
    assert trials[1].label == "trial 1: net.encoder=b, x.encoder=1"


@pytest.mark.parametrize("count", [MOST_TRIALS + 1, 10**12])
def test_a_grid_that_no_graph_gathers_is_refused_at_once(count):
    size = round(count ** (1 / 4)) + 1
    axes = {f"axis.{n}": list(range(size)) for n in range(4)}
    with pytest.raises(RecipeError, match=rf"{size**4:,} trials.* at most 100"):
        list(expand(sweep(axes=axes)))


# Random samples --------------------------------------------------------------------


def random_sweep(trials, seed=1, **axes):
    return sweep(method="random", trials=trials, seed=seed, axes=axes)


RANGES = {"rate": {"log_uniform": [1e-5, 1e-1]}, "decay": {"uniform": [0.2, 0.3]}}


@given(st.integers(1, MOST_TRIALS), st.integers(0, 10**6))
def test_a_random_sweep_is_as_many_other_choices_and_the_same_ones_each_time(n, seed):
    drawn = random_sweep(n, seed, **RANGES, kind=["a", "b"])
    trials = list(expand(drawn))
    assert len(trials) == n == len({trial.set for trial in trials})
    assert trials == list(expand(drawn))
    for trial in trials:
        chosen = dict(map(read, trial.set))
        assert 1e-5 <= chosen["rate"] <= 1e-1
        assert 0.2 <= chosen["decay"] <= 0.3
        assert chosen["kind"] in ("a", "b")


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 1000))
def test_a_random_sweep_that_asks_for_more_keeps_those_it_had(n, more, seed):
    few = list(expand(random_sweep(n, seed, **RANGES)))
    assert list(expand(random_sweep(n + more, seed, **RANGES)))[:n] == few


def test_another_seed_gives_other_choices():
    one, other = (list(expand(random_sweep(5, seed, **RANGES))) for seed in (1, 2))
    assert not {trial.set for trial in one} & {trial.set for trial in other}


def test_a_log_uniform_range_is_even_in_its_logarithm():
    trials = list(expand(random_sweep(100, **RANGES)))
    rates = [math.log10(trial.values["rate"]) for trial in trials]
    each = [sum(low <= rate < low + 1 for rate in rates) for low in (-5, -4, -3, -2)]
    assert sum(each) == 100
    assert min(each) > 12


def test_all_combinations_can_be_drawn_but_no_more():
    axes = {"a": list(range(10)), "b": list(range(10))}
    assert len(list(expand(random_sweep(100, **axes)))) == 100
    with pytest.raises(RecipeError, match="only 6 combinations"):
        list(expand(random_sweep(7, a=[1, 2], b=[1, 2, 3])))


# With a recipe ---------------------------------------------------------------------


@pytest.mark.parametrize(("challenge", "name"), PRESETS)
def test_every_sweep_that_comes_with_a_challenge_has_a_plan(challenge, name):
    chosen = load_sweep(challenge, name)
    recipe, plan = plan_sweep(challenge, chosen)
    assert 1 < len(plan.trials) <= MOST_TRIALS
    assert recipe.parallel_folds == chosen.parallel
    assert plan_from_json(plan.model_dump_json()) == plan


def test_the_published_search_is_of_its_best_encoders_on_spot_machines():
    recipe, plan = plan_sweep("kelp", load_sweep("kelp", "published"))
    members = [trial_recipe(recipe, trial).members[0] for trial in plan.trials]
    pairs = {(member.net.architecture, member.net.encoder) for member in members}
    assert len(pairs) == len(plan.trials) == 15
    assert ("unet", "tu-efficientnet_b5") in pairs
    assert all(
        member.net.weights.startswith(member.net.encoder.removeprefix("tu-"))
        for member in members
    )
    assert recipe.profile(recipe.members[0].profile).spot


@pytest.mark.slow
def test_every_network_of_the_published_search_can_be_built():
    import torch

    from tenfold.challenges.kelp.network import KelpModel

    recipe, plan = plan_sweep("kelp", load_sweep("kelp", "published"))
    for trial in plan.trials:
        member = trial_recipe(recipe, trial).members[0]
        model = KelpModel(member.input, member.net, None).eval()
        with torch.no_grad():
            logits = model.logits(torch.zeros(1, len(member.input.channels), 64, 64))
        assert logits.shape == (1, 2, 64, 64), trial.label


def test_the_file_that_the_guide_shows_is_a_sweep(tmp_path):
    guide = (Path(__file__).parent.parent / "docs" / "sweep.md").read_text("utf-8")
    path = tmp_path / "shown.yaml"
    path.write_text(guide.split("```yaml\n")[1].split("```")[0])
    _, plan = plan_sweep("kelp", load_sweep("kelp", str(path)))
    assert len(plan.trials) == 12
    assert set(plan.trials[0].values) == {
        "learning_rate",
        "decoder_channels",
        "encoder",
    }


def test_the_command_of_a_trial_runs_its_recipe():
    # Values that a shell or YAML would read otherwise.
    axes = {RATE: [1e-5, 0.1], f"{NET}.weights": ["it's 1 file", None, "null"]}
    fixed = (f"{MEMBER}.training.epochs=3",)
    recipe, plan = plan_sweep("kelp", sweep(axes=axes, set=fixed, parallel=4))
    for trial in plan.trials:
        words = shlex.split(plan.command("kelp", trial))
        assert words[:5] == ["tenfold", "run", "kelp", "--recipe", "smoke"]
        again = load_recipe("kelp", "smoke", words[6::2])
        tried = trial_recipe(recipe, trial)
        assert again.members == tried.members
        assert tried.members[0].training.epochs == 3


REFUSED = {
    "an option that does not exist": (
        {"axes": {f"{MEMBER}.training.learning_rat": [1, 2]}},
        r"trial 0: learning_rat=1: .*did you mean 'learning_rate'",
    ),
    "a value that does not fit": (
        {"axes": {RATE: [0.1, -1]}},
        r"trial 1: learning_rate=-1: .*greater than 0",
    ),
    "a member that does not exist": (
        {"axes": {"members.resnet.seed": [1, 2]}},
        "no member 'resnet'",
    ),
    "a model that does not exist": ({"member": "resnet"}, "no member 'resnet'"),
    "a fold that does not exist": ({"fold": 4}, r"no fold 4; folds are 0 … 3"),
    "a fold that one trial has not": (
        {"fold": 3, "axes": {"split.k": [4, 3]}},
        r"trial 1: k=3: there is no fold 3",
    ),
    "a fixed override that does not fit": ({"set": ["split.k=1"]}, "split.k"),
    "twice the same": (
        {"axes": {RATE: [1, 1.0]}},
        "trial 0: .* and trial 1: .* the same training",
    ),
    "an option that no trial reads": (
        {"axes": {"predict.batch": [1, 2]}},
        "no trial reads",
    ),
    "another machine": (
        {"axes": {"profiles.train.cpu": [1, 4]}},
        "one image and one machine",
    ),
    "a range in a grid": ({"axes": {RATE: {"uniform": [0, 1]}}}, "method random"),
    "two ranges in one": (
        {
            "method": "random",
            "trials": 2,
            "axes": {RATE: {"uniform": [0, 1], "log_uniform": [1, 2]}},
        },
        r"give uniform or log_uniform, as \[low, high\]",
    ),
    "a range upside down": (
        {"method": "random", "trials": 2, "axes": {RATE: {"uniform": [2, 1]}}},
        r"\[low, high\]",
    ),
    "a logarithm of nothing": (
        {"method": "random", "trials": 2, "axes": {RATE: {"log_uniform": [0, 1]}}},
        "above 0",
    ),
    "trials of a grid": ({"trials": 3}, "trials goes with method random"),
    "random without trials": ({"method": "random"}, "trials goes with method random"),
    "an axis without values": ({"axes": {RATE: []}}, "has no value"),
    "an empty choice": ({"axes": {NET: [{}]}}, "has no value, or one that is empty"),
    "no axes": ({"axes": {}}, "axes"),
    "an unknown key": ({"eraly_stop": {}}, "did you mean 'early_stop'"),
    "an unknown rule": ({"early_stop": {"rule": "mean"}}, "'median' or 'none'"),
    "more at once than a graph gathers": ({"parallel": 101}, "parallel"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_run_is_refused_before_anything_runs(tmp_path, name):
    change, sentence = REFUSED[name]
    base = {"name": "s", "about": "", "recipe": "smoke", "method": "grid"}
    path = tmp_path / "tried.yaml"
    path.write_text(yaml.safe_dump({**base, "axes": {RATE: [0.1, 0.2]}, **change}))
    with pytest.raises(RecipeError, match=sentence) as refused:
        plan_sweep("kelp", load_sweep("kelp", str(path)))
    assert "\n" not in str(refused.value)


def test_an_unknown_sweep_is_named_with_those_there_are():
    with pytest.raises(RecipeError, match="'best'; it has published, smoke"):
        load_sweep("kelp", "best")


def test_a_file_that_is_no_sweep_is_named(tmp_path):
    with pytest.raises(RecipeError, match="cannot read"):
        load_sweep("kelp", str(tmp_path / "none.yaml"))
