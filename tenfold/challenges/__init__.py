"""What a challenge is: ten parts in the order the data flows, and one for people.

A challenge is one folder, `tenfold/challenges/<name>/`, with one module a
part. A part is looked up by its file's name and imported when it is needed,
so that splitting never loads torch and editing the drawing never retrains.
The protocols below say what each module defines; every challenge is held to
them by the contract tests.

| part | module | asked by |
|---|---|---|
| options | options.py | everyone: the recipe's sections |
| synth | synth.py | synth |
| reader | reader.py | ingest |
| duplicates | duplicates.py | group |
| strata | strata.py | split |
| model | model.py | train, predict |
| scoring | scoring.py | train, evaluate, tune |
| decision | decision.py | tune, predict |
| submission | submission.py | submit, score |
| drawing | drawing.py | the reports |
| exploring | exploring.py, where there is one | explore, statistics |
| pseudo | pseudo.py, where there is one | select |
"""

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import polars as pl

from tenfold.data.arrays import Arrays, BoolArray, ByteArray, IntArray
from tenfold.data.statistics import Channels, Partials
from tenfold.errors import RecipeError, Rejected
from tenfold.recipe import Json, Member, Recipe, override, read_yaml, validate
from tenfold.reports.panels import Scale

PACKAGE = __name__
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class SourceSample:
    """One sample of the raw data, found but not yet read.

    Attributes:
        id: unique in the data set.
        split: train or test.
        files: role → file, e.g. satellite, kelp.
        md5: role → checksum the source states, where it states one.
        labels: what a table of the source says of it, by name; none are of a file.
        origin: what a person calls where it is from; blank: its first file.
    """

    id: str
    split: str
    files: Mapping[str, Path]
    md5: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    @property
    def name(self) -> str:
        """What a person calls where it is from."""
        return self.origin or next(iter(self.files.values())).name


@dataclass(frozen=True)
class Scan:
    """Everything a source holds.

    Attributes:
        samples: sorted by id, ids unique.
        rejected: what cannot be a sample, with file and reason.
    """

    samples: tuple[SourceSample, ...]
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class Packed:
    """One sample as it goes into a shard.

    Attributes:
        arrays: losslessly, in the smallest dtypes; equal shapes for all samples.
        columns: the challenge's columns of the catalogue; None where unknown.
        partials: statistics of the recipe's channels over valid pixels.
    """

    arrays: Arrays
    columns: Mapping[str, Any]
    partials: Partials | None


class OptionsPart(Protocol):
    """options.py: the recipe's type; its sections may be subclasses."""

    RECIPE: type[Recipe]


class SynthPart(Protocol):
    """synth.py: a small data set in the exact real format."""

    def synthesise(
        self, directory: Path, options: Any, on_progress: Any = None
    ) -> None:
        """Write `directory/data` (a source) and `directory/truth` (read by no stage).

        Args:
            directory: an empty folder.
            options: the recipe's `synth` section.
            on_progress: called with (samples done, samples in all).
        """


class ReaderPart(Protocol):
    """reader.py: the source's files into samples, or rejections with a reason."""

    def scan(self, source: Path, options: Any) -> Scan:
        """List the samples of a local folder.

        Args:
            source: the folder.
            options: the recipe's `data` section.

        Raises:
            SourceError: if it is not this challenge's data at all.
        """

    def pack(
        self, sample: SourceSample, channels: Channels | None, options: Any
    ) -> Packed:
        """Read and check one sample.

        Args:
            sample: found by `scan`, or a file of its own.
            channels: whose statistics are wanted.
            options: the recipe's `data` section.

        Raises:
            Rejected: naming the file and what is wrong with it.
        """

    def channels(self, recipe: Recipe) -> Channels | None:
        """Name the channels whose statistics the recipe's members need."""

    def single(self, path: Path) -> SourceSample:
        """Return a file of its own as a test sample, not yet read.

        Raises:
            SourceError: if there is no such file.
        """

    def is_sample(self, folder: Path) -> bool:
        """Tell whether a folder, as a whole, is a sample."""


class DuplicatesPart(Protocol):
    """duplicates.py: the views of a sample by which duplicates are judged."""

    def lattice(self, arrays: Arrays) -> tuple[IntArray, BoolArray]:
        """Return integers (H, W) that coincide where samples overlap, and validity."""

    def picture(self, arrays: Arrays) -> ByteArray:
        """Return a picture (H, W, 3) for an ImageNet network."""

    def footprints(self, catalogue: pl.DataFrame) -> pl.DataFrame:
        """Return where and when samples were seen, one row each.

        Returns:
            `id`, `time` (s), and `west`, `south`, `east`, `north` (degrees; -180 to
            180, -90 to 90, east below west across the 180th meridian), none of them
            null: a sample of which that is not known has no row.

        Raises:
            RecipeError: if the source does not say so of any.
        """


