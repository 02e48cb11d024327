"""Freed memory goes back to the system: allocators keep it for what may come, which is counted as
this process's as long as they do.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MMAP_THRESHOLD = -3  # its number in malloc.h
_LARGE_BYTES = 256 * 1024
_USUAL_BYTES = 32 * 1024**2  # up to which glibc raises it by itself as blocks are freed


def give_back() -> None:
    """Hands back what the allocators of C and of Arrow hold and nobody uses.

    It takes some milliseconds, so it is for the end of a phase, not for a loop. That of polars
    does so by itself, within about two seconds. Where the system's allocator cannot be asked,
    nothing happens.
    """
    arrow: Any = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    _trim()


@contextlib.contextmanager
def returned_at_once() -> Iterator[None]:
    """While it lasts, what C code allocates of a quarter of a MiB or more is handed back as soon as
    it is freed, and leaves no holes; afterwards only what is larger than glibc's own limit is.

    For the whole process. Large vectors that grow one beside the other, as in XGBoost's sketch of
    each column, else take about half as much memory again as they hold.
    """
    _option(_MMAP_THRESHOLD, _LARGE_BYTES)
    try:
        yield
    finally:
        _option(_MMAP_THRESHOLD, _USUAL_BYTES)
        give_back()


def _trim() -> None:
    if (found := _of_c("malloc_trim")) is not None:
        found(0)


def _option(number: int, value: int) -> None:
    if (found := _of_c("mallopt")) is not None:
        found(number, value)


@functools.cache
def _of_c(name: str) -> Callable[..., object] | None:
    """A function of glibc; None where that is not this process's library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[..., object] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return found
