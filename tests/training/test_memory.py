"""The peak is of this process, and can be looked for anew."""

import subprocess
import sys

import numpy as np

from tenfold.training.memory import forget_peak, peak_bytes

BLOCK = 200_000_000


def test_the_peak_stays_until_it_is_forgotten():
    forget_peak()
    before = peak_bytes()
    np.ones(BLOCK, np.uint8)
    held = peak_bytes()
    assert held - before > 0.9 * BLOCK
    # The block is gone, its mark is not.
    assert peak_bytes() == held
    forget_peak()
    assert held - peak_bytes() > 0.9 * BLOCK


def test_a_process_does_not_answer_for_who_started_it():
    kept = np.ones(BLOCK, np.uint8)
    code = "from tenfold.training.memory import peak_bytes; print(peak_bytes())"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert 1e6 < int(found.stdout) < kept.nbytes
