"""A first write that reads text files once: with guessed types, which all values then confirm."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import RaypipeError, SchemaError, SourceError
from raypipe.engine.parts import run_parts
from raypipe.lake.write.fused import PartResult, write_part
from raypipe.lake.write.job import clean_up, types_together
from raypipe.lake.write.sources import text_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from raypipe.lake.write.ask import Ask
    from raypipe.lake.write.fused import WriteJob
    from raypipe.lake.write.sources import Source, SourcePart, Types

_SAMPLED = 32  # files


@dataclass(frozen=True, slots=True)
class Guessed:
    """What came of a guess.

    Attributes:
        done: the job and the results of its parts, when the guess was right.
        types: those of the table, when they are known from reading all parts.
    """

    done: tuple[WriteJob, list[PartResult]] | None = None
    types: Mapping[str, pl.DataType] | None = None


@dataclass(frozen=True, slots=True)
class _Noting:
    """A part that is read by its own types, and notes them."""

    part: SourcePart
    found: dict[str, pl.DataType] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.part.label

    @property
    def nbytes(self) -> int:
        return self.part.nbytes

    def types(self) -> Types:
        return self.part.types()

    def read(self, types: Types | None) -> pl.DataFrame:
        frame = self.part.read(None)
        self.found.update(frame.schema)
        for name, dtype in (types or {}).items():
            have = frame.schema.get(name)
            # What is to be text must be read as text: "007" is 7 by now.
            moved = isinstance(dtype, pl.String) and not isinstance(have, pl.String | pl.Null)
            if have is None or moved:
                return self.part.read(types)
        return frame

    def lazy(self) -> pl.LazyFrame:
        rows = self.part.lazy()
        self.found.update(rows.collect_schema())
        return rows

    def is_empty(self) -> bool:
        return self.part.is_empty()


def _write_noting(
    job: WriteJob, numbered: tuple[int, SourcePart]
) -> tuple[PartResult, dict[str, pl.DataType]]:
    noting = _Noting(numbered[1])
    return write_part(job, (numbered[0], noting)), noting.found


def write_guessed(source: Source, ask: Ask, make_job: Callable[[Types], WriteJob]) -> Guessed:
    """Writes the files of a first write with the types that samples have.

    The table's types are those that all values of all files have. Where these are not the guessed
    ones, or anything is wrong, all files of this run are removed and the write is to be done in two
    readings, which then say what is wrong. So nothing depends on the guess but the time.
    """
    guess = _guess(source, ask)
    if guess is None:
        return Guessed()
    try:
        job = make_job(guess)
    except RaypipeError:
        return Guessed()
    types = None
    try:
        numbered = list(enumerate(source.parts))
        pairs = run_parts(partial(_write_noting, job), numbered, run_on=ask.run_on)
        types = types_together(source, [found for _, found in pairs], ask.transform)
    except (SchemaError, SourceError):
        pass  # of the guess, perhaps; the two readings tell
    except BaseException:
        clean_up(job)
        raise
    if types is not None and list(types.items()) == list(guess.items()):
        return Guessed((job, [result for result, _ in pairs]))
    clean_up(job)
    return Guessed(types=types)


def _guess(source: Source, ask: Ask) -> dict[str, pl.DataType] | None:
    files = source.files()
    if not files or not all(text_file(part) for part in source.parts):
        return None
    found: list[Types] = [{} for _ in source.parts]
    for part, numbers in files[:: -(-len(files) // _SAMPLED)]:
        text = text_file(part)
        found[numbers[0]] = (text and text.sample()) or {}
    try:
        return types_together(source, found, ask.transform)
    except RaypipeError:
        return None
