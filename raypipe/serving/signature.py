"""The signature of a version: which features a request must hold, and how JSON becomes them.

Values are checked a column at a time: the kinds in a column are one set, so a column that is right
costs almost nothing; only a column that is wrong is looked through for its first bad row.
"""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from raypipe.core.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_INT64 = range(-(2**63), 2**63)
_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One raw input of a model.

    Attributes:
        name: its key in a row.
        type: ``int64``, ``float64``, ``string``, ``bool``, ``datetime`` or ``date``.
        nullable: whether ``null`` is accepted.
    """

    name: str
    type: str
    nullable: bool


class Signature:
    """The raw inputs of a version, in order.

    Args:
        inputs: ``{"name", "type", "nullable"}`` for each, as in ``ModelBundle.signature``.
    """

    def __init__(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        self.features = tuple(
            Feature(name=i["name"], type=i["type"], nullable=i["nullable"]) for i in inputs
        )
        self.names = tuple(feature.name for feature in self.features)
        self._known = frozenset(self.names)

    def read_rows(self, rows: Sequence[object]) -> dict[str, list[Any]]:
        """Rows of JSON as typed columns.

        Integers, numbers, strings and booleans become ``int``, ``float``, ``str`` and ``bool``;
        ISO strings become naive ``datetime`` in UTC or ``date``.

        Raises:
            RequestError: 422 a feature is missing or unknown; 400 a row is not an object, a value
                is of another type, or it is ``null`` where that is not accepted.
        """
        known = self._known
        table: list[Mapping[str, object]] = []
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise at_row(index, "is not an object", row, "Send an object of features.")
            if row.keys() != known:
                self._wrong_names(row.keys(), f"row {index}: ")
            table.append(row)
        return {
            feature.name: read_column(feature, [row[feature.name] for row in table])
            for feature in self.features
        }

    def read_columns(self, columns: Mapping[str, Sequence[object]]) -> dict[str, list[Any]]:
        """Named columns of JSON values as typed columns, in the signature's order.

        Raises:
            RequestError: as ``read_rows``.
        """
        if columns.keys() != self._known:
            self._wrong_names(columns.keys(), "")
        return {f.name: read_column(f, columns[f.name]) for f in self.features}

    def feature(self, name: str) -> Feature:
        """The feature of this name.

        Raises:
            RequestError: 422 there is none.
        """
        if name not in self._known:
            self._wrong_names([*self.names, name], "")
        return next(f for f in self.features if f.name == name)

    def example(self) -> dict[str, Any]:
        """A row that the signature accepts: null where it may be, else a plain value."""
        return {f.name: None if f.nullable else _PLAIN[f.type] for f in self.features}

    def _wrong_names(self, names: Any, where: str) -> NoReturn:
        for name in names:
            if name not in self._known:
                near = difflib.get_close_matches(name[:_SHOWN_CHARS], self.names, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(self.names)}."
                shown = name[:_SHOWN_CHARS]
                raise RequestError(
                    f"{where}the model has no feature {shown!r}", None, hint, shown, 422
                )
        for feature in self.features:
            if feature.name not in names:
                raise RequestError(
                    f"{where}feature {feature.name!r} is missing",
                    None,
                    f"Send {_accepts(feature)}.",
                    feature.name,
                    422,
                )
        raise AssertionError("the names are those of the signature")


def read_column(feature: Feature, values: Sequence[object]) -> list[Any]:
    """One feature's JSON values as typed values.

    Raises:
        RequestError: 400, with the feature, the first row at fault and what would be accepted.
    """
    reader = _READERS[feature.type]
    kinds = set(map(type, values))
    if feature.nullable:
        kinds.discard(type(None))
    if kinds <= reader.kinds:
        try:
            return reader.column(values)
        except (ValueError, OverflowError):
            pass  # the loop below finds the row and says it
    for index, value in enumerate(values):
        if value is None and feature.nullable:
            continue
        try:
            if type(value) in reader.kinds:
                reader.column([value])
                continue
        except (ValueError, OverflowError):
            pass
        act = f"Send {_accepts(feature)}."
        if isinstance(value, float) and not math.isfinite(value):
            act = f"Send {_accepts(feature)}; NaN and infinities are not JSON."
        raise at_row(index, f"feature {feature.name!r} is not accepted", value, act, feature.name)
    raise AssertionError("a column was refused but each of its values is accepted")


def at_row(
    row: int, what: str, got: object, act: str, field: str | None = None, status: int = 400
) -> RequestError:
    """A ``RequestError`` about one row; ``row_of`` finds the row in it again."""
    space = " " if field is None else ": "
    return RequestError(f"row {row}{space}{what}", shown(got), act, field, status)


def shown(value: object) -> str:
    """A JSON value as it may stand in a message: short, printable, on one line."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def parse_time(text: str) -> datetime:
    """An ISO 8601 time as naive UTC; one without an offset is UTC already.

    Raises:
        ValueError: it is not one, or it leaves the years 1 to 9999.
        OverflowError: the same, at the very ends.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class _Reader:
    """How one type is read: the Python types that JSON may give, and the column of values."""

    kinds: frozenset[type]
    column: Callable[[Sequence[Any]], list[Any]]
    accepts: str


def _integers(values: Sequence[Any]) -> list[Any]:
    present = [v for v in values if v is not None]
    if present and not (min(present) in _INT64 and max(present) in _INT64):
        raise ValueError
    return list(values)


def _floats(values: Sequence[Any]) -> list[Any]:
    floats = [None if v is None else float(v) for v in values]
    if not all(map(math.isfinite, (v for v in floats if v is not None))):
        raise ValueError
    return floats


def _strings(values: Sequence[Any]) -> list[Any]:
    # half of a surrogate pair is valid JSON but no text: it cannot be stored as UTF-8
    "".join([v for v in values if v is not None]).encode()
    return list(values)


def _bools(values: Sequence[Any]) -> list[Any]:
    return list(values)


def _datetimes(values: Sequence[Any]) -> list[Any]:
    return [None if v is None else parse_time(v) for v in values]


def _dates(values: Sequence[Any]) -> list[Any]:
    return [None if v is None else date.fromisoformat(v) for v in values]


_READERS: Mapping[str, _Reader] = {
    "int64": _Reader(frozenset({int}), _integers, "an integer of 64 bits"),
    "float64": _Reader(frozenset({int, float}), _floats, "a finite number"),
    "string": _Reader(frozenset({str}), _strings, "a string"),
    "bool": _Reader(frozenset({bool}), _bools, "true or false"),
    "datetime": _Reader(
        frozenset({str}), _datetimes, "an ISO 8601 time such as '2013-07-01T05:00:00'"
    ),
    "date": _Reader(frozenset({str}), _dates, "an ISO 8601 date such as '2013-07-01'"),
}

_PLAIN: Mapping[str, Any] = {
    "int64": 0,
    "float64": 0.0,
    "string": "",
    "bool": False,
    "datetime": datetime(2000, 1, 1),
    "date": date(2000, 1, 1),
}


def _accepts(feature: Feature) -> str:
    return _READERS[feature.type].accepts + (" or null" if feature.nullable else "")
