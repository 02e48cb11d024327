"""A table against a plain list of rows: any sequence of changes, by several writers, and travel.

After each step the newest version has the model's rows, and versions that were read before are
read again to the same rows in the same order.
"""

from __future__ import annotations

import shutil
import tempfile
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
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

    @rule(rows=ROWS, who=st.integers(0, WRITERS - 1))
    def append(self, rows: list[Row], who: int) -> None:
        rows = self._filled(rows)
        self.rows += rows
        self._committed(self.writers[who].append(frame(rows, self.width)).version)

    @rule(rows=ROWS, batch=st.integers(0, 4), who=st.integers(0, WRITERS - 1))
    def append_batch(self, rows: list[Row], batch: int, who: int) -> None:
        name, rows = f"b{batch}", self._filled(rows)
        done = self.writers[who].append(frame(rows, self.width), batch_id=name)
        assert done.applied_before == (name in self.batches)
        assert done.version == self.batches.setdefault(name, done.version)
        assert self.writers[who].has_batch(name)
        if not done.applied_before:
            self.rows += rows
            self._committed(done.version)

    @rule(rows=ROWS, who=st.integers(0, WRITERS - 1))
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

    @rule(data=st.data(), who=st.integers(0, WRITERS - 1))
    def travel(self, data: st.DataObject, who: int) -> None:
        version = data.draw(st.sampled_from(sorted(self.remembered)))
        got = self.writers[who].at(version=version).frame()
        assert order(got.rows()) == order(self.remembered[version])
        assert got.equals(self.seen.setdefault(version, got))

    @rule(name=WHERE, data=st.data(), who=st.integers(0, WRITERS - 1))
    def filtered(self, name: str, data: st.DataObject, who: int) -> None:
        where, test = WHERES[name]
        version = data.draw(st.sampled_from(sorted(self.remembered)))
        now = self.writers[who].at(version=version).where(where)
        expected = [row for row in self.remembered[version] if test(row)]
        assert order(now.frame().rows()) == order(expected)
        assert now.count() == len(expected)

    @rule(who=st.integers(0, WRITERS - 1))
    def begin_anew(self, who: int) -> None:
        self.writers[who] = self._table()

    @rule()
    def another_reader(self) -> None:
        got = pl.scan_delta(self.writers[0].uri).collect()
        assert order(got.select(self.writers[0].at().frame().columns).rows()) == order(self.rows)


KINDS = {
    "plain": {},
    "partitioned": {"partition_by": ("p",)},
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
