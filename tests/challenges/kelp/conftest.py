"""What the kelp tests share: data, tiles made by hand, and the published formulas.

The formulas are written from the facts about the published system, one pixel at a
time in double precision, and know nothing of the code under test.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from tenfold.challenges.kelp.options import SynthOptions
from tenfold.challenges.kelp.synth import synthesise

E = 1e-10
GAP = -32768


def _inverse(x):
    return 1 / x if x else math.inf


def _root(x):
    return math.sqrt(x) if x >= 0 else math.nan


def published_indices(S, N, R, G, B, D):
    """The 17 of the best model in channel order, then the other 42, of one pixel."""
    return {
        "DEMWM": max(D, 0.0),
        "NDVI": (N - R) / (N + R + E),
        "ATSAVI": 1.22
        * (N - 1.22 * R - 0.03)
        / (1.22 * N + R - 1.22 * 0.03 + 0.08 * (1 + 1.22 * 1.22) + E),
        "AVI": N + N - R,
        "CI": (R - B) / (R + E),
        "ClGreen": N / (G + E) - 1,
        "GBNDVI": (N - (G + B)) / (N + G + B + E),
        "GVMI": (((N + 0.1) - (S + 0.02)) / ((N + 0.1) + (S + 0.02) + E)),
        # The published slip: only the first term of the bracket is divided.
        "IPVI": (N / (N + R + E) / 2) * ((R - G) / (R + E) + G + 1 + E),
        "KIVU": (B - R) / (G + E),
        "MCARI": ((N - R) - 0.2 * (N - G)) * N / (R + E),
        "MVI": N / (S + E),
        "NormNIR": N / (N + R + G + E),
        "PNDVI": (N - (R + G + B)) / (N + R + G + B + E),
        "SABI": (N - R) / (G + B + E),
        "WDRVI": (0.1 * N - R) / (0.1 * N + R + E),
        "mCRIG": (_inverse(B) - _inverse(G)) * N,
        "AFRI1600": N - 0.66 * S / (N + 0.66 * S + E),
        "ARVI": -0.18 + 1.17 * (N - R) / (N + R + E),
        "BWDRVI": (0.1 * N - B) / (0.1 * N + B + E),
        "CVI": N * R / (G * G + E),
        "GDVI": N - G,
        "DVIMSS": 2.4 * N - R,
        "EVI": min(
            max(2.5 * (N - R) / (N + 6 * R - 7.5 * B + 1 + E), -20000.0), 20000.0
        ),
        "EVI2": 2.4 * (N - R) / (N + R + 1 + E),
        "EVI22": 2.5 * (N - R) / (N + 2.4 * R + 1 + E),
        "GARI": (N - (G - (B - R))) / (N - (G + (B - R)) + E),
        "GNDVI": (N - G) / (N + G + E),
        "NDWI": (N - G) / (N + G + E),
        "GRNDVI": (N - (R + G)) / (N + R + G + E),
        "RBNDVI": (N - (R + B)) / (N + R + B + E),
        "I": (R + G + B + E) / 30.5,
        "H": math.atan(((2 * R - G - B) / 30.5) * (G - B)),
        "LogR": math.log(N / (R + E) + E),
        "MSRNirRed": (((N * _inverse(R) + E) - 1) / _root(N / (R + E) + 1)),
        "MSAVI": (((2 * N + 1) - _root((2 * N + 1) ** 2 - 8 * (N - R))) / 2),
        "NLI": (N**2 - R) / (N**2 + R + E),
        "NDVIWM": max((N - R) / (N + R + E), 0.0),
        "NDWIWM": max((N - G) / (N + G + E), 0.0),
        "NormG": G / (N + R + G + E),
        "NormR": R / (N + R + G + E),
        "SRGR": G / (R + E),
        "SRNIRG": N / (G + E),
        "SRNIRR": N / (R + E),
        "SRNIRSWIR": N / (S + E),
        "SRSWIRNIR": S / (N + E),
        "SQRTNIRR": _root(N / (R + E)),
        "TNDVI": _root((N - R) / (N + R + E) + 0.5),
        "TVI": _root((R - G) / (R + G + E) + 0.5),
        "VARIGreen": (G - R) / (G + R - B + E),
        "CHLA": 4.23 * ((G / 65535) / (B / 65535 + E)) ** 3.94,
        "CYA": ((((G / 65535) * (R / 65535) + E) / (B / 65535 + E)) ** 2.38),
        "TURB": 8.93 * G / (B + E) - 6.39,
        "CDOM": 537 * math.exp(-2.93 * G / (R + E)),
        "DOC": 432 * math.exp(-2.24 * G / (R + E)),
        "WATERCOLOR": 25366 * math.exp(-4.53 * G / (R + E)),
        "Kab1": (1.67 - 3.94 * math.log(B + E) + 3.78 * math.log(G + E)),
        "NDAVI": (N - B) / (N + B + E),
        "WAVI": 1.5 * (N - B) / (N + B + 0.5 + E),
    }


@pytest.fixture(scope="session")
def published():
    """The 59 published formulas: scalars S, N, R, G, B, DEM in, floats by name out."""
    return published_indices


@pytest.fixture
def one_thread():
    """One CPU thread for torch: two that share a busy core wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """A small synthetic download; its bad files included."""
    directory = tmp_path_factory.mktemp("kelp")
    synthesise(directory, SynthOptions(train=10, test=3, coasts=3))
    return directory


def make_tile(size=350, dem=0, seed=0):
    """A clean, cloudless tile (7, size, size) over water or one height."""
    rng = np.random.default_rng(seed)
    raw = np.zeros((7, size, size), np.int32)
    raw[:5] = rng.integers(6500, 14000, (5, size, size))
    raw[6] = dem
    return raw


def write_tif(path, array):
    """Write (bands, H, W) as the competition does, dtype as given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = array.shape
    profile = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": array.dtype.name,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(array)
    return path


@pytest.fixture(scope="session")
def kelp():
    """Helpers that need no state: make_tile, write_tif and the missing value."""
    return SimpleNamespace(make_tile=make_tile, write_tif=write_tif, GAP=GAP)
