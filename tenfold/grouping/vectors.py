"""Own embeddings made ready for cosines: unit rows to propose, float64 to decide."""

import numpy as np
import numpy.typing as npt

from tenfold.errors import TenfoldError

IntArray = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

_VALUES_AT_ONCE = 1 << 22  # float64 values of one temporary: 32 MiB


class Vectors:
    """Embeddings, and what cosines of them need.

    No copy of the embeddings is kept, and none in float64 is ever made whole: rows
    are scaled when they are asked for.

    Args:
        embeddings: (N, D) finite values.

    Attributes:
        nonzero: (N,) whether a row has any value but zero.
        margin: by how much a cosine from unit rows in float32 may be off. A dot
            product of D terms in any order errs by at most D·u·|x|·|y| (Higham,
            "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1) and
            rounding two rows to float32 adds a few u; eps is 2 u.

    Raises:
        TenfoldError: an embedding holds a value that is not finite.
    """

    def __init__(self, embeddings: npt.NDArray[np.floating]) -> None:
        self._rows = np.asarray(embeddings)
        n, width = self._rows.shape
        self.nonzero = np.zeros(n, dtype=np.bool_)
        self.margin = (width + 8) * float(np.finfo(np.float32).eps)
        self._exponent = np.zeros(n, dtype=np.int32)
        self._square = np.zeros(n, dtype=np.float64)
        self._step = max(1, _VALUES_AT_ONCE // max(1, width))
        for start in range(0, n, self._step):
            self._prepare(slice(start, start + self._step))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def width(self) -> int:
        """D, the number of features."""
        return int(self._rows.shape[1])

    def unit(self, rows: slice | IntArray) -> Float32Array:
        """Scale rows to length one in float32; rows of zeros stay zeros."""
        norm = np.sqrt(self._square[rows])
        unit = self._scaled(rows) / np.where(norm > 0, norm, 1.0)[:, None]
        return unit.astype(np.float32)

    def units(self) -> Float32Array:
        """Scale all rows to length one: (N, D)."""
        units = np.empty(self._rows.shape, dtype=np.float32)
        for start in range(0, len(self), self._step):
            rows = slice(start, start + self._step)
            units[rows] = self.unit(rows)
        return units

    def cosines(self, pairs: IntArray) -> Float64Array:
        """Score pairs one by one in float64 as x·y / √(x·x · y·y).

        √(d·d) equals d in IEEE arithmetic, so equal rows score exactly 1. A pair's
        score depends on its two rows alone, not on what it is scored together with.

        Args:
            pairs: (P, 2) rows, none of them zero.

        Returns:
            (P,) cosines, at most 1.
        """
        cosine = np.empty(len(pairs), dtype=np.float64)
        for start in range(0, len(pairs), self._step):
            i, j = pairs[start : start + self._step].T
            dot = (self._scaled(i) * self._scaled(j)).sum(axis=1)
            lengths = np.sqrt(self._square[i] * self._square[j])
            cosine[start : start + self._step] = dot / lengths
        return np.minimum(cosine, 1.0)

    def _prepare(self, rows: slice) -> None:
        """Find the exponents and squared lengths of some rows."""
        values = self._rows[rows].astype(np.float64)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise TenfoldError(
                f"embedding {rows.start + int(np.argmin(finite))} holds a value that"
                " is not finite"
            )
        peak = np.abs(values).max(axis=1, initial=0.0)
        self.nonzero[rows] = peak > 0
        self._exponent[rows] = np.frexp(peak)[1]
        scaled = self._scaled(rows)
        self._square[rows] = (scaled * scaled).sum(axis=1)

    def _scaled(self, rows: slice | IntArray) -> Float64Array:
        """Bring each row's largest magnitude to 0.5..1, so that no square overflows.

        Scaling by powers of two is exact: it changes no cosine, not even in its last
        bit.
        """
        values = self._rows[rows].astype(np.float64)
        return np.ldexp(values, -self._exponent[rows][:, None])
