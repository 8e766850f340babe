"""Images are named after the tree they are made of, and hold what they should."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pipelines import images
from pipelines.images import (
    KINDS,
    ImageError,
    Images,
    content_tag,
    is_pinned,
    kind_of,
    pins,
    tree_images,
)
from tenfold.challenges import load_recipe
from tenfold.recipe import Recipe

DIGEST = "sha256:" + "0a" * 32
LOCKED = re.compile(r"^([a-z0-9_.-]+)(?:\[[a-z0-9,_-]+\])?==(\S+)", re.M)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of what the images are made of."""
    for name in (*images.CODE, "containers"):
        shutil.copytree(
            images.ROOT / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    monkeypatch.setattr(images, "ROOT", tmp_path)
    return tmp_path


def test_the_same_tree_has_the_same_tag(tree):
    before = content_tag()
    assert re.fullmatch("[0-9a-f]{16}", before)
    (tree / "tenfold" / "__pycache__").mkdir()
    (tree / "tenfold" / "__pycache__" / "x.pyc").write_bytes(b"1")
    (tree / "README.md").write_text("words")
    (tree / "containers" / "pin.py").write_text("words")
    assert content_tag() == before


@pytest.mark.parametrize(
    "name",
    [
        "tenfold/folds.py",
        "tenfold/challenges/kelp/recipes/smoke.yaml",
        "components/train.py",
        "pipelines/cli/graph.py",
        "containers/Dockerfile",
        "containers/build.txt",
        "containers/kfp.txt",
        "containers/torch/requirements.txt",
        "containers/weights/SHA256SUMS",
    ],
)
def test_another_tree_has_another_tag(tree, name):
    before = content_tag()
    with (tree / name).open("a") as file:
        file.write("# more\n")
    assert content_tag() != before


def test_a_new_or_renamed_file_is_another_tree(tree):
    before = content_tag()
    (tree / "tenfold" / "new.py").write_text("")
    added = content_tag()
    (tree / "tenfold" / "new.py").rename(tree / "tenfold" / "newer.py")
    assert len({before, added, content_tag()}) == 3


def test_a_digest_replaces_the_tag_of_its_image_only():
    found = Images("registry.example/x", "t" * 16, {"torch": DIGEST})
    assert (
        found.reference("torch") == f"registry.example/x/tenfold-python-torch@{DIGEST}"
    )
    assert found.reference("cpu") == f"registry.example/x/tenfold-python-cpu:{'t' * 16}"


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        ("r.example/x/image:0123456789abcdef", True),
        (f"r.example/x/image@{DIGEST}", True),
        (f"r.example:5000/image:tag@{DIGEST}", True),
        ("r.example/x/image:latest", False),
        ("r.example/x/image:v1.2", False),
        ("r.example/x/image", False),
        ("r.example:5000/image", False),
        ("r.example/x/image@sha256:abc", False),
        ("r.example:0123456789abcdef/image", False),
    ],
)
def test_only_a_digest_or_a_content_tag_means_one_image(name, pinned):
    assert is_pinned(name) is pinned


@pytest.mark.parametrize(
    "text", ["", "[]", '{"cpu": "latest"}', json.dumps({"gpu": DIGEST}), '{"cpu": 3}']
)
def test_digests_that_are_none_are_refused(tmp_path, text):
    path = tmp_path / "digests.json"
    path.write_text(text)
    with pytest.raises(ImageError, match=r"digests\.json"):
        tree_images("x", path)


def test_digests_that_a_push_wrote_are_taken(tmp_path):
    path = tmp_path / "digests.json"
    path.write_text(json.dumps({"cpu": DIGEST}))
    assert tree_images("x", path).reference("cpu").endswith(DIGEST)


def test_a_stage_runs_in_the_smallest_image_that_can():
    winning, smoke = load_recipe("kelp", "winning"), load_recipe("kelp", "smoke")
    stages = ("ingest", "group", "split", "train", "tune", "predict", "preview")
    kinds = [kind_of(winning, stage) for stage in stages]
    assert kinds == ["cpu", "torch", "cpu", "torch", "cpu", "torch", "cpu"]
    assert kind_of(smoke, "group") == "cpu"


def with_engines(*engines):
    raw = load_recipe("kelp", "smoke").model_dump(mode="json")
    keep = set(Recipe.model_fields)
    raw = {key: value for key, value in raw.items() if key in keep}
    fields = ("name", "role", "engine", "profile", "seed", "training")
    base = {key: raw["members"][0][key] for key in fields}
    raw["members"] = [
        {**base, "name": f"m{n}", "engine": engine} for n, engine in enumerate(engines)
    ]
    for section in ("tune", "synth"):
        raw.pop(section, None)
    return Recipe.model_validate(
        {**raw, "groups": {}, "split": {"k": 2}, "data": {}, "preview": {}}
    )


def test_each_engine_has_its_image():
    assert kind_of(with_engines("keras"), "train") == "tensorflow"
    assert kind_of(with_engines("torch", "torch"), "predict") == "torch"


def test_two_engines_in_one_run_are_refused():
    with pytest.raises(ImageError, match="keras and torch"):
        kind_of(with_engines("torch", "keras"), "train")


def locked(kind):
    path = Path("containers", kind, "requirements.txt")
    return dict(LOCKED.findall(path.read_text("utf-8")))


@pytest.mark.parametrize("kind", KINDS)
def test_every_locked_package_has_a_hash(kind):
    for path in (f"containers/{kind}/requirements.txt", "containers/kfp.txt"):
        text = Path(path).read_text("utf-8")
        entries = re.split(r"\n(?=[a-z0-9])", text)
        bare = [e for e in entries if "==" in e and "--hash=sha256:" not in e]
        assert bare == []
        assert "index-url" not in text


def test_gpu_images_hold_the_cuda_builds():
    torch, tensorflow = locked("torch"), locked("tensorflow")
    assert "+cpu" not in torch["torch"]
    assert {"nvidia-cudnn-cu13", "nvidia-cublas", "triton"} <= torch.keys()
    assert "tensorflow-cpu" not in tensorflow
    assert {
        "tensorflow",
        "nvidia-cudnn-cu12",
        "nvidia-cublas-cu12",
    } <= tensorflow.keys()
    asked = Path("containers/tensorflow/requirements.in").read_text("utf-8")
    assert "tensorflow[and-cuda]" in asked


def test_no_image_holds_what_another_is_for():
    cpu, torch, tensorflow = (set(locked(kind)) for kind in KINDS)
    assert not {"torch", "tensorflow", "keras"} & cpu
    assert not {"tensorflow", "keras"} & torch
    assert not {"torch", "timm"} & tensorflow


@pytest.mark.parametrize("kind", KINDS)
def test_images_and_checkout_have_the_same_versions(kind):
    own = dict(LOCKED.findall(Path("requirements.txt").read_text("utf-8")))
    for name, version in locked(kind).items():
        if name in own:
            assert version == own[name], name


def test_what_the_images_share_is_among_the_dependencies():
    shared = Path("containers/library.in").read_text("utf-8").splitlines()
    own = Path("requirements.in").read_text("utf-8").splitlines()
    assert {line for line in shared if line and line[0] != "#"} <= set(own)


def test_the_dockerfile_builds_on_the_pinned_base():
    text = Path("containers/Dockerfile").read_text("utf-8")
    assert f"ARG BASE_IMAGE={pins()['BASE_IMAGE']}\n" in text
