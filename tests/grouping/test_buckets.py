"""Rows in buckets on disk against a dict of lists."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import TenfoldError
from tenfold.grouping.buckets import Buckets

PIECES = st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 99))))


@settings(max_examples=50, deadline=None)
@given(PIECES)
def test_rows_come_back_by_bucket_in_the_order_they_were_added(pieces):
    kind = np.dtype([("value", "u8"), ("small", "i2")])
    wanted = {bucket: [] for bucket in range(5)}
    with tempfile.TemporaryDirectory() as folder:
        buckets = Buckets(Path(folder) / "rows", kind, 5)
        for piece in pieces:
            rows = np.array([(value, -value) for _, value in piece], dtype=kind)
            numbers = np.array([bucket for bucket, _ in piece], dtype=np.int64)
            buckets.add(rows, numbers)
            for bucket, value in piece:
                wanted[bucket].append((value, -value))
        for bucket in range(5):
            found = buckets.read(bucket)
            assert found.dtype == kind
            assert found.tolist() == wanted[bucket]


def test_a_disk_that_takes_nothing_is_named_with_the_cure(tmp_path):
    buckets = Buckets(tmp_path / "rows", np.dtype("u8"), 2)
    (tmp_path / "rows").rmdir()
    with pytest.raises(TenfoldError, match=r"files in .*rows: .*point TMPDIR to"):
        buckets.add(np.arange(3, dtype="u8"), np.zeros(3, dtype=np.int64))
