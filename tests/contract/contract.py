"""What every challenge must do; a challenge inherits it with a tiny recipe.

class TestKelp(ChallengeContract):
    challenge = "kelp"
    settings = ("synth.train=12", ...)
"""

import inspect
import os
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from tenfold import challenges
from tenfold.challenges import find_challenge, load_recipe
from tenfold.data.dataset import Dataset
from tenfold.data.statistics import Partials, StatisticsSum
from tenfold.errors import (
    LeakError,
    RecipeError,
    StoreError,
    SubmissionError,
    TrainingError,
)
from tenfold.stages import (
    evaluate,
    ingest,
    judge,
    predict,
    select,
    split,
    submit,
    train,
    tune,
)
from tenfold.stages.context import Context
from tenfold.stages.entries import (
    DECISION,
    FOLDS,
    GROUPS,
    LEADERBOARD,
    METRICS,
    MODEL,
    OUT_OF_FOLD,
    SCORES,
    SUMMARY,
)
from tenfold.stages.fold import open_fold
from tenfold.stages.pages import page_path, show
from tenfold.stages.predict import EnsembleMember, load_member
from tenfold.stages.proof import open_folds
from tenfold.store import MANIFEST, Entry, Store
from tests.contract.driver import Finished, run_stages

PARTS = {
    "options": challenges.OptionsPart,
    "synth": challenges.SynthPart,
    "reader": challenges.ReaderPart,
    "duplicates": challenges.DuplicatesPart,
    "strata": challenges.StrataPart,
    "model": challenges.ModelPart,
    "scoring": challenges.ScoringPart,
    "decision": challenges.DecisionPart,
    "submission": challenges.SubmissionPart,
    "drawing": challenges.DrawingPart,
    "exploring": challenges.ExploringPart,
    "pseudo": challenges.PseudoPart,
}


def stacked(partials):
    """The partials of one sample as a stack of one."""
    fields = {name: value[None] for name, value in vars(partials).items()}
    return Partials(**fields)


