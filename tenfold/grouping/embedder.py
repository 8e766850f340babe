"""Own the embedding of pictures by a pretrained timm network with given weights."""

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn import Module
from torch.nn.functional import interpolate

from tenfold.errors import RecipeError, TenfoldError

FloatArray = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


def embed(
    pictures: Iterable[Picture],
    network: str,
    weights: Path | None,
    size: int = 224,
    batch: int = 32,
    device: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Embed pictures as the pooled features of a pretrained network.

    Each picture is squashed to a square by antialiased bilinear resampling, scaled to
    0..1 and normalised as timm records for the network. Nothing is downloaded.

    Args:
        pictures: (H, W, 3) uint8 each; sizes may differ. Read one batch at a time.
        network: name of any timm network, such as "resnet50".
        weights: .safetensors file in timm's naming; a classifier in it is ignored.
        size: side of the network's square input, in pixels.
        batch: pictures per forward pass; changes time and memory only.
        device: torch device; None means CUDA where there is one, else the CPU.
        on_progress: called with (pictures done, total), 0 where the total is unknown.

    Returns:
        (N, D) float32, one row per picture in order.

    Raises:
        RecipeError: network, weights or size are unknown, missing or impossible.
        TenfoldError: the weights are another network's, or a picture or its
            embedding is malformed.
    """
    embedder = _load(network, weights, size)
    target = device or ("cuda" if torch.cuda.is_available() else "cpu")
    embedder.model.to(target).eval()
    total = operator.length_hint(pictures)
    rows = [np.zeros((0, embedder.width), dtype=np.float32)]
    done = 0
    for inputs in _batches(pictures, size, batch):
        rows.append(_forward(embedder, inputs.to(target), done))
        done += len(inputs)
        if on_progress is not None:
            on_progress(done, total)
    return np.concatenate(rows)


@dataclass(frozen=True)
class _Embedder:
    """A network without its classifier, and what timm records about its input.

    Attributes:
        name: as timm knows it.
        model: maps (B, 3, H, W) normalised pictures to (B, width) features.
        width: D, the number of features.
        mean: per channel, for values 0..1.
        std: per channel, for values 0..1.
    """

    name: str
    model: Module
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def _load(network: str, weights: Path | None, size: int) -> _Embedder:
    """Build the network without its classifier and give it its weights."""
    if not timm.is_model(network):
        raise RecipeError(
            f"unknown embedding network '{network}': timm.list_models() lists the names"
        )
    if weights is None or not weights.is_file():
        missing = "" if weights is None else f" ('{weights}' does not exist)"
        raise RecipeError(
            f"embedding search needs pretrained weights for '{network}'{missing}, as a "
            "random network is no embedder: put the .safetensors file in the weights "
            "folder (TENFOLD_WEIGHTS or --weights), see docs/weights.md"
        )
    model: Any = timm.create_model(network, pretrained=False, num_classes=0)
    settings = model.pretrained_cfg
    if settings["fixed_input_size"] and settings["input_size"][1:] != (size, size):
        raise RecipeError(
            f"embedding network '{network}' takes pictures of "
            f"{settings['input_size'][1]} px only, got size {size}"
        )
    heads = settings["classifier"] or ()
    heads = (heads,) if isinstance(heads, str) else heads
    _fill(model, network, weights, tuple(f"{head}." for head in heads))
    return _Embedder(
        name=network,
        model=model,
        width=model.num_features,
        mean=settings["mean"],
        std=settings["std"],
    )


def _fill(model: Module, network: str, weights: Path, heads: tuple[str, ...]) -> None:
    """Load the weights file into the network; refuse any mismatch but a classifier.

    Args:
        model: the network without its classifier.
        network: its name, for messages.
        weights: the .safetensors file.
        heads: how keys of the classifier begin.
    """
    try:
        given = load_file(weights)
    except SafetensorError as error:
        raise TenfoldError(f"cannot read weights file '{weights}': {error}") from error
    wanted = model.state_dict()
    given = {key: value for key, value in given.items() if not key.startswith(heads)}
    # Batch counters matter in training only, and old files lack them.
    needed = {key for key in wanted if not key.endswith("num_batches_tracked")}
    both = wanted.keys() & given.keys()
    reshaped = {key for key in both if wanted[key].shape != given[key].shape}
    for words, keys in (
        ("lacks", needed - given.keys()),
        ("has unknown", given.keys() - wanted.keys()),
        ("has other shapes for", reshaped),
    ):
        if keys:
            raise TenfoldError(
                f"weights file '{weights}' does not fit network '{network}': it "
                f"{words} {', '.join(sorted(keys)[:3])} ({len(keys)} in all)"
            )
    model.load_state_dict(given, strict=False)


def _batches(
    pictures: Iterable[Picture], size: int, batch: int
) -> Iterator[torch.Tensor]:
    """Yield (B, 3, size, size) float32 batches with values 0..1."""
    numbered = enumerate(pictures)
    if batch < 1:
        raise RecipeError(f"embedding batch must be at least 1, got {batch}")
    while group := list(islice(numbered, batch)):
        yield torch.stack([_resized(picture, i, size) for i, picture in group])


def _resized(picture: Picture, i: int, size: int) -> torch.Tensor:
    """Resize picture i to (3, size, size) float32 with values 0..1."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise TenfoldError(
            f"picture {i} is {picture.dtype} {picture.shape}; "
            "embedding needs uint8 (H, W, 3)"
        )
    # A copy, because torch warns about read-only arrays such as memory maps.
    pixels = torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))
    return interpolate(
        pixels[None] / 255, size=(size, size), mode="bilinear", antialias=True
    )[0]


def _forward(embedder: _Embedder, inputs: torch.Tensor, done: int) -> FloatArray:
    """Embed one (B, 3, H, W) batch with values 0..1 as (B, D), after `done` others."""
    mean = inputs.new_tensor(embedder.mean)[:, None, None]
    std = inputs.new_tensor(embedder.std)[:, None, None]
    # Set for this call only: repeatable kernels in full float32.
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        features = embedder.model((inputs - mean) / std)
    rows: FloatArray = features.float().cpu().numpy()
    if not np.isfinite(rows).all():
        raise TenfoldError(
            f"network '{embedder.name}' gave values that are not finite for pictures "
            f"{done}..{done + len(rows) - 1}: its weights are broken"
        )
    return rows
