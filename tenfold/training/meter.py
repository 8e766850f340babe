"""Times a pass over samples: clock, waiting, memory, and the use of the device."""

import threading
import time

import torch

from tenfold.training.measured import Timing
from tenfold.training.memory import forget_peak, peak_bytes

_SECONDS_BETWEEN_LOOKS = 0.1


class Meter:
    """Measures from when it is made until `timing`.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._gpu = device if device.type == "cuda" else None
        self._usage = None if self._gpu is None else _Usage(self._gpu)
        if self._gpu is None:
            forget_peak()
        else:
            torch.cuda.synchronize(self._gpu)
            torch.cuda.reset_peak_memory_stats(self._gpu)
        self._cpu, self._started = time.process_time(), time.monotonic()

    def timing(self, samples: int, steps: int, waited: float | None = None) -> Timing:
        """Return what was measured; `waited` is in seconds."""
        if self._gpu is not None:
            torch.cuda.synchronize(self._gpu)
        seconds = time.monotonic() - self._started
        cpu = time.process_time() - self._cpu
        if self._gpu is None or self._usage is None:
            used: float | None = cpu / seconds / torch.get_num_threads()
            peak = peak_bytes()
        else:
            used = self._usage.end()
            peak = torch.cuda.max_memory_allocated(self._gpu)
        share = None if waited is None else waited / seconds
        return Timing(samples, steps, seconds, share, used, peak)


class _Usage(threading.Thread):
    """Asks a GPU's driver from time to time how much of it is used."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(daemon=True)
        self._device = device
        self._found: list[float] = []
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Look until told to end; where there is nobody to ask, not at all."""
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                self._found.append(torch.cuda.utilization(self._device) / 100)
            except (ModuleNotFoundError, RuntimeError):
                return

    def end(self) -> float | None:
        """Return the mean share."""
        self._ended.set()
        self.join()
        return sum(self._found) / len(self._found) if self._found else None


def device_name(device: torch.device) -> str:
    """Return what people call a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
