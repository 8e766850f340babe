"""image: masks and pictures of single images, by a trained member or a whole ensemble.

Nothing is stored: what comes out lies in a folder, for whoever asked.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tenfold.challenges import Challenge, SourceSample, load_recipe
from tenfold.data.arrays import Arrays, ByteArray
from tenfold.errors import RecipeError, SourceError, StoreError
from tenfold.recipe import DataOptions, Json
from tenfold.reports.page import Page, Picture
from tenfold.reports.panels import write_png
from tenfold.stages.context import OK, Context, read_reference
from tenfold.stages.entries import DECISION, MODEL, WEIGHTS
from tenfold.stages.predict import Ensemble, EnsembleMember, open_members
from tenfold.store import MANIFEST, Entry, Store

PAGE, MASKS, PICTURES = "predictions.html", "masks", "pictures"
#: Images that are in memory at once.
_TOGETHER = 32
#: More would not fit on a page.
_MOST_SHOWN = 24


@dataclass(frozen=True)
class Model:
    """What images are shown to.

    Attributes:
        name: what a person calls it.
        context: its recipe, and the store that holds it.
        members: one, or those of an ensemble.
        choice: the challenge's decision.
    """

    name: str
    context: Context
    members: Sequence[EnsembleMember]
    choice: Json


@dataclass(frozen=True)
class Predicted:
    """What became of one image.

    Attributes:
        mask: the prediction's file.
        picture: its outline over the image.
        facts: what the challenge says of it, the most telling first.
    """

    id: str
    file: Path
    mask: Path
    picture: Path
    facts: Mapping[str, float]


def open_model(
    name: str,
    store: str | None = None,
    settings: Sequence[str] = (),
    weights: str | None = None,
    threshold: float | None = None,
) -> Model:
    """Open a trained fold, or a decision with all its members.

    Args:
        name: address of an entry of train, fit or tune (`train/1a2b…`), its folder,
            its whole address (gs://…), or the file that a verb wrote to name it.
        store: where an address lies; a folder or a file tells by itself.
        settings: overrides of its recipe, such as another `inference.tta`.
        weights: of a single fold, other ones than those in use: last, best, ema …
        threshold: instead of the decision's.

    Raises:
        StoreError: if it is not there, not whole or no such entry.
        RecipeError: if its recipe does not fit this version, or these settings.
    """
    home, entry = _find(name, store)
    recipe = entry.manifest["recipe"]
    context = Context(
        load_recipe(str(recipe.get("challenge")), json.dumps(recipe), settings), home
    )
    stage = str(entry.manifest["address"]).split("/")[0]
    if stage == "tune":
        if weights is not None:
            raise RecipeError(f"--weights {weights}: only a single fold has a choice")
        decided = entry.json(DECISION)
        members, choice = open_members(context, decided), decided["choice"]
    elif stage in ("train", "fit"):
        member = _single(home, entry, weights)
        fold = int(entry.json(MODEL)["fold"])
        members = [member]
        choice = context.challenge.decision.untuned(context.recipe, member.model, fold)
    else:
        raise StoreError(f"{name} is an entry of {stage}; name one of train or tune")
    if threshold is not None:
        if "threshold" not in choice:
            raise RecipeError(f"--threshold: {recipe['challenge']} decides by none")
        choice = {**choice, "threshold": threshold}
    return Model(str(entry.manifest["label"]), context, members, choice)


def _find(name: str, store: str | None) -> tuple[Store, Entry]:
    """Return the store and the entry that a person means."""
    path = Path(name)
    if "://" not in name and path.is_file():
        reference = read_reference(path)
        if reference.status != OK:
            raise StoreError(f"{path}: {reference.label} failed: {reference.reason}")
        where = store or reference.uri.removesuffix(f"/{reference.address}")
        address = reference.address
    elif "://" in name or (path / MANIFEST).is_file():
        whole = name if "://" in name else str(path.absolute())
        where, *last = whole.rstrip("/").rsplit("/", 2)
        address = "/".join(last)
    elif store is None:
        raise StoreError(
            f"--model {name}: there is no such file, nor a folder with a"
            f" {MANIFEST}; for an address such as train/1a2b… add --store"
        )
    else:
        where, address = store, name
    home = Store(where)
    return home, home.open(address)


def _single(store: Store, entry: Entry, weights: str | None) -> EnsembleMember:
    """Return a trained fold as an ensemble of one."""
    description = entry.json(MODEL)
    member = EnsembleMember(entry, description["name"], description["role"], 1.0)
    if weights is None:
        return member
    # train takes over the weights in use from fit, which keeps every kind.
    fitted = store.open(entry.inputs["fit"]) if "fit" in entry.inputs else entry
    there = {file.stem: file for file in sorted((fitted.path / WEIGHTS).iterdir())}
    if weights not in there:
        raise RecipeError(f"--weights {weights}: there is {', '.join(there)}")
    return replace(member, weights=there[weights])


def predict_images(
    model: Model, files: Sequence[Path], out: Path
) -> Iterator[Predicted]:
    """Write a mask and a picture of every image, and at the end a page of all.

    Args:
        model: that they are shown to.
        files: of the challenge's source, each a test sample.
        out: folder; gets masks/, pictures/ and the page.

    Raises:
        SourceError: a file is not there, or two would have one mask.
        Rejected: a file is not what the challenge's source has, and why.
    """
    challenge = model.context.challenge
    samples, options = _samples(challenge, files), model.context.recipe.data
    ensemble = Ensemble(model.context, model.members, model.choice)
    gallery = _Gallery(model)
    for first in range(0, len(samples), _TOGETHER):
        some = _Images(challenge, samples[first : first + _TOGETHER], options)
        for id_, prediction in ensemble.predict(some, list(some.found), _silent):
            arrays = some.sample(id_)
            drawn = dict(challenge.drawing.overlay(arrays, prediction, truth=False))
            picture = out / PICTURES / f"{id_}.png"
            write_png(picture, next(iter(drawn.values())))
            done = Predicted(
                id=id_,
                file=files[len(gallery)],
                mask=challenge.submission.export(id_, prediction, out / MASKS),
                picture=picture,
                facts=ensemble.describe(prediction, arrays),
            )
            seen = dict(list(challenge.drawing.views(arrays).items())[:1])
            gallery.add(done, seen | drawn)
            yield done
    gallery.write(out / PAGE)


def _samples(challenge: Challenge, files: Sequence[Path]) -> list[SourceSample]:
    samples = [challenge.reader.single(file) for file in files]
    times = Counter(sample.id for sample in samples)
    for sample in samples:
        if times[sample.id] > 1:
            raise SourceError(
                f"{times[sample.id]} images are called {sample.id}, and their masks"
                " would be too; rename all but one"
            )
    return samples


def _silent() -> None:
    """Tell nothing about a member's turn."""


class _Images:
    """Images that were read and checked, as samples.

    Args:
        challenge: whose reader knows them.
        found: as many as fit in memory.
        options: the recipe's `data` section.
    """

    def __init__(
        self,
        challenge: Challenge,
        found: Sequence[SourceSample],
        options: DataOptions,
    ) -> None:
        packed = (challenge.reader.pack(sample, None, options) for sample in found)
        self.found = {
            sample.id: pack.arrays for sample, pack in zip(found, packed, strict=True)
        }

    def sample(self, id_: str) -> Arrays:
        """Return one image's arrays."""
        return self.found[id_]


class _Gallery:
    """The page of all images; of the first ones, pictures too."""

    def __init__(self, model: Model) -> None:
        members = len(model.members)
        whom = "one model" if members == 1 else f"{members} models together"
        self._page = Page("Predictions", f"By {model.name}: {whom}.", "predict")
        self._rows: list[Json] = []
        self._pictures: list[Picture] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, done: Predicted, pictures: Mapping[str, ByteArray]) -> None:
        """Take in one image."""
        if len(self._rows) < _MOST_SHOWN:
            self._pictures += [
                Picture(pixels, name, done.file.name)
                for name, pixels in pictures.items()
            ]
        self._rows.append({"image": done.file.name, **done.facts})

    def write(self, path: Path) -> None:
        """Write the page."""
        self._page.facts({"images": len(self)})
        more = f"The first {_MOST_SHOWN} of {len(self)}."
        self._page.section("Images", more if len(self) > _MOST_SHOWN else "")
        self._page.pictures(self._pictures)
        self._page.section("Numbers")
        self._page.table(self._rows)
        self._page.write(path)
