"""The mean and deviation of colours that networks were pretrained with."""

from pathlib import Path
from typing import NamedTuple

from segmentation_models_pytorch.encoders import encoders
from timm.models import get_pretrained_cfg

from tenfold.errors import RecipeError


class Colours(NamedTuple):
    """Mean and standard deviation of red, green and blue, as shares of white."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Colours((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: Colours from -1 to 1, as TensorFlow's networks have them.
_SYMMETRIC = Colours((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
#: MXNet's, of dual path networks: means in 255ths, and one deviation, 1 / 0.0167.
_DPN = Colours((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)
#: Beginnings of segmentation-models-pytorch's encoders; all others have ImageNet's.
_FAMILIES = {
    "inception": _SYMMETRIC,
    "xception": _SYMMETRIC,
    "timm-tf_efficientnet_lite": _SYMMETRIC,
    "dpn": _DPN,
}
#: Weights of adversarial training, from TensorFlow, are named by it.
_ADVERSARIAL = "advprop"


def colours_of(network: str, weights: str | None) -> Colours:
    """Return what a network's pretraining took for mean and deviation.

    Weights of one network differ in it, and timm names both network and weights in
    the name of a file, so the file is asked first. Nothing is downloaded:
    segmentation-models-pytorch keeps its settings on the web, so those of its own
    encoders are listed here.

    Args:
        network: of timm, with tu- before it or not; or an encoder of
            segmentation-models-pytorch.
        weights: name of the file, if there is one.

    Raises:
        RecipeError: if timm knows nothing of the network.
    """
    file = Path(weights or "").name.removesuffix(".safetensors")
    known = _of_timm(file)
    if known is not None:
        return known
    if network in encoders:
        if _ADVERSARIAL in file:
            return _SYMMETRIC
        near = (c for start, c in _FAMILIES.items() if network.startswith(start))
        return next(near, IMAGENET)
    known = _of_timm(network.removeprefix("tu-"))
    if known is None:
        raise RecipeError(
            f"input.normalise: timm knows no pretrained weights of {network}, whose"
            " colours encoder would take; set it to imagenet"
        )
    return known


def _of_timm(name: str) -> Colours | None:
    """Return the settings of a network with the tag in its name, or its usual one."""
    try:
        settings = get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:
        return None
    return None if settings is None else Colours(settings.mean, settings.std)
