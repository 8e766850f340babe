"""What it costs to decide on clouds: vote, cascade, search for the classifier's cuts.

Ours starts at the members' probabilities: it cuts and resizes them, votes, scores,
chooses cuts on the out-of-fold rows, honestly too, and decides on the test rows. The
plain way has the published third place's steps, less its tables: masks travel as
run-length text, a Python loop turns every text into a mask, and each of 100 cuts is a
pass over all rows of a class. Both must give the same cuts, score and masks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks.table import Row, raced, row, script
from tenfold.challenges.clouds import decision as decisions
from tenfold.challenges.clouds.classes import SUBMITTED
from tenfold.challenges.clouds.masks import resize_predictions
from tenfold.challenges.clouds.options import CloudsRecipe
from tenfold.challenges.clouds.outputs import decode
from tenfold.challenges.clouds.planes import pack_planes, unpack_planes
from tenfold.codecs import run_length
from tenfold.ensembling.average import Average

TITLE = "Deciding on clouds (CPU seconds on one thread)"
PREPARED = (384, 576)
SHAPES = ("a", "b", "c", "d", "e")
ROLES = {"where": "seg1", **dict.fromkeys(SHAPES, "seg2"), "which": "cls"}
FOLDS = 5
_CUT = 0.5
#: So many pictures differ; others repeat them with a truth and a classifier of theirs.
DISTINCT = 10

Masks = npt.NDArray[np.bool_]
Outputs = Mapping[str, Mapping[str, npt.NDArray[Any]]]


class Images:
    """Out-of-fold images, as `tune` reads them; also used as test images.

    Args:
        count: of images; four rows each.
        seed: of all that is drawn.
    """

    models = tuple(sorted(ROLES))
    folds = tuple(range(FOLDS))

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        scenes = [_fields(rng) for _ in range(min(count, DISTINCT))]
        seen = [{m: _seen(rng, s) for m in ("where", *SHAPES)} for s in scenes]
        self.count = count
        self._truth: list[npt.NDArray[np.uint8]] = []
        self._outputs: list[Outputs] = []
        for number in range(count):
            scene = scenes[number % DISTINCT]
            there = rng.random(4) < 0.53
            truth = _resized(scene > 0) & there[:, None, None]
            self._truth.append(pack_planes(truth))
            score = rng.normal(0.4 + 0.25 * there, 0.2).clip(0.01, 0.99)
            which = {"presence": score.astype(np.float32)}
            self._outputs.append({**seen[number % DISTINCT], "which": which})

    def samples(self) -> Iterator[tuple[str, int, Mapping[str, Any], Outputs]]:
        """Yield (id, fold, sample, outputs by model)."""
        for number in range(self.count):
            arrays = {"truth": self._truth[number]}
            yield f"{number:07x}", number % FOLDS, arrays, self._outputs[number]

    def scores(self, model: str) -> dict[int, float]:
        """Refuse: no decision on clouds asks for the scores of folds."""
        raise NotImplementedError(model)


def _fields(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Make smooth noise (4, H, W), above 0 in large blobs."""
    coarse = rng.normal(-0.4, 1, (4, 5, 7))
    zoomed = [ndimage.zoom(c, (PREPARED[0] / 5, PREPARED[1] / 7)) for c in coarse]
    fields: npt.NDArray[np.float64] = np.stack(zoomed)
    return fields


def _seen(
    rng: np.random.Generator, scene: npt.NDArray[np.float64]
) -> Mapping[str, npt.NDArray[np.uint8]]:
    """Return the probabilities of a model that sees a scene through noise."""
    logit = 4 * (scene + 0.4 * _fields(rng))
    return {"prob": np.rint(255 / (1 + np.exp(-logit))).astype(np.uint8)}


def _resized(masks: Masks) -> Masks:
    return resize_predictions(masks, SUBMITTED)


def recipe() -> CloudsRecipe:
    """Return the published decision for the models here."""
    training = {"epochs": 1, "batch": 1, "learning_rate": 1e-3}
    members = [{"name": n, "role": r, "training": training} for n, r in ROLES.items()]
    about = {"challenge": "clouds", "name": "bench", "about": "", "lands_near": ""}
    return CloudsRecipe.model_validate(about | {"members": members})


def ours(train: Images, test: Images) -> tuple[Mapping[str, Any], list[Any]]:
    """Choose the cuts, and decide on the test images."""
    result = decisions.tune(recipe(), train, lambda _: None)
    choice, decided = result["decision"], []
    for _, _, arrays, outputs in test.samples():
        roles: dict[str, Average] = {}
        for model, output in outputs.items():
            mean = decisions.contribute(output, choice)
            concluded = decisions.conclude(mean, model, choice)
            roles.setdefault(ROLES[model], Average()).add(concluded, 1.0)
        means = {role: average.result() for role, average in roles.items()}
        decided.append(decisions.decide(means, arrays, choice)["classes"])
    return result, decided


