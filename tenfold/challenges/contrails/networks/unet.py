"""U-Net (Ronneberger et al., 2015) over its own encoder, ResNet50 or P3DResNet."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras import layers

from tenfold.challenges.contrails.networks.layers import drop, norm_relu, reduce_time
from tenfold.challenges.contrails.networks.p3d import p3d_resnet
from tenfold.challenges.contrails.networks.resnet50 import STACKS, resnet50
from tenfold.challenges.contrails.options import ContrailsNet
from tenfold.errors import RecipeError

#: Of the decoder over a backbone: the bottleneck first.
DECODER = (1024, 1024, 512, 256, 64)
#: Where its levels end: the skips, the finest first, and what the bottleneck sees.
RESNET50_TAPS = (
    "conv1_relu",
    "conv2_block3_out",
    "conv3_block4_out",
    "conv4_block5_out",
    "conv5_block3_out",
)
P3D_TAPS = (
    "conv1_relu",
    "conv2_block3_out",
    "conv3_block4_out",
    "conv4_block6_out",
    "conv5_block3_out",
)
_EPSILON = 1e-3


class Levels(NamedTuple):
    """What an encoder gives.

    Attributes:
        deepest: (N, h, w, C) that the bottleneck sees.
        skips: (N, 2h, 2w, C'), … up to the finest, which is the decoder's last size.
    """

    deepest: Any
    skips: Sequence[Any]


def unet(frames: Any, net: ContrailsNet) -> Any:
    """Return logits (N, h, w, 1) float32 of what the network sees.

    With its own encoder (published: 9,491,868 parameters, dropout 0.1), h and w are
    the input's. A backbone's finest level is its first layer's, so that they are half
    of the input's, rounded up, or with `net.full_resolution` the input's. The
    published network over P3DResNet has that (51,138,305 parameters for 5 frames); the
    one over ResNet50, which never ran there, was meant to see frames twice as large
    instead (`input.upsample`: 2).

    Args:
        frames: (N, H, W, C), or for P3DResNet (N, T, H, W, C).
        net: options of the network.

    Raises:
        RecipeError: its own encoder cannot halve such a side that often.
    """
    if net.backbone == "own":
        *widths, deepest = net.widths
        levels, decoder = _own(frames, net), (deepest, *reversed(widths))
    else:
        levels, decoder = _over(frames, net), DECODER
    x = _block(levels.deepest, decoder[0], "bottleneck")
    pairs = zip(decoder[1:], reversed(levels.skips), strict=True)
    for depth, (width, skip) in enumerate(pairs):
        x = _up(x, skip, width, net.dropout, f"up{len(levels.skips) - depth}")
    head = layers.Conv2D(1, 3, padding="same", name="head", dtype="float32")
    return head(x)


def _own(image: Any, net: ContrailsNet) -> Levels:
    """Encode with separable convolutions, halving by pools; all is published."""
    halvings = len(net.widths) - 1
    _check_side(tuple(image.shape[1:3]), halvings)
    x, skips = image, []
    for number, width in enumerate(net.widths[:-1], start=1):
        x = _block(x, width, f"down{number}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{number}_pool")(x)
        x = drop(x, net.dropout, f"down{number}_dropout")
    return Levels(x, skips)


def _check_side(side: tuple[int, int], halvings: int) -> None:
    if any(pixels % 2**halvings for pixels in side):
        raise RecipeError(
            f"net.widths: {halvings + 1} levels halve a side {halvings} times, so that"
            f" it must be a multiple of {2**halvings}, and frames are {side[0]} ×"
            f" {side[1]} px; name fewer widths"
        )


def _over(frames: Any, net: ContrailsNet) -> Levels:
    """Encode with a backbone; what frames are left of a skip become one.

    Frames are mixed by a learned convolution over all of them, as published.
    """
    shape, stride = frames.shape[1:], 1 if net.full_resolution else 2
    if net.backbone == "resnet50":
        backbone = resnet50(shape, RESNET50_TAPS, stride, len(STACKS))
        backbone.trainable = net.trainable
        maps = backbone(frames)
    else:
        backbone = p3d_resnet(
            shape,
            P3D_TAPS,
            blocks=net.blocks,
            stem_stride=stride,
            dropout=net.dropout,
        )
        maps = [
            reduce_time(level, "learned", f"skip{number}_time")
            for number, level in enumerate(backbone(frames), start=1)
        ]
    return Levels(maps[-1], maps[:-1])


def _up(x: Any, skip: Any, width: int, dropout: float, name: str) -> Any:
    """Double the side, crop it to the skip's, which may be odd, and join the two."""
    x = layers.Conv2DTranspose(
        width, 3, strides=2, padding="same", name=f"{name}_transpose"
    )(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
    over = [x.shape[axis] - skip.shape[axis] for axis in (1, 2)]
    if any(over):
        x = layers.Cropping2D([(0, rows) for rows in over], name=f"{name}_crop")(x)
    x = layers.Concatenate(name=f"{name}_join")([x, skip])
    return _block(drop(x, dropout, f"{name}_dropout"), width, name)


def _block(x: Any, width: int, name: str) -> Any:
    for part in (f"{name}_1", f"{name}_2"):
        x = layers.SeparableConv2D(width, 3, padding="same", name=f"{part}_conv")(x)
        x = norm_relu(x, part, _EPSILON)
    return x
