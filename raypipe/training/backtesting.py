"""By-time backtests: train on what was known, judge on what came next, fold after fold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, SchemaError
from raypipe.core.markup import html_table
from raypipe.models import labelled_scores, metrics, weighted_scores
from raypipe.models.evaluation import interval
from raypipe.models.evaluation.intervals import check_draws
from raypipe.training.figures import gives_margins, gives_scores
from raypipe.training.fold_labels import check_fold_labels
from raypipe.training.objectives import nearest
from raypipe.training.runs.chart import line_chart
from raypipe.training.survey import check_snapshots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from raypipe.lake import Snapshot
    from raypipe.models import Metric
    from raypipe.models.evaluation import Interval, TimeSplit
    from raypipe.training.run import Run
    from raypipe.training.trainer import Trainer

_USUAL = {
    "binary": (metrics.roc_auc, metrics.pr_auc, metrics.log_loss),
    "multiclass": (metrics.multi_log_loss, metrics.multi_accuracy),
    "regression": (metrics.rmse, metrics.mae, metrics.r2),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One origin of a backtest.

    Attributes:
        split: the spans of time.
        run: the training on its first span.
        rows: labelled rows that it was judged on.
        figures: by metric, with bootstrap intervals.
    """

    split: TimeSplit
    run: Run
    rows: int
    figures: dict[str, Interval]


