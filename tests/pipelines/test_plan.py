"""What a plan says of a graph before it runs. Prices here are made up."""

import pytest
import yaml

from pipelines.compile import Compiled
from pipelines.images import Images
from pipelines.machines import MachineError
from pipelines.plan import KEYS, describe, prices_of, steps_of, task_counts
from pipelines.prices import PricesError
from pipelines.settings import Settings
from tenfold.challenges import challenge_names, find_challenge, load_recipe

IMAGES = Images("registry.example/tenfold", "0123456789abcdef")
SETTINGS = Settings.model_validate({"vertex": {"location": "europe-west4"}})


def plan(
    tmp_path, recipe="winning", target="vertex", overrides=(), settings=SETTINGS, **more
):
    loaded = load_recipe("kelp", recipe, overrides)
    compiled = Compiled(loaded, target, more.get("images", IMAGES), tmp_path / "x.yaml")
    prices = prices_of(more.get("prices"), [target], settings)
    return describe(compiled, settings, prices)


def line(text, start):
    (found,) = [row for row in text.splitlines() if row.strip().startswith(start)]
    return found


@pytest.fixture
def prices(tmp_path):
    def write(*items, region="europe-west4"):
        path = tmp_path / "prices.yaml"
        head = {"currency": "EUR", "date": "2026-01-02", "source": "made up"}
        path.write_text(
            yaml.safe_dump({**head, "region": region, "items": list(items)})
        )
        return path

    return write


MACHINE = {"machine": "n1-standard-8", "spot": 1.0, "on_demand": 100.0}
T4 = {"gpu": "NVIDIA_TESLA_T4", "spot": 0.5, "on_demand": 100.0}
DISK = {"disk": "pd-ssd", "on_demand": 0.01}


def test_a_step_shows_tasks_image_machine_and_key(tmp_path):
    text = plan(tmp_path)
    train = line(text, "Train unet-b5").split("  ")
    cells = [cell.strip() for cell in train if cell.strip()]
    assert cells == [
        "Train unet-b5",
        "10",
        "10",
        "torch",
        "n1-standard-8 + 1 × NVIDIA_TESLA_T4, spot",
        KEYS["train"],
    ]
    assert "cpu    4 CPUs, 16 GB" in line(text, "Ingest")
    assert text.splitlines()[0] == "kelp · winning on vertex, europe-west4: 18 tasks"


def test_folds_at_once_are_the_recipes(tmp_path):
    text = plan(tmp_path, overrides=["parallel_folds=3"])
    assert " 10        3  torch" in line(text, "Train unet-b5")


def test_on_a_cluster_resources_are_shown_and_no_cost(tmp_path, prices):
    text = plan(tmp_path, target="kubeflow", prices=prices(MACHINE, T4, DISK))
    shown = "8 CPUs, 30 GB, 1 × NVIDIA_TESLA_T4, 8 GB shared"
    assert shown in line(text, "Train unet-b5")
    assert "prices are of machines on vertex" in line(text, "cost")
    assert "EUR" not in text


def test_hours_are_published_times_by_folds(tmp_path):
    text = line(plan(tmp_path), "GPU hours")
    assert "65 on NVIDIA_TESLA_T4, an estimate" in text
    assert "10 × 6.5 h, technical report" in text
    assert "unknown: Predict: no time is published" in text


def test_fewer_folds_and_epochs_take_less(tmp_path):
    overrides = ["split.k=4", "members.unet-b5.training.epochs=25"]
    text = line(plan(tmp_path, overrides=overrides), "GPU hours")
    assert "13 on NVIDIA_TESLA_T4" in text
    assert "4 × 3.25 h" in text


@pytest.mark.parametrize(
    "other", ["profiles.train.gpu=NVIDIA_L4", "profiles.train.gpus=2"]
)
def test_on_another_machine_the_hours_are_unknown(tmp_path, prices, other):
    text = plan(tmp_path, overrides=[other], prices=prices(MACHINE, T4, DISK))
    hours = line(text, "GPU hours")
    assert "unknown: Train unet-b5: published on one NVIDIA_TESLA_T4" in hours
    assert "estimate" not in hours
    assert "unknown, as the hours are" in line(text, "cost")


def test_a_published_time_redoes_no_training():
    member = load_recipe("kelp", "winning").members[0]
    assert member.took is not None
    untimed = member.model_copy(update={"took": None})
    assert member.decisive() == untimed.decisive()


def test_a_recipe_without_a_published_time_says_so(tmp_path):
    text = line(plan(tmp_path, "baseline"), "GPU hours")
    assert "unknown: Train unet-r50: no time is published" in text


