"""Turns a stage's body into a KFP component that runs in a given image."""

import importlib
from typing import Any

from kfp import dsl

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
    return dsl.component(body, base_image=image, install_kfp_package=False)
