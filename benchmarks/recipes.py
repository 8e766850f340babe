"""Compares recipe `tenfold` with `winning` at equal compute, on synthetic tiles.

All are the recipes as they are, on a tiny scale: one tiny encoder for all members,
the same crops, learning rate, folds and data, and the same number of training pixels.
`winning` spends them on its one network for all epochs, and so does `tenfold, one`, on
the first of its members. `tenfold, mixed` spends them on three of its four, the
enlarged one with half the epochs, since its pixels are twice as many. (The fourth has
an architecture whose cost differs most.) Run with `python -m benchmarks.recipes`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tenfold.challenges.kelp.options import KelpRecipe
from tenfold.recipe import read_yaml, validate
from tenfold.stages.report import headline, read_run

EPOCHS = 10
RECIPES = Path(KelpRecipe.__module__.replace(".", "/")).parent / "recipes"
TINY = {"encoder": "tu-mobilenetv3_small_050", "weights": None, "channels_last": True}
WIDTHS = [64, 32, 16, 8, 8]
TRAINING = {
    "batch": 8,
    "samples_per_epoch": 128,
    "learning_rate": 6.0e-3,
    "weight_decay": 1.0e-2,
    "precision": "32-true",
    "picture_epochs": [],
    "workers": 0,
    "threads": 1,
}
#: What is compared: recipe, and member → share of the epochs.
RIVALS = {
    "winning": ("winning", {"unet-b5": 1.0}),
    "tenfold, one": ("tenfold", {"unet-b5": 1.0}),
    "tenfold, mixed": (
        "tenfold",
        {"unet-b5": 0.4, "unet-vgg13": 0.4, "unet-mit-b2-512": 0.2},
    ),
}


def tiny(rival: str, seed: int, epochs: int) -> dict[str, Any]:
    """Return a recipe as plain data, scaled down."""
    name, shares = RIVALS[rival]
    root = Path(__file__).parent.parent
    recipe = read_yaml(root / RECIPES / f"{name}.yaml")
    recipe |= {
        "seed": seed,
        "synth": {"train": 84, "test": 24, "coasts": 32, "seed": seed},
        "data": {"shard_samples": 16},
        "groups": {"overlap": {"enabled": True}, "embedding": {"enabled": False}},
        "split": {"k": 4, "strata": ["kelp_level", "qa_ok"]},
        "predict": {"workers": 1, "batch": 8},
        "parallel_folds": 2,
        "profiles": {},
    }
    members = [m for m in recipe["members"] if m["name"] in shares]
    for member in members:
        own = round(epochs * shares[member["name"]])
        training = dict(member["training"]) | TRAINING | {"epochs": own}
        training.pop("patience", None)
        if "ema" in training:
            # As many steps back as the smoke recipe; 0.999 would outlive the run.
            training["ema"] = 0.95
        member["training"] = training
        # Squeezing in attention leaves nothing of fewer than 16 channels.
        narrow = 16 if member["net"].get("attention") else 8
        widths = [max(width, narrow) for width in WIDTHS]
        member["net"] = dict(member["net"]) | TINY | {"decoder_channels": widths}
        member["augment"] = dict(member["augment"]) | {"crop": 128, "crop_on_kelp": 0.5}
        member.pop("took", None)
    recipe["members"] = members
    validate(KelpRecipe, recipe, name)
    return recipe


def run(recipe: dict[str, Any], folder: Path) -> dict[str, float]:
    """Run a recipe from synthetic tiles to the judged submission."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe, sort_keys=False))
    command = [sys.executable, "-m", "pipelines.cli", "run", "kelp", "-r", str(file)]
    where = ["--out", str(folder / "run"), "--store", str(folder.parent / "store")]
    subprocess.run([*command, *where], check=True, stdout=subprocess.DEVNULL)
    record = read_run(folder / "run")
    found = headline(record)
    assert found.truth is not None
    return {
        "honest": found.honest,
        "naive": found.naive,
        "truth": float(found.truth["score"]),
        "seconds": record.seconds,
    }


def main() -> None:
    """Run both recipes for every seed and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 7, 2024])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--folder", type=Path, help="kept, so that a rerun goes on")
    parser.add_argument("--json", type=Path, help="file that gets all figures")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    rows = []
    for seed in given.seeds:
        for rival in RIVALS:
            recipe = tiny(rival, seed, given.epochs)
            place = rival.replace(", ", "-")
            figures = run(recipe, folder.resolve() / f"{place}-{seed}")
            rows.append({"recipe": rival, "seed": seed, **figures})
            print(rows[-1], flush=True)
    print(table(rows))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a markdown table, a seed a row."""
    lines = [
        "| seed | " + " | ".join(RIVALS) + " |",
        "|---" * (len(RIVALS) + 1) + "|",
    ]
    for seed in dict.fromkeys(row["seed"] for row in rows):
        cells = [
            f"{row['truth']:.4f} ({row['honest']:.4f})"
            for row in rows
            if row["seed"] == seed
        ]
        lines.append(f"| {seed} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
