"""The same writes and reads on a cluster; errors keep their class on the way."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, MalformedSourceError
from raypipe.engine.parts import run_parts
from raypipe.lake import Lake, expect, masks


def refuse_two(number: int) -> int:
    if number == 2:
        raise ConfigError("no twos", number)
    return number * 10


def test_parts_run_here_and_there(ray_session: None) -> None:
    for run_on in ("auto", "local", "ray"):
        assert run_parts(refuse_two, [3, 1, 4], run_on=run_on) == [30, 10, 40]
        assert run_parts(refuse_two, [], run_on=run_on) == []
        with pytest.raises(ConfigError, match="no twos"):
            run_parts(refuse_two, [1, 2, 3], run_on=run_on)
    with pytest.raises(ConfigError, match="place"):
        run_parts(refuse_two, [1], run_on="moon")  # type: ignore[arg-type]


def test_files_on_ray(ray_session: None, lake_root: str, tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.csv").write_text(f"a,s\n{k},x\n{k + 10},y\n")
    table = Lake(lake_root).table("t", expect=[expect.between("a", 0, 11, on_fail="quarantine")])
    done = table.append(str(tmp_path / "*.csv"), batch_id="b", run_on="ray")
    assert (done.rows, done.quarantined) == (5, 1)
    assert table.at().frame()["a"].to_list() == [0, 10, 1, 11, 2]
    (tmp_path / "3.csv").write_text("a,s\n1\n")
    with pytest.raises(MalformedSourceError, match=r"3\.csv, line 2"):
        table.append(str(tmp_path / "*.csv"), run_on="ray")
    files = [p for p in Path(table.uri).iterdir() if p.suffix == ".parquet"]
    assert len(files) == 3
    assert table.version() == 1


def test_datasets_in_and_out(ray_session: None, lake_root: str) -> None:
    import ray

    lake = Lake(lake_root)
    rows = ray.data.range(100, override_num_blocks=4)
    done = lake.table("t").append(rows)
    assert done.rows == 100
    snapshot = lake.table("t").at()
    assert sorted(snapshot.frame()["id"]) == list(range(100))
    out = snapshot.where(pl.col("id") < 10).select(half=pl.col("id") / 2).dataset()
    assert sorted(row["half"] for row in out.take_all()) == [n / 2 for n in range(10)]
    assert len(snapshot.parts()) == 4
    assert snapshot.dataset().materialize().num_blocks() == 1  # small files share a task
    assert snapshot.dataset(target_bytes=1).materialize().num_blocks() == 4
    for where in (pl.col("id") < 0, pl.col("id") * 2 == 7):  # without a file, and with all files
        none = snapshot.where(where).select(half=pl.col("id") / 2, name=pl.lit("x"))
        empty = none.dataset()
        assert empty.count() == 0
        types = [str(dtype) for dtype in empty.schema().types]
        assert (empty.schema().names, types) == (["half", "name"], ["double", "large_string"])


def test_masks_and_keys_work_on_ray(
    lake_root: str, tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYPIPE_PII_KEY", "known to the driver alone")
    for number, keys in enumerate(([1, 2], [2, 3], [3, 4])):
        pl.DataFrame({"k": keys, "mail": [f"raw{k}@x" for k in keys]}).write_parquet(
            tmp_path / f"{number}.parquet"
        )
    lake = Lake(lake_root)
    frames = []
    for place in ("ray", "local"):
        table = lake.table(
            place,
            expect=[expect.unique("mail", on_fail="quarantine")],
            pii={"mail": masks.keyed_hash()},
        )
        done = table.append(str(tmp_path / "*.parquet"), run_on=place)  # type: ignore[arg-type]
        assert (done.rows, done.quarantined) == (4, 2)
        frames.append(table.at().frame())
    assert frames[0].equals(frames[1])
    assert not any("raw" in mail for mail in frames[0]["mail"])


def test_a_task_names_the_file_that_is_gone(ray_session: None, lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"n": range(100)}))
    path = Path(table.at().parts()[0].uri)
    path.unlink()
    with pytest.raises(Exception, match=f"version 1, is gone: got {path}"):
        table.at().dataset().count()
