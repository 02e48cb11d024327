"""Rival writers, killed writers and a store that fails for a while: each row is there once."""

from __future__ import annotations

import json
import signal
import uuid

import pytest

from raypipe.lake import Lake
from tests import remote_job
from tests.object_stores import Place

MIB = 24
POINTS = [
    "storage:before-upload",
    "storage:mid-upload",
    "storage:after-upload",
    "lake:after-files",
    "lake:after-quarantine",
    "lake:before-commit",
    "lake:after-commit",
]


def test_appends_of_three_processes_on_s3(s3: Place) -> None:
    appends_of_three_processes(s3, 10)


@pytest.mark.long
def test_thirty_appends_of_three_processes(place: Place) -> None:
    appends_of_three_processes(place, 20)


def appends_of_three_processes(place: Place, batches: int) -> None:
    """Half the batch ids come twice, from two processes at once; none is lost, none doubled."""
    root = f"{place.root}/{uuid.uuid4().hex[:8]}/lake"
    names = [*range(batches), *range(batches // 2)]
    shares = [[(f"b{n}", n * 10) for n in names[i::3]] for i in range(3)]
    jobs = [remote_job.start(place, root, {}, do="append", batches=share) for share in shares]
    found = []
    for job in jobs:
        out, err = job.communicate(timeout=300)
        assert job.returncode == 0, err[-3000:]
        found += json.loads(out.splitlines()[-1])
    assert found.count(True) == batches // 2
    table = Lake(root, place.options).table("t")
    numbers = table.at().frame()["n"].sort().to_list()
    assert numbers == sorted(n * 10 + k for n in range(batches) for k in (0, 1))
    assert table.version() == batches
    assert len(table.at().parts()) == len(
        [
            f
            for f in Lake(root, place.options).files.list("t")
            if f.endswith("parquet") and "part-" in f
        ]
    )


def killed_then_run_again(place: Place, point: str) -> None:
    root = f"{place.root}/{uuid.uuid4().hex[:8]}/lake"
    ask = {"do": "large", "mib": MIB}
    first = remote_job.start(place, root, {"RAYPIPE_FAULT": point}, **ask)
    _, err = first.communicate(timeout=300)
    assert first.returncode == -signal.SIGKILL, f"{point} is never passed: {err[-2000:]}"
    lake = Lake(root, place.options)
    table = lake.table("t")
    before = table.at().count() if table.exists else 0
    whole = MIB * 2**17
    assert before == (whole if point == "lake:after-commit" else 0)
    sizes = {entry for entry in lake.files.list("t") if "part-" in entry}
    again = remote_job.start(place, root, {}, **ask)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err[-3000:]
    now = table.at().frame()
    assert now.height == now["n"].n_unique() == whole
    assert table.quarantine().at().count() == 1
    # What was killed before its upload was complete is no file at all.
    assert bool(sizes) == (point not in POINTS[:2])


@pytest.mark.parametrize("point", ["storage:mid-upload", "lake:before-commit"])
def test_a_writer_killed_on_s3(s3: Place, point: str) -> None:
    killed_then_run_again(s3, point)


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_a_writer_killed_at_any_point(place: Place, point: str) -> None:
    killed_then_run_again(place, point)
