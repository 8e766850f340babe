"""The cascade: seg1 says where a class is, seg2 its shape, cls takes masks away."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tenfold.challenges.clouds.classes import SUBMITTED
from tenfold.challenges.clouds.outputs import STEPS, decode
from tenfold.challenges.clouds.planes import pack_planes, unpack_planes
from tenfold.challenges.clouds.row_dice import anywhere
from tenfold.challenges.clouds.shrinking import shrink
from tenfold.data.arrays import (
    Arrays,
    BoolArray,
    ByteArray,
    Float32Array,
)
from tenfold.errors import RecipeError
from tenfold.recipe import Json

#: Probabilities (4, H, W), or the steps that they are kept in.
Painting = NDArray[np.uint8] | NDArray[np.float32]

_OF_CLASSES = ("pixel_cuts", "presence_cuts", "least_areas", "classifier_cuts")
_LEVELS = decode(np.arange(STEPS + 1, dtype=np.uint8))


@dataclass(frozen=True)
class Cascade:
    """A decision; tuples have a value a class, in the classes' order.

    Attributes:
        roles: model → role, of all that take part.
        combine: vote or mean, of the seg2 models.
        votes: more models than this paint a pixel.
        agree: mean or all, of the seg1 models.
        presence_from: pixels or head.
        presence_pixels: how many of the highest pixels are averaged.
        core_cut: the least area is that of pixels above it; None: of the mask.
        force_best: nothing removes the mask of an image's likeliest class.
        pixel_cuts: a pixel above it is painted.
        presence_cuts: seg1's presence above it lets a mask stand.
        least_areas: px at the submitted size that a mask needs.
        classifier_cuts: a probability up to it removes a mask; None: no classifier.
    """

    roles: Mapping[str, str]
    combine: str
    votes: float
    agree: str
    presence_from: str
    presence_pixels: int
    core_cut: float | None
    force_best: bool
    pixel_cuts: tuple[float, ...]
    presence_cuts: tuple[float, ...]
    least_areas: tuple[int, ...]
    classifier_cuts: tuple[float, ...] | None

    def to_json(self) -> Json:
        """Return plain data."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, value: Json) -> "Cascade":
        """Read a decision back."""
        found: dict[str, Any] = {field.name: value[field.name] for field in fields(cls)}
        for name in _OF_CLASSES:
            found[name] = None if found[name] is None else tuple(found[name])
        return cls(**found)

    def models(self, role: str) -> tuple[str, ...]:
        """Name the models of a role."""
        return tuple(model for model, own in self.roles.items() if own == role)

    @property
    def by_highest_pixel(self) -> bool:
        """Whether seg1 sees a class where its mask has a pixel at all, as published."""
        return self.presence_from == "pixels" and self.presence_pixels == 1


def above(painting: Painting, cuts: Sequence[float]) -> BoolArray:
    """Return where probabilities exceed a cut a class, (4, H, W).

    Args:
        painting: (4, H, W); steps are cut as the probabilities they stand for.
        cuts: one a class.
    """
    exact = np.asarray(cuts, np.float32)
    if painting.dtype == np.uint8:
        steps = np.searchsorted(_LEVELS, exact, side="right") - 1
        found: BoolArray = painting > steps.astype(np.uint8)[:, None, None]
        return found
    return np.asarray(painting > exact[:, None, None], np.bool_)


def masks_of(painting: Painting, cuts: Sequence[float]) -> BoolArray:
    """Cut first and resize then, as published, to masks at the submitted size."""
    return unpack_planes(shrink(pack_planes(above(painting, cuts)), SUBMITTED))


def probability_of(painting: Painting) -> Float32Array:
    """Return probabilities, whatever they are kept in."""
    if painting.dtype == np.uint8:
        return decode(cast(ByteArray, painting))
    return cast(Float32Array, painting)


def voted(count: NDArray[Any], votes: float) -> BoolArray:
    """Return where more models than `votes` agree.

    Args:
        count: of the models that do.
        votes: that are not enough yet.
    """
    return np.asarray(count > votes, np.bool_)


def shown_up_to(painting: Painting, levels: Float32Array) -> Float32Array:
    """Return the first level of each class above which its mask is empty, (4,).

    Masks shrink as the level rises, so halving the levels finds it.

    Args:
        painting: (4, H, W).
        levels: ascending; infinity where the mask above the last still shows.
    """
    classes = len(painting)
    low, high = np.zeros(classes, np.int64), np.full(classes, len(levels))
    while (low < high).any():
        middle = np.minimum((low + high) // 2, len(levels) - 1)
        shown = anywhere(masks_of(painting, levels[middle].tolist()))
        open_ = low < high
        low = np.where(open_ & shown, middle + 1, low)
        high = np.where(open_ & ~shown, middle, high)
    first: Float32Array = np.append(levels, np.float32(np.inf))[low]
    return first


def highest_mean(painting: Float32Array, pixels: int) -> Float32Array:
    """Return the mean of the highest pixels of each class, (4,).

    Args:
        painting: (4, H, W) probabilities.
        pixels: how many; all of them if there are fewer.
    """
    flat = painting.reshape(len(painting), -1)
    count = min(pixels, flat.shape[1])
    top = np.partition(flat, -count, axis=1)[:, -count:]
    return np.asarray(top.mean(axis=1, dtype=np.float64), np.float32)


def presence_score(
    painting: Painting,
    head: Float32Array | None,
    cascade: Cascade,
    levels: Float32Array | None = None,
) -> Float32Array:
    """Return seg1's presence of each class, (4,): it is there if above the cut.

    Of the highest pixel alone it is the first level above which nothing is painted
    once the mask has the submitted size; the published cascade asks for just that
    at one level.

    Args:
        painting: of seg1.
        head: its presence, where it has one.
        cascade: whose presence is meant.
        levels: for the highest pixel alone, those that a cut may be of; none: the
            steps of probability.
    """
    if cascade.presence_from == "head":
        return np.asarray(head, np.float32)
    if cascade.by_highest_pixel:
        return shown_up_to(painting, _LEVELS if levels is None else levels)
    return highest_mean(probability_of(painting), cascade.presence_pixels)


def present(outputs: Arrays, model: str, cascade: Cascade) -> BoolArray:
    """Return which classes a seg1 model sees, or several on average, (4,).

    Args:
        outputs: `prob` and, if presence is the head's, `presence`.
        model: its name.
        cascade: whose presence and cuts are meant.
    """
    cuts = cascade.presence_cuts
    if cascade.by_highest_pixel:
        return anywhere(masks_of(outputs["prob"], cuts))
    head = head_of(outputs, model) if cascade.presence_from == "head" else None
    score = presence_score(outputs["prob"], head, cascade)
    return np.asarray(score > np.asarray(cuts, np.float32), np.bool_)


def head_of(outputs: Arrays, model: str) -> Float32Array:
    """Return the presence that a model's head says, (4,).

    Raises:
        RecipeError: it has none.
    """
    if "presence" not in outputs:
        raise RecipeError(
            f"tune.presence_from: head, but {model} has none; set net.head of every"
            " seg1 member, or read presence from pixels"
        )
    return np.asarray(outputs["presence"], np.float32)


def forced(probability: Float32Array) -> BoolArray:
    """Mark the likeliest class of each image, the first of equals.

    Args:
        probability: (..., 4) of the classifier.
    """
    best = np.argmax(probability, axis=-1)
    return np.asarray(np.arange(probability.shape[-1]) == best[..., None], np.bool_)
