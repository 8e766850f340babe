"""What a contrails recipe can say, beyond what every recipe can."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from tenfold.recipe import (
    DataOptions,
    EmbeddingSearch,
    FootprintSearch,
    GroupOptions,
    Member,
    OverlapSearch,
    Recipe,
    Section,
    Share,
    SplitOptions,
)
from tenfold.training.keras.options import KerasTraining

#: Bands of the Advanced Baseline Imager that the competition has, and its frames.
BANDS = tuple(range(8, 17))
FRAMES, LABELLED = 8, 4
_BAND_FILE = re.compile(r"band_([0-9]{2})\.npy")
_ANYTHING = 0.0
BandNumber = Annotated[int, Field(ge=BANDS[0], le=BANDS[-1])]
Weight = Annotated[float, Field(ge=0.0)]


class BandRange(Section):
    """A channel: a band, or a band less another, scaled from [low, high] to [0, 1]."""

    band: BandNumber = Field(description="brightness temperature, 8 to 16")
    less: BandNumber | None = Field(None, description="band that is taken off it")
    low: float = Field(description="kelvin that become 0; what is below does, too")
    high: float = Field(description="kelvin that become 1; what is above does, too")

    @model_validator(mode="after")
    def _is_a_range(self) -> "BandRange":
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


#: Ash false colour with the published bounds (EUMETSAT's recipe for GOES bands).
ASH = (
    BandRange(band=15, less=14, low=-4, high=2),
    BandRange(band=14, less=11, low=-4, high=5),
    BandRange(band=14, low=243, high=303),
)
#: Three raw bands, which the published system tried, too.
RAW = (
    BandRange(band=10, low=220, high=260),
    BandRange(band=15, low=240, high=300),
    BandRange(band=16, low=220, high=280),
)


class ContrailsData(DataOptions):
    """Which bands and frames are read, and how they are packed, once."""

    FORMAT: ClassVar[Literal["arrays", "records"]] = "records"

    colours: Literal["ash", "raw"] | tuple[BandRange, ...] = Field(
        "ash",
        description="ash false colour of bands 11, 14 and 15; raw: bands 10, 15 and 16;"
        " or a list of channels",
    )
    frames: int = Field(1, ge=1, le=FRAMES, description="frames that are kept")
    before: Annotated[int, Field(ge=0, le=LABELLED)] | None = Field(
        None,
        description="of these, frames before the labelled one; none: as many as behind"
        " it, or one less",
    )
    dtype: Literal["uint8", "float16"] = Field(
        "uint8", description="of packed channels; uint8 rounds to 1/255 of a range"
    )
    side: int = Field(
        256,
        ge=32,
        multiple_of=32,
        description="side of frames, px, which must be square; the real ones have 256",
    )
    compression: Literal["none", "zlib"] = Field(
        "none", description="of packed frames; smaller, and slower to pack and read"
    )

    @property
    def channels(self) -> tuple[BandRange, ...]:
        """The channels, in order."""
        if isinstance(self.colours, str):
            return ASH if self.colours == "ash" else RAW
        return self.colours

    @property
    def bands(self) -> tuple[int, ...]:
        """The bands that channels are made of, sorted."""
        pairs = [(channel.band, channel.less) for channel in self.channels]
        return tuple(sorted({band for pair in pairs for band in pair if band}))

    @property
    def labelled(self) -> int:
        """Place of the labelled frame among those that are kept."""
        if self.before is not None:
            return self.before
        # Of all eight, four come before it.
        behind = FRAMES - LABELLED
        return max((self.frames - 1) // 2, self.frames - behind)

    @property
    def times(self) -> range:
        """The frames that are kept, as places in the source's eight."""
        first = LABELLED - self.labelled
        return range(first, first + self.frames)

    @property
    def deflated(self) -> tuple[str, ...]:
        """Labels are mostly zeros, and always compressed."""
        frames = ("image",) if self.compression == "zlib" else ()
        return (*frames, "label", "votes")

    def reads(self, name: str) -> bool:
        """Tell of a file whether it is read: of the bands, only some are."""
        band = _BAND_FILE.fullmatch(name.rpartition("/")[2])
        return band is None or int(band[1]) in self.bands

    @model_validator(mode="after")
    def _frames_are_there(self) -> "ContrailsData":
        times = self.times
        if times.start < 0 or times.stop > FRAMES:
            raise ValueError(
                f"frames: {self.frames} with {self.labelled} before the labelled one"
                f" are frames {times.start} to {times.stop - 1}; there are 0 to"
                f" {FRAMES - 1}"
            )
        if not LABELLED - times.start < self.frames:
            raise ValueError("before: the labelled frame must be among those kept")
        if not self.channels:
            raise ValueError("colours: name at least one channel")
        return self


