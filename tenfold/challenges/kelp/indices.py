"""The 59 spectral indices of the published registry, as one table.

A formula is written once, over anything with array arithmetic, and serves
NumPy (statistics at ingest) and torch (the model's preprocessing) alike.
S, N, R, G, B are SWIR, NIR, red, green and blue in Landsat numbers as float32.

Source: the index module of the second-place system of "Kelp Wanted". Two of
its formulas carry a slipped bracket, IPVI and AFRI1600; the published results
rest on them, so they are kept and named in `PUBLISHED_SLIPS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

EPS = 1e-10

#: name → what the published formula gets wrong.
PUBLISHED_SLIPS: Mapping[str, str] = {
    "IPVI": "green is added unscaled, so the index is about N·G/(2(N+R))",
    "AFRI1600": "only the second term is divided, so the index is about N",
    "NDWI": "the sign is opposite to McFeeters', which makes it GNDVI",
    "DEMWM": "metres clipped at 0, though it is called a water mask",
}


@dataclass(frozen=True)
class Planes:
    """The planes an index is made of; all (..., H, W), the maths module beside."""

    S: Any
    N: Any
    R: Any
    G: Any
    B: Any
    DEM: Any
    xp: Any


Formula = Callable[[Planes], Any]


def _difference(a: Any, b: Any) -> Any:
    return (a - b) / (a + b + EPS)


def _atsavi(p: Planes) -> Any:
    top = 1.22 * (p.N - 1.22 * p.R - 0.03)
    return top / (1.22 * p.N + p.R - 0.0366 + 0.08 * (1 + 1.22**2) + EPS)


def _gvmi(p: Planes) -> Any:
    a, b = p.N + 0.1, p.S + 0.02
    return (a - b) / (a + b + EPS)


def _ipvi(p: Planes) -> Any:
    bracket = (p.R - p.G) / (p.R + EPS) + p.G + 1 + EPS
    return p.N / (p.N + p.R + EPS) / 2 * bracket


def _gari(p: Planes) -> Any:
    return (p.N - (p.G - (p.B - p.R))) / (p.N - (p.G + (p.B - p.R)) + EPS)


def _evi(p: Planes) -> Any:
    value = 2.5 * (p.N - p.R) / (p.N + 6 * p.R - 7.5 * p.B + 1 + EPS)
    return p.xp.clip(value, -20000.0, 20000.0)


def _msavi(p: Planes) -> Any:
    a = 2 * p.N + 1
    return (a - p.xp.sqrt(a**2 - 8 * (p.N - p.R))) / 2


def _msr_nir_red(p: Planes) -> Any:
    return ((p.N / p.R + EPS) - 1) / p.xp.sqrt(p.N / (p.R + EPS) + 1)


def _hue(p: Planes) -> Any:
    value = (2 * p.R - p.G - p.B) / 30.5 * (p.G - p.B)
    return p.xp.arctan(value)


def _cya(p: Planes) -> Any:
    g, r, b = p.G / 65535, p.R / 65535, p.B / 65535
    return ((g * r + EPS) / (b + EPS)) ** 2.38


#: The 17 of the published best model come first, in its channel order.
FORMULAS: Mapping[str, Formula] = {
    "DEMWM": lambda p: p.xp.clip(p.DEM, 0, None),
    "NDVI": lambda p: _difference(p.N, p.R),
    "ATSAVI": _atsavi,
    "AVI": lambda p: 2 * p.N - p.R,
    "CI": lambda p: (p.R - p.B) / (p.R + EPS),
    "ClGreen": lambda p: p.N / (p.G + EPS) - 1,
    "GBNDVI": lambda p: (p.N - (p.G + p.B)) / (p.N + p.G + p.B + EPS),
    "GVMI": _gvmi,
    "IPVI": _ipvi,
    "KIVU": lambda p: (p.B - p.R) / (p.G + EPS),
    "MCARI": lambda p: ((p.N - p.R) - 0.2 * (p.N - p.G)) * p.N / (p.R + EPS),
    "MVI": lambda p: p.N / (p.S + EPS),
    "NormNIR": lambda p: p.N / (p.N + p.R + p.G + EPS),
    "PNDVI": lambda p: (p.N - (p.R + p.G + p.B)) / (p.N + p.R + p.G + p.B + EPS),
    "SABI": lambda p: (p.N - p.R) / (p.G + p.B + EPS),
    "WDRVI": lambda p: _difference(0.1 * p.N, p.R),
    "mCRIG": lambda p: (1 / p.B - 1 / p.G) * p.N,
    "AFRI1600": lambda p: p.N - 0.66 * p.S / (p.N + 0.66 * p.S + EPS),
    "ARVI": lambda p: -0.18 + 1.17 * _difference(p.N, p.R),
    "BWDRVI": lambda p: _difference(0.1 * p.N, p.B),
    "CVI": lambda p: p.N * p.R / (p.G**2 + EPS),
    "GDVI": lambda p: p.N - p.G,
    "DVIMSS": lambda p: 2.4 * p.N - p.R,
    "EVI": _evi,
    "EVI2": lambda p: 2.4 * (p.N - p.R) / (p.N + p.R + 1 + EPS),
    "EVI22": lambda p: 2.5 * (p.N - p.R) / (p.N + 2.4 * p.R + 1 + EPS),
    "GARI": _gari,
    "GNDVI": lambda p: _difference(p.N, p.G),
    "NDWI": lambda p: _difference(p.N, p.G),
    "GRNDVI": lambda p: (p.N - (p.R + p.G)) / (p.N + p.R + p.G + EPS),
    "RBNDVI": lambda p: (p.N - (p.R + p.B)) / (p.N + p.R + p.B + EPS),
    "I": lambda p: (p.R + p.G + p.B + EPS) / 30.5,
    "H": _hue,
    "LogR": lambda p: p.xp.log(p.N / (p.R + EPS) + EPS),
    "MSRNirRed": _msr_nir_red,
    "MSAVI": _msavi,
    "NLI": lambda p: (p.N**2 - p.R) / (p.N**2 + p.R + EPS),
    "NDVIWM": lambda p: p.xp.clip(_difference(p.N, p.R), 0, None),
    "NDWIWM": lambda p: p.xp.clip(_difference(p.N, p.G), 0, None),
    "NormG": lambda p: p.G / (p.N + p.R + p.G + EPS),
    "NormR": lambda p: p.R / (p.N + p.R + p.G + EPS),
    "SRGR": lambda p: p.G / (p.R + EPS),
    "SRNIRG": lambda p: p.N / (p.G + EPS),
    "SRNIRR": lambda p: p.N / (p.R + EPS),
    "SRNIRSWIR": lambda p: p.N / (p.S + EPS),
    "SRSWIRNIR": lambda p: p.S / (p.N + EPS),
    "SQRTNIRR": lambda p: p.xp.sqrt(p.N / (p.R + EPS)),
    "TNDVI": lambda p: p.xp.sqrt(_difference(p.N, p.R) + 0.5),
    "TVI": lambda p: p.xp.sqrt((p.R - p.G) / (p.R + p.G + EPS) + 0.5),
    "VARIGreen": lambda p: (p.G - p.R) / (p.G + p.R - p.B + EPS),
    "CHLA": lambda p: 4.23 * (p.G / 65535 / (p.B / 65535 + EPS)) ** 3.94,
    "CYA": _cya,
    "TURB": lambda p: 8.93 * p.G / (p.B + EPS) - 6.39,
    "CDOM": lambda p: 537 * p.xp.exp(-2.93 * p.G / (p.R + EPS)),
    "DOC": lambda p: 432 * p.xp.exp(-2.24 * p.G / (p.R + EPS)),
    "WATERCOLOR": lambda p: 25366 * p.xp.exp(-4.53 * p.G / (p.R + EPS)),
    "Kab1": lambda p: 1.67 - 3.94 * p.xp.log(p.B + EPS) + 3.78 * p.xp.log(p.G + EPS),
    "NDAVI": lambda p: _difference(p.N, p.B),
    "WAVI": lambda p: 1.5 * (p.N - p.B) / (p.N + p.B + 0.5 + EPS),
}

#: The indices of the published best model, in channel order.
WINNING = tuple(FORMULAS)[:17]
