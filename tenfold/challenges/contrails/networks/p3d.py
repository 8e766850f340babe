"""P3DResNet: ResNet50 over frames, its convolutions split into space and time.

As the published system built it after Qiu et al., "Learning Spatio-Temporal
Representation with Pseudo-3D Residual Networks", ICCV 2017.
"""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from tenfold.challenges.contrails.networks.layers import drop, norm_relu
from tenfold.challenges.contrails.networks.resnet50 import (
    BACKBONE,
    EPSILON,
    EXPANSION,
    STACKS,
)

Blocks = Literal["A", "B", "C"]
#: Number of the last stack, conv5.
_LAST = 1 + len(STACKS)


def p3d_resnet(
    shape: Sequence[int],
    taps: Sequence[str],
    *,
    blocks: Blocks = "A",
    stem_stride: int = 2,
    dropout: float = 0.0,
    stacks: int = len(STACKS),
) -> keras.Model:
    """Build P3DResNet with random weights.

    Time shrinks beside space: the first block of every stack but the first takes each
    second frame, and a pool after each stack but the last keeps the larger of two.
    Five frames are 5 in conv1 and conv2, 2 in conv3, and 1 in conv4 and conv5, as
    eight or fewer are; with one frame, the outer taps of a kernel in time see the
    padding alone (published nevertheless).

    Args:
        shape: (T, H, W, C) of its input.
        taps: names of the layers whose maps (N, t, h, w, c) it returns, in this order;
            conv5_block3_out is the last.
        blocks: what follows what in a block, see `_space_and_time`.
        stem_stride: of the first convolution, in space.
        dropout: share of features left out after every pool.
        stacks: how many of the four are built.
    """
    image = keras.Input(tuple(shape), name="backbone_image")
    x = layers.Conv3D(
        64,
        (1, 7, 7),
        strides=(1, stem_stride, stem_stride),
        padding="same",
        use_bias=False,
        name="conv1_conv",
    )(image)
    x = norm_relu(x, "conv1", EPSILON)
    x = _pool(x, (1, 3, 3), (1, 2, 2), "pool1", dropout)
    for number, (width, depth, stride) in enumerate(STACKS[:stacks], start=2):
        for block in range(1, depth + 1):
            name = f"conv{number}_block{block}"
            x = _block(x, width, stride if block == 1 else 1, block == 1, blocks, name)
        if number != _LAST:
            x = _pool(x, (2, 1, 1), (2, 1, 1), f"pool{number}", dropout)
    whole = keras.Model(image, x)
    maps = [whole.get_layer(tap).output for tap in taps]
    return keras.Model(image, maps, name=BACKBONE)


def _pool(
    x: Any, window: Sequence[int], stride: Sequence[int], name: str, dropout: float
) -> Any:
    x = layers.MaxPooling3D(
        tuple(window), tuple(stride), padding="same", name=f"{name}_pool"
    )(x)
    return drop(x, dropout, f"{name}_dropout")


def _block(
    x: Any, width: int, stride: int, widens: bool, blocks: Blocks, name: str
) -> Any:
    """Add a bottleneck to its input; a stride is one of time, too, as published."""
    shortcut = x
    if widens:
        shortcut = layers.Conv3D(
            EXPANSION * width, 1, strides=stride, name=f"{name}_0_conv"
        )(x)
        shortcut = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_0_bn")(
            shortcut
        )
    x = layers.Conv3D(width, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = norm_relu(x, f"{name}_1", EPSILON)
    x = _space_and_time(x, blocks, f"{name}_2")
    x = layers.Conv3D(EXPANSION * width, 1, name=f"{name}_3_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_3_bn")(x)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _space_and_time(x: Any, blocks: Blocks, name: str) -> Any:
    """Filter in space (S) and time (T): A: T(S(x)); B: S(x) + T(x); C: S(x) + T(S(x)).

    Each is a convolution, the batch's normalisation and a ReLU (figure 3 of the
    paper). The paper's three have equally many weights.
    """
    space = _filter(x, (1, 3, 3), f"{name}_s")
    time = _filter(x if blocks == "B" else space, (3, 1, 1), f"{name}_t")
    return time if blocks == "A" else layers.Add(name=f"{name}_sum")([space, time])


def _filter(x: Any, kernel: Sequence[int], name: str) -> Any:
    width = x.shape[-1]
    x = layers.Conv3D(width, tuple(kernel), padding="same", name=f"{name}_conv")(x)
    return norm_relu(x, name, EPSILON)
