"""Expectations about keys: a row's key beside those of other rows, in the batch or in a table.

They are judged on rows as they are stored, once all other rules have had their say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl

from raypipe.core.errors import ConfigError, SchemaError
from raypipe.lake.quality.base import OnFail, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.quality.masks import Mask

Within = Literal["table", "batch"]


@dataclass(frozen=True, slots=True)
class UniqueRule(Rule):
    """No two rows have the same values in ``columns``; a row with a null among them is let be.

    Attributes:
        within: ``"batch"``: among the rows that a write keeps; ``"table"``: beside the table's too.
    """

    within: Within = "table"


@dataclass(frozen=True, slots=True)
class ForeignKeyRule(Rule):
    """The values in ``columns`` are those of a row of ``parent``; a row with a null among them is
    let be.

    Attributes:
        parent: a table, of which the newest version is looked at, or a snapshot.
        parent_columns: its columns, in the order of ``columns``.
    """

    parent: Any = field(default=None, compare=False)
    parent_columns: tuple[str, ...] = ()


def unique(*columns: str, within: Within = "table", on_fail: OnFail = "fail") -> Rule:
    """No two rows have the same values in these columns. Values are compared, never hashes.

    Of rows with one key the first in the order of the data holds, and each later one breaks it;
    beside a row that the table has already, all break it. A row with a null in a key column holds.
    With ``within="table"`` a write that races another one's rows is judged again before it commits,
    so two appends with one new key never both keep it. Only key columns are read again: of the
    new files, and of those table files whose statistics allow a key of the batch.

    Args:
        columns: the key.
        within: ``"table"`` or ``"batch"``.
        on_fail: what happens to rows that break it.

    Raises:
        ConfigError: no column is named, one twice, or ``within`` is neither.
    """
    if within not in get_args(Within):
        raise ConfigError("unique looks within the table or the batch", within, None, "within")
    names = ", ".join(_names("unique", columns))
    shown = names if within == "table" else f"{names}, within='batch'"
    return UniqueRule(f"unique({shown})", within, on_fail=on_fail, columns=tuple(columns))


def foreign_key(
    columns: str | Sequence[str],
    parent: Any,
    parent_columns: str | Sequence[str] | None = None,
    on_fail: OnFail = "fail",
) -> Rule:
    """Each row's key is one of ``parent``'s. A row with a null in a key column holds.

    The parent is looked at as it is while the write is judged; nothing keeps its rows from being
    removed later.

    Args:
        columns: the key.
        parent: a ``Table`` (its newest version) or a ``Snapshot``.
        parent_columns: the parent's columns, in the same order; by default the same names.
        on_fail: what happens to rows that break it.

    Raises:
        ConfigError: no column is named, one twice, not as many of the parent, or the parent is
            neither table nor snapshot.
    """
    own = _names("foreign_key", (columns,) if isinstance(columns, str) else tuple(columns))
    other = own
    if parent_columns is not None:
        given = (parent_columns,) if isinstance(parent_columns, str) else tuple(parent_columns)
        other = _names("foreign_key", given)
    if len(own) != len(other):
        raise ConfigError(
            "foreign_key needs as many columns of the parent", other, None, "parent_columns"
        )
    if not (hasattr(parent, "at") or hasattr(parent, "parts")):
        raise ConfigError(
            "foreign_key needs a table or a snapshot", type(parent).__name__, None, "parent"
        )
    to = getattr(parent, "table_name", None) or getattr(parent, "name", "parent")
    name = f"foreign_key({', '.join(own)} -> {to}.{', '.join(other)})"
    return ForeignKeyRule(name, parent, other, on_fail=on_fail, columns=own)


def _names(what: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    if not columns or len(set(columns)) < len(columns):
        raise ConfigError(f"{what} names columns, each once", columns, None, "columns")
    if not all(isinstance(c, str) for c in columns):
        raise ConfigError(f"{what} names columns", columns, None, "columns")
    return columns


def parent_rows(rule: ForeignKeyRule) -> Any:
    """The parent as a snapshot.

    Raises:
        TableNotFoundError: it has not been written yet.
    """
    return rule.parent.at() if hasattr(rule.parent, "at") else rule.parent


def check_keys(
    rule: Rule, schema: Mapping[str, pl.DataType], masks: Mapping[str, Mask], source: str
) -> None:
    """The key can be told apart once it is stored.

    Raises:
        SchemaError: a key column is nested.
        ConfigError: a mask makes different values the same.
    """
    for name in rule.columns:
        if schema[name].is_nested():
            raise SchemaError(
                f"expectation {rule.name!r} does not fit {source}", str(schema[name]), None, name
            )
        mask = masks.get(name)
        if mask is not None and not mask.injective:
            raise ConfigError(
                f"expectation {rule.name!r} cannot be judged on masked values",
                f"column {name!r} is masked by {mask}, which makes different values the same",
                "Mask the key by keyed_hash, or leave the expectation out.",
                "expect",
            )


def check_parent(rule: ForeignKeyRule, schema: Mapping[str, pl.DataType], parent: Any) -> None:
    """The parent has the columns, and of the same kinds.

    Raises:
        SchemaError: it is otherwise.
    """
    for own, other in zip(rule.columns, rule.parent_columns, strict=True):
        have, want = schema[own], parent.schema.get(other)
        alike = want is not None and (
            have == want
            or (have.is_integer() and want.is_integer())
            or (isinstance(have, pl.Datetime) and isinstance(want, pl.Datetime))
        )
        if not alike:
            raise SchemaError(
                f"expectation {rule.name!r} does not fit the parent",
                f"{have} here, {'no such column' if want is None else want} there",
                "Name columns of one type.",
                own,
            )
