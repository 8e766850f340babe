"""The record of a run, and the site that joins the pages of its stages."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from tenfold.challenges import find_challenge, recipe_from_json
from tenfold.codeversion import code_version
from tenfold.data.files import read_json, write_json
from tenfold.errors import StoreError
from tenfold.recipe import Json
from tenfold.reports import figures
from tenfold.reports.page import Page
from tenfold.reports.site import SitePage, write_site
from tenfold.stages.context import OK, Context, Reference
from tenfold.stages.entries import DECISION, GALLERY, LEADERBOARD, SCORES
from tenfold.stages.pages import HEADLINE, page_path, show
from tenfold.stages.pages.evaluate import board_rows, score_name
from tenfold.stages.pages.preview import pictures_of
from tenfold.store import Entry, Store

#: Of a run's folder: its record, its site, and the files that name its results.
RECORD, SITE, RESULTS = "run.json", "report", "results"
#: Stage → what verbs call its result, where there is one of the stage.
_NAMES = {
    "ingest": "dataset",
    "group": "groups",
    "split": "folds",
    "tune": "decision",
    "select": "pseudo-labels",
    "submit": "submission",
    "preview": "preview",
}
GROUPS = {
    "ingest": "Data",
    "group": "Data",
    "split": "Data",
    "train": "Training",
    "evaluate": "Models",
    "tune": "Decision",
    "select": "Pseudo-labels",
    "submit": "Submission",
    "preview": "Submission",
}
_ORDER = tuple(GROUPS)
#: Stages as the graph has them; predict has no page.
_IN_ORDER = (*_ORDER[:6], "predict", *_ORDER[6:])
#: Test samples on the first page, and their own views beside the prediction.
_SHOWN, _VIEWS = 3, 2


@dataclass(frozen=True)
class RunRecord:
    """What a run was, and where its results are.

    Attributes:
        recipe: whole, as JSON.
        source: where the data came from; `fingerprint` says what they were.
        store: address of the store.
        code: version of all code that could decide a result.
        tasks: one reference a task.
        truth: folder of truth kept aside, if there is one.
        judged: reference of the judgement against it.
        seconds: wall time of the run that did the work.
    """

    recipe: str
    source: str
    fingerprint: str
    store: str
    code: str
    tasks: tuple[Reference, ...]
    truth: str | None = None
    judged: Reference | None = None
    seconds: float = 0.0

    @property
    def context(self) -> Context:
        """The run's recipe and store."""
        return Context(recipe_from_json(self.recipe), Store(self.store))

    def of(self, stage: str) -> list[Reference]:
        """Return the references of a stage's tasks that did not fail."""
        return [t for t in self.tasks if t.stage == stage and t.status == OK]

    def write(self, directory: Path) -> None:
        """Write the record, and name every result for the verbs of the stages."""
        # In order of their labels, so that the last of two rounds keeps the name.
        for task in self.tasks:
            if task.status == OK:
                name = _NAMES.get(task.stage, _slug(task.label))
                task.write(directory / RESULTS / f"{name}.json")
        write_json(directory / RECORD, asdict(self))


def read_run(directory: Path) -> RunRecord:
    """Read the record of a run.

    Raises:
        StoreError: if the folder is not a run's.
    """
    try:
        raw = read_json(directory / RECORD)
        tasks = tuple(Reference(**task) for task in raw.pop("tasks"))
        judged = raw.pop("judged")
        return RunRecord(
            tasks=tasks, judged=Reference(**judged) if judged else None, **raw
        )
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{directory} holds no finished run: there is no {RECORD} in it; name the"
            " folder of one (--out of `tenfold run`)"
        ) from None
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{directory} holds no finished run: {RECORD} is not what a run writes"
            f" ({type(error).__name__}: {error}); run it again"
        ) from None


def run_code(challenge: str) -> str:
    """Return the version of all code that a run's results depend on."""
    found = find_challenge(challenge)
    parts = ["reader", "duplicates", "strata", "model", "scoring", "decision"]
    parts += ["submission", "drawing", *(["pseudo"] if found.has("pseudo") else [])]
    modules = [found.module(part) for part in parts]
    stages = [f"tenfold.stages.{stage}" for stage in (*_ORDER, "predict", "judge")]
    pages = [f"tenfold.stages.pages.{stage}" for stage in _ORDER]
    return code_version([*modules, *stages, *pages, "tenfold.stages.report"])


