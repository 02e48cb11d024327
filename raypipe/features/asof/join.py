"""The join over parts, here or on the cluster: search every part, then fetch the rows found."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from raypipe.engine.parts import choose_place, run_parts
from raypipe.features.asof.asked import Asked
from raypipe.features.asof.search import nothing, search, settle
from raypipe.features.asof.table import change_feed, history
from raypipe.features.held import collected_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from raypipe.core.scan import Scan, ScanPart
    from raypipe.engine.parts import Place, RunOn
    from raypipe.features.asof.found import Best, Found
    from raypipe.features.asof.search import Shape
    from raypipe.features.asof.table import Side

    Ints = NDArray[np.int64]

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE = 1 << 20
"""A frame in memory is searched in pieces of so many rows."""

_GROUPS_HERE, _GROUPS_AWAY = 4, 64
"""Groups of parts that follow each other, of a table, by place; a group gives one finding."""

_HELD_BYTES = 1 << 30
"""Findings that the driver holds at once before it merges them."""

MOST_ASKED = 1 << 24
"""Rows of the entities that are joined at once; more go one such slice after another."""


@dataclass(frozen=True, slots=True)
class FramePart:
    """A piece of a frame in memory."""

    frame: pl.DataFrame

    @property
    def rows(self) -> int:
        """Its rows."""
        return self.frame.height

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows."""
        return self.frame if columns is None else self.frame.select(columns)


