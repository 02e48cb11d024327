"""FilledRows: a table with what lag and window read, itself a table that is read part by part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.history.buckets import ROW
from raypipe.features.pieces import lazy_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from raypipe.core.scan import ScanPart
    from raypipe.features.history.buckets import Filled
    from raypipe.features.history.spill import Readable


@dataclass(frozen=True, slots=True)
class FilledPart:
    """A part of the rows, and where its filled columns lie; pickles.

    Attributes:
        part: the part as it was.
        number: which it is.
        filled: what was written.
        spill: where.
        columns: all columns, in order.
    """

    part: ScanPart
    number: int
    filled: Filled = field(repr=False)
    spill: Readable = field(repr=False)
    columns: tuple[str, ...] = field(repr=False)

    @property
    def rows(self) -> int:
        """Its rows."""
        return self.filled.heights[self.number]

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Its rows; filled columns are Float64, null where they are missing.

        Raises:
            RecipeError: the temporary folder is gone or is another machine's.
        """
        wanted = list(self.columns if columns is None else columns)
        made = self._made(set(wanted))
        own = [name for name in wanted if name not in made]
        if not own:
            return pl.DataFrame(made).select(wanted)
        rows = self.part.read(own)
        if rows.height != self.rows:
            raise RecipeError(
                "the rows are not those that were filled",
                f"{rows.height} and {self.rows} in part {self.number}",
                "Fill them again.",
                "data",
            )
        return rows.with_columns(made.values()).select(wanted)

    def _made(self, wanted: set[str]) -> dict[str, pl.Series]:
        found: dict[str, Any] = {}
        for group in self.filled.groups:
            names = [name for name in group.names if name in wanted]
            if not names:
                continue
            found |= {name: np.full(self.rows, np.nan) for name in names}
            for bucket in range(self.filled.buckets):
                batch = self.spill.load(
                    group.file("filled", bucket), self.number, [ROW, *group.names]
                )
                at = batch[ROW].to_numpy()
                for name in names:
                    found[name][at] = batch[name].to_numpy()
        return {name: pl.Series(name, values).fill_nan(None) for name, values in found.items()}


@dataclass(frozen=True, slots=True)
class FilledRows:
    """Rows with the columns that ``lag`` and ``window`` read: a scan, to fit and train on.

    Temporary files, if there are any, are there as long as this or one of its parts is; after a
    kill the next that is made on the machine removes them. A part is the part of the rows that it
    was made of, in the same order.

    Attributes:
        schema: columns and types, in order.
        named: what ``identity`` says.
    """

    schema: Mapping[str, pl.DataType]
    named: Mapping[str, Any] = field(repr=False)
    held: tuple[ScanPart, ...] = field(repr=False)

    def parts(self) -> Sequence[ScanPart]:
        """The pieces, in the order of the rows."""
        return self.held

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows in memory."""
        return pl.concat(self._pieces(list(self.schema if columns is None else columns)))

    def lazy(self) -> pl.LazyFrame:
        """The rows as a LazyFrame, read part by part."""
        return lazy_pieces(self._pieces, self.schema)

    def _pieces(self, columns: Sequence[str], _limit: int | None = None) -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema={name: self.schema[name] for name in columns})
        for part in self.held:
            yield part.read(columns)

    def identity(self) -> dict[str, Any]:
        """The rows, the events and the transforms that they were filled with."""
        return dict(self.named)
