"""Pretrained weights: files the user put in place, never a hidden download."""

import os
from pathlib import Path

from tenfold.errors import RecipeError

FOLDER_VARIABLE = "TENFOLD_WEIGHTS"
DEFAULT_FOLDER = Path("weights")


def find_weights(name: str, network: str) -> Path:
    """Return the local safetensors file of a network.

    Args:
        name: absolute path, or a file in the weights folder (`TENFOLD_WEIGHTS`,
            else `weights/` in the current folder).
        network: what the weights are for, named in the error.

    Raises:
        RecipeError: saying where to put the file.
    """
    folder = Path(os.environ.get(FOLDER_VARIABLE, DEFAULT_FOLDER))
    path = Path(name) if Path(name).is_absolute() else folder / name
    if not path.is_file():
        raise RecipeError(
            f"no pretrained weights for {network}: put {path.name} in {path.parent}"
            f" (or set {FOLDER_VARIABLE}), or train from random weights by setting"
            " the recipe's `weights` to null; docs/weights.md says where they are from"
        )
    return path