@dataclass(frozen=True)
class Headline:
    """The figures of a run that everybody asks for first.

    Attributes:
        monitor: name of the score.
        honest: out-of-fold, each fold left out of the choice.
        naive: out-of-fold, of the choice itself.
        baseline: of a simple rule, honest; `rule` says which.
        optimistic: why the out-of-fold scores are too good, or nothing.
        board: the leaderboard.
        truth: judgement against truth kept aside, if there is one.
    """

    monitor: str
    honest: float
    naive: float
    baseline: float
    rule: str
    statement: str
    optimistic: str
    board: Sequence[Any]
    truth: Json | None


def headline(run: RunRecord) -> Headline:
    """Collect the figures of a finished run."""
    context = run.context
    tuned = context.entry(run.of("tune")[-1])
    scores = tuned.json(SCORES)
    board = context.store.open(tuned.inputs["leaderboard"])
    judged = context.entry(run.judged).json(SCORES) if run.judged else None
    return Headline(
        monitor=context.challenge.scoring.MONITOR,
        honest=scores["honest"],
        naive=scores["naive"],
        baseline=scores["baseline"]["honest"],
        rule=scores["baseline"]["name"],
        optimistic=optimism(scores),
        statement=tuned.json(DECISION)["statement"],
        board=board.json(LEADERBOARD),
        truth=judged,
    )


def optimism(scores: Json) -> str:
    """Say which models are scored too well, and why, or nothing."""
    reasons = {
        "selected_on_fold": "chose the epoch, or rates, on the fold itself",
        "pseudo_labelled": "learnt from labels by models that saw every fold",
        "leaks": "learnt from near-duplicates of held-out samples (published split)",
    }
    said = [
        f"{', '.join(scores[key])} {reason}"
        for key, reason in reasons.items()
        # Runs of an earlier version do not say why.
        if scores.get(key)
    ]
    return f"optimistic: {'; '.join(said)}" if said else ""


def write_report(run: RunRecord, directory: Path) -> Path:
    """Write the site of a run into `directory/report` and return its first page."""
    context = run.context
    pages = []
    for task in sorted(run.tasks, key=_place):
        if task.status != OK or task.stage not in GROUPS:
            continue
        entry = context.entry(task)
        page = show(context, entry)
        if page is not None:
            title = entry.manifest["label"]
            pages.append(
                SitePage(
                    slug=_slug(title),
                    title=title[0].upper() + title[1:],
                    group=GROUPS[task.stage],
                    html=page_path(page),
                    summary=page.json(HEADLINE)["summary"],
                )
            )
    recipe = context.recipe
    title = f"{recipe.challenge.capitalize()} · {recipe.name}"
    return write_site(directory / SITE, title, _overview(run, context), pages)


def _place(task: Reference) -> tuple[int, str]:
    place = _ORDER.index(task.stage) if task.stage in _ORDER else len(_ORDER)
    return place, task.label


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def _overview(run: RunRecord, context: Context) -> Page:
    recipe, found = context.recipe, headline(run)
    page = Page(
        f"{recipe.challenge.capitalize()}, recipe {recipe.name}",
        recipe.about,
        "overview",
    )
    page.facts(
        {
            f"{found.monitor}, out-of-fold{', optimistic' * bool(found.optimistic)}": (
                found.honest
            ),
            "above the simple rule": found.honest - found.baseline,
            **({"on kept-aside truth": found.truth["score"]} if found.truth else {}),
            "models": len(recipe.members),
            "folds": recipe.split.k,
        }
    )
    page.figure(figures.graph_strip(strip(run.tasks)))
    page.section("Result", found.statement)
    if found.optimistic:
        page.note("warning", f"The out-of-fold scores are {found.optimistic}.")
    page.table(_scores(found), "Scores of the ensemble, and what they stand beside.")
    _predicted(page, run, context)
    page.section("Models", "Cross-validated; of each role, best first.")
    board = list(found.board)
    page.table(board_rows(board), bars=[score_name(board)])
    if found.truth and found.truth["members"]:
        _truth(page, found.truth, found.monitor)
    page.section("Time", "Of the work itself, when it was done.")
    page.table(times(run, context), bars=["seconds"])
    page.section("Record")
    page.text(f"Expected: {recipe.lands_near}")
    page.details("Recipe", yaml.safe_dump(recipe.model_dump(mode="json")))
    record = {
        "source": run.source,
        "source fingerprint": run.fingerprint,
        "store": run.store,
        "code": run.code,
        "recipe digest": recipe.digest(),
    }
    page.details("Run", [{"key": k, "value": v} for k, v in record.items()])
    return page


