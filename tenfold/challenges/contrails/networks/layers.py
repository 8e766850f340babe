"""What all the networks do to frames and maps: normalise, choose, resize, reduce.

Only Keras's own layers and operations are used, so that a saved network loads in safe
mode. A symbolic tensor is written (N, …); N is any number.
"""

from typing import Any, Literal

from keras import layers, ops

#: White of an 8-bit picture, and ImageNet's mean, blue first: what Keras's ResNet50 was
#: pretrained with (`keras.applications.resnet50.preprocess_input`).
WHITE = 255.0
IMAGENET_BGR = (103.939, 116.779, 123.68)


def caffe(image: Any) -> Any:
    """Return red, green, blue (N, …, 3) from 0 to 1 as pretrained networks expect.

    The published system left out the factor of 255, which put every value between
    -123.7 and -102.9.
    """
    offset = [-mean for mean in IMAGENET_BGR]
    blue_first = ops.flip(image, axis=-1)
    return layers.Rescaling(WHITE, offset, name="caffe", dtype="float32")(blue_first)


def enlarge(image: Any) -> Any:
    """Repeat rows and columns of (N, H, W, C) or (N, T, H, W, C): sides twice as large.

    That is the nearest neighbour.
    """
    options = {"name": "enlarge", "dtype": "float32"}
    if len(image.shape) == 4:
        return layers.UpSampling2D(2, interpolation="nearest", **options)(image)
    return layers.UpSampling3D((1, 2, 2), **options)(image)


def bilinear(maps: Any, side: tuple[int, int]) -> Any:
    """Resize (N, h, w, C) to height and width `side`, whatever the factors.

    Centres of pixels are at halves, and the border is repeated.
    """
    if tuple(maps.shape[1:3]) == side:
        return maps
    return ops.image.resize(maps, side, interpolation="bilinear")


def reduce_time(maps: Any, how: Literal["mean", "learned"], name: str) -> Any:
    """Make one frame (N, h, w, C) of (N, T, h, w, C).

    Args:
        maps: features of T ≥ 1 frames.
        how: mean: of the frames; learned: a convolution over all of them, without
            padding, as wide as the features. One frame is taken as it is.
        name: of the convolution.
    """
    frames, channels = maps.shape[1], maps.shape[-1]
    if frames > 1 and how == "mean":
        return ops.mean(maps, axis=1)
    if frames > 1:
        maps = layers.Conv3D(channels, (frames, 1, 1), name=name)(maps)
    return ops.squeeze(maps, axis=1)


def drop(x: Any, rate: float, name: str) -> Any:
    """Leave out a share of features in training; no layer where the rate is 0."""
    return layers.Dropout(rate, name=name)(x) if rate else x


def norm_relu(x: Any, name: str, epsilon: float) -> Any:
    """Normalise over the batch, then take what is positive: `_bn` and `_relu`."""
    x = layers.BatchNormalization(epsilon=epsilon, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
