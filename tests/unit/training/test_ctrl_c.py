"""Ctrl-C in a fit, as a user meets it: the last that is shown is what is kept, and how to go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import KernelManager

import raypipe as rp
from tests.faults.training_run import ROUNDS, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
CODE = """
import raypipe as rp
from tests.faults.training_run import fit
fit(rp.Lake({root!r}), num_workers=1, run_on="local", pause=0.2)
"""
KEPT = (
    rf'Run (\w+) is kept at round (\d+) of {ROUNDS}: the same fit, or (rp\.[^,]*, "\w+"\)), goes on'
)


def grows(root: Path) -> bool:
    return bool(list(root.glob("runs/*/checkpoints/0*")))


def goes_on(lake: rp.Lake, shown: str) -> None:
    """The call that is shown goes on from the round that is shown."""
    ((run_id, rounds, call),) = re.findall(KEPT, shown)
    run = eval(call, {"rp": rp, "lake": lake})
    assert run.id == run_id
    assert run.facts["resumed_at"] == int(rounds) > 0
    assert run.facts["rounds"] > int(rounds)


def test_in_a_terminal(tmp_path: Path) -> None:
    lake = fill(str(tmp_path))
    # A process that a shell began in its background ignores SIGINT, and so do its children.
    taken = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    with subprocess.Popen(
        [sys.executable, "-c", taken + CODE.format(root=str(tmp_path))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        while not grows(tmp_path):
            assert child.poll() is None
        os.killpg(child.pid, signal.SIGINT)
        shown = child.communicate(timeout=300)[1]
    assert child.returncode == -signal.SIGINT
    goes_on(lake, shown.splitlines()[-1])


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelManager]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(ROOT))
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore")  # the kernel's own
def test_in_a_notebook(kernel: KernelManager, tmp_path: Path) -> None:
    lake = fill(str(tmp_path))
    client = kernel.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=300)
        client.execute(CODE.format(root=str(tmp_path)))
        while not grows(tmp_path):
            assert kernel.is_alive()
        kernel.interrupt_kernel()
        shown: Any = None
        while shown is None or shown["msg_type"] != "error":
            shown = client.get_iopub_msg(timeout=300)
    finally:
        client.stop_channels()
    assert shown["content"]["ename"] == "KeyboardInterrupt"
    goes_on(lake, shown["content"]["traceback"][-1])
