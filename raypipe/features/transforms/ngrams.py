"""ngrams: how often pieces of a text fall into each of some buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import Value, applied, settled
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
    check_type,
    slot,
    tampered,
)
from raypipe.features.transforms.categories import check_whole
from raypipe.features.transforms.hashing import span_buckets, text_bucket
from raypipe.features.transforms.tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNITS = ("char", "word")
MAX_N = 10
MAX_WIDTH = 4_096
_CHUNK = 2**22  # counts held at once while a batch is hashed
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NGrams(Transform):
    """``<column>_<unit><n>_<i>``: how many n-grams of the text fall into bucket ``i``.

    The text is lower-cased by Unicode's rules (``str.lower``; a letter that is newer than the
    interpreter's Unicode keeps its case). With ``char`` an n-gram is ``n`` code points that follow
    each other, blanks and all; with ``word`` it is ``n`` tokens (``tokens.py``), joined by one
    space. Its bucket is that of ``hash_encode``. A text that is shorter than ``n``, such as an
    empty one, gives 0 everywhere; null gives null everywhere. Nothing is learned.
    """

    column: str
    unit: str
    n: int
    width: int
    kind: ClassVar[str] = "ngrams"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """A count for each bucket."""
        dtype = schema[self.column]
        check_type(self.kind, self.column, dtype, dtype == pl.String, "a string")
        head = f"{self.column}_{self.unit}{self.n}_"
        return {f"{head}{place}": pl.Int64() for place in range(self.width)}

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """There is no state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.column)
        return _Hashed(tuple(self.outputs(schema)), self.column, self.unit, self.n)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        return {"column": self.column, "unit": self.unit, "n": self.n, "width": self.width}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "unit", "n", "width"}, cls.kind)
        check_text(data["column"], cls.kind, "column")
        _check(data["unit"], data["n"], data["width"])
        return cls(data["column"], data["unit"], data["n"], data["width"])


@dataclass(frozen=True, slots=True)
class _Hashed(Fitted):
    column: str
    unit: str
    n: int

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        names = [slot(target[output]) for output in self.outputs]
        made = pl.col(slot(source[self.column])).map_batches(
            lambda texts: self._counts(texts, names),
            return_dtype=pl.Struct(dict.fromkeys(names, pl.Int64())),
        )
        # First as one column: each field of an expression would compute the whole anew.
        whole = f"{names[0]} to {names[-1]}"
        return frame.with_columns(made.alias(whole)).unnest(whole)

    def _counts(self, texts: pl.Series, names: list[str]) -> pl.Series:
        known = texts.is_not_null().to_numpy()
        distinct = texts.drop_nulls().unique(maintain_order=True)
        found = np.zeros((texts.len(), len(names)), np.int64)
        if distinct.len():
            codes = texts.replace_strict(
                distinct, pl.int_range(distinct.len(), eager=True), default=0
            ).to_numpy()
            step = max(1, _CHUNK // len(names))
            for start in range(0, distinct.len(), step):
                part = distinct[start : start + step]
                counts = text_counts(part.to_list(), self.unit, self.n, len(names))
                here = known & (codes >= start) & (codes < start + part.len())
                found[here] = counts[codes[here] - start]
        columns = [
            pl.Series(name, np.ascontiguousarray(found[:, place]))
            for place, name in enumerate(names)
        ]
        gone = pl.Series(~known)
        frame = pl.DataFrame(columns)
        return frame.select(pl.when(gone).then(None).otherwise(pl.all()).name.keep()).to_struct()

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, counted = source[self.column], self._counted
        places = [target[output] for output in self.outputs]

        def step(slots: list[Any]) -> None:
            text: str | None = slots[have]
            if text is not None:
                for place, count in zip(places, counted(text), strict=True):
                    slots[place] = count

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        text, whole = settled(write, write.values[source[self.column]]), pl.Int64()
        counts = settled(write, applied(write, whole, self._counted, text))
        for number, name in enumerate(self.outputs):
            item = write.piece("{}[{}]", counts.body, write.bind(number))
            write.values[target[name]] = Value(item, whole, counts.nulls)
        return True

    def _counted(self, text: str) -> list[int]:
        n, width = self.n, len(self.outputs)
        counts = [0] * width
        if self.unit == "word":
            folded = [token.lower() for token in tokens(text)]
            for i in range(len(folded) - n + 1):
                counts[text_bucket(" ".join(folded[i : i + n]).encode(), width)] += 1
        else:
            text = text.lower()
            for i in range(len(text) - n + 1):
                counts[text_bucket(text[i : i + n].encode(), width)] += 1
        return counts


def text_counts(texts: Sequence[str], unit: str, n: int, width: int) -> _Ints:
    """The n-grams of each text by bucket, of all texts at once: shape (texts, width)."""
    if unit == "char":
        folded = [text.lower() for text in texts]
        sizes = np.array([len(text) for text in folded], np.int64)
        data = np.frombuffer("".join(folded).encode(), np.uint8)
        starts = np.flatnonzero((data & 0xC0) != 0x80)  # UTF-8: other bytes go on with a character
        stops = np.append(starts[1:], len(data))
    else:
        split = [[token.lower() for token in tokens(text)] for text in texts]
        sizes = np.array([len(found) for found in split], np.int64)
        # No token holds a space, so each stretch without one is a token again.
        data = np.frombuffer("".join(f"{one} " for found in split for one in found).encode(), "u1")
        stops = np.flatnonzero(data == ord(" "))
        starts = np.append(np.zeros(1, np.int64), stops[:-1] + 1)[: len(stops)]
    grams = np.maximum(sizes - n + 1, 0)
    owner = np.repeat(np.arange(len(texts)), grams)
    first = (np.cumsum(sizes) - sizes)[owner]
    within = np.arange(len(owner)) - (np.cumsum(grams) - grams)[owner]
    begin = first + within
    buckets = span_buckets(data, starts[begin], stops[begin + n - 1], width)
    counts = np.bincount(owner * width + buckets, minlength=len(texts) * width)
    return counts.reshape(len(texts), width).astype(np.int64)


def _check(unit: Any, n: Any, width: Any) -> None:
    if not isinstance(unit, str) or unit not in UNITS:
        raise RecipeError(
            "ngrams does not know this unit", repr(unit)[:100], f"Use: {', '.join(UNITS)}.", "unit"
        )
    check_whole(n, "ngrams", "n", 1, MAX_N)
    check_whole(width, "ngrams", "width", 2, MAX_WIDTH)


def ngrams(column: str, *, unit: str = "char", n: int = 3, width: int = 64) -> NGrams:
    """Hashed n-grams of a text as ``width`` features ``<column>_<unit><n>_<i>``: how many of each.

    The text is lower-cased. Null gives null in all of them, a text without an n-gram 0.

    Args:
        column: strings.
        unit: "char" for code points, "word" for tokens.
        n: how many of them make an n-gram, 1 to 10.
        width: how many buckets, 2 to 4,096.

    Raises:
        RecipeError: a setting is unknown or out of bounds.
    """
    _check(unit, n, width)
    return NGrams(check_text(column, "ngrams", "column"), unit, n, width)
