"""Promise 1, for training: whichever process is killed, the finished model is the same bytes.

200 runs, each disturbed by a kill in a seeded round: of the driver that trains by itself, and of
Ray Train's worker, controller, driver and node. Samples of rows and columns, DART, forests, a
schedule and early stopping are on. Twenty of them run by default, those that need a Ray of their
own (a killed driver on Ray, a killed node) only in the long suite.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import raypipe as rp
from tests.faults import drivers
from tests.faults.training_run import (
    KINDS,
    REACHED,
    Kill,
    began,
    drive,
    drive_nodes,
    fill,
    fit,
)

WHO = ["here"] * 13 + ["worker"] * 4 + ["controller", "driver", "node"]


@dataclass(frozen=True, kw_only=True)
class Case:
    number: int
    who: str
    kind: str
    workers: int
    every: int
    at: int
    rank: int
    after: bool

    def kill(self, who: str, marker: Path) -> Kill:
        return Kill(who=who, rank=self.rank, at=self.at, after=self.after, marker=str(marker))

    @property
    def given(self) -> dict[str, Any]:
        return {"kind": self.kind, "num_workers": self.workers, "checkpoint_every": self.every}


def cases() -> list[Case]:
    rng, made = random.Random(7), []
    for number in range(200):
        who = WHO[number % len(WHO)]
        workers = 1 + number % 2 if who == "here" else 2
        made.append(
            Case(
                number=number,
                who=who,
                kind=list(KINDS)[rng.randrange(3)],
                workers=workers,
                every=rng.randint(1, 4),
                at=rng.randrange(REACHED),
                rank=rng.randrange(workers),
                after=rng.random() < 0.5,
            )
        )
    return made


def params() -> list[object]:
    """All of them; twenty run by default, of which none needs a Ray of its own."""
    here = [case.number for case in cases() if case.who == "here"]
    default = {*here[:18], WHO.index("worker"), WHO.index("controller")}
    return [
        pytest.param(
            case,
            id=f"{case.number}-{case.who}-{case.kind}",
            marks=[] if case.number in default else [pytest.mark.long],
        )
        for case in cases()
    ]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> rp.Lake:
    return fill(str(tmp_path_factory.mktemp("undisturbed") / "lake"))


@pytest.fixture(scope="module")
def whole(lake: rp.Lake) -> dict[tuple[str, int], rp.Run]:
    """Undisturbed runs, by kind and number of workers."""
    return {
        (kind, workers): fit(lake, kind, num_workers=workers, run_on="local", checkpoint_every=1000)
        for kind in KINDS
        for workers in (1, 2)
    }


@pytest.mark.parametrize("case", params())
def test_a_kill_changes_no_byte(
    ray_session: None,
    case: Case,
    lake: rp.Lake,
    whole: dict[tuple[str, int], rp.Run],
    tmp_path: Path,
) -> None:
    root, marker, out = str(tmp_path / "lake"), tmp_path / "killed", tmp_path / "out"
    shutil.copytree(Path(lake.root, "rows"), Path(root, "rows"))
    there = rp.Lake(root)
    if case.who in ("here", "driver"):
        run_on, who = ("local", "self") if case.who == "here" else ("ray", "driver")
        given = {**case.given, "run_on": run_on, "kill": case.kill(who, marker)}
        assert drivers.run(drive, root, str(out), {}, given) == -signal.SIGKILL
        assert marker.exists()
        assert not out.exists()
        if case.who == "driver":
            run = fit(there, run_on="ray", **case.given)
            found, facts = run.bundle.content_hash, run.facts
        else:
            assert drivers.run(drive, root, str(out), {}, {**case.given, "run_on": "local"}) == 0
            found, facts = json.loads(out.read_text()).values()
    elif case.who == "node":
        node = {"rank": case.rank, "at": case.at, "after": case.after, "marker": str(marker)}
        given = {**case.given, "run_on": "ray"}
        assert drivers.run(drive_nodes, root, str(out), node, given) == 0
        found, facts = json.loads(out.read_text()).values()
    else:
        kill = case.kill("self" if case.who == "worker" else case.who, marker)
        run = fit(there, run_on="ray", kill=kill, **case.given)
        assert run.facts["ran_on"] == "ray"
        assert run.history == whole[case.kind, case.workers].history
        found, facts = run.bundle.content_hash, run.facts
    assert marker.exists()
    assert found == whole[case.kind, case.workers].bundle.content_hash
    (record,) = rp.Runs(there).records()
    assert record.status == "finished"
    for name in ("checkpoints", "begins"):
        assert not list(Path(root, "runs", record.run_id, name).glob("*"))
    begun = facts["begun_at"]  # as told; what the first rank's sessions grew is what was
    assert len(begun) >= 2
    assert begun[0] == 0
    assert record.resumed_at == facts["resumed_at"] == begun[-1]
    if case.who == "here":
        assert begun[-1] <= case.at + case.after
    elif case.who != "driver" and begun[-1] < record.rounds:
        # else workers that had lost their controller grew the rest
        assert began(marker)[-1] == begun[-1]
