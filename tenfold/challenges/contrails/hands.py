"""How annotators mark contrails: each misses some, and no two draw the same line."""

import numpy as np

from tenfold.challenges.contrails.fields import Camera, Rng
from tenfold.challenges.contrails.options import LABELLED
from tenfold.challenges.contrails.scenes import Scene
from tenfold.challenges.contrails.trails import Trail, mark
from tenfold.data.arrays import BoolArray

#: Annotators were told that a contrail has at least so many pixels.
LEAST_PIXELS = 10
#: px; masks are made of the corners of pixels, and so are shifted by half a pixel.
_CORNER = 0.5
#: Optical depth at which half of the annotators see a line.
_FAINT = 0.025
_ANNOTATORS = (4, 5, 6)


def annotate(scene: Scene, camera: Camera, rng: Rng) -> BoolArray:
    """Return what four to six annotators marked: (side, side, annotators)."""
    masks = [_one_hand(scene, camera, rng) for _ in range(int(rng.choice(_ANNOTATORS)))]
    return np.stack(masks, axis=-1)


def exact(scene: Scene, camera: Camera) -> BoolArray:
    """Return the contrails of the labelled frame where they are: (side, side)."""
    mask = np.zeros((camera.side, camera.side), np.bool_)
    for trail in scene.contrails:
        mask |= mark(trail, camera, 0.0)
    return mask


def _one_hand(scene: Scene, camera: Camera, rng: Rng) -> BoolArray:
    mask = np.zeros((camera.side, camera.side), np.bool_)
    keen = rng.normal(0, 0.35)
    for trail in scene.contrails:
        drawn = mark(_unsteady(trail, rng), camera, _CORNER)
        if _is_seen(trail, camera, keen, rng) and drawn.sum() >= LEAST_PIXELS:
            mask |= drawn
    for double in scene.doubles:
        # Now and then somebody takes another thin line for one.
        if rng.random() < 0.01 and double.width < 2:
            mask |= mark(_unsteady(double, rng), camera, _CORNER)
    return mask


def _is_seen(trail: Trail, camera: Camera, keen: float, rng: Rng) -> bool:
    strength = max(1e-6, trail.strength(camera.frames[LABELLED]))
    doubt = np.log(strength / _FAINT) / 0.3 + keen
    return bool(rng.random() < 1 / (1 + np.exp(-doubt)))


def _unsteady(trail: Trail, rng: Rng) -> Trail:
    cut = rng.beta(1.0, 9.0, 2) * trail.length
    return trail.moved(
        across=rng.normal(0, 0.3),
        cut=(float(cut[0]), float(cut[1])),
        wider=rng.lognormal(0.05, 0.22),
        bend=rng.normal(0, 0.25),
    )
