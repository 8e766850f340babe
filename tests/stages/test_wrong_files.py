"""Files that name something else than a verb wants: one sentence, and no traceback."""

import errno
import json
from dataclasses import replace

import pytest

from tenfold.challenges import load_recipe
from tenfold.cli import main
from tenfold.cli.app import App, run_app
from tenfold.errors import SubmissionError
from tenfold.stages import judge, select, submit
from tenfold.stages.context import Context, StoreError
from tenfold.store import Key, Store

STAGES = (
    *("ingest", "group", "split", "train", "evaluate", "tune", "predict"),
    *("submit", "select", "preview", "judge"),
)
#: Option → the stage whose file it wants.
OPTIONS = {
    "dataset": "ingest",
    "groups": "group",
    "folds": "split",
    "trained": "train",
    "earlier": "evaluate",
    "leaderboard": "evaluate",
    "decision": "tune",
    "predictions": "predict",
    "submission": "submit",
    "pseudo": "select",
}
#: Verb → its challenge, the options that name files, and other words.
VERBS = {
    "group": ("kelp", "dataset"),
    "split": ("kelp", "dataset groups"),
    "train": ("clouds", "dataset folds pseudo", "--member", "which-pl", "--fold", "0"),
    "evaluate": (
        *("kelp", "dataset folds trained earlier"),
        *("--member", "unet-quantile"),
    ),
    "tune": ("kelp", "dataset folds leaderboard"),
    "predict": ("kelp", "dataset decision"),
    "submit": ("kelp", "dataset predictions"),
    "select": ("clouds", "dataset predictions"),
    "preview": ("kelp", "dataset submission"),
    "judge": ("kelp", "dataset groups decision submission", "/nowhere"),
    "explore": ("kelp", "dataset groups folds"),
    "statistics": ("kelp", "dataset folds", "--fold", "0"),
    "draw": ("kelp", "dataset", "--all"),
    "bench": ("kelp", "dataset", "--device", "cpu"),
}
WITHOUT_OUT = ("statistics", "bench")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Entries of all stages with nothing in them, and the files that name them."""
    folder = tmp_path_factory.mktemp("world")
    for challenge in ("kelp", "clouds"):
        made = made_of(challenge, folder / challenge)
        for stage, reference in made[1].items():
            reference.write(folder / challenge / f"{stage}.json")
    return folder


def made_of(challenge, folder):
    context = Context(load_recipe(challenge, "smoke"), Store(folder / "store"))
    references = {}
    for stage in STAGES:
        entry = entry_of(context, stage, {})
        references[stage] = context.reference(entry, f"a {stage}", False, 0)
    return context, references


def entry_of(context, stage, inputs):
    section = {"challenge": context.recipe.challenge}
    key = Key(stage, inputs, section, "code")
    return context.store.build(key, f"a {stage}", {}, lambda _: None)


def words(world, verb, **files):
    """Return a verb's command line, with other files for some options."""
    challenge, options, *others = VERBS[verb]
    folder = world / challenge
    named = {name: folder / f"{OPTIONS[name]}.json" for name in options.split()}
    given = [
        word for name, file in (named | files).items() for word in option(name, file)
    ]
    out = () if verb in WITHOUT_OUT else ("--out", str(world / "out.json"))
    return [verb, challenge, *others, *given, "--store", str(folder / "store"), *out]


def option(name, file):
    return (f"--{name}", str(file))


def sentence(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    error = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2, error
    assert error[-1].startswith("error: ")
    return error[-1]


@pytest.mark.parametrize(
    ("verb", "name"),
    [(verb, name) for verb, given in VERBS.items() for name in given[1].split()],
)
def test_a_file_that_another_stage_wrote_is_refused_by_its_name(
    world, verb, name, capsys
):
    folder, wanted = world / VERBS[verb][0], OPTIONS[name]
    before = sorted((folder / "store").rglob("*"))
    for stage in STAGES:
        if stage != wanted:
            wrong = {name: folder / f"{stage}.json"}
            assert sentence(capsys, words(world, verb, **wrong)) == (
                f"error: a {stage} is not what {wanted} made; name the file that"
                f" `tenfold {wanted}` wrote"
            )
    assert sorted((folder / "store").rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        ("", "is not valid JSON"),
        ('"x"', "is not a reference to a store entry"),
        ("[1]", "is not a reference to a store entry"),
        ('{"stage": "ingest"}', "is not a reference to a store entry"),
    ],
)
@pytest.mark.parametrize("verb", ["group", "explore", "bench"])
def test_a_file_that_names_nothing_is_not_to_be_deleted(
    world, tmp_path, capsys, verb, content, reason
):
    file = tmp_path / "given.json"
    if content is not None:
        file.write_text(content)
    said = sentence(capsys, words(world, verb, dataset=file))
    assert f"{file} {reason}" in said
    assert said.endswith("; name the file that `tenfold ingest` wrote")
    assert "delete" not in said
    assert "Errno" not in said


