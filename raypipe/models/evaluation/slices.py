"""Figures by slice: where a model is worse than its mean says."""

from __future__ import annotations

import html
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raypipe.core.errors import ConfigError
from raypipe.core.markup import Markup, html_table
from raypipe.models.evaluation.intervals import Interval, as_weights, check_metric, interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.models.metrics import Metric

_MISSING = "(missing)"


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceReport:
    """A metric over all rows and over each slice.

    Attributes:
        metric: its name.
        higher_is_better: the metric's direction.
        whole: over all rows.
        frame: a row for each slice, the worst first: ``column``, ``slice``, ``rows``, ``value``,
            ``low``, ``high``, and ``worse``, whether the interval lies wholly on the bad side of
            the figure over all rows. With many slices some are so by chance: ``level`` is of each
            interval alone.
        small: slices with fewer rows than asked for; they are not judged.
    """

    metric: str
    higher_is_better: bool
    whole: Interval
    frame: pl.DataFrame
    small: int

    @property
    def worse(self) -> pl.DataFrame:
        """The slices that are worse than all rows together."""
        return self.frame.filter("worse")

    def __repr__(self) -> str:
        return (
            f"SliceReport({self.whole}, {self.frame.height} slices, {self.worse.height} worse, "
            f"{self.small} too small)"
        )

    def _repr_html_(self) -> str:
        ends = [self.whole.low, self.whole.high]
        ends += self.frame["low"].to_list() + self.frame["high"].to_list()
        known = [end for end in ends if end == end]
        least, most = (min(known), max(known)) if known else (0.0, 1.0)

        def place(value: float) -> float:
            return 200 * (value - least) / (most - least) if most > least else 100.0

        rows = []
        for one in self.frame.iter_rows(named=True):
            low, high, color = one["low"], one["high"], "#c33" if one["worse"] else "#888"
            bar = ""
            if low == low:
                bar = (
                    f'<svg width="204" height="10"><line x1="{place(self.whole.value) + 2:.1f}" '
                    f'x2="{place(self.whole.value) + 2:.1f}" y1="0" y2="10" stroke="#bbb"/>'
                    f'<line x1="{place(low) + 2:.1f}" x2="{place(high) + 2:.1f}" y1="5" y2="5" '
                    f'stroke="{color}"/><circle cx="{place(one["value"]) + 2:.1f}" cy="5" r="3" '
                    f'fill="{color}"/></svg>'
                )
            cells = (one["column"], one["slice"], f"{one['rows']:,}", f"{one['value']:.4f}")
            rows.append((*cells, Markup(bar)))
        table = html_table(("column", "slice", "rows", "value", ""), rows)
        return f"<p>{html.escape(str(self.whole))}</p>{table}"


def slices(
    metric: Metric,
    frame: pl.DataFrame,
    labels: Any,
    scores: Any,
    *,
    by: str | Sequence[str],
    weights: Any = None,
    bins: int = 4,
    min_rows: int = 100,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> SliceReport:
    """The metric for each value of some columns, each with an interval.

    Numeric columns of more than ``bins`` values are cut at their quantiles. Null and NaN are a
    slice of their own.

    Args:
        metric: what to take; not a ranking metric.
        frame: the columns to slice by, a row for each label.
        labels: as the metric takes them.
        scores: as the metric takes them.
        by: the columns; each is sliced by itself.
        weights: numbers >= 0 that count rows more or less, as the metric takes them.
        bins: slices of a numeric column.
        min_rows: slices with fewer rows are counted, not judged.
        level: of each interval.
        resamples: draws for each interval.
        seed: of the draws.

    Raises:
        ConfigError: a column is not there, the lengths differ, or the metric is of ranking.
    """
    check_metric(metric)
    names = [by] if isinstance(by, str) else list(by)
    y, p = np.asarray(labels, np.float64).ravel(), np.asarray(scores, np.float64)
    if metric.kind == "ranking":
        raise ConfigError("slices cannot take a ranking metric", metric.name, field="metric")
    if frame.height != y.size:
        raise ConfigError(
            "the frame needs a row for each label", f"{frame.height} rows, {y.size} labels"
        )
    for name in names:
        if name not in frame.columns:
            raise ConfigError(
                "there is no such column to slice by", name, f"There are: {frame.columns}.", "by"
            )
    settings = {"level": level, "resamples": resamples, "seed": seed}
    w = as_weights(weights)
    whole = interval(metric, y, p, weights=w, **settings)  # type: ignore[arg-type]
    found, small = [], 0
    for name in names:
        cut = cut_column(frame[name], bins)
        for value in cut.unique(maintain_order=True).sort():
            rows = (cut == value).to_numpy()
            if rows.sum() < min_rows:
                small += 1
                continue
            some = None if w is None else w[rows]
            one = interval(metric, y[rows], p[rows], weights=some, **settings)  # type: ignore[arg-type]
            bad = one.high < whole.value if metric.higher_is_better else one.low > whole.value
            found.append((name, value, int(rows.sum()), one.value, one.low, one.high, bool(bad)))
    columns = {
        "column": pl.String,
        "slice": pl.String,
        "rows": pl.Int64,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "worse": pl.Boolean,
    }
    made = pl.DataFrame(found, schema=columns, orient="row")
    made = made.sort("value", descending=not metric.higher_is_better, nulls_last=True)
    return SliceReport(
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        whole=whole,
        frame=made,
        small=small,
    )


def cut_column(column: pl.Series, bins: int) -> pl.Series:
    """The slice of each value, as text."""
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if not column.dtype.is_numeric() or column.n_unique() - bool(column.null_count()) <= bins:
        return column.cast(pl.String).fill_null(_MISSING)
    values = column.cast(pl.Float64)
    shares = [i / bins for i in range(1, bins)]
    edges = sorted({float(values.quantile(s, "nearest")) for s in shares})  # type: ignore[arg-type]
    ends = [f"{edge:g}" for edge in edges]
    names = [f"< {ends[0]}", *(f"{a} to < {b}" for a, b in itertools.pairwise(ends))]
    names.append(f">= {ends[-1]}")
    places = np.searchsorted(np.array(edges), values.fill_null(0.0).to_numpy(), side="right")
    said = pl.Series([names[i] for i in places], dtype=pl.String)
    return pl.select(pl.when(values.is_null()).then(pl.lit(_MISSING)).otherwise(said)).to_series()
