"""The rules about a batch as a whole, asked of the rows that a merge brings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import ConfigError
from raypipe.lake.change.source import GONE, Prepared
from raypipe.lake.outcome import Outcome
from raypipe.lake.quality.figures import FigureRule, measure, measured_columns
from raypipe.lake.quality.keys import ForeignKeyRule, UniqueRule
from raypipe.lake.write.encode import Place, write_file
from raypipe.lake.write.fused import BATCH, REASONS
from raypipe.lake.write.whole import figure_outcomes, say, search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from raypipe.lake.change.ask import MergeAsk
    from raypipe.lake.quality.base import Rule
    from raypipe.lake.schema.spec import TableSpec
    from raypipe.lake.write.fused import WriteJob


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows in memory, as the rules read them."""

    frame: pl.DataFrame
    schema: Mapping[str, pl.DataType]

    @property
    def rows(self) -> int:
        return self.frame.height

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        return self.frame if columns is None else self.frame.select(columns)


def refuse_unjudged(rules: Sequence[Rule], how: MergeAsk, spec: TableSpec, table: str) -> None:
    """Refuses rules that would need the whole table as it will be.

    Raises:
        ConfigError: rows are to be unique by other columns than the merge's keys.
    """
    updated = set(how.updated(spec))
    for rule in rules:
        # Rows of one key may be several in the table, told apart by a column that is now set.
        if isinstance(rule, UniqueRule) and (
            not set(how.on) <= set(rule.columns) or updated & set(rule.columns)
        ):
            raise ConfigError(
                f"expectation {rule.name!r} cannot be asked in a merge of table {table!r}",
                f"keys {list(how.on)}",
                "Merge on its columns, or name the table without it for this call.",
                "on",
            )


def judge_source(
    prepared: Prepared,
    job: WriteJob,
    rules: Sequence[Rule],
    previous: Callable[[str], Any],
) -> Prepared:
    """The source without the rows that break a rule about keys; figures are of what is left.

    A rule that rows are unique by the merge's keys holds by what a merge is: a source row meets the
    row of its key, and no key is twice in the source.

    Raises:
        ExpectationError: a rule with ``on_fail="fail"`` does not hold.
    """
    live, rest = prepared.rows.filter(~pl.col(GONE)), prepared.rows.filter(GONE)
    tally, outcomes = prepared.tally, {}
    for rule in rules:
        if isinstance(rule, UniqueRule):
            outcomes[rule.name] = Outcome(rule.name, rule.on_fail, 0, live.height)
        if not isinstance(rule, ForeignKeyRule) or not set(rule.columns) <= set(live.columns):
            continue
        found = search(rule, [_Rows(live, job.schema)], None)
        outcomes[rule.name] = Outcome(rule.name, rule.on_fail, found.count, live.height)
        say(rule, found.count)
        if not found.count or rule.on_fail == "warn":
            continue
        numbers = pl.concat(list(found.rows.values()))
        bad = pl.repeat(False, live.height, dtype=pl.Boolean, eager=True).scatter(numbers, True)
        tally = replace(tally, results=_without(tally.results, job, rule, live.filter(bad)))
        live = live.filter(~bad)
    figures = [rule for rule in rules if isinstance(rule, FigureRule)]
    if figures:
        part = _Rows(live, job.schema)
        measures = [measure(live, measured_columns(figures))]
        outcomes |= figure_outcomes(figures, measures, [part], previous)
        for one in figures:
            say(one, outcomes[one.name].failed, outcomes[one.name].note)
    return replace(prepared, rows=pl.concat([live, rest]), tally=replace(tally, outcomes=outcomes))


def _without(results: Any, job: WriteJob, rule: Rule, bad: pl.DataFrame) -> Any:
    """The parts' results, the first of which answers for the rows that went."""
    first, count = results[0], bad.height
    if rule.on_fail == "drop":
        counted = replace(first, rows=first.rows - count, dropped=first.dropped + count)
        return (counted, *results[1:])
    refused = bad.drop(GONE).with_columns(
        pl.lit([rule.name], dtype=pl.List(pl.String)).alias(REASONS),
        pl.lit(job.batch).alias(BATCH),
    )
    name = f"{job.quarantine_prefix}{job.attempt}-keys-{len(first.quarantine_files)}.parquet"
    aside = Place(folder=job.quarantine_folder, storage_options=job.storage_options)
    file = write_file(aside, refused, name)
    counted = replace(
        first,
        rows=first.rows - count,
        quarantined=first.quarantined + count,
        quarantine_files=(*first.quarantine_files, file),
    )
    return (counted, *results[1:])
