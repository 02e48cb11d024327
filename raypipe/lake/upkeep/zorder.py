"""The order of rows along a Z-curve, so that rows near in several columns lie in the same files.

Each column's values become ranks by frequency (equal values get one rank, no value the least), the
ranks are scaled to the same number of bits, and the bits of all columns are interleaved, the most
significant first. That is Morton's order of 1966 over quantiles, which is what other Delta engines
call Z-order. A row's key depends on no unit and no outlier of a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MOST_BITS = 16  # of one column: 65,536 quantiles, more than a file has row groups


def z_order(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The rows along the Z-curve of some columns; rows with one key keep their order."""
    if frame.height == 0:
        return frame
    key = z_key([ranks(frame[name]) for name in columns])
    return frame[pl.Series(np.argsort(key, kind="stable"))]


def ranks(column: pl.Series) -> NDArray[np.uint64]:
    """Each value's place among all, from 0 (no value) to the number of rows."""
    placed: NDArray[np.uint64] = column.rank("min").fill_null(0).to_numpy().astype(np.uint64)
    return placed


def z_key(columns: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Ranks of several columns, interleaved bit by bit into one number of at most 64 bits."""
    bits = min(_MOST_BITS, 64 // len(columns))
    scaled = [_scaled(one, bits) for one in columns]
    key = np.zeros(len(scaled[0]), dtype=np.uint64)
    for bit in range(bits - 1, -1, -1):
        for one in scaled:
            key = (key << np.uint64(1)) | ((one >> np.uint64(bit)) & np.uint64(1))
    return key


def _scaled(rank: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    most = int(rank.max())
    if most < 2**bits:
        return rank << np.uint64(max(0, bits - max(1, most.bit_length())))
    scaled: NDArray[np.uint64] = (rank.astype(float) * ((2**bits - 1) / most)).astype(np.uint64)
    return scaled
