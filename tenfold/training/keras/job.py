"""One member on one fold, as the Keras engine is told of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from tenfold.data.arrays import Float64Array
from tenfold.data.dataset import Dataset
from tenfold.errors import TrainingError
from tenfold.recipe import Precision
from tenfold.training.engines import AfterEpoch, Order, Scorer
from tenfold.training.keras.options import KerasTraining
from tenfold.training.keras.precision import built_in, check_head
from tenfold.training.keras.process import begin_network, prepare_process
from tenfold.training.keras.strategy import on_devices, strategy_of
from tenfold.training.keras.task import KerasTask
from tenfold.training.order import step_seed


@dataclass(frozen=True)
class Job:
    """One member on one fold.

    Attributes:
        training: as all devices together do it.
        train_ids: samples to learn from; `held_out_ids` are never among them.
        draw_weights: (train_ids,) chance of each to be drawn, or None.
        pictured_ids: held-out samples whose outputs are kept at chosen epochs.
        seed: of order, augmentation, dropout and the network's start.
        after_epoch: may end the training early.
    """

    task: KerasTask
    model: keras.Model
    strategy: tf.distribute.Strategy
    dataset: Dataset
    scorer: Scorer
    training: KerasTraining
    train_ids: Sequence[str]
    held_out_ids: Sequence[str]
    draw_weights: Float64Array | None
    pictured_ids: Sequence[str]
    seed: tuple[int, ...]
    after_epoch: AfterEpoch | None = None


def job_of(order: Order) -> Job:
    """Return the job that a stage orders, its network built.

    Raises:
        TrainingError: the recipe asks for what this process or machine cannot do.
    """
    task: KerasTask = order.task
    asked = order.member.training
    if not isinstance(asked, KerasTraining):
        raise TrainingError(f"member {order.member.name}: its training is not Keras's")
    prepare_process(asked.threads)
    strategy = strategy_of(asked.devices)
    training = on_devices(asked, strategy.num_replicas_in_sync)
    train_ids = order.catalogue["id"].to_list()
    channels = task.channels()
    statistics = order.dataset.statistics(channels, train_ids) if channels else None
    # The network's random start is a function of the seed, too.
    begin_network(step_seed(order.seed, 0))
    with strategy.scope():
        model = built(lambda: task.model(statistics), training.precision)
    return Job(
        task=task,
        model=model,
        strategy=strategy,
        dataset=order.dataset,
        scorer=order.scorer,
        training=training,
        train_ids=train_ids,
        held_out_ids=order.held_out_ids,
        draw_weights=task.draw_weights(order.catalogue),
        pictured_ids=order.pictured_ids,
        seed=order.seed,
        after_epoch=order.after_epoch,
    )


def built(build: Callable[[], keras.Model], precision: Precision) -> keras.Model:
    """Return a network that computes in a precision, and answers in float32.

    Raises:
        TrainingError: its head would not.
    """
    with built_in(precision):
        model = build()
    check_head(model)
    return model
