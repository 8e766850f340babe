"""The verb that measures a machine."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenfold.cli.app import OUTSIDE, app
from tenfold.cli.shared import Challenge, Overrides, RecipeName, context_of, read

if TYPE_CHECKING:
    from tenfold.stages.bench import Bench

_HEAD = (
    f"{'':16} {'samples/s':>10} {'Mpx/s':>7} {'ms/step':>9} {'waits':>6} {'used':>5}"
    f" {'peak GB':>8} {'hours/fold':>11}"
)


class Device(StrEnum):
    """Where to measure."""

    AUTO = "auto"
    CPU = "cpu"


@app.command(rich_help_panel=OUTSIDE)
def bench(
    challenge: Challenge,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
    dataset: Annotated[
        Path | None, typer.Option(help="file that ingest wrote; none: small data made")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="folder, gs:// or s3:// address of the data set")
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="only this one; repeatable")
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="that are timed, of each kind")
    ] = 10,
    device: Annotated[
        Device,
        typer.Option(help="auto: as a training would, cpu: also if a GPU is asked for"),
    ] = Device.AUTO,
    json: Annotated[
        Path | None, typer.Option(help="file that gets all figures")
    ] = None,
) -> None:
    """Measure how fast a recipe's members train and predict on this machine.

    Each member takes some steps with its own batches, then as many with one batch that
    lies on the device already, and predicts. Weights are random, which is as fast.

    Example: tenfold bench kelp --recipe smoke --member unet-quantile --json speed.json
    """
    if device is Device.CPU:
        # Read when a framework first looks for a GPU.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from tenfold.data.files import write_json
    from tenfold.errors import RecipeError
    from tenfold.stages import bench as stage

    if (dataset is None) != (store is None):
        raise RecipeError(
            "--dataset and --store go together; without them data is made"
        )
    found = stage.run(
        context_of(challenge, recipe, overrides, store or "."),
        None if dataset is None else read(dataset, "ingest"),
        member or (),
        steps,
        device is Device.CPU,
        lambda note: typer.echo(note, err=True),
    )
    for each in found:
        _show(each)
    if json is not None:
        rows = [row for each in found for row in each.rows()]
        write_json(json, {"challenge": challenge, "recipe": recipe, "rows": rows})


def _show(found: "Bench") -> None:
    measured = found.measured
    millions = measured.parameters / 1e6
    typer.echo(f"\n{found.member}: {millions:.1f} million weights, {measured.device}")
    typer.echo(_HEAD)
    for row in found.rows():
        typer.echo(_line(row))


def _line(row: Any) -> str:
    hours = row["hours_a_fold"]
    line = (
        f"  {row['pass']:14} {row['samples_per_second']:>10.1f}"
        f" {row['megapixels_per_second']:>7.2f} {row['milliseconds_per_step']:>9.1f}"
        f" {_share(row['waiting_share']):>6} {_share(row['device_share']):>5}"
        f" {row['peak_gb']:>8.2f} {'' if hours is None else f'{hours:.2f}':>11}"
    )
    return line.rstrip()


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
