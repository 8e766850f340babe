"""Turns a stage's body into a KFP component that runs in a given image."""

import importlib
from typing import Any

from kfp import dsl

from tenfold.errors import TenfoldError

_START = "_KFP_RUNTIME=true python3 "
STAGES = (
    "ingest",
    "group",
    "split",
    "train",
    "evaluate",
    "tune",
    "predict",
    "submit",
    "preview",
    "select",
    "trial",
    "rank",
)


def component_for(stage: str, image: str) -> Any:
    """Build the component of a stage.

    A fresh one for every image: converters to other task types copy the image
    at the moment they convert. Nothing is installed at run time.

    Args:
        stage: name of a module here, which holds a function of that name.
        image: of the container it runs in.
    """
    body = getattr(importlib.import_module(f"components.{stage}"), stage)
    component = dsl.component(body, base_image=image, install_kfp_package=False)
    command = component.component_spec.implementation.container.command
    # KFP's shell does not hand signals on, so the task takes its place: on SIGTERM a
    # training saves what it has.
    if command[2].count(_START) != 1:
        raise TenfoldError("KFP starts components in another way; look at _START")
    command[2] = command[2].replace(_START, f"exec env {_START}")
    return component
