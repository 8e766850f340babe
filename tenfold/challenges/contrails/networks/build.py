"""Build the network of a member: packed frames in, logits of the labelled one out."""

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from tenfold.challenges.contrails.networks.deeplab import deeplab
from tenfold.challenges.contrails.networks.heads import fit_frame, shift_back
from tenfold.challenges.contrails.networks.layers import caffe, enlarge
from tenfold.challenges.contrails.networks.unet import unet
from tenfold.challenges.contrails.options import ContrailsInput, ContrailsNet
from tenfold.errors import RecipeError

_RGB = 3


def build(
    net: ContrailsNet,
    input: ContrailsInput,
    frames: int,
    labelled: int,
    side: tuple[int, int],
    channels: int,
) -> keras.Model:
    """Build a network with random weights, under Keras's policy of dtypes.

    Preprocessing and logits are float32 under every policy; what is between follows
    it. Pretrained weights are loaded afterwards (`load_resnet50`), so that a trained
    network is built again without them. Names of layers and paths of variables are
    the same in every build of the same options.

    A P3DResNet sees all frames, any other network the labelled one alone.
    `input.upsample` 2 doubles what the network sees; its logits are pooled to the
    frame's size by their maximum, unless the network itself ends at half of what it
    sees (U-Net over a backbone without `net.full_resolution`).

    Args:
        net: the network.
        input: from frames to what it sees.
        frames: T ≥ 1 that are packed.
        labelled: place of the labelled frame among them.
        side: H, W of a frame, px.
        channels: C of a frame.

    Returns:
        A model from (N, T, H, W, C) float32, 0 to 1, to a dict of `logit` (N, H, W, 1)
        float32, and for a symmetric head `symmetric_logit`, likewise, of labels that
        are not shifted.

    Raises:
        RecipeError: the options do not fit such frames.
    """
    image = keras.Input((frames, *side, channels), name="image", dtype="float32")
    seen = _see(image, net, input, labelled)
    logit = unet(seen, net) if net.architecture == "unet" else deeplab(seen, net)
    logit = fit_frame(logit, side)
    outputs = {"logit": logit}
    if net.head == "symmetric":
        outputs = {"logit": shift_back(logit), "symmetric_logit": logit}
    model = keras.Model(image, outputs, name=f"{net.architecture}_{net.backbone}")
    for norm in _norms(model):
        norm.momentum = net.norm_momentum
    return model


def _norms(model: keras.Model) -> Iterator[Any]:
    """Yield the batch normalisations of a network and its backbone."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _norms(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def _see(image: Any, net: ContrailsNet, input: ContrailsInput, labelled: int) -> Any:
    """Return frames (N, T, h, w, C), or the labelled one (N, h, w, C), normalised."""
    frames, channels = image.shape[1], image.shape[-1]
    if not 0 <= labelled < frames:
        raise RecipeError(
            f"data.before: there is no frame {labelled} among {frames}; the labelled"
            " one must be packed"
        )
    seen = image if net.backbone == "p3d" else ops.take(image, labelled, axis=1)
    if input.normalise == "caffe":
        if channels != _RGB:
            raise RecipeError(
                f"input.normalise: caffe is of {_RGB} channels, and frames have"
                f" {channels}; choose none"
            )
        seen = caffe(seen)
    return enlarge(seen) if input.upsample > 1 else seen
