"""Lines in the sky: contrails, and cloud lines that only look like some."""

from dataclasses import dataclass, replace

import numpy as np

from tenfold.challenges.contrails.fields import Camera, Vector, smoothstep
from tenfold.challenges.contrails.options import LABELLED
from tenfold.data.arrays import BoolArray, Float32Array

#: px of 2 km that an airliner flies in the 10 minutes between frames.
_FLIGHT = 70.0
#: px by which the imager blurs a line.
_BLUR = 0.55
#: px, at least, on either side of a line that annotators mark.
_MARKED = 1.15
#: Frames in which a line gets fainter by a factor of e.
_FADED = 14.0


@dataclass(frozen=True)
class Trail:
    """A thin line that drifts, widens and fades.

    Attributes:
        row: of its middle at the labelled frame of the scene's first view, px.
        col: likewise.
        heading: in which the aircraft flew, radians from the columns' axis.
        length: px.
        bend: how far its middle is from its chord, px.
        width: deviation of its cross-section when it is young, px.
        depth: optical depth along its middle at 11 µm when it is young.
        born: time at which the aircraft was at its begin, frames.
        wind: rows and columns, px a frame.
    """

    row: float
    col: float
    heading: float
    length: float
    bend: float
    width: float
    depth: float
    born: float
    wind: Vector

    def spread(self, time: float) -> float:
        """Return the deviation of its cross-section in a frame, px."""
        age = max(0.0, time - self.born)
        return float(np.hypot(self.width * (1 + 0.06 * age), _BLUR))

    def strength(self, time: float) -> float:
        """Return the optical depth along its middle in a frame."""
        age = time - self.born
        if age < 0:
            return 0.0
        return self.depth * float(np.exp(-((age / _FADED) ** 2)))

    def flown(self, time: float) -> float:
        """Return how much of it is there in a frame, px."""
        return float(np.clip((time - self.born) * _FLIGHT, 0, self.length))

    def moved(self, across: float, cut: Vector, wider: float, bend: float) -> "Trail":
        """Return it as an unsteady hand draws it.

        Args:
            across: px to the side.
            cut: px that are left out at its begin and its end.
            wider: factor of its width.
            bend: px added to its bend.
        """
        middle = (cut[0] - cut[1]) / 2
        sine, cosine = np.sin(self.heading), np.cos(self.heading)
        return replace(
            self,
            row=self.row + across * cosine + middle * sine,
            col=self.col - across * sine + middle * cosine,
            length=max(1.0, self.length - sum(cut)),
            width=self.width * wider,
            bend=self.bend + bend,
        )


def add_depth(depth: Float32Array, trail: Trail, camera: Camera) -> None:
    """Add a trail's optical depth to what a camera sees: (frames, side, side)."""
    for frame, time in zip(depth, camera.frames, strict=True):
        strength = trail.strength(time)
        window = _window(trail, camera, time) if strength else None
        if window is None:
            continue
        along, across = _place(trail, camera, time, window, corner=0.0)
        line = np.exp(-0.5 * (across / trail.spread(time)) ** 2) * strength
        # Uneven along the line, and the softer at both ends the wider it is.
        line *= 1 + 0.25 * np.sin(along / 5 + trail.col) * np.sin(along / 13)
        soft = 1.5 * trail.spread(time)
        frame[window] += line * smoothstep(_inside(trail, along, time), -soft, soft)


def mark(trail: Trail, camera: Camera, corner: float) -> BoolArray:
    """Return the pixels of the labelled frame that show a trail: (side, side).

    Args:
        trail: the line.
        camera: who looks.
        corner: px between a pixel's centre and the point that decides about it, up
            and to the left; 0.5 for the corner, as the competition's masks have it.
    """
    mask = np.zeros((camera.side, camera.side), np.bool_)
    time = camera.frames[LABELLED]
    window = _window(trail, camera, time)
    if window is None or not trail.strength(time):
        return mask
    along, across = _place(trail, camera, time, window, corner)
    half = max(_MARKED, 1.5 * trail.spread(time))
    mask[window] = (np.abs(across) <= half) & (_inside(trail, along, time) >= 0)
    return mask


def _inside(trail: Trail, along: Float32Array, time: float) -> Float32Array:
    """Return px from the nearer end of what is there, negative beyond it."""
    begin = -trail.length / 2
    end = begin + trail.flown(time)
    nearer = np.minimum(along - np.float32(begin), np.float32(end) - along)
    return np.asarray(nearer, np.float32)


def _middle(trail: Trail, camera: Camera, time: float) -> Vector:
    """Return row and column of its middle in a camera's frame."""
    passed = time - LABELLED
    return (
        trail.row + trail.wind[0] * passed - camera.offset[0],
        trail.col + trail.wind[1] * passed - camera.offset[1],
    )


def _window(trail: Trail, camera: Camera, time: float) -> tuple[slice, slice] | None:
    """Return the part of a frame that a trail may be in; None if it is outside."""
    beyond = abs(trail.bend) + 4 * trail.spread(time) + 2
    reach = (
        abs(np.sin(trail.heading)) * trail.length / 2 + beyond,
        abs(np.cos(trail.heading)) * trail.length / 2 + beyond,
    )
    window = []
    for middle, far in zip(_middle(trail, camera, time), reach, strict=True):
        first = max(0, int(np.floor(middle - far)))
        last = min(camera.side, int(np.ceil(middle + far)) + 1)
        if first >= last:
            return None
        window.append(slice(first, last))
    return window[0], window[1]


def _place(
    trail: Trail,
    camera: Camera,
    time: float,
    window: tuple[slice, slice],
    corner: float,
) -> tuple[Float32Array, Float32Array]:
    """Return how far pixels are along a trail and from it, px."""
    middle = _middle(trail, camera, time)
    row, col = (
        np.arange(part.start, part.stop, dtype=np.float32) - np.float32(corner + centre)
        for part, centre in zip(window, middle, strict=True)
    )
    cosine, sine = np.float32(np.cos(trail.heading)), np.float32(np.sin(trail.heading))
    along = cosine * col[None, :] + sine * row[:, None]
    across = cosine * row[:, None] - sine * col[None, :]
    half = np.float32(trail.length / 2)
    bend = np.float32(trail.bend)
    curve = bend * (1 - (along / half) ** 2)
    slope = -2 * bend * along / half**2
    return along, (across - curve) / np.sqrt(1 + slope**2)
