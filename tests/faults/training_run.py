"""A run to disturb: the same whatever is killed around it, and a learner that kills."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import raypipe as rp
from raypipe.engine import processes
from tests import small

if TYPE_CHECKING:
    import subprocess

    from raypipe.training.feeding import Feed
    from raypipe.training.learner import Build, Figures, Session

ROUNDS = 30
REACHED = 12
"""Rounds that every run has, since it stops early no sooner."""

PARAMS = {
    "subsample": 0.7,
    "colsample_bytree": 0.7,
    "colsample_bynode": 0.8,
    "eval_metric": ["logloss", "auc"],
}
KINDS: dict[str, dict[str, Any]] = {
    "sampled": PARAMS,
    "dart": {**PARAMS, "booster": "dart", "rate_drop": 0.3},
    "forest": {**PARAMS, "num_parallel_tree": 3},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """Who is killed, and when.

    Attributes:
        who: ``self`` for the process of the rank, ``controller`` of Ray Train, ``driver``, or the
            id of a node's raylet: then all processes of the node go.
        rank: the rank that kills.
        at: its round.
        after: whether it kills after the round; then it also goes on with the next ones.
        marker: a file; while it is there nobody is killed.
    """

    who: str
    rank: int
    at: int
    after: bool
    marker: str

    def strike(self) -> None:
        """Kills, once."""
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return
        for pid in sorted(self._pids(), key=lambda pid: pid == os.getpid()):  # itself at last
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while not self.after:  # until Ray ends this process too
            time.sleep(1)

    def _pids(self) -> list[int]:
        raylet = os.getppid()
        if self.who == "self":
            return [os.getpid()]
        if self.who == "driver":
            return [int(Path(f"/proc/{raylet}/stat").read_text().rpartition(")")[2].split()[1])]
        if self.who == "controller":
            return [controller_below(raylet)]
        node = int(self.who)
        return [node, *(one.pid for one in processes.descendants(node))]


def controller_below(raylet: int) -> int:
    """The process of Ray Train's controller on a node."""
    below = (one.pid for one in processes.descendants(raylet))
    return next(p for p in below if b"TrainController" in Path(f"/proc/{p}/cmdline").read_bytes())


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadly(rp.XGBoost):
    """XGBoost, and to the run's identity nothing else; but in one round somebody is killed."""

    kill: Kill | None = None
    pause: float = 0.0

    def build(self, train: Feed, valid: Feed | None, build: Build) -> Session:
        """A session of which one rank kills."""
        session = rp.XGBoost.build(self, train, valid, build)
        grow, kill = session.grow, self.kill
        first = True

        def deadly(number: int) -> Figures:
            nonlocal first
            time.sleep(self.pause)
            if kill is not None and build.rank == 0 and first:
                with Path(f"{kill.marker}.began").open("a") as told:
                    told.write(f"{number}\n")
            first = False
            now = kill is not None and (build.rank, number) == (kill.rank, kill.at)
            if kill is not None and now and not kill.after:
                kill.strike()
            figures = grow(number)
            if kill is not None and now and kill.after:
                kill.strike()
            return figures

        session.grow = deadly  # type: ignore[method-assign]
        return session


def began(marker: Path) -> list[int]:
    """The rounds that the first rank's sessions grew first, in order."""
    return [int(line) for line in Path(f"{marker}.began").read_text().split()]


def fill(root: str, options: dict[str, str] | None = None) -> rp.Lake:
    lake = rp.Lake(root, storage_options=options)
    for part in range(3):
        lake.table("rows").append(small.rows(n=700, seed=part), batch_id=f"part-{part}")
    return lake


def fit(
    lake: rp.Lake,
    kind: str = "sampled",
    kill: Kill | None = None,
    pause: float = 0.0,
    **settings: Any,
) -> rp.Run:
    """Rows as filled, whatever was written since; a schedule and early stopping are on.

    One thread a rank: the threads of OpenMP spin while they wait, on a busy machine for seconds.
    """
    rows = lake.table("rows").at(version=3)
    learner = Deadly(
        rounds=ROUNDS,
        max_depth=3,
        learning_rate=rp.Schedule(start=0.3, end=0.05, warmup=3),
        params=KINDS[kind],
        kill=kill,
        pause=pause,
    )
    trainer = rp.Trainer(
        small.recipe(),
        label="late",
        learner=learner,
        seed=5,
        early_stopping=rp.EarlyStopping(patience=REACHED, metric="auc"),
        **{"num_workers": 2, "checkpoint_every": 1, "cpus_per_worker": 1, **settings},
    )
    return trainer.fit(rows, valid=rows)