class ContrailsGroups(GroupOptions):
    """Near-duplicates: scenes that overlap in space and time, from the metadata.

    Eight frames span 70 minutes: two records that are closer share some of them.
    """

    overlap: OverlapSearch = OverlapSearch(enabled=False)
    embedding: EmbeddingSearch = EmbeddingSearch()
    footprint: FootprintSearch = FootprintSearch(enabled=True, hours=1.25)


class ContrailsSplit(SplitOptions):
    """Folds of records."""

    k: int = Field(5, ge=1, description="folds; every model is trained once a fold")
    strata: tuple[str, ...] = Field(
        ("contrail", "part"), description="catalogue columns to balance"
    )


class ContrailsInput(Section):
    """From packed frames to what a network sees."""

    frames: Literal["all", "labelled"] = Field(
        "labelled", description="all that are packed, or the labelled one alone"
    )
    normalise: Literal["none", "caffe"] = Field(
        "none",
        description="none: channels from 0 to 1 (published); caffe: as Keras's ResNet50"
        " was pretrained, 0 to 255, blue first, less ImageNet's mean",
    )
    upsample: Literal[1, 2] = Field(
        1,
        description="2: the network sees frames twice as large (nearest neighbour), and"
        " its probabilities are pooled by their maximum; a U-Net on a backbone without"
        " full_resolution ends at the frame's own size by itself",
    )


class ContrailsNet(Section):
    """A segmentation network with one probability a pixel of the labelled frame."""

    architecture: Literal["unet", "deeplab"] = Field(
        "unet", description="U-Net, or DeepLabV3+"
    )
    backbone: Literal["own", "resnet50", "p3d"] = Field(
        "own",
        description="unet: own separable convolutions, ResNet50, or the pseudo-3D"
        " ResNet, which sees all frames; deeplab: one of the last two",
    )
    weights: str | None = Field(
        None,
        description="Keras's own file of ResNet50 without its top (.h5), absolute or in"
        " the weights folder; none: random",
    )
    trainable: bool = Field(True, description="false: the backbone stays as it is")
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (64, 128, 256, 512, 1024),
        min_length=2,
        description="unet of its own: channels a level, the deepest last",
    )
    blocks: Literal["A", "B", "C"] = Field(
        "A",
        description="p3d: space then time; both side by side; space, and time as its"
        " residual (Qiu et al., ICCV 2017)",
    )
    time: Literal["mean", "learned"] = Field(
        "mean", description="deeplab on p3d: how frames of the low level become one"
    )
    full_resolution: bool = Field(
        False,
        description="backbones: no stride in the first layer, and a decoder up to the"
        " frame's own size",
    )
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0,
        description="after each level's pool, in a decoder, and before deeplab's head",
    )
    norm_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.99,
        description="share of the old statistics of batch normalisation that a step"
        " keeps; 0.99 is Keras's, and needs some hundred steps to forget its start",
    )
    head: Literal["plain", "symmetric"] = Field(
        "plain",
        description="symmetric: learns labels where they would be if they were not"
        " shifted by half a pixel, and a small last layer puts the shift back",
    )

    @model_validator(mode="after")
    def _exists(self) -> "ContrailsNet":
        if self.architecture == "deeplab" and self.backbone == "own":
            raise ValueError("backbone: deeplab has resnet50 or p3d")
        if self.weights is not None and self.backbone != "resnet50":
            raise ValueError(f"weights: there are none for backbone {self.backbone}")
        if not self.trainable and self.weights is None:
            raise ValueError("trainable: a random backbone has to learn")
        return self


class ContrailsLoss(Section):
    """What a network minimises: weighted parts."""

    bce: Weight = Field(1.0, description="cross-entropy of pixels")
    dice: Weight = Field(0.0, description="1 - Dice of probabilities over the batch")
    labels: Literal["majority", "soft"] = Field(
        "majority",
        description="what more than half of the annotators marked, or the share of them"
        " that did",
    )

    @model_validator(mode="after")
    def _minimises_something(self) -> "ContrailsLoss":
        if self.bce + self.dice == _ANYTHING:
            raise ValueError("give bce or dice a weight above 0")
        return self


