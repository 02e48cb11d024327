"""The rows of a part in the table's columns, and those that do not fit into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import RaypipeError
from raypipe.lake.quality.masks import apply as masked
from raypipe.lake.schema.contract import ROW, as_json, filled, part_fitting
from raypipe.lake.schema.dtypes import conform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.quality.masks import Mask
    from raypipe.lake.write.fused import WriteJob


def fit(
    job: WriteJob, frame: pl.DataFrame, schema: Mapping[str, pl.DataType], source: str
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows in the table's types; and, with ``evolve="quarantine"``, the others.

    The others are text: ``_row`` holds what came as JSON, with masked columns masked, and
    ``_reasons`` says why it does not fit. Of a table with personal data, columns that are not known
    are left out of it: nobody said what is in them.

    Raises:
        SchemaError: rows do not fit, and ``evolve`` is another.
    """
    if job.evolve == "add":
        return conform(filled(frame, schema), schema, source), None
    if job.evolve != "quarantine":
        return conform(frame, schema, source), None
    rows, others, why = part_fitting(frame, schema, source)
    if not others.height:
        return rows, None
    if job.masks:
        others = _without_secrets(
            others.select(n for n in others.columns if n in job.schema), job.to_mask
        )
    return rows, pl.DataFrame([as_json(others).alias(ROW), why])


def _without_secrets(frame: pl.DataFrame, masks: Mapping[str, Mask]) -> pl.DataFrame:
    """What a mask cannot take, a value of another type, becomes null."""
    for name, mask in masks.items():
        if name not in frame.columns:
            continue
        try:
            frame = masked(frame, {name: mask})
        except (RaypipeError, pl.exceptions.PolarsError):
            frame = frame.with_columns(pl.lit(None).alias(name))
    return frame
