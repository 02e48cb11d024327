"""Partition values as the Delta protocol spells them, in the log and in the names of folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
_LONGEST_FOLDER = 255  # bytes of one name in a path, on every common file system


def partition_folder(column: str, value: str | None) -> str:
    """The folder of one partition value.

    Raises:
        ConfigError: the value is too long to name a folder.
    """
    name = f"{column}={_NULL_FOLDER if value is None else quote(value, safe=' ')}"
    size = len(name.encode())
    if size > _LONGEST_FOLDER:
        raise ConfigError(
            f"a value of partition column {column!r} is too long to name a folder",
            f"{size} bytes, where {_LONGEST_FOLDER} are the most",
            "Shorten it before writing, or do not partition by this column.",
            "partition_by",
        )
    return name


def partition_text(value: Any, dtype: PolarsDataType) -> str | None:
    """A partition value as the Delta protocol spells it.

    Raises:
        ConfigError: an empty string, which Delta cannot tell from null, or the name that stands
            for null in a path.
    """
    if value is None:
        return None
    if value == "":
        raise ConfigError(
            "a partition value is an empty string, which a Delta table keeps as null",
            None,
            "Replace it before writing, or do not partition by this column.",
            "partition_by",
        )
    if value == _NULL_FOLDER:
        raise ConfigError(
            "a partition value is the name that stands for null in a path",
            value,
            "Replace it before writing, or do not partition by this column.",
            "partition_by",
        )
    if isinstance(dtype, pl.Datetime):
        # The year in four digits, as strftime does not write it on every system.
        return str(value.replace(tzinfo=None).isoformat(" ", "microseconds"))
    return str(value).lower() if isinstance(value, bool) else str(value)
