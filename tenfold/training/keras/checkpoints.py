"""Checkpoints of the Keras engine: one safetensors file, plain values in its header."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from tenfold.training.checkpoints import Checkpoints, State
from tenfold.training.keras.weights import plain

#: Of the header: the state as JSON, in which an array is a reference to a tensor.
_STATE = "state"
_REFERENCE = "$array"


class KerasCheckpoints(Checkpoints):
    """Checkpoints as arrays and JSON: nothing in a file can be executed."""

    SUFFIX = ".safetensors"

    def _write(self, path: Path, state: State) -> None:
        arrays: dict[str, NDArray[Any]] = {}
        content = json.dumps(_without_arrays(state, arrays))
        path.write_bytes(save(arrays, metadata={_STATE: content}))

    def _read(self, path: Path) -> State:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            content = json.loads(file.metadata()[_STATE])
        state: State = _with_arrays(content, arrays)
        return state


def _without_arrays(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Copy a state; its arrays are put aside and referred to."""
    if isinstance(value, dict):
        return {str(key): _without_arrays(v, arrays) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(inner, arrays) for inner in value]
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = plain(value)
        return {_REFERENCE: name}
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Undo `_without_arrays`; tuples have become lists."""
    if isinstance(value, dict):
        if value.keys() == {_REFERENCE}:
            return arrays[value[_REFERENCE]]
        return {key: _with_arrays(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_arrays(inner, arrays) for inner in value]
    return value
