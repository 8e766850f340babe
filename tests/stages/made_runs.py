"""Finished runs without any training: outputs are the truth, shifted by some rows."""

import numpy as np
import polars as pl

from tenfold.challenges import find_challenge, load_recipe
from tenfold.challenges.kelp.tiles import unpack_mask
from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset, write_table
from tenfold.data.files import write_json
from tenfold.data.shards import write_shard
from tenfold.stages import evaluate, group, ingest, split, tune
from tenfold.stages.context import Context
from tenfold.stages.entries import HISTORY, METRICS, OUT_OF_FOLD, SCORES
from tenfold.stages.proof import open_folds
from tenfold.stages.report import RunRecord
from tenfold.store import Key, Store

SETTINGS = (
    *("synth.train=10", "synth.test=2", "synth.coasts=5", "synth.bad_files=false"),
    *("split.k=2", "split.strata=[has_kelp]"),
)
EPOCHS = 3


def synthesise(directory, *settings):
    """Return a source of raw data."""
    recipe = load_recipe("kelp", "smoke", (*SETTINGS, *settings))
    find_challenge("kelp").synth.synthesise(directory, recipe.synth)
    return directory / "data"


def make_run(folder, source, store, shifts, *settings, truth=None, optimistic=False):
    """Write the record of a run whose results are in a store, and return it.

    Args:
        folder: of the run.
        source: raw data.
        store: folder of results; shared by runs.
        shifts: model → rows by which its outputs miss the truth.
        settings: overrides of the recipe.
        truth: score on truth kept aside.
        optimistic: epochs were chosen on the fold itself.
    """
    context = Context(
        load_recipe("kelp", "smoke", (*SETTINGS, *settings)), Store(store)
    )
    data = ingest.run(context, str(source))
    groups = group.run(context, data)
    folds = split.run(context, data, groups)
    tasks, board = [data, groups, folds], None
    for member in context.recipe.members:
        trained = [
            _train(
                context, data, folds, member.name, k, shifts[member.name], optimistic
            )
            for k in range(context.recipe.split.k)
        ]
        board = evaluate.run(context, data, folds, member.name, trained, board)
        tasks += [*trained, board]
    tasks.append(tune.run(context, data, folds, board))
    record = RunRecord(
        recipe=context.recipe.to_json(),
        source=str(source),
        fingerprint="0123456789abcdef" * 4,
        store=str(store),
        code="fedcba9876543210",
        tasks=tuple(tasks),
        judged=None if truth is None else _judge(context, data, truth),
        seconds=12.5,
    )
    record.write(folder)
    return record


def _train(context, data, folds, model, fold, shift, optimistic):
    scoring = context.challenge.scoring
    dataset = Dataset(context.entry(data).path)
    table = open_folds(context.entry(folds), context.entry(data))

    def work(workspace):
        ids, total, outputs = table.held_out(fold), None, []
        for id_ in ids:
            kelp = np.roll(unpack_mask(dataset.sample(id_)), shift, axis=0)
            outputs.append({"prob": np.where(kelp, 230, 20).astype(np.uint8)})
            one = scoring.tally(outputs[-1], dataset.sample(id_))
            total = one if total is None else total + one
        packed = workspace.path / OUT_OF_FOLD
        write_shard(packed / SHARDS / "00000", outputs, {})
        rows = [
            {"id": id_, "split": "train", "shard": "00000", "row": row}
            for row, id_ in enumerate(ids)
        ]
        write_table(packed / CATALOGUE, pl.DataFrame(rows))
        figures = scoring.metrics(total)
        metrics = {"tally": total.to_json(), "score": figures[scoring.MONITOR]}
        metrics |= {"figures": figures, "model": model, "fold": fold, "role": "segment"}
        metrics |= {"selected_on_fold": optimistic, "pseudo_labelled": False}
        write_json(workspace.path / METRICS, metrics)
        epochs = range(1, EPOCHS + 1)
        history = {"epoch": [float(e) for e in epochs]}
        history["val/score"] = [e / (10 + shift + fold) for e in epochs]
        history["val/loss"] = [1 / e for e in epochs]
        write_table(workspace.path / HISTORY, pl.DataFrame(history))

    fitted = context.store.build(
        Key("fit", {}, [model, fold, shift], "code"), "fit", {}, lambda _: None
    )
    inputs = {"fit": fitted.address, "dataset": data.address, "folds": folds.address}
    section = {"challenge": "kelp", "options": [model, shift, optimistic]}
    key = Key("train", inputs, section, "code")
    entry = context.store.build(key, f"train {model} {fold}", {}, work)
    return context.reference(entry, f"train {model}, fold {fold}", False, 1.0)


def _judge(context, data, score):
    def work(workspace):
        write_json(workspace.path / SCORES, {"score": score})

    key = Key("judge", {"dataset": data.address}, [score], "code")
    entry = context.store.build(key, "judge", {}, work)
    return context.reference(entry, "judge", False, 1.0)