class StrataPart(Protocol):
    """strata.py: what folds are balanced by, and who stays out of them."""

    COLUMNS: tuple[str, ...]
    """Catalogue columns that `split.strata` may name."""

    def strata(self, catalogue: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
        """Return a label a train sample; equal labels are spread over folds."""

    def keep(self, catalogue: pl.DataFrame, options: Any) -> pl.Series:
        """Return False for train samples that are left out of every fold."""

    def measures(self, catalogue: pl.DataFrame) -> Mapping[str, pl.Series]:
        """Return amounts, a number a sample, whose balance over folds is shown."""

    def published(self, catalogue: pl.DataFrame) -> pl.Series | None:
        """Return True for train samples that the source's own split holds out.

        None if the source has no such split, and `split.method: published` nothing to
        go by.
        """


class ModelPart(Protocol):
    """model.py: a member's network, examples, loss and outputs (one framework).

    What the engine asks of it is in `tenfold.training.task`.
    """

    def task(self, recipe: Recipe, member: Member) -> Any:
        """Return the member as a learning task of its engine."""


class Scoring(Protocol):
    """A metric from counts that add up."""

    MONITOR: str

    def tally(self, outputs: Arrays, arrays: Arrays) -> Any:
        """Count one sample's outputs against its truth."""

    def from_json(self, value: Json) -> Any:
        """Read a tally back."""

    def metrics(self, tally: Any) -> dict[str, float]:
        """Turn counts into finite figures; MONITOR is the one that matters."""

    def confusion(self, tally: Any) -> tuple[tuple[str, ...], IntArray]:
        """Return class names and counts (truth, prediction)."""


class ScoringPart(Scoring, Protocol):
    """scoring.py: the competition's metric of predictions, and what members go by.

    Its own functions count decided predictions, and `of_role` outputs of members.
    """

    def of_role(self, role: str) -> Scoring:
        """Return what the outputs of a role's members are scored by."""


class OutOfFold(Protocol):
    """Out-of-fold outputs of every model, and the samples they belong to."""

    models: tuple[str, ...]
    folds: tuple[int, ...]

    def samples(self) -> Iterator[tuple[str, int, Arrays, Mapping[str, Arrays]]]:
        """Yield (id, fold, sample, outputs by model), each sample once."""

    def scores(self, model: str) -> dict[int, float]:
        """Return the monitored score of each of a model's folds."""


class DecisionPart(Protocol):
    """decision.py: from member outputs to a prediction, and how it is tuned."""

    DECIDED: str
    """The array of a prediction that says what was decided, e.g. its mask."""

    def tune(self, recipe: Recipe, out_of_fold: OutOfFold, on_progress: Any) -> Json:
        """Choose on out-of-fold outputs alone.

        Returns:
            `decision` (plain data for the functions below), `honest` (score with
            each fold left out of the choice), `naive` (score of the choice on what
            it was made on), `baseline` (a simple rule's score, honest too), `curves`
            (each with `title`, `text`, the label `x`, `lines` by name as [x, y], and
            `chosen`, an x), `effects` (rows: what the decision's steps changed, each
            with its `step`), `examples` (pairs of a title and ids of samples that show
            what the steps did) and `statement` (what was chosen on what, in words).
        """

    def untuned(self, recipe: Recipe, model: str, fold: int) -> Json:
        """Return a decision, as `tune` gives it, for one member that is used alone.

        Nothing is chosen: what the recipe leaves open is as plain as can be.
        """

    def fold_weight(self, decision: Json, model: str, fold: int) -> float:
        """Return the weight of a model's fold in the mean of its folds, 0 or more."""

    def model_weight(self, decision: Json, model: str) -> float:
        """Return a model's weight in the mean of its role, 0 or more."""

    def contribute(self, outputs: Arrays, decision: Json) -> Arrays:
        """Return what one member adds to the mean of its model's folds."""

    def conclude(self, mean: Arrays, model: str, decision: Json) -> Arrays:
        """Return what a model adds to the mean of its role, e.g. its vote.

        Args:
            mean: of the contributions of its folds; out-of-fold, of one.
            model: its name.
            decision: that was tuned.
        """

    def decide(
        self, averages: Mapping[str, Arrays], arrays: Arrays, decision: Json
    ) -> Arrays:
        """Turn the averages of each role into the prediction of one sample."""

    def describe(
        self, prediction: Arrays, arrays: Arrays, decision: Json
    ) -> Mapping[str, float]:
        """Summarise a prediction as numbers for the sanity statistics."""


class SubmissionPart(Protocol):
    """submission.py: the competition's own files, written and read back."""

    FILE: str

    def write(self, predictions: Iterable[tuple[str, Arrays]], directory: Path) -> None:
        """Write FILE (and what it holds) with bytes that depend on the content only."""

    def read(self, path: Path) -> Iterator[tuple[str, Arrays]]:
        """Yield what a submission says of each sample.

        Raises:
            SubmissionError: naming the member that breaks a rule.
        """

    def export(self, id_: str, prediction: Arrays, directory: Path) -> Path:
        """Write one prediction as a file of its own, as `tallies` reads a folder."""

    def score(self, path: Path, truth: Path) -> dict[str, float]:
        """Score a submission against a folder of truth, e.g. synth's `truth`."""

    def tallies(
        self, path: Path, truth: Path, threshold: float | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Yield each sample's tally, as scoring's, paired with its truth by id.

        Args:
            path: a submission, or a folder of exported predictions.
            truth: folder of truth.
            threshold: predictions may be probabilities, which this one cuts.

        Raises:
            SubmissionError: naming samples that are on one side only.
        """


class DrawingPart(Protocol):
    """drawing.py: a sample as a person wants to see it."""

    LEGEND: str
    """What of an overlay is the prediction, and what the label, in a sentence."""

    def views(self, arrays: Arrays) -> Mapping[str, ByteArray]:
        """Return named pictures (H, W, 3) of a sample, the most telling first."""

    def scales(self, arrays: Arrays) -> Mapping[str, Scale]:
        """Return what colours mean in those views of a sample that map values."""

    def overlay(
        self, arrays: Arrays, outputs: Arrays, truth: bool = True
    ) -> Mapping[str, ByteArray]:
        """Return named pictures of outputs or a prediction over the sample."""

    def choose(self, table: pl.DataFrame, count: int) -> Mapping[str, list[str]]:
        """Pick informative samples from the predictions' table: kind → ids."""

    def comparison(
        self, test: pl.DataFrame, train: pl.DataFrame
    ) -> list[dict[str, Any]]:
        """Return rows of (what, predicted on test, labelled in training)."""

    def warnings(self, test: pl.DataFrame, train: pl.DataFrame) -> list[str]:
        """Say in plain words where predictions look unlike the training data."""


class ExploringPart(Protocol):
    """exploring.py: what people may ask of the data; a challenge may do without.

    Without it, explore draws every column under its own name, and there are no
    statistics of channels.
    """

    COLUMNS: Mapping[str, str]
    """Catalogue columns that are drawn, and what they measure in words."""

    LEGEND: str
    """What the names of channels mean, for people."""

    def channels(self, recipe: Recipe, every: bool) -> Channels:
        """Name the channels of the recipe's members, or every one there is."""

    def partials(self, arrays: Arrays, channels: Channels) -> Partials:
        """Reduce a packed sample to the partials of some channels."""

    def pixels(self, arrays: Arrays) -> int:
        """Return how many values a channel of a sample has, present or not."""


class PseudoPart(Protocol):
    """pseudo.py: which predictions become labels; a challenge may do without."""

    def select(self, prediction: Arrays, arrays: Arrays, options: Any) -> Arrays | None:
        """Return a test sample with its prediction as its label, or None.

        Args:
            prediction: what `decide` made of it.
            arrays: the sample, as it was packed.
            options: the recipe's `pseudo` section.
        """

    def columns(self, arrays: Arrays) -> Mapping[str, Any]:
        """Return the challenge's columns of the catalogue, of a labelled sample."""


@dataclass(frozen=True)
class Challenge:
    """A challenge by name; its parts are imported when first asked for."""

    name: str

    def module(self, part: str) -> str:
        """Return the dotted name of a part's module."""
        return f"{PACKAGE}.{self.name}.{part}"

    def has(self, part: str) -> bool:
        """Return whether a part is there; some a challenge may do without."""
        return (FOLDER / self.name / f"{part}.py").is_file()

    def _part(self, part: str) -> ModuleType:
        return importlib.import_module(self.module(part))

    @property
    def options(self) -> OptionsPart:
        """The recipe's type."""
        return cast(OptionsPart, self._part("options"))

    @property
    def synth(self) -> SynthPart:
        """Synthetic data."""
        return cast(SynthPart, self._part("synth"))

    @property
    def reader(self) -> ReaderPart:
        """Source to samples."""
        return cast(ReaderPart, self._part("reader"))

    @property
    def duplicates(self) -> DuplicatesPart:
        """Views for duplicates."""
        return cast(DuplicatesPart, self._part("duplicates"))

    @property
    def strata(self) -> StrataPart:
        """Strata for folds."""
        return cast(StrataPart, self._part("strata"))

    @property
    def model(self) -> ModelPart:
        """Networks; imports a framework."""
        return cast(ModelPart, self._part("model"))

    @property
    def scoring(self) -> ScoringPart:
        """The metric."""
        return cast(ScoringPart, self._part("scoring"))

    @property
    def decision(self) -> DecisionPart:
        """Outputs to predictions."""
        return cast(DecisionPart, self._part("decision"))

    @property
    def submission(self) -> SubmissionPart:
        """The competition's files."""
        return cast(SubmissionPart, self._part("submission"))

    @property
    def drawing(self) -> DrawingPart:
        """Pictures."""
        return cast(DrawingPart, self._part("drawing"))

    @property
    def exploring(self) -> ExploringPart | None:
        """What people may ask of the data, if the challenge has that part."""
        if not self.has("exploring"):
            return None
        return cast(ExploringPart, self._part("exploring"))

    @property
    def pseudo(self) -> PseudoPart:
        """Predictions that become labels.

        Raises:
            RecipeError: if the challenge has no such part.
        """
        if not self.has("pseudo"):
            raise RecipeError(
                f"{self.name} makes no pseudo-labels; leave the section pseudo out"
            )
        return cast(PseudoPart, self._part("pseudo"))

    def recipes(self) -> list[str]:
        """Name the recipes that come with the challenge."""
        folder = FOLDER / self.name / "recipes"
        return sorted(path.stem for path in folder.glob("*.yaml"))


def challenge_names() -> list[str]:
    """List the challenges: every folder here with an options module."""
    return sorted(path.parent.name for path in FOLDER.glob("*/options.py"))


def find_challenge(name: str) -> Challenge:
    """Return the challenge called `name`, or say which ones there are."""
    if name not in challenge_names():
        known = ", ".join(challenge_names())
        raise RecipeError(f"unknown challenge {name!r}; there is {known}")
    return Challenge(name)


def load_recipe(
    challenge: str, recipe: str | Path, settings: Sequence[str] = ()
) -> Recipe:
    """Load a preset by name, any YAML file by path, or a recipe given whole.

    Args:
        challenge: name of the challenge.
        recipe: a preset's name, a path that ends in .yaml, or the JSON of a recipe,
            as jobs outside the graph get it.
        settings: overrides such as `members.unet.training.epochs=3`.
    """
    found = find_challenge(challenge)
    if str(recipe).startswith("{"):
        whole = recipe_from_json(str(recipe)).model_dump(mode="json")
        return _of_challenge(found, override(whole, settings), "recipe")
    if str(recipe).endswith((".yaml", ".yml")):
        path = Path(recipe)
        where = str(path)
    else:
        path = FOLDER / challenge / "recipes" / f"{recipe}.yaml"
        where = f"{challenge}/recipes/{recipe}.yaml"
        if not path.is_file():
            known = ", ".join(found.recipes())
            raise RecipeError(f"{challenge} has no recipe {recipe!r}; it has {known}")
    return _of_challenge(found, override(read_yaml(path), settings), where)


def _of_challenge(found: Challenge, raw: Json, where: str) -> Recipe:
    if raw.get("challenge") != found.name:
        raise RecipeError(f"{where} is for challenge {raw.get('challenge')!r}")
    recipe = validate(found.options.RECIPE, raw, where)
    if recipe.pseudo is not None and not found.has("pseudo"):
        raise RecipeError(
            f"{where}: {found.name} makes no pseudo-labels; leave the section pseudo"
            " and members' pseudo out"
        )
    known = found.strata.COLUMNS
    for name in recipe.split.strata:
        if name not in known:
            raise RecipeError(
                f"{where}: split.strata: no column {name!r} to balance; there is"
                f" {', '.join(known)}"
            )
    return recipe


def recipe_from_json(text: str) -> Recipe:
    """Read a recipe back from the JSON string that travels between tasks."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise RecipeError(f"the recipe is not valid JSON: {error}") from None
    if not isinstance(raw, dict):
        raise RecipeError("the recipe is not a mapping of sections")
    kind = find_challenge(str(raw.get("challenge"))).options.RECIPE
    return validate(kind, raw, "recipe")
