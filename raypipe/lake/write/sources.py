"""What may be written to a table, cut into parts that travel to whoever reads them."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.core.errors import ConfigError, SourceError, SourceNotFoundError
from raypipe.core.scan import Scan, ScanPart
from raypipe.lake.write.cuts import (
    PARQUET_PART_BYTES,
    PART_BYTES,
    Span,
    csv_spans,
    json_spans,
    row_spans,
)
from raypipe.lake.write.readers import file_types, format_of, read_file, scan_file
from raypipe.lake.write.remote_files import RemotePart, find, is_remote
from raypipe.lake.write.sample import sample_types

if TYPE_CHECKING:
    import ray

    from raypipe.lake.schema.spec import Column

Types = Mapping[str, pl.DataType]
Options = Mapping[str, str] | None
_FRAME_PART_BYTES = 256 * 1024**2
_SHRUNK = 4  # bytes in memory to bytes in a table's file


class SourcePart(Protocol):
    """A piece of a source; it pickles, small unless the rows are already here."""

    @property
    def label(self) -> str:
        """How messages name it."""

    @property
    def nbytes(self) -> int:
        """Bytes to be read, as far as known."""

    def types(self) -> Types:
        """Columns and types, for a first write."""

    def read(self, types: Types | None) -> pl.DataFrame:
        """The rows; ``types`` tells a text format which columns are strings."""

    def lazy(self) -> pl.LazyFrame:
        """The rows, of the types that the source itself tells, read as far as a plan needs them."""

    def is_empty(self) -> bool:
        """Whether there is no row at all."""


@dataclass(frozen=True, slots=True)
class _FilePart:
    """One file, or a piece of it."""

    label: str
    nbytes: int
    span: Span | None = None

    def types(self) -> Types:
        return file_types(self.label, self.span)

    def read(self, types: Types | None) -> pl.DataFrame:
        frame = read_file(self.label, types, self.span)
        if self.span is None or format_of(self.label) != "json":
            return frame
        # What no object of this piece names, one of another piece may.
        absent = [name for name in types or () if name not in frame.columns]
        return frame.with_columns(pl.lit(None).alias(name) for name in absent)

    def lazy(self) -> pl.LazyFrame:
        return scan_file(self.label, self.span)

    def is_empty(self) -> bool:
        return self.lazy().head(1).collect().is_empty()

    def sample(self) -> Types | None:
        return sample_types(self.label, format_of(self.label))


@dataclass(frozen=True, slots=True)
class _FramePart:
    """Rows that are in memory here."""

    frame: pl.DataFrame
    label: str

    @property
    def nbytes(self) -> int:
        return 0  # they are read already: sending them away would be the work

    def types(self) -> Types:
        return dict(self.frame.schema)

    def read(self, types: Types | None) -> pl.DataFrame:
        return self.frame

    def lazy(self) -> pl.LazyFrame:
        return self.frame.lazy()

    def is_empty(self) -> bool:
        return self.frame.is_empty()


@dataclass(frozen=True, slots=True)
class _BlockPart:
    """One block of a Ray dataset, which stays in the object store until a task reads it."""

    ref: Any
    label: str

    @property
    def nbytes(self) -> int:
        return 0

    def types(self) -> Types:
        return dict(self.read(None).schema)

    def read(self, types: Types | None) -> pl.DataFrame:
        import ray

        return as_frame(ray.get(self.ref))

    def lazy(self) -> pl.LazyFrame:
        return self.read(None).lazy()

    def is_empty(self) -> bool:
        return self.read(None).is_empty()


@dataclass(frozen=True, slots=True)
class _PinnedPart:
    """One part of a snapshot: table to table."""

    part: ScanPart
    columns: Types
    label: str

    @property
    def nbytes(self) -> int:
        return int(getattr(self.part, "nbytes", 0))

    def types(self) -> Types:
        return self.columns

    def read(self, types: Types | None) -> pl.DataFrame:
        return self.part.read()

    def lazy(self) -> pl.LazyFrame:
        plan = getattr(self.part, "lazy", None)
        return self.part.read().lazy() if plan is None else cast("pl.LazyFrame", plan())

    def is_empty(self) -> bool:
        return self.part.rows == 0 or self.lazy().head(1).collect().is_empty()


@dataclass(frozen=True, slots=True)
class Source:
    """Parts, and what is known of them together.

    Attributes:
        parts: the pieces, in a fixed order.
        on_ray: the rows lie in Ray's object store and must be read there.
        stored: the columns that are read as a table of the lake stores them.
    """

    parts: tuple[SourcePart, ...]
    on_ray: bool = False
    stored: Mapping[str, Column] = field(default_factory=dict)

    def files(self) -> list[tuple[SourcePart, list[int]]]:
        """The first part of each file, or other thing, and the numbers of all its parts."""
        found: dict[str, list[int]] = {}
        for number, part in enumerate(self.parts):
            piece = isinstance(part, _FilePart) and part.span is not None
            found.setdefault(part.label if piece else f"\0{number}", []).append(number)
        return [(self.parts[numbers[0]], numbers) for numbers in found.values()]

    @property
    def nbytes(self) -> int:
        """Bytes to be read in all, as far as known."""
        return sum(part.nbytes for part in self.parts)


def resolve(data: object, options: Options = None) -> Source:
    """Cuts data into parts without reading a file.

    Args:
        data: a path, a glob or a list of these, URIs of object stores too; a polars frame; an
            object with an Arrow stream; a ``ray.data.Dataset``; a snapshot or another ``Scan``.
        options: storage options with which object stores are reached.

    Raises:
        SourceNotFoundError: a path does not exist or a glob matches nothing.
        SourceError: the system refuses to look at a path (no right to, or its name is too long).
        ConfigError: the data is none of these, or a file's name does not tell its format.
    """
    if isinstance(data, str | os.PathLike):
        return Source(_files([os.fspath(data)], options))
    if isinstance(data, list | tuple) and data and all(isinstance(d, str | Path) for d in data):
        return Source(_files([os.fspath(d) for d in data], options))
    if isinstance(data, pl.LazyFrame):
        return Source(_frames(data.collect()))
    if isinstance(data, pl.DataFrame):
        return Source(_frames(data))
    if isinstance(data, Scan):
        schema = dict(data.schema)
        pieces = getattr(data, "pieces", None)
        parts = data.parts() if pieces is None else pieces(PARQUET_PART_BYTES // _SHRUNK)
        return Source(
            tuple(
                _PinnedPart(part, schema, f"part {i} of {type(data).__name__}")
                for i, part in enumerate(parts)
            ),
            stored=getattr(data, "stored", {}),
        )
    if type(data).__module__.startswith("ray.data"):
        return Source(_blocks(data), on_ray=True)
    if hasattr(data, "__arrow_c_stream__"):
        return Source(_frames(as_frame(data)))
    raise ConfigError(
        "this cannot be written to a table",
        type(data).__name__,
        "Pass a path, a glob, a list of paths, a polars frame, an Arrow table, a ray.data.Dataset "
        "or a Snapshot.",
        "data",
    )


def text_file(part: SourcePart) -> _FilePart | RemotePart | None:
    """The part itself, if it is of a CSV or JSON file."""
    if isinstance(part, _FilePart | RemotePart) and format_of(part.label) in ("csv", "json"):
        return part
    return None


def frame_part(frame: pl.DataFrame, label: str) -> SourcePart:
    """Rows that are here already as one part."""
    return _FramePart(frame, label)


def as_frame(data: object) -> pl.DataFrame:
    """An object with an Arrow stream as a frame.

    Raises:
        SourceError: it has a column of a type that polars does not have.
    """
    try:
        return pl.DataFrame(cast("Any", data))
    except pl.exceptions.PanicException as error:
        act = "Cast columns of unusual types, such as decimals of 256 bits, first."
        raise SourceError("an Arrow table cannot be read", str(error), act, "data") from None


def _files(paths: Sequence[str], options: Options) -> tuple[SourcePart, ...]:
    parts: list[tuple[str, int] | RemotePart] = []
    for path in paths:
        if is_remote(path):
            parts += find(path, options)
            continue
        try:
            names = _expand(path.removeprefix("file://"))
            sizes = [(name, Path(name).stat().st_size) for name in names]
        except SourceNotFoundError:
            raise
        except (OSError, ValueError) as error:  # a NUL in a pattern is a ValueError
            raise SourceError(
                "a source cannot be reached",
                f"{path}: {getattr(error, 'strerror', None) or error}",
                "Check the path, and that you may read its folder.",
                "data",
            ) from error
        parts += [(name, size) for name, size in sizes]
    for part in parts:
        format_of(part[0] if isinstance(part, tuple) else part.label)
    return tuple(
        piece for part in parts for piece in (_pieces(*part) if isinstance(part, tuple) else [part])
    )


def _pieces(path: str, size: int) -> list[SourcePart]:
    """A file as one part, or as several where it is large and can be cut."""
    kind = format_of(path)
    if path.endswith(".gz") or size <= PART_BYTES * 3 // 2:
        return [_FilePart(path, size)]
    try:
        if kind == "csv":
            return [_FilePart(path, b - a, (a, b)) for a, b in csv_spans(path, size, PART_BYTES)]
        if kind == "json":
            return [_FilePart(path, b - a, (a, b)) for a, b in json_spans(path, size, PART_BYTES)]
        if kind == "parquet":
            footer = pq.read_metadata(path)
            groups = [footer.row_group(k) for k in range(footer.num_row_groups)]
            rows, nbytes = [g.num_rows for g in groups], [g.total_byte_size for g in groups]
            spans = row_spans(rows, nbytes, PARQUET_PART_BYTES)
            if len(spans) > 1:
                share = size / max(1, footer.num_rows)
                return [_FilePart(path, int((b - a) * share), (a, b)) for a, b in spans]
    except (OSError, pa.ArrowException):
        pass  # who reads the file says what is wrong with it
    return [_FilePart(path, size)]


def _expand(path: str) -> list[str]:
    if Path(path).is_file():
        return [str(Path(path).absolute())]
    act = "Check the path; a relative one starts at the working folder."
    if Path(path).is_dir():
        raise SourceNotFoundError(
            "a folder is not a source", path, f"Use {path}/*.csv or the like."
        )
    if not glob.has_magic(path):
        raise SourceNotFoundError("no such file", path, act, "data")
    matches = sorted(str(Path(p).absolute()) for p in glob.iglob(path, recursive=True))  # noqa: PTH207
    files = [match for match in matches if Path(match).is_file()]
    if not files:
        raise SourceNotFoundError("no file matches", path, act, "data")
    return files


def _frames(frame: pl.DataFrame) -> tuple[SourcePart, ...]:
    pieces = max(1, -(-int(frame.estimated_size()) // _FRAME_PART_BYTES))
    rows = max(1, -(-frame.height // pieces))
    return tuple(_FramePart(piece, "the frame") for piece in frame.iter_slices(rows)) or (
        _FramePart(frame, "the frame"),
    )


def _blocks(dataset: ray.data.Dataset) -> tuple[SourcePart, ...]:
    refs = dataset.to_arrow_refs()
    return tuple(_BlockPart(ref, f"block {i} of the dataset") for i, ref in enumerate(refs))
