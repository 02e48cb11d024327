"""Floats as whole numbers of the same order, which sort faster and have prefixes.

The key of a float is its bits without the sign, negated where it is negative. So keys rise as the
floats do, both zeros are 0, and the keys that begin with the same bits are an interval.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64]
_MOST = np.int64(2**63 - 1)


def keys_of(values: Floats) -> Keys:
    """The keys of floats that are not NaN."""
    bits = np.ascontiguousarray(values, np.float64).view(np.int64)
    sign = bits >> np.int64(63)
    found: Keys = bits & _MOST
    found ^= sign
    found -= sign
    return found


def floats_of(keys: Keys) -> Floats:
    """The floats of keys."""
    found: Floats = np.abs(keys).view(np.float64)
    return np.where(keys < 0, -found, found)


def in_order(keys: Keys) -> Keys:
    """The keys sorted, by one thread: several columns are at work at once."""
    return pl.Series(keys).sort(multithreaded=False).to_numpy()
