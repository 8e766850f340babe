"""DeepLabV3+ (Chen et al., ECCV 2018) over ResNet50 or P3DResNet."""

from typing import Any

from keras import layers

from tenfold.challenges.contrails.networks.layers import (
    bilinear,
    drop,
    norm_relu,
    reduce_time,
)
from tenfold.challenges.contrails.networks.p3d import p3d_resnet
from tenfold.challenges.contrails.networks.resnet50 import resnet50
from tenfold.challenges.contrails.options import ContrailsNet

#: The deep map and the fine one, as published, then the first layer's: a sixteenth, a
#: quarter and half of what the network sees, or twice that with full resolution.
RESNET50_TAPS = ("conv4_block6_2_relu", "conv2_block3_2_relu", "conv1_relu")
P3D_TAPS = ("conv4_block6_2_t_relu", "conv2_block3_out", "conv1_relu")
#: conv5 is not used.
_STACKS = 3
_WIDTH, _FINE_WIDTH = 256, 48
#: Of the decoder's steps: to the fine map, and with full resolution to the first's.
_STEPS = {"decoder": _WIDTH, "full": 64}
#: Pixels between the taps of a kernel. The map of a frame of 256 px has 16 x 16, so
#: that the outer taps of the last see the padding alone; published nevertheless.
_DILATIONS = (6, 12, 18)
_EPSILON = 1e-3


def deeplab(frames: Any, net: ContrailsNet) -> Any:
    """Return logits (N, H, W, 1) float32 of what the network sees.

    Published: 11,852,353 parameters over ResNet50, 13,285,825 over P3DResNet and 5
    frames, 13,613,761 with a learned mixture of them. Their decoder ends at the fine
    map, a quarter of a side, and is enlarged from there. The head is a 1 × 1
    convolution and comes before that instead of after it: the two commute, since the
    weights of an interpolation add up to 1, and there is 1/256 to interpolate.

    With `net.full_resolution` the backbone's first layer has no stride, so that all
    its maps are twice as fine, and the decoder goes on to the first layer's map, which
    has the frame's own size: joined to it are 48 features of that map, and two
    convolutions of width 64 follow.

    Args:
        frames: (N, H, W, C), or for P3DResNet (N, T, H, W, C).
        net: options of the network.
    """
    deep, *finer = _maps(frames, net)
    x = drop(_pyramid(deep), net.dropout, "aspp_dropout")
    for fine, (name, width) in zip(finer, _STEPS.items(), strict=False):
        x = _refine(x, fine, width, name)
    x = drop(x, net.dropout, "head_dropout")
    logit = layers.Conv2D(1, 1, name="head", dtype="float32")(x)
    return bilinear(logit, tuple(frames.shape[-3:-1]))


def _maps(frames: Any, net: ContrailsNet) -> list[Any]:
    """Return a backbone's maps (N, h, w, C), the deep one first."""
    shape, stride = frames.shape[1:], 1 if net.full_resolution else 2
    count = 3 if net.full_resolution else 2
    if net.backbone == "resnet50":
        backbone = resnet50(shape, RESNET50_TAPS[:count], stride, _STACKS)
        backbone.trainable = net.trainable
        return list(backbone(frames))
    backbone = p3d_resnet(
        shape,
        P3D_TAPS[:count],
        blocks=net.blocks,
        stem_stride=stride,
        dropout=net.dropout,
        stacks=_STACKS,
    )
    return [
        reduce_time(level, net.time, f"map{number}_time")
        for number, level in enumerate(backbone(frames), start=1)
    ]


def _pyramid(deep: Any) -> Any:
    """Atrous spatial pyramid pooling: five views of a map, joined (N, h, w, 256)."""
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(deep)
    mean = _convolve(mean, _WIDTH, 1, "aspp_image", use_bias=True)
    views = [bilinear(mean, tuple(deep.shape[1:3]))]
    views.append(_convolve(deep, _WIDTH, 1, "aspp_1"))
    for dilation in _DILATIONS:
        name = f"aspp_{dilation}"
        views.append(_convolve(deep, _WIDTH, 3, name, dilation_rate=dilation))
    joined = layers.Concatenate(name="aspp_join")(views)
    return _convolve(joined, _WIDTH, 1, "aspp")


def _refine(x: Any, fine: Any, width: int, name: str) -> Any:
    """Enlarge to a finer map, join a few of its features, and convolve twice."""
    x = bilinear(x, tuple(fine.shape[1:3]))
    few = _convolve(fine, _FINE_WIDTH, 1, f"{name}_fine")
    x = layers.Concatenate(name=f"{name}_join")([x, few])
    x = _convolve(x, width, 3, f"{name}_1")
    return _convolve(x, width, 3, f"{name}_2")


def _convolve(
    x: Any,
    width: int,
    kernel: int,
    name: str,
    dilation_rate: int = 1,
    use_bias: bool = False,
) -> Any:
    x = layers.Conv2D(
        width,
        kernel,
        dilation_rate=dilation_rate,
        padding="same",
        use_bias=use_bias,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return norm_relu(x, name, _EPSILON)
