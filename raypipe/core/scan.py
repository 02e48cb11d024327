"""What a reader may ask of a fixed set of rows, wherever they lie.

The lake's ``Snapshot`` is one; features and training take any. So they read tables without
importing the lake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl


@runtime_checkable
class ScanPart(Protocol):
    """A piece of a scan that one process reads; pickles, so that it can travel to a worker."""

    @property
    def rows(self) -> int:
        """Rows in the piece before any filter: an upper bound, known without reading it."""

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The piece's rows after the scan's filter, in the file's order."""


@runtime_checkable
class Scan(Protocol):
    """A fixed set of rows: read again, it gives the same rows in the same order."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Columns and their polars types, in order."""

    def parts(self) -> Sequence[ScanPart]:
        """The pieces, in a fixed order; concatenated they are the whole scan."""

    def lazy(self) -> pl.LazyFrame:
        """The same rows as a plain polars LazyFrame, in the order of the parts."""

    def identity(self) -> dict[str, Any]:
        """JSON that names the rows for ever (table, version, filter), as manifests keep it."""
