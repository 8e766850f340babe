"""Recipes: the whole of a run's choices as frozen, validated sections.

A challenge adds its own options by subclassing the sections below
(`tenfold/challenges/<name>/options.py`); unknown keys are refused everywhere.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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
    """How raw files become shards."""

    strict: bool = Field(False, description="an unusable sample is an error")
    shard_samples: int = Field(64, ge=1, description="samples in a shard")


class OverlapSearch(Section):
    """Exact matching of shifted crops (tenfold.grouping.overlap)."""

    enabled: bool = True
    agreement: Share = Field(0.95, description="equal share of informative pixels")


class EmbeddingSearch(Section):
    """Nearest neighbours in the embedding of a pretrained network."""

    enabled: bool = False
    network: str = Field("resnet50.tv2_in1k", description="any timm network")
    weights: str | None = Field(
        None, description="safetensors file; absolute, or in the weights folder"
    )
    threshold: Share = Field(0.97, description="cosine similarity of a pair")


class GroupOptions(Section):
    """Which near-duplicates are looked for; groups join the edges of all."""

    overlap: OverlapSearch = OverlapSearch()
    embedding: EmbeddingSearch = EmbeddingSearch()
    large: int = Field(100, ge=2, description="groups above this are pointed out")


class SplitOptions(Section):
    """Folds: stratified, and no group on both sides."""

    k: int = Field(10, ge=2)
    strata: tuple[str, ...] = Field((), description="catalogue columns to balance")


class Schedule(Section):
    """The learning rate over the run."""

    name: Literal["none", "onecycle"] = "onecycle"
    warmup: Share = Field(0.1, description="share of steps before the peak")
    start_divisor: float = Field(2.0, gt=0, description="peak / first rate")
    final_divisor: float = Field(100.0, gt=0, description="first / last rate")


class Training(Section):
    """The loop around a network, whatever the network is."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    samples_per_epoch: int | None = Field(
        None, ge=1, description="drawn with replacement; none: every sample once"
    )
    optimiser: Literal["adamw"] = "adamw"
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Schedule = Schedule()
    precision: Precision = "32-true"
    ema: Share = Field(0.0, description="decay of averaged weights; 0 keeps none")
    weights: Literal["last", "ema", "best"] = Field(
        "last",
        description="what out-of-fold predictions and inference use; best was"
        " chosen on the fold being predicted and is labelled so",
    )
    patience: int | None = Field(None, ge=1, description="epochs without gain")
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    checkpoint_minutes: float = Field(5.0, ge=0, description="also every epoch")
    picture_epochs: tuple[int, ...] = Field((), description="epochs that are drawn")
    workers: int = Field(0, ge=0, description="loader processes")
    threads: int | None = Field(None, ge=1, description="CPU threads; none: all")

    @model_validator(mode="after")
    def _weights_exist(self) -> "Training":
        if self.weights == "ema" and self.ema == 0:
            raise ValueError("weights: ema needs an ema decay above 0")
        return self


class Inference(Section):
    """How a trained member sees whole samples, held-out and test alike.

    It is no part of training: another choice redoes predictions, never a training.
    """

    tta: Literal["none", "flips", "dihedral"] = Field(
        "none",
        description="mean probability over the sample as it is, over its 4 mirror"
        " images, or over all 8 right-angle views",
    )
    window: int | None = Field(
        None, ge=32, description="side of sliding windows, px; none: samples whole"
    )
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    precision: Precision | None = Field(None, description="none: as in training")


class Took(Section):
    """What training one fold took, where somebody measured it."""

    gpu: str = Field(description="accelerator, as profiles name it")
    hours_a_fold: float = Field(gt=0)
    epochs: int = Field(ge=1, description="that those hours were for")
    source: str


class Member(Section):
    """One model of the ensemble; trained once a fold."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    role: str = "predict"
    engine: Literal["torch", "keras", "trees"] = "torch"
    profile: str = Field("train", description="a key of `profiles`")
    seed: int = 42
    training: Training
    inference: Inference = Inference()
    took: Took | None = Field(None, description="what estimates of a plan rest on")

    def decisive(self) -> Json:
        """Return what decides a training, as plain data; the machine does not."""
        options = self.model_dump(mode="json")
        for name in ("profile", "took", "inference"):
            del options[name]
        for name in ("workers", "checkpoint_minutes"):
            del options["training"][name]
        return options


class PredictOptions(Section):
    """Inference over the test samples."""

    workers: int = Field(1, ge=1, description="tasks that share the shards")
    batch: int = Field(8, ge=1)
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

    challenge: str
    name: str
    about: str = Field(description="one sentence a person reads in a list")
    lands_near: str = Field(description="the published figure to expect, with source")
    seed: int = 42
    data: DataOptions = DataOptions()
    groups: GroupOptions = GroupOptions()
    split: SplitOptions = SplitOptions()
    members: tuple[Member, ...]
    allow_failed_folds: int = Field(0, ge=0)
    parallel_folds: int = Field(10, ge=1, le=100)
    predict: PredictOptions = PredictOptions()
    preview: PreviewOptions = PreviewOptions()
    profiles: dict[str, Resources] = {}

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
    dotted = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(
            str(fault["loc"][-1]), _keys_at(kind, fault["loc"][:-1]), 1
        )
        hint = f", did you mean {near[0]!r}?" if near else ""
        return f"unknown key {dotted!r}{hint}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{dotted}: {message}" if dotted else message


def _keys_at(kind: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Walk the model along an error's location and list the keys known there."""
    is_key = False
    for part in path:
        if isinstance(part, int) or is_key:
            is_key = False
            continue
        field = kind.model_fields.get(part)
        is_key = field is not None and get_origin(field.annotation) is dict
        found = _section_of(field.annotation) if field else None
        if found is None:
            return []
        kind = found
    return list(kind.model_fields)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _section_of(inner)
        if found is not None:
            return found
    return None
