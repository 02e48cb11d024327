"""A job server that is lost while a job is followed."""

from __future__ import annotations

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from raypipe.core.errors import EngineError
from raypipe.engine import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server(ThreadingHTTPServer):
    daemon_threads = True
    info_status = 500


class Handler(BaseHTTPRequestHandler):
    """Tells its version, and refuses to tell of any job."""

    server: Server

    def do_GET(self) -> None:
        known = self.path == "/api/version"
        body = json.dumps({"version": "4", "ray_version": "2.60.0", "ray_commit": "c"}).encode()
        self.send_response(200 if known else self.server.info_status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if not known:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


async def one_line(_: Any, __: str) -> Any:
    yield "hello\n"


async def broken(_: Any, __: str) -> Any:
    yield "hello\n"
    raise RuntimeError("WebSocket connection closed unexpectedly")


def test_output_that_cannot_be_had_is_an_engine_error(address: str) -> None:
    job = jobs.Job(id="raysubmit_a", address=address)
    with pytest.raises(EngineError, match="raysubmit_a") as caught:
        jobs.follow(job, io.StringIO())  # the server has no log to tail
    assert not isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize("tail", [one_line, broken])
def test_a_server_that_is_lost_midway_is_an_engine_error(
    address: str, monkeypatch: pytest.MonkeyPatch, tail: Any
) -> None:
    from ray.job_submission import JobSubmissionClient

    monkeypatch.setattr(JobSubmissionClient, "tail_job_logs", tail)
    out = io.StringIO()
    with pytest.raises(EngineError, match="ray job status raysubmit_a"):
        jobs.follow(jobs.Job(id="raysubmit_a", address=address), out)
    assert out.getvalue() == "hello\n"


def test_an_output_that_is_closed_is_not_the_servers_fault(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.job_submission import JobSubmissionClient

    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(JobSubmissionClient, "tail_job_logs", one_line)
    with pytest.raises(BrokenPipeError):
        jobs.follow(jobs.Job(id="raysubmit_a", address=address), Closed())
