"""How the report writes a figure: one way each for counts, AUC, seconds, milliseconds, shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

UNKNOWN = "\u2013"
MINUS = "\u2212"
_SPACE = "\u00a0"  # a figure and its unit stay on one line

#: Two AUC that differ by less than this read the same in three decimals.
SAME_AUC = 0.0005


def count(value: int | None) -> str:
    """12345 as 12,345."""
    return UNKNOWN if value is None else f"{value:,}".replace("-", MINUS)


def auc(value: float | None) -> str:
    """An AUC in three decimals."""
    return UNKNOWN if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """A difference of AUC, always with its sign; what rounds to zero has none."""
    if value is None:
        return UNKNOWN
    if abs(value) < SAME_AUC:
        return "0.000"
    return f"{value:+.3f}".replace("-", MINUS)


def millis(value: float | None) -> str:
    """Milliseconds in three significant digits."""
    return UNKNOWN if value is None else f"{_short(value)}{_SPACE}ms"


def seconds(value: float | None) -> str:
    """Seconds; minutes above two of them."""
    if value is None:
        return UNKNOWN
    if value < 120:
        return f"{_short(value)}{_SPACE}s"
    whole = round(value)
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s".replace(" ", _SPACE)
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min".replace(" ", _SPACE)


def share(value: float | None) -> str:
    """A share as a percentage; a share that is not zero is never written as zero."""
    if value is None:
        return UNKNOWN
    percent = 100 * value
    if percent == 0:
        return f"0{_SPACE}%"
    if abs(percent) < 0.001:
        return f"under 0.001{_SPACE}%"
    return f"{percent:.{3 if abs(percent) < 0.1 else 1}f}{_SPACE}%"


def megabytes(value: float | None) -> str:
    """Megabytes, whole."""
    return UNKNOWN if value is None else f"{value:,.0f}{_SPACE}MB"


def day(value: date | None) -> str:
    """A date in ISO form."""
    return UNKNOWN if value is None else value.isoformat()


def many(number: int, one: str, more: str | None = None) -> str:
    """A number with its noun: 1 week, 3 weeks."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def shorten(value: str, most: int) -> str:
    """The text, cut to `most` characters with an ellipsis."""
    return value if len(value) <= most else value[: max(most - 1, 1)].rstrip() + "…"


def _short(value: float) -> str:
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{value:,.{decimals}f}"
