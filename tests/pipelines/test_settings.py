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
        ("vertex: [", "cannot read settings file"),
        ("images: a\nb: c: d", "line 2: mapping values are not allowed here"),
        ("vertex: {service_account: me@example.com}", "me@example.com is not the e-"),
        ("vertex: {tensorboard: '123'}", "123 is not projects/"),
        ("vertex: {network: default}", "default is not projects/"),
        ("vertex: {labels: {Team: a}}", "'Team' cannot be in a label"),
        ("vertex: {labels: {team: a b}}", "'a b' cannot be in a label"),
        ("vertex: {labels: {1a: b}}", "'1a' cannot be a label: begin with a letter"),
    ],
)
def test_faults_are_named(tmp_path, text, fault):
    path = write(tmp_path / "tenfold.yaml", text)
    with pytest.raises(Exception, match=r"tenfold\.yaml") as error:
        load_settings(path)
    assert fault in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_names_as_google_has_them_will_do():
    names = {
        "service_account": "1234-compute@developer.gserviceaccount.com",
        "tensorboard": "projects/1/locations/europe-west4/tensorboards/2",
        "network": "projects/1/global/networks/default",
        "labels": {"team": "", "größe": "2-l_"},
    }
    flags = {f"vertex.{name}": value for name, value in names.items()}
    assert load_settings(None, flags).vertex.model_dump(include={*names}) == names


@pytest.mark.parametrize("text", ["", "# images: a\n", "vertex:\n#  project: p\n"])
def test_a_section_that_is_commented_out_is_empty(tmp_path, text):
    path = write(tmp_path / "tenfold.yaml", text)
    assert load_settings(path) == Settings()
    assert load_settings(path, {"vertex.project": "p"}).vertex.project == "p"


def test_a_flag_that_is_wrong_is_not_blamed_on_a_file(tmp_path):
    for _ in range(2):
        with pytest.raises(SettingsError) as error:
            load_settings(None, {"vertex.pipeline_root": "/tmp/root"})
        said = "vertex.pipeline_root: /tmp/root is not a gs:// folder"
        assert str(error.value) == said
        write(tmp_path / "tenfold.yaml", "images: a")


def test_a_section_that_is_no_mapping_is_named_under_a_flag(tmp_path):
    path = write(tmp_path / "tenfold.yaml", "vertex: 3")
    with pytest.raises(SettingsError, match="vertex: 3 is no mapping"):
        load_settings(path, {"vertex.project": "p"})


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read settings file .*gone\.yaml"):
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
