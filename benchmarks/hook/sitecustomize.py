"""Notes when a Python process ran and when it was importing; loaded by every one.

Python imports a module of this name at its start, from a folder of PYTHONPATH; the
folder for the notes is in TENFOLD_TIMES.
"""

import atexit
import builtins
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

_STARTED = time.time()
_LEAST_SECONDS = 1e-4
_import = builtins.__import__
_inside = threading.local()
_spans: list[tuple[float, float]] = []


def _timed(*arguments: Any, **named: Any) -> Any:
    """Import as ever, and note how long the outermost import of a thread took."""
    if getattr(_inside, "yes", False):
        return _import(*arguments, **named)
    _inside.yes, begun = True, time.time()
    try:
        return _import(*arguments, **named)
    finally:
        _inside.yes, ended = False, time.time()
        if ended - begun > _LEAST_SECONDS:
            _spans.append((begun, ended))


def _write(folder: Path, owner: int) -> None:
    if os.getpid() != owner:
        return
    note = {
        "pid": owner,
        "command": sys.orig_argv,
        "started": _STARTED,
        "ended": time.time(),
        "imports": _spans,
    }
    (folder / f"{owner}.json").write_text(json.dumps(note), "utf-8")


if "TENFOLD_TIMES" in os.environ:
    builtins.__import__ = _timed
    atexit.register(_write, Path(os.environ["TENFOLD_TIMES"]), os.getpid())
