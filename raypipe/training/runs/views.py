"""Runs as people look at them: a list, a comparison, curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.markup import html_table
from raypipe.training.runs.chart import line_chart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from raypipe.training.runs.record import RunRecord

_SHOWN = 30
_CELL = 200  # characters of a value in a notebook's table
_WIDE: Any = {
    "tbl_cols": -1,
    "tbl_width_chars": 400,
    "tbl_hide_dataframe_shape": True,
    "tbl_hide_column_data_types": True,
}
ROUNDS: dict[str, Any] = {
    "run_id": pl.String,
    "data": pl.String,
    "metric": pl.String,
    "round": pl.Int64,
    "value": pl.Float64,
}
History = dict[str, dict[str, list[float]]]
_FACTS = ["run_id", "status", "started", "seconds", "attempts", "rounds", "rows"]


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs, a row each.

    Attributes:
        frame: plain facts, ``error`` where a run failed, then ``metric.…``, ``param.…``,
            ``data.…``, ``tag.…``, ``code.…`` and ``resource.…``. A column in which runs hold values
            of several types is text.
    """

    frame: pl.DataFrame

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> RunList:
        """A list of records in their order."""
        return cls(to_frame([record.flat() for record in records]))

    @property
    def ids(self) -> list[str]:
        """The ids of the runs."""
        return self.frame["run_id"].to_list()

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        names = self._told()
        with pl.Config(tbl_rows=_SHOWN, **_WIDE):
            return f"{len(self)} runs\n{self.frame.select(names)}"

    def _told(self) -> list[str]:
        facts = (*_FACTS, "error")  # there is one where a run failed
        return [n for n in self.frame.columns if n in facts or n.startswith("metric.")]

    def _repr_html_(self) -> str:
        varied = [
            name
            for name in self.frame.columns
            if name.startswith(("param.", "data.", "tag.")) and self.frame[name].n_unique() > 1
        ]
        names = self._told() + varied
        more = f"<p>… of {len(self)} runs</p>" if len(self) > _SHOWN else ""
        return _table(self.frame.select(names).head(_SHOWN)) + more


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Attributes:
        frame: a row for each metric and for each fact that differs: ``name``, then a column for
            each run, as text; null where a run has no such value.
    """

    frame: pl.DataFrame

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> Comparison:
        """A comparison of records, in their order."""
        rows = [record.flat() for record in records]
        names = dict.fromkeys(name for row in rows for name in row if name != "run_id")
        table = []
        for name in names:
            values = [row.get(name) for row in rows]
            if name.startswith("metric.") or any(value != values[0] for value in values[1:]):
                table.append([name, *(_text(value) for value in values)])
        columns = ["name", *(record.run_id for record in records)]
        return cls(pl.DataFrame(table, schema=dict.fromkeys(columns, pl.String), orient="row"))

    def __repr__(self) -> str:
        with pl.Config(tbl_rows=-1, fmt_str_lengths=60, **_WIDE):
            return str(self.frame)

    def _repr_html_(self) -> str:
        return _table(self.frame)


@dataclass(frozen=True, slots=True)
class Curves:
    """Learning curves of runs.

    Attributes:
        frame: ``run_id``, ``data``, ``metric``, ``round``, ``value``.
        metric: the figure.
    """

    frame: pl.DataFrame
    metric: str

    def svg(self) -> str:
        """The picture; validation is a full line, training a dashed one."""
        lines = []
        for (run_id, data), rows in self.frame.group_by(["run_id", "data"], maintain_order=True):
            points = list(zip(rows["round"].to_list(), rows["value"].to_list(), strict=True))
            lines.append((f"{str(run_id)[:8]} {data}", str(run_id), data == "train", points))
        return line_chart(self.metric, "round", lines)

    def save(self, path: str | Path) -> None:
        """Writes the picture as an SVG file."""
        from pathlib import Path as Place

        Place(path).write_text(self.svg())

    def __repr__(self) -> str:
        runs = self.frame["run_id"].n_unique()
        return f"Curves({self.metric}, {runs} runs, {self.frame.height} values)"

    def _repr_html_(self) -> str:
        return self.svg()


def by_round(run_id: str, history: History) -> pl.DataFrame:
    """A history as rows: ``run_id``, ``data``, ``metric``, ``round``, ``value``."""
    rows = [
        (run_id, data, metric, number, value)
        for data, figures in history.items()
        for metric, values in figures.items()
        for number, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=ROUNDS, orient="row")


def to_frame(rows: Sequence[dict[str, Any]], first: Sequence[str] = _FACTS) -> pl.DataFrame:
    """Rows with different keys as one frame; the columns ``first`` are always there."""
    names = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {int, float} and len(kinds) == 2:
            values = [None if value is None else float(value) for value in values]
        elif len(kinds) > 1:
            values = [None if value is None else str(value) for value in values]
        dtype = _TYPES.get(name) if not kinds else None
        columns[name] = pl.Series(name, values, dtype=dtype or (None if kinds else pl.String))
    return pl.DataFrame(columns)


_TYPES: dict[str, Any] = {
    "started": pl.Datetime("us"),
    "seconds": pl.Float64,
    "attempts": pl.Int64,
    "rounds": pl.Int64,
    "rows": pl.Int64,
}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(frame: pl.DataFrame) -> str:
    rows = ([_short(_text(value) or "") for value in row] for row in frame.iter_rows())
    return html_table(frame.columns, rows)


def _short(text: str) -> str:
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"
