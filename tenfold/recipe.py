"""Recipes: the whole of a run's choices as frozen, validated sections.

A challenge adds its own options by subclassing the sections below
(`tenfold/challenges/<name>/options.py`); unknown keys are refused everywhere.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from tenfold.errors import RecipeError

#: Vertex AI gathers no more outputs of a loop (kubeflow/kubeflow issue 7513).
MOST_GATHERED = 100

Json = dict[str, Any]
Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """A frozen group of options that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Resources(Section):
    """What a task needs; every target derives its own settings from this."""

    cpu: int = Field(2, ge=1, description="CPU cores")
    memory_gb: int = Field(8, ge=1, description="memory, shared memory included")
    gpu: str | None = Field(None, description="accelerator, e.g. NVIDIA_L4")
    gpus: int = Field(0, ge=0, description="accelerators a task")
    shm_gb: int = Field(0, ge=0, description="shared memory for loader workers")
    disk_gb: int = Field(100, ge=10, description="boot disk, where one is asked for")
    spot: bool = Field(False, description="take a spot machine")
    timeout_hours: float = Field(4.0, gt=0, description="give up after this long")

    @model_validator(mode="after")
    def _consistent(self) -> "Resources":
        if (self.gpu is None) != (self.gpus == 0):
            raise ValueError("gpu and gpus go together: name one and count it")
        if self.shm_gb >= self.memory_gb:
            raise ValueError("shm_gb counts against memory_gb and must be below it")
        return self


class DataOptions(Section):
    """How raw files become shards.

    A challenge has one format of shards: `arrays`, which are memory-mapped, or
    `records`, which are TFRecord files with an Example a sample; in these, arrays named
    by `deflated` are compressed.
    """

    FORMAT: ClassVar[Literal["arrays", "records"]] = "arrays"

    strict: bool = Field(False, description="an unusable sample is an error")
    shard_samples: int = Field(64, ge=1, description="samples in a shard")

    @property
    def deflated(self) -> tuple[str, ...]:
        """Names of the arrays that records hold compressed."""
        return ()

    def reads(self, name: str) -> bool:
        """Tell of a file of the source, by its path in it, whether it is ever read."""
        del name
        return True


class OverlapSearch(Section):
    """Exact matching of shifted crops (tenfold.grouping.overlap)."""

    enabled: bool = Field(True, description="look for crops of one place; no weights")
    agreement: Share = Field(0.95, description="equal share of informative pixels")


class EmbeddingSearch(Section):
    """Nearest neighbours in the embedding of a pretrained network, or of thumbnails."""

    THUMBNAIL: ClassVar[str] = "thumbnail"

    enabled: bool = Field(
        False, description="look for look-alikes; a network needs weights"
    )
    network: str = Field(
        "resnet50.tv2_in1k",
        description="any timm network; thumbnail: none, but 16 × 24 grey values, which"
        " find copies of a picture, whatever their brightness, contrast and size",
    )
    weights: str | None = Field(
        None, description="safetensors file; absolute, or in the weights folder"
    )
    threshold: Share = Field(0.97, gt=0, description="cosine similarity of a pair")
    index: Literal["auto", "blocked", "exact", "approximate"] = Field(
        "auto",
        description="blocked and exact (FAISS) find every pair; approximate may miss"
        " some and states its recall; auto is blocked up to 100000 samples, else exact",
    )
    probes: int = Field(
        8, ge=1, description="cells an approximate index looks into; more miss less"
    )

    @model_validator(mode="after")
    def _weights_are_used(self) -> "EmbeddingSearch":
        if self.weights is not None and not self.uses_network:
            raise ValueError(f"network {self.network} has no weights; leave them out")
        return self

    @property
    def uses_network(self) -> bool:
        """Whether it takes a deep-learning framework and weights."""
        return self.network != self.THUMBNAIL


class FootprintSearch(Section):
    """Scenes that show one place at one time, from what the source says of them."""

    enabled: bool = Field(False, description="look for scenes that overlap; no pixels")
    overlap: Share = Field(
        0.0, lt=1, description="scenes that share more than this of the smaller one"
    )
    hours: float = Field(1.0, ge=0, description="largest difference of their times")


