"""A contrails record as a person wants to see it, and what to look at first.

Contrails are one to three pixels wide, so a line inside their border would hide them.
Contours therefore run around them, on a picture of twice the size; where prediction and
label are compared pixel by pixel, pixels are filled, on a dimmed grey frame.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from tenfold.challenges.contrails.outputs import STEPS, decode, encode
from tenfold.challenges.contrails.previewing import choose, comparison, warnings
from tenfold.challenges.contrails.strips import strip
from tenfold.data.arrays import Arrays, BoolArray, ByteArray, Float32Array
from tenfold.reports.panels import Scale
from tenfold.reports.pixels import Colour, colourise

__all__ = ["LEGEND", "choose", "comparison", "overlay", "scales", "views", "warnings"]

GUESS: Colour = (255, 221, 0)
TRUTH: Colour = (64, 224, 208)
BOTH: Colour = (255, 255, 255)
LEGEND = (
    "Yellow is the prediction, teal the label: contours run around them, and are white"
    " where they coincide. In hits and misses, yellow is predicted only, teal labelled"
    " only, and white both."
)
#: Not black, which would vanish on a dark page.
_EMPTY = 48
_TIMES, _DIM = 2, 0.45
_NEIGHBOURS = np.ones((3, 3), np.bool_)
_COLOURS = 3
_SHARES = Scale("magma", 0.0, 1.0)


def views(arrays: Arrays) -> Mapping[str, ByteArray]:
    """Return the labelled frame, all frames, and (train) the label and its votes.

    Channels are shown as red, green and blue: ash colours, if those were packed.
    """
    frames, place = _frames(arrays), _labelled(arrays)
    pictures = {"labelled frame": frames[place]}
    if len(frames) > 1:
        pictures["frames"] = strip(frames, place)
    if "label" in arrays:
        pictures["label"] = _plane(np.asarray(arrays["label"]) == 1)
        if _is_voted(arrays):
            pictures["annotators"] = _coloured(_share(arrays))
    return pictures


def scales(arrays: Arrays) -> Mapping[str, Scale]:
    """Return what the colours of votes mean: the share of annotators."""
    return {"annotators": _SHARES} if _is_voted(arrays) else {}


def _is_voted(arrays: Arrays) -> bool:
    """Tell whether several annotators are known, and not their majority alone."""
    return "annotators" in arrays and int(arrays["annotators"]) > 1


def overlay(
    arrays: Arrays, outputs: Arrays, truth: bool = True
) -> Mapping[str, ByteArray]:
    """Return contours over the labelled frame, hits and misses, and the probability.

    Args:
        arrays: the record.
        outputs: `prob` in steps of 1/255, or a decided `contrail`, or both; without a
            decision, what is above one half is outlined.
        truth: show the label too, where there is one.
    """
    frame = _frames(arrays)[_labelled(arrays)]
    found = _found(outputs)
    label = np.asarray(arrays["label"]) == 1 if truth and "label" in arrays else None
    drawn = {"prediction": contours(frame, found, label)}
    if label is not None:
        drawn["hits and misses"] = compared(frame, found, label)
    if "prob" in outputs:
        drawn["probability"] = _coloured(decode(np.asarray(outputs["prob"])))
    return drawn


def contours(frame: ByteArray, found: BoolArray, label: BoolArray | None) -> ByteArray:
    """Draw lines around masks, outside of them, on a frame of twice the size.

    Args:
        frame: (H, W, 3).
        found: predicted, (H, W).
        label: (H, W); none: it is not shown.

    Returns:
        (2 H, 2 W, 3).
    """
    drawn = _enlarged(frame).copy()
    around = _around(found)
    drawn[around] = GUESS
    if label is not None:
        labelled = _around(label)
        drawn[labelled] = TRUTH
        drawn[labelled & around] = BOTH
    return drawn


def compared(frame: ByteArray, found: BoolArray, label: BoolArray) -> ByteArray:
    """Fill pixels by what is predicted and labelled, on a dimmed grey frame."""
    grey = np.rint(frame.mean(axis=-1, keepdims=True) * _DIM).astype(np.uint8)
    drawn = np.repeat(grey, _COLOURS, axis=-1)
    drawn[found & ~label] = GUESS
    drawn[label & ~found] = TRUTH
    drawn[label & found] = BOTH
    return drawn


def _around(mask: BoolArray) -> BoolArray:
    """Return the pixels that touch a mask from outside, at twice its size."""
    large = _enlarged(mask)
    wider = binary_dilation(large, structure=_NEIGHBOURS)
    return np.asarray(wider & ~large, bool)


def _enlarged(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.repeat(_TIMES, axis=0).repeat(_TIMES, axis=1)


def _found(outputs: Arrays) -> BoolArray:
    if "contrail" in outputs:
        decided: BoolArray = np.asarray(outputs["contrail"]) == 1
        return decided
    above: BoolArray = np.asarray(outputs["prob"]) > STEPS // 2
    return above


def _labelled(arrays: Arrays) -> int:
    """Return the place of the labelled frame; of one frame, it is that."""
    return int(arrays["labelled"]) if len(arrays["image"]) > 1 else 0


def _frames(arrays: Arrays) -> ByteArray:
    """Return all frames as pictures (T, H, W, 3).

    Channels that are missing are black, and of more than three the first are shown;
    one channel is grey.
    """
    image = np.asarray(arrays["image"])
    if image.dtype != np.uint8:
        image = encode(image.astype(np.float32))
    if image.shape[-1] == 1:
        return np.repeat(image, _COLOURS, axis=-1)
    lacking = max(_COLOURS - image.shape[-1], 0)
    return np.pad(image[..., :_COLOURS], ((0, 0), (0, 0), (0, 0), (0, lacking)))


def _share(arrays: Arrays) -> Float32Array:
    """Return the share of annotators that marked each pixel, (H, W)."""
    annotators = max(int(arrays["annotators"]), 1)
    return np.asarray(arrays["votes"], np.float32) / np.float32(annotators)


def _coloured(values: Float32Array) -> ByteArray:
    return colourise(values, _SHARES.palette, _SHARES.low, _SHARES.high)


def _plane(marked: BoolArray) -> ByteArray:
    picture = np.full((*marked.shape, _COLOURS), _EMPTY, np.uint8)
    picture[marked] = TRUTH
    return picture
