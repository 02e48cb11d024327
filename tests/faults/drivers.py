"""Processes that a test starts and that may be killed: forked from one that has imported all."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_IMPORTED = [
    "tests.faults.training_run",
    "tests.faults.loop_scenario",
    "raypipe.training.local",
    "raypipe.training.tree_session",
]


def start(work: Callable[..., None], *args: Any) -> Any:
    """Runs a function in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=work, args=args)
    process.start()
    return process


def ended(process: Any, timeout: float = 600.0) -> int:
    """The exit code of a process that is to end by itself; negative for a signal."""
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"a driver did not end in {timeout:.0f} s")
    return int(process.exitcode)


def run(work: Callable[..., None], *args: Any) -> int:
    """Runs a function in a process of its own to its end."""
    return ended(start(work, *args))
