"""geo_distance: how far between two places on earth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import FLOAT, applied, settled
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    Transform,
    check_keys,
    check_text,
    slot,
    tampered,
)
from raypipe.features.transforms.numbers import as_floats, check_numeric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# The mean radius of the earth (IUGG: (2 a + b) / 3 of WGS 84) in each unit.
RADIUS = {"km": 6371.0088, "m": 6_371_008.8, "mi": 3958.7613, "nmi": 3440.0696}
_RADIAN = math.pi / 180


@dataclass(frozen=True, slots=True)
class GeoDistance(Transform):
    """The great-circle distance of two places in degrees, on a sphere of the earth's mean radius.

    The haversine formula, ``2 r asin(sqrt(h))`` with ``h = sin²(Δlat/2) + cos(lat1) cos(lat2)
    sin²(Δlon/2)`` (Sinnott 1984); its sphere is up to 0.6 % off the ellipsoid. Squares are
    products; sine, cosine, root and arc sine give the same bits in polars and in plain Python.

    A latitude beyond ±90, an infinity or NaN gives NaN; null in any gives null. Longitudes may be
    beyond ±180.
    """

    start: tuple[str, str]
    end: tuple[str, str]
    unit: str
    name: str
    kind: ClassVar[str] = "geo_distance"

    @property
    def reads(self) -> tuple[str, ...]:
        """Both places."""
        return tuple(dict.fromkeys((*self.start, *self.end)))

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The distance."""
        for column in self.reads:
            check_numeric(self.kind, column, schema[column])
        return {self.name: pl.Float64()}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.name)
        return _Distance((self.name,), (*self.start, *self.end), 2 * RADIUS[self.unit])

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {
            "start": list(self.start),
            "end": list(self.end),
            "unit": self.unit,
            "name": self.name,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"start", "end", "unit", "name"}, cls.kind)
        return cls(*_checked(data["start"], data["end"], data["unit"], data["name"]))


@dataclass(frozen=True, slots=True)
class _Distance(Fitted):
    columns: tuple[str, ...]
    diameter: float

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        lat1, lon1, lat2, lon2 = (as_floats(source[name]) for name in self.columns)
        across = ((lat2 - lat1) * (_RADIAN / 2)).sin()
        along = ((lon2 - lon1) * (_RADIAN / 2)).sin()
        shrink = (lat1 * _RADIAN).cos() * (lat2 * _RADIAN).cos()
        share = across * across + shrink * (along * along)
        made = share.clip(None, 1.0).sqrt().arcsin() * self.diameter
        inside = (lat1.abs() <= 90) & (lat2.abs() <= 90)
        # Null where a latitude is null, so that the distance is, too.
        distance = pl.when(inside.not_()).then(math.nan).otherwise(made)
        there = pl.all_horizontal(pl.col(slot(source[name])).is_not_null() for name in self.columns)
        return frame.with_columns(
            pl.when(there).then(distance).alias(slot(target[self.outputs[0]]))
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        a, b, c, d = (source[name] for name in self.columns)
        place, done = target[self.outputs[0]], _far(self.diameter)

        def step(slots: list[Any]) -> None:
            lat1, lon1, lat2, lon2 = slots[a], slots[b], slots[c], slots[d]
            if not (lat1 is None or lon1 is None or lat2 is None or lon2 is None):
                slots[place] = done(lat1, lon1, lat2, lon2)

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        given = (settled(write, write.values[source[name]]) for name in self.columns)
        write.put(target[self.outputs[0]], applied(write, FLOAT, _far(self.diameter), *given))
        return True


def _far(diameter: float) -> Callable[[float, float, float, float], float]:
    sin, cos, asin, sqrt, inf = math.sin, math.cos, math.asin, math.sqrt, math.inf
    full, half = _RADIAN, _RADIAN / 2

    def distance(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
        lat1, lat2 = float(lat1), float(lat2)
        turn = (float(lon2) - float(lon1)) * half
        if not (-90 <= lat1 <= 90 and -90 <= lat2 <= 90 and -inf < turn < inf):
            return math.nan
        across, along = sin((lat2 - lat1) * half), sin(turn)
        share = across * across + cos(lat1 * full) * cos(lat2 * full) * (along * along)
        return asin(sqrt(share if share < 1 else 1.0)) * diameter

    return distance


def _checked(
    start: Any, end: Any, unit: Any, name: Any
) -> tuple[tuple[str, str], tuple[str, str], str, str]:
    if not isinstance(unit, str) or unit not in RADIUS:
        raise RecipeError(
            "geo_distance does not know this unit",
            repr(unit)[:100],
            f"Use: {', '.join(RADIUS)}.",
            "unit",
        )
    first, last = _place(start, "start"), _place(end, "end")
    return first, last, unit, check_text(name, "geo_distance", "name")


def _place(columns: Any, field: str) -> tuple[str, str]:
    if not isinstance(columns, list | tuple) or len(columns) != 2:
        raise RecipeError(
            f"geo_distance needs a latitude and a longitude as {field}",
            repr(columns)[:100],
            f'Give {field}=("latitude", "longitude"), the names of two columns.',
            field,
        )
    latitude, longitude = (check_text(column, "geo_distance", field) for column in columns)
    return latitude, longitude


def geo_distance(
    start: Sequence[str], end: Sequence[str], *, unit: str = "km", name: str = "distance"
) -> GeoDistance:
    """How far between two places, by the great circle, as a feature.

    Args:
        start: the columns of latitude and longitude in degrees.
        end: the same of the other place.
        unit: "km", "m", "mi" (statute miles) or "nmi" (nautical miles).
        name: of the feature.

    Raises:
        RecipeError: the unit is unknown, or a place is not two names of columns.
    """
    return GeoDistance(*_checked(start, end, unit, name))
