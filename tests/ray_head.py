"""A Ray cluster that is not the library's own: ``ray start --head`` on loopback, with a token."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
# what an activated environment has: a plain job's `python` is started from there
PATH = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
_NAMES = (
    "port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
    "metrics-export-port", "ray-client-server-port",
)  # fmt: skip


@contextmanager
def token() -> Iterator[None]:
    """A token for the block's cluster and its clients, whatever the user's home holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAYPIPE_LAKE"):
            patch.delenv(name, raising=False)
        yield


@contextmanager
def head(environment: dict[str, str] | None = None) -> Iterator[str]:
    """The address of the job server of a head node, for the time of the block."""
    folder = tempfile.mkdtemp(prefix="rp-head-", dir="/tmp")
    ports = free_ports(len(_NAMES))
    log = Path(folder) / "start.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                str(BIN / "ray"), "start", "--head", "--block", "--dashboard-host=127.0.0.1",
                "--num-cpus=2", "--disable-usage-stats", f"--temp-dir={folder}",
                *(f"--{name}={port}" for name, port in zip(_NAMES, ports, strict=True)),
            ],
            stdout=out, stderr=out, start_new_session=True,
            env={
                **os.environ,
                **(environment or {}),
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback only
                "RAY_LOG_TO_STDERR": "0",
            },
        )  # fmt: skip
    address = f"http://127.0.0.1:{ports[1]}"
    try:
        deadline = time.monotonic() + 240
        while not _serves(f"{address}/api/version"):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(log.read_text())
            time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)  # it may take half a minute, and nothing in it is worth that
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _serves(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True  # it wants a token
    except OSError:
        return False
    return True
