"""Writes the prediction log: groups of requests in one commit, off the path of the event loop.

``durable``: an answer leaves only after the commit that holds its rows. Requests that come while a
commit is under way wait and go together into the next one, so many clients share few commits.

``buffered``: an answer leaves at once; rows are committed every second and when the replica ends.
A replica that is killed loses the rows of its last second, or of as long as the lake has refused
them. Rows that fail for another reason than the lake are dropped, and an error in the replica's log
tells how many, so that they do not hold up the rows after them. ``off``: nothing is logged.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal

from raypipe.core.errors import LakeError, ServiceUnavailableError, TableNotFoundError
from raypipe.core.faults import fault_point
from raypipe.core.identity import content_hash
from raypipe.serving.log_table import (
    PROPERTIES,
    Entry,
    Schema,
    entries_frame,
    find_answer,
    log_schema,
    table_name,
)
from raypipe.serving.log_upkeep import LogUpkeep

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from raypipe.lake import Lake
    from raypipe.serving.answers import Scored
    from raypipe.serving.protocol import Parsed
    from raypipe.serving.signature import Signature

LogMode = Literal["durable", "buffered", "off"]
MODES: tuple[LogMode, ...] = ("durable", "buffered", "off")

_MAX_COMMIT_ROWS = 50_000
_MAX_WAITING_ROWS = 200_000
_ATTEMPTS = 3
_PAUSE_S = 0.2
_BUFFERED_S = 1.0

_logger = logging.getLogger("ray.serve")


class PredictionLog:
    """The log of one replica. Safe for use from several threads.

    Args:
        lake: where the table is.
        model: whose predictions.
        mode: see the module.
        linger: how long a commit waits for others to join it.
    """

    def __init__(self, lake: Lake, model: str, mode: LogMode, linger: timedelta) -> None:
        self._lake = lake
        self._model = model
        self._mode = mode
        self._wait_s = _BUFFERED_S if mode == "buffered" else linger.total_seconds()
        self._table = lake.table(table_name(model), properties=PROPERTIES)
        self._upkeep = LogUpkeep(lake, model)
        self._schema: Schema | None = None
        self._waiting: list[tuple[Entry, Future[bool]]] = []
        self._rows = 0
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        if mode != "off":
            self._thread.start()

    def admit(self, signature: Signature) -> None:
        """Makes sure that the log can hold a version's inputs, before it goes into service.

        Raises:
            ConfigError: an input is named like a column of the log.
            SchemaError: the table cannot hold an input.
        """
        if self._mode == "off":
            return
        try:
            present: Schema | None = self._table.schema
        except TableNotFoundError:
            present = self._schema  # no table yet: the first version's columns will be the table's
        schema = log_schema(signature.features, present)
        with self._wake:
            self._schema = schema

    def add(self, entry: Entry) -> Future[bool]:
        """Logs a request.

        Returns:
            A future that is done as soon as the answer may leave. It holds False if the very
            same requests had been committed before, so that the stored answer counts. It cannot be
            cancelled: what was taken is logged even if its client has left.

        Raises:
            ServiceUnavailableError: too many rows wait for the lake.
        """
        done: Future[bool] = Future()
        done.set_running_or_notify_cancel()  # from here on a cancellation does nothing
        if self._mode == "off":
            done.set_result(True)
            return done
        with self._wake:
            if self._closing or self._rows + entry.rows > _MAX_WAITING_ROWS:
                raise ServiceUnavailableError(
                    "the prediction log cannot take more rows",
                    f"{self._rows} waiting",
                    "Try again with the same id.",
                )
            self._waiting.append((entry, done))
            self._rows += entry.rows
            self._wake.notify()
        if self._mode == "buffered":
            accepted: Future[bool] = Future()
            accepted.set_result(True)
            return accepted
        return done

    def find(self, parsed: Parsed, since: datetime | None = None) -> Scored | None:
        """The stored answer to a request that comes again; reads the table.

        Args:
            parsed: the request.
            since: answers scored before this time (UTC) are not looked for; by default all are.

        Raises:
            RequestError: 409, the id was used for other rows.
        """
        return None if self._mode == "off" else find_answer(self._lake, self._model, parsed, since)

    @property
    def alive(self) -> bool:
        """Whether rows can still be written."""
        return self._mode == "off" or self._thread.is_alive()

    def close(self) -> None:
        """Commits what waits and stops."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                if not self._waiting:
                    return
            self._linger()
            taken = self._take()
            try:
                fresh = self._commit([entry for entry, _ in taken])
            except Exception as error:  # noqa: BLE001 - whatever it is, the waiting must hear of it
                self._refuse(taken, error)
                continue
            for _, done in taken:
                if not done.done():
                    done.set_result(fresh)

    def _linger(self) -> None:
        until = time.monotonic() + self._wait_s
        with self._wake:
            while not self._closing and self._rows < _MAX_COMMIT_ROWS:
                left = until - time.monotonic()
                if left <= 0:
                    return
                self._wake.wait(left)

    def _take(self) -> list[tuple[Entry, Future[bool]]]:
        """The oldest requests, as many as go into one commit."""
        with self._wake:
            rows, count = 0, 0
            for entry, _ in self._waiting:
                if count and rows + entry.rows > _MAX_COMMIT_ROWS:
                    break
                rows += entry.rows
                count += 1
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            self._rows -= rows
            return taken

    def _commit(self, entries: list[Entry]) -> bool:
        """Appends requests; told twice, they are there once. False if they were there before."""
        schema = self._schema
        if schema is None:
            raise RuntimeError("a version was not admitted before it was scored")
        frame = entries_frame(entries, schema)
        batch_id = "predictions:" + content_hash(sorted(e.scored.id for e in entries))
        for attempt in range(_ATTEMPTS):
            try:
                fault_point("serving:before-log")
                commit = self._table.append(frame, batch_id=batch_id, run_on="local")
            except LakeError:
                # it may have been committed and only the answer lost: the batch's id tells
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(_PAUSE_S * 2**attempt)
            else:
                fault_point("serving:after-log")
                self._upkeep.after_commit(commit.version)
                return attempt > 0 or not commit.applied_before
        raise AssertionError("the last attempt returns or raises")

    def _refuse(self, taken: list[tuple[Entry, Future[bool]]], error: Exception) -> None:
        of_the_lake = isinstance(error, LakeError | OSError)
        again = self._mode == "buffered" and of_the_lake and not self._closing
        _logger.error(
            "%d predictions in %d requests of %s were not logged%s: %s",
            sum(entry.rows for entry, _ in taken),
            len(taken),
            self._model,
            ", and wait for another try" if again else "",
            # what other errors say may hold values of the rows
            error if of_the_lake else type(error).__name__,
        )
        if again:
            with self._wake:
                self._waiting = taken + self._waiting
                self._rows += sum(entry.rows for entry, _ in taken)
                self._wake.wait_for(lambda: self._closing, _BUFFERED_S)
            return
        for _, done in taken:
            refusal = ServiceUnavailableError(
                "the prediction could not be logged, so it is not given",
                type(error).__name__,
                "Try again with the same id.",
            )
            refusal.__cause__ = error
            if not done.done():
                done.set_exception(refusal)
