"""Real object stores on loopback for tests: moto's S3 server, and azurite for Azure."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOUSE = Path(__file__).parent.parent
AZURITE = HOUSE / ".services/node_modules/azurite/dist/src/blob/main.js"
_STARTS_WITHIN_S = 60.0
_ACCOUNT = "devstoreaccount1"  # azurite's own, the same everywhere
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Place:
    """A bucket or container that tests may fill.

    Attributes:
        root: its URI.
        options: storage options that reach it.
        environment: what a process must have in its environment to reach it.
        port: where the server listens on loopback.
    """

    root: str
    options: Mapping[str, str]
    environment: Mapping[str, str]
    port: int


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to connections.

    One of those would be free now and may be taken by any connection until the server begins.
    """
    for port in random.SystemRandom().sample(range(12_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@contextlib.contextmanager
def process(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server, from when it takes connections; it is stopped by its process id."""
    with log.open("ab") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait(server, port, log)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{log.read_text()[-2000:]}")


def moto_command(port: int) -> list[str]:
    code = "import sys; from moto.server import main; main(sys.argv[1:])"
    return [sys.executable, "-W", "ignore", "-c", code, "-H", "127.0.0.1", "-p", str(port)]


def make_bucket(port: int, name: str) -> None:
    url = f"http://127.0.0.1:{port}/{name}"
    with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=30):
        pass


def s3_options(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }


@contextlib.contextmanager
def s3_place(folder: Path) -> Iterator[Place]:
    """A bucket in an S3 server of its own."""
    port = free_port()
    with process(moto_command(port), port, folder / "moto.log"):
        make_bucket(port, "box")
        yield Place("s3://box", s3_options(port), {}, port)


def azure_missing() -> str | None:
    """Why there can be no Azure server here, or None."""
    if shutil.which("node") is None:
        return "node is not installed: azurite, the Azure server, needs it"
    return None if AZURITE.exists() else "azurite is not installed: run `make services`"


@contextlib.contextmanager
def azure_place(folder: Path) -> Iterator[Place]:
    """A container in an Azure server of its own."""
    port = free_port()
    (folder / "azurite").mkdir()
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "-l", str(folder / "azurite")]
    command = ["node", str(AZURITE), *where, "--skipApiVersionCheck", "--disableTelemetry"]
    with process(command, port, folder / "azurite.log"):
        _make_container(port, "box")
        yield Place(
            "az://box",
            {"AZURE_STORAGE_USE_EMULATOR": "true"},
            {"AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}"},
            port,
        )


def _make_container(port: int, name: str) -> None:
    version = "2021-08-06"
    now = formatdate(usegmt=True)
    head = f"x-ms-date:{now}\nx-ms-version:{version}\n"
    signed = "PUT" + "\n" * 12 + head + f"/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    mark = hmac.new(base64.b64decode(_KEY), signed.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{_ACCOUNT}/{name}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": now,
            "x-ms-version": version,
            "Authorization": f"SharedKey {_ACCOUNT}:{base64.b64encode(mark).decode()}",
            "Content-Length": "0",
        },
    )
    with urllib.request.urlopen(request, timeout=30):
        pass
