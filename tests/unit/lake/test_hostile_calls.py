"""Calls that no table can answer: each is refused by name, and nothing is left behind."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, LakeError, SchemaError
from raypipe.lake import Lake, expect

if TYPE_CHECKING:
    from collections.abc import Callable

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
ROWS = pl.DataFrame({"n": [1, None, 3], "s": ["a", "b", None], "d": [date(2013, 1, 1)] * 3})


@pytest.fixture
def lake(lake_root: str) -> Lake:
    return Lake(lake_root)


def left(lake: Lake) -> list[Path]:
    """What lies in the lake, folders aside."""
    return [path for path in Path(lake.root).rglob("*") if path.is_file()]


@pytest.mark.parametrize("value", [NULL_FOLDER, "", "é" * 50, "x" * 300])
def test_partition_values_without_a_folder_of_their_own(lake: Lake, value: str) -> None:
    rows = pl.DataFrame({"p": [None, value], "a": [1, 2]})
    with pytest.raises(ConfigError, match="partition"):
        lake.table("t", partition_by="p").append(rows)
    assert not lake.table("t").exists
    assert left(lake) == []


def test_bytes_cannot_partition(lake: Lake) -> None:
    with pytest.raises(SchemaError, match="partitioned by 'p'") as caught:
        lake.table("t", partition_by="p").append(pl.DataFrame({"p": [b"\xff"], "a": [1]}))
    assert caught.value.field == "p"
    assert left(lake) == []


@pytest.mark.parametrize("names", [("a", "a"), ("a", 1), (None,)])
def test_partition_by_names_columns_once(lake: Lake, names: Any) -> None:
    with pytest.raises(ConfigError, match="partition_by"):
        lake.table("t", partition_by=names)


@pytest.mark.parametrize(
    "expr",
    [pl.col("n"), pl.col("n") + 1, pl.col("s"), pl.lit(1), pl.col("n").fill_null(0)],
)
@pytest.mark.parametrize("on_fail", ["drop", "quarantine", "warn", "fail"])
def test_that_must_be_boolean(lake: Lake, expr: pl.Expr, on_fail: Any) -> None:
    table = lake.table("t", expect=[expect.that(expr, "rule", on_fail)])
    with pytest.raises(SchemaError, match="must be boolean"):
        table.append(ROWS)
    with pytest.raises(SchemaError, match="must be boolean"):
        table.check(ROWS)
    assert left(lake) == []


@pytest.mark.parametrize(
    "expr",
    [
        pl.col("n").map_elements(lambda v: hash(v) > 1, return_dtype=pl.Boolean),
        pl.col("n").map_batches(lambda s: s > 1, return_dtype=pl.Boolean),
        pl.col("n").sum() > 1,
        "n > 1",
    ],
)
def test_that_takes_no_functions_and_no_aggregates(expr: Any) -> None:
    with pytest.raises(ConfigError, match="'rule'"):
        expect.that(expr, "rule")


@pytest.mark.parametrize(
    "make",
    [
        lambda: expect.between("n", 1, "x"),
        lambda: expect.between("n", object(), None),
        lambda: expect.between("n", None, 2**200),
        lambda: expect.between("n", pl.col("s"), 3),
        lambda: expect.in_set("n", [1, "x"]),
        lambda: expect.in_set("n", [object()]),
        lambda: expect.in_set("n", 5),  # type: ignore[arg-type]
        lambda: expect.in_set("s", b"ab"),
    ],
)
def test_values_that_no_column_can_be_compared_with(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize(
    "rule",
    [
        expect.between("n", "a", "b"),
        expect.between("n", False, True),
        expect.between("n", date(2013, 1, 1), None),
        expect.between("s", 1, 2),
        expect.between("d", 1, 20_000),
        expect.between("d", "2013-01-01", None),
        expect.in_set("n", ["a"]),
        expect.in_set("n", [1.5]),
        expect.in_set("s", [1]),
        expect.in_set("d", ["2013-01-01"]),
    ],
)
def test_values_that_do_not_fit_their_column(lake: Lake, rule: expect.Expectation) -> None:
    with pytest.raises(SchemaError, match="does not fit") as caught:
        lake.table("t", expect=[rule]).append(ROWS)
    assert rule.name in str(caught.value)
    assert left(lake) == []


def test_values_that_fit(lake: Lake) -> None:
    rules = [
        expect.between("n", 0.5, 9),
        expect.between("d", date(2013, 1, 1), date(2013, 1, 2)),
        expect.in_set("s", ["a", "b"]),
        expect.in_set("n", {1, 3}),
    ]
    assert lake.table("t", expect=rules).append(ROWS).rows == 3


@pytest.mark.parametrize(
    "rows",
    [
        pl.DataFrame({"": [1]}),
        pl.DataFrame({"a": [1], "A": [2]}),
        pl.DataFrame({"x": [{"a": 1, "A": 2}]}),
        pl.DataFrame({"x": [[{"": 1}]]}),
        pl.DataFrame({"a": [1], "_Reasons": [2]}),
    ],
)
def test_names_that_no_table_can_have(lake: Lake, rows: pl.DataFrame) -> None:
    with pytest.raises(SchemaError):
        lake.table("t").append(rows)
    assert not lake.table("t").exists
    assert left(lake) == []


class Panic(BaseException):
    """What a panic of Rust looks like from Python."""


Panic.__name__ = "PanicException"


@pytest.mark.parametrize("error", [TypeError("no such action"), Panic("index out of bounds")])
@pytest.mark.parametrize("what", ["commit.fits", "entry.commit_info"])
def test_a_library_that_fails_in_its_own_way(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, error: BaseException, what: str
) -> None:
    table = lake.table("t")
    table.append(pl.DataFrame({"a": [0]}))
    before = set(left(lake))

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(f"raypipe.lake.log.{what}", fail)
        with pytest.raises(LakeError, match=str(error)):
            table.append(pl.DataFrame({"a": [1]}), batch_id="b")
    assert set(left(lake)) == before
    assert table.append(pl.DataFrame({"a": [1]}), batch_id="b").rows == 1


@pytest.mark.parametrize("root", ["", None, 5, b"here", "a\0b", "s3://a\0b"])
def test_roots_that_are_none(root: Any) -> None:
    with pytest.raises(ConfigError, match="root"):
        Lake(root)


def test_versions_and_times_of_other_types(lake: Lake) -> None:
    table = lake.table("t")
    table.append(ROWS)
    for version in ("1", 1.0, True, [1]):
        with pytest.raises(ConfigError, match="whole number"):
            table.at(version)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="whole number"):
            table.append(ROWS, if_version=version)  # type: ignore[arg-type]
    for when in ("2013-01-01", 5, date(2013, 1, 1)):
        with pytest.raises(ConfigError, match="datetime"):
            table.at(timestamp=when)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [
        {"table": None}, {"table": 5}, {"version": "1"}, {"version": 1.5}, {"version": None},
        {"where": 5}, {"where": {}}, {"where": "x"}, {"columns": 5}, {"columns": [5]},
        {"columns": [{"name": "n"}]}, {"columns": [{"name": "n", "expr": 5}]}, {"columns": "n"},
    ],
)  # fmt: skip
def test_a_damaged_identity(lake: Lake, damage: dict[str, Any]) -> None:
    lake.table("t").append(ROWS)
    identity = lake.table("t").at().where(pl.col("n") > 1).select("n").identity()
    assert lake.snapshot(identity).count() == 1
    with pytest.raises(ConfigError):
        lake.snapshot({**identity, **damage})


@pytest.mark.parametrize("identity", [None, 5, "t", [], {}])
def test_no_identity_at_all(lake: Lake, identity: Any) -> None:
    with pytest.raises(ConfigError, match="identity"):
        lake.snapshot(identity)


@pytest.mark.parametrize(
    ("dtype", "value", "fits"),
    [
        (pl.Date(), -719_162, True),
        (pl.Date(), -719_163, False),
        (pl.Date(), 2_932_896, True),
        (pl.Date(), 2_932_897, False),
        (pl.Datetime("us"), 2_932_897 * 86_400_000_000 - 1, True),
        (pl.Datetime("us"), 2_932_897 * 86_400_000_000, False),
        (pl.Datetime("ms"), 2**62, False),
        (pl.Datetime("us", "UTC"), -(2**62), False),
    ],
)
def test_years_that_have_no_text(lake: Lake, dtype: pl.DataType, value: int, fits: bool) -> None:
    rows = pl.DataFrame({"d": pl.Series([value, None]).cast(dtype), "a": [1, 2]})
    if fits:
        assert lake.table("t").append(rows).rows == 2
        return
    for options in ({}, {"partition_by": "d"}):
        with pytest.raises(SchemaError, match="years 1 to 9999"):
            lake.table("t", **options).append(rows)  # type: ignore[arg-type]
    assert left(lake) == []