class Text:
    """The tables that the published scripts hand on, in memory: a code a row.

    Args:
        images: whose rows they are.
    """

    def __init__(self, images: Images) -> None:
        self.codes: dict[str, list[str]] = {m: [] for m in (*ROLES, "truth")}
        del self.codes["which"]
        self.scores: list[float] = []
        for _, _, arrays, outputs in images.samples():
            for model in ("where", *SHAPES):
                above = decode(outputs[model]["prob"]) > np.float32(_CUT)
                self._add(model, _resized(above))
            self._add("truth", unpack_planes(arrays["truth"]))
            self.scores += outputs["which"]["presence"].tolist()

    def _add(self, name: str, masks: Masks) -> None:
        self.codes[name] += [run_length.encode(mask) for mask in masks]


def mask_of(code: str) -> Masks:
    """Decode a text run by run."""
    flat = np.zeros(SUBMITTED[0] * SUBMITTED[1], np.bool_)
    numbers = [int(number) for number in code.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(SUBMITTED[::-1]).T


def plain_vote(text: Text) -> list[str]:
    """Return the code of the majority of each row."""
    voted = []
    for codes in zip(*(text.codes[model] for model in SHAPES), strict=True):
        votes = sum(mask_of(code).astype(np.uint8) for code in codes)
        voted.append(run_length.encode(np.asarray(votes) > len(SHAPES) // 2))
    return voted


def plain(train: Text, test: Text) -> tuple[list[float], float, list[str]]:
    """Vote, cascade, search and remove; return cuts, the mean Dice, and codes."""
    masks = [
        shape if where else ""
        for where, shape in zip(train.codes["where"], plain_vote(train), strict=True)
    ]
    dice = [
        plain_dice(mask, truth)
        for mask, truth in zip(masks, train.codes["truth"], strict=True)
    ]
    blank = [0.0 if truth else 1.0 for truth in train.codes["truth"]]
    cuts, score = plain_search(dice, blank, train.scores)
    rows = zip(test.codes["where"], plain_vote(test), test.scores, strict=True)
    final = [
        shape if where and score > np.float32(cuts[i % 4]) else ""
        for i, (where, shape, score) in enumerate(rows)
    ]
    return cuts, score, final


def plain_search(
    dice: list[float], blank: list[float], probability: list[float]
) -> tuple[list[float], float]:
    """Try every cut on all rows of each class; return the cuts and the mean Dice."""
    cuts, kept = [], []
    for place in range(4):
        best, best_scores = 0.0, [-1.0]
        for hundredths in range(100):
            cut = np.float32(hundredths / 100)
            scores = [
                blank[i] if probability[i] <= cut else dice[i]
                for i in range(place, len(dice), 4)
            ]
            if sum(scores) > sum(best_scores):
                best, best_scores = hundredths / 100, scores
        cuts.append(best)
        kept += best_scores
    return cuts, sum(kept) / len(dice)


def plain_dice(code: str, truth: str) -> float:
    """Return the Dice of two codes; 1 where both are empty."""
    one, other = mask_of(code), mask_of(truth)
    sizes = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / sizes if sizes else 1.0


def rows(quick: bool) -> list[Row]:
    """Measure; both ways are compared first."""
    images = (10, 5) if quick else (200, 120)
    train, test = (Images(count, seed) for seed, count in enumerate(images))
    texts = Text(train), Text(test)
    agree(ours(train, test), plain(*texts))
    seconds, plain_seconds = raced(
        [lambda: ours(train, test), lambda: plain(*texts)], 1 if quick else 3
    )
    what = f"{4 * images[0]} out-of-fold and {4 * images[1]} test rows, 7 models"
    published = (
        "from probabilities on; the published two-stage script alone takes 93 to 131 s"
        " on as many rows"
    )
    loops = (
        "no bar: plain loops without the published tables, from run-length text at"
        " 350 × 525 on; cutting, resizing and the honest score are not in it"
    )
    return [
        row(what, seconds, None, None, "≤ 10 s", published),
        row("the same rows, plain loops", None, plain_seconds, None, note=loops),
    ]


def agree(
    one: tuple[Mapping[str, Any], list[Any]],
    other: tuple[list[float], float, list[str]],
) -> None:
    """Check that both ways choose and paint the same."""
    result, decided = one
    cuts, score, codes = other
    assert list(result["decision"]["classifier_cuts"]) == cuts
    assert abs(result["naive"] - score) < 1e-9
    found = [run_length.encode(m) for bits in decided for m in unpack_planes(bits)]
    assert found == codes
    assert any(codes)
    assert not all(codes)


if __name__ == "__main__":
    script(rows, TITLE)
