"""Small out-of-fold records of contrails, and plain ways to cut, clean and score."""

from fractions import Fraction

import numpy as np

from tenfold.challenges.contrails.options import ContrailsRecipe

SHAPE = (20, 26)
MEMBER = {"name": "a", "training": {"epochs": 1, "batch": 2}}


def recipe_with(data=None, **tune):
    """Return a recipe with some options of data and tune."""
    return ContrailsRecipe(
        challenge="contrails",
        name="made",
        about="Made for a test.",
        lands_near="Nowhere.",
        members=[MEMBER],
        data=data or {},
        tune=tune,
    )


class OutOfFold:
    """Records with thin lines, of which half are empty, and noise in specks."""

    def __init__(self, folds=(0, 2, 3), records=15, models=("a", "b"), seed=3):
        rng = np.random.default_rng(seed)
        self.folds, self.models = folds, models
        # Ids whose order is not that of the records.
        self.ids = [str(10**6 - 7919 * i) for i in range(records)]
        self.fold_of = [folds[i % len(folds)] for i in range(records)]
        self.truth = np.zeros((records, *SHAPE), np.uint8)
        for i in range(0, records, 2):
            row, column = rng.integers(0, 12, 2)
            for step in range(rng.integers(6, 8)):
                self.truth[i, row + step, column + step : column + step + 3] = 1
        self.image = rng.integers(0, 256, (records, 2, *SHAPE, 3)).astype(np.uint8)
        # Contrails are dark in the second channel of the labelled frame.
        self.image[:, 1, ..., 1][self.truth == 1] //= 3
        self.steps = {}
        for model, skill in zip(models, (110, 80), strict=False):
            # Each fold has another level, so that each would choose for itself.
            level = np.array([12.0 * (folds.index(f) + 1) for f in self.fold_of])
            mean = level[:, None, None] + skill * self.truth
            noise = rng.normal(mean, 34)
            self.steps[model] = noise.round().clip(0, 255).astype(np.uint8)

    def arrays(self, i):
        return {
            "image": self.image[i],
            "label": self.truth[i],
            "votes": self.truth[i],
            "annotators": np.uint8(1),
            "labelled": np.uint8(1),
        }

    def samples(self):
        for i, fold in enumerate(self.fold_of):
            outputs = {m: {"prob": self.steps[m][i]} for m in self.models}
            yield self.ids[i], fold, self.arrays(i), outputs

    def scores(self, model):
        assert model in self.models
        return dict.fromkeys(self.folds, 0.5)

    def mean(self):
        """Return the mean in whole steps, halves to the even one, (N, H, W)."""
        total = sum(self.steps[m].astype(int) for m in self.models)
        return np.array(
            [round(Fraction(int(v), len(self.models))) for v in total.ravel()]
        ).reshape(total.shape)


def dice(masks, truth):
    """The global Dice of stacks of masks."""
    both = np.logical_and(masks, truth).sum()
    sizes = np.sum(masks) + np.sum(truth)
    return 2 * both / sizes if sizes else 1.0


def above(mean, threshold):
    """Compare every pixel with a threshold, in exact numbers."""
    exact = Fraction(str(threshold))
    table = np.array([Fraction(k, 255) > exact for k in range(256)])
    return table[mean]


def cleaned(mask, least):
    """Remove pieces, found by walking from pixel to pixel."""
    kept = np.zeros_like(mask)
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    while left:
        piece, waiting = [], [left.pop()]
        while waiting:
            y, x = waiting.pop()
            piece.append((y, x))
            near = {(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            waiting += near
        if len(piece) >= least:
            for pixel in piece:
                kept[pixel] = True
    return kept
