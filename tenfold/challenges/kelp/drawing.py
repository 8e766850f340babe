"""A kelp tile as a person wants to see it, and what to look at first."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from tenfold.challenges.kelp.bands import BAND_INDEX, MISSING
from tenfold.challenges.kelp.channels import planes, spectral_valid
from tenfold.challenges.kelp.masking import Masking
from tenfold.challenges.kelp.outputs import decode
from tenfold.challenges.kelp.tiles import TileArray, unpack_mask, unpack_tile
from tenfold.data.arrays import Arrays, BoolArray, ByteArray, Float32Array
from tenfold.reports.panels import Scale
from tenfold.reports.pixels import colourise, outline, stretch

_TRUTH, _GUESS = (64, 224, 208), (255, 221, 0)
# Not black, which would vanish on a dark page.
_EMPTY = 48
_FALSE_COLOUR = ("NIR", "R", "G")
#: The published system's three composites.
_COMPOSITES = {
    "true colour": ("R", "G", "B"),
    "false colour": _FALSE_COLOUR,
    "agriculture": ("SWIR", "NIR", "R"),
}
#: On both sides of 0, so that the hue says the sign. The published statistics give
#: NDVI's q01 and q99 as -0.03 and 0.29, so -1 to 1 would show but one hue.
_NDVI = Scale("BrBG", -0.4, 0.4)


LEGEND = "Yellow outlines the prediction, teal the label."


def views(arrays: Arrays) -> Mapping[str, ByteArray]:
    """Return three composites, NDVI, the DEM, QA and (train) the mask."""
    raw = unpack_tile(arrays)
    pictures = {name: _composite(raw, bands) for name, bands in _COMPOSITES.items()}
    pictures["NDVI"] = _coloured(_ndvi(raw), _NDVI)
    pictures["DEM"] = _coloured(_height(raw), _dem_scale(_height(raw)))
    pictures["QA"] = _plane(raw[BAND_INDEX["QA"]] == 1, (200, 60, 60))
    if "kelp" in arrays:
        pictures["kelp label"] = _plane(unpack_mask(arrays) == 1, _TRUTH)
    return pictures


def scales(arrays: Arrays) -> Mapping[str, Scale]:
    """Return what the colours of NDVI and of the DEM mean; the DEM's from 0 up."""
    return {"NDVI": _NDVI, "DEM": _dem_scale(_height(unpack_tile(arrays)))}


def overlay(
    arrays: Arrays, outputs: Arrays, truth: bool = True
) -> Mapping[str, ByteArray]:
    """Return the probability, and outlines of prediction and truth over the tile.

    Args:
        arrays: the tile.
        outputs: `prob` in steps of 1/255, and `kelp` if it is decided.
        truth: outline the label too, where there is one.
    """
    raw = unpack_tile(arrays)
    prob = decode(np.asarray(outputs["prob"]))
    kelp = np.asarray(outputs["kelp"]) == 1 if "kelp" in outputs else prob >= 0.5
    drawn = outline(kelp, _composite(raw, _FALSE_COLOUR), _GUESS)
    if truth and "kelp" in arrays:
        drawn = outline(unpack_mask(arrays) == 1, drawn, _TRUTH)
    return {
        "prediction": drawn,
        "probability": colourise(prob, "magma", 0.0, 1.0),
    }


def _composite(raw: TileArray, names: tuple[str, str, str]) -> ByteArray:
    bands = np.stack([raw[BAND_INDEX[name]] for name in names]).astype(np.float32)
    return stretch(bands, valid=spectral_valid(raw))


def _ndvi(raw: TileArray) -> Float32Array:
    """Return NDVI, (350, 350); NaN where a band is missing."""
    with np.errstate(all="ignore"):
        made = planes(
            raw, ("NDVI",), Masking(False, False), np, lambda p: p.astype(np.float32)
        )
        ((values, counts),) = made
    return np.where(counts, values, np.float32(np.nan))


def _height(raw: TileArray) -> Float32Array:
    """Return metres above the sea, (350, 350); NaN where there is no DEM."""
    dem = raw[BAND_INDEX["DEM"]]
    return np.where(dem == MISSING, np.nan, dem).astype(np.float32)


