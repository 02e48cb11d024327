"""Storage options reach every worker, and are shown nowhere: not in Ray's logs, not in the lake."""

from __future__ import annotations

import logging
import os
import uuid
from pathlib import Path

import polars as pl
import pytest

from raypipe.lake import Lake, expect
from raypipe.lake.storage.store import open_store
from tests.object_stores import Place

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDhunter2hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2-hunter2-secret",
}


def test_a_job_on_ray_shows_no_key(
    ray_session: None, s3: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from raypipe.engine.cluster import ensure_ray

    ensure_ray()
    caplog.set_level(logging.DEBUG)
    assert not KEYS.keys() & os.environ.keys()
    lake = Lake(f"{s3.root}/{uuid.uuid4().hex[:8]}", {**s3.options, **KEYS})
    for k in range(3):
        (tmp_path / f"{k}.csv").write_text(f"a,s\n{k},x\n{k + 10},y\n")
    table = lake.table("t", expect=[expect.between("a", 0, 11, on_fail="quarantine")])
    done = table.append(str(tmp_path / "*.csv"), batch_id="b", run_on="ray", metadata={"by": "me"})
    assert (done.rows, done.quarantined) == (5, 1)
    assert len(table.at().parts()) == 3
    out = table.at().where(pl.col("a") < 5).dataset().take_all()
    assert sorted(row["a"] for row in out) == [0, 1, 2]
    (tmp_path / "3.csv").write_text("a,s\n1\n")
    with pytest.raises(ValueError, match=r"3\.csv"):
        table.append(str(tmp_path / "*.csv"), run_on="ray")
    store = open_store(lake.root, lake.storage_options)
    stored = [store.get(path) for path in store.files("")]
    assert len(stored) > 6
    shown = [text.encode() for text in (caplog.text, repr(table), repr(table.at()), repr(lake))]
    for key in KEYS.values():
        assert not [blob for blob in (*stored, *shown, *_logs()) if key.encode() in blob]


def _logs() -> list[bytes]:
    """Every file that the Ray of this session has written beside its sockets and objects."""
    from ray._private.worker import _global_node

    assert _global_node is not None
    top = Path(_global_node.get_session_dir_path())
    files = [path for path in (top / "logs").rglob("*") if path.is_file()]
    assert files
    return [path.read_bytes() for path in files]
