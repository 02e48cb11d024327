"""Masks for personal data: what a column's values become before the first byte is written.

A masked column is masked in the table, in its quarantine and in everything that is derived from
them. The table keeps the kind of mask, never a key, so a later writer who does not name the mask
masks all the same.
"""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from raypipe.core.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Mask", "apply", "drop", "generalize", "keyed_hash", "truncate"]

KEY_VARIABLE = "RAYPIPE_PII_KEY"
"""The environment variable that holds the key of ``keyed_hash`` unless another one is named."""

_VARIABLE = re.compile("[A-Z_][A-Z0-9_]*", re.ASCII)
"""Anything else may be the key itself, and the name of a variable is stored and shown."""

_SHORTEST_KEY = 16  # bytes; a key that can be guessed lets anybody hash all telephone numbers
_CALENDAR: dict[object, str] = {"year": "1y", "month": "1mo", "day": "1d", "hour": "1h"}
Step = int | float | Literal["year", "month", "day", "hour"]


@dataclass(frozen=True, slots=True)
class Mask:
    """How the values of one column are masked. Made by the functions of this module.

    Attributes:
        kind: ``keyed_hash``, ``truncate``, ``generalize`` or ``drop``.
        amount: characters of ``truncate``, step of ``generalize``.
        variable: the environment variable that holds the key of ``keyed_hash``.
        key: the key of ``keyed_hash``, once it is known; a secret, so no ``repr`` shows it.
    """

    kind: Literal["keyed_hash", "truncate", "generalize", "drop"]
    amount: Step | None = None
    variable: str = KEY_VARIABLE
    key: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def injective(self) -> bool:
        """Whether two values stay two values, so that keys may be compared once masked."""
        return self.kind == "keyed_hash"

    def same_as(self, other: Mask) -> bool:
        """Whether both turn a value into the same one, as far as can be told without a key."""
        return (self.kind, self.amount) == (other.kind, other.amount)

    def with_key(self) -> Mask:
        """The mask with its key at hand, read from the environment where it was not given.

        Raises:
            ConfigError: the environment variable is not set, or the key is too short.
        """
        if self.kind != "keyed_hash" or self.key is not None:
            return self
        text = os.environ.get(self.variable)
        if not text:
            raise ConfigError(
                "there is no key to mask personal data with",
                f"environment variable {self.variable} is not set",
                "Set it, or pass the key: masks.keyed_hash(key=…). Nothing was written.",
                "pii",
            )
        return replace(self, key=_checked_key(text.encode()))

    def stored_type(self, dtype: pl.DataType, column: str) -> pl.DataType:
        """The type that a column of ``dtype`` has once it is masked.

        Raises:
            SchemaError: values of this type cannot be masked so.
        """
        if self.kind == "keyed_hash":
            good = dtype.is_integer() or isinstance(dtype, _HASHED)
            want = "a string, a whole number, a boolean, a date, a time or bytes"
        elif self.kind == "truncate":
            good, want = isinstance(dtype, _TEXTS), "a string"
        elif self.kind == "generalize" and isinstance(self.amount, str):
            clock = isinstance(dtype, pl.Datetime)
            good = clock or (isinstance(dtype, pl.Date) and self.amount in ("year", "month"))
            want = "a date or a time (a date has no hour)"
        elif self.kind == "generalize":
            whole = isinstance(self.amount, int)
            good = dtype.is_float() or (dtype.is_integer() and whole)
            want = "a whole number or a float (whole numbers take a whole step)"
        else:
            good, want = True, "any"
        if not (good or isinstance(dtype, pl.Null)):
            raise SchemaError(
                f"column {column!r} cannot be masked by {self}",
                str(dtype),
                f"It must be {want}.",
                column,
            )
        return pl.String() if self.kind == "keyed_hash" else dtype

    def __str__(self) -> str:
        shown = "" if self.amount is None else repr(self.amount)
        return f"{self.kind}({shown})"


_TEXTS = (pl.String, pl.Categorical, pl.Enum)
_HASHED = (*_TEXTS, pl.Boolean, pl.Date, pl.Datetime, pl.Binary)


def keyed_hash(key: bytes | str | None = None) -> Mask:
    """Each value becomes its HMAC-SHA256 under a key, in hex (64 characters); null stays null.

    The same value under the same key has the same hash in every table, so joins and ``merge`` work.
    Numbers, dates and booleans are hashed as their text, so 7 and "7" agree. Whoever has the key
    can find a value by trying all; without it nobody can. A column of a ``Snapshot`` that holds the
    hashes under this key already is written as it is; hashes in a plain frame are not known as such
    and are hashed again.

    Args:
        key: the key itself as bytes, or the name (capitals, digits and ``_``) of the environment
            variable that holds it; by default ``RAYPIPE_PII_KEY``. The key is kept in no table,
            log, message or ``repr``. Tasks get it through Ray.

    Raises:
        ConfigError: the key has fewer than 16 bytes, or a text is no such name.
    """
    if isinstance(key, bytes):
        return Mask("keyed_hash", key=_checked_key(key))
    if key is not None and (not isinstance(key, str) or not _VARIABLE.fullmatch(key)):
        raise ConfigError(
            "keyed_hash takes a key of bytes or the name of an environment variable",
            f"{type(key).__name__} (not shown, since it may be a key)",
            "Pass the key itself as bytes (text.encode()), or a name such as 'MY_VARIABLE'.",
            "key",
        )
    return Mask("keyed_hash", variable=key or KEY_VARIABLE)