def _scores(found: Headline) -> list[Mapping[str, object]]:
    rows: list[Mapping[str, object]] = [
        {
            "what": "ensemble, out-of-fold, honest",
            found.monitor: found.honest,
            "how": "each fold left out of the choice of threshold and weights",
        },
        {
            "what": "ensemble, out-of-fold, naive",
            found.monitor: found.naive,
            "how": "counted on the samples the choice was made on",
        },
        {
            "what": "simple rule, out-of-fold, honest",
            found.monitor: found.baseline,
            "how": found.rule,
        },
    ]
    return rows


def _truth(page: Page, truth: Json, monitor: str) -> None:
    page.section("Against truth kept aside", "No stage has read it.")
    gain = truth["score"] - truth["member_mean"]
    page.note(
        "good" if gain > 0 else "warning",
        f"The ensemble scores {truth['score']:.4f}, its members"
        f" {truth['member_mean']:.4f} on average ({truth['member_worst']:.4f} to"
        f" {truth['member_best']:.4f}).",
    )
    rows = [
        {"member": f"{row['model']}, fold {row['fold']}", monitor: row[monitor]}
        for row in truth["members"]
    ]
    page.table(
        [{"member": "ensemble", monitor: truth["score"]}, *rows],
        highlight=0,
        bars=[monitor],
    )
    overlaps = truth["overlaps"]
    if overlaps and overlaps["pairs"]:
        page.section(
            "Near-duplicates against truth",
            f"{overlaps['pairs']} pairs share land on a tenth of their area or more:"
            f" recall {overlaps['recall']:.4f}; precision of all pairs found"
            f" {overlaps['precision']:.4f}.",
        )
        page.table(overlaps["by_overlap"], "Recall by shared area.", bars=["recall"])
        page.table(overlaps["by_shift"], "Recall by shift, pixels.", bars=["recall"])


def strip(tasks: Sequence[Reference]) -> list[tuple[str, str, str]]:
    """Return (stage, status, remark) of every stage, in order."""
    rows = []
    for stage in _IN_ORDER:
        rows += _stage_row(stage, tasks)
    return rows


def _stage_row(stage: str, tasks: Sequence[Reference]) -> list[tuple[str, str, str]]:
    mine = [task for task in tasks if task.stage == stage]
    if not mine:
        return []
    failed = sum(task.status != OK for task in mine)
    count = f"{len(mine)} tasks" if len(mine) > 1 else "1 task"
    return [(stage, "failed" if failed else "done", f"{failed or count}")]


def _predicted(page: Page, run: RunRecord, context: Context) -> None:
    """Show the first samples of the preview's gallery."""
    entry = context.entry(run.of("preview")[-1])
    kind, ids = entry.json(GALLERY)["samples"][0]
    page.section("Predictions", f"Test samples: {kind}. All are under Preview.")
    page.pictures(pictures_of(context, entry, ids[:_SHOWN], _VIEWS))


def _worked(context: Context, entry: Entry) -> float:
    """Return an entry's seconds, and those of the training it predicts by."""
    fit = entry.inputs.get("fit")
    return entry.seconds + (context.store.open(fit).seconds if fit else 0.0)


def times(run: RunRecord, context: Context) -> list[dict[str, object]]:
    """Return tasks and working seconds of every stage."""
    rows: dict[str, dict[str, Any]] = {}
    for task in run.tasks:
        row = rows.setdefault(
            task.stage, {"stage": task.stage, "tasks": 0, "kept": 0, "seconds": 0.0}
        )
        row["tasks"] += 1
        row["kept"] += task.reused
        if task.status == OK:
            worked = _worked(context, context.entry(task))
            row["seconds"] = round(row["seconds"] + worked, 1)
    return [rows[stage] for stage in _IN_ORDER if stage in rows]
