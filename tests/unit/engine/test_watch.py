"""A local Ray that is gone is told of, though Ray ends the program without a word; a busy machine
gets another try.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raypipe.core.errors import EngineError
from raypipe.engine import cluster, watch

PROGRAM = """
import os, pathlib, signal, time
from raypipe.engine import cluster, processes
info = cluster.ensure_ray(cpus=2)
import ray
for process in processes.started_for(info.folder):
    if pathlib.Path(f"/proc/{process.pid}/comm").read_text().strip() == "raylet":
        print(process.pid, flush=True)
        os.kill(process.pid, signal.SIGKILL)
for _ in range(100):
    ray.put(bytes(200_000))
    time.sleep(0.1)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of it")
def test_a_program_whose_raylet_is_gone_does_not_end_in_silence() -> None:
    unset = ("RAY_ADDRESS", "RAYPIPE_DEBUG", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=300,
        env={k: v for k, v in os.environ.items() if k not in unset},
    )
    told = f"raylet (process {program.stdout.split()[0]}) of the local Ray has ended by itself"
    assert f"{told} with signal 9" in program.stderr


def test_the_grave_messages_are_shown(tmp_path: Path) -> None:
    logs = tmp_path / "session_2000" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_text(
        "[2000-01-01 00:00:00,000 C 1 1] (raylet) too slow\n"
        + "[2000-01-01 00:00:00,000 I 1 1] (raylet) fine\n" * 9
    )
    (logs / "raylet.err").write_text("the stack\n\n")
    text = watch.told("raylet", 7, " with signal 6", str(tmp_path))
    assert text.startswith("raypipe: raylet (process 7)")
    assert "with signal 6" in text
    assert [line.rpartition(" ")[2] for line in text.splitlines()[1:]] == ["stack", "slow"]


SLOW = "Exception: The current node timed out during startup. This could happen because"


@pytest.mark.parametrize(
    ("got", "slow", "tries"), [(SLOW, 2, 3), (SLOW, 9, 3), ("OSError: no space", 9, 1)]
)
def test_a_busy_machine_gets_another_try(
    monkeypatch: pytest.MonkeyPatch, got: str, slow: int, tries: int
) -> None:
    seen: list[Any] = []

    def start(cpus: int | None) -> Any:
        seen.append(cpus)
        if len(seen) <= slow:
            raise EngineError("Ray did not start", got, "again")
        return "up"

    monkeypatch.setattr(cluster, "_start", start)
    monkeypatch.setattr(sys.modules.get("ray", sys), "is_initialized", lambda: False, raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if slow < tries:
        assert cluster.ensure_ray(2) == "up"
    else:
        with pytest.raises(EngineError, match="did not start"):
            cluster.ensure_ray(2)
    assert seen == [2] * tries
