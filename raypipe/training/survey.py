"""One look at the columns that decide what can be trained: labels, weights, margins, groups.

It runs before any work, over the pieces in parallel, and reads no feature. From its counts follows
which rows go to which rank, exactly: no rank is without a labelled row, and none is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raypipe.core.errors import ConfigError, RecipeError, SchemaError
from raypipe.engine.parts import run_parts
from raypipe.training.objectives import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from raypipe.core.scan import ScanPart
    from raypipe.engine.place import RunOn
    from raypipe.features import FittedRecipe
    from raypipe.lake import Snapshot

_PIECE_BYTES = 32 * 1024**2
_MOST_VALUES = 1001


@dataclass(frozen=True, kw_only=True, slots=True)
class Roles:
    """Columns beside features and label.

    Attributes:
        weight: how much a row counts.
        margin: where the booster begins for a row; one column for each output.
        group: rows of one value are ranked among each other, and lie together.
    """

    weight: str | None = None
    margin: tuple[str, ...] = ()
    group: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(name for name in (self.weight, *self.margin, self.group) if name)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one part that are read at once, and where they lie.

    Attributes:
        scan: reads them.
        part: the index of the scan's part.
        first_row: where the piece begins in the part's rows after the filter.
        first_known: the same, counting only rows with a label.
        rows: its rows after the filter.
        known: those with a label.
    """

    scan: ScanPart
    part: int
    first_row: int
    first_known: int
    rows: int
    known: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """What is known of all labels.

    Attributes:
        name: the label.
        count: rows with one.
        total: their sum.
        low: the least.
        high: the greatest.
        whole: whether all are whole numbers.
        odd: one that is not, if any.
        values: the different ones, as long as they are few.
    """

    name: str
    count: int
    total: float
    low: float
    high: float
    whole: bool
    odd: float | None = None
    values: frozenset[float] = frozenset()

    def with_ends_of(self, other: Labels) -> Labels:
        """These, as far as others reach: what is learned of these must be able to judge those."""
        return replace(
            self,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            whole=self.whole and other.whole,
            odd=self.odd if other.odd is None else other.odd,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """The pieces of a scan and what their labels are.

    Attributes:
        pieces: in the scan's order.
        labels: of all of them.
        runs: for ranking, how many labelled rows each group has, in order.
    """

    pieces: tuple[Piece, ...]
    labels: Labels
    runs: tuple[int, ...] = ()

    @property
    def known(self) -> list[int]:
        """Labelled rows of each part."""
        counts: dict[int, int] = {}
        for piece in self.pieces:
            counts[piece.part] = counts.get(piece.part, 0) + piece.known
        return [counts.get(part, 0) for part in range(max(counts, default=-1) + 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    rows: int
    known: int
    total: float
    ends: tuple[float, float]
    odd: float | None
    values: frozenset[float]
    groups: pl.DataFrame | None
    fault: tuple[str, str, str] | None
    weighs: bool  # whether a row with a label has a weight above 0


def survey(
    snapshot: Snapshot,
    recipe: FittedRecipe,
    roles: Roles,
    *,
    run_on: RunOn = "auto",
    wanted: str = "train",
) -> Survey:
    """Reads the labels and the other columns beside the features.

    Raises:
        SchemaError: a column is not there, or is of a type that it cannot have.
        RecipeError: a label is infinite; a weight or a margin is missing where there is a label,
            or is no finite number of 32 bits; a weight is negative, or all are 0; the rows of a
            group do not lie together.
        ConfigError: no row has a label.
    """
    check_roles(snapshot, roles, wanted)
    parts = snapshot.pieces(_PIECE_BYTES)
    look = partial(_look, recipe, roles)
    nbytes = sum(part.nbytes for part in parts)
    found = run_parts(look, parts, run_on=run_on, bytes_hint=nbytes // 10)
    for facts in found:
        if facts.fault is not None:
            what, got, column = facts.fault
            raise RecipeError(what, got, "Correct the table, or filter such rows out.", column)
    pieces = _placed(parts, found)
    labels = _labels(recipe.label or "label", found)
    if not labels.count:
        what = "no row has a label" if wanted == "train" else "no validation row has a label"
        raise ConfigError(what, repr(snapshot), f"Check the filter of {wanted}=.", wanted)
    if roles.weight and not any(facts.weighs for facts in found):
        what = f"{roles.weight!r} is 0 in every row of {wanted}= with a label"
        raise RecipeError(what, None, "Give some rows a weight.", roles.weight)
    frames = [facts.groups for facts in found if facts.groups is not None]
    runs = _runs(frames, roles.group) if roles.group else ()
    return Survey(pieces=pieces, labels=labels, runs=runs)


def check_snapshots(**given: object) -> None:
    """Refuses rows that are no snapshot; of ``valid`` None is left out.

    Raises:
        ConfigError: the first of them, by its name.
    """
    from raypipe.lake import Snapshot

    for name, rows in given.items():
        if (rows is not None or name != "valid") and not isinstance(rows, Snapshot):
            raise ConfigError(
                f"{name}= is a snapshot of a table",
                f"{type(rows).__module__.partition('.')[0]}.{type(rows).__name__}",
                "Pass Table.at(); append a frame to a table of the lake first.",
                name,
            )


def check_roles(snapshot: Snapshot, roles: Roles, wanted: str) -> None:
    """Refuses columns that are not there or are no numbers.

    Raises:
        SchemaError: the first of them.
    """
    for name in roles.columns:
        if name not in snapshot.schema:
            raise SchemaError(
                f"the rows of {wanted}= lack a column",
                name,
                nearest(name, snapshot.schema),
                name,
            )
        dtype = snapshot.schema[name]
        if name != roles.group and not dtype.is_numeric():
            kind = "weight" if name == roles.weight else "base margin"
            act = "Cast the column to numbers in the table."
            raise SchemaError(f"a {kind}, {name!r}, is no number", str(dtype), act, name)


def _placed(parts: Sequence[ScanPart], found: Sequence[_Facts]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    part, row, known, before = -1, 0, 0, None
    for scan, facts in zip(parts, found, strict=True):
        uri = getattr(scan, "uri", None)
        if uri is None or uri != before:
            part, row, known, before = part + 1, 0, 0, uri
        pieces.append(Piece(scan, part, row, known, facts.rows, facts.known))
        row, known = row + facts.rows, known + facts.known
    return tuple(pieces)


def _labels(name: str, found: Sequence[_Facts]) -> Labels:
    values: frozenset[float] = frozenset().union(*(f.values for f in found))
    odd = next((f.odd for f in found if f.odd is not None), None)
    return Labels(
        name=name,
        count=sum(f.known for f in found),
        total=float(sum(f.total for f in found)),
        low=min((f.ends[0] for f in found if f.known), default=0.0),
        high=max((f.ends[1] for f in found if f.known), default=0.0),
        whole=odd is None,
        odd=odd,
        values=values,
    )


def _runs(frames: Sequence[pl.DataFrame], group: str) -> tuple[int, ...]:
    if not frames:
        return ()
    all_rows = pl.concat(frames)
    marked = all_rows.with_columns(run=pl.col("group").rle_id())
    whole = marked.group_by("run", maintain_order=True).agg(
        pl.col("group").first(), pl.col("rows").sum()
    )
    twice = whole.filter(pl.col("group").is_duplicated())
    if twice.height:
        raise RecipeError(
            "the rows of a group do not lie together",
            repr(twice["group"][0]),
            f"Write the table sorted by {group!r}.",
            group,
        )
    return tuple(whole["rows"].to_list())


def _look(recipe: FittedRecipe, roles: Roles, scan: ScanPart) -> _Facts:
    columns = tuple(dict.fromkeys((*recipe.label_columns, *roles.columns)))
    frame = scan.read(columns)
    labels = recipe.labels(frame)
    known = labels.is_not_null()
    rows, y = frame.filter(known), labels.filter(known).to_numpy().astype(np.float64)
    fault = None
    if not np.isfinite(y).all():
        bad = y[~np.isfinite(y)][0]
        fault = ("a label is not finite in 32 bits", repr(float(bad)), recipe.label or "")
        y = y[:0]  # the fault is all that is told of them
    fault = fault or _role_fault(rows, roles)
    fractions = y[np.mod(y, 1.0) != 0.0] if len(y) else y
    values = np.unique(y)
    return _Facts(
        rows=frame.height,
        known=len(y),
        total=float(y.sum()),
        ends=(float(values[0]), float(values[-1])) if len(y) else (0.0, 0.0),
        odd=float(fractions[0]) if len(fractions) else None,
        values=frozenset(values[:_MOST_VALUES].tolist()),
        groups=_group_runs(rows, roles.group) if roles.group else None,
        fault=fault,
        weighs=roles.weight is not None and bool((_as_learned(rows[roles.weight]) > 0.0).any()),
    )


def _role_fault(rows: pl.DataFrame, roles: Roles) -> tuple[str, str, str] | None:
    for name in roles.columns:
        column = rows[name]
        if column.null_count():
            return f"{name!r} is missing in a row with a label", "null", name
        if name == roles.group:
            continue
        values = _as_learned(column)
        bad = ~np.isfinite(values) | ((values < 0.0) if name == roles.weight else False)
        if bad.any():
            what = f"a base margin, {name!r}, is not finite in 32 bits"
            if name == roles.weight:
                what = f"a weight, {name!r}, is below 0 or not finite in 32 bits"
            return what, repr(float(column.to_numpy()[bad][0])), name
    return None


def _as_learned(column: pl.Series) -> npt.NDArray[np.float32]:
    """As learners take it: what 32 bits cannot hold is infinite, or 0."""
    return column.cast(pl.Float32).to_numpy()


def _group_runs(rows: pl.DataFrame, group: str) -> pl.DataFrame:
    runs = rows.select(group=pl.col(group)).with_columns(run=pl.col("group").rle_id())
    return (
        runs.group_by("run", maintain_order=True)
        .agg(pl.col("group").first(), rows=pl.len().cast(pl.Int64))
        .drop("run")
    )
