"""The prediction log: what is promised, and when."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    SchemaError,
    ServiceUnavailableError,
    TableNotFoundError,
)
from raypipe.lake import Lake
from raypipe.serving.answers import Scored
from raypipe.serving.log import PredictionLog
from raypipe.serving.log_table import Entry, entries_frame, log_schema, predictions
from raypipe.serving.protocol import Parsed
from raypipe.serving.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def ids(lake: Lake) -> list[str]:
    return predictions(lake, "m").collect()["prediction_id"].to_list()


def test_a_durable_row_is_committed_when_its_future_is_done(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake)
    assert log.add(entry("a")).result(timeout=30) is True
    assert ids(lake) == ["a:0", "a:1"]
    log.close()
    assert not log.alive
    with pytest.raises(ServiceUnavailableError):
        log.add(entry("b"))


def test_requests_that_wait_share_a_commit(lake_root: str) -> None:
    lake = Lake(lake_root)
    log = open_log(lake, linger_ms=100)
    futures = [log.add(entry(f"r{i}")) for i in range(40)]
    assert all(future.result(timeout=30) for future in futures)
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
            raise OSError("gone")
        return whole(*args, **kwargs)

    monkeypatch.setattr(log._table, "append", sometimes)
    log.add(entry("a"))
    deadline = time.monotonic() + 20
    while not refusals:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    log.close()
    assert ids(lake) == ["a:0", "a:1"]


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
    assert log.add(entry("a")).result(timeout=30) is True
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
    assert kept.result(timeout=30)
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
    log.add(entry("a")).result(timeout=30)
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
                log.add(entry(f"{name}{i}")).result(timeout=60)

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
