"""The driver's end of the client process."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import raypipe as rp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


class ClientProcess:
    """A running client; each call is answered by a line of figures."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def replay(self, week: datetime) -> dict[str, Any]:
        """Sends a week's flights and waits until all are answered."""
        return self._ask({"week": week.isoformat()})

    def figures(self) -> dict[str, Any]:
        """What was sent since the last answer."""
        return self._ask({})

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or self._process.poll() is not None:
            raise _gone(self._process)
        stdin.write(json.dumps(command) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise _gone(self._process)
        answer: dict[str, Any] = json.loads(line)
        return answer


def _gone(process: subprocess.Popen[str]) -> rp.RaypipeError:
    return rp.errors.ServingError(
        "the client process ended", f"exit code {process.poll()}", "Run the demo again: it goes on."
    )


@contextmanager
def client_process(host: str, port: int, root: str) -> Iterator[ClientProcess]:
    """A client process for the time of the block."""
    process = subprocess.Popen(  # noqa: S603 - our own module, with our own arguments
        [sys.executable, "-m", "raypipe.demo.replay", host, str(port), root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield ClientProcess(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
