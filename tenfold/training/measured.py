"""How fast a member trains and predicts, as an engine measured it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """What a pass over some samples took.

    Attributes:
        samples: that went through.
        steps: of the optimiser; of inference, batches.
        seconds: of the clock on the wall.
        waited: share of them in which the network waited for its batch; None where
            that is not known apart.
        used: share of the device: of a GPU as its driver says, of a CPU the time of
            all threads over that of the threads there are; None where nobody says.
        peak_bytes: most memory taken: of the GPU, or of the process.
    """

    samples: int
    steps: int
    seconds: float
    waited: float | None
    used: float | None
    peak_bytes: int


@dataclass(frozen=True)
class Measured:
    """What a member takes here.

    Attributes:
        device: its name.
        parameters: of the network.
        pixels: of a training example.
        whole_pixels: of a whole sample.
        training: as it is, each batch read and prepared.
        repeated: the same batch again and again, already on the device.
        inference: of whole samples, as out-of-fold and test, reading included.
    """

    device: str
    parameters: int
    pixels: int
    whole_pixels: int
    training: Timing
    repeated: Timing
    inference: Timing
