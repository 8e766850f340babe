"""How much memory this process has taken."""

import contextlib
import resource
import sys
from pathlib import Path

_STATUS, _REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: Written to clear_refs, it sets the high-water mark to what is resident now.
_FORGET = "5"


def peak_bytes() -> int:
    """Return the most memory that was resident since the start, or since `forget_peak`.

    Where the kernel keeps a mark of this program alone, that is it; what `getrusage`
    says also covers whoever started it.
    """
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> None:
    """Begin to look for the peak anew, where the system can."""
    with contextlib.suppress(OSError):
        _REFERENCES.write_text(_FORGET, "ascii")
