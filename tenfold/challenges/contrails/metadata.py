"""Where and when a record was seen, from the competition's metadata files.

The files say which projection a scene is in, where it begins (`row_min`, `col_min`) and
how far it goes (`row_size`, `col_size`), in metres.
"""

import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rasterio import Env, warp
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from tenfold.data.arrays import Float64Array
from tenfold.errors import Rejected, SourceError

_WKT, _TIME = "projection_wkt", "timestamp"
_BOX = ("row_min", "row_size", "col_min", "col_size")
_LONGITUDES_LATITUDES = CRS.from_epsg(4326)
#: m; a GOES pixel is 2 to 10 km, and the smallest scene is larger than this. The page
#: was not seen, and code of participants leaves open which of both a size is.
_LARGER_THAN_A_PIXEL = 30_000.0
#: Points on each side of a scene: sides are straight in its projection, not on a map.
_POINTS = 17
#: GDAL's projections are not for several threads at a time.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Listed:
    """What a metadata file says of one record.

    Attributes:
        file: name of the metadata file.
        record: id of the record.
        timestamp: s since 1970, UTC.
        wkt: the scene's projection.
        box: row_min, row_size, col_min, col_size; m.
    """

    file: str
    record: str
    timestamp: int
    wkt: str
    box: tuple[float, float, float, float]

    def to_labels(self) -> dict[str, str]:
        """Return it as texts that `from_labels` reads back exactly."""
        numbers = dict(zip(_BOX, map(repr, self.box), strict=True))
        return {
            "metadata": self.file,
            "record": self.record,
            _TIME: str(self.timestamp),
            _WKT: self.wkt,
            **numbers,
        }

    @classmethod
    def from_labels(cls, labels: Mapping[str, str]) -> "Listed":
        """Read what `to_labels` wrote."""
        row_min, row_size, col_min, col_size = (float(labels[key]) for key in _BOX)
        return cls(
            file=labels["metadata"],
            record=labels["record"],
            timestamp=int(labels[_TIME]),
            wkt=labels[_WKT],
            box=(row_min, row_size, col_min, col_size),
        )


@dataclass(frozen=True)
class Place:
    """Centre and bounding box of a scene, degrees; east is above west."""

    longitude: float
    latitude: float
    west: float
    south: float
    east: float
    north: float


def read_metadata(path: Path) -> dict[str, Listed | Rejected]:
    """Read a metadata file: record id → what it says of it, or what is wrong there.

    Raises:
        SourceError: it is not there, no list of records, or lists one twice.
    """
    found: dict[str, Listed | Rejected] = {}
    for number, entry in enumerate(_load(path)):
        record = entry.get("record_id") if isinstance(entry, dict) else None
        if not isinstance(record, str | int) or isinstance(record, bool):
            raise SourceError(f"{path}: entry {number} has no record_id")
        id_ = str(record)
        if id_ in found:
            raise SourceError(f"{path}: record {id_} is listed twice; keep one of both")
        try:
            found[id_] = _listed(path.name, id_, entry)
        except ValueError as error:
            found[id_] = Rejected(path.name, f"record {id_}: {error}")
    return found


def _load(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise SourceError(
            f"{path} is not there; it says where and when each record of"
            f" {path.name.split('_')[0]}/ was seen"
        ) from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SourceError(f"{path} is not JSON ({error}); fetch it again") from None
    if not isinstance(content, list):
        raise SourceError(f"{path}: expected a list of records")
    return content


def _listed(file: str, id_: str, entry: Mapping[str, Any]) -> Listed:
    """Check an entry.

    Raises:
        ValueError: saying which key is missing or wrong.
    """
    wkt = entry.get(_WKT)
    if not isinstance(wkt, str) or not wkt:
        raise ValueError(f"{_WKT} is {'missing' if wkt is None else repr(wkt)}")
    time, row_min, row_size, col_min, col_size = (
        _number(entry, key) for key in (_TIME, *_BOX)
    )
    if not row_size or not col_size:
        raise ValueError("row_size and col_size must not be 0")
    return Listed(file, id_, int(time), wkt, (row_min, row_size, col_min, col_size))


def _number(entry: Mapping[str, Any], key: str) -> float:
    value = entry.get(key)
    if value is None:
        raise ValueError(f"{key} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} is {value!r}, not a number")
    if not math.isfinite(value):
        raise ValueError(f"{key} is {value}")
    return float(value)


def locate(listed: Listed, shape: tuple[int, int]) -> Place:
    """Find a scene on the globe.

    Args:
        listed: what the metadata say.
        shape: height and width of its frames, px.

    Raises:
        Rejected: the projection cannot be understood, the scene lies outside what it
            maps, or it crosses the date line, which GOES-16 does not see.
    """
    row_min, row_size, col_min, col_size = listed.box
    rows = (row_min, row_min + _extent(row_size, shape[0]))
    cols = (col_min, col_min + _extent(col_size, shape[1]))
    try:
        return _place(listed.wkt, rows, cols)
    except ValueError as error:
        raise Rejected(listed.file, f"record {listed.record}: {error}") from None


def _extent(size: float, pixels: int) -> float:
    """Return how far a scene goes, m: the size says it, or the size of a pixel."""
    return size if abs(size) > _LARGER_THAN_A_PIXEL else size * pixels


@lru_cache(maxsize=4096)
def _place(wkt: str, rows: tuple[float, float], cols: tuple[float, float]) -> Place:
    """Find a box of a projection on the globe; scenes lie in one place many times.

    Raises:
        ValueError: saying why there is no such place.
    """
    x, y = _outline(rows, cols)
    try:
        # Without an environment, GDAL writes its errors to the terminal as well.
        with _LOCK, Env():
            found = warp.transform(_projection(wkt), _LONGITUDES_LATITUDES, x, y)
    except CPLE_BaseError:
        found = [math.nan], [math.nan]
    longitudes, latitudes = np.asarray(found[0]), np.asarray(found[1])
    if not np.isfinite([longitudes, latitudes]).all() or abs(latitudes).max() > 90:
        raise ValueError(
            f"its box, rows {rows[0]:.0f} to {rows[1]:.0f} m and columns {cols[0]:.0f}"
            f" to {cols[1]:.0f} m, is not on the map"
        )
    if np.ptp(longitudes) > 180:
        raise ValueError("its box crosses the date line, which GOES-16 does not see")
    return Place(
        longitude=float(longitudes[0]),
        latitude=float(latitudes[0]),
        west=float(longitudes.min()),
        south=float(latitudes.min()),
        east=float(longitudes.max()),
        north=float(latitudes.max()),
    )


def _outline(
    rows: tuple[float, float], cols: tuple[float, float]
) -> tuple[Float64Array, Float64Array]:
    """Return x and y of a box: its centre, then points along its four sides."""
    y, x = np.linspace(*rows, _POINTS), np.linspace(*cols, _POINTS)
    left, right = np.full(_POINTS, cols[0]), np.full(_POINTS, cols[1])
    low, high = np.full(_POINTS, rows[0]), np.full(_POINTS, rows[1])
    middle = np.array([np.mean(cols)]), np.array([np.mean(rows)])
    return (
        np.concatenate([middle[0], x, x, left, right]),
        np.concatenate([middle[1], low, high, y, y]),
    )


@lru_cache(maxsize=256)
def _projection(wkt: str) -> CRS:
    """Read a projection.

    Raises:
        ValueError: it cannot be understood.
    """
    try:
        return CRS.from_wkt(wkt)
    except CRSError:
        short = wkt if len(wkt) <= 60 else f"{wkt[:60]}…"
        raise ValueError(f"its projection_wkt cannot be understood: {short}") from None
