"""The table of checks: what each expectation came to in each commit of a table.

The commit itself keeps the outcomes, so they are there exactly when its rows are. This table is
made of them afterwards, each version once; what a kill in between left out, the batch's retry or
the next write puts in.
"""

from __future__ import annotations

import io
import logging
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import RaypipeError
from raypipe.core.faults import fault_point
from raypipe.lake.log.commit import Change, Refused, SchemaMoved, commit
from raypipe.lake.log.stats import delta_stats
from raypipe.lake.log.table_log import TableLog, our_part
from raypipe.lake.log.written import WrittenFile
from raypipe.lake.options import TableOptions
from raypipe.lake.schema.dtypes import TIME
from raypipe.lake.storage.store import open_store
from raypipe.lake.write.previous import CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS: Mapping[str, pl.DataType] = {
    "version": pl.Int64(),
    "batch_id": pl.String(),
    "at": TIME,
    "expectation": pl.String(),
    "on_fail": pl.String(),
    "failed": pl.Int64(),
    "rows": pl.Int64(),
    "rows_in": pl.Int64(),
    "value": pl.Float64(),
    "value_text": pl.String(),
    "low": pl.String(),
    "high": pl.String(),
    "note": pl.String(),
}
_BACK = 20  # versions that are looked at for what a kill left out

logger = logging.getLogger(__name__)


def keep_checks(log: TableLog, version: int) -> None:
    """Puts the outcomes of a version, and of those just before it, into the table of checks.

    A version's outcomes are put there once, whoever calls this and however often. What cannot be
    put there now is logged, and put there by the next write: the rows themselves are committed.
    """
    checks = TableLog(log.name + CHECKS, log.uri + CHECKS, log.options)
    try:
        for number, info in reversed(_left_out(log, checks, version)):  # oldest first: see there
            _put(checks, number, our_part(info), int(info.get("timestamp", 0)))
    except (RaypipeError, SchemaMoved, Refused, OSError) as error:
        logger.warning(
            "the checks of %s at version %d are not kept yet: %s", log.name, version, error
        )


def _left_out(log: TableLog, checks: TableLog, version: int) -> list[tuple[int, dict[str, Any]]]:
    """Commits whose outcomes are not in the table of checks, newest first.

    They are put there in their order, so one that is there says that those before it are.
    """
    found = []
    for number in range(version, max(-1, version - _BACK), -1):
        info = log.commit_info(number)
        if info is None or not our_part(info).get("checks"):
            continue
        if checks.has_transaction(_app_id(number)):
            break
        found.append((number, info))
    return found


def _app_id(version: int) -> str:
    return f"checks:{version}"


def _put(checks: TableLog, version: int, noted: Mapping[str, Any], millis: int) -> None:
    attempt = uuid.uuid4().hex
    frame = rows_of(version, noted, datetime.fromtimestamp(millis / 1000, UTC))
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True)
    data, path = buffer.getvalue(), f"part-{attempt}-00000000.parquet"
    store = open_store(checks.uri, checks.options)
    store.put(path, data)
    fault_point("lake:before-checks")
    change = Change(
        files=(WrittenFile(path, len(data), delta_stats(frame)),),
        spec=TableOptions().first_spec(COLUMNS),
        app_id=_app_id(version),
        noted={"kind": "checks", "of": version},
        attempt=attempt,
    )
    if commit(checks, change).applied_before:
        store.delete([path])


def rows_of(version: int, noted: Mapping[str, Any], at: datetime) -> pl.DataFrame:
    """The rows of one version: one for each expectation, in their order."""
    rows = []
    for one in noted["checks"]:
        value = one["value"]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        rows.append(
            {
                "version": version,
                "batch_id": noted.get("batch_id"),
                "at": at.replace(tzinfo=None),
                "expectation": one["name"],
                "on_fail": one["on_fail"],
                "failed": one["failed"],
                "rows": one["rows"],
                "rows_in": noted.get("rows_in"),
                "value": float(value) if number else None,
                "value_text": None if number or value is None else str(value),
                "low": None if one["low"] is None else str(one["low"]),
                "high": None if one["high"] is None else str(one["high"]),
                "note": one["note"] or None,
            }
        )
    return pl.DataFrame(rows, schema=dict(COLUMNS))