class ContrailsAugment(Section):
    """Moves that all frames and the label make together: one draw a sample."""

    level: Literal["none", "light", "full", "published-light", "published-full"] = (
        Field(
            "light",
            description="light: the eight right-angle views; full: and crops, shifts,"
            " scales and rotations; published-: as the published system drew them, two"
            " of four quarter turns, one mirror, and for full a crop",
        )
    )
    share: Share = Field(1.0, description="share of samples that are moved at all")
    crop: Share = Field(0.2, lt=0.5, description="full: most of a side cut off, a side")
    shift: Share = Field(0.1, description="full: most of a side, either way")
    scale: Share = Field(0.2, lt=1, description="full: factor up to 1 ± this")
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = Field(
        30.0, description="full: largest angle of a rotation, either way"
    )


class ContrailsMember(Member):
    """A segmentation network."""

    role: Literal["predict"] = Field("predict", description="there is one")
    engine: Literal["keras"] = Field("keras", description="what trains it")
    training: KerasTraining
    input: ContrailsInput = ContrailsInput()
    net: ContrailsNet = ContrailsNet()
    loss: ContrailsLoss = ContrailsLoss()
    augment: ContrailsAugment = ContrailsAugment()

    @model_validator(mode="after")
    def _fits_together(self) -> "ContrailsMember":
        if self.inference.window is not None:
            raise ValueError("inference.window: contrails has no sliding windows")
        if self.net.backbone == "p3d" and self.input.frames != "all":
            raise ValueError("input.frames: a p3d network sees all")
        if self.net.backbone != "p3d" and self.input.frames == "all":
            raise ValueError("input.frames: only p3d networks see more than one")
        aware = self.augment.level in ("light", "full")
        views = self.inference.tta != "none"
        if self.net.head == "plain" and aware and views:
            raise ValueError(
                "inference.tta: what a plain head says of a mirrored view lies a pixel"
                " off; set net.head to symmetric, or tta to none"
            )
        whole = self.augment.level.endswith("full") and self.augment.share == 1
        if self.net.head == "symmetric" and whole:
            raise ValueError(
                "augment.share: the last layer of a symmetric head learns from samples"
                " that stay as they are; set it below 1"
            )
        if self.net.weights is not None and self.input.normalise != "caffe":
            raise ValueError(
                "input.normalise: the pretrained ResNet50 was trained with caffe"
            )
        return self


class ContrailsTune(Section):
    """How probabilities become a mask: chosen on out-of-fold records, all of them."""

    threshold: Share | None = Field(
        None, description="probability above it is contrail; none: chosen"
    )
    step: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.01, description="between the thresholds that are tried"
    )
    least_pixels: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,),
        min_length=1,
        description="specks of fewer pixels are removed; of several one is chosen"
        " (annotators were told that a contrail has at least 10)",
    )


class ContrailsSynth(Section):
    """How much to synthesise, and from which seed."""

    train: int = Field(40, ge=4, description="records of train")
    validation: int = Field(8, ge=2, description="records of validation")
    test: int = Field(4, ge=1, description="test records")
    revisits: int = Field(
        4,
        ge=0,
        description="validation records that overlap a train record in space and time",
    )
    side: int = Field(256, ge=32, description="of a frame, px; the real ones have 256")
    seed: int = Field(42, ge=0, description="seed of everything drawn")

    @model_validator(mode="after")
    def _revisits_are_validation(self) -> "ContrailsSynth":
        if self.revisits > self.validation:
            raise ValueError("revisits are among the validation records")
        return self


class ContrailsRecipe(Recipe):
    """A contrails run."""

    data: ContrailsData = ContrailsData()
    groups: ContrailsGroups = ContrailsGroups()
    split: ContrailsSplit = ContrailsSplit()
    members: tuple[ContrailsMember, ...]
    tune: ContrailsTune = ContrailsTune()
    synth: ContrailsSynth = ContrailsSynth()

    @model_validator(mode="after")
    def _has_three_channels(self) -> "ContrailsRecipe":
        for member in self.members:
            normalised = member.input.normalise == "caffe"
            found = len(self.data.channels)
            if normalised and found != 3:
                raise ValueError(
                    f"member {member.name}: input.normalise: caffe is of three"
                    f" channels, and data.colours has {found}"
                )
        return self


RECIPE = ContrailsRecipe
