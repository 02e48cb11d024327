"""How often a log is looked at, and what the library's own failures come to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from raypipe.core.errors import LakeAccessError, LakeError
from raypipe.lake import Lake, expect
from raypipe.lake.log.table_log import TableLog

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})


class Panic(BaseException):
    """What a panic of Rust looks like from Python."""


Panic.__name__ = "PanicException"


class Counting:
    """A ``DeltaTable`` that counts, or fails in, calls of some of its methods."""

    def __init__(self, table: Any, calls: list[str], error: BaseException | None = None) -> None:
        self._table, self._calls, self._error = table, calls, error

    def __getattr__(self, name: str) -> Any:
        self._calls.append(name)
        if self._error is not None and name in ("get_add_actions", "history", "update_incremental"):
            raise self._error
        return getattr(self._table, name)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], list[str]]:
    def install(error: BaseException | None) -> list[str]:
        calls: list[str] = []
        opened = TableLog._open
        monkeypatch.setattr(
            TableLog, "_open", lambda self, version: Counting(opened(self, version), calls, error)
        )
        return calls

    return install


def test_a_small_append_looks_through_no_files(
    lake: Lake, counted: Callable[[BaseException | None], list[str]]
) -> None:
    lake.table("t").append(ROWS, batch_id="first")
    calls = counted(None)
    table = lake.table("t", expect=[expect.not_null("a")], properties={"raypipe.checks": False})
    table.append(ROWS, batch_id="second")
    assert calls.count("get_add_actions") == 0
    assert calls.count("transaction_version") == 1
    assert calls.count("update_incremental") == 0
    assert table.at().count() == 4


def test_a_rival_with_the_same_batch_comes_between_two_looks(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lake.table("t")
    table.append(ROWS, batch_id="first")
    real = TableLog.transaction
    rivals = [2]

    def then_a_rival(self: TableLog, app_id: str) -> int | None:
        found = real(self, app_id)
        if rivals:
            for number in range(rivals.pop()):
                lake.table("t").append(ROWS, batch_id="mine" if number else "other")
        return found

    monkeypatch.setattr(TableLog, "transaction", then_a_rival)
    done = table.append(ROWS, batch_id="mine")
    assert done.applied_before
    assert (done.version, table.at().count()) == (3, 6)


def test_a_log_that_was_cleaned_right_after_the_version_seen_last(lake: Lake) -> None:
    table = lake.table("t")
    table.append(ROWS, batch_id="first")
    assert not table.has_batch("late")
    lake.table("t").append(ROWS, batch_id="late")
    lake.table("t").append(ROWS)
    lake.table("t").checkpoint()
    # As ``clean_log`` leaves it where version 1 is pinned.
    (Path(table.uri) / "_delta_log" / f"{2:020d}.json").unlink()
    assert table.version() == 3
    assert table.has_batch("late")
    assert table.append(ROWS, batch_id="mine").version == 4
    assert table.append(ROWS, batch_id="late").applied_before
    assert lake.table("t").at().count() == 8


def test_a_batch_is_looked_for_after_the_log_was_cleaned(lake: Lake) -> None:
    table, other = lake.table("t"), lake.table("t")
    for batch in "abc":
        table.append(ROWS, batch_id=batch)
    other.checkpoint()
    assert other.clean_log(timedelta(0))
    assert table.has_batch("b")
    assert not table.has_batch("z")
    assert table.append(ROWS, batch_id="c").applied_before
    assert table.append(ROWS, batch_id="d").version == 4
    assert table.has_batch("d")


@pytest.mark.parametrize("error", [Panic("index out of bounds"), ValueError("odd")])
def test_a_panic_while_a_log_is_followed_is_got_over(
    lake: Lake, counted: Callable[[BaseException | None], list[str]], error: BaseException
) -> None:
    lake.table("t").append(ROWS)
    counted(error)
    table = lake.table("t")
    assert not table.has_batch("b")
    lake.table("t").append(ROWS, batch_id="b")  # another writer, who opens the log anew
    assert table.has_batch("b")


def test_a_panic_while_a_log_is_read_is_an_error_of_the_lake(
    lake: Lake, counted: Callable[[BaseException | None], list[str]]
) -> None:
    lake.table("t").append(ROWS)
    lake.table("t").append(ROWS)
    counted(Panic("index out of bounds"))
    table = lake.table("t")
    for look in (table.at, lambda: table.at(version=1), table.history):
        with pytest.raises(LakeError, match="index out of bounds"):
            look()


def test_a_log_that_cannot_be_opened_by_a_panic(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.table("t").append(ROWS)

    def fail(*_: object) -> None:
        raise Panic("index out of bounds")

    monkeypatch.setattr(TableLog, "_open", fail)
    with pytest.raises(LakeError, match="index out of bounds"):
        lake.table("t").at()


def test_an_interrupt_stays_one(
    lake: Lake, counted: Callable[[BaseException | None], list[str]]
) -> None:
    lake.table("t").append(ROWS)
    counted(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        lake.table("t").at()


def test_a_place_that_fails_is_told_without_its_address(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltalake.exceptions import DeltaError

    log = TableLog("t", "s3://bucket/t", None)
    for error in (
        DeltaError("Generic S3 error: GET http://h/?sig=SECRET status code: 503"),
        OSError("Generic S3 error: GET http://h/?sig=SECRET status code: 403"),
    ):
        with pytest.raises(LakeAccessError) as caught, log.guarded():
            raise error
        assert "SECRET" not in str(caught.value)
