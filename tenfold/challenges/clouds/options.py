"""What a clouds recipe can say, beyond what every recipe can."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from tenfold.recipe import (
    DataOptions,
    EmbeddingSearch,
    GroupOptions,
    Member,
    OverlapSearch,
    PseudoOptions,
    Recipe,
    Section,
    Share,
    SplitOptions,
)

#: Halvings of the encoders' deepest level; sides must be a multiple of it.
_STRIDE = 32
_ANYTHING = 0.0
Weight = Annotated[float, Field(ge=0.0)]


class CloudsData(DataOptions):
    """How pictures and masks are prepared, once."""

    size: tuple[int, int] = Field(
        (384, 576), description="height and width of prepared pictures, px"
    )
    resample: Literal["area", "bilinear"] = Field(
        "area",
        description="area averages what a pixel covers; bilinear reads four pixels"
        " without averaging, as published",
    )
    masks: Literal["any", "area"] = Field(
        "any",
        description="a prepared pixel is of a class if any pixel it reads is"
        " (published), or if half of its area is",
    )
    leave_out: tuple[str, ...] = Field(
        (),
        description="training images that are set aside, such as 046586a; bad: those of"
        " the list that went round among participants",
    )

    @model_validator(mode="after")
    def _fits_networks(self) -> "CloudsData":
        if any(side < _STRIDE or side % _STRIDE for side in self.size):
            raise ValueError(f"size: both sides are multiples of {_STRIDE} px")
        return self


class CloudsGroups(GroupOptions):
    """Near-duplicates: JPEGs hold no exact numbers, so pictures are compared."""

    overlap: OverlapSearch = OverlapSearch(enabled=False)
    embedding: EmbeddingSearch = EmbeddingSearch(
        enabled=True, network=EmbeddingSearch.THUMBNAIL
    )


class CloudsSplit(SplitOptions):
    """Folds of images."""

    k: int = Field(5, ge=2, description="folds; every model is trained once a fold")
    strata: tuple[str, ...] = Field(
        ("classes",), description="catalogue columns to balance"
    )
    method: Literal["stratified", "rare-first"] = Field(
        "rare-first", description="rare-first balances every class, as published"
    )


class CloudsInput(Section):
    """From a prepared picture to what a network sees."""

    normalise: Literal["imagenet", "encoder"] = Field(
        "imagenet",
        description="mean and deviation of ImageNet for every network (published), or"
        " those that the network was pretrained with",
    )


class CloudsNet(Section):
    """A segmentation network with one logit a class and pixel."""

    architecture: Literal["fpn", "unet"] = Field(
        "fpn", description="of segmentation-models-pytorch"
    )
    encoder: str = Field(
        "resnet34",
        description="of segmentation-models-pytorch, or tu- and a convolutional network"
        " of timm's",
    )
    weights: str | None = Field(
        None, description="safetensors file of the encoder; none: random"
    )
    decoder_channels: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None, description="U-Net: a width a level, deepest first; FPN: one; none: own"
    )
    head: bool = Field(
        False, description="also say whether a class is there, from the deepest level"
    )
    channels_last: bool = Field(
        False, description="memory order of convolutions; faster for most encoders"
    )

    @model_validator(mode="after")
    def _widths_fit(self) -> "CloudsNet":
        if self.architecture == "fpn" and len(self.decoder_channels or (0,)) > 1:
            raise ValueError("decoder_channels: an FPN has one width, such as [256]")
        return self


class CloudsBackbone(Section):
    """A classifier: backbone, dropout, mean over the picture, two linear layers."""

    backbone: str = Field(
        "resnet34", description="a convolutional network of timm's, by its name"
    )
    weights: str | None = Field(
        None, description="safetensors file of the backbone; none: random"
    )
    dropout: Share = Field(
        0.5, description="before the mean; published: 0.2 of efficientnet-b1"
    )
    hidden: int | None = Field(
        64, ge=1, description="width between the two layers; none: one layer"
    )
    channels_last: bool = Field(
        False, description="memory order of convolutions; faster for most backbones"
    )


class CloudsLoss(Section):
    """What a segmentation network minimises: three weighted parts (published)."""

    bce: Weight = Field(0.0, description="cross-entropy of pixels")
    dice: Weight = Field(0.0, description="1 - Dice of probabilities")
    presence: Weight = Field(
        0.0,
        description="cross-entropy of whether a class is there: of the head's logit,"
        " else of the highest pixel's",
    )
    rows: Literal["all", "positive", "dice-positive"] = Field(
        "all",
        description="all; positive: Dice and bce of rows with the class, presence of"
        " rows without; dice-positive: Dice of rows with the class, the others of all",
    )
    dice_over: Literal["row", "class", "image"] = Field(
        "row",
        description="what one Dice is of: an image's class, a class over the batch, or"
        " an image's four classes together; of positive rows always row",
    )

    @model_validator(mode="after")
    def _minimises_something(self) -> "CloudsLoss":
        if self.bce + self.dice + self.presence == _ANYTHING:
            raise ValueError("give bce, dice or presence a weight above 0")
        return self


class CloudsPresenceLoss(Section):
    """What a classifier minimises: cross-entropy of classes."""

    balanced: bool = Field(
        True,
        description="the mean over a batch's positive entries and that over its"
        " negative ones each count by their weight; else the mean of all, each by its"
        " weight",
    )
    negative: Weight = Field(1.0, description="weight of absent classes")
    positive: Weight = Field(1.0, description="weight of present classes")

    @model_validator(mode="after")
    def _minimises_something(self) -> "CloudsPresenceLoss":
        if self.negative + self.positive == _ANYTHING:
            raise ValueError("give negative or positive a weight above 0")
        return self


class CloudsAugment(Section):
    """Moves that picture and masks make together; the published ranges."""

    horizontal: bool = Field(True, description="mirror left-right half of the time")
    vertical: bool = Field(True, description="mirror up-down half of the time")
    turn_share: Share = Field(0.5, description="share that is scaled and rotated")
    scale: Share = Field(0.2, lt=1, description="factor up to 1 ± this")
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = Field(
        30.0, description="largest angle of a rotation, either way"
    )
    distort_share: Share = Field(0.5, description="share whose grid is distorted")
    distort: Share = Field(0.3, lt=1, description="each grid step up to 1 ± this")
    distort_steps: int = Field(5, ge=1, description="cells of the grid a side")


class CloudsMember(Member):
    """What both kinds of member have."""

    input: CloudsInput = CloudsInput()
    augment: CloudsAugment = CloudsAugment()

    @model_validator(mode="after")
    def _sees_whole_pictures(self) -> "CloudsMember":
        if self.inference.window is not None:
            raise ValueError("inference.window: clouds has no sliding windows")
        if self.engine != "torch":
            raise ValueError("clouds networks train with engine torch")
        return self


class CloudsSegmenter(CloudsMember):
    """A network that paints: `seg1` says where there is anything, `seg2` its shape."""

    role: Literal["seg1", "seg2"] = Field(
        "seg1", description="seg1 decides presence, seg2 the shape"
    )
    net: CloudsNet = CloudsNet()
    loss: CloudsLoss = CloudsLoss(bce=1.0)


class CloudsClassifier(CloudsMember):
    """A network that says which classes an image has; it only removes masks."""

    role: Literal["cls"] = Field("cls", description="decides what is removed")
    net: CloudsBackbone = CloudsBackbone()
    loss: CloudsPresenceLoss = CloudsPresenceLoss()


class CloudsTune(Section):
    """The cascade seg1 → seg2 → classifier: what is chosen and what is fixed.

    A row is a pair of image and class. Whatever is chosen is chosen a class,
    out-of-fold. Defaults are the published final settings.
    """

    combine: Literal["vote", "mean"] = Field(
        "vote", description="seg2 models vote with masks, or average probabilities"
    )
    votes: int | None = Field(
        None, ge=0, description="vote: more models than this; none: half of them"
    )
    agree: Literal["mean", "all"] = Field(
        "mean", description="several seg1: their mean decides, or all must see a class"
    )
    pixel_cuts: tuple[Share, ...] = Field(
        (0.5,), min_length=1, description="of probabilities; of several one is chosen"
    )
    presence_from: Literal["pixels", "head"] = Field(
        "pixels", description="what seg1's presence is read from"
    )
    presence_pixels: int = Field(
        1,
        ge=1,
        description="presence is the mean of so many of the highest pixels, at the"
        " prepared size",
    )
    presence_cut: Share | None = Field(
        0.5, description="presence above it lets a mask stand; none: chosen"
    )
    least_area: Annotated[int, Field(ge=0)] | None = Field(
        0, description="px at 350 × 525 that a mask needs; none: chosen"
    )
    core_cut: Share | None = Field(
        None,
        description="two-threshold rule: least_area counts the pixels above this cut;"
        " none: those of the mask",
    )
    classifier_cut: Share | None = Field(
        None, description="probabilities up to it remove a mask; none: chosen"
    )
    published_grid: bool = Field(
        True, description="classifier cuts of 0.00, 0.01 … 0.99 only, the lowest best"
    )
    force_best: bool = Field(
        False,
        description="the class that the classifier finds likeliest keeps its mask,"
        " since every image of the competition has one",
    )


class CloudsPseudo(PseudoOptions):
    """Which predicted test images become training images (published: 0.3 and 0.7).

    A row whose probability is between `low` and `high` keeps its image out. With `low`
    above `high` there is no such gap: a probability between them is then sure enough
    for either, and 1 and 0 take nearly every image.
    """

    low: Share = Field(0.3, description="an empty row needs a probability below it")
    high: Share = Field(
        0.7,
        description="a painted row needs one above it; below low: nothing in between is"
        " unsure",
    )


class CloudsSynth(Section):
    """How much to synthesise, and from which seed."""

    train: int = Field(60, ge=8, description="training images")
    test: int = Field(24, ge=1, description="test images")
    twins: int = Field(
        4, ge=0, description="train images that are near-duplicates of others"
    )
    seed: int = Field(42, ge=0, description="seed of everything drawn")


def _kind_of_member(raw: Any) -> str:
    """Tell which class a member is of, given as plain data or built."""
    role = raw.get("role") if isinstance(raw, dict) else getattr(raw, "role", None)
    return "classifier" if role == "cls" else "segmenter"


AnyMember = Annotated[
    Annotated[CloudsSegmenter, Tag("segmenter")]
    | Annotated[CloudsClassifier, Tag("classifier")],
    Discriminator(_kind_of_member),
]


class CloudsRecipe(Recipe):
    """A clouds run."""

    data: CloudsData = CloudsData()
    groups: CloudsGroups = CloudsGroups()
    split: CloudsSplit = CloudsSplit()
    members: tuple[AnyMember, ...]
    tune: CloudsTune = CloudsTune()
    pseudo: CloudsPseudo | None = None
    synth: CloudsSynth = CloudsSynth()

    @model_validator(mode="after")
    def _every_role_is_played(self) -> "CloudsRecipe":
        for number in self.rounds:
            roles = {member.role for member in self.of_round(number)}
            missing = [role for role in ("seg1", "seg2") if role not in roles]
            if missing:
                raise ValueError(
                    f"members: round {number} has none of role {missing[0]}; the"
                    " decision needs seg1 and seg2, and may have cls"
                )
            if self.pseudo is not None and number == 1 and "cls" not in roles:
                raise ValueError("pseudo: its first round needs a classifier (cls)")
            if self.tune.force_best and "cls" not in roles:
                raise ValueError("tune.force_best: the likeliest class needs a cls")
        return self

    @model_validator(mode="after")
    def _models_suit_the_decision(self) -> "CloudsRecipe":
        votes, heads = self.tune.votes, self.tune.presence_from == "head"
        for number in self.rounds:
            members = self.of_round(number)
            painters = [m for m in members if isinstance(m, CloudsSegmenter)]
            seg2 = sum(member.role == "seg2" for member in painters)
            if self.tune.combine == "vote" and votes is not None and votes >= seg2:
                raise ValueError(
                    f"tune.votes: more than {votes} of the {seg2} seg2 models of round"
                    f" {number} can never agree; give at most {seg2 - 1}"
                )
            for member in painters:
                if heads and member.role == "seg1" and not member.net.head:
                    raise ValueError(
                        f"tune.presence_from: {member.name} has no head; set its"
                        " net.head true"
                    )
        return self


RECIPE = CloudsRecipe
