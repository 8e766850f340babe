"""What each architecture and each loss of a kelp member takes; no framework needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Normalise = Literal["quantile", "z-score", "min-max", "tile-min-max", "tile-quantile"]
#: Scaled by the tile itself, not by the fold's training tiles.
BY_TILE = ("tile-min-max", "tile-quantile")

Architecture = Literal[
    "unet",
    "unetplusplus",
    "manet",
    "linknet",
    "fpn",
    "pspnet",
    "deeplabv3",
    "deeplabv3plus",
    "pan",
    "upernet",
    "segformer",
    "dpt",
    "resunet",
    "fcn",
]


@dataclass(frozen=True)
class Takes:
    """The settings of an architecture.

    Attributes:
        widths: of the decoder: one a level (the deepest first), one in all, or none.
        depth: how many levels of the encoder are used can be said on its own.
        attention: scSE blocks in the decoder.
        dropout: a share of the decoder's features.
        encoder: it has one of segmentation-models-pytorch or timm.
        pooled: it normalises means of whole images, of which a batch needs two.
        least_crop: side of the smallest image it can learn from, px.
    """

    widths: Literal["a level", "in all"] | None = None
    depth: bool = False
    attention: bool = False
    dropout: bool = False
    encoder: bool = True
    pooled: bool = False
    least_crop: int = 32


#: The first twelve are those of segmentation-models-pytorch. `resunet` (residual
#: units) is MONAI's; `fcn` is five convolutions, as in TorchGeo.
ARCHITECTURES: Mapping[str, Takes] = {
    "unet": Takes(widths="a level", attention=True),
    "unetplusplus": Takes(widths="a level", attention=True),
    "manet": Takes(widths="a level"),
    "linknet": Takes(depth=True),
    "fpn": Takes(widths="in all", depth=True, dropout=True),
    "pspnet": Takes(widths="in all", depth=True, dropout=True),
    "deeplabv3": Takes(widths="in all", depth=True, dropout=True, pooled=True),
    "deeplabv3plus": Takes(widths="in all", depth=True, dropout=True, pooled=True),
    "pan": Takes(widths="in all", depth=True, pooled=True, least_crop=128),
    "upernet": Takes(widths="in all", depth=True, pooled=True),
    "segformer": Takes(widths="in all", depth=True),
    "dpt": Takes(widths="in all"),
    "resunet": Takes(widths="a level", dropout=True, encoder=False),
    "fcn": Takes(widths="in all", encoder=False),
}

LossName = Literal[
    "dice",
    "jaccard",
    "ce",
    "soft-ce",
    "bce",
    "tversky",
    "focal",
    "lovasz",
    "ce-dice",
    "focal-tversky",
    "log-cosh-dice",
    "hausdorff",
    "t-loss",
    "combo",
    "exp-log",
    "soft-dice",
    "batch-soft-dice",
    "focal-dice",
]

#: Loss → the settings it takes and what they are unless the recipe says. These are
#: the published system's values; those of focal-dice are the first place's, and
#: smooth is 1 in the losses that it does not have from segmentation-models-pytorch.
LOSSES: Mapping[str, Mapping[str, Any]] = {
    "dice": {"smooth": 0.0},
    "jaccard": {"smooth": 0.0},
    "ce": {"class_weights": None, "smoothing": 0.0},
    "soft-ce": {"class_weights": None, "smoothing": 0.1},
    "bce": {"class_weights": None, "smoothing": 0.0},
    "tversky": {"alpha": 0.5, "beta": 0.5, "smooth": 0.0},
    "focal": {"alpha": None, "gamma": 2.0},
    "lovasz": {},
    "ce-dice": {"class_weights": None, "smooth": 0.0, "parts": (0.5, 0.5)},
    "focal-tversky": {"alpha": 0.5, "beta": 0.5, "gamma": 1.0, "smooth": 0.0},
    "log-cosh-dice": {"smooth": 0.0},
    "hausdorff": {"alpha": 2.0},
    "t-loss": {"nu": 1.0},
    "combo": {"beta": 0.5, "smooth": 1.0, "parts": (0.5, 0.5)},
    "exp-log": {"gamma": 0.3, "smooth": 1.0, "parts": (0.5, 0.5)},
    "soft-dice": {"smooth": 1.0},
    "batch-soft-dice": {"smooth": 1.0},
    "focal-dice": {"alpha": 0.25, "gamma": 2.0, "smooth": 1.0, "parts": (1.0, 1.0)},
}
#: They need a logit for each class, or a single one.
OF_TWO_CLASSES = ("ce", "soft-ce", "ce-dice")
OF_ONE_CLASS = ("bce",)
#: Their truth may lie between 0 and 1.
SOFT_TRUTH = (
    *("dice", "jaccard", "bce", "tversky", "focal", "focal-tversky"),
    *("log-cosh-dice", "combo", "soft-dice", "batch-soft-dice", "focal-dice"),
)
