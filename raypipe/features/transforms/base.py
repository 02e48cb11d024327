"""What a transform is: declared columns, a mergeable fit, and the same meaning for batch and row.

A transform is a frozen value. It names the columns that it reads and those that it gives; it may
learn a fitted state in one pass; and its fitted form is applied to a polars frame and to one row
with the same bits. Columns are handed over in numbered slots, so that two columns of one name
(before and after an imputation) never meet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions import greatest
from raypipe.expressions.code import Code, Writer
from raypipe.expressions.row_base import FLOAT, Value, inline, settled

if TYPE_CHECKING:
    from raypipe.expressions import Growth
    from raypipe.features.transforms.shared import RowsView

Json = Any
Schema = Mapping[str, pl.DataType]
Slots = Mapping[str, int]
RowStep = Callable[[list[Any]], None]


def slot(number: int) -> str:
    """The name of a slot's column in a batch."""
    return f"#{number}"


class RowWriter(Writer):
    """The function of one row in the making: what each slot holds, beside the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[int, Value] = {}
        self.blocks: dict[int, tuple[Code, int]] = {}  # by first slot: a tuple's name and length

    def read(self, place: int) -> Code:
        """An expression for what a slot holds, None for null."""
        return inline(self, self.values[place])

    def number(self, place: int, template: str, *parts: Code, nan: bool = False) -> None:
        """Lets a slot hold a float that is never null, under a name of its own."""
        self.values[place] = Value(self.settled(template, *parts), FLOAT, (), nan)

    def put(self, place: int, value: Value) -> None:
        """Lets a slot hold a value under a name of its own, computed once."""
        self.values[place] = settled(self, value)

    def block(self, places: Sequence[int], template: str, *parts: Code) -> None:
        """Lets slots hold the items of a tuple of floats, none of them null or NaN."""
        whole = self.settled(template, *parts)
        for number, place in enumerate(places):
            item = self.piece("{}[{}]", whole, self.bind(number))
            self.values[place] = Value(item, FLOAT)
        if list(places) == list(range(places[0], places[0] + len(places))):
            self.blocks[places[0]] = (whole, len(places))


class State(Protocol):
    """What a transform gathers in one pass; the state of two parts is merged in part order."""

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        """Takes the rows of a part: the read columns by name, and the label as Float64 or None."""

    def merge(self, other: Any) -> None:
        """Takes the state of the part that follows."""

    def finish(self) -> Json:
        """The fitted state as JSON (finite numbers, texts, lists, objects)."""


@runtime_checkable
class PlacedState(State, Protocol):
    """A state that must know where its rows stand, for what it keeps for training alone."""

    def update_at(
        self, frame: pl.DataFrame, target: pl.Series | None, part: int, first_row: int
    ) -> None:
        """As ``update``, of rows that begin at position ``first_row`` of part ``part``."""

    def training(self) -> Json:
        """What training needs beside the fitted state, as JSON."""


@runtime_checkable
class SharedState(State, Protocol):
    """A state that takes what is made of a column once for all states."""

    def take(self, view: RowsView) -> None:
        """As ``update``."""


def feed(state: State, view: RowsView) -> None:
    """Gives a state the rows of a part, in the form that it takes.

    Args:
        state: what takes them.
        view: the read columns by name, with the label and the rows' place.
    """
    if isinstance(state, SharedState):
        state.take(view)
    elif isinstance(state, PlacedState):
        state.update_at(view.frame, view.rows.target, view.rows.part, view.rows.first_row)
    else:
        state.update(view.frame, view.rows.target)


@dataclass(frozen=True, slots=True)
class Fitted(ABC):
    """A transform with its fitted state: what is applied."""

    outputs: tuple[str, ...]
    # Whether its batches give Float32 without null and NaN.
    plain: ClassVar[bool] = False

    @abstractmethod
    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        """Adds the outputs' slots to a frame of slots; keeps the rows and their order."""

    @abstractmethod
    def row(self, source: Slots, target: Slots) -> RowStep:
        """A function that does the same on a list of slots."""

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        """Writes the same as code of one row, with the bits of ``row``; faster, and optional.

        Args:
            write: reads slots (``values[place]``), and takes lines and what the target's slots
                hold. Whatever comes from a recipe goes through ``bind``, never into a template.
            source: the slots that it reads.
            target: the slots that it gives.

        Returns:
            Whether it was written. False leaves the step to ``row``.
        """
        return False


