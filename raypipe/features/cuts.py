"""Stretches of rows that are read at once: what a thread or a task of a fit takes.

They follow from the rows alone, not from where they are read, so the tree in which the states of a
fit merge is the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.scan import Scan, ScanPart
from raypipe.engine.parts import here
from raypipe.features.held import collected_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Data = pl.DataFrame | pl.LazyFrame | Scan

PIECE_BYTES = 32 * 1024**2
"""Bytes of a file that are read at once; in memory they are some times as many."""

ROWS = 1 << 18
"""Rows of a frame in memory that are a stretch."""

AT_ONCE = 1 << 20
"""Rows that a state takes at once, of a piece that holds more."""


@runtime_checkable
class Cuttable(Scan, Protocol):
    """A scan whose parts can be read in pieces."""

    def pieces(self, target_bytes: int) -> Sequence[Any]:
        """The parts in their order, where a large one is several; those of one have one ``uri``."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one part.

    Attributes:
        part: the part's number.
        pieces: what is read one after the other.
        first_row: where the first begins in the part.
    """

    part: int
    pieces: tuple[ScanPart | pl.DataFrame, ...]
    first_row: int = 0

    def frames(self, columns: Sequence[str]) -> Iterator[tuple[pl.DataFrame, int]]:
        """The rows, and where they begin in the part."""
        at = self.first_row
        for piece in self.pieces:
            # What no filter thins out is read in the ranges in which it is handed out.
            for one in piece.sliced(AT_ONCE) if getattr(piece, "plain", False) else (piece,):  # type: ignore[union-attr]
                whole = one if isinstance(one, pl.DataFrame) else one.read(columns)
                whole = whole.select(columns)
                for start in range(0, whole.height, AT_ONCE):
                    yield whole.slice(start, AT_ONCE), at + start
                at += whole.height


def stretches(data: Data, columns: Sequence[str], *, placed: bool) -> tuple[list[Stretch], int]:
    """The stretches of all rows in order, and the bytes that are to be read.

    Args:
        data: the rows.
        columns: those that will be read.
        placed: whether it is of matter where a row stands in its part. Then the pieces of a part
            whose rows are filtered are one stretch, since only reading tells where they begin.
    """
    if isinstance(data, pl.LazyFrame):
        data = collected_whole(data, columns, "rows of a lazy frame")
    if isinstance(data, pl.DataFrame):
        frame = data.select(columns)
        starts = range(0, max(1, frame.height), ROWS)
        cut = [Stretch(0, (frame.slice(start, ROWS),), start) for start in starts]
        return cut, int(frame.estimated_size())
    if not isinstance(data, Cuttable):
        return [Stretch(number, (part,)) for number, part in enumerate(data.parts())], 0
    found: list[Stretch] = []
    pieces = data.pieces(PIECE_BYTES)
    for number, of_part in enumerate(_by_part(pieces)):
        first = of_part[0]
        if not placed:
            found += [Stretch(number, (piece,)) for piece in of_part]
        elif first.where is None and first.deleted is None and first.span is not None:
            found += [Stretch(number, (piece,), piece.span[0]) for piece in of_part]
        else:
            found.append(Stretch(number, tuple(of_part)))
    share = len(columns) / max(1, len(data.schema))
    return found, int(share * sum(piece.nbytes for piece in pieces))


def _by_part(pieces: Iterable[Any]) -> list[list[Any]]:
    found: list[list[Any]] = []
    for piece in pieces:
        if found and found[-1][0].uri == piece.uri:
            found[-1].append(piece)
        else:
            found.append([piece])
    return found


def schema_of(data: Data) -> dict[str, pl.DataType]:
    """Columns and their polars types, without reading rows.

    Raises:
        RecipeError: it is neither a polars frame nor a scan.
    """
    if isinstance(data, pl.DataFrame):
        return dict(data.schema)
    if isinstance(data, pl.LazyFrame):
        return dict(data.collect_schema())
    if isinstance(data, Scan):
        return dict(data.schema)
    raise RecipeError(
        "a recipe reads a polars frame or a snapshot of a table",
        f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}",
        "Pass Table.at(), or pl.from_pandas(frame) of a pandas frame.",
        "data",
    )


def read_parts(data: Data, columns: Sequence[str]) -> Iterable[pl.DataFrame]:
    """The rows part by part, only the columns named."""
    if isinstance(data, pl.DataFrame):
        yield data.select(columns)
    elif isinstance(data, pl.LazyFrame):
        yield collected_whole(data, columns, "rows of a lazy frame")
    else:
        for part in data.parts():
            yield part.read(columns).select(columns)


def each_part(
    data: Data, columns: Sequence[str], fn: Callable[[pl.DataFrame], pl.DataFrame]
) -> list[pl.DataFrame]:
    """What a function gives for each part, in their order; some parts are at work at once."""
    if isinstance(data, pl.DataFrame | pl.LazyFrame):
        return [fn(rows) for rows in read_parts(data, columns)]
    found: dict[int, pl.DataFrame] = {}
    parts = data.parts()
    here(lambda part: fn(part.read(columns).select(columns)), parts, found.__setitem__)
    return [found[number] for number in range(len(parts))]
