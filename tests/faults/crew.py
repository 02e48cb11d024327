"""Processes that start in milliseconds: forked from one that has imported everything and idles.

A test that kills a writer fifty times cannot pay a second of imports each time, and a test process
whose engines run threads must not fork itself. ``Crew`` starts one plain Python process, which
imports the lake, touches nothing, and forks once for each member.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

HOME = Path(__file__).parents[2]
_QUIET = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def await_marker(marker: Path, process: subprocess.Popen[Any], timeout: float = 300.0) -> None:
    """Waits until a file is there, or the process that makes it ended, or for so many seconds."""
    limit = time.monotonic() + timeout
    while not marker.exists() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)


class Member:
    """One forked process. Its end is a signal as a negative number, or an exit status."""

    def __init__(self, crew: Crew, pid: int, role: str) -> None:
        self._crew, self.pid, self.role = crew, pid, role
        self.status: int | None = None

    def kill(self) -> None:
        """SIGKILL, if it is still there."""
        self._crew.listen(0.0)
        if self.status is None:
            with suppress(ProcessLookupError):  # it ended by itself just now
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = 120.0) -> int:
        """How it ended."""
        limit = time.monotonic() + timeout
        while self.status is None:
            left = limit - time.monotonic()
            if left <= 0:
                self.kill()
                raise TimeoutError(f"{self.role} {self.pid} runs for more than {timeout} s")
            self._crew.listen(left)
        return self.status


class Crew:
    """Starts members; the roles are functions of ``tests.faults.roles``."""

    def __init__(self, log: Path, module: str = "tests.faults.roles") -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("RAYPIPE_FAULT")}
        env |= {**_QUIET, "PYTHONPATH": str(HOME)}
        self.log = log
        self._members: dict[int, Member] = {}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.crew", module],
                env=env,
                cwd=HOME,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._hear()

    def start(self, role: str, /, env: dict[str, str] | None = None, **arguments: Any) -> Member:
        """A process that runs ``role(**arguments)`` with some variables in its environment."""
        assert self._process.stdin
        order = {"role": role, "arguments": arguments, "env": env or {}}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        pid = None
        while pid is None:
            pid = self._hear().get("started")
        member = self._members[pid] = Member(self, pid, role)
        return member

    def listen(self, timeout: float) -> None:
        """Hears of ends, the first of them within so many seconds."""
        assert self._process.stdout
        while select.select([self._process.stdout], [], [], timeout)[0]:
            self._hear()
            timeout = 0.0

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout
        # Byte by byte would be slow, more than a line would hide lines from select.
        line = _line(self._process.stdout)
        if not line:
            raise AssertionError(f"the crew is gone: {self.log.read_text()[-2000:]}")
        told: dict[str, Any] = json.loads(line)
        if "ended" in told:
            self._members[told["ended"]].status = told["status"]
        return told

    def told(self) -> str:
        """The last words of members that failed."""
        return self.log.read_text()[-3000:]

    def close(self) -> None:
        """Ends every member that is left, and the crew."""
        for member in self._members.values():
            member.kill()
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def _line(pipe: IO[bytes]) -> bytes:
    out = b""
    while not out.endswith(b"\n"):
        one = os.read(pipe.fileno(), 1)
        if not one:
            return b""
        out += one
    return out


def _say(**told: Any) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _member(order: dict[str, Any], module: Any) -> None:
    os.setsid()
    os.dup2(2, 1)
    os.environ.update(order["env"])
    status = 1
    try:
        getattr(module, order["role"])(**order["arguments"])
        status = 0
    except BaseException:  # noqa: BLE001 - told, and then the process ends
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def main(name: str) -> None:
    """Idles, forks on demand, and tells who ended how."""
    import importlib

    import pandas  # noqa: F401 - pyarrow would import it in each member
    import pyarrow.parquet  # noqa: F401

    module = importlib.import_module(name)
    _say(ready=True)
    waiting, left = b"", 0
    while True:
        if select.select([0], [], [], 0.005 if left else 10.0)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            waiting += data
            while b"\n" in waiting:
                line, waiting = waiting.split(b"\n", 1)
                pid = os.fork()
                if pid == 0:
                    _member(json.loads(line), module)
                left += 1
                _say(started=pid)
        while left:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            left -= 1
            _say(ended=pid, status=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1])
