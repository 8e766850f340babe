"""Moves that all frames of a sample and its label make together.

A move is one affine map, six numbers a sample (a, b, c, d, e, f), that says where a
pixel comes from: column x of row y takes what is at column a x + b y + c of row
d x + e y + f, counted between the centres of pixels. So any chain of crops, turns and
scales is one look-up, which interpolates once, and right-angle moves are exact.

What a move brings in from outside mirrors what is inside, in frames and labels alike.
A label of 0 there would contradict the mirrored contrail that the network sees, and
frames that go on in their last pixel, or in a constant, would draw lines and edges as
long and thin as contrails are.

Labels lie half a pixel down and to the right of what they are of, as the winner of the
competition found: they were drawn on corners of pixels. Mirrored with the frames, they
would lie half a pixel off to the other side. `shift` takes a label half a pixel back
before the move, as part of the same look-up.
"""

import math

import numpy as np
import tensorflow as tf

from tenfold.challenges.contrails.options import ContrailsAugment
from tenfold.data.arrays import Float32Array, Float64Array

#: Where a label's pixel is looked up, in pixels down and to the right of the frame's.
LABEL_SHIFT = 0.5
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_HALF = 0.5
#: Chance of the published mirror, and of its quarter turn: integers of U(0, 1.99).
_PUBLISHED_CHANCE = 0.99 / 1.99
#: Most of a side that the published crop cuts off, a side.
_PUBLISHED_CROP = 0.2


def draw(
    augment: ContrailsAugment, side: int, rng: np.random.Generator
) -> Float32Array:
    """Draw a move, (6,) float32.

    Args:
        augment: of the recipe.
        side: of the square frames, px.
        rng: of this example.
    """
    # Always the same draws, so that one option does not shift another's numbers.
    moved, *turns = rng.random(4)
    cuts, spread = rng.random(4), rng.uniform(-1, 1, 4)
    if augment.level == "none" or moved >= augment.share:
        return np.array(_IDENTITY, np.float32)
    # Of a product, the first factor is made first: it is what a pixel asks last.
    if augment.level.startswith("published-"):
        turn, crop = _published(side, turns), _crop(side, cuts * _PUBLISHED_CROP)
    else:
        crop = _crop(side, cuts * augment.crop) @ _spread(augment, side, spread)
        turn = _dihedral(side, turns)
    whole = crop @ turn if augment.level.endswith("full") else turn
    return whole[:2].astype(np.float32).reshape(-1)


def _dihedral(side: int, turns: list[float]) -> Float64Array:
    """Return one of the eight right-angle moves, with equal odds."""
    left_right, up_down, transposes = (turn < _HALF for turn in turns)
    turn = np.eye(3)[[1, 0, 2]] if transposes else np.eye(3)
    return _mirror(side, left_right, up_down) @ turn


def _mirror(side: int, left_right: bool, up_down: bool) -> Float64Array:
    last, mirror = side - 1, np.eye(3)
    if left_right:
        mirror[0] = (-1, 0, last)
    if up_down:
        mirror[1] = (0, -1, last)
    return mirror


def _published(side: int, turns: list[float]) -> Float64Array:
    """Return the published four moves: left-right, then a turn against the clock."""
    turn = np.eye(3)
    if turns[1] < _PUBLISHED_CHANCE:
        turn[:2] = (0, -1, side - 1), (1, 0, 0)
    return _mirror(side, turns[0] < _PUBLISHED_CHANCE, False) @ turn


def _crop(side: int, cuts: Float64Array) -> Float64Array:
    """Return the move that resizes a box to the whole frame.

    A box from 0 to 1 reaches from the centre of the first pixel to that of the last,
    as in `tf.image.crop_and_resize`.

    Args:
        side: of the frame, px.
        cuts: shares of a side cut off on top, left, at the bottom and on the right.
    """
    top, left, bottom, right = cuts
    last, crop = side - 1, np.eye(3)
    crop[0] = (1 - left - right, 0, left * last)
    crop[1] = (0, 1 - top - bottom, top * last)
    return crop


def _spread(augment: ContrailsAugment, side: int, spread: Float64Array) -> Float64Array:
    """Return a rotation against the clock and a scale about the centre, and a shift.

    Args:
        augment: of the recipe.
        side: of the frame, px.
        spread: of shift in x and y, scale and angle, -1 … 1 of the most there may be.
    """
    shift = spread[:2] * augment.shift * side
    scale = 1 + spread[2] * augment.scale
    angle = math.radians(spread[3] * augment.rotate_degrees)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    spin, centre = np.array([[cosine, -sine], [sine, cosine]]), (side - 1) / 2
    whole = np.eye(3)
    whole[:2, :2], whole[:2, 2] = spin, centre - spin @ (centre + shift)
    return whole


