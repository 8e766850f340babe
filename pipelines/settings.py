"""What a user's own cloud and cluster are called: `tenfold.yaml`, and flags over it.

Nothing here is a secret: credentials come from the environment (application default
credentials, a Kubernetes secret) and never stand in this file or in a compiled one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from tenfold.errors import TenfoldError
from tenfold.recipe import Section, read_yaml

FILE = Path("tenfold.yaml")
FILE_VARIABLE = "TENFOLD_SETTINGS"


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

    @field_validator("pipeline_root")
    @classmethod
    def _in_a_bucket(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("gs://"):
            raise ValueError(f"{value} is not a gs:// folder")
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
    raw = read_yaml(file) if named or file.is_file() else {}
    for dotted, value in (flags or {}).items():
        if value is None:
            continue
        *parents, last = dotted.split(".")
        node = raw
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'])}:"
            f" {str(fault['msg']).removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise SettingsError(f"{file}: " + "; ".join(faults)) from None


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


def _from_environment() -> Path | None:
    value = os.environ.get(FILE_VARIABLE)
    return Path(value) if value else None
