"""The processes that descend from one, as the system tells (``/proc``; nothing elsewhere)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process: an id alone may be given to another once it ends, with its start it is unique."""

    pid: int
    start: str

    def alive(self) -> bool:
        """Whether it runs still."""
        state = _stat(self.pid)
        return state is not None and state[19] == self.start and state[0] != "Z"


def _stat(pid: int) -> list[str] | None:
    """The fields of a process's ``stat`` behind its name, or ``None`` when it has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def descendants(root: int) -> list[Process]:
    """All processes below a process, without itself."""
    if not _PROC.is_dir():
        return []
    children: dict[int, list[Process]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (state := _stat(int(entry.name))):
            children.setdefault(int(state[1]), []).append(Process(int(entry.name), state[19]))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += [process.pid for process in below]
    return found


def started_for(folder: str) -> list[Process]:
    """The descendants of this process that were started with a folder, and all below them."""
    found: dict[int, Process] = {}
    for process in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if folder.encode() in (_PROC / str(process.pid) / "cmdline").read_bytes():
                found[process.pid] = process
                found |= {below.pid: below for below in descendants(process.pid)}
    return list(found.values())


def end(processes: list[Process], grace: timedelta) -> None:
    """Waits for processes to end by themselves, then ends those that did not with SIGKILL."""
    deadline = time.monotonic() + grace.total_seconds()
    while any(process.alive() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in processes:
        if process.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
