"""What one call of ``merge`` asks for, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl

from raypipe.core.errors import ConfigError, RecipeError, SchemaError
from raypipe.expressions import encode
from raypipe.lake.options import checked_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.lake.schema.spec import TableSpec

Matched = Literal["update", "delete", "ignore"]
NotMatched = Literal["insert", "ignore"]
How = Literal["auto", "rewrite", "deltalake"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeAsk:
    """How source rows meet the rows of a table.

    Attributes:
        on: the key columns.
        when_matched: what happens to a row of the table whose key the source has.
        when_not_matched: what happens to a source row whose key the table lacks.
        newer_by: the sequence column, if only newer rows count.
        delete_when: true for source rows that are tombstones.
        update: the columns that an update sets; None: all.
        how: the way it is carried out.
    """

    on: tuple[str, ...]
    when_matched: Matched = "update"
    when_not_matched: NotMatched = "insert"
    newer_by: str | None = None
    delete_when: pl.Expr | None = None
    update: tuple[str, ...] | None = None
    how: How = "auto"

    @classmethod
    def of(
        cls,
        on: str | Sequence[str],
        when_matched: Matched,
        when_not_matched: NotMatched,
        newer_by: str | None,
        delete_when: pl.Expr | None,
        update: str | Sequence[str] | None,
        how: How,
    ) -> MergeAsk:
        """A checked request.

        Raises:
            ConfigError: a setting is not one of its kind, or together they can do nothing.
        """
        keys = checked_names("on", on)
        if not keys:
            raise ConfigError("merge needs key columns", keys, "Name one or more.", "on")
        _one_of("when_matched", when_matched, Matched)
        _one_of("when_not_matched", when_not_matched, NotMatched)
        _one_of("how", how, How)
        if newer_by is not None and (not isinstance(newer_by, str) or newer_by in keys):
            raise ConfigError(
                "newer_by names one column that is no key", newer_by, None, "newer_by"
            )
        if delete_when is not None:
            _row_wise("delete_when", delete_when)
        chosen = None if update is None else checked_names("update", update)
        if chosen is not None and (not chosen or when_matched != "update"):
            raise ConfigError(
                "update names the columns that matched rows take from the source",
                f"{list(chosen)} with when_matched={when_matched!r}",
                "Leave it out, or name columns and use when_matched='update'.",
                "update",
            )
        if when_matched == when_not_matched == "ignore" and delete_when is None:
            raise ConfigError(
                "this merge changes nothing", "ignore", "Let one of the two act.", "when_matched"
            )
        return cls(
            on=keys,
            when_matched=when_matched,
            when_not_matched=when_not_matched,
            newer_by=newer_by,
            delete_when=delete_when,
            update=chosen,
            how=how,
        )

    def check(self, spec: TableSpec, table: str) -> None:
        """The request fits the table.

        Raises:
            SchemaError: a column is not there, or of a type that cannot serve.
        """
        types = spec.types
        wanted = [*self.on, *(self.update or ()), *((self.newer_by,) if self.newer_by else ())]
        for name in wanted:
            if name not in types:
                raise SchemaError(
                    f"table {table!r} has no column {name!r}", f"columns {list(types)}", None, name
                )
        for name in self.on:
            if types[name].is_float() or types[name].is_nested():
                raise SchemaError(
                    f"column {name!r} cannot be a key of a merge",
                    str(types[name]),
                    "Use whole numbers, strings, dates, times, decimals, booleans or bytes: "
                    "reals have NaN and two zeros, and are equal by chance.",
                    name,
                )
        order = None if self.newer_by is None else types[self.newer_by]
        unfit = pl.Boolean | pl.Binary
        if order is not None and (
            order.is_float() or order.is_nested() or isinstance(order, unfit)
        ):
            raise SchemaError(
                f"column {self.newer_by!r} cannot tell which row is newer",
                str(order),
                "Use whole numbers, decimals, dates, times or strings.",
                self.newer_by,
            )

    def needed(self, spec: TableSpec) -> tuple[str, ...]:
        """The columns that the source must have, in the table's order."""
        if self.when_not_matched == "insert":
            return tuple(spec.columns)
        wanted = {*self.on, self.newer_by}
        if self.when_matched == "update":
            wanted |= set(spec.columns if self.update is None else self.update)
        return tuple(name for name in spec.columns if name in wanted)

    def updated(self, spec: TableSpec) -> tuple[str, ...]:
        """The columns that an update sets; the sequence is always one of them."""
        if self.when_matched != "update":
            return ()
        chosen = set(spec.columns if self.update is None else self.update) | {self.newer_by}
        return tuple(name for name in spec.columns if name in chosen and name not in self.on)


def _one_of(field: str, value: object, kinds: Any) -> None:
    if value not in get_args(kinds):
        raise ConfigError(
            f"there is no such {field}", value, f"Use one of {', '.join(get_args(kinds))}.", field
        )


def _row_wise(field: str, expr: pl.Expr) -> None:
    try:
        encode(expr)
    except RecipeError as error:
        raise ConfigError(
            f"{field} cannot be used: {error.what}", error.got, error.act, field
        ) from None


def checked_where(expr: pl.Expr, spec: TableSpec, table: str) -> dict[str, Any]:
    """A row filter in its stored form.

    Raises:
        ConfigError: it is no row-wise expression that can be data.
        SchemaError: it names a column that is not there, or tells no true or false of a row.
    """
    try:
        node = encode(expr)
    except RecipeError as error:
        raise ConfigError(
            f"where cannot be used: {error.what}", error.got, error.act, "where"
        ) from None
    unknown = [name for name in expr.meta.root_names() if name not in spec.columns]
    if unknown:
        raise SchemaError(
            f"table {table!r} has no column {unknown[0]!r}",
            f"columns {list(spec.columns)}",
            None,
            unknown[0],
        )
    try:
        found = pl.DataFrame(schema=spec.types).select(expr.alias("where")).schema
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise SchemaError(f"where does not fit table {table!r}", reason, None, "where") from error
    if found["where"] != pl.Boolean:
        raise SchemaError(
            f"where tells no true or false of a row of table {table!r}",
            str(found["where"]),
            "Write a comparison, such as pl.col('x') > 0.",
            "where",
        )
    return node
