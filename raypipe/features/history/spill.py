"""Batches of rows in files of a temporary folder, which goes with the last who may read them."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from raypipe.core.errors import RecipeError
from raypipe.engine.folders import OwnedFolder, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Spill:
    """A folder of this process, removed with this object, or by the next one if it is killed.

    A copy that is pickled to another process reads the files and owns nothing.

    Args:
        base: where the folder is to lie; the system's temporary folder if not given.

    Raises:
        RecipeError: there is no such folder to write into.
    """

    def __init__(self, base: str | None = None) -> None:
        try:
            sweep(*([] if base is None else [Path(base)]))
            folder = OwnedFolder.create(base)
        except OSError as failure:
            raise _no_room(failure, base) from failure
        self.path = folder.path
        self._end = weakref.finalize(self, _remove, folder, os.getpid())

    def __reduce__(self) -> tuple[Callable[[str], _Seen], tuple[str]]:
        return _Seen, (self.path,)

    def close(self) -> None:
        """Removes the folder now."""
        self._end()

    def save(self, name: str, frames: Sequence[pl.DataFrame]) -> None:
        """Writes frames of one schema, at least one, as the batches of a file.

        Raises:
            RecipeError: it cannot be written; the disk may be full.
        """
        schema = _table(frames[0]).schema
        try:
            with pa.OSFile(f"{self.path}/{name}", "wb") as out, pa.ipc.new_file(out, schema) as to:
                for frame in frames:
                    batches = _table(frame).combine_chunks().to_batches()
                    to.write_batch(
                        batches[0] if batches else pa.RecordBatch.from_pylist([], schema)
                    )
        except OSError as failure:
            raise _no_room(failure, self.path) from failure

    def load(self, name: str, number: int, columns: Sequence[str]) -> pl.DataFrame:
        """A batch of a file; its columns in order get these names."""
        return _load(self.path, name, number, columns)

    def drop(self, name: str) -> None:
        """Removes a file."""
        Path(self.path, name).unlink(missing_ok=True)


class _Seen:
    """The folder of another process."""

    def __init__(self, path: str) -> None:
        self.path = path

    def load(self, name: str, number: int, columns: Sequence[str]) -> pl.DataFrame:
        return _load(self.path, name, number, columns)


Readable = Spill | _Seen


def _load(folder: str, name: str, number: int, columns: Sequence[str]) -> pl.DataFrame:
    try:
        with pa.memory_map(f"{folder}/{name}") as source:
            found = pl.from_arrow(pa.ipc.open_file(source).get_batch(number))
    except FileNotFoundError as failure:
        raise RecipeError(
            "the filled rows lie in a folder that is not there",
            folder,
            "Keep what with_history gave as long as it is read; where other machines read it, "
            "give with_history(folder=…) that all of them see.",
            "folder",
        ) from failure
    assert isinstance(found, pl.DataFrame)
    found.columns = list(columns)
    return found


def _table(frame: pl.DataFrame) -> pa.Table:
    # By place: a column may have a name that Arrow does not take.
    frame = frame.rename(dict(zip(frame.columns, map(str, range(frame.width)), strict=True)))
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _remove(folder: OwnedFolder, owner: int) -> None:
    if os.getpid() == owner:  # a child of a fork does not own it
        folder.remove()


def _no_room(failure: OSError, where: str | None) -> RecipeError:
    return RecipeError(
        "with_history cannot write its temporary files",
        f"{where or 'the temporary folder'}: {failure}"[:300],
        "Give with_history(folder=…) on a disk with room for the keys, times and values.",
        "folder",
    )
