"""The prediction log: what is promised, and when."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    LakeAccessError,
    SchemaError,
    ServiceUnavailableError,
    TableNotFoundError,
)
from raypipe.lake import Lake
from raypipe.serving.answers import Scored
from raypipe.serving.log import PredictionLog
from raypipe.serving.log_table import Entry, entries_frame, find_answer, log_schema, predictions
from raypipe.serving.protocol import Parsed
from raypipe.serving.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNATURE = Signature(
    [
        {"name": "temp", "type": "float64", "nullable": True},
        {"name": "day", "type": "date", "nullable": True},
    ]
)


def entry(name: str, rows: int = 2, score: float = 0.5) -> Entry:
    parsed = Parsed(id=name, given=True, columns={"temp": [1.5, None][:rows], "day": [None] * rows})
    scored = Scored(
        model="m",
        version=1,
        id=name,
        prediction_ids=parsed.prediction_ids(),
        scores=[score] * rows,
    )
    return Entry(parsed=parsed, scored=scored, at=datetime(2013, 7, 1))


def open_log(lake: Lake, mode: Any = "durable", linger_ms: int = 1) -> PredictionLog:
    log = PredictionLog(lake, "m", mode, timedelta(milliseconds=linger_ms))
    log.admit(SIGNATURE)
    return log


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ids(lake: Lake) -> list[str]:
    return predictions(lake, "m").collect()["prediction_id"].to_list()


def test_a_durable_row_is_committed_when_its_future_is_done(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake)
    assert log.add(entry("a")).result(timeout=120) is True
    assert ids(lake) == ["a:0", "a:1"]
    log.close()
    assert not log.alive
    with pytest.raises(ServiceUnavailableError):
        log.add(entry("b"))


def test_requests_that_wait_share_a_commit(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake, linger_ms=100)
    futures = [log.add(entry(f"r{i}")) for i in range(40)]
    assert all(future.result(timeout=120) for future in futures)
    table = lake.table("m__predictions")
    assert table.at().count() == 80
    assert sum(c["kind"] == "append" for c in table.history()) <= 2
    log.close()


def test_a_buffered_row_is_accepted_at_once_and_committed_at_the_end(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake, "buffered")
    assert log.add(entry("a")).done()
    assert not lake.table("m__predictions").exists
    log.close()
    assert ids(lake) == ["a:0", "a:1"]


def test_buffered_rows_wait_for_a_lake_that_comes_back(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(lake_root)
    log = open_log(lake, "buffered")
    whole = log._table.append
    refusals: list[int] = []

    def sometimes(*args: Any, **kwargs: Any) -> Any:
        if len(refusals) < 1:
            refusals.append(1)
            raise LakeAccessError("gone")
        return whole(*args, **kwargs)

    monkeypatch.setattr(log._table, "append", sometimes)
    log.add(entry("a"))
    deadline = time.monotonic() + 120
    while not refusals:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    log.close()
    assert ids(lake) == ["a:0", "a:1"]


def test_buffered_rows_that_never_fit_do_not_hold_up_those_after_them(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("raypipe.serving.log._BUFFERED_S", 0.01)
    lake = Lake(lake_root)
    log = open_log(lake, "buffered")
    bad = entry("bad")
    bad.parsed.columns["temp"][0] = "a secret value"
    with caplog.at_level(logging.ERROR, "ray.serve"):
        log.add(bad)
        until(lambda: "2 predictions in 1 requests of m were not logged" in caplog.text)
        log.add(entry("good"))
        until(lambda: lake.table("m__predictions").exists)
        log.close()
    assert ids(lake) == ["good:0", "good:1"]
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_rows_that_wait_for_the_lake_are_tried_with_a_pause_and_told_at_the_end(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("raypipe.serving.log._PAUSE_S", 0.0)
    monkeypatch.setattr("raypipe.serving.log._MAX_COMMIT_ROWS", 1)  # nothing lingers
    log = open_log(Lake(lake_root), "buffered")

    def refuse(*_: Any, **__: Any) -> None:
        raise LakeAccessError("gone")

    monkeypatch.setattr(log._table, "append", refuse)
    with caplog.at_level(logging.ERROR, "ray.serve"):
        log.add(entry("a"))
        until(lambda: "wait for another try" in caplog.text)
        time.sleep(0.2)
        assert len(caplog.records) == 1
        log.close()
    assert not log.alive
    assert "wait" not in caplog.messages[-1]


def test_what_was_added_cannot_be_cancelled(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake, linger_ms=50)
    assert not log.add(entry("a")).cancel()
    assert log.add(entry("b")).result(timeout=120)
    assert log.add(entry("c")).result(timeout=120)
    assert ids(lake) == [f"{name}:{row}" for name in "abc" for row in (0, 1)]
    log.close()


def test_only_new_enough_files_are_read_for_a_request_that_comes_again(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake)
    for name in ("a", "b"):
        log.add(entry(name)).result(timeout=120)
    log.close()
    parsed, at = entry("a").parsed, datetime(2013, 7, 1)
    for since in (None, at):
        assert find_answer(lake, "m", parsed, since) == entry("a").scored
    for part in lake.table("m__predictions").at().parts():
        Path(part.uri.removeprefix("file://")).unlink()  # to read one would fail now
    assert find_answer(lake, "m", parsed, at + timedelta(seconds=1)) is None


def test_off_logs_nothing(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake, "off")
    assert log.add(entry("a")).done()
    assert log.find(entry("a").parsed) is None
    log.close()
    with pytest.raises(TableNotFoundError):
        predictions(lake, "m")


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(lake_root)
    log = open_log(lake)
    whole = log._table.append
    calls: list[int] = []

    def lose_the_first_answer(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        commit = whole(*args, **kwargs)
        if len(calls) == 1:
            raise CommitConflictError("the answer was lost")
        return commit

    monkeypatch.setattr(log._table, "append", lose_the_first_answer)
    assert log.add(entry("a")).result(timeout=120) is True
    assert len(calls) == 2
    assert lake.table("m__predictions").at().count() == 2
    log.close()


def test_rows_are_refused_before_memory_runs_out(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(Lake(lake_root), linger_ms=200)
    monkeypatch.setattr("raypipe.serving.log._MAX_WAITING_ROWS", 3)
    kept = log.add(entry("a"))
    with pytest.raises(ServiceUnavailableError):
        log.add(entry("b"))
    assert kept.result(timeout=120)
    log.close()


def test_the_first_commit_of_an_id_counts(lake_root: str) -> None:
    lake = Lake(lake_root)
    table = lake.table("m__predictions")
    schema = log_schema(SIGNATURE.features)
    table.append(entries_frame([entry("a", score=0.1), entry("b", score=0.2)], schema))
    table.append(entries_frame([entry("a", score=0.9), entry("c", score=0.3)], schema))
    seen = predictions(lake, "m").filter(pl.col("prediction_id").str.ends_with(":0")).collect()
    assert dict(seen.select("request_id", "score").iter_rows()) == {"a": 0.1, "b": 0.2, "c": 0.3}


def test_a_version_with_other_inputs_is_refused_before_it_serves(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake)
    log.add(entry("a")).result(timeout=120)
    log.admit(Signature([{"name": "temp", "type": "float64", "nullable": False}]))
    for inputs in (
        [{"name": "temp", "type": "int64", "nullable": False}],
        [{"name": "wind", "type": "float64", "nullable": False}],
    ):
        with pytest.raises(SchemaError) as caught:
            log.admit(Signature(inputs))
        assert caught.value.field == inputs[0]["name"]
    log.close()


def test_an_input_named_like_a_column_of_the_log_is_refused(lake_root: str) -> None:
    signature = Signature([{"name": "score", "type": "float64", "nullable": False}])
    with pytest.raises(ConfigError):
        PredictionLog(Lake(lake_root), "m", "durable", timedelta(0)).admit(signature)
    PredictionLog(Lake(lake_root), "m", "off", timedelta(0)).admit(signature)


def test_two_replicas_may_log_at_once(lake_root: str, tmp_path: Path) -> None:
    lake = Lake(lake_root)
    logs = [open_log(lake), open_log(lake)]

    def write(log: PredictionLog, name: str) -> Callable[[], None]:
        def run() -> None:
            for i in range(5):
                log.add(entry(f"{name}{i}")).result(timeout=120)

        return run

    threads = [threading.Thread(target=write(log, n)) for log, n in zip(logs, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids(lake)) == sorted(
        f"{n}{i}:{j}" for n in "ab" for i in range(5) for j in (0, 1)
    )
    for log in logs:
        log.close()
