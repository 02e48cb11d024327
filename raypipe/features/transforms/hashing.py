"""Hashes of our own: of texts for buckets, of row places for folds. They never change.

``text_hash`` is CRC-32 (ISO 3309, as zlib computes it) of the bytes, followed by the finaliser of
MurmurHash3 (Appleby, 2011), which spreads what CRC-32, being linear, leaves in patterns. A bucket
is the high part of ``hash * width``, so any width is filled evenly. None of it is safe against
somebody who looks for collisions.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

_MASK = 0xFFFFFFFF
_AT_ONCE = 2**14  # hashes of rows: they stay in the processor's cache
_UInts = npt.NDArray[np.uint32]
_Wide = npt.NDArray[np.uint64]


def text_hash(data: bytes) -> int:
    """32 bits of the bytes."""
    h = zlib.crc32(data)
    h = (h ^ (h >> 16)) * 0x85EBCA6B & _MASK
    h = (h ^ (h >> 13)) * 0xC2B2AE35 & _MASK
    return h ^ (h >> 16)


def text_bucket(data: bytes, width: int) -> int:
    """The bucket of the bytes, of ``width``: 0 to ``width - 1``."""
    return text_hash(data) * width >> 32


def span_buckets(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    width: int,
) -> npt.NDArray[np.int64]:
    """``text_bucket`` of ``data[start:stop]`` for many spans at once."""
    crc = np.full(len(starts), _MASK, np.uint32)
    for step in range(int((stops - starts).max(initial=0))):
        place = starts + step
        inside = place < stops
        if inside.all():
            crc = _next(crc, data[place])
        else:
            crc[inside] = _next(crc[inside], data[place[inside]])
    h = crc ^ np.uint32(_MASK)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    wide: _Wide = h.astype(np.uint64) * np.uint64(width)
    return (wide >> np.uint64(32)).astype(np.int64)


def row_hash(part: int, first_row: int, rows: int) -> _Wide:
    """64 bits for each row of a part from its place alone: no seed, no value of the row.

    The hash of row ``r`` of part ``p`` is ``mix(mix(p) + r)``, where ``mix`` is one step of
    SplitMix64 (Steele, Lea and Flood, 2014) and sums are taken modulo 2**64.
    """
    found = np.arange(first_row, first_row + rows, dtype=np.uint64)
    found += _mix(np.array([part], np.uint64))
    for start in range(0, rows, _AT_ONCE):
        _mix(found[start : start + _AT_ONCE])
    return found


def _next(crc: _UInts, byte: npt.NDArray[np.uint8]) -> _UInts:
    found: _UInts = _CRC[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return found


def _crc_table() -> _UInts:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = (table & np.uint32(1)) * np.uint32(0xEDB88320)
        table = (table >> np.uint32(1)) ^ odd
    return table


_CRC = _crc_table()


def _mix(values: _Wide) -> _Wide:
    # In place. Arrays wrap around silently in numpy, which is what the sums modulo 2**64 need.
    values += np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
