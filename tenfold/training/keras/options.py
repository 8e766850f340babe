"""What a recipe can say of the Keras engine, beyond what every training can."""

from typing import Literal

from pydantic import Field, model_validator

from tenfold.recipe import Precision, Schedule, Training

_PRECISIONS: tuple[Precision, ...] = ("32-true", "16-mixed", "bf16-mixed")


class KerasTraining(Training):
    """The loop around a Keras network, on one device or on all of a machine.

    On several GPUs (MirroredStrategy) each sees its part of a batch, and their
    gradients are averaged. Batch normalisation, and losses that are no mean over
    samples, are of each part.
    """

    schedule: Schedule = Schedule(cycle_momentum=False)
    devices: Literal["all", "one"] = Field(
        "all", description="GPUs of the machine that train together"
    )
    batch_is: Literal["whole", "device"] = Field(
        "whole",
        description="whole: `batch` samples are shared out to the devices; device: each"
        " gets as many, so that a step sees more on more devices (published)",
    )
    rate_scaling: Literal["none", "linear", "sqrt"] = Field(
        "none",
        description="factor of learning_rate where batch_is device: 1 (published), the"
        " number of devices, or its square root",
    )

    @model_validator(mode="after")
    def _engine_can(self) -> "KerasTraining":
        if self.precision not in _PRECISIONS:
            raise ValueError(
                f"precision: keras has {', '.join(_PRECISIONS)}, not {self.precision}"
            )
        if self.schedule.name == "cyclic" or self.schedule.cycles_momentum:
            raise ValueError(
                "schedule: keras has no cyclic, and with onecycle it moves no momentum;"
                " set cycle_momentum to false"
            )
        if self.swa is not None:
            raise ValueError("swa: keras has none; use ema")
        if self.rate_scaling != "none" and self.batch_is == "whole":
            raise ValueError("rate_scaling: a whole batch does not grow; leave it out")
        return self
