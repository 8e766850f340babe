"""Build the lasting part of a synthetic coast: elevation, reefs and shore types."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

MISSING = -32768
"""Value of a pixel without data, in the elevation and in the spectral bands."""

HIGHEST_M = 706
"""The highest point of the Falkland Islands tiles."""


@dataclass(frozen=True)
class Ground:
    """What every date of one stretch of coast has in common; arrays are (H, W).

    Attributes:
        dem_m: whole metres; 0 over sea, ``MISSING`` where no model reaches.
        offshore_px: distance to the nearest land; 0 on land.
        reef: how well the sea bed suits kelp; canopy can grow where it exceeds
            about 0, more of it the higher the value.
        green: share of plants against bare ground, also between the tides.
        sand: smooth field around 0; beaches lie where it is high.
    """

    dem_m: IntArray
    offshore_px: FloatArray
    reef: FloatArray
    green: FloatArray
    sand: FloatArray

    def crop(self, row: int, col: int, size: int) -> "Ground":
        """Cut out the square whose top left corner is (row, col)."""
        window = np.s_[row : row + size, col : col + size]
        return Ground(**{f.name: getattr(self, f.name)[window] for f in fields(self)})


def fractal(
    rng: np.random.Generator, size: int, power: float, longest_px: float | None = None
) -> FloatArray:
    """Draw a random field with mean 0 and deviation 1 by spectral synthesis.

    Args:
        rng: source of the randomness.
        size: side of the square field.
        power: how fast the power spectrum falls; 2 is rugged, 4 is smooth.
        longest_px: wavelength beyond which the field has no structure.
    """
    spectrum = fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    wave = np.hypot(fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None, :])
    wave[0, 0] = np.inf
    slowest_wave = 1 / (longest_px or size)
    gain = np.maximum(wave, slowest_wave) ** (-power / 2)
    field = fft.irfft2(spectrum * gain.astype(np.float32), s=(size, size))
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def smoothstep(value: FloatArray, low: float, high: float) -> FloatArray:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def build_coast(rng: np.random.Generator, size: int) -> Ground:
    """Raise a rugged coast across the middle of a square of ``size`` pixels."""
    dem_m = _elevation(rng, size)
    offshore_px = ndimage.distance_transform_edt(dem_m == 0).astype(np.float32)
    reef = _reef(rng, offshore_px)
    green = smoothstep(fractal(rng, size, 2.6, longest_px=120), -1.6, 1.2)
    sand = fractal(rng, size, 3.0, longest_px=90)
    if rng.random() < 0.08:
        # The elevation model ends a few hundred metres off some coasts.
        dem_m[offshore_px > rng.uniform(15, 20)] = MISSING
    return Ground(dem_m, offshore_px, reef, green, sand)


def build_open_sea(size: int) -> Ground:
    """Return water far from any coast: no elevation model, no reefs, no shore."""
    nothing = np.zeros((size, size), np.float32)
    far_px = np.full((size, size), float(size), np.float32)
    dem_m = np.full((size, size), MISSING, np.int32)
    return Ground(dem_m, far_px, nothing - 9, nothing, nothing - 9)


def _elevation(rng: np.random.Generator, size: int) -> IntArray:
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    slope = np.cos(angle) * ramp[:, None] + np.sin(angle) * ramp[None, :]
    height = fractal(rng, size, 3.3) + rng.uniform(0.6, 2.2) * slope
    sea_level = np.quantile(height, 1 - rng.uniform(0.12, 0.5))
    rise = np.clip(height - sea_level, 0, None)
    peak_m = min(HIGHEST_M, 60 + rng.lognormal(np.log(80), 0.8))
    metres = np.ceil(peak_m * (rise / rise.max()) ** 1.25)
    return np.asarray(metres, dtype=np.int32)


def _reef(rng: np.random.Generator, offshore_px: FloatArray) -> FloatArray:
    """Let kelp grow where rock lies at the right depth: 3 to 20 pixels offshore."""
    near, far = rng.uniform(2, 4), rng.uniform(13, 22)
    depth = smoothstep(offshore_px, near - 1, near + 2)
    depth = depth * (1 - smoothstep(offshore_px, far - 6, far + 2))
    rock = fractal(rng, offshore_px.shape[0], 3.4, longest_px=80)
    # How much of this coast is rock: from none at all to most of it.
    return np.asarray(rock - rng.normal(0.8, 0.8) - 4 * (1 - depth), dtype=np.float32)
