"""A run's files that are damaged, and storage that fails for good, are told in words."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import raypipe as rp
from raypipe.core.errors import IntegrityError, LakeAccessError
from raypipe.lake.storage.failures import denied
from raypipe.training.checkpoints import patient
from tests import small

FULL = """
import resource, sys
import raypipe as rp
from tests import small

lake = rp.Lake(sys.argv[1])
rows = lake.table("rows").at()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
learner = rp.XGBoost(rounds=60)
try:
    rp.Trainer(small.recipe(), label="late", learner=learner, run_on="local").fit(rows)
except rp.errors.LakeAccessError as error:
    print("told:", error)
"""


def fit(root: str, rounds: int = 3) -> rp.Run:
    rows = rp.Lake(root).table("rows").at()
    learner = rp.XGBoost(rounds=rounds)
    return rp.Trainer(small.recipe(), label="late", learner=learner, run_on="local").fit(rows)


@pytest.mark.parametrize("damage", ["cut", "empty", "bytes", "list", "huge"])
@pytest.mark.parametrize("name", ["finished/history.json", "finished/facts.json", "config.json"])
def test_a_damaged_file_of_a_run(lake_root: str, name: str, damage: str) -> None:
    rp.Lake(lake_root).table("rows").append(small.rows(n=60))
    run = fit(lake_root)
    path = Path(lake_root, "runs", run.id, name)
    whole = path.read_bytes()
    damaged = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "bytes": b"\xff\xfe",
        "list": b"[1]",
        "huge": b"[" * 100_000,
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(IntegrityError, match=r"damaged|not that of the run"):
        rp.Trainer.resume(rp.Lake(lake_root), run.id)
    path.write_bytes(whole)
    assert rp.Trainer.resume(rp.Lake(lake_root), run.id).bundle.content_hash == (
        run.bundle.content_hash
    )


def test_a_number_that_became_infinite_in_a_manifest(lake_root: str) -> None:
    rp.Lake(lake_root).table("rows").append(small.rows(n=60))
    run = fit(lake_root)
    path = Path(lake_root, "runs", run.id, "finished", "manifest.json")
    text = path.read_text()
    assert '"rows":60' in text.replace(" ", "")
    path.write_text(text.replace(" ", "").replace('"rows":60', '"rows":1e999'))
    with pytest.raises(IntegrityError, match="manifest is damaged"):
        rp.Trainer.resume(rp.Lake(lake_root), run.id)


@pytest.mark.parametrize("by_the_store", [False, True])
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EFBIG])
def test_what_does_not_pass_is_not_waited_for(number: int, by_the_store: bool) -> None:
    calls: list[int] = []

    def fails() -> None:
        calls.append(number)
        error = OSError(number, os.strerror(number), "/lake/x")
        raise (denied("/lake/x", error) if by_the_store else error) from error

    with pytest.raises(LakeAccessError, match=f"(fails|reached).*{os.strerror(number)}"):
        patient(fails)
    assert len(calls) == 1


def test_what_passes_is_waited_for_and_what_is_gone_is_told() -> None:
    left = [OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "hiccup")]

    def hiccups() -> int:
        if left:
            raise left.pop()
        return 7

    assert patient(hiccups) == 7
    with pytest.raises(FileNotFoundError):
        patient(Path("/nowhere/at/all").read_bytes)


@pytest.mark.parametrize(("limit", "where"), [(300, "pins"), (9000, "runs")])
def test_a_disk_that_takes_no_more(lake_root: str, limit: int, where: str) -> None:
    """No file may grow beyond the limit: the fit says so, and goes on where there is room again."""
    rp.Lake(lake_root).table("rows").append(small.rows(n=60))
    ended = subprocess.run(
        [sys.executable, "-c", FULL, lake_root, str(limit)],
        capture_output=True,
        text=True,
        timeout=300,  # storage that may come back is waited for longer
        check=True,
    )
    assert "told: " in ended.stdout, ended.stdout + ended.stderr
    assert "File too large" in ended.stdout
    assert f"/{where}/" in ended.stdout
    assert fit(lake_root, 60).bundle.manifest["rows"] == 60
