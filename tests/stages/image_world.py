"""A store of trained folds with random weights, for tests of single images."""

import numpy as np
import rasterio
import torch
from safetensors.torch import save_file

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp.model import task
from tenfold.data.files import write_json
from tenfold.data.statistics import Statistics
from tenfold.stages.context import Context
from tenfold.stages.entries import DECISION, MODEL
from tenfold.store import Key, Store

QUANTILE, SCORE = "unet-quantile", "unet-z-score"
TILE = "AB123456_satellite.tif"


def write_tile(path, seed=0, bands=7, size=350):
    rng = np.random.default_rng(seed)
    raw = np.zeros((bands, size, size), np.int32)
    raw[:5] = rng.integers(6500, 14_000, (min(bands, 5), size, size))
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"count": bands, "height": size, "width": size, "dtype": "int32"}
    with rasterio.open(path, "w", driver="GTiff", **profile) as file:
        file.write(raw)
    return raw


class World:
    """A store with trained folds of random weights, and a decision over them."""

    def __init__(self, folder):
        self.folder = folder
        self.recipe = load_recipe("kelp", "smoke")
        self.store = Store(folder / "store")
        self.context = Context(self.recipe, self.store)
        self.models, self.trained = {}, {}
        for seed, (name, fold) in enumerate([(QUANTILE, 0), (QUANTILE, 1), (SCORE, 0)]):
            self._train(name, fold, seed)
        self.decision = {
            "vote": "soft",
            "member_threshold": None,
            "threshold": 0.55,
            "model_weights": {QUANTILE: 0.75, SCORE: 0.25},
            "fold_weights": {QUANTILE: {"0": 1.0, "1": 2.0}, SCORE: {"0": 1.0}},
            "invalid": "keep",
            "land": "keep",
            "min_size": 3,
        }
        self.tuned = self.tune(self.decision)
        self.raw = write_tile(folder / TILE)

    def entry(self, stage, label, fill, inputs=None, recipe=None):
        recipe = recipe or self.recipe.model_dump(mode="json")
        key = Key(stage, inputs or {}, label, "code")
        return self.store.build(key, label, recipe, lambda space: fill(space.path))

    def _train(self, name, fold, seed):
        learner = task(self.recipe, self.recipe.member(name))
        low = dict.fromkeys(learner.channels().names, 0.0)
        one = dict.fromkeys(low, 12_000.0)
        torch.manual_seed(seed)
        model = learner.model(
            Statistics(mean=low, std=one, low=low, high=one, q01=low, q99=one)
        ).eval()
        with torch.no_grad():
            for parameter in model.net.segmentation_head.parameters():
                parameter.mul_(20)
        about = {"name": name, "role": "segment", "fold": fold, "engine": "torch"}

        def fill(path, kinds):
            (path / "weights").mkdir(exist_ok=True)
            for kind, factor in kinds.items():
                state = {
                    k: t.clone().contiguous() for k, t in model.state_dict().items()
                }
                state["net.segmentation_head.0.bias"] += factor
                save_file(state, path / "weights" / f"{kind}.safetensors")
            used = {"weights": "weights/ema.safetensors"}
            write_json(path / MODEL, learner.describe(model) | about | used)

        label = f"train {name}, fold {fold}"
        kinds = {"ema": torch.zeros(2), "last": torch.tensor([0.0, 1.5])}
        fitted = self.entry("fit", label, lambda path: fill(path, kinds))
        self.trained[name, fold] = self.entry(
            "train",
            label,
            lambda path: fill(path, {"ema": kinds["ema"]}),
            {"fit": fitted.address},
        )
        self.models[name, fold] = model

    def tune(self, choice, label="tune", lost=()):
        folds = {
            QUANTILE: {f: self.trained[QUANTILE, int(f)].address for f in "01"},
            SCORE: {"0": self.trained[SCORE, 0].address, **dict(lost)},
        }
        members = [
            {"model": model, "role": "segment", "folds": folds[model]}
            for model in folds
        ]
        content = {"members": members, "choice": choice}
        return self.entry(
            "tune", label, lambda path: write_json(path / DECISION, content)
        )

    def prob(self, name, fold, raw=None):
        """The plain forward, in the steps that a member's output has."""
        planes = torch.from_numpy(self.raw if raw is None else raw)[None]
        with torch.inference_mode():
            logits = self.models[name, fold](planes)
        return np.rint(torch.softmax(logits, 1)[0, 1].numpy() * 255) / 255
