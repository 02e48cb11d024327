"""One Ray for this process: joined when one is there, started here when not.

A program calls ``ensure_ray()`` before its first Ray call and need not stop anything. What was
started here is stopped when the process ends, whatever ends it; what was joined is left alone.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from raypipe.core.errors import ConfigError, EngineError
from raypipe.engine import folders, processes, watch
from raypipe.engine.lean import keep_token_here, lean_start, on_loopback, take_token_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

NAMESPACE = "raypipe"
"""Where the named actors of raypipe live, in a joined cluster as in a local one."""

CONNECT_WAIT = timedelta(seconds=15)
"""How long a named cluster may take to answer before it counts as unreachable."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOCAL_MARK = "raypipe_local"  # a resource, which actors of the cluster can see

_GRACE = timedelta(seconds=3)  # for Ray's processes to end by themselves
_STARTS = 3
# The raylet gives its agents, two Python programs, 15 s to come up, and no setting makes it more.
_TOO_SLOW = "timed out during startup"
_STORE_CAP_BYTES = 512 * 1024**2
_STORE_FLOOR_BYTES = 96 * 1024**2
_STORE_SHARE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterInfo:
    """The Ray that this process uses.

    Attributes:
        address: host and port of its control store.
        cpus: logical CPUs of the whole cluster.
        started_here: whether this process started it, and so stops it.
        local: whether raypipe started it, in this process or in the one whose actor or task this
            is: one machine, which lives no longer than its driver.
        folder: the temporary folder of a cluster started here.
    """

    address: str
    cpus: float
    started_here: bool
    local: bool
    folder: str | None = None


@dataclass(slots=True)
class _Local:
    """The cluster that this process started, until it is stopped."""

    folder: folders.OwnedFolder
    owner_pid: int
    stopping: bool = False


_local: _Local | None = None
_lock = threading.RLock()


def ensure_ray(cpus: int | None = None) -> ClusterInfo:
    """Gives this process a Ray; a second call is free and gives the same one.

    It takes the first of: the Ray that this process already uses (also as a task, an actor or a
    job), the cluster that ``RAY_ADDRESS`` names, a local Ray started here. A local Ray listens on
    loopback only, has no dashboard, keeps its files in a temporary folder of its own and is
    stopped, with all its processes, when this process ends. On a machine so busy that Ray does not
    come up in time it is tried again, twice. If Ray's own processes end before, the reason is
    written to the standard error, since Ray may end this process without a word.

    Args:
        cpus: logical CPUs of a local Ray; default the cores of the machine, but at least 4. A
            logical CPU is a seat, not a core: with two seats, two training workers would leave
            none for the service and the monitor beside them, which hardly compute.

    Returns:
        What was joined or started. ``cpus`` has no effect on a cluster that was there before.

    Raises:
        ConfigError: ``cpus`` is less than 1.
        EngineError: the named cluster does not answer within ``CONNECT_WAIT``, or Ray does not
            start here.
    """
    if cpus is not None and cpus < 1:
        raise ConfigError("a local Ray needs a CPU", cpus, "Pass cpus of at least 1.", "cpus")
    with _lock:
        ray = sys.modules.get("ray")
        if ray is not None and ray.is_initialized():
            return _info(ray)
        address = os.environ.get("RAY_ADDRESS", "").strip()
        if address and address != "local":
            return _join(address)
        for _ in range(_STARTS - 1):
            try:
                return _start(cpus)
            except EngineError as error:
                if _TOO_SLOW not in str(error.got):
                    raise
        return _start(cpus)


def cluster_cpus(*, join: bool = True) -> float | None:
    """CPUs of a cluster that reaches beyond this machine, when this process uses or names one.

    Args:
        join: whether a cluster that ``RAY_ADDRESS`` names is worth joining for the answer.

    Raises:
        EngineError: as ``ensure_ray``.
    """
    named = os.environ.get("RAY_ADDRESS")
    if "ray" not in sys.modules and not named:
        return None
    import ray

    if not ray.is_initialized():
        if not named or not join:
            return None
        ensure_ray()
    nodes = [node for node in ray.nodes() if node.get("Alive")]
    return sum(n["Resources"].get("CPU", 0.0) for n in nodes) if len(nodes) > 1 else None


@contextlib.contextmanager
def session(cpus: int | None = None) -> Iterator[ClusterInfo]:
    """A Ray for the length of a ``with`` block; stops at its end only what it started.

    Raises:
        ConfigError: as ``ensure_ray``.
        EngineError: as ``ensure_ray``.
    """
    before = _local
    info = ensure_ray(cpus)
    try:
        yield info
    finally:
        if _local is not before:
            stop()


def stop() -> None:
    """Stops the local Ray that this process started and removes its folder; else does nothing."""
    global _local
    with _lock:
        local = _local
        if local is None or local.stopping or local.owner_pid != os.getpid():
            return
        local.stopping = True
        import ray

        # Ray knows only what it started to the end: broken off half-way, it leaves agents behind.
        ours = processes.started_for(local.folder.path)
        try:
            ray.shutdown(wait_for_processes=True)
        finally:
            processes.end(ours, _GRACE)
            take_token_back()
            local.folder.remove()
            _local = None


