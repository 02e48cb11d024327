"""What every kind of expectation has in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

OnFail = Literal["fail", "drop", "quarantine", "warn"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rule:
    """An expectation of any kind.

    Attributes:
        name: how reports and quarantined rows name it.
        on_fail: ``"fail"`` commits nothing, ``"drop"`` leaves the rows out, ``"quarantine"`` puts
            them into the quarantine table with reasons, ``"warn"`` keeps them and logs.
        columns: the columns it looks at.
    """

    name: str
    on_fail: OnFail = field(default="fail", kw_only=True)
    columns: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        check_on_fail(self.name, self.on_fail, get_args(OnFail))
        for column in self.columns:
            if column == "*" or (column.startswith("^") and column.endswith("$")):
                raise ConfigError(
                    f"expectation {self.name!r} names no single column",
                    column,
                    "polars reads this name as a pattern: rename the column, or name each one.",
                    "columns",
                )


def check_on_fail(name: str, got: object, allowed: tuple[str, ...], why: str = "") -> None:
    """Refuses what a rule cannot do.

    Raises:
        ConfigError: ``got`` is none of ``allowed``.
    """
    if got not in allowed:
        raise ConfigError(
            f"expectation {name!r} has no such on_fail{why}",
            got,
            f"Use one of {', '.join(allowed)}.",
            "on_fail",
        )


def built(what: str, values: object, build: Callable[[], _T]) -> _T:
    """What ``build`` makes of a caller's values; values that polars cannot take are a mistake.

    Raises:
        ConfigError: it cannot.
    """
    import polars as pl

    try:
        return build()
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise ConfigError(
            f"{what} cannot use these values",
            f"{values!r}: {first_line(error)}",
            "Give plain values of one kind.",
            "values",
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of a message."""
    return str(error).split("\n", 1)[0]
