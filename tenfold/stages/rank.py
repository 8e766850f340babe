"""rank: the trials of a sweep, best first."""

from collections.abc import Mapping, Sequence

import polars as pl

from tenfold.data.files import write_json
from tenfold.errors import TrainingError
from tenfold.recipe import Json
from tenfold.stages.context import OK, Context, Reference, section
from tenfold.stages.entries import HISTORY, METRICS, RANKING
from tenfold.store import Entry, Workspace
from tenfold.sweep import Plan

PARTS = ()


def run(context: Context, plan: Plan, trials: Sequence[Reference]) -> Reference:
    """Rank the trials of a sweep.

    Args:
        context: the recipe that all trials vary, and store.
        plan: the sweep.
        trials: one reference a trial, in any order.

    Raises:
        TrainingError: a trial is missing, or none could be trained.
    """
    found = {reference.label: reference for reference in trials}
    missing = [trial.label for trial in plan.trials if trial.label not in found]
    if missing:
        raise TrainingError(
            f"{len(missing)} trials left no result, the first: {missing[0]}; run the"
            " sweep again: what is done is kept"
        )
    entries = {
        label: context.entry(reference)
        for label, reference in found.items()
        if reference.status == OK
    }
    failed = {r.label: r.reason for r in found.values() if r.status != OK}
    if not entries:
        raise TrainingError(
            f"no trial could be trained; {plan.trials[0].label}:"
            f" {failed[plan.trials[0].label]}"
        )

    def work(workspace: Workspace) -> None:
        write_json(workspace.path / RANKING, _ranking(context, plan, entries, failed))

    inputs = {label: entry.address for label, entry in entries.items()}
    options = {"plan": section(plan), "failed": failed}
    return context.build("rank", f"rank {plan.name}", inputs, options, PARTS, work)


def _ranking(
    context: Context,
    plan: Plan,
    entries: Mapping[str, Entry],
    failed: Mapping[str, str],
) -> Json:
    rows, lost = [], []
    for number, trial in enumerate(plan.trials):
        named = {"trial": number, "label": trial.label, "values": trial.values}
        if trial.label in failed:
            lost.append({**named, "reason": failed[trial.label]})
            continue
        entry = entries[trial.label]
        metrics = entry.json(METRICS)
        rows.append(
            {
                **named,
                **{
                    name: metrics[name]
                    for name in ("score", "epochs", "of_epochs", "stopped")
                },
                "parameters": metrics["parameters"],
                "seconds": entry.seconds,
                "curve": _curve(entry),
                "command": plan.command(context.recipe.challenge, trial),
            }
        )
    rows.sort(key=lambda row: (-row["score"], row["trial"]))
    return {
        "sweep": plan.name,
        "about": plan.about,
        "member": plan.member,
        "fold": plan.fold,
        "rule": plan.early_stop.rule,
        "axes": list(plan.trials[0].values),
        "trials": rows,
        "failed": lost,
    }


def _curve(entry: Entry) -> Json:
    """Return the validated epochs of a trial and their scores."""
    history = pl.read_parquet(entry.path / HISTORY)
    known = history.select("epoch", "val/score").drop_nulls()
    return {"epochs": known["epoch"].to_list(), "scores": known["val/score"].to_list()}
