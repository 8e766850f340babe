"""The ends of the networks: logits at the frame's size, and the shift of labels."""

from typing import Any

from keras import layers, ops

from tenfold.challenges.contrails.networks.layers import bilinear

#: Filters of the small last layer (the 1st-place solution).
_FILTERS = 9


def fit_frame(logit: Any, side: tuple[int, int]) -> Any:
    """Bring logits (N, h, w, 1) to the size of the frame that is labelled.

    Twice as large: the largest of four, whose sigmoid is the largest of their
    sigmoids, as published. Smaller: interpolated.
    """
    if tuple(logit.shape[1:3]) == (2 * side[0], 2 * side[1]):
        return layers.MaxPooling2D(2, name="logit_pool", dtype="float32")(logit)
    return bilinear(logit, side)


def shift_back(logit: Any) -> Any:
    """Turn logits of labels where they should be into those of labels as they are.

    Annotated masks lie half a pixel off in row and column. A 3 × 3 convolution to nine
    maps over a repeated border, a ReLU and a 1 × 1 convolution can undo that (the
    1st-place solution).

    Args:
        logit: (N, H, W, 1) float32.
    """
    # One pixel of a mirrored border is the border repeated.
    bordered = ops.pad(logit, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    x = layers.Conv2D(
        _FILTERS, 3, activation="relu", name="shift_maps", dtype="float32"
    )(bordered)
    return layers.Conv2D(1, 1, name="shift_logit", dtype="float32")(x)
