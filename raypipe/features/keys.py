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


class Room:
    """Memory for columns of a part's rows, one after the other: new memory costs more than counts.

    Args:
        rows: of the largest column.
    """

    def __init__(self, rows: int) -> None:
        self._all = np.empty((3, rows), np.int64)

    def ints(self, place: int, count: int) -> Keys:
        """One of three arrays, of so many rows."""
        return self._all[place, :count]

    def floats(self, place: int, count: int) -> Floats:
        """The same memory for floats."""
        return self.ints(place, count).view(np.float64)


def keys_of(values: Floats, room: Room | None = None) -> Keys:
    """The keys of floats that are not NaN; in a room they are its first array. Not to be changed:
    where none is negative they are the bits of the floats themselves.
    """
    bits = np.ascontiguousarray(values, np.float64).view(np.int64)
    if bits.min(initial=0) >= 0:
        return bits
    room = room or Room(len(bits))
    found, sign = room.ints(0, len(bits)), room.ints(1, len(bits))
    np.right_shift(bits, np.int64(63), out=sign)
    np.bitwise_and(bits, _MOST, out=found)
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