def test_a_recipe_without_gpus_needs_no_hours(tmp_path):
    assert line(plan(tmp_path, "smoke"), "GPU hours").split() == [
        "GPU",
        "hours",
        "none",
    ]


def test_tasks_without_gpus_are_not_priced(tmp_path, prices):
    text = plan(tmp_path, "smoke", prices=prices(MACHINE, T4, DISK))
    cost = line(text, "cost").removeprefix("  cost").strip()
    assert cost == "no GPU hours; CPU tasks are not priced"
    assert "GPU hours  none" not in text


def test_what_is_free_costs_nothing(tmp_path, prices):
    free = [{**item, "spot": 0.0, "on_demand": 0.0} for item in (MACHINE, T4)]
    table = prices(*free, {"disk": "pd-ssd", "on_demand": 0.0})
    assert "EUR 0.00, an estimate" in line(plan(tmp_path, prices=table), "cost")


def test_cost_is_hours_by_price_and_called_an_estimate(tmp_path, prices):
    text = line(plan(tmp_path, prices=prices(MACHINE, T4, DISK)), "cost")
    assert f"EUR {65 * (1.0 + 0.5 + 100 * 0.01):.2f}, an estimate" in text
    assert "2026-01-02 (made up)" in text


def test_spot_and_on_demand_have_their_own_prices(tmp_path, prices):
    table = prices(MACHINE, T4, DISK)
    text = plan(tmp_path, overrides=["profiles.train.spot=false"], prices=table)
    assert f"EUR {65 * (100 + 100 + 1):,.2f}" in line(text, "cost")
    assert "NVIDIA_TESLA_T4, on demand" in line(text, "Train unet-b5")


def test_what_has_no_price_is_named_and_no_sum_is_given(tmp_path, prices):
    text = line(plan(tmp_path, prices=prices(MACHINE)), "cost")
    assert "no price of NVIDIA_TESLA_T4 spot, pd-ssd on demand" in text
    assert "EUR" not in text


def test_prices_of_another_region_are_refused(tmp_path, prices):
    table = prices(MACHINE, T4, DISK, region="us-central1")
    with pytest.raises(PricesError, match="of us-central1, but the run is in europe"):
        plan(tmp_path, prices=table)


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_bad_prices_are_refused_before_anything_is_written(
    tmp_path, tenfold, prices, target
):
    where = tmp_path / "build"
    given = ("--recipe", "smoke", "--target", target, "--directory", where)
    code, _, said = tenfold("compile", *given, "--prices", tmp_path / "nope.yaml")
    assert (code, said.count("\n")) == (2, 1)
    assert "cannot read prices from" in said
    table = prices(MACHINE, region="us-central1")
    code, _, said = tenfold(
        "compile", *given, "--prices", table, "--location", "europe-west4"
    )
    assert ("of us-central1, but the run" in said) == (target == "vertex")
    assert where.exists() == (target == "kubeflow")


def test_without_prices_no_cost_is_named(tmp_path):
    assert "cost" not in plan(tmp_path)


def test_images_are_named_and_one_that_may_change_is_marked(tmp_path):
    assert line(plan(tmp_path), "images").endswith(IMAGES.reference("torch"))
    loose = Images("registry.example/tenfold", "latest")
    assert "cpu:latest (not pinned)" in line(plan(tmp_path, images=loose), "images")


def test_the_store_not_the_cache_decides(tmp_path):
    assert "KFP's cache is off; the store decides" in plan(tmp_path)


def test_what_a_region_or_an_accelerator_makes_doubtful_is_noted(tmp_path):
    assert "1 August 2027" in line(plan(tmp_path), "note")
    mars = Settings.model_validate({"vertex": {"location": "mars-west1"}})
    assert "mars-west1 is not in the table" in line(
        plan(tmp_path, settings=mars), "note"
    )
    nowhere = Settings.model_validate({"vertex": {"location": "us-south1"}})
    with pytest.raises(MachineError, match="us-south1 has no NVIDIA_TESLA_T4"):
        plan(tmp_path, settings=nowhere)


def test_every_step_of_every_recipe_has_a_row_and_a_key(tmp_path):
    for challenge in challenge_names():
        for name in find_challenge(challenge).recipes():
            recipe = load_recipe(challenge, name)
            compiled = Compiled(recipe, "vertex", IMAGES, tmp_path / "x.yaml")
            text = describe(compiled, SETTINGS, None)
            late = {member.name for member in recipe.trained_in(2)}
            for step in steps_of(recipe):
                learns = step.stage == "train" and step.member in late
                key = KEYS[step.stage] + (", pseudo-labels" if learns else "")
                assert line(text, f"{step.title} ").endswith(key)
            assert f"{sum(task_counts(recipe).values())} tasks" in text
