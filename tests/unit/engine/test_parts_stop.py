"""However a job on the cluster ends, no part is at work any more when it does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raypipe.engine import parts


def beat(file: str) -> None:
    """Writes on and on, as a part does that has much to write."""
    while True:
        with Path(file).open("a") as out:
            out.write("x")
        time.sleep(0.05)


def beat_and_refuse_to_end(file: str) -> None:
    while True:
        try:
            beat(file)
        except KeyboardInterrupt:
            continue


def _interrupt_when_all_write(files: list[str]) -> None:
    deadline = time.monotonic() + 60
    while not all(Path(file).exists() for file in files) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("fn", [beat, beat_and_refuse_to_end])
def test_after_ctrl_c_nobody_writes_any_more(
    ray_session: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fn: Callable[[str], None],
) -> None:
    if fn is beat_and_refuse_to_end:
        monkeypatch.setattr(parts, "_STOP_S", 2.0)
    files = [str(tmp_path / name) for name in "ab"]
    watcher = threading.Thread(target=_interrupt_when_all_write, args=(files,))
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        parts.run_parts(fn, files, run_on="ray")
    watcher.join()
    sizes = [Path(file).stat().st_size for file in files]
    time.sleep(0.5)
    assert [Path(file).stat().st_size for file in files] == sizes
