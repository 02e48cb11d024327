"""Says that a process of a local Ray has ended by itself, before Ray ends the driver because of it.

A driver whose raylet is gone is ended by Ray's own code, at its next word to the raylet, with exit
code 1: no exception, no ``atexit``, and the reason stands only in a log of a temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from raypipe.engine import processes

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = ("gcs_server", "raylet")
_SHOWN = 6
_TAIL_BYTES = 64 * 1024
_STDERR = 2  # the descriptor itself: whoever took ``sys.stderr`` may not live to show it


def watch(folder: str, expected: Callable[[], bool]) -> None:
    """Watches the raylet and the control store that this process started for a folder.

    Args:
        folder: Ray's temporary folder.
        expected: asked when one has ended; nothing is said where it is true.
    """
    if not hasattr(os, "pidfd_open"):  # Linux alone tells of an end without waiting for it
        return
    for process in processes.started_for(folder):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{process.pid}/comm").read_text().strip()
            if name in _NAMES:
                end = os.pidfd_open(process.pid)
                work = (name, process.pid, end, folder, expected)
                threading.Thread(
                    target=_watch_one, args=work, name=f"raypipe-watch-{name}", daemon=True
                ).start()


def _watch_one(name: str, pid: int, end: int, folder: str, expected: Callable[[], bool]) -> None:
    try:
        select.select([end], [], [])
        if not expected():
            os.write(_STDERR, told(name, pid, _way(end), folder).encode(errors="replace"))
    except OSError:
        pass  # nobody is there to be told
    finally:
        os.close(end)


def _way(end: int) -> str:
    """How a child ended; it is left to whoever waits for it."""
    try:
        found = os.waitid(os.P_PIDFD, end, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except OSError:
        return ""
    if found is None:
        return ""
    what = "exit code" if found.si_code == os.CLD_EXITED else "signal"
    return f" with {what} {found.si_status}"


def told(name: str, pid: int, way: str, folder: str) -> str:
    """What is said: which process ended, how, what comes of it, and its last grave messages."""
    what = f"{name} (process {pid}) of the local Ray has ended by itself{way}"
    comes = "Ray may now end this program with exit code 1 and say nothing"
    lines = [f"raypipe: {what}. {comes}. From its logs:"]
    for log in sorted(Path(folder).glob(f"session_2*/logs/{name}.*")):
        with contextlib.suppress(OSError):
            text = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").splitlines()
            grave = [line for line in text if " E " in line[:40] or " C " in line[:40]]
            last = (grave or [line for line in text if line.strip()])[-_SHOWN:]
            lines += [f"  {log.name}: {line[:400]}" for line in last]
    return "\n".join([*lines, ""])
