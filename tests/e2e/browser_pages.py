"""Makes every page that people open, on small data: three challenges and a sweep."""

from dataclasses import replace

import pytest
import yaml

from pipelines.cli import main
from tenfold.challenges import find_challenge, load_recipe
from tenfold.stages import judge, prepare, rank, trial
from tenfold.stages.context import Context
from tenfold.stages.pages import page_path, show
from tenfold.stages.report import RunRecord, write_report
from tenfold.store import Store
from tenfold.sweep import Sweep, plan_sweep
from tests.contract.driver import run_stages
from tests.contract.test_clouds_contract import TestClouds as Clouds
from tests.contract.test_contrails_contract import TestContrails as Contrails
from tests.contract.test_kelp_contract import TestKelp as Kelp
from tests.docs.pages import ROOT

_RATE = "members.unet-quantile.training.learning_rate"
#: Of two roles one is trees.
_MIXED = (
    *Kelp.settings[:5],
    *(f"members.unet.training.{s}" for s in ("epochs=1", "samples_per_epoch=8")),
    *("members.unet.training.batch=4", "members.trees.training.epochs=4"),
)


def every_page(directory):
    """Return the files of all pages: sites of three runs, and single pages."""
    kelp = directory / "kelp"
    recipe = load_recipe("kelp", "smoke", Kelp.settings)
    find_challenge("kelp").synth.synthesise(kelp / "data", recipe.synth)
    pages = [
        *_two_runs(kelp),
        *_explored(kelp),
        *_compared(kelp),
        *_predicted(kelp),
        *_trees(kelp),
        *_sweep(kelp),
        *_clouds(directory / "clouds"),
        *_contrails(directory / "contrails"),
    ]
    assert all(page.is_file() for page in pages)
    return pages


def _site(recipe, folder, name, source, truth=None):
    """Run a recipe and write its report; return its pages."""
    store = folder / "store"
    run = run_stages(Context(recipe, Store(store)), str(source))
    tasks = tuple(replace(task) for task in run.tasks.values())
    record = RunRecord(recipe.to_json(), str(source), "f", str(store), "c", tasks)
    if truth is not None:
        named = ("ingest", "group", "tune", "submit")
        done = judge.run(run.context, *(run.tasks[n] for n in named), truth)
        record = replace(record, truth=str(truth), judged=done)
    site = write_report(record, folder / name).parent
    record.write(folder / name)
    return sorted(site.glob("*.html"))


def _two_runs(kelp):
    for name, setting in (
        ("one", "tune.invalid=background"),
        ("two", "tune.land=tuned"),
    ):
        recipe = load_recipe("kelp", "smoke", (*Kelp.settings, setting))
        yield from _site(recipe, kelp, name, kelp / "data" / "data")


def _trees(kelp):
    """A run with trees, judged against truth that was kept aside."""
    mixed = yaml.safe_load((ROOT / "docs" / "examples" / "mixed.yaml").read_text())
    mixed["members"] = [m for m in mixed["members"] if m["name"] != "linknet"]
    file = kelp / "trees.yaml"
    file.write_text(yaml.safe_dump(mixed))
    recipe = load_recipe("kelp", str(file), _MIXED)
    yield from _site(
        recipe, kelp, "trees", kelp / "data" / "data", kelp / "data" / "truth"
    )


def _clouds(folder):
    """A run of two rounds, with pseudo-labels and a classifier."""
    recipe = load_recipe("clouds", "smoke", Clouds.settings)
    find_challenge("clouds").synth.synthesise(folder / "data", recipe.synth)
    yield from _site(recipe, folder, "two-rounds", folder / "data" / "data")


def _contrails(folder):
    """A run with groups by footprint, and one of the published split, which leaks."""
    recipe = load_recipe("contrails", "smoke", Contrails.settings)
    find_challenge("contrails").synth.synthesise(folder / "data", recipe.synth)
    published = ("split.method=published", "split.k=1")
    for name, more in (("grouped", ()), ("published", published)):
        recipe = load_recipe("contrails", "smoke", (*Contrails.settings, *more))
        yield from _site(recipe, folder, name, folder / "data" / "data")


def _explored(kelp):
    named = kelp / "two" / "results"
    given = {
        name: str(named / f"{name}.json") for name in ("dataset", "groups", "folds")
    }
    settings = (*Kelp.settings, "tune.land=tuned")
    _type(
        *("explore", "kelp", "--store", str(kelp / "store")),
        *(word for setting in settings for word in ("-s", setting)),
        *(word for name, file in given.items() for word in (f"--{name}", file)),
        *("--out", str(kelp / "explored.json")),
    )
    pages = (kelp / "store").glob("page/*/page.html")
    yield next(page for page in pages if "xplor" in page.read_text("utf-8"))


def _compared(kelp):
    out = kelp / "compared"
    _type("compare", str(kelp / "one"), str(kelp / "two"), "--out", str(out))
    yield from sorted(out.rglob("*.html"))


def _predicted(kelp):
    out, tiles = kelp / "predicted", kelp / "data" / "data" / "test_satellite"
    decision = kelp / "two" / "results" / "decision.json"
    _type("predict", "--model", str(decision), str(tiles), "--out", str(out))
    yield from sorted(out.rglob("*.html"))


def _sweep(kelp):
    """A ranking of two trials, and each one's page."""
    asked = {
        "name": "tried",
        "about": "Two learning rates.",
        "recipe": "smoke",
        "fold": 0,
        "method": "grid",
        "axes": {_RATE: [0.006, 0.0001]},
    }
    recipe, plan = plan_sweep("kelp", Sweep.model_validate(asked), Kelp.settings)
    context, source = (
        Context(recipe, Store(kelp / "store")),
        str(kelp / "data" / "data"),
    )
    data, folds = prepare.run(context, source)
    done = [trial.run(context, data, folds, source, plan, n) for n in range(2)]
    for reference in (rank.run(context, plan, done), *done):
        yield page_path(show(context, context.entry(reference)))


def _type(*words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code in (0, None), words
