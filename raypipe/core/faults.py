"""Named points at which a test can kill the process, to prove that a kill there changes nothing.

``RAYPIPE_FAULT=<point>`` kills the process with SIGKILL the first time it passes the point,
``RAYPIPE_FAULT=<point>:<n>`` the n-th time. ``RAYPIPE_FAULT_ONCE=<path>`` limits this to one process
in all: the first to create the file dies. Unset, a point costs one look-up.
"""

from __future__ import annotations

import os
import signal

_passed: dict[str, int] = {}


def fault_point(name: str) -> None:
    """Dies here when the environment asks for it; does nothing otherwise."""
    wanted = os.environ.get("RAYPIPE_FAULT")
    if not wanted:
        return
    point, _, nth = wanted.partition(":")
    if point != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] != int(nth or 1):
        return
    marker = os.environ.get("RAYPIPE_FAULT_ONCE")
    if marker:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