class GroupOptions(Section):
    """Which near-duplicates are looked for; groups join the edges of all."""

    overlap: OverlapSearch = OverlapSearch()
    embedding: EmbeddingSearch = EmbeddingSearch()
    footprint: FootprintSearch = FootprintSearch()
    large: int = Field(100, ge=2, description="groups above this are pointed out")

    @property
    def needs_network(self) -> bool:
        """Whether a pretrained network looks at the samples."""
        return self.embedding.enabled and self.embedding.uses_network


class SplitOptions(Section):
    """Folds: balanced, and no group on both sides."""

    k: int = Field(10, ge=2, description="folds; every model is trained once a fold")
    strata: tuple[str, ...] = Field((), description="catalogue columns to balance")
    method: Literal["stratified", "rare-first", "published"] = Field(
        "stratified",
        description="stratified: each stratum over all folds; rare-first: a stratum is"
        " a set of labels, and each label is balanced, the rarest first; published: the"
        " source's own validation part is the only fold, whatever it shares with train",
    )

    @model_validator(mode="after")
    def _folds_suit_the_method(self) -> "SplitOptions":
        if self.method == "published" and self.k != 1:
            raise ValueError("method published has one fold: set k to 1")
        if self.method != "published" and self.k < 2:
            raise ValueError("k: at least 2 folds, unless method is published")
        return self


#: So many epochs, at such a rate.
Stretch = tuple[Annotated[int, Field(ge=1)], Annotated[float, Field(gt=0)]]
ScheduleName = Literal[
    "none",
    "onecycle",
    "cosine",
    "cosine-restarts",
    "cyclic",
    "exponential",
    "plateau",
]
#: The options that each schedule reads, beside its name and tail; the others must stay
#: as they are.
_SCHEDULE_READS: dict[ScheduleName, tuple[str, ...]] = {
    "none": (),
    "onecycle": ("warmup", "start_divisor", "final_divisor", "cycle_momentum"),
    "cosine": ("warmup", "start_divisor", "minimum_rate", "by_epoch"),
    "cosine-restarts": ("period_epochs", "period_factor", "minimum_rate", "by_epoch"),
    "cyclic": ("base_rate", "up_epochs", "down_epochs", "decay", "cycle_momentum"),
    "exponential": ("factor", "period_epochs", "by_epoch"),
    "plateau": ("factor", "patience", "threshold", "minimum_rate", "monitor"),
}


class Schedule(Section):
    """The learning rate over the run; its peak is `training.learning_rate`.

    Defaults are those of the published 2nd-place kelp system, whose cosine has no
    warm-up and is moved by the epoch (`warmup: 0`, `by_epoch: true`). The published
    3rd-place clouds system restarts a cosine every 10 epochs and ends with five at
    constant rates (`tail: [[3, 1e-5], [2, 5e-6]]`). An option that the named schedule
    does not read is refused.
    What each does, and when, is said in `tenfold.training.schedules`.
    """

    name: ScheduleName = Field(
        "onecycle", description="shape of the rate over the run; none: constant"
    )
    warmup: Share = Field(
        0.1, description="onecycle, cosine: share of steps before the peak"
    )
    start_divisor: float = Field(
        2.0, gt=0, description="onecycle, cosine with warm-up: peak / first rate"
    )
    final_divisor: float = Field(100.0, gt=0, description="onecycle: first / last rate")
    cycle_momentum: bool = Field(
        True,
        description="onecycle, cyclic: SGD's momentum, or Adam's first beta, falls as"
        " the rate rises (0.95 to 0.85, and 0.9 to 0.8)",
    )
    minimum_rate: float | None = Field(
        None,
        ge=0,
        description="cosine, cosine-restarts, plateau: lowest rate; none: 1e-7, and"
        " 1e-6 for plateau",
    )
    period_epochs: int = Field(
        1,
        ge=1,
        description="cosine-restarts: epochs before the first restart; exponential:"
        " epochs in which the rate falls to `factor` of itself",
    )
    period_factor: int = Field(
        2, ge=1, description="cosine-restarts: each period / the one before"
    )
    by_epoch: bool = Field(
        False,
        description="cosine, cosine-restarts, exponential: the rate is moved once an"
        " epoch, not at each step",
    )
    base_rate: float = Field(1e-5, gt=0, description="cyclic: lowest rate")
    up_epochs: int = Field(1, ge=1, description="cyclic: epochs from base to peak")
    down_epochs: int = Field(1, ge=1, description="cyclic: epochs back to base")
    decay: float = Field(
        1.0, gt=0, le=1, description="cyclic: factor of the peak a step (exp_range)"
    )
    factor: float = Field(
        0.95, gt=0, lt=1, description="plateau, exponential: new rate / old"
    )
    patience: int = Field(
        3, ge=0, description="plateau: validations without gain that are borne"
    )
    threshold: float = Field(
        1e-4, ge=0, description="plateau: relative change that is a gain"
    )
    monitor: str = Field(
        "loss", description="plateau: figure that is watched, as training.monitor"
    )
    tail: tuple[Stretch, ...] = Field(
        (),
        description="any schedule: [epochs, rate] of stretches at a constant rate, at"
        " the end of the run and part of training.epochs; the schedule ends before",
    )

    @property
    def lowest(self) -> float:
        """The lowest rate of the schedules that have one."""
        if self.minimum_rate is not None:
            return self.minimum_rate
        return 1e-6 if self.name == "plateau" else 1e-7

    @property
    def tail_epochs(self) -> int:
        """Epochs that come after the schedule proper."""
        return sum(epochs for epochs, _ in self.tail)

    @property
    def cycles_momentum(self) -> bool:
        """Whether the schedule sets the momentum, too."""
        return self.cycle_momentum and self.name in ("onecycle", "cyclic")

    @model_validator(mode="after")
    def _reads_what_is_set(self) -> "Schedule":
        for option, field in type(self).model_fields.items():
            changed = getattr(self, option) != field.default
            if changed and option not in ("name", "tail", *_SCHEDULE_READS[self.name]):
                raise ValueError(
                    f"schedule {self.name} does not use {option}; leave it out, or"
                    f" write the schedule anew: schedule={{name: {self.name}}}"
                )
        if self.name == "cosine" and self.start_divisor < 1:
            raise ValueError("start_divisor: cosine warms up from below its peak, ≥ 1")
        return self


