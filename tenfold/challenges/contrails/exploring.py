"""What explore draws of the contrails catalogue, and the statistics of channels."""

from collections.abc import Mapping
from typing import cast

import numpy as np

from tenfold.challenges.contrails.options import ContrailsRecipe
from tenfold.challenges.contrails.outputs import decode
from tenfold.data.arrays import Arrays
from tenfold.data.statistics import Axis, Channels, Partials, partials_of
from tenfold.errors import StoreError
from tenfold.recipe import Recipe

#: The corners of a scene's box say the same as its centre.
COLUMNS: Mapping[str, str] = {
    "pixels": "contrail, pixels",
    "annotators": "annotators",
    "agreement": "mean Dice of annotators with their majority",
    "timestamp": "time, seconds since 1970",
    "longitude": "longitude of the centre, degrees",
    "latitude": "latitude of the centre, degrees",
    "contrail": "has contrails",
}
LEGEND = (
    "Channels are those of the packed frames, 0 to 1, numbered in the order of"
    " data.colours; all frames of a record count."
)
#: As good as equal bins from 0 to 1.
_UNIT = Axis(centre=0.5, scale=10.0, reach=0.5)


def channels(recipe: Recipe, every: bool) -> Channels:
    """Name the packed channels; all of them are always wanted."""
    count = len(cast(ContrailsRecipe, recipe).data.channels)
    return Channels({_name(place): _UNIT for place in range(count)})


def partials(arrays: Arrays, channels: Channels) -> Partials:
    """Reduce a packed record to partials of channels named as `channels` does.

    Raises:
        StoreError: the data set was packed with fewer channels than the recipe has.
    """
    image = np.asarray(arrays["image"])
    planes = decode(image) if image.dtype == np.uint8 else image.astype(np.float32)
    there = {_name(place): place for place in range(image.shape[-1])}
    for name in channels.names:
        if name not in there:
            raise StoreError(
                f"this data set was packed with {len(there)} channels, without {name};"
                " name the recipe that it was ingested by"
            )
    count = np.ones((1, pixels(arrays)), np.bool_)
    values = {
        name: (planes[..., there[name]].reshape(1, -1), count)
        for name in channels.names
    }
    return partials_of(values, channels)


def pixels(arrays: Arrays) -> int:
    """Return how many values a channel of a record has, in all its frames."""
    return int(np.prod(np.asarray(arrays["image"]).shape[:-1]))


def _name(place: int) -> str:
    return f"channel {place + 1}"
