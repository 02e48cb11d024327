"""A table against a plain list of rows: any sequence of changes, by several writers, and travel.

After each step the newest version has the model's rows, and versions that were read before are
read again to the same rows in the same order.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from typing import Any, ClassVar

import deltalake
import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from raypipe.lake import Lake, Table

TYPES = {"id": pl.Int64, "p": pl.String, "v": pl.Int64, "s": pl.String}
IDS = st.integers(0, 15)
ROW = st.tuples(
    IDS, st.sampled_from(["x", "y", None]), st.none() | st.integers(-3, 3),
    st.none() | st.sampled_from(["a", "b", "c"]),
)  # fmt: skip
ROWS = st.lists(ROW, min_size=1, max_size=5)
UNIQUE = st.lists(ROW, min_size=1, max_size=5, unique_by=lambda row: row[0])
WRITERS = 3
WHO = st.integers(0, WRITERS - 1)
Row = tuple[Any, ...]


def frame(rows: list[Row], width: int = 4) -> pl.DataFrame:
    """Rows as they are written; those of a table that has evolved have more columns."""
    types = TYPES | {f"e{n}": pl.Int64 for n in range(width - 4)}
    return pl.DataFrame(rows, schema=types, orient="row")


def order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [(value is not None, value) for value in row])


WHERES: dict[str, tuple[pl.Expr, Any]] = {
    "id < 5": (pl.col("id") < 5, lambda row: row[0] < 5),
    "id == 7": (pl.col("id") == 7, lambda row: row[0] == 7),
    "p == x": (pl.col("p") == "x", lambda row: row[1] == "x"),
    "p null": (pl.col("p").is_null(), lambda row: row[1] is None),
    "v > 0": (pl.col("v") > 0, lambda row: row[2] is not None and row[2] > 0),
    "not v > 0": (~(pl.col("v") > 0), lambda row: row[2] is not None and not row[2] > 0),
    "s == a or id > 12": (
        (pl.col("s") == "a") | (pl.col("id") > 12), lambda row: row[3] == "a" or row[0] > 12,
    ),
    "nothing": (pl.col("id") > 99, lambda row: False),
}  # fmt: skip
WHERE = st.sampled_from(list(WHERES))


def can(method: str, argument: str | None = None) -> bool:
    found = getattr(Table, method, None)
    return found is not None and (
        argument is None or argument in inspect.signature(found).parameters
    )


def _updated(row: Row) -> Row:
    return (row[0], "x", None if row[2] is None else row[2] + 1, *row[3:])


class Model(RuleBasedStateMachine):
    """What a table does, said with lists."""

    partition_by: ClassVar[tuple[str, ...]] = ()
    properties: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="model-")
        self.rows: list[Row] = []
        self.width = 4
        self.remembered: dict[int, list[Row]] = {}
        self.seen: dict[int, pl.DataFrame] = {}
        self.widths: dict[int, int] = {}
        self.batches: dict[str, int] = {}
        self.writers = [self._table() for _ in range(WRITERS)]

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _table(self, **options: Any) -> Table:
        if self.properties:
            options["properties"] = self.properties
        return Lake(self.folder).table("t", partition_by=self.partition_by, **options)

    def _committed(self, version: int) -> None:
        self.remembered[version] = list(self.rows)
        self.widths[version] = self.width

    def _filled(self, rows: list[Row]) -> list[Row]:
        """Rows with a value for each column that came later."""
        return [row + (row[0] * 10,) * (self.width - 4) for row in rows]

    @initialize(rows=ROWS)
    def first(self, rows: list[Row]) -> None:
        self.rows = list(rows)
        self._committed(self.writers[0].append(frame(rows)).version)

    @rule(rows=ROWS, who=WHO)
    def append(self, rows: list[Row], who: int) -> None:
        rows = self._filled(rows)
        self.rows += rows
        self._committed(self.writers[who].append(frame(rows, self.width)).version)

    @rule(rows=ROWS)
    def another_writer(self, rows: list[Row]) -> None:
        """Delta's own library appends; its files have names and statistics of their own."""
        rows = self._filled(rows)
        data = frame(rows, self.width).to_arrow(compat_level=pl.CompatLevel.oldest())
        deltalake.write_deltalake(self.writers[0].uri, data, mode="append")
        self.rows += rows
        self._committed(self.writers[0].version())

    @rule(rows=ROWS, batch=st.integers(0, 4), who=WHO)
    def append_batch(self, rows: list[Row], batch: int, who: int) -> None:
        name, rows = f"b{batch}", self._filled(rows)
        done = self.writers[who].append(frame(rows, self.width), batch_id=name)
        assert done.applied_before == (name in self.batches)
        assert done.version == self.batches.setdefault(name, done.version)
        assert self.writers[who].has_batch(name)
        if not done.applied_before:
            self.rows += rows
            self._committed(done.version)

    @rule(rows=ROWS, who=WHO)
    def overwrite(self, rows: list[Row], who: int) -> None:
        self.rows = self._filled(rows)
        self._committed(self.writers[who].overwrite(frame(self.rows, self.width)).version)

    @invariant()
    def the_newest_version_has_the_rows(self) -> None:
        if not self.remembered:
            return
        now = self.writers[-1].at()
        assert now.version == max(self.remembered)
        got = now.frame()
        assert order(got.rows()) == order(self.rows)
        assert now.count() == len(self.rows)
        self.seen.setdefault(now.version, got)

    @rule(data=st.data(), who=WHO)
    def travel(self, data: st.DataObject, who: int) -> None:
        version = data.draw(st.sampled_from(sorted(self.remembered)))
        got = self.writers[who].at(version=version).frame()
        assert order(got.rows()) == order(self.remembered[version])
        assert got.equals(self.seen.setdefault(version, got))

    @rule(name=WHERE, data=st.data(), who=WHO)
    def filtered(self, name: str, data: st.DataObject, who: int) -> None:
        where, test = WHERES[name]
        version = data.draw(st.sampled_from(sorted(self.remembered)))
        now = self.writers[who].at(version=version).where(where)
        expected = [row for row in self.remembered[version] if test(row)]
        assert order(now.frame().rows()) == order(expected)
        assert now.count() == len(expected)

    @precondition(lambda self: can("overwrite", "where"))
    @rule(rows=ROWS, name=WHERE, who=WHO)
    def overwrite_some(self, rows: list[Row], name: str, who: int) -> None:
        where, test = WHERES[name]
        rows = [row for row in self._filled(rows) if test(row)]
        data = frame(rows, self.width)
        done = self.writers[who].overwrite(data, where=where, allow_empty=True)
        self.rows = [row for row in self.rows if not test(row)] + rows
        self._committed(done.version)

    @precondition(lambda self: can("merge"))
    @rule(rows=UNIQUE, who=WHO, kind=st.sampled_from(["upsert", "insert", "update", "delete"]))
    def merge(self, rows: list[Row], who: int, kind: str) -> None:
        rows = self._filled(rows)
        options = {
            "upsert": {},
            "insert": {"when_matched": "ignore"},
            "update": {"when_not_matched": "ignore"},
            "delete": {"when_matched": "delete", "when_not_matched": "ignore"},
        }[kind]
        done = self.writers[who].merge(frame(rows, self.width), "id", **options)
        source, known = {row[0]: row for row in rows}, {row[0] for row in self.rows}
        if kind in ("upsert", "update"):
            self.rows = [source.get(row[0], row) for row in self.rows]
        if kind == "delete":
            self.rows = [row for row in self.rows if row[0] not in source]
        if kind in ("upsert", "insert"):
            self.rows += [row for row in rows if row[0] not in known]
        self._committed(done.version)

    @precondition(lambda self: can("delete"))
    @rule(name=WHERE, who=WHO)
    def delete(self, name: str, who: int) -> None:
        where, test = WHERES[name]
        done = self.writers[who].delete(where)
        self.rows = [row for row in self.rows if not test(row)]
        self._committed(done.version)

    @precondition(lambda self: can("update"))
    @rule(name=WHERE, who=WHO, batch=st.none() | st.integers(0, 2))
    def update(self, name: str, who: int, batch: int | None) -> None:
        where, test = WHERES[name]
        batch_id = None if batch is None else f"u{batch}"
        changed = {"v": pl.col("v") + 1, "p": pl.lit("x")}
        done = self.writers[who].update(where, changed, batch_id=batch_id)
        assert done.applied_before == (batch_id in self.batches)
        if done.applied_before:
            return
        if batch_id:
            self.batches[batch_id] = done.version
        self.rows = [_updated(row) if test(row) else row for row in self.rows]
        self._committed(done.version)

    @precondition(lambda self: can("compact"))
    @rule(who=WHO, z=st.sampled_from([(), ("id",), ("v", "id")]), small=st.booleans())
    def compact(self, who: int, z: tuple[str, ...], small: bool) -> None:
        table = self.writers[who]
        before = table.at().frame()
        done = table.compact(z_order=z, target_bytes=2000 if small else None)
        if not z and not self.partition_by:
            assert table.at().frame().equals(before)
        self._committed(done.version)

    @precondition(lambda self: can("restore"))
    @rule(data=st.data(), who=WHO)
    def restore(self, data: st.DataObject, who: int) -> None:
        version = data.draw(st.sampled_from(sorted(self.remembered)))
        done = self.writers[who].restore(version)
        self.rows, self.width = list(self.remembered[version]), self.widths[version]
        self._committed(done.version)

    @precondition(lambda self: can("vacuum"))
    @rule(who=WHO, now=st.sampled_from([False, False, True]))
    def vacuum(self, who: int, now: bool) -> None:
        self.writers[who].vacuum(retention=timedelta(0) if now else None)
        if now:  # what stays is what is newest
            newest = max(self.remembered)
            self.remembered = {newest: self.remembered[newest]}
            self.seen = {v: rows for v, rows in self.seen.items() if v == newest}

    @precondition(lambda self: can("checkpoint"))
    @rule(who=WHO)
    def checkpoint(self, who: int) -> None:
        self.writers[who].checkpoint()

    @precondition(lambda self: self.width < 6)
    @rule(rows=ROWS, who=WHO)
    def evolve(self, rows: list[Row], who: int) -> None:
        """Another engine adds a column."""
        field = deltalake.Field(f"e{self.width - 4}", deltalake.schema.PrimitiveType("long"))
        deltalake.DeltaTable(self.writers[0].uri).alter.add_columns([field])
        self.width += 1
        self.rows = [(*row, None) for row in self.rows]
        self._committed(self.writers[0].version())
        rows = self._filled(rows)
        done = self.writers[who].append(frame(rows, self.width))
        self.rows += rows
        self._committed(done.version)

    @precondition(lambda self: can("changes"))
    @rule(data=st.data(), who=WHO)
    def replay(self, data: st.DataObject, who: int) -> None:
        since = data.draw(st.sampled_from(sorted(self.remembered)))
        changed = self.writers[who].changes(since).frame()
        rows = [row + (None,) * (self.width - len(row)) for row in self.remembered[since]]
        columns = self.writers[who].at().frame().columns
        if self.widths[since] > self.width or len(columns) != self.width:
            return  # columns went with a restore
        counts = Counter(rows)
        for kind, *row in changed.select("_change_type", *columns).iter_rows():
            counts[tuple(row)] += 1 if kind in ("insert", "update_postimage") else -1
        assert not [row for row, count in counts.items() if count < 0]
        assert order(list(counts.elements())) == order(self.rows)

    @rule(who=WHO)
    def begin_anew(self, who: int) -> None:
        self.writers[who] = self._table()

    @rule()
    def another_reader(self) -> None:
        got = pl.scan_delta(self.writers[0].uri).collect()
        assert order(got.select(self.writers[0].at().frame().columns).rows()) == order(self.rows)


KINDS = {
    "plain": {},
    "partitioned": {"partition_by": ("p",)},
    "feed": {"properties": {"delta.enableChangeDataFeed": "true"}},
    "partitioned_feed": {
        "partition_by": ("p",),
        "properties": {"delta.enableChangeDataFeed": "true"},
    },
}


def run(kind: str, examples: int, steps: int) -> None:
    machine = type(f"Model_{kind}", (Model,), KINDS[kind])
    plan = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=plan)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_table_is_its_model(kind: str) -> None:
    run(kind, 8, 15)


@pytest.mark.long
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_table_is_its_model_for_long(kind: str) -> None:
    run(kind, 150, 40)
