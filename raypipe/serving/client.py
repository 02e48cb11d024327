"""Asks a service over HTTP: one connection a thread, patient, and safe to repeat."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from raypipe.core.errors import RequestError, ServiceUnavailableError, ServingError

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer to one request.

    Attributes:
        model: the model that answered.
        version: the version that scored the rows.
        id: the request's id; asked again with it, the service gives this answer.
        ids: a prediction id for each row, by which labels find their predictions.
        scores: a score for each row, in their order.
    """

    model: str
    version: int
    id: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.scores)


class _Connection(http.client.HTTPConnection):
    """Closes its socket when its thread or its client goes away."""

    def __del__(self) -> None:
        self.close()


class Client:
    """An HTTP client of one service. Safe for use from several threads.

    Args:
        host: where the service listens.
        port: its port.
        prefix: what stands before each path, ``""`` for nothing.
        token: the bearer token to show.
    """

    def __init__(self, host: str, port: int, prefix: str, token: str | None) -> None:
        self._host = host
        self._port = port
        self._prefix = prefix
        self._token = token
        self._local = threading.local()

    def listens(self) -> bool:
        """Whether anything accepts connections there."""
        try:
            with socket.create_connection((self._host, self._port), timeout=2.0):
                return True
        except OSError:
            return False

    def predict(
        self,
        model: str,
        rows: Any,
        request_id: str | None,
        event_time: datetime | Sequence[datetime] | None,
        patience: timedelta,
        *,
        log: bool = True,
    ) -> Prediction:
        """Scores rows; see ``Service.predict``."""
        body: dict[str, Any] = {"rows": _plain_rows(rows), "id": request_id or uuid.uuid4().hex}
        if event_time is not None:
            body["time"] = event_time
        if not log:
            body["log"] = False
        data = json.dumps(body, default=_json).encode()
        answer = self.call("POST", f"/predict/{model}", data, patience)
        return Prediction(
            model=answer["model"],
            version=int(answer["version"]),
            id=answer["id"],
            ids=tuple(row["id"] for row in answer["predictions"]),
            scores=tuple(row["score"] for row in answer["predictions"]),
        )

    def call(self, method: str, path: str, body: bytes | None, patience: timedelta) -> Any:
        """The JSON of an answer with status 200.

        A lost connection and a status that says "later" are tried again until the patience ends,
        with growing pauses; a request that comes again says so, and the service then answers
        what it had logged.

        Raises:
            RequestError: the service refused the request (4xx).
            ServingError: the service failed on it.
            ServiceUnavailableError: it did not answer in time.
        """
        deadline = time.monotonic() + patience.total_seconds()
        pause, attempt = _FIRST_PAUSE_S, 1
        while True:
            try:
                status, data = self._once(method, path, body, attempt, deadline)
            except (OSError, http.client.HTTPException) as error:
                self._forget()
                reason = f"{type(error).__name__}: {error}"
            else:
                if status == 200:
                    return json.loads(data)
                if status not in _RETRIED:
                    raise _refusal(status, data)
                if status == 500 and _error(data) is not None:  # its own word, not a lost replica
                    raise ServingError(
                        f"the service of {self._host}:{self._port} failed", _message(data)
                    )
                reason = f"HTTP {status}: {_message(data)}"
            if time.monotonic() + pause > deadline:
                raise ServiceUnavailableError(
                    f"the service at {self._host}:{self._port} did not answer "
                    f"within {patience.total_seconds():g} s",
                    reason,
                    "Try again with the same id; nothing is logged twice.",
                )
            time.sleep(pause)
            pause, attempt = min(2 * pause, _LONGEST_PAUSE_S), attempt + 1

    def _once(
        self, method: str, path: str, body: bytes | None, attempt: int, deadline: float
    ) -> tuple[int, bytes]:
        connection = self._connection()
        left = max(0.1, deadline - time.monotonic())
        connection.timeout = left
        if connection.sock is not None:
            connection.sock.settimeout(left)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if attempt > 1:
            headers["Raypipe-Attempt"] = str(attempt)
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request(method, self._prefix + path, body, headers)
        response = connection.getresponse()
        data = response.read()
        if response.will_close:
            self._forget()
        return response.status, data

    def _connection(self) -> _Connection:
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _Connection(self._host, self._port)
            self._local.connection = connection
        return connection

    def _forget(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _plain_rows(rows: Any) -> list[Any]:
    """Rows as a list: of mappings, of one mapping, or of the rows of a polars frame."""
    if isinstance(rows, Mapping):
        return [dict(rows)]
    if hasattr(rows, "to_dicts"):
        frame_rows: list[Any] = rows.to_dicts()
        return frame_rows
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes):
        return list(rows)
    raise RequestError(
        "rows are not rows", type(rows).__name__, "Pass a list of dicts or a frame.", "rows"
    )


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return value.tolist()
    if hasattr(value, "to_list"):  # a polars series
        return value.to_list()
    raise RequestError(
        "a value cannot be sent",
        type(value).__name__,
        "Use numbers, strings, bools, times or None.",
    )


def _refusal(status: int, data: bytes) -> RequestError:
    error = _error(data)
    if error is None:
        return RequestError(f"HTTP {status}: {_message(data)}", status=status)
    return RequestError(str(error.get("message")), None, None, error.get("field"), status)


def _error(data: bytes) -> dict[str, Any] | None:
    """The error that a service of ours put into an answer; ``None`` if another program spoke."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else None


def _message(data: bytes) -> str:
    return data[:200].decode(errors="replace").strip()
