"""A time zone as a table of offsets, so that batch, row and a later machine read one clock."""

from __future__ import annotations

import itertools
import zoneinfo
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from raypipe.core.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)
# Python's times end here; a day is left so that no offset leads beyond.
_FIRST = (datetime(1, 1, 3) - _EPOCH) // _SECOND
_LAST = (datetime(9999, 12, 30) - _EPOCH) // _SECOND
_SINCE, _UNTIL = datetime(1900, 1, 1), datetime(2100, 1, 1)
_STEP = 5 * 86_400
_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Zone:
    """The offsets of a zone from UTC: those of the time zone database where it was made.

    They are kept with a recipe, so a later database does not change what a fitted recipe gives,
    and polars (which has a database of its own) and Python cannot differ. Before 1900 the offset
    is that of 1900, from 2100 on that of the end of 2099.

    Args:
        name: the IANA name.
        at: rising seconds since 1970 in UTC; at each another offset begins.
        offsets: seconds to be added to UTC, one more than ``at``.
    """

    name: str
    at: tuple[int, ...] = field(repr=False)
    offsets: tuple[int, ...] = field(repr=False)

    def local(self, column: pl.Expr) -> pl.Expr:
        """Naive local time from naive UTC, ``Datetime("us")``; null stays null."""
        micros = column.cast(pl.Int64)
        # An index per offset, not per change, so that there is one also without a change.
        starts = pl.Series("at", self.at, pl.Int64) * 1_000_000
        shifts = pl.Series("offset", self.offsets, pl.Int64) * 1_000_000
        found = pl.lit(shifts).gather(pl.lit(starts).search_sorted(micros, side="right"))
        return (micros + found).cast(pl.Datetime("us"))

    def localizer(self) -> Callable[[datetime], datetime]:
        """A function that does the same to one time."""
        starts = [_EPOCH + second * _SECOND for second in self.at]
        shifts = [timedelta(seconds=offset) for offset in self.offsets]
        return lambda value: value + shifts[bisect_right(starts, value)]

    def to_json(self) -> dict[str, Any]:
        """The name and the table."""
        return {"name": self.name, "at": list(self.at), "offsets": list(self.offsets)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The zone again; checks everything.

        Raises:
            RecipeError: it is not a table as ``zone`` makes it.
        """
        if not isinstance(data, dict) or set(data) != {"name", "at", "offsets"}:
            raise _wrong("not a name with a table", data)
        name, at, offsets = data["name"], data["at"], data["offsets"]
        if not isinstance(name, str) or not 0 < len(name) <= 100:
            raise _wrong("its name is not a text", name)
        for numbers in (at, offsets):
            if not isinstance(numbers, list) or len(numbers) > _MAX:
                raise _wrong("its table is not of numbers", numbers)
            if not all(type(number) is int for number in numbers):
                raise _wrong("its table is not of whole numbers", numbers)
        if len(offsets) != len(at) + 1 or not all(abs(offset) < 86_400 for offset in offsets):
            raise _wrong("its offsets do not fit", offsets)
        if not all(a < b for a, b in itertools.pairwise([_FIRST - 1, *at, _LAST + 1])):
            raise _wrong("its times do not rise", at)
        if offsets[0] or offsets[-1]:
            raise _wrong("its ends are not UTC", offsets)
        return cls(name, tuple(at), tuple(offsets))


def _wrong(what: str, got: Any) -> RecipeError:
    return RecipeError(f"a stored time zone is not valid: {what}", repr(got)[:100], None, "tz")


@lru_cache(maxsize=64)
def zone(name: str) -> Zone:
    """The zone of an IANA name, such as "America/New_York"; about 50 ms the first time.

    Raises:
        RecipeError: this machine's time zone database does not know it.
    """
    try:
        found = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError) as failure:
        raise RecipeError(
            "this time zone is not known here",
            repr(name)[:100],
            'Give an IANA name such as "Europe/Paris"; if there is no database: '
            "pip install tzdata.",
            "tz",
        ) from failure

    def offset(second: int) -> int:
        shift = (_EPOCH + second * _SECOND).replace(tzinfo=UTC).astimezone(found).utcoffset()
        assert shift is not None
        return shift // _SECOND

    first, last = ((end - _EPOCH) // _SECOND for end in (_SINCE, _UNTIL))
    # At the ends of Python's calendar UTC itself, so that no local time lies outside of it.
    at, offsets = [_FIRST], [0, offset(first)]
    for start in range(first, last, _STEP):
        low, end = start, min(start + _STEP, last - 1)
        ends_with = offset(end)
        while offsets[-1] != ends_with:
            low = _change(offset, low, end)
            at.append(low)
            offsets.append(offset(low))
    return Zone(name, (*at, _LAST), (*offsets, 0))


def _change(offset: Callable[[int], int], low: int, high: int) -> int:
    """The second at which the offset stops being what it is at ``low``."""
    before = offset(low)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle) == before:
            low = middle
        else:
            high = middle
    return high
