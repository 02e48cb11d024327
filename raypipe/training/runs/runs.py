"""Runs: the tables ``training_runs`` and ``training_metrics`` of a lake."""

from __future__ import annotations

import difflib
import json
import math
import uuid
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, RunNotFoundError
from raypipe.core.settings import check_text
from raypipe.core.times import utc_now
from raypipe.lake.lake import check_lake
from raypipe.training.runs.code import code_version, surroundings
from raypipe.training.runs.record import Kind, RunEvent, RunRecord, fold
from raypipe.training.runs.views import ROUNDS, Comparison, Curves, History, RunList, by_round

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake import Lake

TABLE = "training_runs"
METRICS = "training_metrics"
_EVENTS: dict[str, Any] = {
    "id": pl.String,
    "run_id": pl.String,
    "at": pl.Datetime("us"),
    "kind": pl.String,
    "detail": pl.String,
}
_COMPACT = {"delta.autoOptimize.autoCompact": True}


class Runs:
    """The training runs of a lake: list, search, compare and draw them.

    ``Trainer.fit`` writes them; any engine that reads Delta can query the two tables. What is told
    twice counts once, so a run that was killed and goes on is one run with two attempts.

    Args:
        lake: where the runs are.

    Raises:
        ConfigError: it is no ``Lake``.
    """

    def __init__(self, lake: Lake) -> None:
        check_lake(lake)
        self.lake = lake
        self._table = lake.table(TABLE, properties=_COMPACT)
        self._metrics = lake.table(METRICS, properties=_COMPACT)

    def records(self) -> list[RunRecord]:
        """All runs, in the order in which they were first started."""
        return list(self._fold(None).values())

    def get(self, run_id: str) -> RunRecord:
        """One run, by its id or by the beginning of it that no other has.

        Raises:
            RunNotFoundError: no run begins so, or several do.
        """
        whole = self.resolve(run_id)
        return self._fold([whole])[whole]

    def list(self) -> RunList:
        """All runs, the newest first, a row each: plain facts, ``metric.…``, ``param.…``, …"""
        return RunList.of(self.records()[::-1])

    def search(
        self,
        where: pl.Expr | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
    ) -> RunList:
        """The runs that a polars expression over the columns of ``list()`` keeps.

        Args:
            where: such as ``pl.col("metric.roc_auc") > 0.7``.
            order_by: a column; rows without a value come last.
            descending: the largest first.
            limit: how many at most.

        Raises:
            ConfigError: ``where`` is no expression or does not suit the columns' types, it or
                ``order_by`` names a column that no run has, or ``limit`` is negative.
        """
        given: object = where
        if not (given is None or isinstance(given, pl.Expr)):
            raise ConfigError(
                "this is not a polars expression", given, "Pass pl.col(…) and the like.", "where"
            )
        check_text("order_by", order_by, optional=True)
        if not isinstance(descending, bool):
            raise ConfigError("descending is True or False", descending, field="descending")
        if not (limit is None or (isinstance(limit, int) and limit >= 0)):
            raise ConfigError("limit must be a whole number >= 0", limit, field="limit")
        frame = self.list().frame
        for name in [*([] if where is None else where.meta.root_names()), order_by]:
            if name is not None and name not in frame.columns:
                near = difflib.get_close_matches(name, frame.columns, 3)
                raise ConfigError(
                    "no run has such a column",
                    name,
                    f"Did you mean {' or '.join(near)}?" if near else "See Runs.list().frame.",
                    "where",
                )
        if where is not None:
            try:
                frame = frame.filter(where)
            except pl.exceptions.PolarsError as error:
                raise ConfigError(
                    "the expression does not suit the runs' columns",
                    str(error).partition("\n")[0],
                    "See Runs.list().frame.schema for their types.",
                    "where",
                ) from None
        if order_by is not None:
            frame = frame.sort(order_by, descending=descending, nulls_last=True)
        return RunList(frame if limit is None else frame.head(limit))

    def history(self, *run_ids: str) -> pl.DataFrame:
        """Figures by round: ``run_id``, ``data`` (train, valid), ``metric``, ``round``, ``value``.

        Args:
            *run_ids: the runs; all of them when none is given.

        Raises:
            RunNotFoundError: there is no such run.
        """
        if not self._metrics.exists:
            return pl.DataFrame(schema=ROUNDS)
        rows = self._metrics.at().lazy()
        if run_ids:
            rows = rows.filter(pl.col("run_id").is_in([self.resolve(one) for one in run_ids]))
        return (
            rows.unique(["run_id", "data", "metric", "round"])
            .sort("run_id", "data", "metric", "round")
            .collect()
        )

    def compare(self, *run_ids: str) -> Comparison:
        """Two or more runs side by side: metrics, and what differs between them.

        Raises:
            RunNotFoundError: there is no such run.
            ConfigError: fewer than two were given, or one of them twice.
        """
        if len(run_ids) < 2:
            raise ConfigError("a comparison takes two runs or more", len(run_ids), field="run_ids")
        found = [self.get(one) for one in run_ids]
        ids = [one.run_id for one in found]
        again = [one for one in ids if ids.count(one) > 1]
        if again:
            raise ConfigError("a run is compared with itself", again[0], field="run_ids")
        return Comparison.of(found)

    def curves(self, *run_ids: str, metric: str | None = None) -> Curves:
        """Learning curves: figures by round, drawn in a notebook.

        Args:
            *run_ids: the runs.
            metric: which figure, as the learner names it; the first one by default.

        Raises:
            RunNotFoundError: there is no such run.
            ConfigError: no run is given, or none has this figure.
        """
        if not run_ids:
            raise ConfigError("curves are drawn of one run or more", act="Name some.")
        rows = self.history(*run_ids)
        known = rows["metric"].unique(maintain_order=True).to_list()
        chosen = metric if metric is not None else (known[0] if known else None)
        if chosen not in known:
            raise ConfigError("no figures by round", metric, f"There are: {known}.", "metric")
        return Curves(rows.filter(pl.col("metric") == chosen), str(chosen))

    def started(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any],
        data: Mapping[str, Any],
        tags: Mapping[str, Any],
        packages: Mapping[str, str],
        resources: Mapping[str, Any],
    ) -> None:
        """Writes down that an attempt begins."""
        detail = {
            "params": params,
            "data": data,
            "tags": tags,
            "code": code_version(),
            "environment": {**surroundings(), "packages": dict(packages)},
            "resources": resources,
        }
        self._tell(f"started:{run_id}:{uuid.uuid4().hex[:12]}", run_id, "started", detail)

    def failed(self, run_id: str, error: BaseException) -> None:
        """Writes down that an attempt ended in an error."""
        detail = {"error": f"{type(error).__name__}: {error}"[:1_000]}
        self._tell(f"failed:{run_id}:{uuid.uuid4().hex[:12]}", run_id, "failed", detail)

    def finished(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float | None],
        history: History,
        rounds: int,
        rows: int,
        seconds: float,
        resumed_at: int,
        artifacts: str,
        logs: str | None,
    ) -> None:
        """Writes down what came of a run; twice is once."""
        self._metrics.append(
            by_round(run_id, history), batch_id=f"history:{run_id}", allow_empty=True
        )
        detail = {
            "metrics": dict(metrics),
            "rounds": rounds,
            "rows": rows,
            "seconds": round(seconds, 3),
            "resumed_at": resumed_at,
            "artifacts": artifacts,
            "logs": logs,
        }
        self._tell(f"finished:{run_id}", run_id, "finished", detail)

    def _tell(self, event: str, run_id: str, kind: Kind, detail: Mapping[str, Any]) -> None:
        row = {
            "id": event,
            "run_id": run_id,
            "at": utc_now(),
            "kind": kind,
            "detail": json.dumps(_plain(detail), sort_keys=True, allow_nan=False),
        }
        self._table.append(pl.DataFrame([row], schema=_EVENTS), batch_id=event)

    def _fold(self, run_ids: Sequence[str] | None) -> dict[str, RunRecord]:
        if not self._table.exists:
            return {}
        rows = self._table.at()
        if run_ids is not None:
            rows = rows.where(pl.col("run_id").is_in(list(run_ids)))
        return fold(
            RunEvent(**{**row, "detail": json.loads(row["detail"])})
            for row in rows.frame().iter_rows(named=True)
        )

    def resolve(self, run_id: str) -> str:
        """The whole id of a run.

        Raises:
            RunNotFoundError: no run begins so, or several do, or it is not a text.
        """
        if not isinstance(run_id, str):
            raise RunNotFoundError(
                "a run is named by its id", type(run_id).__name__, "Pass Run.id.", "run_id"
            )
        known: list[str] = []
        if self._table.exists:
            known = self._table.at().select("run_id").frame()["run_id"].unique().to_list()
        if run_id in known:
            return run_id
        found = sorted(one for one in known if run_id and one.startswith(run_id))
        if len(found) == 1:
            return found[0]
        what = "several runs begin so" if found else "there is no such run"
        act = f"Give more of: {', '.join(found[:5])}." if found else "See Runs(lake).list()."
        raise RunNotFoundError(what, run_id, act, "run_id")

    def __repr__(self) -> str:
        return f"Runs({self.lake.root!r})"

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()


def _plain(value: Any) -> Any:
    """JSON values; a number that is not finite becomes text."""
    if isinstance(value, dict):
        return {str(key): _plain(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