Group = tuple[tuple[int, "ScanPart"], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A feature table as parts, each with the number of its first row."""

    side: Side
    parts: Group
    frame: pl.DataFrame | None

    @classmethod
    def of(cls, side: Side, *, small: bool = True) -> Source:
        """The parts. A lazy frame and a change feed are read into memory: they have none.

        Args:
            side: the table.
            small: whether a small scan is read into memory, too: once, and all files together.
        """
        data: Any = side.data
        wanted = [*side.shape.columns, *(column for _, column in side.features.values())]
        columns = list(dict.fromkeys(wanted))
        frame = None
        if isinstance(data, pl.DataFrame):
            frame = data.select(columns)
        elif isinstance(data, pl.LazyFrame):
            frame = collected_whole(data, columns, "features of a lazy frame")
        elif (feed := change_feed(data)) is not None:
            frame = history(feed, columns)
        elif small and sum(part.rows for part in data.parts()) <= _ROWS_AT_ONCE:
            frame = _whole(data, columns)
        if frame is None:
            found = cast("Scan", data).parts()
        else:
            found = [FramePart(one) for one in frame.iter_slices(_ROWS_AT_ONCE)]
        begins = np.cumsum([0, *(part.rows for part in found)]).tolist()
        return cls(side, tuple(zip(begins[:-1], found, strict=True)), frame)

    @property
    def nbytes(self) -> int:
        """About how many bytes there are to be read; none where they are in memory here."""
        if self.frame is not None:
            return 0
        width = 8 * (len(self.side.shape.columns) + len(self.side.features))
        return sum(getattr(part, "nbytes", part.rows * width) for _, part in self.parts)

    def groups(self, count: int) -> list[Group]:
        """At most ``count`` groups of parts that follow each other, of about equal rows."""
        total = sum(part.rows for _, part in self.parts)
        most = max(1, -(-total // count))
        out: list[list[tuple[int, ScanPart]]] = []
        held = most
        for begin, part in self.parts:
            if held >= most:
                out.append([])
                held = 0
            out[-1].append((begin, part))
            held += part.rows
        return [tuple(one) for one in out]


def _whole(scan: Scan, columns: Sequence[str]) -> pl.DataFrame:
    try:
        return scan.lazy().select(columns).collect()
    except (OSError, pl.exceptions.PolarsError):  # a part names the file at fault
        return pl.concat([part.read(columns) for part in scan.parts()])


def join(
    entities: pl.DataFrame,
    sources: Sequence[Source],
    keys: Sequence[str],
    time: str,
    wanted: Sequence[str],
    run_on: RunOn,
) -> pl.DataFrame:
    """The wanted features of each row, in the rows' order.

    Args:
        entities: the rows that ask.
        sources: the tables.
        keys: their key.
        time: their time.
        wanted: names of features.
        run_on: where the parts are read.
    """
    asked = Asked.of(entities, keys, time)
    used = [one for one in sources if set(one.side.features) & set(wanted)]
    if not used:
        return entities.select()
    place = _choose(asked, used, run_on)
    found = _search(asked, used, place)

    def fetched(at: int) -> pl.DataFrame:
        side = used[at].side
        rows = settle(asked, side.shape, found[at], side.tolerance)
        return _fetch(used[at], rows, set(wanted), place)

    tables = range(len(used))
    # On the cluster one table after another, each on all of it; here all at once.
    made = (
        [fetched(at) for at in tables]
        if place == "ray"
        else run_parts(fetched, tables, run_on="local")
    )
    return pl.concat(made, how="horizontal").select(wanted)


def _choose(asked: Asked, sources: Sequence[Source], run_on: RunOn) -> Place:
    parts = sum(len(one.parts) for one in sources)
    choice = choose_place(run_on, parts, sum(one.nbytes for one in sources))
    logger.info(
        "point_in_time: %d rows ask %d tables of %d parts, %s: %s",
        asked.height, len(sources), parts, choice.place, choice.why,
    )  # fmt: skip
    return choice.place


@dataclass(frozen=True, slots=True)
class _Search:
    asked: Asked
    shapes: tuple[Shape, ...]

    def __call__(self, work: tuple[int, Group]) -> Found:
        table, group = work
        return search(self.asked, self.shapes[table], group)


def _search(asked: Asked, sources: Sequence[Source], place: Place) -> list[Best]:
    """What the parts of each table gave, merged in their order."""
    shapes = tuple(one.side.shape for one in sources)
    best = [nothing(asked, shape) for shape in shapes]
    count = _GROUPS_AWAY if place == "ray" else _GROUPS_HERE
    work = [(table, group) for table, one in enumerate(sources) for group in one.groups(count)]
    for wave in _waves(work, asked.slots):
        found = run_parts(_Search(asked, shapes), wave, run_on=place)
        for (table, _), one in zip(wave, found, strict=True):
            best[table].take(one)
    return best


def _waves(work: Sequence[tuple[int, Group]], slots: int) -> Iterator[list[tuple[int, Group]]]:
    """The work in order, as much at once as its findings may take in memory."""
    now: list[tuple[int, Group]] = []
    held = 0
    for table, group in work:
        nbytes = 32 * min(slots, sum(part.rows for _, part in group))
        if now and held + nbytes > _HELD_BYTES:
            yield now
            now, held = [], 0
        now.append((table, group))
        held += nbytes
    if now:
        yield now


@dataclass(frozen=True, slots=True)
class _Take:
    """Fetches rows of some parts by their places."""

    columns: tuple[str, ...]

    def __call__(self, work: Sequence[tuple[ScanPart, Ints]]) -> pl.DataFrame:
        return pl.concat([part.read(self.columns)[at] for part, at in work])


def _fetch(source: Source, rows: Ints, wanted: set[str], place: Place) -> pl.DataFrame:
    """The features of a table by the numbers of its rows; null where there is none."""
    given = {n: (t, c) for n, (t, c) in source.side.features.items() if n in wanted}
    named = [pl.col(column).alias(name) for name, (_, column) in given.items()]
    if source.frame is not None:
        return source.frame.select(named).select(pl.all().gather(_places(rows)))
    need, at = _distinct(rows)
    begins = np.array([begin for begin, _ in source.parts], np.int64)
    cuts = np.searchsorted(need, [*begins, np.iinfo(np.int64).max]).tolist()
    each = [
        (part, need[low:high] - begin)
        for (begin, part), low, high in zip(source.parts, cuts[:-1], cuts[1:], strict=True)
        if low < high
    ]
    columns = tuple(dict.fromkeys(column for _, column in given.values()))
    schema = {column: dtype for dtype, column in given.values()}
    count = min(len(each), _GROUPS_AWAY if place == "ray" else 2 * _GROUPS_HERE)
    work = [each[k * len(each) // count : (k + 1) * len(each) // count] for k in range(count)]
    taken = pl.concat(
        [pl.DataFrame(schema=schema), *run_parts(_Take(columns), work, run_on=place, threads=1)]
    )
    return taken.select(named).select(pl.all().gather(_places(at)))


def _places(rows: Ints) -> pl.Series:
    """As indices, null for -1."""
    return pl.Series(rows).cast(pl.get_index_type(), strict=False)


def _distinct(rows: Ints) -> tuple[Ints, Ints]:
    """The numbers other than -1, ascending, and the place of each row's number among them."""
    top = int(rows.max(initial=-1)) + 1
    if top > max(8 * len(rows), _ROWS_AT_ONCE):
        need, at = np.unique(rows, return_inverse=True)
        none = int(len(need) > 0 and need[0] < 0)
        return need[none:], at - none
    used = np.zeros(top + 1, bool)
    used[rows] = True  # that of -1 is the last
    used[-1] = False
    place = np.cumsum(used) - 1
    place[-1] = -1
    return np.flatnonzero(used), place[rows]