# The column of a training batch that holds ``row_hash`` of each row.
ROW_HASH = "#row"


class PlacedFitted(Fitted):
    """A fitted transform for rows of the fit itself; its batches hold ``ROW_HASH``."""

    __slots__ = ()

    @abstractmethod
    def check_place(self, part: int, first_row: int, rows: int) -> None:
        """Refuses rows at a place at which the fit has read none.

        Raises:
            RecipeError: the fit has read none there.
        """

    def row(self, source: Slots, target: Slots) -> RowStep:
        """Not for single rows: training reads batches.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("training reads batches")


class Transform(ABC):
    """One transform over given columns. Subclasses are frozen dataclasses of plain values."""

    kind: ClassVar[str]
    # Whether the outputs are features: always, never, or when nothing later reads them.
    gives: ClassVar[str] = "features"
    needs_label: ClassVar[bool] = False
    # Whether it is there to give a missing value a meaning, so that nulls are to be expected.
    mends_null: ClassVar[bool] = False
    # Whether applying it can refuse a value, so that the fit applies it to all rows.
    refuses: ClassVar[bool] = False
    # Whether the columns that it reads cease to be features.
    drops: ClassVar[bool] = False

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The columns that it reads."""

    @property
    def weight(self) -> int:
        """How many parts its expression has."""
        return 0

    def texts(self, known: Mapping[str, Growth]) -> Growth:
        """How long the texts that it gives can be, by those that it reads.

        Args:
            known: of the columns in ``reads`` that are texts.

        Raises:
            RecipeError: they would grow out of bounds.
        """
        return greatest(known.values())

    @abstractmethod
    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The columns that later transforms may read, with their types.

        Args:
            schema: the types of the columns in ``reads``.

        Raises:
            RecipeError: a column is of a type that the transform cannot take.
        """

    def state(self, schema: Schema) -> State | None:
        """An empty state, or None when there is nothing to learn."""
        return None

    @abstractmethod
    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """The form that is applied.

        Raises:
            RecipeError: the state is not one that this transform's fit can give.
        """

    @property
    def cross_fitted(self) -> bool:
        """Whether rows of the fit are transformed otherwise than rows to serve."""
        return False

    def for_training(self, state: Json, training: Json, schema: Schema) -> PlacedFitted | None:
        """The form for the rows of the fit itself, None where it is the one for serving.

        Raises:
            RecipeError: what was kept for training is not what this transform's fit can give.
        """
        return None

    @abstractmethod
    def to_json(self) -> dict[str, Json]:
        """The transform's own settings as JSON."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The other way of ``to_json``; checks everything.

        Raises:
            RecipeError: the settings are not valid.
        """


def tampered(kind: str, what: str, field: str) -> RecipeError:
    """The error for stored JSON that this library cannot have written."""
    return RecipeError(
        f"the stored recipe is not valid: {kind}: {what}",
        None,
        "Use a file that to_json() wrote.",
        field,
    )


def check_keys(data: Any, keys: set[str], kind: str) -> None:
    """Refuses stored JSON whose keys are not exactly these.

    Raises:
        RecipeError: a key is missing or unknown.
    """
    if not isinstance(data, Mapping) or set(data) != keys:
        raise tampered(kind, f"it needs exactly the keys {sorted(keys)}", kind)


def check_text(value: Any, kind: str, field: str, limit: int = 1_000) -> str:
    """A text from stored JSON or from a caller.

    Raises:
        RecipeError: it is not a text, is empty or too long.
    """
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise RecipeError(
            f"{kind}: {field} is not a name",
            repr(value)[:100],
            f"Give a text of 1 to {limit} characters.",
            field,
        )
    return value


def check_type(kind: str, column: str, dtype: pl.DataType, fine: bool, want: str) -> None:
    """Refuses a column of a type that the transform cannot take.

    Raises:
        RecipeError: ``fine`` is false.
    """
    if not fine:
        raise RecipeError(
            f"{kind} cannot take column {column!r}", str(dtype), f"Give {want}.", column
        )


def is_number(value: Any) -> bool:
    """Whether JSON holds a number: a float, or an integer of 64 bits; not a boolean."""
    if isinstance(value, int) and not isinstance(value, bool):
        return -(2**63) <= value < 2**63
    return isinstance(value, float)
