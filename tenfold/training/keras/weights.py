"""A network's weights by name: as arrays, and as safetensors files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from tenfold.errors import StoreError, TrainingError

#: Path of a variable to its value; states of random generators are none of them.
Weights = dict[str, NDArray[Any]]


def named(model: keras.Model) -> dict[str, keras.Variable]:
    """Return a network's weights by their paths, e.g. `stem/kernel`.

    Raises:
        TrainingError: two have one path.
    """
    weights: dict[str, keras.Variable] = {}
    for weight in model.weights:
        if weight.path in weights:
            raise TrainingError(
                f"{model.name} has two weights called {weight.path}; give its layers"
                " names of their own"
            )
        weights[weight.path] = weight
    return weights


def values_of(model: keras.Model) -> Weights:
    """Return copies of a network's weights."""
    return {name: weight.numpy() for name, weight in named(model).items()}


def assign(model: keras.Model, values: Mapping[str, NDArray[Any]], source: str) -> None:
    """Give a network weights, all of them and no others.

    Args:
        model: that gets them.
        values: by path.
        source: where they are from, for errors.

    Raises:
        StoreError: naming the first that is missing, too many, or of another shape.
    """
    weights = named(model)
    for name in sorted(weights.keys() | values.keys()):
        if name not in values:
            raise StoreError(f"{source} has no weight {name}, which {model.name} needs")
        if name not in weights:
            raise StoreError(f"{source} has weight {name}, and {model.name} has not")
        wanted, found = tuple(weights[name].shape), values[name].shape
        if wanted != found:
            raise StoreError(
                f"{source}: weight {name} is {found}, and {model.name} needs {wanted}"
            )
    for name, weight in weights.items():
        weight.assign(values[name])


def write_weights(path: Path, values: Mapping[str, NDArray[Any]]) -> None:
    """Write weights to a file."""
    # Not save_file, whose files only their owner may read.
    path.write_bytes(save({name: plain(value) for name, value in values.items()}))


def read_weights(path: Path) -> Weights:
    """Read weights from a file.

    Raises:
        StoreError: it is no such file.
    """
    try:
        weights: Weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} is no file of weights: {error}") from None
    return weights


def plain(value: Any) -> NDArray[Any]:
    """Return an array as safetensors want it: contiguous, whatever its rank."""
    return np.array(value, order="C")
