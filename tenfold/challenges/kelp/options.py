"""What a kelp recipe can say, beyond what every recipe can."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from tenfold.challenges.kelp.bands import BANDS, SIZE
from tenfold.challenges.kelp.choices import (
    ARCHITECTURES,
    BY_TILE,
    OF_ONE_CLASS,
    OF_TWO_CLASSES,
    Normalise,
)
from tenfold.challenges.kelp.indices import FORMULAS
from tenfold.challenges.kelp.masking import Masking
from tenfold.challenges.kelp.network_options import KelpLoss, KelpNet
from tenfold.recipe import Member, Recipe, Section, Share, SplitOptions
from tenfold.training.trees_options import TreesMember, refuse_others


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

    bands: tuple[str, ...] = Field(
        ("R", "G", "B", "SWIR", "NIR", "QA", "DEM"),
        description="in this order; indices and masks are made of the tile's own seven"
        " bands, and need none of these",
    )
    indices: tuple[str, ...] = Field(
        (), description="any of the 59 spectral indices, in order, after the bands"
    )
    mask_qa: bool = Field(True, description="indices leave out what QA marks")
    mask_water: bool = Field(True, description="indices leave out land (DEM above 0)")
    unknown_is_land: bool = Field(
        False, description="published slip: sea without DEM is masked as land"
    )
    missing: Literal["minimum", "zero"] = Field(
        "minimum",
        description="what no data becomes: the channel's minimum, or a raw 0 that"
        " indices are made of, as the published fill with 0",
    )
    normalise: Normalise = Field(
        "quantile",
        description="over the fold's training tiles: quantile (0.01 and 0.99 become 0"
        " and 1), z-score, min-max; tile-… over the valid pixels of each tile alone",
    )
    size: int | None = Field(
        None,
        ge=32,
        le=2048,
        description="side of a whole tile in the network, px, a multiple of what it"
        " takes (32 for most); none: 350 padded to the next one",
    )
    fit: Literal["pad", "resize"] = Field(
        "pad",
        description="how 350 px become `size`; resize enlarges crops by the same"
        " factor, and the loss is then at the network's size, as published",
    )
    pad: Literal["zero", "reflect", "replicate"] = Field(
        "zero", description="what is around a padded tile"
    )
    interpolation: Literal["nearest", "nearest-exact", "bilinear", "bicubic"] = Field(
        "bilinear", description="of a resize; masks are always of the nearest pixel"
    )
    undo: Literal["nearest", "bilinear"] = Field(
        "bilinear",
        description="how logits of a resize get back to 350 px; published: nearest",
    )

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

    @model_validator(mode="after")
    def _fits(self) -> "KelpInput":
        if self.fit == "resize" and self.size is None:
            raise ValueError("fit: resize needs a size")
        if self.fit == "pad" and self.size is not None and self.size < SIZE:
            raise ValueError(
                f"size {self.size} is below the {SIZE} px of a tile; use fit: resize"
            )
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels in order: bands, then indices."""
        return (*self.bands, *self.indices)

    @property
    def masking(self) -> Masking:
        """What is left out of indices."""
        return Masking(self.mask_qa, self.mask_water, self.unknown_is_land)


class KelpSampler(Section):
    """The published seven factors of a tile's chance to be drawn.

    Raw weight a·has_kelp + b·(1 - kelp share) + c·qa_ok + d·(1 - faulty share)
    + f·(1 - water share) + g·(1 - share without DEM) + h·(1 - share at 0 m),
    then scaled to 0 … 1 over the tiles that can be drawn.
    """

    has_kelp: float = Field(3.0, description="a, of a tile with kelp")
    not_kelp_share: float = Field(0.2, description="b, of the share without kelp")
    qa_ok: float = Field(0.0, description="c, of a tile in which QA marks nothing")
    not_faulty_share: float = Field(-1.0, description="d, of the share QA leaves")
    not_water_share: float = Field(0.5, description="f, of the share that is no water")
    not_unknown_dem_share: float = Field(0.25, description="g, of the share with a DEM")
    not_zero_dem_share: float = Field(-1.0, description="h, of the share not at 0 m")


