"""What a training sets for the whole process: seeds, threads, deterministic kernels.

Bits are promised for a CPU. TensorFlow has no deterministic kernel on GPUs for some
layers, and would refuse to run these; there, two runs may differ in their last digits.
"""

import os

import keras
import tensorflow as tf

from tenfold.errors import TrainingError

_VARIABLE, _OPERATIONS = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"


def prepare_process(threads: int | None) -> None:
    """Set threads, and ask for deterministic kernels where there are all.

    Args:
        threads: of the CPU; none: as they are.

    Raises:
        TrainingError: TensorFlow is at work already, in another way.
    """
    gpu = bool(tf.config.list_physical_devices("GPU"))
    if threads is not None:
        _set_threads(threads)
    if not gpu:
        tf.config.experimental.enable_op_determinism()
        _run_one_at_a_time()


def begin_network(seed: int | None = None) -> None:
    """Make what is built next independent of all that was built before.

    Layers without a name are numbered anew, so that the paths of their weights follow
    from the network alone; networks that are there stay as they are.

    Args:
        seed: of its random start; none: it will be given weights.
    """
    keras.utils.clear_session(free_memory=False)
    # What a user's own keras.json says is no part of a recipe.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
    if seed is not None:
        keras.utils.set_random_seed(seed)


def threads_used() -> int:
    """Return the CPU threads that one operation is computed with."""
    asked: int = tf.config.threading.get_intra_op_parallelism_threads()
    # TensorFlow's own variable, which counts where nothing else is asked for.
    said = int(os.environ.get(_VARIABLE, 0))
    return asked or said or len(os.sched_getaffinity(0))


def _set_threads(threads: int) -> None:
    """Set threads; TensorFlow takes a number before its first operation only."""
    if threads_used() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        raise TrainingError(
            f"threads is {threads}, but TensorFlow is at work in this process with"
            f" {threads_used()} already; train in a process of its own, or set"
            f" training.threads to {threads_used()}"
        ) from None


def _run_one_at_a_time() -> None:
    """Run one operation after the other, each on all threads.

    Of operations that run side by side, the one that is done first decides in which
    order several gradients of a weight are added, and so their last digits. TensorFlow
    takes the number before its first operation only.
    """
    if _operations_at_a_time() == 1:
        return
    try:
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        raise TrainingError(
            "TensorFlow is at work in this process already, with several operations at"
            f" a time, which is not repeatable; set {_OPERATIONS}=1 before"
        ) from None


def _operations_at_a_time() -> int:
    asked: int = tf.config.threading.get_inter_op_parallelism_threads()
    return asked or int(os.environ.get(_OPERATIONS, 0))
