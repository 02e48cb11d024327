"""The table ``tuning_trials``: what came of each trial, a row each, written as it ends."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.times import utc_now
from raypipe.training.tuning.search import Told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake import Lake

TABLE = "tuning_trials"
_SCHEMA: dict[str, Any] = {
    "tuning_id": pl.String,
    "number": pl.Int64,
    "at": pl.Datetime("us"),
    "status": pl.String,
    "params": pl.String,
    "value": pl.Float64,
    "best_round": pl.Int64,
    "rounds": pl.Int64,
    "seconds": pl.Float64,
    "history": pl.String,
    "error": pl.String,
    "attempts": pl.Int64,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended(Told):
    """A trial that ended, with what people want to know of it.

    Attributes:
        best_round: how many rounds gave ``value``.
        seconds: how long it ran.
        history: its figure at each report: rounds done, and the figure.
        error: how it failed the last time.
        attempts: how often it was begun.
    """

    best_round: int
    seconds: float
    history: tuple[tuple[int, float], ...] = ()
    error: str | None = None
    attempts: int = 1
    status: str = field(init=False)

    def __post_init__(self) -> None:
        status = "failed" if self.failed else "stopped" if self.stopped else "finished"
        object.__setattr__(self, "status", status)


class Trials:
    """The trials of one search. Told twice, a trial counts once.

    Args:
        lake: where the table is.
        tuning_id: names the search.
    """

    def __init__(self, lake: Lake, tuning_id: str) -> None:
        self.tuning_id = tuning_id
        made = {"delta.autoOptimize.autoCompact": True}
        self._table = lake.table(TABLE, properties=made, evolve="add")

    def tell(self, one: Ended, before: int = 0) -> None:
        """Writes a trial down, once; ``before`` are attempts that were written down already."""
        row = {
            "tuning_id": self.tuning_id,
            "number": one.number,
            "at": utc_now(),
            "status": one.status,
            "params": json.dumps(dict(one.params), sort_keys=True),
            "value": None if math.isnan(one.value) else one.value,
            "best_round": one.best_round,
            "rounds": one.rounds,
            "seconds": one.seconds,
            "history": json.dumps([[n, None if math.isnan(v) else v] for n, v in one.history]),
            "error": one.error,
            "attempts": one.attempts,
        }
        name = f"trial:{self.tuning_id}:{one.number}" + (f":after:{before}" if before else "")
        self._table.append(pl.DataFrame([row], schema=_SCHEMA), batch_id=name)

    def known(self) -> list[Ended]:
        """The trials that ended, by their number; of one that failed and was tried again, the
        last attempt.
        """
        if not self._table.exists:
            return []
        rows = self._table.at().where(pl.col("tuning_id") == self.tuning_id).frame()
        found: dict[int, Ended] = {}
        for one in map(_read, rows.iter_rows(named=True)):
            before = found.setdefault(one.number, one)
            if before.failed and (not one.failed or one.attempts > before.attempts):
                found[one.number] = one
        return [found[number] for number in sorted(found)]


def _read(row: Mapping[str, Any]) -> Ended:
    history = json.loads(row["history"])
    return Ended(
        number=row["number"],
        params=json.loads(row["params"]),
        value=math.nan if row["value"] is None else row["value"],
        rounds=row["rounds"],
        stopped=row["status"] == "stopped",
        failed=row["status"] == "failed",
        best_round=row["best_round"],
        seconds=row["seconds"],
        history=tuple((n, math.nan if v is None else v) for n, v in history),
        error=row["error"],
        attempts=row.get("attempts") or 1,  # earlier releases had no such column
    )