class KelpAugment(Section):
    """Moves that image, mask and validity make together."""

    flips: bool = Field(True, description="left-right and up-down, half of the time")
    quarter_turns: bool = Field(False, description="by 0, 90, 180 or 270 degrees")
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="largest angle of a turn, either way"
    )
    rotate_share: Share = Field(0.5, description="share of tiles that are turned")
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
            raise ValueError("kelp networks train with engine torch")
        return self

    @model_validator(mode="after")
    def _suits_its_network(self) -> "KelpMember":
        takes, name = ARCHITECTURES[self.net.architecture], self.net.architecture
        if takes.pooled and self.training.batch == 1:
            raise ValueError(f"{name} needs a training.batch of 2 or more")
        if self.augment.crop is not None and self.augment.crop < takes.least_crop:
            raise ValueError(f"{name} needs an augment.crop of {takes.least_crop} px")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> "KelpMember":
        if self.loss.name in OF_TWO_CLASSES and self.net.classes == 1:
            raise ValueError(
                f"loss {self.loss.name} needs net.classes: 2; for one use bce"
            )
        if self.loss.name in OF_ONE_CLASS and self.net.classes == 2:
            raise ValueError(
                f"loss {self.loss.name} needs net.classes: 1; for two use ce"
            )
        if self.augment.crop is not None and self.input.normalise in BY_TILE:
            raise ValueError(
                f"normalise: {self.input.normalise} would scale by the crop, not by"
                " the tile; set augment.crop null"
            )
        return self


Weight = Annotated[float, Field(ge=0.0)]


class KelpPixels(Section):
    """Which pixels boosted trees learn from: valid ones of training tiles only.

    All kelp, all that is near it, and some of the rest. So kelp is more common among
    them than in whole tiles, and their probabilities are too high by as much; a
    threshold that is tuned makes up for it. The published system's own defaults; its
    runs had a ring of 5 px and a share of 0.02.
    """

    ring: int = Field(
        10, ge=0, le=350, description="px around kelp, in a square, that all count"
    )
    random_share: Share = Field(0.05, description="of a tile's other valid pixels")
    max_pixels: int = Field(
        10_000_000,
        ge=1,
        description="more are thinned out evenly; each takes about 9 bytes a channel",
    )


#: What of a network's input means something to trees, which take numbers as they are.
_INPUT_OF_TREES = {"bands", "indices", "mask_qa", "mask_water", "unknown_is_land"}


class KelpTrees(TreesMember):
    """Boosted trees that see one pixel at a time; a missing channel stays missing."""

    role: str = "segment"
    input: KelpInput = KelpInput()
    pixels: KelpPixels = KelpPixels()

    @model_validator(mode="after")
    def _only_channels(self) -> "KelpTrees":
        refuse_others(self.input, _INPUT_OF_TREES, "input")
        return self


class KelpTune(Section):
    """The decision: what is chosen out-of-fold and what the recipe fixes."""

    vote: Literal["soft", "hard"] = Field(
        "soft", description="average probabilities, or masks cut at member_threshold"
    )
    member_threshold: Share | None = Field(None, description="of a hard vote")
    threshold: Share | None = Field(
        None, description="of the weighted mean; none: chosen out-of-fold"
    )
    fold_weights: Literal["equal", "min-max"] | tuple[Weight, ...] = Field(
        "equal",
        description="min-max: fold scores scaled to 0.2 … 1 (published); or a weight"
        " for each fold, where 0 skips it",
    )
    model_weights: Literal["equal", "tuned"] = Field(
        "equal", description="tuned: chosen out-of-fold on the grid of weight_steps"
    )
    weight_steps: int = Field(10, ge=2, description="grid of tuned model weights")
    invalid: Literal["background", "keep"] = Field(
        "background", description="what pixels without imagery become"
    )
    land: Literal["keep", "remove", "tuned"] = Field(
        "keep",
        description="whether kelp on land stays (published third place: it goes);"
        " tuned: chosen out-of-fold",
    )
    min_sizes: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,),
        min_length=1,
        description="pixels that a patch needs to stay; of several, one is chosen"
        " out-of-fold, after the threshold",
    )

    @model_validator(mode="after")
    def _sizes_differ(self) -> "KelpTune":
        if len(set(self.min_sizes)) != len(self.min_sizes):
            raise ValueError("min_sizes: each size once")
        return self

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


def _kind_of_member(raw: Any) -> str:
    """Tell which class a member is of, given as plain data or built."""
    built = getattr(raw, "engine", None)
    engine = raw.get("engine") if isinstance(raw, Mapping) else built
    return "trees" if engine == "trees" else "network"


AnyMember = Annotated[
    Annotated[KelpMember, Tag("network")] | Annotated[KelpTrees, Tag("trees")],
    Discriminator(_kind_of_member),
]


class KelpRecipe(Recipe):
    """A kelp run."""

    split: KelpSplit = KelpSplit()
    members: tuple[AnyMember, ...]
    tune: KelpTune = KelpTune()
    synth: SynthOptions = SynthOptions()

    @model_validator(mode="after")
    def _every_fold_has_a_weight(self) -> "KelpRecipe":
        given = self.tune.fold_weights
        if isinstance(given, tuple) and (len(given) != self.split.k or not any(given)):
            raise ValueError(
                f"tune.fold_weights: {len(given)} weights for split.k = {self.split.k}"
                " folds; give one a fold, and at least one above 0"
            )
        return self


RECIPE = KelpRecipe
