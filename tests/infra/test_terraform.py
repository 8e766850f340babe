"""The Terraform configuration, as far as it can be judged without a provider."""

import json
import os
import re
import shutil
import string
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines.settings import load_settings, require
from tenfold.challenges import load_recipe

REPOSITORY = Path(__file__).parents[2]
ROOT = REPOSITORY / "infra/terraform"
MODULES = [ROOT, *sorted(path for path in (ROOT / "modules").iterdir())]

needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None, reason="terraform is not installed"
)


def source(module):
    """All of a module's text without comments."""
    text = "\n".join(file.read_text("utf-8") for file in sorted(module.glob("*.tf")))
    return re.sub(r"(?m)^\s*#.*$|\s#\s.*$", "", text)


def blocks(module, kind):
    """Name → body of the top-level blocks of a kind; `terraform fmt` sets the shape."""
    found = re.findall(
        rf'(?ms)^{kind} "(\w+)"(?: "(\w+)")? \{{(.*?)^\}}', source(module)
    )
    return {f"{one}.{two}" if two else one: body for one, two, body in found}


def arguments(body):
    """Names set directly in a block."""
    return set(re.findall(r"(?m)^  (\w+)\s*=", body))


def required(variables):
    return {
        name for name, body in variables.items() if "default" not in arguments(body)
    }


def called(module):
    """Name → (folder, arguments) of the modules a module calls."""
    return {
        name: (
            module / re.search(r'source\s*=\s*"(.+)"', body)[1],
            arguments(body) - {"source", "count", "for_each", "depends_on"},
        )
        for name, body in blocks(module, "module").items()
    }


def terraform(*command, folder=ROOT, text=None):
    return subprocess.run(
        ["terraform", *command],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CHECKPOINT_DISABLE": "1"},
    )


def evaluated(expression, folder):
    """What Terraform itself makes of an expression, without any provider."""
    result = terraform("console", folder=folder, text=f"jsonencode({expression})\n")
    assert result.returncode == 0, result.stderr
    return json.loads(json.loads(result.stdout))


def settings_arguments():
    """What outputs.tf fills the settings template with."""
    body = blocks(ROOT, "output")["settings"]
    return set(re.findall(r"(?m)^    (\w+)\s*=", body))


@needs_terraform
def test_everything_parses_and_is_formatted():
    result = terraform("fmt", "-check", "-recursive", "-diff")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_what_a_module_uses_it_declares_and_the_other_way_round(module):
    text = source(module)
    assert blocks(module, "variable").keys() == set(re.findall(r"\bvar\.(\w+)", text))

    declared = blocks(module, "resource").keys() | {
        f"data.{name}" for name in blocks(module, "data")
    }
    used = set(re.findall(r"(?<![\w.\"])((?:data\.)?google_\w+\.\w+)", text))
    assert used <= declared

    locals_declared = {
        name
        for body in re.findall(r"(?ms)^locals \{(.*?)^\}", text)
        for name in arguments(body)
    }
    assert set(re.findall(r"\blocal\.(\w+)", text)) == locals_declared


@pytest.mark.parametrize("name", called(ROOT))
def test_a_call_gives_a_module_what_it_takes(name):
    folder, given = called(ROOT)[name]
    variables = blocks(folder.resolve(), "variable")
    assert required(variables) <= given <= variables.keys()


def test_every_output_of_a_module_is_there_and_of_use():
    used = re.findall(r"\bmodule\.(\w+)(?:\[[*\d]+\])?\.(\w+)", source(ROOT))
    there = {
        (name, output)
        for name, (folder, _) in called(ROOT).items()
        for output in blocks(folder.resolve(), "output")
    }
    assert set(used) == there


def test_the_example_names_the_variables_without_a_default():
    example = (ROOT / "terraform.tfvars.example").read_text("utf-8")
    variables = blocks(ROOT, "variable")
    named = set(re.findall(r"(?m)^(\w+) ", example))
    assert required(variables) <= named <= variables.keys()


def test_nothing_that_costs_is_on_by_default_and_no_amount_is_made_up():
    variables = blocks(ROOT, "variable")
    assert "budget_amount" in required(variables)
    for switch in ("create_cluster", "smoke_run"):
        assert re.search(r"default\s*=\s*false", variables[switch])


