"""Out-of-fold outputs of seven small models on pictures of boxes, for tests."""

import json

import numpy as np

from tenfold.challenges.clouds.options import CloudsRecipe
from tenfold.challenges.clouds.planes import pack_planes

SUBMITTED = (350, 525)
PREPARED = (32, 64)
TRAINING = {"epochs": 1, "batch": 1, "learning_rate": 1e-3}
ROLES = {
    "where": "seg1",
    "a": "seg2",
    "b": "seg2",
    "c": "seg2",
    "which": "cls",
}


def recipe_with(roles=ROLES, **tune):
    """A recipe of the models; fields of its tune section by name."""
    members = [{"name": n, "role": r, "training": TRAINING} for n, r in roles.items()]
    for member in members:
        if member["role"] == "seg1" and tune.get("presence_from") == "head":
            member["net"] = {"head": True}
    said = {"challenge": "clouds", "name": "test", "about": "", "lands_near": ""}
    raw = said | {"members": members, "tune": tune}
    return CloudsRecipe.model_validate_json(json.dumps(raw))


def boxes(rng, size, share):
    """Four masks, each a box with a probability."""
    masks = np.zeros((4, *size), bool)
    for place in np.flatnonzero(rng.random(4) < share):
        top, left = (int(rng.integers(0, side // 2)) for side in size)
        height, width = (int(rng.integers(2, side // 2)) for side in size)
        masks[place, top : top + height, left : left + width] = True
    return masks


class OutOfFold:
    """Images in three folds; models see the truth through noise."""

    folds = (0, 1, 4)

    def __init__(self, images=9, roles=ROLES, seed=3, head=()):
        rng = np.random.default_rng(seed)
        self.roles, self.models = roles, tuple(sorted(roles))
        self.fold_of = [self.folds[i % 3] for i in range(images)]
        self.small = [boxes(rng, PREPARED, 0.55) for _ in range(images)]
        self.truth = [self._large(small) for small in self.small]
        self.outputs = [self._seen(rng, small, head) for small in self.small]

    @staticmethod
    def _large(small):
        rows = np.arange(SUBMITTED[0]) * PREPARED[0] // SUBMITTED[0]
        columns = np.arange(SUBMITTED[1]) * PREPARED[1] // SUBMITTED[1]
        return small[:, rows][:, :, columns]

    def _seen(self, rng, small, head):
        outputs = {}
        for model in self.models:
            if self.roles[model] == "cls":
                mean = 0.35 + 0.3 * small.any(axis=(1, 2))
                score = rng.normal(mean, 0.2).clip(0.01, 0.99)
                # Some fall on the published grid, and on each other.
                outputs[model] = {"presence": score.round(2).astype(np.float32)}
                continue
            # Boxes that are not there, and boxes that are missed.
            sees = np.where(rng.random(4) < 0.7, small.T, boxes(rng, PREPARED, 0.5).T).T
            prob = rng.normal(60 + 110 * sees, 22).clip(0, 255)
            outputs[model] = {"prob": prob.round().astype(np.uint8)}
            if model in head:
                score = rng.random(4).astype(np.float32)
                outputs[model]["presence"] = score
        return outputs

    def arrays(self, image):
        return {
            "picture": np.zeros((*PREPARED, 3), np.uint8),
            "classes": pack_planes(self.small[image]),
            "truth": pack_planes(self.truth[image]),
        }

    def samples(self):
        for image, fold in enumerate(self.fold_of):
            outputs = self.outputs[image]
            yield f"{image:07x}", fold, self.arrays(image), outputs

    def scores(self, model):
        assert model in self.models
        return dict.fromkeys(self.folds, 0.5)
