"""The prediction log: what was asked, what was answered, by which version, in the lake.

The table ``<model>__predictions`` has a row for each prediction:

========================  ==========  ============================================================
``prediction_id``         String      ``<request id>:<row>``
``request_id``            String      the client's id, or one made here
``version``               Int64       the version that scored it
``event_time``            Datetime    the client's time, else ``at`` (UTC)
``at``                    Datetime    when it was scored (UTC)
``score``                 Float64     the answer
each raw input            by type     as the client sent it
========================  ==========  ============================================================

The same request may stand there twice: a replica was killed after the commit and before the answer,
and the client asked again. The first in the order of the commits counts; ``predictions`` shows that
one only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, RequestError, SchemaError, TableNotFoundError
from raypipe.core.uris import check_name
from raypipe.features.columns import RAW_TYPES
from raypipe.serving.answers import Scored

if TYPE_CHECKING:
    from raypipe.lake import Lake
    from raypipe.serving.protocol import Parsed
    from raypipe.serving.signature import Feature

FIXED: Mapping[str, pl.DataType] = {
    "prediction_id": pl.String(),
    "request_id": pl.String(),
    "version": pl.Int64(),
    "event_time": pl.Datetime("us"),
    "at": pl.Datetime("us"),
    "score": pl.Float64(),
}

Schema = Mapping[str, pl.DataType]

PROPERTIES: Mapping[str, str] = {
    # Each commit is a batch of its own, tried again within seconds: its id need not be kept longer.
    "delta.setTransactionRetentionDuration": "interval 1 hours",
    "delta.logRetentionDuration": "interval 7 days",
    # Who asks again is looked for in the files of a day: they stay small enough to be read for it.
    "delta.targetFileSize": "32mb",
}
"""With which the log is made, so that it stays bounded however many commits it sees."""

LOOK_BACK = timedelta(days=1)
"""For how long after its answer a request that comes again is looked for in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One answered request, as it is logged."""

    parsed: Parsed
    scored: Scored
    at: datetime

    @property
    def rows(self) -> int:
        """The number of predictions."""
        return len(self.scored.scores)


def table_name(model: str) -> str:
    """The name of a model's prediction log in the lake."""
    return f"{check_name('model', model)}__predictions"


def predictions(lake: Lake, model: str) -> pl.LazyFrame:
    """Each prediction of a model once, in the order of the commits.

    Where an id was logged twice, the first commit counts, so what was read once never changes.

    Raises:
        TableNotFoundError: nothing has been predicted yet.
    """
    rows = lake.table(table_name(model)).at().lazy()
    return rows.unique("prediction_id", keep="first", maintain_order=True)


def log_schema(features: Sequence[Feature], present: Schema | None = None) -> Schema:
    """The log's columns for a version with these inputs, given those that the table has.

    Raises:
        ConfigError: an input is named like a column of the log.
        SchemaError: the table lacks an input, or has it with another type.
    """
    inputs = {feature.name: RAW_TYPES[feature.type] for feature in features}
    for name in inputs:
        if name in FIXED:
            raise ConfigError(
                "an input is named like a column of the prediction log",
                name,
                "Rename the column before the recipe, or deploy with log='off'.",
                name,
            )
    if present is None:
        return {**FIXED, **inputs}
    for name, dtype in inputs.items():
        if present.get(name) != dtype:
            raise SchemaError(
                "the prediction log cannot hold an input of this version",
                f"{name!r} as {dtype}, the table has {present.get(name, 'no such column')}",
                "Train on the same inputs, serve it under another name, or use log='off'.",
                name,
            )
    return present


def entries_frame(entries: Iterable[Entry], schema: Schema) -> pl.DataFrame:
    """Requests as rows of the log; inputs that a request does not have are null."""
    return pl.concat([_entry_frame(entry, schema) for entry in entries], rechunk=True)


def _entry_frame(entry: Entry, schema: Schema) -> pl.DataFrame:
    parsed, scored, count = entry.parsed, entry.scored, entry.rows
    values: dict[str, Any] = {
        **parsed.columns,
        "prediction_id": list(scored.prediction_ids),
        "request_id": [scored.id] * count,
        "version": [scored.version] * count,
        "event_time": parsed.event_times or [entry.at] * count,
        "at": [entry.at] * count,
        "score": list(scored.scores),
    }
    absent = [None] * count
    return pl.DataFrame({n: values.get(n, absent) for n in schema}, schema=dict(schema))


def find_answer(
    lake: Lake, model: str, parsed: Parsed, since: datetime | None = None
) -> Scored | None:
    """The answer that the log holds for a request that comes again, if it holds one.

    Args:
        lake: where the log is.
        model: whose log.
        parsed: the request.
        since: only answers scored at this time (naive, UTC) or later are found, and files that
            hold older ones only are not read: a replica asks for those of ``LOOK_BACK``, or each
            retry would read the whole log. By default all are found.

    Raises:
        RequestError: 409, the id was used for a request with other rows.
    """
    try:
        snapshot = lake.table(table_name(model)).at()
    except TableNotFoundError:
        return None
    if since is not None:
        snapshot = snapshot.where(pl.col("at") >= since)
    rows = snapshot.where(pl.col("request_id") == parsed.id).frame()
    rows = rows.unique("prediction_id", keep="first", maintain_order=True)
    if rows.is_empty():
        return None
    known = [name for name in parsed.columns if name in rows.columns]
    asked = pl.DataFrame(
        {name: parsed.columns[name] for name in known}, schema={n: rows.schema[n] for n in known}
    )
    if rows["prediction_id"].to_list() != parsed.prediction_ids() or not asked.equals(
        rows.select(known)
    ):
        raise id_used_twice(parsed.id)
    return Scored(
        model=model,
        version=int(rows["version"][0]),
        id=parsed.id,
        prediction_ids=rows["prediction_id"].to_list(),
        scores=rows["score"].to_list(),
    )


def id_used_twice(request_id: str) -> RequestError:
    """The error for a request id that names another request."""
    return RequestError(
        "this id was used for another request",
        request_id,
        "Use a new id for new rows; the same id only to ask the same again.",
        "id",
        409,
    )
