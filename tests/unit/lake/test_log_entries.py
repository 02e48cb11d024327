"""Our own log entries: read alike by every engine, through checkpoints, clocks and lost marks."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import ConfigError
from raypipe.lake import Lake, Table, TableSpec
from raypipe.lake.log import entry
from raypipe.lake.log.commit import Change, commit
from raypipe.lake.log.protocol import Protocol, first_protocol, upgraded
from raypipe.lake.log.written import WrittenFile
from raypipe.lake.schema.spec import Column
from tests.foreign import Foreign, deleting, field, removal

ROWS = pl.DataFrame(
    {
        "p": ["a b", "ü/%=&", "+#?", None],
        "n": [1, 2, 3, None],
        "at": [datetime(2020, 1, 2, 3, 4, 5, 678901)] * 4,
        "d": [Decimal("1.25"), None, Decimal("-7.50"), Decimal("0.00")],
        "l": [["x"], [], None, ["y", None]],
        "s": [{"q": 1}, {"q": None}, None, {"q": 2}],
    },
    schema_overrides={"d": pl.Decimal(10, 2), "s": pl.Struct({"q": pl.Int64})},
)


def lines(table: Table, version: int) -> list[dict[str, Any]]:
    text = (Path(table.uri) / "_delta_log" / f"{version:020d}.json").read_text()
    return [json.loads(line) for line in text.splitlines()]


def busy(lake_root: str) -> Table:
    """A table with odd partition values, removals, batches and two checkpoints."""
    table = Lake(lake_root).table("t", partition_by="p", properties={"delta.checkpointInterval": 3})
    for number in range(4):
        table.append(ROWS.with_columns(n=pl.col("n") + 10 * number), batch_id=str(number))
    table.overwrite(ROWS, batch_id="whole")
    table.append(ROWS.with_columns(n=pl.col("n") + 100))
    table.append(ROWS.filter(pl.col("n") == 2))
    return table


def test_deltalake_and_polars_read_what_we_wrote(lake_root: str) -> None:
    table = busy(lake_root)
    ours = table.at().frame().sort("n", "p")
    theirs = deltalake.DeltaTable(table.uri)
    assert theirs.version() == table.version() == 7
    assert pl.DataFrame(theirs.to_pyarrow_table())[ours.columns].sort("n", "p").equals(ours)
    assert pl.scan_delta(table.uri).collect()[ours.columns].sort("n", "p").equals(ours)
    some = pl.scan_delta(table.uri).filter(pl.col("p") == "ü/%=&").collect()
    assert sorted(some["n"]) == [2, 2, 102]
    log = Path(table.uri) / "_delta_log"
    assert len(list(log.glob("*.checkpoint.parquet"))) == 2
    # Without the entries that a checkpoint stands for, it is all the same.
    for version in range(6):
        (log / f"{version:020d}.json").unlink()
    assert pl.scan_delta(table.uri).collect()[ours.columns].sort("n", "p").equals(ours)
    fresh = Lake(lake_root).table("t")
    assert fresh.at().frame().sort("n", "p").equals(ours)
    assert fresh.append(ROWS, batch_id="whole").applied_before


def test_deltalake_goes_on_where_we_stopped(lake_root: str) -> None:
    table = busy(lake_root)
    before = table.at().count()
    theirs = deltalake.DeltaTable(table.uri)
    theirs.optimize.compact()
    assert Lake(lake_root).table("t").at().count() == before
    theirs.delete("n = 2")
    theirs.create_checkpoint()
    fresh = Lake(lake_root).table("t")
    assert fresh.at().frame().filter(pl.col("n") == 2).height == 0
    left = {unquoted(f) for f in deltalake.DeltaTable(table.uri).file_uris()}
    assert left == {part.uri for part in fresh.at().parts()}
    assert len(deltalake.DeltaTable(table.uri).vacuum(0, False, enforce_retention_duration=False))
    assert fresh.at().count() == fresh.at().frame().height == before - 2


def unquoted(uri: str) -> str:
    return uri.removeprefix("file://")


@pytest.mark.usefixtures("ray_session")
def test_ray_reads_what_we_wrote(lake_root: str) -> None:
    import ray

    table = busy(lake_root)
    rows = ray.data.read_delta(table.uri).take_all()
    assert sorted(row["n"] for row in rows if row["n"] is not None) == sorted(
        table.at().frame()["n"].drop_nulls()
    )


def test_the_protocol_is_as_high_as_it_must_be(tmp_path: Path) -> None:
    plain = {"a": pl.Int64()}
    wanted = {
        (): Protocol(1, 2),
        ("delta.enableChangeDataFeed",): Protocol(1, 4),
        ("delta.appendOnly",): Protocol(1, 2),
    }
    for number, (keys, protocol) in enumerate(wanted.items()):
        table = Lake(tmp_path).table(f"t{number}", properties=dict.fromkeys(keys, True))
        table.append(pl.DataFrame({"a": [1]}))
        assert Protocol.of(deltalake.DeltaTable(table.uri)) == protocol
        uri = str(tmp_path / f"d{number}")
        settings = dict.fromkeys(keys, "true")
        made = deltalake.DeltaTable.create(
            uri, deltalake.DeltaTable(table.uri).schema(), configuration=settings
        )
        assert Protocol.of(made) == protocol
    naive = TableSpec.of_types({**plain, "at": pl.Datetime("us")})
    both = frozenset({"timestampNtz"})
    assert first_protocol(naive) == Protocol(3, 7, both, both)
    fed = TableSpec.of_types(naive.types, (), {"delta.enableChangeDataFeed": "true"})
    assert first_protocol(fed) == Protocol(3, 7, both, both | {"changeDataFeed"})
    # A naive time joins a table of an older protocol: what it used before is listed now.
    old = TableSpec.of_types(plain, (), {"delta.constraints.c": "a > 0"})
    now = first_protocol(old)
    assert now == Protocol(1, 3)
    then = upgraded(now, old.with_columns({"at": Column(pl.Datetime("us"))}))
    assert then == Protocol(3, 7, both, both | {"checkConstraints"})
    assert upgraded(then, old) == then


def test_stamps_grow_whatever_the_clock_says(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Lake(lake_root).table("t")
    real = time.time_ns()
    clocks = (real, real - 3600 * 10**9, real + 10**18, real)
    for number, now in enumerate(clocks):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time_ns", lambda now=now: now)
            table.append(pl.DataFrame({"a": [number]}))
    infos = [lines(table, v)[0]["commitInfo"] for v in range(1, 5)]
    stamps = [one["timestamp"] for one in infos]
    assert stamps == sorted(set(stamps)) == [one["raypipe"]["stamp"] for one in infos]
    assert Lake(lake_root).table("t").at().frame()["a"].to_list() == [0, 1, 2, 3]
    when = datetime.fromtimestamp(stamps[1] / 1000, UTC)
    assert table.at(timestamp=when).version == 2


@pytest.mark.parametrize("kept", [True, False])
def test_a_batch_is_forgotten_only_when_the_table_says_so(lake_root: str, kept: bool) -> None:
    settings = {} if kept else {"delta.setTransactionRetentionDuration": "interval 1 days"}
    table = Lake(lake_root).table("t", properties=settings)
    table.append(pl.DataFrame({"a": [1]}), batch_id="b")
    path = Path(table.uri) / "_delta_log" / f"{1:020d}.json"
    (mark,) = [one["txn"] for one in lines(table, 1) if "txn" in one]
    older = mark["lastUpdated"] - 400 * 86_400_000
    path.write_text(path.read_text().replace(str(mark["lastUpdated"]), str(older)))
    deltalake.DeltaTable(table.uri).create_checkpoint()
    fresh = Lake(lake_root).table("t")
    assert fresh.append(pl.DataFrame({"a": [1]}), batch_id="b").applied_before is kept
    assert fresh.at().count() == (1 if kept else 2)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_removed_file_takes_its_deletion_vector_along(lake_root: str, checkpoint: bool) -> None:
    made = Foreign(f"{lake_root}/t", [field("n", "long")], features=["deletionVectors"])
    adds = [
        made.file(f"{i}.parquet", pl.DataFrame({"n": range(10 * i, 10 * i + 10)})) for i in (0, 1)
    ]
    made.commit(*adds)
    made.commit(removal(adds[0]), deleting(adds[0], [0, 3]), operation="DELETE")
    if checkpoint:
        deltalake.DeltaTable(made.uri).create_checkpoint()
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"n": [100]}))
    assert table.at().count() == 19
    spec = table.at()._pinned.spec
    commit(table._log, Change(spec=spec, remove_paths=("0.parquet",)))
    (gone,) = [one["remove"] for one in lines(table, table.version()) if "remove" in one]
    added = deleting(adds[0], [0, 3])
    vector = added["add"]["deletionVector"] if "add" in added else added["deletionVector"]
    assert {k: v for k, v in gone["deletionVector"].items() if v is not None} == vector
    assert sorted(table.at().frame()["n"]) == [*range(10, 20), 100]
    theirs = deltalake.DeltaTable(table.uri)
    assert len(theirs.file_uris()) == 2


def test_a_failing_checkpoint_fails_no_commit(
    lake_root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    table = Lake(lake_root).table("t", properties={"delta.checkpointInterval": 1})

    def fail(_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(deltalake.DeltaTable, "create_checkpoint", fail)
    assert table.append(pl.DataFrame({"a": [1]})).version == 1
    assert "no new checkpoint" in caplog.text


def test_what_no_log_can_keep_is_refused(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"a": [1]}))
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    for bad in (deep, "\ud800"):
        with pytest.raises(Exception, match=r"nested|surrogates|JSON"):
            table.append(pl.DataFrame({"a": [1]}), metadata={"x": bad})
    assert deltalake.DeltaTable(table.uri).version() == 1
    twice = [entry.add(WrittenFile("x.parquet", 1, "{}"), 1, data_change=True)] * 2
    with pytest.raises(ConfigError, match="two add actions"):
        entry.entry(twice)


def test_values_of_partitions_as_text() -> None:
    assert entry.partition_text(True) == "true"
    assert entry.partition_text(date(2020, 1, 2)) == "2020-01-02"
    assert entry.partition_text(datetime(2020, 1, 2, 3)) == "2020-01-02 03:00:00.000000"
    utc = datetime(2020, 1, 2, 3, tzinfo=UTC)
    assert entry.partition_text(utc) == "2020-01-02T03:00:00.000000Z"
    assert entry.partition_text(None) is None
    assert entry.partition_text(Decimal("1.50")) == "1.50"


def test_paths_are_spelled_as_delta_spells_them() -> None:
    assert entry.log_path("p=a b/ü%#?.parquet") == "p=a%20b/%C3%BC%25%23%3F.parquet"
    for path in ("a b", "ü", "%2F", "x=y/(z)"):
        assert entry.disk_path(entry.log_path(path)) == path