class Swa(Section):
    """Stochastic weight averaging (Izmailov et al., UAI 2018; published values).

    The weights at the ends of the last epochs are averaged, each epoch alike, while
    the rate is annealed to a constant one instead of the schedule's. Statistics of
    batch normalisation are renewed by a pass over training examples at the end. A
    training that ends before the first of these epochs averages its last weights only.
    """

    start: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.75, description="share of epochs before the first that is averaged"
    )
    learning_rate: float = Field(3e-5, gt=0, description="rate that is annealed to")
    annealing_epochs: int = Field(10, ge=1, description="epochs until it is reached")


class Training(Section):
    """The loop around a network, whatever the network is.

    Two steps of an epoch with its validation, to see whether all of it works, are
    `--set members.NAME.training.epochs=1 --set members.NAME.training.limit_steps=2`.
    Kept are the last weights, the best epoch's, and the averages that are asked for.
    torch-ort, which brought the published kelp system no gain, is not offered.
    """

    epochs: int = Field(ge=1, description="rounds of samples_per_epoch samples")
    batch: int = Field(ge=1, description="samples a batch")
    accumulate: int = Field(
        1, ge=1, description="batches a step; gradients are their mean's"
    )
    samples_per_epoch: int | None = Field(
        None, ge=1, description="drawn with replacement; none: every sample once"
    )
    optimiser: Literal["adamw", "adam", "sgd"] = Field(
        "adamw", description="the framework's own"
    )
    learning_rate: float = Field(3e-4, gt=0, description="peak of the schedule")
    weight_decay: float = Field(1e-4, ge=0, description="adam, sgd: as an L2 penalty")
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.9, description="sgd, where the schedule does not set it; published: 0"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="largest norm of a step's gradient; none: any"
    )
    schedule: Schedule = Schedule()
    precision: Precision = Field(
        "32-true",
        description="mixed: 16 bits where it is safe; true: weights have 16 bits too",
    )
    compile: bool = Field(
        False,
        description="compile the training step, for its speed (torch.compile, XLA)",
    )
    ema: Share = Field(0.0, description="decay of averaged weights; 0 keeps none")
    swa: Swa | None = Field(None, description="average the last epochs' weights, too")
    weights: Literal["last", "ema", "best", "swa"] = Field(
        "last",
        description="what out-of-fold predictions and inference use; best was"
        " chosen on the fold being predicted and is labelled so",
    )
    monitor: str = Field(
        "score",
        description="held-out figure that best and patience go by: score (the"
        " challenge's metric), loss (lower is better), or another val/ figure; with a"
        " minus before its name, lower is better, and with a plus, higher",
    )
    patience: int | None = Field(None, ge=1, description="epochs without gain")
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    limit_steps: int | None = Field(
        None, ge=1, description="most steps an epoch, for trial runs"
    )
    limit_validation: int | None = Field(
        None,
        ge=1,
        description="most held-out samples validated while training, for trial runs;"
        " pictured ones come on top, and out-of-fold predictions are always whole",
    )
    checkpoint_minutes: float = Field(5.0, ge=0, description="also every epoch")
    picture_epochs: tuple[int, ...] = Field((), description="epochs that are drawn")
    workers: int = Field(
        0, ge=0, description="loader processes; keras: threads that read, 0 for one"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; none: all")

    @model_validator(mode="after")
    def _weights_exist(self) -> "Training":
        if self.weights == "ema" and self.ema == 0:
            raise ValueError("weights: ema needs an ema decay above 0")
        if self.weights == "swa" and self.swa is None:
            raise ValueError("weights: swa needs swa, e.g. swa={}")
        return self

    @model_validator(mode="after")
    def _schedule_has_epochs(self) -> "Training":
        tail = self.schedule.tail_epochs
        if tail >= self.epochs:
            raise ValueError(
                f"schedule.tail takes {tail} epochs of the run's {self.epochs}, and at"
                " least one must be left before it; train longer, or set"
                " schedule.tail=[]"
            )
        if tail and self.swa is not None:
            raise ValueError(
                "swa and schedule.tail both decide the last epochs' rate; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _momentum_is_used(self) -> "Training":
        if self.momentum == type(self).model_fields["momentum"].default:
            return self
        if self.optimiser != "sgd":
            raise ValueError(f"{self.optimiser} has no momentum; leave it out")
        if self.schedule.cycles_momentum:
            raise ValueError(
                f"schedule {self.schedule.name} sets the momentum itself; leave it out,"
                " or set schedule.cycle_momentum to false"
            )
        return self

    @model_validator(mode="after")
    def _rates_are_below_the_peak(self) -> "Training":
        schedule = self.schedule
        lowest = {
            "cosine": schedule.lowest,
            "cosine-restarts": schedule.lowest,
            "plateau": schedule.lowest,
            "cyclic": schedule.base_rate,
        }.get(schedule.name, 0.0)
        if lowest >= self.learning_rate:
            raise ValueError(
                f"the lowest rate of schedule {schedule.name} is {lowest:g}, and"
                f" learning_rate, its peak, is {self.learning_rate:g}; it must be above"
            )
        return self


class Inference(Section):
    """How a trained member sees whole samples, held-out and test alike.

    It is no part of training: another choice redoes predictions, never a training.
    """

    tta: Literal["none", "horizontal", "mirrors", "flips", "dihedral"] = Field(
        "none",
        description="mean probability over the sample as it is; horizontal: and its"
        " left-right mirror image; mirrors: and the up-down one; flips: and both at"
        " once; dihedral: all 8 right-angle views",
    )
    window: int | None = Field(
        None, ge=32, description="side of sliding windows, px; none: samples whole"
    )
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.5, description="least share of a window that the next one covers too"
    )
    precision: Precision | None = Field(None, description="none: as in training")


class Took(Section):
    """What training one fold took, where somebody measured it."""

    gpu: str = Field(description="accelerator, as profiles name it")
    hours_a_fold: float = Field(gt=0, description="hours that one fold took")
    epochs: int = Field(ge=1, description="that those hours were for")
    source: str = Field(description="who measured it, where")


class Member(Section):
    """One model of the ensemble; trained once a fold."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="unique; small letters, digits and dashes",
    )
    role: str = Field(
        "predict", description="models of one role are averaged with each other"
    )
    engine: Literal["torch", "keras", "trees"] = Field(
        "torch", description="what trains it; its image follows from it"
    )
    profile: str = Field("train", description="a key of `profiles`")
    seed: int = Field(42, description="of this model, beside the recipe's")
    training: Training
    inference: Inference = Inference()
    pseudo: bool = Field(
        False,
        description="trained in a second round, with pseudo-labelled test samples in"
        " the training part of every fold",
    )
    final: bool = Field(
        True,
        description="takes part in the last decision; false: only in the one that"
        " pseudo-labels are made by",
    )
    took: Took | None = Field(None, description="what estimates of a plan rest on")

    def decisive(self) -> Json:
        """Return what decides a training, as plain data; the machine does not."""
        options = self.model_dump(mode="json")
        for name in ("profile", "took", "inference", "final"):
            del options[name]
        for name in ("workers", "checkpoint_minutes"):
            del options["training"][name]
        return options


class PseudoOptions(Section):
    """Which predicted test samples are learnt from; a challenge has its own."""


class PredictOptions(Section):
    """Inference over the test samples."""

    workers: int = Field(1, ge=1, description="tasks that share the shards")
    batch: int = Field(8, ge=1, description="samples a batch")
    resident: int = Field(
        12, ge=1, description="members kept in memory; more are cycled by shard"
    )


class PreviewOptions(Section):
    """The gallery of the finished submission."""

    samples: int = Field(4, ge=1, description="pictures of each kind")


class Recipe(Section):
    """A run, whole.

    Stages read only the part they name, so that changing another part leaves
    their stored results valid.
    """

    challenge: str = Field(description="folder of tenfold/challenges")
    name: str = Field(description="part of the names of runs and files")
    about: str = Field(description="one sentence a person reads in a list")
    lands_near: str = Field(description="the published figure to expect, with source")
    seed: int = Field(42, description="of folds, weights, order and augmentation")
    data: DataOptions = DataOptions()
    groups: GroupOptions = GroupOptions()
    split: SplitOptions = SplitOptions()
    members: tuple[Member, ...] = Field(description="the models, one or more")
    allow_failed_folds: int = Field(
        0, ge=0, description="folds of a model that may fail without ending the run"
    )
    parallel_folds: int = Field(
        10, ge=1, le=100, description="most folds of a model that train at once"
    )
    pseudo: PseudoOptions | None = Field(
        None, description="a second round on pseudo-labels; none: one round"
    )
    predict: PredictOptions = PredictOptions()
    preview: PreviewOptions = PreviewOptions()
    profiles: dict[str, Resources] = Field(
        {}, description="machines: cpu, group, train, predict, and names of your own"
    )

    @model_validator(mode="after")
    def _names(self) -> "Recipe":
        names = [member.name for member in self.members]
        if not names or len(set(names)) != len(names):
            raise ValueError("members need distinct names, and at least one")
        known = {"cpu", "group", "train", "predict", *self.profiles}
        for member in self.members:
            if member.profile not in known:
                raise ValueError(f"member {member.name}: no profile {member.profile!r}")
        loops = {"split.k": self.split.k, "predict.workers": self.predict.workers}
        for option, count in loops.items():
            if count > MOST_GATHERED:
                raise ValueError(
                    f"{option} is {count}, but a graph gathers at most {MOST_GATHERED}"
                    " outputs of one loop (a limit of Vertex AI); lower it"
                )
        return self

    @model_validator(mode="after")
    def _second_round(self) -> "Recipe":
        late = [member.name for member in self.members if member.pseudo]
        if late and self.pseudo is None:
            raise ValueError(
                f"member {late[0]} learns from pseudo-labels; add a pseudo section"
            )
        if self.pseudo is None:
            early = [member.name for member in self.members if not member.final]
            if early:
                raise ValueError(
                    f"member {early[0]}: final: false needs a pseudo section, since"
                    " there is one decision only"
                )
        elif not late:
            raise ValueError("pseudo: no member learns from it; set one's pseudo true")
        elif len(late) == len(self.members):
            raise ValueError("pseudo: some member must be trained before the labels")
        for member in self.members:
            if member.pseudo and not member.final:
                raise ValueError(f"member {member.name} would be used for nothing")
        return self

    @property
    def rounds(self) -> tuple[int, ...]:
        """Numbers of the rounds of training, tuning and predicting, from 1."""
        return (1,) if self.pseudo is None else (1, 2)

    def of_round(self, number: int) -> tuple[Member, ...]:
        """Return the members that decide in a round, in the recipe's order."""
        if self.pseudo is None:
            return self.members
        if number == 1:
            return tuple(member for member in self.members if not member.pseudo)
        return tuple(member for member in self.members if member.final)

    def trained_in(self, number: int) -> tuple[Member, ...]:
        """Return the members that are trained in a round, in the recipe's order."""
        return tuple(m for m in self.members if m.pseudo == (number == 2))

    def member(self, name: str) -> Member:
        """Return the member called `name`, or say which ones there are."""
        for member in self.members:
            if member.name == name:
                return member
        known = ", ".join(member.name for member in self.members)
        raise RecipeError(f"recipe {self.name} has no member {name!r}; it has {known}")

    def profile(self, name: str) -> Resources:
        """Return the resources called `name`, or a small machine's."""
        return self.profiles.get(name, Resources())

    def to_json(self) -> str:
        """Write the recipe as the one JSON string that travels between tasks."""
        return canonical(self.model_dump(mode="json"))

    def digest(self) -> str:
        """Return the digest by which tasks refuse another recipe's artifacts."""
        return digest_of(self.model_dump(mode="json"))


def canonical(value: Any) -> str:
    """Write plain data as JSON that is equal for equal data."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """Return 64 hex digits over the canonical JSON of plain data."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


R = TypeVar("R", bound=Section)


def read_yaml(path: Path) -> Json:
    """Read a recipe file as plain data."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read recipe {path}: {error}") from error
    if not isinstance(value, dict):
        raise RecipeError(f"recipe {path} is not a mapping of sections")
    return value


def override(raw: Json, settings: Sequence[str]) -> Json:
    """Apply `a.b=c` settings; members are reached by name or position.

    Values are YAML, so `training.epochs=3` is a number and `x=[1, 2]` a list.
    """
    result: Json = _unshared(raw)
    for setting in settings:
        dotted, separator, text = setting.partition("=")
        if not separator or not dotted:
            raise RecipeError(f"--set {setting}: write it as section.option=value")
        *parents, last = dotted.split(".")
        node: Any = result
        for key in parents:
            node = _descend(node, key, setting)
        if isinstance(node, list):
            raise RecipeError(f"--set {setting}: {last} would replace a whole entry")
        try:
            node[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise RecipeError(f"--set {setting}: {text} is not YAML") from None
    return result


def _unshared(value: Any) -> Any:
    """Copy plain data; what YAML anchors made one object becomes several."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def _descend(node: Any, key: str, setting: str) -> Any:
    if isinstance(node, list):
        for position, entry in enumerate(node):
            named = isinstance(entry, dict) and entry.get("name") == key
            if isinstance(entry, dict) and (named or key == str(position)):
                return entry
        raise RecipeError(f"--set {setting}: no member {key!r}")
    child = node.setdefault(key, {})
    if not isinstance(child, (dict, list)):
        raise RecipeError(f"--set {setting}: {key} is a value, not a section")
    return child


def validate(kind: type[R], raw: Mapping[str, Any], where: str) -> R:
    """Build a section of `kind`, turning every fault into one plain sentence.

    Raises:
        RecipeError: naming each bad key or value, and `where` it stands.
    """
    try:
        return kind.model_validate(dict(raw))
    except ValidationError as error:
        faults = [_sentence(kind, fault) for fault in error.errors()]
        raise RecipeError(f"{where}: " + "; ".join(faults)) from None


def _sentence(kind: type[BaseModel], fault: Any) -> str:
    dotted, _ = _resolve(kind, fault["loc"])
    if fault["type"] == "extra_forbidden":
        _, section = _resolve(kind, fault["loc"][:-1])
        known = list(section.model_fields) if section else []
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, 1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        return f"unknown key {dotted!r}{hint}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{dotted}: {message}" if dotted else message


def _resolve(
    kind: type[BaseModel], path: Sequence[str | int]
) -> tuple[str, type[BaseModel] | None]:
    """Follow an error's location from a section on.

    Returns:
        The location as a recipe has it, and the section it leads to or lies in, if it
        is known. pydantic also names the branch of a union that it took.
    """
    shown, is_key = [], False
    section: type[BaseModel] | None = kind
    branches: dict[str, type[BaseModel]] = {}
    for part in path:
        if len(branches) > 1 and part in branches:
            section, branches = branches[str(part)], {}
            continue
        shown.append(str(part))
        if isinstance(part, int) or is_key:
            is_key = False
            continue
        field = section.model_fields.get(part) if section else None
        is_key = field is not None and get_origin(field.annotation) is dict
        branches = _branches(field.annotation) if field else {}
        section = next(iter(branches.values()), None)
    return ".".join(shown), section


def _branches(annotation: Any) -> dict[str, type[BaseModel]]:
    """Return the sections an annotation allows, by the names pydantic gives them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation.__name__: annotation}
    inner = get_args(annotation)
    found = {name: kind for part in inner for name, kind in _branches(part).items()}
    tags = [str(part.tag) for part in inner if isinstance(part, Tag)]
    return dict.fromkeys(tags, *found.values()) if tags else found
