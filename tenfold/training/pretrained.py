"""Pretrained weights into an encoder, whatever its number of channels."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models._manipulate import adapt_input_conv
from torch import Tensor, nn

from tenfold.errors import RecipeError

#: What extractors of features put before a network's own names.
_WRAPPERS = ("model.", "body.")


def load_encoder(encoder: nn.Module, path: Path) -> str:
    """Load pretrained weights into an encoder.

    Convolutions over RGB are tiled over the channels and scaled by 3/C, as timm does,
    so that activations keep their size.

    Args:
        encoder: is filled.
        path: safetensors file of a timm network or an encoder.

    Returns:
        How the first convolution was filled, for the record.
    """
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise RecipeError(f"cannot read weights file {path}: {error}") from None
    target = encoder.state_dict()
    found = _match(state, target)
    lacking = [name for name in target if name not in found]
    if lacking:
        raise RecipeError(
            f"{path} does not fit the encoder: {lacking[0]} is missing"
            f" ({len(lacking)} of {len(target)} tensors)"
        )
    note = "as loaded"
    for name, tensor in found.items():
        wanted = target[name]
        rgb, channels = (t.shape[1] if t.ndim == 4 else 0 for t in (tensor, wanted))
        if rgb == 3 != channels and tensor.shape[0] == wanted.shape[0]:
            found[name] = adapt_input_conv(channels, tensor)
            note = f"{rgb} channels tiled, × {rgb}/{channels}"
        if found[name].shape != wanted.shape:
            raise RecipeError(
                f"{path} does not fit the encoder: {name} is {tuple(tensor.shape)}, not"
                f" {tuple(wanted.shape)}"
            )
    encoder.load_state_dict(found)
    return note


def _match(
    state: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Pair tensors by name.

    An encoder from timm has its names behind `model.`, and some have the first dots
    made underscores (`stages.0` is `stages_0`), so dots and underscores are one.
    """
    known = {_plain(name): tensor for name, tensor in state.items()}
    found = {}
    for name, tensor in target.items():
        for candidate in _unwrapped(name):
            match = known.get(_plain(candidate))
            if match is not None and match.ndim == tensor.ndim:
                found[name] = match
                break
    return found


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _unwrapped(name: str) -> Iterator[str]:
    """Yield a name, and what it is behind each wrapper."""
    yield name
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
        yield name
