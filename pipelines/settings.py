"""What a user's own cloud and cluster are called: `tenfold.yaml`, and flags over it.

Nothing here is a secret: credentials come from the environment (application default
credentials, a Kubernetes secret) and never stand in this file or in a compiled one.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from tenfold.errors import TenfoldError
from tenfold.recipe import Json, Section

FILE = Path("tenfold.yaml")
FILE_VARIABLE = "TENFOLD_SETTINGS"

#: Setting → how Google writes such a name, and what else it may be.
_NAMES = {
    "pipeline_root": (r"gs://.+", "a gs:// folder"),
    "service_account": (
        r"[\w.-]+@([\w.-]+\.iam|developer)\.gserviceaccount\.com",
        "the e-mail of a service account (NAME@PROJECT.iam.gserviceaccount.com)",
    ),
    "tensorboard": (
        r"projects/[^/]+/locations/[^/]+/tensorboards/[^/]+",
        "projects/…/locations/…/tensorboards/…, as gcloud ai tensorboards list has it",
    ),
    "network": (
        r"projects/[^/]+/global/networks/[^/]+",
        "projects/…/global/networks/…",
    ),
}


class SettingsError(TenfoldError):
    """A setting is missing, unknown or impossible."""


class VertexSettings(Section):
    """Where and as whom runs of Vertex AI happen."""

    project: str | None = Field(None, description="id of the Google Cloud project")
    location: str | None = Field(None, description="region, e.g. europe-west4")
    pipeline_root: str | None = Field(
        None, description="gs:// folder for what KFP keeps; it must exist"
    )
    service_account: str | None = Field(
        None, description="e-mail of the identity that tasks run as"
    )
    experiment: str | None = Field(None, description="Vertex Experiment of the runs")
    tensorboard: str | None = Field(
        None,
        description="projects/…/locations/…/tensorboards/… that trainings log to",
    )
    network: str | None = Field(None, description="projects/…/global/networks/…")
    encryption_key: str | None = Field(None, description="Cloud KMS key of the runs")
    labels: dict[str, str] = Field({}, description="of every run, for billing")

    @field_validator(*_NAMES)
    @classmethod
    def _is_named_so(cls, value: str | None, info: ValidationInfo) -> str | None:
        pattern, kind = _NAMES[str(info.field_name)]
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"{value} is not {kind}")
        return value

    @field_validator("labels")
    @classmethod
    def _are_labels(cls, value: dict[str, str]) -> dict[str, str]:
        # docs.cloud.google.com/workstations/docs/label-resources, July 2025; letters
        # may be of any language.
        for key, text in value.items():
            for word in (key, text):
                if not re.fullmatch(r"[\w-]{0,63}", word) or word != word.lower():
                    raise ValueError(
                        f"{word!r} cannot be in a label: up to 63 lower-case letters,"
                        " digits, _ and -"
                    )
            if not key[:1].isalpha():
                raise ValueError(f"{key!r} cannot be a label: begin with a letter")
        return value


class KubeflowSettings(Section):
    """Where runs on a cluster happen, and what its nodes are called."""

    host: str | None = Field(None, description="address of the KFP API, http(s)://…")
    namespace: str = Field("kubeflow", description="where KFP runs its tasks")
    experiment: str = Field("tenfold", description="KFP experiment of the runs")
    store_secret: str | None = Field(
        None,
        description="Kubernetes secret with accesskey and secretkey of an s3:// store",
    )
    s3_endpoint: str | None = Field(
        None, description="address of an S3-compatible store in the cluster"
    )
    gpu_label: str | None = Field(
        None,
        description="node label that names a GPU's product, e.g. on GKE"
        " cloud.google.com/gke-accelerator",
    )


class Settings(Section):
    """Everything of a user's own that graphs and submissions need."""

    images: str = Field("tenfold", description="prefix of the images' names")
    source: str | None = Field(None, description="raw data, as tasks can reach it")
    store: str | None = Field(None, description="gs:// or s3:// folder of all results")
    weights: str | None = Field(
        None, description="gs:// or s3:// mirror of pretrained weights; none: the image"
    )
    vertex: VertexSettings = VertexSettings()
    kubeflow: KubeflowSettings = KubeflowSettings()


def load_settings(
    path: Path | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Read the settings file and lay flags over it.

    Args:
        path: YAML file; none: `TENFOLD_SETTINGS`, else `tenfold.yaml` if it is there.
        flags: dotted names, e.g. `vertex.project`; None leaves the file's value.

    Raises:
        SettingsError: naming each bad key or value.
    """
    named = path or _from_environment()
    file = named or FILE
    raw = _read(file) if named or file.is_file() else {}
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    for dotted, value in given.items():
        *parents, last = dotted.split(".")
        node = raw
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise SettingsError(f"{file}: {parent}: {node!r} is no mapping")
        node[last] = value
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            name = ".".join(str(part) for part in fault["loc"])
            said = f"{name}: {str(fault['msg']).removeprefix('Value error, ')}"
            # What came with the command is not in the file.
            faults.append(said if name in given else f"{file}: {said}")
        raise SettingsError("; ".join(faults)) from None


def require(settings: Settings, *dotted: str) -> list[str]:
    """Return settings that a command cannot do without.

    Raises:
        SettingsError: naming all that are missing, with the flag for each.
    """
    found, missing = [], []
    for name in dotted:
        value: Any = settings
        for part in name.split("."):
            value = getattr(value, part)
        if value:
            found.append(str(value))
        else:
            missing.append(name)
    if missing:
        flags = [f"--{name.split('.')[-1].replace('_', '-')}" for name in missing]
        raise SettingsError(
            f"missing {', '.join(missing)}: give {' '.join(flags)}, or write it into"
            f" {FILE}"
        )
    return found


def in_one_line(error: yaml.YAMLError) -> str:
    """Say what is wrong with a YAML text, and where."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def _read(file: Path) -> Json:
    """Read a settings file as plain data; what is left empty is not set.

    Raises:
        SettingsError: it is not there, or no mapping.
    """
    try:
        raw = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"cannot read settings file {file}: {error}") from None
    except yaml.YAMLError as error:
        raise SettingsError(
            f"cannot read settings file {file}: {in_one_line(error)}"
        ) from None
    if raw is not None and not isinstance(raw, dict):
        raise SettingsError(f"settings file {file} is not a mapping of settings")
    return {key: value for key, value in (raw or {}).items() if value is not None}


def _from_environment() -> Path | None:
    value = os.environ.get(FILE_VARIABLE)
    return Path(value) if value else None
