"""Numbers as text: what str says of each, joined by blanks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.codecs.decimal import spaced

EDGES = [0, 1, 9, 10, 99, 100, 999, 1000, 1001, 1099, 999_999, 10**6, 2**32, 2**63 - 1]


@given(st.lists(st.integers(0, 2**63 - 1)))
def test_any_numbers(numbers):
    assert spaced(np.array(numbers, np.int64), max(numbers, default=0)) == " ".join(
        map(str, numbers)
    )


@pytest.mark.parametrize("most", EDGES)
def test_around_every_change_of_width(most):
    numbers = [n for edge in EDGES for n in (edge - 1, edge) if 0 <= n <= most]
    assert spaced(np.array(numbers, np.int64), max(numbers, default=0)) == " ".join(
        map(str, numbers)
    )
