"""The whole clouds models: a picture in, logits of the four classes out."""

import itertools
from typing import Any, NamedTuple, cast

import timm
import torch
from torch import Tensor, nn

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.options import CloudsBackbone, CloudsInput, CloudsNet
from tenfold.errors import RecipeError
from tenfold.training.colours import IMAGENET, Colours, colours_of
from tenfold.training.smp_networks import build_smp

_WHITE = 255.0
#: Of the presence head of a segmentation network, as published.
_HEAD_DROPOUT, _HEAD_HIDDEN = 0.5, 64
#: Height and width of the picture by which a backbone is tried, px.
_TRIAL = (128, 192)


class Scores(NamedTuple):
    """Logits of a segmentation network.

    Attributes:
        pixels: (N, 4, H, W).
        presence: (N, 4) of the head; None without one.
    """

    pixels: Tensor
    presence: Tensor | None


class Normalise(nn.Module):
    """Colours 0 … 255 (N, 3, H, W) to what a network was pretrained on.

    The constants are buffers, so they live in the model's weights file.

    Args:
        colours: mean and deviation, as shares of white.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, colours: Colours) -> None:
        super().__init__()
        for name, values in zip(Colours._fields, colours, strict=True):
            constant = torch.tensor(values, dtype=torch.float32) * _WHITE
            self.register_buffer(name, constant[:, None, None])

    def forward(self, colours: Tensor) -> Tensor:
        """Return float32 of mean 0 and deviation 1, were it ImageNet."""
        return (colours - self.mean) / self.std


def colour_planes(picture: Tensor) -> Tensor:
    """Return pictures (N, H, W, 3) uint8 as planes (N, 3, H, W) float32, 0 … 255."""
    return picture.permute(0, 3, 1, 2).float()


class PresenceHead(nn.Sequential):
    """Features (N, C, h, w) to a logit a class: dropout, mean, one or two layers.

    There is nothing between the two layers, as published.

    Args:
        channels: C.
        dropout: share of features that are left out of the mean.
        hidden: width between the layers; None: one layer.
    """

    def __init__(self, channels: int, dropout: float, hidden: int | None) -> None:
        widths = [channels, *([hidden] if hidden else []), len(CLASSES)]
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        super().__init__(
            nn.Dropout(dropout), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers
        )


class SegmenterModel(nn.Module):
    """Normalisation and a segmentation network, with a presence head or none.

    Args:
        options: from picture to colours.
        net: architecture and encoder.

    Raises:
        RecipeError: if there is no such network.
    """

    def __init__(self, options: CloudsInput, net: CloudsNet) -> None:
        super().__init__()
        self.normalise = Normalise(_colours(options, net.encoder, net.weights))
        _try(net)
        self.net = _painter(net)
        if net.head:
            deepest = cast(list[int], self.encoder.out_channels)[-1]
            # The library calls it with the deepest level, and returns both logits.
            self.net.classification_head = PresenceHead(
                deepest, _HEAD_DROPOUT, _HEAD_HIDDEN
            )
        if net.channels_last:
            self.net.to(memory_format=torch.channels_last)

    @property
    def encoder(self) -> nn.Module:
        """What pretrained weights are of."""
        return cast(nn.Module, self.net.encoder)

    def forward(self, picture: Tensor) -> Scores:
        """Return logits of pictures (N, H, W, 3) uint8, at their size."""
        return self.scores(self.normalise(colour_planes(picture)))

    def scores(self, image: Tensor) -> Scores:
        """Return logits of normalised colours (N, 3, H, W)."""
        logits = self.net(image)
        return Scores(*logits) if isinstance(logits, tuple) else Scores(logits, None)


class ClassifierModel(nn.Module):
    """Normalisation, a backbone of timm's, and the head that names classes.

    Args:
        options: from picture to colours.
        net: backbone and head.

    Raises:
        RecipeError: if there is no such backbone, or it gives no map of features.
    """

    def __init__(self, options: CloudsInput, net: CloudsBackbone) -> None:
        super().__init__()
        self.normalise = Normalise(_colours(options, net.backbone, net.weights))
        self.net = Classifier(net)
        if net.channels_last:
            self.net.to(memory_format=torch.channels_last)

    @property
    def encoder(self) -> nn.Module:
        """What pretrained weights are of."""
        return cast(nn.Module, self.net.backbone)

    def forward(self, picture: Tensor) -> Tensor:
        """Return logits (N, 4) of pictures (N, H, W, 3) uint8."""
        return self.scores(self.normalise(colour_planes(picture)))

    def scores(self, image: Tensor) -> Tensor:
        """Return logits (N, 4) of normalised colours (N, 3, H, W)."""
        logits: Tensor = self.net(image)
        return logits


class Classifier(nn.Module):
    """A backbone's map of features, and the head; colours in, logits (N, 4) out."""

    def __init__(self, net: CloudsBackbone) -> None:
        super().__init__()
        self.backbone, features = _backbone(net.backbone)
        self.head = PresenceHead(features, net.dropout, net.hidden)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of normalised colours (N, 3, H, W)."""
        logits: Tensor = self.head(self.backbone.forward_features(image))
        return logits


def build_model(
    options: CloudsInput, net: CloudsNet | CloudsBackbone
) -> SegmenterModel | ClassifierModel:
    """Return the model of a member, with random weights."""
    if isinstance(net, CloudsNet):
        return SegmenterModel(options, net)
    return ClassifierModel(options, net)


def _colours(options: CloudsInput, network: str, weights: str | None) -> Colours:
    return IMAGENET if options.normalise == "imagenet" else colours_of(network, weights)


def _painter(net: CloudsNet) -> nn.Module:
    return build_smp(net.architecture, net.encoder, 3, len(CLASSES), **_decoder(net))


def _try(net: CloudsNet) -> None:
    """Refuse an encoder that takes no picture of this size, before any training.

    A network without memory sees a picture without pixels, which costs nothing.
    """
    with torch.device("meta"):
        trial = _painter(net).eval()
        try:
            trial(torch.zeros(1, 3, *_TRIAL))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise RecipeError(
                f"net.encoder: {net.encoder} cannot be used ({error}); name a"
                " convolutional network"
            ) from None


def _decoder(net: CloudsNet) -> dict[str, object]:
    """Return the decoder's widths, under the library's names."""
    widths = net.decoder_channels
    if widths is None:
        return {}
    if net.architecture == "unet":
        return {"decoder_channels": widths, "encoder_depth": len(widths)}
    if len(widths) != 1:
        raise RecipeError(
            f"net.decoder_channels: an fpn has one width, such as [256], not"
            f" {len(widths)}"
        )
    return {"decoder_pyramid_channels": widths[0]}


def _backbone(name: str) -> tuple[Any, int]:
    """Build a network of timm's without its classifier; say its number of features.

    A network without memory sees a picture without pixels first, so that one that
    cannot is refused before training.
    """
    try:
        with torch.device("meta"):
            trial: Any = timm.create_model(name, num_classes=0)
            shape = tuple(trial.forward_features(torch.zeros(1, 3, *_TRIAL)).shape)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise RecipeError(
            f"net.backbone: {name} cannot be used ({error}); name a convolutional"
            " network of timm's"
        ) from None
    if len(shape) != 4 or shape[1] != trial.num_features:
        raise RecipeError(
            f"net.backbone: {name} gives {shape[1:]}, no map of {trial.num_features}"
            " features, height and width; name a convolutional network of timm's"
        )
    return timm.create_model(name, num_classes=0), int(shape[1])