class ChallengeContract:
    challenge: ClassVar[str]
    settings: ClassVar[tuple[str, ...]]
    #: A setting of tune alone, and one of a single member's training.
    other_tune: ClassVar[str]
    other_member: ClassVar[tuple[str, str]]

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory):
        directory = tmp_path_factory.mktemp("data")
        recipe = load_recipe(cls.challenge, "smoke", cls.settings)
        find_challenge(cls.challenge).synth.synthesise(directory, recipe.synth)
        return directory / "data"

    @pytest.fixture(scope="class")
    @classmethod
    def first(cls, source, tmp_path_factory) -> Finished:
        return run_stages(cls.context(tmp_path_factory.mktemp("store")), str(source))

    @classmethod
    def context(cls, store: Path, *more: str) -> Context:
        recipe = load_recipe(cls.challenge, "smoke", (*cls.settings, *more))
        return Context(recipe, Store(store))

    @staticmethod
    def second_round(first: Finished) -> set[str]:
        """Select and what learns from it: what they get changes with the first."""
        late = [m.name for m in first.context.recipe.trained_in(2)]
        steps = ("train", "evaluate")
        return {
            name
            for name in first.tasks
            if name == "select"
            or any(name.startswith(f"{s} {m}") for s in steps for m in late)
        }

    def copy(self, first: Finished, tmp_path: Path) -> Path:
        store = tmp_path / "store"
        shutil.copytree(first.context.store.root, store)
        return store

    @pytest.mark.parametrize("part", PARTS)
    def test_each_part_defines_what_its_protocol_names(self, part):
        if not find_challenge(self.challenge).has(part):
            assert part in ("exploring", "pseudo")
            pytest.skip(f"{self.challenge} does without {part}")
        module = getattr(find_challenge(self.challenge), part)
        protocol = PARTS[part]
        for name in protocol.__annotations__:
            assert hasattr(module, name)
        for name, wanted in inspect.getmembers(protocol, inspect.isfunction):
            if name.startswith("_"):
                continue
            found = list(inspect.signature(getattr(module, name)).parameters)
            assert found == list(inspect.signature(wanted).parameters)[1:]

    def test_every_recipe_validates_and_says_what_it_lands_near(self):
        recipes = find_challenge(self.challenge).recipes()
        assert "smoke" in recipes
        assert len(recipes) > 1
        for name in recipes:
            assert load_recipe(self.challenge, name).lands_near

    def test_folds_are_balanced_by_columns_of_the_catalogue_alone(self, first):
        known = find_challenge(self.challenge).strata.COLUMNS
        data = Dataset(first.entry("ingest").path)
        assert set(known) <= set(data.catalogue.columns)
        for name in known:
            labels = first.challenge.strata.strata(data.rows("train"), [name])
            assert len(labels) == len(data.rows("train"))
        with pytest.raises(RecipeError, match="no column 'nope' to balance"):
            load_recipe(self.challenge, "smoke", ["split.strata=[nope]"])

    def test_no_group_is_on_both_sides_of_any_fold(self, first):
        groups = pl.read_parquet(first.entry("group").path / GROUPS)
        group_of = dict(groups.select("id", "group").iter_rows())
        data, folds = first.entry("ingest"), first.entry("split")
        table = open_folds(folds, data)
        seen = set()
        for fold in range(table.k):
            held_out, training = table.held_out(fold), table.training(fold)
            assert held_out
            assert not {group_of[i] for i in held_out} & {group_of[i] for i in training}
            seen |= set(held_out)
        assert seen == set(table.training(0)) | set(table.held_out(0))

    def test_out_of_fold_outputs_are_of_held_out_samples_only(self, first):
        table = open_folds(first.entry("split"), first.entry("ingest"))
        for member in first.context.recipe.members:
            for fold in range(table.k):
                entry = first.entry(f"train {member.name} {fold}")
                outputs = Dataset(entry.path / OUT_OF_FOLD)
                ids = outputs.catalogue["id"].to_list()
                assert sorted(ids) == table.held_out(fold)
                assert not set(ids) & set(table.training(fold))

    def test_a_saved_model_gives_the_outputs_it_gave_in_training(self, first):
        member = first.context.recipe.members[0]
        entry = first.entry(f"train {member.name} 0")
        loaded = EnsembleMember(entry, member.name, member.role, 1.0)
        run = load_member(first.context, loaded)
        outputs = Dataset(entry.path / OUT_OF_FOLD)
        id_ = outputs.catalogue["id"][0]
        samples = Dataset(first.entry("ingest").path)
        ((_, again),) = run(samples, [id_], 1)
        for name, values in outputs.sample(id_).items():
            np.testing.assert_array_equal(again[name], values)

    def test_every_model_is_described(self, first):
        for member in first.context.recipe.members:
            model = first.entry(f"train {member.name} 0").json(MODEL)
            assert model["name"] == member.name
            assert model["parameters"] > 0

    def test_the_submission_reads_back_as_every_test_sample_once(self, first):
        part = first.challenge.submission
        file = first.entry("submit").path / part.FILE
        ids = [id_ for id_, _ in part.read(file)]
        expected = Dataset(first.entry("ingest").path).rows("test")["id"].to_list()
        assert sorted(ids) == expected
        assert len(ids) == len(set(ids))

    def test_the_submission_scores_against_truth(self, first, source):
        part = first.challenge.submission
        file = first.entry("submit").path / part.FILE
        scores = part.score(file, source.parent / "truth")
        assert 0 <= scores[first.challenge.scoring.MONITOR] <= 1

    def test_every_stage_has_a_page_without_scripts(self, first):
        for task in first.tasks.values():
            page = show(first.context, first.context.entry(task))
            if task.stage == "predict":
                assert page is None
                continue
            html = page_path(page).read_text("utf-8")
            assert html.startswith("<!doctype html>")
            assert "<script" not in html.lower()
            assert len(html) <= 2_000_000

    def test_views_have_names_that_differ_as_files_and_maps_a_scale(self, first):
        drawing, data = first.challenge.drawing, Dataset(first.entry("ingest").path)
        for id_ in data.catalogue["id"]:
            views, scales = (
                f(data.sample(id_)) for f in (drawing.views, drawing.scales)
            )
            assert len({name.lower() for name in views}) == len(views) > 0
            assert set(scales) <= set(views)
            assert all(scale.low < scale.high for scale in scales.values())

    def test_what_is_explored_is_in_the_catalogue_and_counts_as_ingest_does(
        self, first
    ):
        part = first.challenge.exploring
        if part is None:
            pytest.skip(f"{self.challenge} does without exploring")
        entry = first.entry("ingest")
        data = Dataset(entry.path)
        assert set(part.COLUMNS) <= set(data.catalogue.columns)
        mine = part.channels(first.context.recipe, every=False)
        every = part.channels(first.context.recipe, every=True)
        assert set(mine.names) <= set(every.names)
        channels = first.challenge.reader.channels(first.context.recipe)
        ids = data.rows("train")["id"].to_list()
        for id_ in ids:
            found = part.partials(data.sample(id_), mine)
            assert 0 < found.count.max() <= part.pixels(data.sample(id_))
        if channels is None:
            return
        assert set(channels.names) <= set(mine.names)
        total = StatisticsSum(channels)
        for id_ in ids:
            total.add(stacked(part.partials(data.sample(id_), channels)), [0])
        found, kept = total.result().to_json(), data.statistics(channels, ids).to_json()
        for figure, by_channel in kept.items():
            assert found[figure] == pytest.approx(by_channel)

    def test_decided_predictions_of_held_out_samples_can_be_scored(self, first):
        scoring, decision = first.challenge.scoring, first.challenge.decision
        decided = first.entry("tune").json(DECISION)
        members = {row["model"] for row in decided["members"]}
        recipe = first.context.recipe
        last = recipe.trained_in(len(recipe.rounds))[-1].name
        board = first.entry(f"evaluate {last}").json(LEADERBOARD)
        data = Dataset(first.entry("ingest").path)
        held_out = tune.HeldOut(
            first.context.store,
            data,
            open_folds(first.entry("split"), first.entry("ingest")),
            [row for row in board if row["model"] in members],
        )
        total = None
        for _, _, arrays, outputs in held_out.samples():
            prediction = tune.decide(decision, decided, outputs, arrays)
            assert decision.DECIDED in prediction
            one = scoring.tally(prediction, arrays)
            total = one if total is None else total + one
        found = scoring.metrics(total)[scoring.MONITOR]
        assert found == pytest.approx(first.entry("tune").json(SCORES)["naive"])

    def test_a_second_run_does_nothing(self, first, source):
        again = run_stages(first.context, str(source))
        assert again.done == set()
        assert again.addresses == first.addresses

    def test_a_fresh_store_gives_the_same_bits(self, first, source, tmp_path):
        again = run_stages(self.context(tmp_path), str(source))
        assert again.addresses == first.addresses
        for name in first.tasks:
            before, after = (r.entry(name).manifest["files"] for r in (first, again))
            drop = {"history.parquet", "history.csv"}  # hold timings
            assert [f for f in before if f["name"] not in drop] == [
                f for f in after if f["name"] not in drop
            ]

    def test_a_changed_decision_redoes_tune_and_what_follows(
        self, first, source, tmp_path
    ):
        store = self.copy(first, tmp_path)
        again = run_stages(self.context(store, self.other_tune), str(source))
        workers = {n for n in first.tasks if "predict" in n}
        tuned = {n for n in first.tasks if n.endswith("tune")}
        # What is decided may come out the same; who is asked again may not.
        wanted = tuned | {"submit", "preview"} | workers
        assert again.done - self.second_round(first) == wanted

    def test_a_changed_member_retrains_only_itself(self, first, source, tmp_path):
        store = self.copy(first, tmp_path)
        member, setting = self.other_member
        again = run_stages(self.context(store, setting), str(source))
        done = again.done - self.second_round(first)
        trained = {n for n in done if n.startswith("train")}
        expected = {n for n in first.tasks if n.startswith(f"train {member} ")}
        assert sorted(trained) == sorted(expected)
        assert not again.done & {"ingest", "group", "split"}

    def test_other_views_at_inference_predict_again_and_train_nothing(
        self, first, source, tmp_path
    ):
        store = self.copy(first, tmp_path)
        fitted = sorted(store.glob("fit/*/manifest.json"))
        member = first.context.recipe.members[0].name
        setting = f"members.{member}.inference.tta=flips"
        again = run_stages(self.context(store, setting), str(source))
        done = again.done - self.second_round(first)
        trained = {n for n in done if n.startswith("train")}
        assert trained == {n for n in first.tasks if n.startswith(f"train {member} ")}
        assert {f"evaluate {member}", "tune", "submit"} <= again.done
        if not self.second_round(first):
            assert sorted(store.glob("fit/*/manifest.json")) == fitted

    def test_a_changed_file_behind_the_same_path_is_seen(self, first, source, tmp_path):
        moved = tmp_path / "data"
        shutil.copytree(source, moved)
        context = self.context(self.copy(first, tmp_path))
        assert ingest.run(context, str(moved)).reused
        reads = first.context.recipe.data.reads
        files = [p for p in moved.rglob("*.*") if reads(p.as_posix())]
        file = max(files, key=lambda p: (p.stat().st_size, p.name))
        content = bytearray(file.read_bytes())
        times = file.stat()
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        again = ingest.run(context, str(moved))
        assert not again.reused
        assert again.address != first.tasks["ingest"].address

    def test_folds_of_another_ingest_are_refused(self, first, source, tmp_path):
        context = self.context(self.copy(first, tmp_path))
        moved = tmp_path / "data"
        shutil.copytree(source, moved)
        (moved / "notes.txt").write_text("another source, the same samples")
        other = ingest.run(context, str(moved))
        member = context.recipe.members[0].name
        with pytest.raises(StoreError, match="another ingest"):
            train.run(context, other, first.tasks["split"], member, 0)

    def test_models_of_another_data_set_are_refused(self, first, source, tmp_path):
        context = self.context(self.copy(first, tmp_path))
        moved = tmp_path / "data"
        shutil.copytree(source, moved)
        (moved / "notes.txt").write_text("another source, the same samples")
        other = ingest.run(context, str(moved))
        with pytest.raises(StoreError, match="were trained on ingest/"):
            predict.run(context, other, first.tasks["tune"], 0)

    def test_another_recipes_artifacts_are_refused(self, first, tmp_path):
        other = self.context(tmp_path, "seed=7")
        with pytest.raises(RecipeError, match="another recipe"):
            split.run(other, first.tasks["ingest"], first.tasks["group"])

    def test_a_tampered_fold_table_is_refused_before_training(self, first, tmp_path):
        context = self.context(self.copy(first, tmp_path))
        entry = context.entry(first.tasks["split"])
        table = pl.read_parquet(entry.path / FOLDS)
        used = table.filter(pl.col("fold") >= 0)
        ids = used.filter(pl.col("fold") == 0)["id"].to_list()
        swapped = table.with_columns(
            fold=pl.when(pl.col("id") == ids[0]).then(1).otherwise(pl.col("fold"))
        )
        swapped.write_parquet(entry.path / FOLDS)
        with pytest.raises(StoreError, match="missing or incomplete"):
            train.run(
                context,
                first.tasks["ingest"],
                first.tasks["split"],
                context.recipe.members[0].name,
                0,
            )

    def test_a_fold_that_does_not_exist_is_named(self, first):
        context = first.context
        with pytest.raises(RecipeError, match="no fold 99"):
            train.run(
                context,
                first.tasks["ingest"],
                first.tasks["split"],
                context.recipe.members[0].name,
                99,
            )

    def test_a_member_that_is_not_intact_stops_predict_by_name(self, first, tmp_path):
        context = self.context(self.copy(first, tmp_path))
        member = context.recipe.members[0].name
        entry = context.entry(first.tasks[f"train {member} 1"])
        file = next((entry.path / "weights").glob("*.safetensors"))
        content = bytearray(file.read_bytes())
        content[-1] ^= 0xFF
        file.write_bytes(content)
        predicted = context.store.root / first.tasks["predict 0"].address
        shutil.rmtree(predicted)
        with pytest.raises(StoreError, match=f"member {member}, fold 1"):
            predict.run(context, first.tasks["ingest"], first.tasks["tune"], 0)

    def test_a_killed_predict_goes_on_with_the_next_shard(
        self, first, tmp_path, monkeypatch
    ):
        context = self.context(self.copy(first, tmp_path))
        folder = context.store.root / first.tasks["predict 0"].address
        shards = sorted((folder / "shards").iterdir())
        assert len(shards) > 1, "the tiny recipe needs two test shards"
        (folder / MANIFEST).unlink()
        shutil.rmtree(shards[-1])
        predicted = []
        original = predict.Predictor._shard

        def counting(self, name, *rest):
            predicted.append(name)
            original(self, name, *rest)

        monkeypatch.setattr(predict.Predictor, "_shard", counting)
        again = predict.run(context, first.tasks["ingest"], first.tasks["tune"], 0)
        assert predicted == [shards[-1].name]
        files = context.entry(again).manifest["files"]
        assert files == first.entry("predict 0").manifest["files"]

    def test_a_killed_ingest_keeps_the_shards_it_finished(
        self, first, source, tmp_path, monkeypatch
    ):
        context = self.context(tmp_path)
        write, written = ingest.write_shard, []

        def dying(directory, *rest):
            if len(written) == 2:
                raise KeyboardInterrupt
            write(directory, *rest)
            written.append(directory.name)

        monkeypatch.setattr(ingest, "write_shard", dying)
        with pytest.raises(KeyboardInterrupt):
            ingest.run(context, str(source))
        assert not list(context.store.root.glob("ingest/*/manifest.json"))
        again = []
        monkeypatch.setattr(
            ingest,
            "write_shard",
            lambda directory, *rest: (
                again.append(directory.name),
                write(directory, *rest),
            ),
        )
        done = ingest.run(context, str(source))
        assert not set(again) & set(written)
        files = context.entry(done).manifest["files"]
        assert files == first.entry("ingest").manifest["files"]

    def test_a_missing_prediction_is_not_submitted(self, first, tmp_path):
        context = self.context(self.copy(first, tmp_path))
        with pytest.raises(SubmissionError, match="not predicted"):
            submit.run(context, first.tasks["ingest"], [])

    def test_evaluate_wants_every_fold(self, first):
        member = first.context.recipe.members[0].name
        with pytest.raises(TrainingError, match="not trained"):
            evaluate.run(
                first.context,
                first.tasks["ingest"],
                first.tasks["split"],
                member,
                [first.tasks[f"train {member} 0"]],
            )

    def test_evaluate_refuses_the_folds_of_another_model(self, first):
        if len(first.context.recipe.members) == 1:
            pytest.skip(f"{self.challenge}'s smoke recipe has one member")
        one, other = (member.name for member in first.context.recipe.members[:2])
        folds = range(first.context.recipe.split.k)
        with pytest.raises(TrainingError, match=f"a fold of {other}, not of {one};"):
            evaluate.run(
                first.context,
                first.tasks["ingest"],
                first.tasks["split"],
                one,
                [first.tasks[f"train {other} {fold}"] for fold in folds],
            )

    def test_predictions_of_two_decisions_are_not_joined(self, first):
        if len(first.context.recipe.rounds) == 1:
            pytest.skip(f"{self.challenge}'s smoke recipe has one round")
        data, tasks = first.tasks["ingest"], first.tasks
        for stage in (submit, select):
            parts = [tasks["predict 0"], tasks["round 1 predict 0"]]
            with pytest.raises(StoreError, match="follow two decisions"):
                stage.run(first.context, data, parts)

    def test_only_the_decision_of_a_submission_is_judged_with_it(self, first, source):
        if len(first.context.recipe.rounds) == 1:
            pytest.skip(f"{self.challenge}'s smoke recipe has one round")
        names = ("ingest", "group", "round 1 tune", "submit")
        given, truth = [first.tasks[name] for name in names], source.parent / "truth"
        with pytest.raises(StoreError, match=f"does not follow {given[2].address}"):
            judge.run(first.context, *given, truth)

    def test_the_cross_validated_score_is_of_all_folds_counted_together(self, first):
        for member in first.context.recipe.members:
            scoring = first.challenge.scoring.of_role(member.role)
            data, total = Dataset(first.entry("ingest").path), None
            for fold in range(first.context.recipe.split.k):
                entry = first.entry(f"train {member.name} {fold}")
                outputs = Dataset(entry.path / OUT_OF_FOLD)
                for id_ in outputs.catalogue["id"].to_list():
                    one = scoring.tally(outputs.sample(id_), data.sample(id_))
                    total = one if total is None else total + one
            expected = scoring.metrics(total)[scoring.MONITOR]
            found = first.entry(f"evaluate {member.name}").json(METRICS)["score"]
            assert found == pytest.approx(expected)

    def test_the_leaderboard_holds_every_model_best_first(self, first):
        recipe = first.context.recipe
        last = recipe.trained_in(len(recipe.rounds))[-1].name
        board = first.entry(f"evaluate {last}").json(LEADERBOARD)
        names = {m.name for m in first.context.recipe.members}
        assert {row["model"] for row in board} == names
        for role in {row["role"] for row in board}:
            scores = [row["score"] for row in board if row["role"] == role]
            assert scores == sorted(scores, reverse=True)

    def test_no_pseudo_labelled_sample_is_held_out(self, first):
        late = first.context.recipe.trained_in(2)
        if not late:
            pytest.skip(f"{self.challenge}'s smoke recipe has one round")
        labelled = set(Dataset(first.entry("select").path).catalogue["id"])
        test = set(Dataset(first.entry("ingest").path).rows("test")["id"])
        assert labelled
        assert labelled <= test
        table = open_folds(first.entry("split"), first.entry("ingest"))
        for fold in range(table.k):
            assert not labelled & set(table.held_out(fold))
            for member in late:
                entry = first.entry(f"train {member.name} {fold}")
                assert entry.json(METRICS)["pseudo_labelled"]
                outputs = Dataset(entry.path / OUT_OF_FOLD)
                assert sorted(outputs.catalogue["id"]) == table.held_out(fold)

    def test_pseudo_labels_are_made_of_the_first_rounds_predictions(self, first):
        if not first.context.recipe.trained_in(2):
            pytest.skip(f"{self.challenge}'s smoke recipe has one round")
        with pytest.raises(StoreError, match="follow tune, round 2; select takes"):
            select.run(first.context, first.tasks["ingest"], [first.tasks["predict 0"]])

    def test_the_first_rounds_predictions_are_not_submitted(self, first):
        if not first.context.recipe.trained_in(2):
            pytest.skip(f"{self.challenge}'s smoke recipe has one round")
        early = [first.tasks["round 1 predict 0"]]
        with pytest.raises(StoreError, match=r"follow tune, round 1.*the last round"):
            submit.run(first.context, first.tasks["ingest"], early)

    def test_a_twin_of_a_held_out_sample_is_not_learnt_from(self, first, monkeypatch):
        late = first.context.recipe.trained_in(2)
        if not late:
            pytest.skip(f"{self.challenge}'s smoke recipe has one round")
        names = ("ingest", "split", "select")
        data, folds, labels = (first.tasks[name] for name in names)

        def learnt(fold):
            job = open_fold(
                first.context, data, folds, late[0].name, fold, "train", labels
            )
            return job.samples.labelled

        twin, *others = sorted(learnt(0))
        table = open_folds(first.entry("split"), first.entry("ingest")).table
        like = table.filter(pl.col("fold") == 0)["group"][0]
        read = Entry.json

        def told(self, name):
            found = read(self, name)
            if self.stage == "group" and name == SUMMARY:
                return found | {"test_matches": {twin: [like]}}
            return found

        monkeypatch.setattr(Entry, "json", told)
        assert learnt(0) == set(others)
        assert learnt(1) == {twin, *others}

    def test_tune_refuses_outputs_of_other_folds(self, first):
        recipe = first.context.recipe
        last = recipe.trained_in(len(recipe.rounds))[-1].name
        board = first.entry(f"evaluate {last}").json(LEADERBOARD)
        swapped = [
            {**row, "folds": {"0": row["folds"]["1"], "1": row["folds"]["0"]}}
            for row in board
        ]
        table = open_folds(first.entry("split"), first.entry("ingest"))
        data = Dataset(first.entry("ingest").path)
        with pytest.raises(LeakError, match="train it again"):
            tune.HeldOut(first.context.store, data, table, swapped)

    def test_the_decision_names_every_member(self, first):
        decision = first.entry("tune").json(DECISION)
        recipe = first.context.recipe
        names = {m.name for m in recipe.of_round(len(recipe.rounds))}
        assert {m["model"] for m in decision["members"]} == names
        assert decision["statement"]