@dataclass(frozen=True, kw_only=True, slots=True)
class Backtest:
    """Figures fold by fold.

    Attributes:
        folds: in order of time.
        metrics: names of the figures.
    """

    folds: tuple[Fold, ...]
    metrics: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """A row for each fold and metric: ``fold``, the spans' ends, ``train_rows``, ``rows``,
        ``run_id``, ``metric``, ``value``, ``low``, ``high``.
        """
        return pl.DataFrame(
            [
                {
                    "fold": number,
                    "train_start": fold.split.train_start,
                    "train_end": fold.split.train_end,
                    "test_start": fold.split.test_start,
                    "test_end": fold.split.test_end,
                    "train_rows": fold.run.bundle.manifest["rows"],
                    "rows": fold.rows,
                    "run_id": fold.run.id,
                    "metric": name,
                    "value": fold.figures[name].value,
                    "low": fold.figures[name].low,
                    "high": fold.figures[name].high,
                }
                for number, fold in enumerate(self.folds)
                for name in self.metrics
            ],
            infer_schema_length=None,
        )

    def means(self) -> dict[str, float]:
        """The mean of each figure over the folds in which it is defined; each fold counts once."""
        found = {}
        for name in self.metrics:
            values = [f.figures[name].value for f in self.folds]
            defined = [v for v in values if not math.isnan(v)]
            found[name] = sum(defined) / len(defined) if defined else math.nan
        return found

    def svg(self, metric: str | None = None) -> str:
        """A picture of one figure by fold, the first by default; dashed are the intervals' ends.

        Raises:
            ConfigError: the backtest has no such figure.
        """
        name = metric or self.metrics[0]
        if name not in self.metrics:
            raise ConfigError(
                "the backtest has no such figure", name, nearest(name, self.metrics), "metric"
            )
        figures = [fold.figures[name] for fold in self.folds]

        def points(end: str) -> list[tuple[float, float]]:
            return [(float(n), getattr(one, end)) for n, one in enumerate(figures)]

        lines = [(end, name, end != "value", points(end)) for end in ("value", "low", "high")]
        return line_chart(name, "fold", lines)

    def save(self, path: str | Path, metric: str | None = None) -> None:
        """Writes the picture as an SVG file."""
        from pathlib import Path as Place

        Place(path).write_text(self.svg(metric))

    def _rows(self) -> list[list[str]]:
        return [
            [
                str(number),
                f"{fold.split.test_start} to {fold.split.test_end}",
                f"{fold.run.bundle.manifest['rows']:,}",
                f"{fold.rows:,}",
                *(_text(fold.figures[name]) for name in self.metrics),
            ]
            for number, fold in enumerate(self.folds)
        ]

    def __repr__(self) -> str:
        head = ["fold", "judged on", "train rows", "rows", *self.metrics]
        table = [head, *self._rows()]
        widths = [max(len(row[n]) for row in table) for n in range(len(head))]
        lines = ("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in table)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head = ["fold", "judged on", "train rows", "rows", *self.metrics]
        return html_table(head, self._rows()) + self.svg()


def backtest(
    trainer: Trainer,
    rows: Snapshot,
    splits: Sequence[TimeSplit],
    *,
    time: str,
    metrics: Sequence[Metric] = (),
    level: float = 0.95,
    resamples: int = 1_000,
    seed: int = 0,
) -> Backtest:
    """Trains and judges once for each split; each training is a run of its own in the lake.

    A fold's recipe is fitted on its training rows alone. Where the trainer has weights, figures
    count a row by its weight, as those of a run do. Killed anywhere and called again, it goes
    on: folds that are finished are read back.

    Args:
        trainer: what is trained.
        rows: all rows.
        splits: as ``rp.evaluation.rolling_origin`` gives them.
        time: the column that tells a row's time.
        metrics: what is taken; the usual ones of the kind of problem by default, which take
            probabilities of classes, or the number itself.
        level: the share that the intervals hold.
        resamples: draws of each interval.
        seed: of the draws.

    Raises:
        ConfigError: the rows are no snapshot, there are no splits, one has no row to train or to
            judge on or names a time zone, no interval can be drawn as asked, or the trainer ranks,
            stops early or begins from a margin, for which folds have no rows.
        SchemaError: there is no such column of time.
        RecipeError: labels of a split cannot be learned, or a class is first seen in the rows that
            it judges on; nothing was trained.
        TrainingError: as ``Trainer.fit``.
    """
    splits, chosen = tuple(splits), tuple(metrics) or _USUAL.get(trainer.learner.task, ())
    check_snapshots(rows=rows)
    check_draws(level, resamples, seed)
    _check(trainer, rows, splits, time, chosen)
    check_fold_labels(trainer, rows, splits, time)
    folds = []
    for split in splits:
        run = trainer.fit(rows.where(split.train(time)))
        judged, weight = rows.where(split.test(time)), trainer.roles.weight
        weights = None
        if weight is None:
            labels, scores = labelled_scores(run.bundle, judged)
        else:
            labels, scores, weights = weighted_scores(run.bundle, judged, weight)
        draws: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
        figures = {
            one.name: interval(one, labels, scores, weights=weights, **draws) for one in chosen
        }
        folds.append(Fold(split=split, run=run, rows=len(labels), figures=figures))
    return Backtest(folds=tuple(folds), metrics=tuple(one.name for one in chosen))


def _check(
    trainer: Trainer,
    rows: Snapshot,
    splits: Sequence[TimeSplit],
    time: str,
    chosen: Sequence[Metric],
) -> None:
    if not splits:
        raise ConfigError("a backtest takes one split or more", field="splits")
    if trainer.early_stopping is not None:
        raise ConfigError(
            "a backtest has no rows to stop early on",
            act="Give the trainer the number of rounds instead.",
            field="early_stopping",
        )
    if trainer.learner.task == "ranking" or trainer.roles.margin:
        raise ConfigError("a backtest takes neither a ranking nor a base margin", field="trainer")
    if chosen == _USUAL.get(trainer.learner.task) and not gives_scores(trainer.learner):
        raise ConfigError(
            "the usual metrics do not suit what this objective gives",
            trainer.learner,
            "Name those that do in metrics=, or choose another objective.",
            "metrics",
        )
    for one in chosen:
        if getattr(one, "probabilities", False) and gives_margins(trainer.learner):
            raise ConfigError(
                "the metric takes probabilities, and this objective gives margins",
                one.name,
                "Name a figure of order such as roc_auc, or use binary:logistic.",
                "metrics",
            )
        if getattr(one, "kind", None) != trainer.learner.task:  # a name has none
            raise ConfigError(
                f"the metric does not suit a {trainer.learner.task} problem",
                getattr(one, "name", one),
                "Use those of rp.metrics that do.",
                "metrics",
            )
    if time not in rows.schema:
        raise SchemaError("there is no such column", time, nearest(time, rows.schema), time)
    if not rows.schema[time].is_temporal():
        raise SchemaError("a backtest goes by a date or a time", str(rows.schema[time]), None, time)
    for split in splits:
        if getattr(split.train_end, "tzinfo", None) or getattr(split.test_start, "tzinfo", None):
            raise ConfigError(
                "a table's times are in UTC and name no zone, but a split's do",
                str(split),
                "Give them in UTC, without a zone.",
                "splits",
            )
    asked = {}
    for number, split in enumerate(splits):
        asked[f"train {number}"] = split.train(time).sum()
        asked[f"test {number}"] = split.test(time).sum()
    counts: dict[str, Any] = rows.lazy().select(**asked).collect().row(0, named=True)
    for name, count in counts.items():
        if not count:
            kind, _, place = name.partition(" ")
            raise ConfigError(
                f"a split has no rows to {kind if kind == 'train' else 'judge'} on",
                str(splits[int(place)]),
                "Begin later, or take longer spans.",
                "splits",
            )


def _text(figure: Interval) -> str:
    return f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"
