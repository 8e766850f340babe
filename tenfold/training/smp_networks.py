"""Networks of segmentation-models-pytorch by name, or why there is none."""

import difflib
from typing import Any

from segmentation_models_pytorch import create_model
from segmentation_models_pytorch.encoders import encoders
from timm.models import is_model
from torch import nn

from tenfold.errors import RecipeError


def build_smp(
    architecture: str, encoder: str, channels: int, classes: int, **arguments: Any
) -> nn.Module:
    """Return a network of random weights: (N, channels, H, W) to (N, classes, H, W).

    Args:
        architecture: as the library calls it.
        encoder: one of the library's, or tu- and any name of timm's.
        channels: of an image.
        classes: logits a pixel.
        arguments: the architecture's own.

    Raises:
        RecipeError: if there is no such encoder, or it does not suit the architecture.
    """
    if not encoder.startswith("tu-") and encoder not in encoders:
        near = difflib.get_close_matches(encoder, encoders, 1)
        near = [f"tu-{encoder}"] if is_model(encoder) else near
        raise RecipeError(
            f"net: segmentation-models-pytorch has no encoder {encoder!r}"
            + (f", did you mean {near[0]!r}?" if near else "")
            + "; timm's are named with tu- before them"
        )
    try:
        network: nn.Module = create_model(
            architecture,
            encoder_name=encoder,
            encoder_weights=None,
            in_channels=channels,
            classes=classes,
            **arguments,
        )
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise RecipeError(
            f"net: {architecture} cannot have encoder {encoder}: {error}"
        ) from None
    return network
