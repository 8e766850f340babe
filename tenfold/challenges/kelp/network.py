"""The whole kelp model: a raw tile in, logits of background and kelp out."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from segmentation_models_pytorch import create_model
from timm.models._manipulate import adapt_input_conv
from torch import Tensor, nn

from tenfold.challenges.kelp.bands import MISSING
from tenfold.challenges.kelp.channels import BINARY, planes
from tenfold.challenges.kelp.options import KelpInput, KelpNet
from tenfold.data.statistics import Statistics
from tenfold.errors import RecipeError

CLASSES = 2
_EPS = 1e-10
_MODES = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}


class Preprocess(nn.Module):
    """Raw tiles (N, 7, H, W) int32 to channels (N, C, H, W) float32.

    Each channel is made in place in one buffer: bands and indices, then what is
    missing, masked or not finite becomes the channel's minimum (+inf its
    maximum), then the buffer is scaled as a whole. Constants are buffers of the
    module, so they live on its device and in its weights file.

    Args:
        options: channels, masking, normalisation.
        statistics: of the fold's training tiles; None to be loaded later.
    """

    low: Tensor
    high: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, options: KelpInput, statistics: Statistics | None) -> None:
        super().__init__()
        self.options = options
        columns = [_constants(name, options, statistics) for name in options.channels]
        for position, name in enumerate(("low", "high", "shift", "scale")):
            values = torch.tensor([column[position] for column in columns])
            self.register_buffer(name, values.float())

    def forward(self, raw: Tensor) -> Tensor:
        """Return normalised channels; all finite."""
        size = (raw.shape[0], len(self.options.channels), *raw.shape[-2:])
        channels = torch.empty(size, device=raw.device)
        made = planes(
            raw,
            self.options.channels,
            self.options.masking,
            torch,
            lambda plane: plane.to(torch.float32),
        )
        for c, (values, counts) in enumerate(made):
            low, high = self.low[c], self.high[c]
            # Not nan_to_num: its replacements would be copied to the host.
            finite = torch.where(values == torch.inf, high, values)
            finite = torch.where(finite.isfinite() & counts, finite, low)
            channels[:, c] = finite
        channels.sub_(self.shift[:, None, None]).mul_(self.scale[:, None, None])
        if self.options.normalise == "quantile":
            channels.clamp_(0, 1)
        return channels


def _constants(
    name: str, options: KelpInput, statistics: Statistics | None
) -> tuple[float, float, float, float]:
    """Return (minimum, maximum, shift, scale) of one channel."""
    if name in BINARY or statistics is None:
        return 0.0, 1.0, 0.0, 1.0
    key = options.masking.key(name)
    low, high = statistics.low[key], statistics.high[key]
    if options.normalise == "quantile":
        q01, q99 = statistics.q01[key], statistics.q99[key]
        return low, high, q01, 1 / (q99 - q01 + _EPS)
    # A constant channel carries nothing; it must not become infinite either.
    return low, high, statistics.mean[key], 1 / max(statistics.std[key], _EPS)


class KelpModel(nn.Module):
    """`Preprocess`, padding to what the network accepts, the network, cropping.

    Args:
        options: from raw tile to channels.
        net: architecture and encoder.
        statistics: of the fold's training tiles.
    """

    def __init__(
        self, options: KelpInput, net: KelpNet, statistics: Statistics | None
    ) -> None:
        super().__init__()
        self.preprocess = Preprocess(options, statistics)
        depth = len(net.decoder_channels)
        decoder = (
            {"decoder_channels": net.decoder_channels, "encoder_depth": depth}
            if net.architecture.lower() in ("unet", "unetplusplus", "manet")
            else {}
        )
        try:
            self.net = create_model(
                net.architecture,
                encoder_name=net.encoder,
                encoder_weights=None,
                in_channels=len(options.channels),
                classes=CLASSES,
                **decoder,
            )
        except (KeyError, RuntimeError, ValueError) as error:
            raise RecipeError(f"net: {error}") from None
        if net.channels_last:
            self.net.to(memory_format=torch.channels_last)
        self._pad = _MODES[options.pad]
        self._multiple = 32

    def forward(self, raw: Tensor) -> Tensor:
        """Return logits (N, 2, H, W) of raw tiles (N, 7, H, W)."""
        return self.logits(self.preprocess(raw))

    def logits(self, channels: Tensor) -> Tensor:
        """Return logits of normalised channels, at their size.

        Padding is added and taken off in here, so it never meets a loss or a
        metric.
        """
        height, width = channels.shape[-2:]
        rows, columns = -height % self._multiple, -width % self._multiple
        top, left = rows // 2, columns // 2
        sides = (left, columns - left, top, rows - top)
        padded = F.pad(channels, sides, mode=self._pad)
        logits: Tensor = self.net(padded)
        return logits[..., top : top + height, left : left + width]


def valid_pixels(raw: Tensor) -> Tensor:
    """Return where all five spectral bands are present, (N, H, W) bool."""
    return (raw[:, :5] != MISSING).all(dim=1)


def load_encoder(model: KelpModel, path: Path) -> str:
    """Load pretrained weights into the encoder.

    A first convolution over RGB is tiled over the channels and scaled by 3/C,
    as timm does, so that activations keep their size.

    Args:
        model: its encoder is filled.
        path: safetensors file of a timm network or an encoder.

    Returns:
        How the first convolution was filled, for the record.
    """
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise RecipeError(f"cannot read weights file {path}: {error}") from None
    target = model.net.encoder.state_dict()
    stem = next(name for name, t in target.items() if t.ndim == 4)
    channels = target[stem].shape[1]
    found = _match(state, target)
    lacking = [name for name in target if name not in found]
    if lacking:
        raise RecipeError(
            f"{path} does not fit the encoder: {lacking[0]} is missing"
            f" ({len(lacking)} of {len(target)} tensors)"
        )
    rgb = found[stem].shape[1]
    if rgb != channels:
        found[stem] = adapt_input_conv(channels, found[stem])
    for name, tensor in found.items():
        if tensor.shape != target[name].shape:
            raise RecipeError(
                f"{path} does not fit the encoder: {name} is {tuple(tensor.shape)}, not"
                f" {tuple(target[name].shape)}"
            )
    model.net.encoder.load_state_dict(found)
    return (
        "as loaded" if rgb == channels else f"{rgb} channels tiled, × {rgb}/{channels}"
    )


def _match(
    state: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Pair tensors by name; an encoder from timm has its names behind `model.`."""
    found = {}
    for name, tensor in target.items():
        for candidate in (name, name.removeprefix("model.")):
            if candidate in state and state[candidate].ndim == tensor.ndim:
                found[name] = state[candidate]
                break
    return found
