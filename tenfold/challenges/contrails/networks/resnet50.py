"""ResNet50 (He et al., CVPR 2016) with Keras's own names, and its pretrained weights.

Layers are called and shaped as in `keras.applications.ResNet50`, which cannot be built
without the stride of its first layer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers

from tenfold.challenges.contrails.networks.layers import norm_relu
from tenfold.errors import RecipeError

#: Of the stacks conv2 to conv5: width, blocks, and stride of the first block.
STACKS = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
EXPANSION = 4
EPSILON = 1.001e-5
#: The name that a whole network knows its backbone by.
BACKBONE = "backbone"


def resnet50(
    shape: Sequence[int], taps: Sequence[str], stem_stride: int, stacks: int
) -> keras.Model:
    """Build ResNet50 without its top, with random weights.

    Args:
        shape: (H, W, C) of its input, of any side.
        taps: names of the layers whose maps it returns, in this order.
        stem_stride: of its first convolution; 2 as pretrained, 1 keeps the full
            resolution up to the first pool.
        stacks: how many of the four are built.
    """
    image = keras.Input(tuple(shape), name="backbone_image")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = layers.Conv2D(64, 7, strides=stem_stride, name="conv1_conv")(x)
    x = norm_relu(x, "conv1", EPSILON)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for number, (width, depth, stride) in enumerate(STACKS[:stacks], start=2):
        for block in range(1, depth + 1):
            name = f"conv{number}_block{block}"
            x = _block(x, width, stride if block == 1 else 1, block == 1, name)
    whole = keras.Model(image, x)
    maps = [whole.get_layer(tap).output for tap in taps]
    return keras.Model(image, maps, name=BACKBONE)


def _block(x: Any, width: int, stride: int, widens: bool, name: str) -> Any:
    shortcut = x
    if widens:
        shortcut = layers.Conv2D(
            EXPANSION * width, 1, strides=stride, name=f"{name}_0_conv"
        )(x)
        shortcut = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_0_bn")(
            shortcut
        )
    x = layers.Conv2D(width, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = norm_relu(x, f"{name}_1", EPSILON)
    x = layers.Conv2D(width, 3, padding="same", name=f"{name}_2_conv")(x)
    x = norm_relu(x, f"{name}_2", EPSILON)
    x = layers.Conv2D(EXPANSION * width, 1, name=f"{name}_3_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_3_bn")(x)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def load_resnet50(model: keras.Model, path: Path) -> None:
    """Fill a network's ResNet50 from Keras's own file of it without its top.

    The whole file is checked, also where the network has fewer stacks. Nothing is
    downloaded.

    Args:
        model: what `build` returned; its `backbone` is filled.
        path: a local .h5 file.

    Raises:
        RecipeError: the file is damaged, or not of ResNet50 without its top.
    """
    whole = keras.applications.ResNet50(include_top=False, weights=None)
    try:
        whole.load_weights(str(path))
    except (OSError, ValueError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise RecipeError(
            f"net.weights: {path} is not Keras's file of ResNet50 without its top"
            f" ({reason}); put that file there"
        ) from None
    fitting = {layer.name: layer for layer in whole.layers}
    for layer in model.get_layer(BACKBONE).layers:
        if layer.weights:
            layer.set_weights(fitting[layer.name].get_weights())
