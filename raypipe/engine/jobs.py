"""Runs a script as a job on a running Ray cluster, and waits for it as for a local program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from raypipe.core.errors import ConfigError, EngineError, SourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
MAX_FOLDER_BYTES = 100 * 1024**2
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FINAL = ("SUCCEEDED", "FAILED", "STOPPED")

_AGENT_WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that a cluster took.

    Attributes:
        id: its name on the cluster.
        address: the cluster's job server.
    """

    id: str
    address: str

    @property
    def stop_command(self) -> str:
        """The shell command that stops it."""
        return f"ray job stop {self.id} --address {self.address}"


def job_address(address: str | None = None) -> str:
    """The job server to use: the one given, else RAY_API_SERVER_ADDRESS, RAY_ADDRESS, loopback."""
    named = os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")
    return address or named or DEFAULT_ADDRESS


def submit(
    script: str,
    args: Sequence[str] = (),
    *,
    address: str | None = None,
    working_dir: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Job:
    """Sends a Python script to a cluster, which starts it on its head node.

    The cluster gets a copy of ``working_dir``. A cluster on another machine also gets this
    installed raypipe; one on this machine has it.

    Args:
        script: a Python file in ``working_dir``.
        args: its arguments.
        address: the job server; see ``job_address``.
        working_dir: the folder that the job runs in; default the script's.
        env: environment variables of the job.

    Raises:
        SourceNotFoundError: there is no such script.
        ConfigError: the script is not in ``working_dir``, or that holds over 100 MiB.
        EngineError: the job server cannot be reached or refuses the job.
    """
    path = Path(script).resolve()
    if not path.is_file():
        raise SourceNotFoundError("there is no such script", script, field="script")
    folder = Path(working_dir).resolve() if working_dir else path.parent
    if not path.is_relative_to(folder):
        raise ConfigError(
            "the script is not in the folder that is sent",
            str(path),
            f"Move it into {folder} or name another --working-dir.",
            "working_dir",
        )
    _check_size(folder)
    where = job_address(address)
    runtime_env: dict[str, Any] = {"working_dir": str(folder), "env_vars": dict(env or {})}
    python = sys.executable  # on this machine the packages of this environment are there too
    if not _is_this_machine(where):
        runtime_env["py_modules"] = [str(Path(__file__).parent.parent)]
        python = "python"
    entrypoint = shlex.join([python, "-u", path.relative_to(folder).as_posix(), *args])
    client = _client(where)
    deadline = time.monotonic() + _AGENT_WAIT_S
    while True:
        try:
            job_id = client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env)
        except RuntimeError as error:
            # a head that has just started answers before it can take a job
            if "No available agent" in str(error) and time.monotonic() < deadline:
                time.sleep(1)
                continue
            raise EngineError(
                "the cluster did not take the job",
                str(error).strip(),
                "If it asks for a token, set RAY_AUTH_MODE=token and, unless it is the one in "
                "your home, RAY_AUTH_TOKEN.",
            ) from error
        return Job(id=job_id, address=where)


def follow(job: Job, out: TextIO) -> int:
    """Copies the driver's output to ``out`` until the job ends; interrupting it leaves the job.

    Returns:
        The job's exit code: 0 when it succeeded, else the driver's, or 1 where it has none.

    Raises:
        EngineError: the job server cannot be reached, or is lost before the job ends.
    """
    client = _client(job.address)

    async def copy() -> None:
        output = client.tail_job_logs(job.id)
        while True:
            with _asking(job):
                lines = await anext(output, None)
            if lines is None:
                return
            out.write(lines)  # a failure here is the caller's, not the server's
            out.flush()

    asyncio.run(copy())
    while True:
        with _asking(job):
            info = client.get_job_info(job.id)
        if info.status.value in _FINAL:
            break
        time.sleep(0.2)
    if info.status.value == "SUCCEEDED":
        return 0
    if info.driver_exit_code is None and info.message:
        out.write(f"{info.message}\n")
    return info.driver_exit_code or 1


@contextlib.contextmanager
def _asking(job: Job) -> Iterator[None]:
    """Within the block a failure of Ray's job client is an ``EngineError``."""
    from aiohttp import ClientError

    try:
        yield
    except (RuntimeError, OSError, ClientError) as error:  # of requests: OSError
        raise EngineError(
            "the job server does not tell of the job any more",
            f"{type(error).__name__}: {str(error).strip()}",
            f"The job may go on: `ray job status {job.id} --address {job.address}` tells.",
        ) from error


def _client(address: str) -> Any:
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=10).close()
        except OSError as error:
            raise _unreachable(address, str(error)) from error
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _unreachable(address, str(error)) from error


def _unreachable(address: str, reason: str) -> EngineError:
    return EngineError(
        f"no Ray job server answers ({reason})",
        address,
        "Start one with `ray start --head`, or name it with --address http://HOST:8265.",
        "address",
    )


def _is_this_machine(address: str) -> bool:
    parts = urlsplit(address if "://" in address else f"//{address}")
    return parts.hostname in _LOOPBACK or address == "auto"


def _check_size(folder: Path) -> None:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            total += path.stat().st_size if path.is_file() else 0
            if total > MAX_FOLDER_BYTES:
                raise ConfigError(
                    "the folder to send is too large",
                    f"{folder} with over {MAX_FOLDER_BYTES // 1024**2} MiB",
                    "Put the script into a folder of its own, or name one with --working-dir; "
                    "data belongs into the lake.",
                    "working_dir",
                )
