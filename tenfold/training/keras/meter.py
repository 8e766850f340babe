"""Times a pass over samples: clock, waiting and memory."""

import time

import tensorflow as tf

from tenfold.training.keras.process import threads_used
from tenfold.training.measured import Timing
from tenfold.training.memory import forget_peak, peak_bytes

_GPU = "GPU:0"


class Meter:
    """Measures from when it is made until `timing`: of several GPUs, the first."""

    def __init__(self) -> None:
        self._on_gpu = bool(tf.config.list_physical_devices("GPU"))
        tf.test.experimental.sync_devices()
        if self._on_gpu:
            tf.config.experimental.reset_memory_stats(_GPU)
        else:
            forget_peak()
        self._cpu, self._started = time.process_time(), time.monotonic()

    def timing(self, samples: int, steps: int, waited: float | None = None) -> Timing:
        """Return what was measured; `waited` is in seconds.

        TensorFlow does not tell how much of a GPU is used.
        """
        tf.test.experimental.sync_devices()
        seconds = time.monotonic() - self._started
        cpu = time.process_time() - self._cpu
        if self._on_gpu:
            used = None
            peak = tf.config.experimental.get_memory_info(_GPU)["peak"]
        else:
            used, peak = cpu / seconds / threads_used(), peak_bytes()
        share = None if waited is None else waited / seconds
        return Timing(samples, steps, seconds, share, used, peak)


def device_name() -> str:
    """Return what people call the first device."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU, {threads_used()} threads"
    details = tf.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", gpus[0].name))