def _start(cpus: int | None) -> ClusterInfo:
    global _local
    folders.sweep()
    debug = bool(os.environ.get("RAYPIPE_DEBUG"))
    leave_by = _sigterm_handler()
    _local = _Local(folder=folders.OwnedFolder.create(), owner_pid=os.getpid())
    try:
        keep_token_here()
        with lean_start(debug=debug):
            import ray

            atexit.register(stop)  # after Ray's own import, so that it runs before Ray's own exit
            ray.init(
                address="local",
                namespace=NAMESPACE,
                num_cpus=cpus or max(cores(), 4),
                num_gpus=0,
                resources={_LOCAL_MARK: 1},
                object_store_memory=_store_bytes(),
                include_dashboard=False,
                dashboard_host="127.0.0.1",
                logging_level=logging.INFO if debug else logging.ERROR,
                log_to_driver=debug,
                _node_ip_address="127.0.0.1",
                _temp_dir=_local.folder.path,
            )
    except Exception as error:
        stop()
        raise EngineError(
            "Ray did not start on this machine",
            f"{type(error).__name__}: {error}",
            "Run `raypipe doctor --ray`; RAYPIPE_DEBUG=1 shows Ray's own messages.",
        ) from error
    except BaseException:  # Ctrl-C while the processes come up: they must go before we do
        stop()
        raise
    if leave_by is not None:
        signal.signal(signal.SIGTERM, leave_by)
    local = _local
    watch.watch(local.folder.path, lambda: local.stopping or not ray.is_initialized())
    return _info(ray)


def _join(address: str) -> ClusterInfo:
    host, port = _parse(address)
    if host is not None and port is not None:
        _wait_for(address, host, port)
    debug = bool(os.environ.get("RAYPIPE_DEBUG"))
    with contextlib.ExitStack() as block:
        import ray

        if host in _LOOPBACK and not _answers(ray.util.get_node_ip_address(), port or 0):
            block.enter_context(on_loopback())
        try:
            ray.init(
                address=address,
                namespace=NAMESPACE,
                logging_level=logging.INFO if debug else logging.ERROR,
            )
        except Exception as error:
            raise _unreachable(address, str(error)) from error
    return _info(ray)


def _parse(address: str) -> tuple[str | None, int | None]:
    """Host and port; none of them for ``auto``, which Ray looks up."""
    if address == "auto":
        return None, None
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or parts.scheme not in ("", "ray"):
        raise EngineError(
            "RAY_ADDRESS does not name a cluster",
            address,
            "Use host:port, ray://host:port or auto; unset it to start a local Ray.",
            "RAY_ADDRESS",
        )
    return host, port


def _wait_for(address: str, host: str, port: int) -> None:
    """Returns once a gRPC server answers at the address.

    Ray's own client waits minutes for a dead address and may then end the whole process.
    """
    deadline = time.monotonic() + CONNECT_WAIT.total_seconds()
    while not _answers(host, port):
        if time.monotonic() > deadline:
            raise _unreachable(address, "nothing there speaks its protocol")
        time.sleep(0.3)


def _answers(host: str, port: int) -> bool:
    """Whether a gRPC server is there: to an HTTP/2 preface it answers with a SETTINGS frame."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return True  # it speaks only after a handshake; that it listens must do
            connection.sendall(preface)
            return connection.recv(9)[3:4] == b"\4"
    except OSError:
        return False


def _unreachable(address: str, reason: str) -> EngineError:
    return EngineError(
        f"no Ray cluster answers at RAY_ADDRESS ({reason})",
        address,
        "Start it with `ray start --head`, correct RAY_ADDRESS, or unset it to start a local Ray.",
        "RAY_ADDRESS",
    )


def _info(ray: Any) -> ClusterInfo:
    resources = ray.cluster_resources()
    return ClusterInfo(
        address=str(ray.get_runtime_context().gcs_address),
        cpus=float(resources.get("CPU", 0.0)),
        started_here=_local is not None,
        local=_LOCAL_MARK in resources,
        folder=None if _local is None else _local.folder.path,
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, or less where a container limits it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = Path("/sys/fs/cgroup") / name
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            return min(machine, int(text))
    return machine


def _store_bytes() -> int:
    """The object store's size: tables go through files, so it holds little."""
    return max(_STORE_FLOOR_BYTES, min(_STORE_CAP_BYTES, int(memory_bytes() * _STORE_SHARE)))


def _sigterm_handler() -> Callable[[int, FrameType | None], Any] | int | None:
    """What SIGTERM is to do once a local Ray runs: the handler of before, else leave by ``atexit``.

    To be asked before ``ray.init``, which puts its own handler in place of any other. The handler
    does not stop Ray itself: that takes locks which the interrupted code may hold. It raises
    SystemExit, and ``stop`` runs when the interpreter ends.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    before = signal.getsignal(signal.SIGTERM)
    if before is None or before is signal.SIG_DFL:  # None: set from C, Python cannot put it back
        return _leave
    return before


def _leave(signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signum)
