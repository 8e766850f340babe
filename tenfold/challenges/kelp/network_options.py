"""What a recipe says of a segmentation network and of what it minimises."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tenfold.challenges.kelp.choices import (
    ARCHITECTURES,
    LOSSES,
    SOFT_TRUTH,
    Architecture,
    LossName,
)
from tenfold.recipe import Section, Share


class KelpNet(Section):
    """The network: one of segmentation-models-pytorch, MONAI's, or five convolutions.

    `resunet` is MONAI's U-Net of residual units, without a pretrained encoder. Not
    offered, though published: resunet++ and efficientunet++, which no library that is
    kept up has; and the first place's SwinUNETR, since MONAI's needs einops, which is
    not locked. A U-Net on timm's Swin encoder comes near it.
    """

    architecture: Architecture = Field(
        "unet", description="resunet is MONAI's, fcn five convolutions, others smp's"
    )
    encoder: str | None = Field(
        "tu-efficientnet_b5",
        description="of segmentation-models-pytorch, or tu- and any name of timm's;"
        " null for resunet and fcn, which have none",
    )
    weights: str | None = Field(
        None, description="safetensors file of the encoder; none: random"
    )
    depth: int | None = Field(
        None,
        ge=3,
        le=5,
        description="levels of the encoder; of U-Nets as many as decoder_channels",
    )
    decoder_channels: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None,
        description="widths of U-Nets, one a level and the deepest first; of the"
        " others one in all; none: (256, 128, 64, 32, 16), or the architecture's own",
    )
    attention: Literal["scse"] | None = Field(
        None, description="of the decoders of unet and unetplusplus"
    )
    dropout: Share | None = Field(
        None, description="of the decoder; none: the architecture's own"
    )
    classes: Literal[1, 2] = Field(
        2, description="logits of background and kelp, or of kelp alone"
    )
    channels_last: bool = Field(
        False, description="memory order of convolutions; faster for most encoders"
    )
    probability: Literal["softmax", "sigmoid"] = Field(
        "softmax",
        description="sigmoid: of the kelp logit alone, as the published inference",
    )

    @model_validator(mode="after")
    def _only_what_it_takes(self) -> "KelpNet":
        takes = ARCHITECTURES[self.architecture]
        for option in ("depth", "attention", "dropout"):
            if getattr(self, option) is not None and not getattr(takes, option):
                raise ValueError(f"{self.architecture} takes no {option}; set it null")
        if takes.encoder and self.encoder is None:
            raise ValueError(f"{self.architecture} needs an encoder")
        if not takes.encoder and (self.encoder, self.weights) != (None, None):
            raise ValueError(
                f"{self.architecture} has no encoder; set encoder and weights null"
            )
        if self.classes == 1 and self.probability != "sigmoid":
            raise ValueError("classes: 1 needs probability: sigmoid")
        return self

    @model_validator(mode="after")
    def _attention_has_room(self) -> "KelpNet":
        if self.attention and min(self.decoder_channels or (16,)) < 16:
            raise ValueError(
                "attention: scse divides widths by 16; give decoder_channels of at"
                " least 16 each, or set attention null"
            )
        return self

    @model_validator(mode="after")
    def _widths_fit(self) -> "KelpNet":
        takes, widths = ARCHITECTURES[self.architecture], self.decoder_channels
        if widths is None:
            return self
        if takes.widths is None:
            raise ValueError(
                f"{self.architecture} takes no decoder_channels; set them null"
            )
        if takes.widths == "in all" and len(widths) != 1:
            raise ValueError(
                f"{self.architecture} has one width; set decoder_channels to one"
                " number, such as [256], or null"
            )
        if takes.widths == "a level" and not 2 <= len(widths) <= 5:
            raise ValueError("decoder_channels: 2 to 5, one a level")
        return self


Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]


class KelpLoss(Section):
    """What is minimised over valid pixels; invalid ones and padding never count.

    What is none is the loss's own (`tenfold.challenges.kelp.choices.LOSSES`).
    """

    name: LossName = Field("dice", description="what is minimised")
    class_weights: tuple[Positive, Positive] | None = Field(
        None, description="background and kelp, in cross-entropy"
    )
    smoothing: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="of labels: this share is spread over both classes"
    )
    alpha: Weight | None = Field(
        None,
        description="weight of false alarms (tversky), of kelp (focal), or the power"
        " of the distance (hausdorff)",
    )
    beta: Weight | None = Field(
        None, description="weight of misses (tversky), of kelp (combo)"
    )
    gamma: Positive | None = Field(
        None, description="power by which easy pixels or tiles count less"
    )
    nu: Positive | None = Field(None, description="degrees of freedom of t-loss")
    smooth: Weight | None = Field(
        None, description="added to both sides of an overlap's fraction"
    )
    parts: tuple[Weight, Weight] | None = Field(
        None,
        description="weights of the two parts, in the order of the loss's name;"
        " combo: cross-entropy and Dice, exp-log: Dice and cross-entropy",
    )
    soft_boundary: Annotated[float, Field(ge=0, le=5)] = Field(
        0.0, description="the truth is blurred by a Gaussian of so many pixels"
    )

    @model_validator(mode="after")
    def _only_what_it_takes(self) -> "KelpLoss":
        takes = LOSSES[self.name]
        options = set(type(self).model_fields) - {"name", "soft_boundary"}
        for option in sorted(options - set(takes)):
            if getattr(self, option) is not None:
                raise ValueError(
                    f"loss {self.name} takes no {option};"
                    f" it takes {', '.join(takes) or 'nothing'}"
                )
        if self.soft_boundary and self.name not in SOFT_TRUTH:
            raise ValueError(f"loss {self.name} needs a truth of 0 and 1 alone")
        if self.name in ("focal", "focal-dice") and self.settings["gamma"] < 1:
            raise ValueError("gamma below 1 has no finite gradient where all is right")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the loss takes: what the recipe says, else its own."""
        return {
            option: value if getattr(self, option) is None else getattr(self, option)
            for option, value in LOSSES[self.name].items()
        }