def test_nobody_is_given_more_than_needed():
    text = "".join(source(module) for module in MODULES)
    for forbidden in (
        *("roles/owner", "roles/editor", "roles/viewer", "storage.admin"),
        *("allUsers", "allAuthenticatedUsers", "google_service_account_key"),
        # These would take away what others in the project were granted.
        *("_iam_policy", "_iam_binding"),
    ):
        assert forbidden not in text
    for module in MODULES:
        for name, body in blocks(module, "resource").items():
            if name.startswith("google_project_iam_member"):
                role = re.search(r"role\s*=\s*(.+)", body)[1]
                assert role in {
                    "each.value.role",
                    '"roles/container.defaultNodeServiceAccount"',
                }


READING = {"roles/storage.objectViewer", "roles/storage.legacyBucketReader"}


@needs_terraform
@pytest.mark.parametrize("smoke_run", [False, True])
def test_who_may_do_what(tmp_path, smoke_run):
    shutil.copy(ROOT / "modules/identities/grants.tf", tmp_path)
    (tmp_path / "variables.tf").write_text(
        f'variable "smoke_run" {{ default = {str(smoke_run).lower()} }}', "utf-8"
    )
    grants = evaluated(
        "{project = values(local.project_grants), bucket = values(local.bucket_grants),"
        " runner = local.runs_as_runner, images = local.on_images}",
        tmp_path,
    )
    submits = {"submitter", "builder"} if smoke_run else {"submitter"}
    assert {(one["who"], one["role"]) for one in grants["project"]} == {
        ("runner", "roles/logging.logWriter"),
        ("builder", "roles/logging.logWriter"),
        *((who, "roles/aiplatform.user") for who in {"runner"} | submits),
    }
    assert set(grants["runner"]) == {"runner"} | submits

    writes = {
        (one["who"], one["bucket"])
        for one in grants["bucket"]
        if one["role"] not in READING
    }
    assert writes == {("runner", "store"), ("runner", "pipelines")}
    reads = {(one["who"], one["bucket"]) for one in grants["bucket"]} - writes
    assert reads == {
        ("runner", "data"),
        *((who, bucket) for who in submits for bucket in ("store", "pipelines")),
    }
    assert {
        who for who, role in grants["images"].items() if not role.endswith(".reader")
    } == {"builder"}


def test_a_build_writes_compiled_pipelines_and_no_other_object():
    compiled = blocks(ROOT / "modules/identities", "resource")[
        "google_storage_bucket_iam_member.compiled"
    ]
    assert "/objects/compiled/')" in compiled
    assert '/compiled"' in blocks(ROOT, "module")["build"]


def test_the_trigger_says_what_the_build_asks_for():
    trigger = blocks(ROOT / "modules/build", "resource")[
        "google_cloudbuild_trigger.images"
    ]
    build = yaml.safe_load((REPOSITORY / "cloudbuild.yaml").read_text("utf-8"))
    assert set(re.findall(r"(?m)^    (_\w+)\s*=", trigger)) == set(
        build["substitutions"]
    )


def test_both_clusters_get_the_same_kubeflow_pipelines():
    here = re.search(r'default\s*=\s*"(.+)"', blocks(ROOT, "variable")["kfp_version"])[
        1
    ]
    there = (REPOSITORY / "infra/kind/up").read_text("utf-8")
    assert f"KFP_VERSION={here}\n" in there


def test_only_the_named_repository_and_branch_may_act_as_an_identity():
    resources = blocks(ROOT / "modules/identities", "resource")
    provider = resources["google_iam_workload_identity_pool_provider.github"]
    condition = re.search(r'attribute_condition\s*=\s*"(.+)"', provider)[1]
    assert condition.split(" && ") == [
        "assertion.repository_id == '${var.github_repository_id}'",
        "assertion.ref == 'refs/heads/${var.branch}'",
    ]
    member = resources["google_service_account_iam_member.ci"]
    assert "attribute.repository_id/${var.github_repository_id}" in member


def test_buckets_are_private_and_keep_versions():
    bucket = blocks(ROOT / "modules/buckets", "resource")["google_storage_bucket.this"]
    for line in (
        r"uniform_bucket_level_access = true",
        r'public_access_prevention\s+= "enforced"',
        r"versioning \{\s+enabled = true",
    ):
        assert re.search(line, bucket)
    assert "force_destroy" not in bucket


