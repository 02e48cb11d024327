"""What starts here stops here, however the program ends; what was there before is left alone."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from raypipe.core.errors import ConfigError, EngineError
from raypipe.engine import cluster, folders, lean

PROGRAM = """
import sys, time
from raypipe.engine.cluster import ensure_ray
info = ensure_ray(cpus=2)
import ray

@ray.remote
def sleep(s):
    time.sleep(s)

ray.get(sleep.remote(0))
print(info.folder, flush=True)
{rest}
"""


def _processes_of(folder: str) -> list[str]:
    """Processes of the cluster that lives in a folder: each has the folder or its files open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            opened = [str(file.readlink()) for file in (process / "fd").iterdir()]
        except OSError:  # it ended meanwhile
            continue
        if process.name != str(os.getpid()) and any(folder in text for text in (line, *opened)):
            found.append(f"{process.name} {line[:80]}")
    return found


def _eventually_none(folder: str, limit_s: float = 120) -> list[str]:
    deadline = time.monotonic() + limit_s
    while (left := _processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def _started(rest: str, **settings: str) -> tuple[subprocess.Popen[str], str]:
    unset = ("RAY_ADDRESS", "RAYPIPE_DEBUG", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "OMP_WAIT_POLICY")
    env = {**{k: v for k, v in os.environ.items() if k not in unset}, **settings}
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(rest=rest)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert program.stdout is not None
    ready, _, _ = select.select([program.stdout], [], [], 300)
    folder = program.stdout.readline().strip() if ready else ""
    if not folder:
        program.kill()
        raise AssertionError(program.communicate()[1])
    assert len(_processes_of(folder)) >= 4  # else the count after would prove nothing
    return program, folder


@pytest.mark.parametrize("way", ["error", "interrupt", "terminate", "terminate idle"])
def test_no_process_and_no_folder_outlives_the_program(way: str) -> None:
    rest = {
        "error": "raise SystemExit(7)",
        "interrupt": "ray.get(sleep.remote(600))",
        "terminate": "ray.get(sleep.remote(600))",
        "terminate idle": "time.sleep(600)",
    }[way]
    program, folder = _started(rest)
    if way == "interrupt":
        time.sleep(0.5)
        program.send_signal(signal.SIGINT)
    elif way.startswith("terminate"):
        time.sleep(0.5)
        program.send_signal(signal.SIGTERM)
    _, err = program.communicate(timeout=300)
    assert _eventually_none(folder) == []
    assert not Path(folder).exists()
    # a signal that meets Ray's own code inside ray.get ends with 1
    expected = {"error": (7,), "interrupt": (1,)}.get(way, (1, 128 + signal.SIGTERM))
    assert program.returncode in expected, err


def test_a_killed_program_takes_the_cluster_with_it_and_the_next_start_removes_its_folder() -> None:
    program, folder = _started("time.sleep(600)")
    program.kill()
    program.communicate(timeout=300)
    deadline = time.monotonic() + 60
    # The raylet's two agents first try for a minute to report its end to the dead control store.
    while [p for p in _processes_of(folder) if "Agent" not in p] and time.monotonic() < deadline:
        time.sleep(0.2)
    left = _processes_of(folder)
    assert [p for p in left if "Agent" not in p] == []
    assert Path(folder).exists()
    lock = Path(folder) / "owner.lock"
    os.utime(lock, (time.time() - 600, time.time() - 600))
    assert folder in folders.sweep()
    for agent in left:
        os.kill(int(agent.split()[0]), signal.SIGKILL)  # the test does not wait for the minute
    assert _eventually_none(folder) == []
    shutil.rmtree(folder, ignore_errors=True)  # what an agent wrote in between


def test_a_handler_that_the_program_set_keeps_sigterm() -> None:
    rest = "print(signal.getsignal(signal.SIGTERM) is mine, flush=True)"
    program = subprocess.run(
        [
            sys.executable,
            "-c",
            "import signal\n"
            "def mine(*a): raise SystemExit(5)\n"
            "signal.signal(signal.SIGTERM, mine)\n" + PROGRAM.format(rest=rest),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert program.stdout.splitlines()[-1] == "True"


def test_a_local_ray_listens_on_loopback_only_and_says_nothing(
    tmp_path: Path,
) -> None:
    rest = """
import psutil
own = psutil.Process()
open_to_all = [
    (p.name(), c.laddr) for p in [own, *own.children(recursive=True)]
    for c in p.net_connections("tcp")
    if c.status == "LISTEN" and not c.laddr.ip.removeprefix("::ffff:").startswith("127.")
]
print(open_to_all, len(own.children(recursive=True)), flush=True)
"""
    program, folder = _started(rest, HOME=str(tmp_path))
    out, err = program.communicate(timeout=300)
    listening, _, count = out.strip().rpartition(" ")
    assert listening == "[]"
    assert int(count) <= 7
    assert err == ""
    assert program.returncode == 0
    assert _eventually_none(folder) == []
    assert not Path(folder).exists()
    assert list(tmp_path.iterdir()) == []  # nothing in the user's home, such as Ray's token


def test_a_stop_leaves_no_token_and_the_next_start_works(tmp_path: Path) -> None:
    """Workers' threads wait asleep, unless the user wants something else of them."""
    rest = """
import os
def waiting():
    return os.environ.get("OMP_WAIT_POLICY")
print(ray.get(ray.remote(waiting).remote()), waiting())
from raypipe.engine import cluster
with_token = "RAY_AUTH_TOKEN" in os.environ
cluster.stop()
print(with_token, [name for name in os.environ if name.startswith("RAY_AUTH")], flush=True)
os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
ensure_ray(cpus=2)
print(ray.get(ray.remote(waiting).remote()), flush=True)
"""
    program, _ = _started(rest, HOME=str(tmp_path))
    out, err = program.communicate(timeout=300)
    assert out.splitlines() == ["PASSIVE None", "True []", "ACTIVE"], err
    assert program.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_the_user_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    lean.keep_token_here()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # as Ray does
    lean.take_token_back()
    assert not [name for name in os.environ if name.startswith("RAY_AUTH")]
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "theirs")
    lean.keep_token_here()
    lean.take_token_back()
    assert os.environ["RAY_AUTH_TOKEN"] == "theirs"
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_a_second_call_gives_the_same_ray(ray_session: None) -> None:
    first = cluster.ensure_ray()
    assert cluster.ensure_ray(cpus=99) == first
    assert first.started_here
    with cluster.session() as inner:
        assert inner == first
    assert cluster.ensure_ray() == first  # the inner session did not stop what it did not start


def test_a_task_joins_the_ray_that_runs_it(ray_session: None) -> None:
    import ray

    @ray.remote
    def inside() -> tuple[str, bool]:
        from raypipe.engine.cluster import ensure_ray

        info = ensure_ray()
        return info.address, info.started_here

    assert ray.get(inside.remote()) == (cluster.ensure_ray().address, False)


def test_a_program_joins_the_cluster_that_ray_address_names(ray_session: None) -> None:
    address = cluster.ensure_ray().address
    program = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "from raypipe.engine.cluster import ensure_ray; i = ensure_ray()\n"
                "print(i.address, i.started_here, i.folder)"
            ),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={**os.environ, "RAY_ADDRESS": address},
    )
    assert program.stdout.split() == [address, "False", "None"]
    import ray

    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 4  # still there after the program ended


def test_a_cluster_that_does_not_answer_is_an_error_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(cluster, "CONNECT_WAIT", timedelta(seconds=0.5))
    begin = time.monotonic()
    with pytest.raises(EngineError, match="RAY_ADDRESS") as caught:
        cluster._join(f"127.0.0.1:{port}")
    assert time.monotonic() - begin < 60  # Ray's own client takes minutes
    assert caught.value.field == "RAY_ADDRESS"
    assert caught.value.got == f"127.0.0.1:{port}"


def test_a_port_with_another_protocol_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_WAIT", timedelta(seconds=0.1))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match="no Ray cluster answers"):
            cluster._join(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:8265", "host:port", "ray://h"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(EngineError, match="does not name a cluster"):
        cluster._join(address)


def test_a_ray_without_cpus_is_refused() -> None:
    with pytest.raises(ConfigError, match="cpus"):
        cluster.ensure_ray(cpus=0)