def _dem_scale(height: Float32Array) -> Scale:
    known = height[np.isfinite(height)]
    return Scale("viridis", 0.0, max(float(known.max(initial=0.0)), 1.0), "m")


def _coloured(values: Float32Array, scale: Scale) -> ByteArray:
    return colourise(values, scale.palette, scale.low, scale.high)


def _plane(marked: BoolArray, colour: tuple[int, int, int]) -> ByteArray:
    picture = np.full((*marked.shape, 3), _EMPTY, np.uint8)
    picture[marked] = colour
    return picture


def choose(table: pl.DataFrame, count: int) -> Mapping[str, list[str]]:
    """Pick tiles that tell most: extremes, doubts, and some at random."""

    def top(column: str, descending: bool = True) -> list[str]:
        order = table.sort([column, "id"], descending=[descending, False])
        return order["id"].head(count).to_list()

    with_kelp = table.filter(pl.col("kelp_share") > 0).sort("kelp_share", "id")
    return {
        "most kelp": top("kelp_share"),
        "least kelp, but some": with_kelp["id"].head(count).to_list(),
        "most uncertain": top("uncertainty"),
        "nearest the threshold": top("near_threshold"),
        "at random": table.sample(min(count, len(table)), seed=0)["id"].to_list(),
    }


def comparison(test: pl.DataFrame, train: pl.DataFrame) -> list[dict[str, Any]]:
    """Compare what is predicted with the labels of usable training tiles."""
    usable = train.filter(~pl.col("high_kelp_pixels_pct"))
    shares = (test["kelp_share"], usable["kelp_pixels_pct"])
    rows: dict[str, tuple[float | None, float | None]] = {
        "kelp, share of all pixels": (_mean(shares[0]), _mean(shares[1])),
        "tiles without kelp": (_mean(shares[0] == 0), _mean(shares[1] == 0)),
        "largest share of kelp in a tile": (
            float(shares[0].to_numpy().max()),
            float(shares[1].to_numpy().max()),
        ),
        "predicted kelp on land": (_share_of_kelp(test, "on_land"), None),
        "predicted kelp under QA": (_share_of_kelp(test, "under_qa"), None),
    }
    return [
        {"what": what, "predicted, test": predicted, "labelled, train": labelled}
        for what, (predicted, labelled) in rows.items()
    ]


def warnings(test: pl.DataFrame, train: pl.DataFrame) -> list[str]:
    """Compare predictions with the labels of training tiles, in words."""
    usable = train.filter(~pl.col("high_kelp_pixels_pct"))
    share, usual = _mean(test["kelp_share"]), _mean(usable["kelp_pixels_pct"])
    empty = _mean(test["kelp_share"] == 0)
    usual_empty = _mean(~usable["has_kelp"])
    checks: list[tuple[bool, Callable[[], str]]] = [
        (
            share > 2 * usual or share < usual / 2,
            lambda: (
                f"Predicted kelp covers {share:.2%} of the test tiles; labels cover"
                f" {usual:.2%} of the training tiles. Is the threshold right?"
            ),
        ),
        (
            abs(empty - usual_empty) > 0.25,
            lambda: (
                f"{empty:.0%} of the test tiles have no kelp at all; {usual_empty:.0%}"
                " of the training tiles have none."
            ),
        ),
        (
            bool((test["kelp_share"] > 0.4).any()),
            lambda: (
                f"{int((test['kelp_share'] > 0.4).sum())} test tiles are predicted"
                " more than 40 % kelp, which no rightly labelled training tile is."
            ),
        ),
        (
            _share_of_kelp(test, "on_land") > 0.05,
            lambda: (
                f"{_share_of_kelp(test, 'on_land'):.1%} of the predicted kelp lies on"
                " land (elevation above 0). Elevation is misaligned in places, but not"
                " by that much."
            ),
        ),
        (
            _share_of_kelp(test, "under_qa") > 0.2,
            lambda: (
                f"{_share_of_kelp(test, 'under_qa'):.1%} of the predicted kelp lies"
                " under pixels that QA calls cloudy or faulty."
            ),
        ),
    ]
    return [words() for wrong, words in checks if wrong]


def _mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]


def _share_of_kelp(test: pl.DataFrame, column: str) -> float:
    total = float(test["kelp_share"].sum())
    return float(test[column].sum()) / total if total else 0.0