def drive(root: str, out: str, fault: dict[str, str], given: dict[str, Any]) -> None:
    """The whole of a driver's process; what came of it is written to a file.

    Notes of a Ctrl-C go to a file beside it.
    """
    os.environ.update(fault)
    try:
        run = fit(rp.Lake(root), **given)
    except KeyboardInterrupt as error:
        Path(f"{out}.notes").write_text("\n".join(error.__notes__))
        raise
    Path(out).write_text(json.dumps({"hash": run.bundle.content_hash, "facts": run.facts}))


def kept(run_id: str, rounds: int) -> str:
    """The note of a run that Ctrl-C broke off."""
    return (
        f"Run {run_id} is kept at round {rounds} of {ROUNDS}: the same fit, or "
        f'rp.Trainer.resume(lake, "{run_id}"), goes on from there.'
    )


def drive_resume(root: str, out: str, fault: dict[str, str], run_id: str) -> None:
    """A driver that goes on with a run of another driver."""
    os.environ.update(fault)
    run = rp.Trainer.resume(rp.Lake(root), run_id)
    Path(out).write_text(json.dumps({"hash": run.bundle.content_hash, "facts": run.facts}))


def hold_cluster(folder: str, cpus: int) -> None:
    """A cluster of one node for other drivers, until there is a file ``stop``.

    Tells its address and its raylet's process in ``cluster``, and again and again in ``groups``
    how many placement groups are there, and how many CPUs are free.
    """
    import ray
    from ray.cluster_utils import Cluster
    from ray.util import placement_group_table

    from raypipe.engine.lean import lean_start

    with lean_start(debug=False):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus})
        try:
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
            raylet = raylet_of(cluster.head_node).pid
            tell(folder, "cluster", {"address": cluster.address, "raylet": raylet})
            while not Path(folder, "stop").exists():
                states = [group["state"] for group in placement_group_table().values()]
                alive = sum(state != "REMOVED" for state in states)
                free = ray.available_resources().get("CPU", 0.0)
                tell(
                    folder, "groups", {"alive": alive, "created": "CREATED" in states, "free": free}
                )
                time.sleep(0.02)
        finally:
            ray.shutdown()
            cluster.shutdown()


def tell(folder: str, name: str, what: dict[str, Any]) -> None:
    made = Path(folder, f".{name}")
    made.write_text(json.dumps(what))
    made.replace(Path(folder, name))


def drive_nodes(root: str, out: str, kill: dict[str, Any], given: dict[str, Any]) -> None:
    """A driver on a cluster of two nodes, of which one is lost.

    The controller, the driver and one worker may be on either; where ``given`` asks for a fixed
    number of workers, another node comes; and again another, should that one not come up.
    """
    from ray.cluster_utils import Cluster

    from raypipe.engine.lean import lean_start

    soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
    over = threading.Event()
    with lean_start(debug=False):  # three nodes of Ray's full size take a busy machine minutes
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": soon}
        )
        try:
            doomed = raylet_of(cluster.add_node(num_cpus=1))
            os.environ["RAY_ADDRESS"] = cluster.address

            def others() -> None:
                node = doomed
                node.wait()  # also so that it is no zombie, which Ray takes for a living one
                while not over.is_set() and isinstance(given.get("num_workers"), int):
                    node = raylet_of(cluster.add_node(num_cpus=1, wait=False))
                    node.wait()

            cluster._shutdown_at_exit = False  # else a node is added by the main thread only
            threading.Thread(target=others, daemon=True).start()
            drive(root, out, {}, {**given, "kill": Kill(who=str(doomed.pid), **kill)})
        finally:
            import ray

            over.set()
            ray.shutdown()
            cluster.shutdown()


def raylet_of(node: Any) -> subprocess.Popen[bytes]:
    from ray._private.ray_constants import PROCESS_TYPE_RAYLET

    raylet: subprocess.Popen[bytes] = node.all_processes[PROCESS_TYPE_RAYLET][0].process
    return raylet
