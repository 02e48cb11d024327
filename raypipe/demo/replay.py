"""The client: a process of its own that sends a week's flights to the service over HTTP.

It reads a command a line from standard input (``{"week": "2013-04-01T00:00:00"}``) and answers with
a line of figures. Beside the weeks' requests a second thread keeps sending single flights, all the
time, so that a change of version never happens without traffic; those are not logged as
predictions.
"""

from __future__ import annotations

import http.client
import json
import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

import raypipe as rp
from raypipe.demo import flights

if TYPE_CHECKING:
    from collections.abc import Mapping

_SENDERS = 3
_PAUSE_S = 0.1
_ATTEMPTS = 5


@dataclass
class Tally:
    """What was sent since the last answer."""

    requests: int = 0
    failed: int = 0
    unanswered: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    batch_ms: list[float] = field(default_factory=list)
    single_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> dict[str, Any]:
        """The figures so far, which then begin anew."""
        with self.lock:
            out = {
                "requests": self.requests,
                "failed": self.failed,
                "unanswered": self.unanswered,
                "versions": dict(self.versions),
                "batch_ms": self.batch_ms,
                "single_ms": self.single_ms,
                "errors": self.errors[:5],
            }
            self.requests = self.failed = self.unanswered = 0
            self.versions, self.batch_ms, self.single_ms, self.errors = {}, [], [], []
        return out


class Client:
    """One connection that is kept open; one thread uses it."""

    def __init__(self, host: str, port: int, tally: Tally) -> None:
        self._address = (host, port)
        self._tally = tally
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: Mapping[str, Any], *, single: bool) -> dict[str, Any] | None:
        """Sends until answered; every attempt without an answer counts as failed."""
        data = json.dumps(body).encode()
        for attempt in range(_ATTEMPTS):
            began = time.perf_counter()
            try:
                answer = self._post(data, attempt + 1)
            except (OSError, http.client.HTTPException, RuntimeError) as error:
                self._close()
                with self._tally.lock:
                    self._tally.requests += 1
                    self._tally.failed += 1
                    self._tally.errors.append(f"{type(error).__name__}: {error}"[:200])
                time.sleep(0.1 * 2**attempt)
                continue
            took = (time.perf_counter() - began) * 1000
            with self._tally.lock:
                self._tally.requests += 1
                times = self._tally.single_ms if single else self._tally.batch_ms
                times.append(round(took, 2))
                if not single:
                    version = str(answer["version"])
                    count = len(answer["predictions"])
                    self._tally.versions[version] = self._tally.versions.get(version, 0) + count
            return answer
        with self._tally.lock:
            self._tally.unanswered += 1
        return None

    def _post(self, data: bytes, attempt: int) -> dict[str, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._address, timeout=30)
        # from the second attempt on, the service looks in its log for the answer it gave before
        headers = {"Content-Type": "application/json", "Raypipe-Attempt": str(attempt)}
        self._connection.request("POST", f"/predict/{flights.MODEL}", data, headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise RuntimeError(f"status {response.status}: {text[:200]!r}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def send_week(host: str, port: int, lake: rp.Lake, week: datetime, tally: Tally) -> int:
    """Sends a week's flights in the order of departure, over a few connections; gives the rows."""
    rows = flights.week_rows(lake, week)
    bodies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    for (request_id,), batch in rows.group_by("request_id", maintain_order=True):
        bodies.put(
            {
                "id": request_id,
                "time": batch["sched_dep"][0].isoformat(),
                "rows": _plain(batch.select(flights.INPUTS)),
            }
        )

    def work() -> None:
        client = Client(host, port, tally)
        while True:
            try:
                body = bodies.get_nowait()
            except queue.Empty:
                return
            client.send(body, single=False)

    threads = [threading.Thread(target=work) for _ in range(_SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(rows)


def keep_sending(
    host: str, port: int, rows: list[dict[str, Any]], tally: Tally, stop: threading.Event
) -> None:
    """Sends one flight after the other until told to stop."""
    client = Client(host, port, tally)
    number = 0
    while not stop.is_set():
        client.send({"rows": [rows[number % len(rows)]], "log": False}, single=True)
        number += 1
        stop.wait(_PAUSE_S)


def _plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    times = [name for name, dtype in frame.schema.items() if dtype.is_temporal()]
    return frame.with_columns(pl.col(times).dt.strftime("%Y-%m-%dT%H:%M:%S")).to_dicts()


def main(host: str, port: int, root: str) -> None:
    """Answers commands until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's; we end with its pipe
    lake, tally, stop = rp.Lake(root), Tally(), threading.Event()
    sample = _plain(flights.week_rows(lake, flights.FIRST_WEEK).select(flights.INPUTS).head(200))
    steady = threading.Thread(
        target=keep_sending, args=(host, port, sample, tally, stop), daemon=True
    )
    steady.start()
    for line in sys.stdin:
        command = json.loads(line)
        began = time.perf_counter()
        rows = 0
        if "week" in command:
            rows = send_week(host, port, lake, datetime.fromisoformat(command["week"]), tally)
        answer = {"rows": rows, "seconds": time.perf_counter() - began, **tally.take()}
        print(json.dumps(answer), flush=True)
    stop.set()
    steady.join(timeout=10)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
