"""Random fields that drift with the wind and change slowly, made in Fourier space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tenfold.data.arrays import Float32Array

Rng = np.random.Generator
#: Rows and columns, px or px a frame.
Vector = tuple[float, float]

#: px by which a field is wider than a frame, so that its two ends, which join, are
#: never seen side by side.
_BEYOND = 64
#: Radians a frame by which a field turns into another one.
_TURN = 0.035


@dataclass(frozen=True)
class Camera:
    """Which part of a scene a record shows.

    Attributes:
        side: of a frame, px.
        offset: rows and columns by which it looks past the scene's first view, px.
        frames: times of its frames, counted as the first view's are, from 0.
    """

    side: int
    offset: Vector
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Texture:
    """What a field looks like.

    Attributes:
        longest: wavelength up to which all are equally strong, px.
        steepness: how fast shorter waves get weaker; 2 is rugged, 4 smooth.
        stretch: how much longer than wide its features are.
        heading: of their long axis, radians from the columns' axis.
    """

    longest: float
    steepness: float
    stretch: float = 1.0
    heading: float = 0.0


@dataclass(frozen=True)
class Field:
    """A periodic field: mean 0, deviation 1.

    Attributes:
        now: its spectrum at the labelled frame, (P, P // 2 + 1).
        later: of what it turns into.
        wind: px a frame; none for what lies on the ground.
        still: time at which `now` is seen, frames.
    """

    now: NDArray[np.complex64]
    later: NDArray[np.complex64]
    wind: Vector
    still: float

    def seen(self, camera: Camera) -> Float32Array:
        """Return what a camera sees: (frames, side, side)."""
        return np.stack([self._frame(camera, float(time)) for time in camera.frames])

    def once(self, camera: Camera) -> Float32Array:
        """Return what a camera sees of a field that stays: (side, side)."""
        return self._frame(camera, self.still)

    def _frame(self, camera: Camera, time: float) -> Float32Array:
        passed, period = time - self.still, len(self.now)
        rows, cols = (
            wind * passed - offset
            for wind, offset in zip(self.wind, camera.offset, strict=True)
        )
        angle = np.float32(_TURN * passed)
        spectrum = np.cos(angle) * self.now + np.sin(angle) * self.later
        spectrum *= _moved(fft.fftfreq(period), rows)[:, None]
        spectrum *= _moved(fft.rfftfreq(period), cols)[None, :]
        whole = fft.irfft2(spectrum, (period, period), overwrite_x=True)
        return np.asarray(whole[: camera.side, : camera.side], np.float32)


def _moved(frequencies: NDArray[np.float64], distance: float) -> NDArray[np.complex64]:
    """Return the factors that move a signal by a distance, px."""
    return np.asarray(np.exp(-2j * np.pi * frequencies * distance), np.complex64)


def draw_field(
    rng: Rng, side: int, texture: Texture, wind: Vector = (0.0, 0.0), still: float = 0.0
) -> Field:
    """Draw a field for frames of a side, px."""
    period = fft.next_fast_len(side + _BEYOND, real=True)
    shape = (period, period // 2 + 1)
    amplitude = _amplitude(texture, period)
    parts = rng.standard_normal((2, 2, *shape), dtype=np.float32)
    drawn = [amplitude * (real + 1j * imaginary) for real, imaginary in parts]
    return Field(drawn[0], drawn[1], wind, still)


def _amplitude(texture: Texture, period: int) -> Float32Array:
    """Return how strong each wave is; squares of all, both halves, sum up to 1."""
    row, col = fft.fftfreq(period)[:, None], fft.rfftfreq(period)[None, :]
    cosine, sine = np.cos(texture.heading), np.sin(texture.heading)
    along = (cosine * col + sine * row) * np.sqrt(texture.stretch)
    across = (cosine * row - sine * col) / np.sqrt(texture.stretch)
    power = (along**2 + across**2 + texture.longest**-2.0) ** (-texture.steepness / 2)
    power[0, 0] = 0
    # Columns but the first stand for two waves each; real and imaginary part add up.
    total = 2 * (power[:, :1].sum() + 2 * power[:, 1:].sum())
    return np.asarray(np.sqrt(power / total) * period**2, np.float32)


def smoothstep(value: Float32Array, low: float, high: float) -> Float32Array:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
