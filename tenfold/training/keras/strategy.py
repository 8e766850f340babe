"""The devices that train together, and what each gets of a batch.

One device and several are one code path: TensorFlow's OneDeviceStrategy and
MirroredStrategy. The devices are a machine's GPUs or, without any, its CPU. The path
for several is tested on a CPU that is split in two; on several GPUs it was not run.
"""

from typing import Any, Literal

import tensorflow as tf

from tenfold.data.arrays import Arrays
from tenfold.errors import TrainingError
from tenfold.training.keras.options import KerasTraining

#: Power of the number of devices that the learning rate's peak is multiplied with.
_SCALING = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}


def strategy_of(devices: Literal["all", "one"]) -> tf.distribute.Strategy:
    """Return what runs a step on the first device, or on all."""
    gpus = tf.config.list_logical_devices("GPU")
    names = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
    if devices == "one" or len(names) == 1:
        return tf.distribute.OneDeviceStrategy(names[0])
    return tf.distribute.MirroredStrategy(names)


def on_devices(training: KerasTraining, devices: int) -> KerasTraining:
    """Return a training as all devices together do it.

    With `batch_is` device, a batch is as many times larger, and the peak of the
    learning rate is scaled as `rate_scaling` says; rates that a schedule names by
    themselves (`minimum_rate`, `tail`) are not.

    Raises:
        TrainingError: a batch cannot be shared out evenly, or the step cannot be
            compiled.
    """
    if training.compile and devices > 1:
        raise TrainingError(
            f"compile: a step on {devices} devices cannot be compiled; set"
            " training.devices to one, or training.compile to false"
        )
    if training.batch_is == "device":
        rate = training.learning_rate * devices ** _SCALING[training.rate_scaling]
        changed = {"batch": training.batch * devices, "learning_rate": rate}
        return training.model_copy(update=changed)
    _check_shares(training.batch, devices, "training.batch")
    return training


def share_out(strategy: tf.distribute.Strategy, batch: Arrays) -> Any:
    """Give each device its part of a batch, in order.

    Raises:
        TrainingError: it cannot be shared out evenly.
    """
    devices, samples = strategy.num_replicas_in_sync, len(next(iter(batch.values())))
    _check_shares(samples, devices, "a batch")
    part = samples // devices

    places = strategy.extended.worker_devices

    def part_of(context: tf.distribute.ReplicaContext) -> dict[str, tf.Tensor]:
        place = context.replica_id_in_sync_group
        mine = slice(place * part, (place + 1) * part)
        with tf.device(places[place]):
            return {
                name: tf.convert_to_tensor(array[mine]) for name, array in batch.items()
            }

    return strategy.experimental_distribute_values_from_function(part_of)


def _check_shares(samples: int, devices: int, what: str) -> None:
    if samples % devices:
        raise TrainingError(
            f"{what} of {samples} cannot be shared out evenly to {devices} devices;"
            f" make it a multiple of {devices}, or set training.devices to one"
        )
