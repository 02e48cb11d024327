"""One run of a fault test: who writes, who dies, and what must be true afterwards."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from raypipe.lake import Table
from raypipe.lake.log.table_log import TableLog, our_part
from tests.faults import roles
from tests.faults.crew import Crew, Member

BATCHES, GENS, ROWS, REFUSED = 2, 3, 4, 2
POINTS = (
    "before-write", "mid-file", "after-files", "after-quarantine", "before-commit",
    "inside-commit", "after-commit",
)  # fmt: skip
SOURCES = ("r0", "r1", "v0", "v1", "m", "u")
ROLES = ("append", "merge", "update", "compact")


def batches() -> dict[str, int]:
    """Refused rows by batch."""
    out = dict.fromkeys(("r0", "r1", "v0", "v1"), REFUSED)
    return out | {f"m-{gen}": 1 for gen in range(1, GENS + 1)}


@dataclass
class Run:
    """A lake of its own, with all who write to it."""

    folder: Path
    crew: Crew
    seed: int

    @property
    def root(self) -> str:
        return str(self.folder / "lake")

    @property
    def stop(self) -> Path:
        return self.folder / "stop"

    @property
    def acknowledged(self) -> set[str]:
        path = self.folder / "acks"
        return set(path.read_text().split()) if path.exists() else set()

    def start(self, role: str, fault: str | None = None, **more: Any) -> Member:
        """A process of this run."""
        env = {"RAYPIPE_FAULT": fault} if fault else {}
        acks = {"acks": str(self.folder / "acks")}
        arguments: dict[str, dict[str, Any]] = {
            "append": {**acks, "name": "v", "batches": BATCHES, "n": ROWS, "refused": REFUSED},
            "merge": {**acks, "name": "m", "gens": GENS, "n": ROWS, "refused": 1},
            "update": {**acks, "name": "u", "gens": GENS, "n": ROWS},
            "compact": {"stop": str(self.stop)},
            "vacuum": {"stop": str(self.stop)},
            "read": {
                "stop": str(self.stop),
                "sizes": dict.fromkeys(SOURCES, ROWS),
                "refused": batches(),
            },
        }
        return self.crew.start(role, env, root=self.root, **{**arguments[role], **more})

    def generations(self) -> dict[str, int]:
        """Every source that is in the table, each of them whole."""
        table = roles.table(self.root)
        if not table.exists:
            return {}
        return roles.whole(table.at().frame(), dict.fromkeys(SOURCES, ROWS))

    def go(self) -> None:
        """Starts all, kills one, starts it again, and looks at what is there in the end."""
        draw = random.Random(self.seed)
        victim = draw.choice(ROLES)
        told = f"seed {self.seed}: {victim}"
        beside = [self.start("read"), self.start("append", name="r")]
        beside += [self.start(r) for r in ROLES if r != victim]
        if draw.random() < 0.5:
            beside.append(self.start("vacuum"))
        told += self._kill_one(victim, draw)
        before, there = self.acknowledged, self.generations()
        for batch in before:
            source, _, gen = batch.partition("-")
            assert there.get(source, -1) >= int(gen or 0), (told, batch, there)
        last = self.start(victim)
        endless = {"compact", "vacuum", "read"}
        for member in [last, *beside]:
            if member.role not in endless:
                assert member.wait() == 0, (told, member.role, self.crew.told())
        self.stop.touch()
        for member in [last, *beside]:
            assert member.wait() == 0, (told, member.role, self.crew.told())
        self.settled(told)

    def _kill_one(self, victim: str, draw: random.Random) -> str:
        """Starts the one that dies, and waits for its end; says how it came about."""
        if draw.random() < 0.3 or (victim == "compact" and draw.random() < 0.5):
            member, delay = self.start(victim), draw.uniform(0.0, 0.3)
            time.sleep(delay)
            member.kill()
            member.wait()
            return f" killed after {delay:.3f} s"
        if victim == "compact":
            point = draw.choice(("upkeep:after-files", "lake:inside-commit"))
        else:
            point = f"lake:{draw.choice(POINTS)}"
        if victim == "update" and "quarantine" in point:
            point = "lake:after-files"
        nth = draw.choice(["", ":2"])
        member = self.start(victim, point + nth)
        try:
            ended = member.wait(8.0 if victim == "compact" else 300.0)
        except TimeoutError:
            assert victim == "compact", (self.seed, point)  # there may be nothing to compact
            ended = -signal.SIGKILL
        # Of what has few rows to rewrite not every point is passed twice.
        fine = (-signal.SIGKILL,) if victim == "append" else (-signal.SIGKILL, 0)
        assert ended in fine, (self.seed, point + nth, ended, self.crew.told())
        return f" killed at {point}{nth}"

    def settled(self, told: str) -> None:
        """All that was to be written is there once, for any reader of Delta tables."""
        table = roles.table(self.root)
        gens = {"m": GENS, "u": GENS}
        expected = pl.concat([roles.rows(s, ROWS, gens.get(s, 0)) for s in SOURCES])
        expected = expected.sort("src", "k")
        assert table.at().frame().sort("src", "k").equals(expected), told
        other = pl.scan_delta(table.uri).collect().sort("src", "k")
        assert other.select(expected.columns).equals(expected), told
        bad = table.quarantine().at().frame()
        assert Counter(bad["_batch"]) == batches(), told
        for src in ("r0", "r1", "v0", "v1"):
            again = table.append(roles.rows(src, 99), batch_id=src)
            facts = (again.applied_before, again.rows, again.quarantined)
            assert facts == (True, ROWS, REFUSED), told
        self._checks(table, told)

    def _checks(self, table: Table, told: str) -> None:
        """The table of checks has each commit's outcomes, and has them once."""
        seen = table.checks().at().frame().select("version", "expectation").rows()
        log = TableLog(table.name, table.uri, None)
        noted = [(v, our_part(log.commit_info(v))) for v in range(table.version() + 1)]
        wanted = [(v, one["name"]) for v, part in noted for one in part.get("checks", ())]
        assert len(wanted) >= len(batches()), told
        assert Counter(seen) == Counter(wanted), told
