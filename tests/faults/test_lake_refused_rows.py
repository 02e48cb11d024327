"""Refused rows whose write was given up come back with the write that is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import CommitConflictError
from raypipe.lake import Table
from raypipe.lake.change import unit
from raypipe.lake.write import writer
from tests.faults import roles

DATA = roles.rows("a", 3, refused=2)


def append(table: Table) -> Any:
    return table.append(DATA, batch_id="b")


def overwrite(table: Table) -> Any:
    return table.overwrite(DATA, batch_id="b")


def merge(table: Table) -> Any:
    return table.merge(DATA, ["src", "k"], batch_id="b")


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("write", [append, overwrite, merge])
def test_a_batch_that_others_were_ahead_of(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, write: Callable[[Table], Any], there: bool
) -> None:
    table = roles.table(lake_root)
    if there:
        table.append(roles.rows("before", 1, refused=1), batch_id="before")
    plain = writer.commit

    def commit(log: Any, change: Any) -> Any:
        if log.name == "t":
            raise CommitConflictError("others came first")
        return plain(log, change)

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(writer, "commit", commit)
            patch.setattr(unit, "commit", commit)
            with pytest.raises(CommitConflictError):
                write(table)
        kept = table.quarantine().at().frame().filter(pl.col("_batch") == "b")
        assert kept.height == 0  # given up: as if it never was
    done = write(table)
    assert done.quarantined == 2
    rows = table.quarantine().at().frame().filter(pl.col("_batch") == "b")
    assert sorted(rows["k"]) == [100, 101]
    assert write(table).applied_before
    table.quarantine().compact()
    assert table.quarantine().at().count() == 2 + there
