"""A script runs as a job on a cluster that is not ours: output and exit code come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from raypipe.core.errors import ConfigError, EngineError, SourceNotFoundError
from raypipe.engine import jobs
from tests import ray_head

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def token() -> Iterator[None]:
    with ray_head.token():
        yield


@pytest.fixture(scope="module")
def head(token: None) -> Iterator[str]:
    with ray_head.head() as address:
        yield address


def test_output_streams_back_and_the_exit_code_is_the_jobs(head: str, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        "import os, sys\n"
        "import beside\n"
        "print('arguments', sys.argv[1:], os.environ['GREETING'], beside.VALUE)\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    (tmp_path / "beside.py").write_text("VALUE = 'sent along'\n")
    for code in (3, 0):
        program = subprocess.run(
            [
                sys.executable, "-m", "raypipe.cli.main", "submit", str(script),
                "--address", head, "--env", "GREETING=a b", "--", str(code), "--x y",
            ],
            capture_output=True, text=True, timeout=3000, check=False,
        )  # fmt: skip
        assert program.returncode == code, program.stderr
        assert f"arguments ['{code}', '--x y'] a b sent along" in program.stdout
        assert "raypipe: job raysubmit_" in program.stderr


def test_an_interrupt_stops_waiting_and_says_how_to_stop_the_job(head: str, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    program = subprocess.Popen(
        [sys.executable, "-m", "raypipe.cli.main", "submit", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_API_SERVER_ADDRESS": head},
    )
    assert program.stdout is not None
    while "begun" not in (line := program.stdout.readline()):
        assert line, "the job ended"
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=300)
    assert program.returncode == 130
    assert f"--address {head}" in err
    job_id = err.partition("ray job stop ")[2].split()[0]
    ray_cli = str(Path(sys.executable).parent / "ray")
    for command, expected in (("status", "RUNNING"), ("stop", "was stopped")):
        done = subprocess.run(
            [ray_cli, "job", command, job_id, "--address", head],
            capture_output=True, text=True, timeout=3000, check=True,
        )  # fmt: skip
        assert expected in done.stdout + done.stderr


def test_a_script_that_is_not_there() -> None:
    with pytest.raises(SourceNotFoundError, match="script"):
        jobs.submit("/nowhere/job.py")


def test_a_script_outside_of_the_folder_that_is_sent(tmp_path: Path) -> None:
    (tmp_path / "job.py").touch()
    (tmp_path / "sub").mkdir()
    with pytest.raises(ConfigError, match="not in the folder"):
        jobs.submit(str(tmp_path / "job.py"), working_dir=str(tmp_path / "sub"))


def test_a_folder_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "job.py").touch()
    (tmp_path / "data.bin").write_bytes(b"0" * 2000)
    monkeypatch.setattr(jobs, "MAX_FOLDER_BYTES", 1000)
    with pytest.raises(ConfigError, match="too large") as caught:
        jobs.submit(str(tmp_path / "job.py"))
    assert caught.value.field == "working_dir"


def test_no_job_server(tmp_path: Path) -> None:
    (tmp_path / "job.py").touch()
    (port,) = ray_head.free_ports(1)
    with pytest.raises(EngineError, match="no Ray job server") as caught:
        jobs.submit(str(tmp_path / "job.py"), address=f"http://127.0.0.1:{port}")
    assert caught.value.got == f"http://127.0.0.1:{port}"


def test_where_the_job_server_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert jobs.job_address() == "http://127.0.0.1:8265"
    monkeypatch.setenv("RAY_ADDRESS", "b")
    assert jobs.job_address() == "b"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "a")
    assert jobs.job_address() == "a"
    assert jobs.job_address("c") == "c"