def test_a_folder_that_should_be_a_file_is_said_to_be_one(world, tmp_path, capsys):
    said = sentence(capsys, words(world, "group", dataset=tmp_path))
    assert f"{tmp_path} cannot be read (Is a directory); name the file" in said


def test_another_recipes_file_is_refused_with_both_ways_out(world, capsys):
    said = sentence(capsys, [*words(world, "group"), "--set", "seed=7"])
    assert "a ingest was made with another recipe" in said
    assert "compile the graph again" in said
    assert "or give the same --recipe and --set as for the stages before" in said


# What is written ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (".", "Is a directory: .; name a file, not a folder"),
        ("folder", "Is a directory: folder; name a file, not a folder"),
        ("file/runs.csv", "File exists: file; something else has that name"),
        ("file/below/runs.csv", "Not a directory: file/below; a file has the name"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_as_it_was_given(
    tmp_path, monkeypatch, capsys, place, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert f"error: {reason}" in sentence(capsys, ["runs", ".", "--csv", place])
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_folder_is_never_taken_for_the_file_that_names_a_result(tmp_path):
    _, references = made_of("kelp", tmp_path)
    file = tmp_path / "folder"
    file.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        references["ingest"].write(file)
    assert caught.value.filename == str(file)
    assert list(file.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOENT, "name one that is there"),
        (errno.ENOTDIR, "name another place"),
        (errno.EISDIR, "name a file, not a folder"),
        (errno.EEXIST, "name another place"),
    ],
)
def test_an_error_of_the_system_has_a_next_step(capsys, number, cure):
    app = App()

    @app.command()
    def verb() -> None:
        raise OSError(number, "no luck", "some/file")

    with pytest.raises(SystemExit) as ended:
        run_app(app, [])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no luck: some/file; ")
    assert said.strip().endswith(cure)


# Runs --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ['"x"', "[]", "3", "null", '{"tasks": ["x"]}'])
@pytest.mark.parametrize("verb", ["report", "compare"])
def test_a_record_that_no_run_wrote_is_refused(tmp_path, capsys, verb, content):
    (tmp_path / "run.json").write_text(content)
    more = [str(tmp_path), "--out", str(tmp_path / "c")] if verb == "compare" else []
    said = sentence(capsys, [verb, str(tmp_path), *more])
    assert (
        f"{tmp_path} holds no finished run: run.json is not what a run writes" in said
    )
    assert "run it again" in said


def test_a_folder_without_a_record_is_told_from_one_with_a_damaged_one(
    tmp_path, capsys
):
    for place in (tmp_path, tmp_path / "nowhere"):
        said = sentence(capsys, ["report", str(place)])
        assert (
            f"{place} holds no finished run: there is no run.json in it; name" in said
        )
        assert "Errno" not in said


# What does not belong together -------------------------------------------------------


def two_decisions(context, references):
    """Return predictions by two decisions of one data set."""
    shares = []
    for decision in ("tune/1", "tune/2"):
        inputs = {"dataset": references["ingest"].address, "decision": decision}
        entry = entry_of(context, "predict", inputs)
        shares.append(context.reference(entry, "predict", False, 0))
    return shares


@pytest.mark.parametrize("stage", [submit, select])
def test_shares_predicted_by_two_decisions_are_not_joined(tmp_path, stage):
    context, references = made_of("clouds", tmp_path)
    shares = two_decisions(context, references)
    with pytest.raises(StoreError, match=r"two decisions, tune/1 and tune/2; predict"):
        stage.run(context, references["ingest"], shares)
    with pytest.raises(SubmissionError, match="not predicted"):
        stage.run(context, references["ingest"], [])


def test_a_submission_is_judged_with_its_own_decision_alone(tmp_path):
    context, references = made_of("kelp", tmp_path)
    names = ("ingest", "group", "tune", "submit")
    given = [references[name] for name in names]
    with pytest.raises(StoreError, match=f"does not follow {given[2].address}; name"):
        judge.run(context, *given, tmp_path / "truth")
    followed = entry_of(context, "submit", {"decision": given[2].address})
    own = replace(given[3], address=followed.address)
    with pytest.raises(FileNotFoundError, match=r"decision\.json"):
        judge.run(context, *given[:3], own, truth_of(tmp_path))


def truth_of(folder):
    truth = folder / "truth"
    truth.mkdir()
    (truth / "a.txt").write_text(json.dumps("a"))
    return truth
