"""Checkpoints of the PyTorch engine: torch's own files, tensors and plain values."""

from pathlib import Path

import torch

from tenfold.training.checkpoints import Checkpoints, State


class TorchCheckpoints(Checkpoints):
    """Checkpoints as torch writes them, loaded on the CPU with `weights_only`."""

    SUFFIX = ".pt"

    def _write(self, path: Path, state: State) -> None:
        torch.save(state, path)

    def _read(self, path: Path) -> State:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        return state