def truncate(chars: int) -> Mask:
    """Strings keep their first ``chars`` characters; a string that short stays as it is.

    Raises:
        ConfigError: ``chars`` is no whole number above 0.
    """
    if not isinstance(chars, int) or isinstance(chars, bool) or chars < 1:
        raise ConfigError("truncate keeps 1 character or more", chars, None, "chars")
    return Mask("truncate", chars)


def generalize(step: Step) -> Mask:
    """Numbers are rounded down to multiples of ``step``, dates and times to their year, month, …

    Args:
        step: a number above 0, or ``"year"``, ``"month"``, ``"day"``, ``"hour"``.

    Raises:
        ConfigError: the step is none of these.
    """
    number = isinstance(step, int | float) and not isinstance(step, bool)
    if step not in _CALENDAR and not (number and 0 < float(step) < 2**63):
        raise ConfigError(
            "generalize needs a step", step, "Use a number above 0, 'year' or 'month'.", "step"
        )
    return Mask("generalize", step)


def drop() -> Mask:
    """The column keeps its name and type, and every value in it is null.

    It stays as a column so that the table knows it: whoever writes the value later has it masked,
    instead of an error that makes him add the column anew.
    """
    return Mask("drop")


def _checked_key(key: bytes) -> bytes:
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(
            "a key to mask personal data is too short",
            f"{len(key)} bytes, where {_SHORTEST_KEY} are the fewest",
            "Use a random one, such as secrets.token_bytes(32).",
            "key",
        )
    return key


def as_text(frame: pl.DataFrame, masks: Mapping[str, Mask]) -> pl.DataFrame:
    """The frame with columns that will be hashed as the text that is hashed (bytes as hex).

    Expectations on such a column look at this text.

    Raises:
        SchemaError: a column's type cannot be masked so.
    """
    texts = []
    for name, mask in masks.items():
        if name not in frame.columns:
            continue
        dtype = frame.schema[name]
        if mask.kind == "keyed_hash" and not isinstance(dtype, pl.String):
            mask.stored_type(dtype, name)
            texts.append(_text(pl.col(name), dtype))
    return frame.with_columns(texts) if texts else frame


def _text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Binary):
        return column.bin.encode("hex")
    if isinstance(dtype, pl.Datetime):  # one instant has one text, whatever its unit and zone
        if dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        column = column.cast(pl.Datetime("us"))
    return column.cast(pl.String)


def apply(frame: pl.DataFrame, masks: Mapping[str, Mask]) -> pl.DataFrame:
    """The frame with its tagged columns masked; columns that are not there are passed over.

    To be called once on a row: a hash that is hashed again is another one.

    Raises:
        SchemaError: a column's type cannot be masked so. No message holds a value.
        ConfigError: a key is not at hand.
    """
    here = {name: mask for name, mask in masks.items() if name in frame.columns}
    if not here:
        return frame
    frame = as_text(frame, here)
    return frame.with_columns(_masked(frame[name], mask) for name, mask in here.items())


def _masked(column: pl.Series, mask: Mask) -> pl.Series:
    mask.stored_type(column.dtype, column.name)
    amount: Any = mask.amount
    if mask.kind == "keyed_hash":
        return _hashed(column, mask.with_key().key or b"")
    if mask.kind == "drop":
        return pl.Series(column.name, [None], dtype=column.dtype).new_from_index(0, column.len())
    if isinstance(column.dtype, pl.Null):
        return column
    if mask.kind == "truncate":
        return column.cast(pl.String).str.head(amount).cast(pl.String)
    if isinstance(amount, str):
        truncated: pl.Series = column.dt.truncate(_CALENDAR[amount])
        return truncated
    if column.dtype.is_integer():
        return _rounded_down(column, amount)
    rounded: pl.Series = ((column.cast(pl.Float64) / amount).floor() * amount).cast(column.dtype)
    return rounded


def _rounded_down(column: pl.Series, step: int) -> pl.Series:
    wide = column if isinstance(column.dtype, pl.UInt64) else column.cast(pl.Int64)
    low = int(column.to_frame().select(pl.first().lower_bound()).item())
    # What would round down to below the type's least value becomes that value.
    lowest = -(-low // step) * step
    floor = pl.lit(low, dtype=wide.dtype)
    name = column.name
    found = wide.to_frame().select(
        pl.when(pl.col(name) < lowest).then(floor).otherwise(pl.col(name) // step * step)
    )
    return found.to_series().cast(column.dtype).rename(name)


def _hashed(column: pl.Series, key: bytes) -> pl.Series:
    def of(values: pl.Series) -> pl.Series:
        digest = hmac.digest
        found = [None if v is None else digest(key, v.encode(), "sha256").hex() for v in values]
        return pl.Series(values.name, found, dtype=pl.String)

    if isinstance(column.dtype, pl.Null):
        return column.cast(pl.String)
    different = column.unique()
    if different.len() * 2 > column.len():
        return of(column)
    found: pl.Series = column.replace_strict(different, of(different), return_dtype=pl.String)
    return found
