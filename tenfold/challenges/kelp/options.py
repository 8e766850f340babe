"""What a kelp recipe can say, beyond what every recipe can."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tenfold.challenges.kelp.bands import BANDS
from tenfold.challenges.kelp.channels import Masking
from tenfold.challenges.kelp.indices import FORMULAS
from tenfold.recipe import Member, Recipe, Section, Share, SplitOptions


class KelpSplit(SplitOptions):
    """Folds of tiles."""

    strata: tuple[str, ...] = (
        "has_kelp",
        "almost_all_water",
        "qa_ok",
        "high_corrupted_pixels_pct",
    )
    max_kelp_share: Share = Field(0.4, description="more kelp is a wrong label")


class KelpInput(Section):
    """From a raw tile to the channels a network sees."""

    bands: tuple[str, ...] = ("R", "G", "B", "SWIR", "NIR", "QA", "DEM")
    indices: tuple[str, ...] = ()
    mask_qa: bool = True
    mask_water: bool = True
    unknown_is_land: bool = Field(
        False, description="published slip: sea without DEM is masked as land"
    )
    normalise: Literal["quantile", "z-score"] = "quantile"
    pad: Literal["zero", "reflect", "replicate"] = "zero"

    @model_validator(mode="after")
    def _known(self) -> "KelpInput":
        for name in self.bands:
            if name not in BANDS:
                raise ValueError(f"no band {name!r}; there is {', '.join(BANDS)}")
        for name in self.indices:
            if name not in FORMULAS:
                raise ValueError(f"no index {name!r}; there is {', '.join(FORMULAS)}")
        if len(set(self.channels)) != len(self.channels) or not self.channels:
            raise ValueError("bands and indices: at least one, none twice")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels in order: bands, then indices."""
        return (*self.bands, *self.indices)

    @property
    def masking(self) -> Masking:
        """What is left out of indices."""
        return Masking(self.mask_qa, self.mask_water, self.unknown_is_land)


class KelpNet(Section):
    """The network: any architecture and encoder of segmentation-models-pytorch."""

    architecture: str = "unet"
    encoder: str = "tu-efficientnet_b5"
    weights: str | None = Field(
        None, description="safetensors file of the encoder; none: random"
    )
    decoder_channels: tuple[int, ...] = (256, 128, 64, 32, 16)
    channels_last: bool = Field(
        False, description="memory order of convolutions; faster for most encoders"
    )
    probability: Literal["softmax", "sigmoid"] = Field(
        "softmax",
        description="sigmoid: of the kelp logit alone, as the published inference",
    )


class KelpLoss(Section):
    """What is minimised over valid pixels."""

    name: Literal["dice", "jaccard", "ce"] = "dice"
    class_weights: tuple[float, float] | None = Field(
        None, description="background and kelp, for ce"
    )

    @model_validator(mode="after")
    def _weights_only_for_ce(self) -> "KelpLoss":
        if self.class_weights is not None and self.name != "ce":
            raise ValueError("class_weights are for loss ce only")
        return self


class KelpSampler(Section):
    """The published seven factors of a tile's chance to be drawn.

    Raw weight a·has_kelp + b·(1 - kelp share) + c·qa_ok + d·(1 - faulty share)
    + f·(1 - water share) + g·(1 - share without DEM) + h·(1 - share at 0 m),
    then scaled to 0 … 1 over the tiles that can be drawn.
    """

    has_kelp: float = 3.0
    not_kelp_share: float = 0.2
    qa_ok: float = 0.0
    not_faulty_share: float = -1.0
    not_water_share: float = 0.5
    not_unknown_dem_share: float = 0.25
    not_zero_dem_share: float = -1.0


class KelpAugment(Section):
    """Moves that image, mask and validity make together."""

    flips: bool = True
    quarter_turns: bool = False
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    rotate_share: Share = 0.5
    crop: int | None = Field(None, ge=32, le=350, description="training crop, px")
    crop_on_kelp: Share = Field(0.0, description="share of crops that hold kelp")


class KelpMember(Member):
    """One segmentation model."""

    role: str = "segment"
    input: KelpInput = KelpInput()
    net: KelpNet = KelpNet()
    loss: KelpLoss = KelpLoss()
    sampler: KelpSampler | None = None
    augment: KelpAugment = KelpAugment()

    @model_validator(mode="after")
    def _trains_with_pytorch(self) -> "KelpMember":
        if self.engine != "torch":
            raise ValueError("kelp models train with engine torch")
        return self


class KelpTune(Section):
    """The decision: what is chosen out-of-fold and what the recipe fixes."""

    vote: Literal["soft", "hard"] = "soft"
    member_threshold: Share | None = Field(None, description="of a hard vote")
    threshold: Share | None = Field(
        None, description="of the weighted mean; none: chosen out-of-fold"
    )
    fold_weights: Literal["equal", "min-max"] = Field(
        "equal", description="min-max: fold scores scaled to 0.2 … 1 (published)"
    )
    model_weights: Literal["equal", "tuned"] = "equal"
    weight_steps: int = Field(10, ge=2, description="grid of tuned model weights")
    invalid: Literal["background", "keep"] = Field(
        "background", description="what pixels without imagery become"
    )

    @model_validator(mode="after")
    def _hard_votes_are_fixed(self) -> "KelpTune":
        fixed = self.member_threshold is not None and self.threshold is not None
        if self.vote == "hard" and not fixed:
            raise ValueError("hard votes need member_threshold and threshold")
        if self.vote == "hard" and self.model_weights == "tuned":
            raise ValueError("hard votes cannot be tuned; use model_weights: equal")
        return self


class SynthOptions(Section):
    """How much to synthesise, and from which seed."""

    train: int = Field(80, ge=8, description="Training tiles, faulty included")
    test: int = Field(24, ge=1, description="Test tiles")
    coasts: int = Field(
        24, ge=1, description="Distinct stretches of coast, not counting open sea"
    )
    max_shift: int = Field(
        200, ge=0, description="Largest offset in pixels between crops of one coast"
    )
    seed: int = Field(42, ge=0, description="Seed of everything drawn")
    size: int = Field(
        350, ge=64, description="Side of a tile in pixels; the competition has 350"
    )
    bad_files: bool = Field(
        True, description="Whether some training tiles are mislabelled or broken"
    )


class KelpRecipe(Recipe):
    """A kelp run."""

    split: KelpSplit = KelpSplit()
    members: tuple[KelpMember, ...]
    tune: KelpTune = KelpTune()
    synth: SynthOptions = SynthOptions()


RECIPE = KelpRecipe
