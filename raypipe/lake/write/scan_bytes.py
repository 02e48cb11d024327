"""How often bytes stand in a text, at the speed of memory and beside other threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP = 1 << 16
"""Bytes that are looked at in one go: they and what is found of them stay in the cache."""


def as_bytes(data: bytes | memoryview) -> NDArray[np.uint8]:
    """The bytes as numbers, not copied."""
    return np.frombuffer(data, dtype=np.uint8)


def count(text: NDArray[np.uint8], *values: int) -> list[int]:
    """How often each of the values stands in a text."""
    found = np.empty(_STEP, dtype=np.bool_)
    totals = [0] * len(values)
    for begin in range(0, len(text), _STEP):
        piece = text[begin : begin + _STEP]
        hits = found[: len(piece)]
        for k, value in enumerate(values):
            np.equal(piece, value, out=hits)
            totals[k] += int(np.count_nonzero(hits))
    return totals


def positions(text: NDArray[np.uint8], value: int) -> NDArray[np.int64]:
    """Where a value stands."""
    found = [
        np.flatnonzero(text[begin : begin + _STEP] == value) + begin
        for begin in range(0, len(text), _STEP)
    ]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