def test_every_policy_skipped_says_why():
    skips = re.findall(
        r"checkov:skip=(\S*?):(.*)",
        "".join(file.read_text("utf-8") for file in ROOT.rglob("*.tf")),
    )
    assert skips
    for check, reason in skips:
        assert re.fullmatch(r"CKV2?_GCP_\d+", check)
        assert len(reason.split()) > 5, check


def test_the_page_lists_exactly_the_roles_that_are_granted():
    page = (REPOSITORY / "docs/terraform.md").read_text("utf-8")
    rows = "".join(line for line in page.splitlines() if line.startswith("|"))
    granted = re.findall(r'"roles/([\w.]+)"', "".join(map(source, MODULES)))
    listed = re.findall(r"`(\w+\.\w+)`", rows)
    assert set(listed) == set(granted)


def test_the_settings_it_writes_are_settings(tmp_path):
    template = (ROOT / "settings.yaml.tftpl").read_text("utf-8")
    values = {name: name.replace("_", "-") for name in settings_arguments()} | {
        "store": "gs://store/tenfold",
        "weights": "gs://data/weights",
        "pipeline_root": "gs://pipelines/tenfold",
        "service_account": "runner@p.iam.gserviceaccount.com",
        "encryption_key": "null",
        "gpu_label": "null",
    }
    assert set(string.Template(template).get_identifiers()) == values.keys()

    file = tmp_path / "tenfold.yaml"
    file.write_text(string.Template(template).substitute(values), encoding="utf-8")
    settings = load_settings(file)
    assert require(
        settings,
        *("images", "store", "weights", "vertex.project", "vertex.location"),
        *("vertex.pipeline_root", "vertex.service_account"),
    ) == [
        *("images", "gs://store/tenfold", "gs://data/weights"),
        *("project", "location"),
        *("gs://pipelines/tenfold", "runner@p.iam.gserviceaccount.com"),
    ]
    # What the runner may read, and may not write.
    output = blocks(ROOT, "output")["settings"]
    assert re.search(r'weights\s+= "gs://\$\{module\.buckets\.names\.data\}/', output)
    assert settings.vertex.encryption_key is None
    assert settings.kubeflow.gpu_label is None


@needs_terraform
def test_terraform_renders_the_settings_as_the_other_test_does(tmp_path):
    template = (ROOT / "settings.yaml.tftpl").read_text("utf-8")
    values = {name: f"gs://{name}" for name in settings_arguments()}
    shutil.copy(ROOT / "settings.yaml.tftpl", tmp_path)
    rendered = evaluated(
        f'templatefile("settings.yaml.tftpl", {json.dumps(values)})', tmp_path
    )
    assert rendered == string.Template(template).substitute(values)


def test_the_cluster_holds_the_tasks_of_the_published_recipe():
    variables = blocks(ROOT, "variable")

    def default(name):
        return re.search(r'default\s*=\s*"(.+)"', variables[name])[1]

    profiles = load_recipe("kelp", "winning").profiles.values()
    for gpu, machine in (
        (True, default("gpu_machine_type")),
        (False, default("cpu_machine_type")),
    ):
        asked = max(one.cpu for one in profiles if bool(one.gpu) == gpu)
        # A node keeps some of its last core for itself.
        assert int(machine.rsplit("-", 1)[1]) > asked
    gpus = {one.gpu.lower().replace("_", "-") for one in profiles if one.gpu}
    assert gpus == {default("gpu_type")}


def test_gpu_nodes_refuse_what_does_not_tolerate_them_and_start_from_none():
    cluster = source(ROOT / "modules/cluster")
    taint = re.search(r'dynamic "taint" \{(.*?)\n    \}', cluster, re.DOTALL)[1]
    assert re.search(r'key\s*=\s*"nvidia.com/gpu"', taint)
    assert re.search(r'effect\s*=\s*"NO_SCHEDULE"', taint)
    gpu = re.search(r"(?ms)^    gpu = \{(.*?)^    \}", cluster)[1]
    assert re.search(r"spot\s*=\s*true", gpu)
    assert re.search(r"first\s*=\s*0", gpu)
    assert re.search(r"least\s*=\s*0", gpu)
