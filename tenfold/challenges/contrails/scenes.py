"""Lay out synthetic scenes: ground, clouds on the wind, contrails and their doubles.

Nothing here is fitted to real scenes: temperatures and winds are of a plausible size,
and lines are as thin and faint as the competition's page and participants describe.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tenfold.challenges.contrails.fields import (
    Camera,
    Field,
    Rng,
    Texture,
    Vector,
    draw_field,
    smoothstep,
)
from tenfold.challenges.contrails.options import LABELLED
from tenfold.challenges.contrails.trails import Trail, add_depth
from tenfold.data.arrays import Float32Array

#: Optical depth of ice in each band as a share of that in band 14. Fine ice, as of
#: young contrails, is the clearer at 8.4 µm (band 11) and the darker at 12.3 µm (15).
_COARSE_ICE = {8: 1, 9: 1, 10: 1, 11: 0.84, 12: 0.9, 13: 0.94, 14: 1, 15: 1.12, 16: 1.1}
_FINE_ICE = {8: 1, 9: 1, 10: 1, 11: 0.66, 12: 0.8, 13: 0.88, 14: 1, 15: 1.3, 16: 1.2}
#: K by which dry air, and moist air on top of it, darken each band without clouds.
_DRY = {8: 44, 9: 35, 10: 27, 11: 1.2, 12: 22, 13: 0.4, 14: 0.8, 15: 1.2, 16: 19}
_MOIST = {8: 5, 9: 5.5, 10: 5, 11: 2.6, 12: 2, 13: 0.9, 14: 1.3, 15: 2.5, 16: 2.2}
#: Share of a low cloud that shows through the vapour above it.
_LOW_SEEN = {8: 0, 9: 0.05, 10: 0.2, 11: 1, 12: 0.7, 13: 1, 14: 1, 15: 1, 16: 0.75}
#: K by which a low cloud of drops is colder in a band than in band 14.
_DROPS = {11: 1.1, 13: 0.1, 15: 0.5}
#: K, deviation of a band's noise.
_NOISE = 0.07
#: px; lengths of contrails, and the side of the frames that they are meant for.
_LENGTHS, _REAL_SIDE = (20.0, 120.0), 256


@dataclass(frozen=True)
class Scene:
    """What there is to be seen at one place for an hour or two.

    Attributes:
        ground: how warm the ground is.
        shore: where land begins.
        vapour: how moist the air is.
        low: clouds of drops.
        high: clouds of ice.
        fibres: thin lines of ice lie where it is 0.
        patches: where there is ice at all.
        contrails: what annotators look for.
        doubles: short hooks and wide bands, which they leave out.
        level: ground, land against sea, low cloud's top, ice: K.
        amounts: low cloud, high cloud, fibres: more is more.
    """

    ground: Field
    shore: Field
    vapour: Field
    low: Field
    high: Field
    fibres: Field
    patches: Field
    contrails: tuple[Trail, ...]
    doubles: tuple[Trail, ...]
    level: tuple[float, float, float, float]
    amounts: tuple[float, float, float]


def lay_out(rng: Rng, side: int, with_contrails: bool) -> Scene:
    """Draw a scene for frames of a side, px."""
    wind, low_wind = _wind(rng, 2.0, 6.0), _wind(rng, 0.5, 2.5)
    # Ice is drawn out by the wind's shear, which often is along the wind.
    shear = np.arctan2(wind[0], wind[1]) + rng.normal(0, 0.4)
    ice = Texture(90.0, 3.6, rng.uniform(2.0, 5.0), shear)
    lines = Texture(50.0, 4.4, rng.uniform(3.0, 7.0), shear)

    def field(texture: Texture, moves: Vector = (0.0, 0.0)) -> Field:
        return draw_field(rng, side, texture, moves, LABELLED)

    return Scene(
        ground=field(Texture(200.0, 3.2)),
        shore=field(Texture(250.0, 3.0)),
        vapour=field(Texture(250.0, 4.0)),
        low=field(Texture(70.0, 3.1), low_wind),
        high=field(ice, wind),
        fibres=field(lines, wind),
        patches=field(Texture(150.0, 3.5), wind),
        contrails=_draw_contrails(rng, side, wind, with_contrails),
        doubles=_draw_doubles(rng, side, wind, shear),
        level=(
            rng.uniform(276, 296),
            rng.choice([0.0, 0.0, 4.0, 9.0]),
            rng.uniform(256, 276),
            rng.uniform(214, 230),
        ),
        amounts=(
            rng.uniform(-2.0, 0.6),
            rng.uniform(-2.2, 0.3),
            max(0.0, rng.uniform(-0.08, 0.08)),
        ),
    )


def _wind(rng: Rng, least: float, most: float) -> Vector:
    speed, angle = rng.uniform(least, most), rng.uniform(0, 2 * np.pi)
    return float(speed * np.sin(angle)), float(speed * np.cos(angle))


def _scaled(side: int) -> float:
    """Return by how much lines are shorter in a smaller frame."""
    return min(1.0, side / _REAL_SIDE)


def _draw_contrails(
    rng: Rng, side: int, wind: Vector, with_contrails: bool
) -> tuple[Trail, ...]:
    """Draw contrails along one or two airways: of now, and of the next hour.

    Those of the next hour are not there yet in the labelled frame of the first view.
    """
    airways = rng.uniform(0, np.pi, rng.integers(1, 3))
    shortest, longest = (length * _scaled(side) for length in _LENGTHS)
    now = rng.choice(6, p=[0.24, 0.26, 0.2, 0.14, 0.1, 0.06]) + 1
    next_hour = rng.poisson(0.7)
    trails = []
    for later in [False] * (now * with_contrails) + [True] * next_hour:
        length = max(12.0, longest * rng.beta(1.6, 2.0), shortest)
        heading = rng.choice(airways) + rng.normal(0, 0.06)
        age = -rng.uniform(0.5, 3.0) if later else rng.uniform(0.6, 9.0)
        trails.append(
            Trail(
                row=rng.uniform(0.08, 0.92) * side,
                col=rng.uniform(0.08, 0.92) * side,
                heading=float(heading + np.pi * rng.integers(2)),
                length=length,
                bend=length * rng.normal(0, 0.02),
                width=rng.uniform(0.45, 1.0),
                depth=float(np.clip(rng.lognormal(np.log(0.13), 0.4), 0.06, 0.3)),
                born=LABELLED - age,
                wind=_near(rng, wind),
            )
        )
    return tuple(trails)


def _draw_doubles(rng: Rng, side: int, wind: Vector, shear: float) -> tuple[Trail, ...]:
    """Draw hooks of cirrus, and wide bands of old ice."""
    doubles = []
    for is_wide in rng.random(rng.poisson(3.0)) < 0.3:
        length, bend, width, deepest = (
            (rng.uniform(60, 160), 0.05, rng.uniform(4.0, 7.0), 0.12)
            if is_wide
            else (
                rng.uniform(14, 40),
                rng.uniform(0.1, 0.3),
                rng.uniform(0.6, 1.3),
                0.3,
            )
        )
        length = max(10.0, length * _scaled(side))
        doubles.append(
            Trail(
                row=rng.uniform(0, side),
                col=rng.uniform(0, side),
                heading=float(shear + rng.normal(0, 0.3)),
                length=length,
                bend=length * bend * float(rng.choice([-1, 1])),
                width=width,
                depth=rng.uniform(0.05, deepest),
                born=LABELLED - 7.0,
                wind=_near(rng, wind),
            )
        )
    return tuple(doubles)


def _near(rng: Rng, wind: Vector) -> Vector:
    """Return the wind of another height nearby."""
    return wind[0] + float(rng.normal(0, 0.3)), wind[1] + float(rng.normal(0, 0.3))


def photograph(scene: Scene, camera: Camera, rng: Rng) -> Mapping[int, Float32Array]:
    """Return what a camera sees in each band: (side, side, frames), kelvin.

    Args:
        scene: what there is.
        camera: who looks where and when.
        rng: of the imager's noise.
    """
    ground, vapour = _clear_sky(scene, camera)
    cover, top = _low_clouds(scene, camera)
    cirrus, fine = _ice(scene, camera)
    cold = np.float32(scene.level[3])
    bands = {}
    for band, dry in _DRY.items():
        seen = cover * np.float32(_LOW_SEEN[band])
        clear = ground - np.float32(dry) - np.float32(_MOIST[band]) * vapour
        below = clear + seen * (top - np.float32(_DROPS.get(band, 0)) - clear)
        depth = np.float32(_COARSE_ICE[band]) * cirrus
        depth += np.float32(_FINE_ICE[band]) * fine
        below += (cold - below) * -np.expm1(-depth)
        below += rng.standard_normal(below.shape, dtype=np.float32) * _NOISE
        bands[band] = np.ascontiguousarray(below.transpose(1, 2, 0), np.float32)
    return bands


def _clear_sky(scene: Scene, camera: Camera) -> tuple[Float32Array, Float32Array]:
    """Return the ground's temperature, K, and how moist the air is, 0.2 to 1.8."""
    warm, contrast, _, _ = scene.level
    land = smoothstep(scene.shore.once(camera), -0.06, 0.06)
    ground = warm + 1.8 * scene.ground.once(camera) + contrast * land
    vapour = np.clip(1 + 0.3 * scene.vapour.once(camera), 0.2, 1.8)
    return ground.astype(np.float32), vapour.astype(np.float32)


def _low_clouds(scene: Scene, camera: Camera) -> tuple[Float32Array, Float32Array]:
    """Return cover, 0 to 1, and the tops' temperature, K: (frames, side, side)."""
    field = scene.low.seen(camera)
    level = -scene.amounts[0]
    cover = smoothstep(field, level, level + 1.1) * np.float32(0.95)
    return cover, np.float32(scene.level[2]) - 3 * field


def _ice(scene: Scene, camera: Camera) -> tuple[Float32Array, Float32Array]:
    """Return the depths of cirrus and of fine ice: (frames, side, side)."""
    patches = scene.patches.seen(camera)
    veil = np.maximum(scene.high.seen(camera) + np.float32(scene.amounts[1]), 0)
    cirrus = 0.5 * veil**1.5 * smoothstep(patches, -0.8, 0.8)
    lines = np.exp(-((scene.fibres.seen(camera) / np.float32(0.12)) ** 2))
    fine = np.float32(scene.amounts[2] * 2) * lines * smoothstep(patches, 0.0, 1.2)
    for trail in (*scene.contrails, *scene.doubles):
        add_depth(fine, trail, camera)
    return np.asarray(cirrus, np.float32), np.asarray(fine, np.float32)