def stays(moves: tf.Tensor) -> tf.Tensor:
    """Return which samples a move (N, 6) leaves as they are, (N,) bool."""
    return tf.reduce_all(tf.equal(moves, tf.constant(_IDENTITY)), axis=1)


def move(
    planes: tf.Tensor, moves: tf.Tensor, interpolate: bool, shift: float = 0.0
) -> tf.Tensor:
    """Move each sample of a batch.

    It is made of gathers, which XLA compiles, as it does not TensorFlow's own look-up.

    Args:
        planes: (N, T, H, W, C) of any dtype.
        moves: (N, 6) float32 as `draw` makes them.
        interpolate: bilinear, for frames and shares; nearest for masks.
        shift: pixels down and to the right of where the move looks, at which the last
            pixel goes on; `LABEL_SHIFT` for labels that frames are to lie under.

    Returns:
        (N, T, H, W, C) float32 where interpolated, else of the dtype of planes.
    """
    shape = tf.shape(planes)
    height, width = shape[2], shape[3]
    x, y = _sources(moves, height, width)
    x, y = _on_frame(x + shift, width), _on_frame(y + shift, height)
    # TensorFlow gathers no bytes on a GPU, and would move them to the CPU and back.
    values = tf.cast(planes, tf.float32)
    flat = tf.reshape(values, [shape[0], shape[1], height * width, shape[4]])
    look = _bilinear if interpolate else _nearest
    moved = tf.reshape(look(flat, x, y, width), shape)
    moved = moved if interpolate else tf.cast(moved, planes.dtype)
    return tf.ensure_shape(moved, planes.shape)


def on_label_grid(moves: tf.Tensor) -> tf.Tensor:
    """Return where labels look that lie `LABEL_SHIFT` off the frames that are moved.

    Frames look at M(p); a label at p belongs to p - 1/2 of the frame, so that its
    moved one looks at M(p - 1/2) + 1/2: whole pixels for right angles.

    Args:
        moves: (N, 6) of frames, as `draw` makes them.
    """
    a, b, c, d, e, f = tf.unstack(moves, axis=1)
    c += LABEL_SHIFT * (1 - a - b)
    f += LABEL_SHIFT * (1 - d - e)
    return tf.stack([a, b, c, d, e, f], axis=1)


def _sources(
    moves: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return columns and rows that pixels come from, (N, H, W), mirrored inside."""
    x = tf.cast(tf.range(width), tf.float32)[None, None, :]
    y = tf.cast(tf.range(height), tf.float32)[None, :, None]
    a, b, c, d, e, f = (moves[:, i, None, None] for i in range(len(_IDENTITY)))
    return _mirrored(a * x + b * y + c, width), _mirrored(d * x + e * y + f, height)


def _mirrored(places: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Mirror places at the edges: 0 1 2 are followed by 2 1 0, and these by 0 1 2."""
    size = tf.cast(length, tf.float32)
    # From the frame's edge, which is half a pixel before the first centre.
    edge = tf.math.floormod(places + _HALF, 2 * size)
    return size - tf.abs(edge - size) - _HALF


def _on_frame(places: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Take what lies beyond the centre of a last pixel there."""
    return tf.clip_by_value(places, 0.0, tf.cast(length, tf.float32) - 1)


def _nearest(
    flat: tf.Tensor, x: tf.Tensor, y: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    return _at(flat, _whole(x + _HALF), _whole(y + _HALF), width)


def _bilinear(
    flat: tf.Tensor, x: tf.Tensor, y: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    """Return the four pixels around a place, weighed; exact on whole pixels."""
    left, top = tf.floor(x), tf.floor(y)
    # A weight of 0 needs no other pixel, so none is looked for beyond the last.
    right, bottom = _whole(tf.math.ceil(x)), _whole(tf.math.ceil(y))
    right_share = _weights(x - left)
    bottom_share = _weights(y - top)
    rows = []
    for row in (_whole(top), bottom):
        ends = [_at(flat, column, row, width) for column in (_whole(left), right)]
        first, second = (tf.cast(end, tf.float32) for end in ends)
        rows.append(first * (1 - right_share) + second * right_share)
    return rows[0] * (1 - bottom_share) + rows[1] * bottom_share


def _weights(shares: tf.Tensor) -> tf.Tensor:
    """Return (N, H, W) as (N, 1, H W, 1), to weigh pixels of all frames by."""
    return tf.reshape(shares, [tf.shape(shares)[0], 1, -1, 1])


def _whole(places: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.floor(places), tf.int32)


def _at(flat: tf.Tensor, x: tf.Tensor, y: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Return the pixels (N, T, H W, C) at columns and rows (N, H, W)."""
    places = tf.reshape(y * width + x, [tf.shape(x)[0], -1])
    return tf.gather(flat, places, axis=2, batch_dims=1)
