"""A user's own names: from the file, with flags over it; faults in one sentence."""

import pytest

from pipelines.settings import Settings, SettingsError, load_settings, require


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TENFOLD_SETTINGS", raising=False)


def write(path, text):
    path.write_text(text)
    return path


def test_without_a_file_all_is_open():
    assert load_settings() == Settings()


def test_flags_go_over_the_file(tmp_path):
    text = "images: r.example/x\nvertex: {project: one, location: europe-west4}\n"
    write(tmp_path / "tenfold.yaml", text)
    flags = {
        "vertex.project": "two",
        "vertex.location": None,
        "kubeflow.host": "http://h",
    }
    found = load_settings(None, flags)
    assert found.images == "r.example/x"
    assert found.vertex.project == "two"
    assert found.vertex.location == "europe-west4"
    assert found.kubeflow.host == "http://h"


def test_the_environment_names_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TENFOLD_SETTINGS", str(tmp_path / "other.yaml"))
    write(tmp_path / "other.yaml", "images: other\n")
    write(tmp_path / "tenfold.yaml", "images: mine\n")
    assert load_settings().images == "other"
    assert load_settings(tmp_path / "tenfold.yaml").images == "mine"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("vertex: {projct: x}", "vertex.projct"),
        ("vertex: {pipeline_root: s3://b}", "s3://b is not a gs:// folder"),
        ("- a", "not a mapping"),
        ("vertex: [", "cannot read"),
    ],
)
def test_faults_are_named(tmp_path, text, fault):
    path = write(tmp_path / "tenfold.yaml", text)
    with pytest.raises(Exception, match=r"tenfold\.yaml") as error:
        load_settings(path)
    assert fault in str(error.value)


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(Exception, match=r"gone\.yaml"):
        load_settings(tmp_path / "gone.yaml")


def test_what_is_missing_is_named_with_its_flags():
    given = Settings.model_validate({"store": "gs://b/s"})
    assert require(given, "store") == ["gs://b/s"]
    with pytest.raises(SettingsError) as error:
        require(given, "store", "vertex.project", "vertex.pipeline_root")
    sentence = str(error.value)
    assert "vertex.project, vertex.pipeline_root" in sentence
    assert "--project --pipeline-root" in sentence
    assert "tenfold.yaml" in sentence
