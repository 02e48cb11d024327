"""Named points at which a test can kill the process, to prove that a kill there changes nothing.

``RAYPIPE_FAULT=<point>`` kills the process with SIGKILL the first time it passes the point,
``RAYPIPE_FAULT=<point>:<n>`` the n-th time. ``RAYPIPE_FAULT_ONCE=<path>`` limits this to one
process in all: the first to create the file dies. Unset, a point costs one look-up.
"""

from __future__ import annotations

import os
import signal

_passed: dict[str, int] = {}
_NAMES = ("RAYPIPE_FAULT", "RAYPIPE_FAULT_ONCE")


def wanted_faults() -> dict[str, str]:
    """The faults that this process's environment asks for, to hand to a worker of a cluster that
    was started before they were set.
    """
    return {name: os.environ[name] for name in _NAMES if name in os.environ}


def fault_point(name: str) -> None:
    """Dies here when the environment asks for it; does nothing otherwise."""
    wanted = os.environ.get("RAYPIPE_FAULT")
    if not wanted:
        return
    point, _, nth = wanted.rpartition(":")
    if not nth.isdigit():
        point, nth = wanted, "1"
    if point != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] != int(nth):
        return
    marker = os.environ.get("RAYPIPE_FAULT_ONCE")
    if marker:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
