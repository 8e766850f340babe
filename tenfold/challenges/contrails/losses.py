"""What a network minimises: cross-entropy and Dice of pixels, from logits.

All is summed in float32, whatever the precision of the network: in float16 the sums of
a batch of 16 frames pass the largest number there is, and a Dice becomes 0.
"""

import tensorflow as tf

from tenfold.challenges.contrails.options import ContrailsLoss

#: Added to both sides of a Dice, so that two empty masks are alike (published).
SMOOTH = 1e-3


def pixel_loss(
    options: ContrailsLoss,
    logits: tf.Tensor,
    truth: tf.Tensor,
    counts: tf.Tensor | None = None,
) -> tf.Tensor:
    """Return the weighted sum of cross-entropy and Dice of a batch, a float32 scalar.

    Args:
        options: of the recipe.
        logits: (N, H, W, 1).
        truth: (N, H, W, 1) of 0 … 1.
        counts: (N,) bool, samples that count; none: all. Their loss is weighed by their
            share of the batch, so a sample counts as much whatever batch it is in, and
            a batch without any has a loss of 0.
    """
    logits, truth = tf.cast(logits, tf.float32), tf.cast(truth, tf.float32)
    weights = tf.ones_like(truth[:, 0, 0, 0]) if counts is None else counts
    weights = tf.cast(weights, tf.float32)
    loss = tf.zeros([], tf.float32)
    if options.bce:
        loss += options.bce * _cross_entropy(logits, truth, weights)
    if options.dice:
        share = tf.reduce_mean(weights)
        loss += options.dice * share * _dice_loss(logits, truth, weights)
    return loss


def _cross_entropy(
    logits: tf.Tensor, truth: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Return the mean over samples of weight × mean over pixels."""
    pixels = tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=logits)
    return tf.reduce_mean(weights * tf.reduce_mean(pixels, axis=(1, 2, 3)))


def _dice_loss(logits: tf.Tensor, truth: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return 1 - soft Dice of all pixels of the samples that count."""
    sums = dice_sums(tf.sigmoid(logits), truth)
    overlap, total = (tf.reduce_sum(weights * part) for part in sums)
    return 1 - (2 * overlap + SMOOTH) / (total + SMOOTH)


def dice_sums(guess: tf.Tensor, truth: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what samples add to a Dice, which is twice the first by the second.

    Args:
        guess: (N, H, W, 1) of 0 … 1.
        truth: (N, H, W, 1) of 0 … 1.

    Returns:
        overlap: (N,) float32, sums of guess × truth.
        total: (N,) float32, sums of guess and truth.
    """
    guess, truth = tf.cast(guess, tf.float32), tf.cast(truth, tf.float32)
    axes = (1, 2, 3)
    overlap = tf.reduce_sum(guess * truth, axis=axes)
    return overlap, tf.reduce_sum(guess, axis=axes) + tf.reduce_sum(truth, axis=axes)
