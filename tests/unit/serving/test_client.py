"""The client: what it repeats, what it does not, and what it says when it repeats."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from raypipe.core.errors import (
    ConfigError,
    ModelNotFoundError,
    PortInUseError,
    RequestError,
    ServiceUnavailableError,
    ServingError,
)
from raypipe.lake import Lake
from raypipe.serving import Service
from raypipe.serving.application import check_port
from raypipe.serving.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = timedelta(seconds=10)


class Scripted(ThreadingHTTPServer):
    """Answers with what the test lays out, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[tuple[int, Any]] = []
        self.state: dict[str, Any] = {}
        self.asked: list[tuple[dict[str, str], Any]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((dict(self.headers), body))
        status, answer = self.server.script.pop(0)
        if status == 0:
            self.close_connection = True
            return
        if answer is None:
            answer = {
                "model": "m",
                "version": 3,
                "id": body["id"],
                "predictions": [
                    {"id": f"{body['id']}:{i}", "score": 0.5} for i in range(len(body["rows"]))
                ],
            }
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """As one replica that has a version in service."""
        self.server.asked.append((dict(self.headers), None))
        state = {"replica": "one", "in_service": 1, "error": None, "refused": None}
        data = json.dumps({"parameters": state | self.server.state}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def client(server: Scripted) -> Client:
    return Client("127.0.0.1", server.server_port, "", "a token")


def test_rows_of_any_kind_are_sent_as_json(server: Scripted, client: Client) -> None:
    server.script = [(200, None)] * 3
    zone = datetime(2013, 7, 1, 5, tzinfo=UTC)
    row = {"a": np.int64(3), "b": np.float32(0.5), "t": zone, "d": date(2013, 7, 1), "n": None}
    answer = client.predict("m", [row], None, datetime(2013, 7, 1), PATIENCE)
    assert (answer.version, answer.scores, answer.ids) == (3, (0.5,), (f"{answer.id}:0",))
    assert len(answer) == 1
    client.predict("m", row, "x", None, PATIENCE)
    client.predict("m", pl.DataFrame([{"a": 1}, {"a": 2}]), "y", None, PATIENCE)
    sent = [body for _, body in server.asked]
    assert sent[0]["rows"] == [
        {"a": 3, "b": 0.5, "t": "2013-07-01T05:00:00+00:00", "d": "2013-07-01", "n": None}
    ]
    assert sent[0]["time"] == "2013-07-01T00:00:00"
    assert sent[1] == {"rows": sent[0]["rows"], "id": "x"}
    assert sent[2]["rows"] == [{"a": 1}, {"a": 2}]
    assert server.asked[0][0]["Authorization"] == "Bearer a token"
    assert "log" not in sent[1]
    with pytest.raises(RequestError):
        client.predict("m", 7, None, None, PATIENCE)
    with pytest.raises(RequestError):
        client.predict("m", [{"a": object()}], None, None, PATIENCE)


def test_a_lost_connection_is_asked_again_with_the_same_id(
    server: Scripted, client: Client
) -> None:
    server.script = [(0, None), (503, {}), (500, b"Internal Server Error"), (200, None)]
    answer = client.predict("m", [{"a": 1}], None, None, PATIENCE)
    assert {body["id"] for _, body in server.asked} == {answer.id}
    attempts = [headers.get("Raypipe-Attempt") for headers, _ in server.asked]
    assert attempts == [None, "2", "3", "4"]


def test_a_refusal_is_not_asked_again(server: Scripted, client: Client) -> None:
    refusal = {"error": {"type": "RequestError", "message": "no", "field": "temp", "row": 0}}
    server.script = [(422, refusal), (404, b"Path not found"), (500, {"error": {"message": "x"}})]
    with pytest.raises(RequestError) as caught:
        client.predict("m", [{}], None, None, PATIENCE)
    assert (caught.value.status, caught.value.field, caught.value.what) == (422, "temp", "no")
    with pytest.raises(RequestError) as caught:
        client.predict("m", [{}], None, None, PATIENCE)
    assert caught.value.status == 404
    with pytest.raises(ServingError):
        client.predict("m", [{}], None, None, PATIENCE)
    assert len(server.asked) == 3


def test_nothing_at_the_port_is_told_in_time() -> None:
    with Scripted() as gone:
        port = gone.server_port
    client = Client("127.0.0.1", port, "", None)
    with pytest.raises(ServiceUnavailableError, match=f"127.0.0.1:{port}"):
        client.predict("m", [{}], None, None, timedelta(seconds=0.3))


def test_a_busy_port_is_named(server: Scripted) -> None:
    with pytest.raises(PortInUseError, match=str(server.server_port)) as caught:
        check_port("127.0.0.1", server.server_port)
    assert caught.value.field == "port"
    with pytest.raises(ConfigError):
        check_port("203.0.113.7", 8000)


@pytest.mark.parametrize(
    ("number", "field"),
    [
        (errno.EACCES, "port"),
        (errno.EPERM, "port"),
        (errno.EADDRNOTAVAIL, "host"),
        (errno.EIO, "port"),
    ],
)
def test_a_port_that_is_not_taken_is_not_called_so(
    monkeypatch: pytest.MonkeyPatch, number: int, field: str
) -> None:
    class Refused(socket.socket):
        def bind(self, _: Any) -> None:
            raise OSError(number, "refused")

    monkeypatch.setattr(socket, "socket", Refused)
    with pytest.raises(ConfigError) as caught:
        check_port("127.0.0.1", 80)
    assert caught.value.field == field
    assert ("1023" in str(caught.value)) == (number in (errno.EACCES, errno.EPERM))


def test_a_probe_says_that_it_is_not_to_be_logged(server: Scripted, lake_root: str) -> None:
    server.script = [(200, None)] * 2
    service = Service(Lake(lake_root), "m", port=server.server_port)
    service.predict([{"a": 1}], id="probe", log=False)
    service.predict([{"a": 1}], id="real")
    assert [body.get("log") for _, body in server.asked] == [False, None]


def test_waiting_for_a_version_ends_in_time(server: Scripted, lake_root: str) -> None:
    lake = Lake(lake_root)
    one = Service(lake, "m", port=server.server_port)
    two = Service(lake, "m", port=server.server_port, replicas=2)
    assert one.wait_for(1, timedelta(seconds=1)) is one
    # the second replica is never reached; before, one is, but has another version
    for service, version, told in ((two, 1, "1 of 2"), (one, 2, "0 of 1")):
        server.asked.clear()
        start = time.monotonic()
        with pytest.raises(ServiceUnavailableError, match=told):
            service.wait_for(version, timedelta(seconds=0.5))
        assert 0.4 < time.monotonic() - start < 60  # what it waits for never comes
        assert len(server.asked) < 40  # it does not ask without pause


def test_waiting_for_a_version_that_is_refused_tells_why(server: Scripted, lake_root: str) -> None:
    service = Service(Lake(lake_root), "m", port=server.server_port)
    server.state = {"error": "SchemaError: no such column", "refused": 2}
    with pytest.raises(ServingError, match="SchemaError"):
        service.wait_for(2, PATIENCE)
    # the refusal of another version says nothing of this one
    with pytest.raises(ServiceUnavailableError):
        service.wait_for(3, timedelta(seconds=0.2))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("port", 0),
        ("port", 70_000),
        ("replicas", 0),
        ("cpus", -1),
        ("log", "maybe"),
        ("prefix", "x"),
        ("token", ""),
        ("max_rows", 0),
        ("max_body_bytes", 0),
    ],
)
def test_a_service_that_cannot_be_is_refused(lake_root: str, argument: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Service(Lake(lake_root), "m", **{argument: value})
    assert caught.value.field == argument


def test_a_model_without_a_version_in_service_is_told_before_anything_starts(
    lake_root: str,
) -> None:
    with pytest.raises(ModelNotFoundError, match="promote"):
        Service(Lake(lake_root), "m").deploy()


def test_a_service_shows_itself_without_its_token(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYPIPE_SERVICE_TOKEN", "hidden")
    service = Service(Lake(lake_root), "m", port=1, prefix="/b/")
    assert service.url == "http://127.0.0.1:1/b"
    for text in (repr(service), service._repr_html_(), repr(service._config())):
        assert "hidden" not in text
    assert not service.ready()


def test_times_may_be_a_series_or_an_array() -> None:
    import json
    from datetime import datetime

    import numpy as np
    import polars as pl

    from raypipe.serving.client import _json

    times = [datetime(2026, 1, 1), datetime(2026, 1, 2)]
    wanted = ["2026-01-01T00:00:00", "2026-01-02T00:00:00"]
    for value in (pl.Series(times), np.array(times, dtype="datetime64[us]")):
        assert json.loads(json.dumps({"time": value}, default=_json))["time"] == wanted


def test_a_service_that_was_not_deployed_says_so_at_once(lake_root: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    service = Service(Lake(lake_root), "m", port=port)
    with pytest.raises(ServingError, match=r"is not deployed: got nothing listens.*deploy\(\)"):
        service.predict([{"x": 1}], timeout=timedelta(hours=1))
