"""What checkpoints cost, and what a kill costs: ours, and Ray's callback for XGBoost.

    make bench-train_recovery
    python benchmarks/train_recovery.py --only kills
    python benchmarks/train_recovery.py --only kills --kills controller,driver_on_ray
    python benchmarks/train_recovery.py --only kills --kills driver_on_cluster

400,000 rows by 28 features of ``train_delta``, 400 rounds, one rank. A row is one run in a process
of its own; ``fit`` are the seconds of the call. Three questions:

- a checkpoint each 2 s (the default is 10 s): ``in rounds`` are seconds that the rounds waited
  (save the model, copy the history), ``beside`` CPU seconds of the thread that writes. Their sum is
  the cost. A fit without checkpoints stands beside it; the difference is within the noise;
- the same on Ray Train, each 10 rounds of 30, and Ray's ``RayTrainReportCallback(frequency=10)``;
- a SIGKILL after 60% of the rounds: of the process that trains by itself, of a worker of Ray Train,
  and where asked for of its controller and of the driver on Ray. ``driver_on_ray`` is a driver that
  began a Ray of its own, which dies with it; ``driver_on_cluster`` one that joined a Ray of two
  CPUs, which stays, and whose only worker had both. ``lost`` is the time of all that ran, over the
  mean of two undisturbed runs, one before and one after: of both processes from start to end where
  the driver is killed, of the call to ``fit`` elsewhere. What the two differ by is told: less than
  that is noise. ``up`` are the seconds until the next driver called ``fit``, ``rounds`` those until
  its ranks began to read. The finished bytes are compared too, and the rounds at which the run says
  that it began are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import common, train_delta

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY_S, SHORT, STEP, SHARE = 2.0, 30, 10, 0.6
PORTS = (
    "port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port",
    "ray-client-server-port",
)  # fmt: skip


def ours(asked: dict[str, Any]) -> dict[str, Any]:
    """One fit, with what its checkpoints took."""
    import raypipe as rp
    from raypipe.training import checkpoints, local, tree_session  # noqa: F401

    took = counted(checkpoints, tree_session)
    every: Any = asked.get("every") or 10**9
    rows = rp.Lake(train_delta.lake_root(asked["scale"], train_delta.FEATURES)).table("rows").at()
    trainer = rp.Trainer(
        rp.Recipe(rp.transforms.select(*train_delta.names(train_delta.FEATURES))),
        label="label",
        learner=rp.XGBoost(rounds=asked["rounds"], max_depth=train_delta.DEPTH),
        cpus_per_worker=2,
        checkpoint_every=timedelta(seconds=every) if isinstance(every, float) else every,
        run_on=asked["run_on"],
    )
    if asked["run_on"] == "ray":
        from raypipe.engine.cluster import ensure_ray

        ensure_ray()
    if asked.get("kill"):
        kill = asked["kill"], rows.lake, int(asked["rounds"] * SHARE)
        threading.Thread(target=kill_beside, args=kill, daemon=True).start()
    began, up = time.perf_counter(), time.time() - asked["at"]
    grows: list[float] = []
    threading.Thread(target=note_rounds, args=(rows.lake, asked["at"], grows), daemon=True).start()
    run = trainer.fit(rows, tags={"turn": asked["turn"], "stamp": asked["stamp"]})
    seconds = time.perf_counter() - began
    begun = run.facts["begun_at"]
    told = {"up": round(up, 2), "rounds": round(grows[0], 2) if grows else None}
    return {"fit": seconds, **took, **told, "hash": run.bundle.content_hash[:12], "begun_at": begun}


def note_rounds(lake: Any, at: float, grows: list[float]) -> None:
    """Notes how long after a time a run begins to read its rows, which ends with its rounds."""
    before = set(lake.files.list("runs"))
    while not any("/begins/" in name for name in set(lake.files.list("runs")) - before):
        time.sleep(0.05)
    grows.append(time.time() - at)


def counted(checkpoints: Any, tree_session: Any) -> dict[str, float]:
    """Seconds that the rounds wait for a checkpoint, and CPU seconds of the thread that writes."""
    took = {"in_rounds": 0.0, "beside": 0.0, "saved": 0}

    def timed(of: Any, name: str, key: str, clock: Any) -> None:
        real = getattr(of, name)

        def call(*args: Any) -> Any:
            began = clock()
            try:
                return real(*args)
            finally:
                took[key] += clock() - began
                took["saved"] += key == "beside"

        setattr(of, name, call)

    timed(tree_session.TreeSession, "save", "in_rounds", time.perf_counter)
    timed(checkpoints.Saver, "offer", "in_rounds", time.perf_counter)
    timed(checkpoints.Checkpoints, "save", "beside", time.thread_time)
    return took


def kill_beside(whom: str, lake: Any, rounds: int) -> None:
    """Kills the driver, or Ray Train's controller, shortly before a checkpoint would be due again.

    Args:
        whom: ``driver`` for this process, or ``controller``.
        lake: where the run's checkpoints are.
        rounds: of the checkpoint that is waited for.
    """
    from raypipe.engine import processes

    before = set(lake.files.list("runs"))

    def reached(name: str) -> bool:
        return "/checkpoints/" in name and int(name.rpartition("/")[2]) >= rounds

    while not [n for n in lake.files.list("runs") if n not in before and reached(n)]:
        time.sleep(0.05)
    time.sleep(EVERY_S * 0.9)
    if whom == "driver":
        os.kill(os.getpid(), signal.SIGKILL)
    for process in processes.descendants(os.getpid()):
        if b"TrainController" in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            os.kill(process.pid, signal.SIGKILL)


def theirs(asked: dict[str, Any]) -> dict[str, Any]:
    """Ray Train as documented, with or without its callback; each worker reads the files."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import ray.train
    import xgboost
    from deltalake import DeltaTable
    from ray.train.xgboost import RayTrainReportCallback, XGBoostTrainer

    from raypipe.engine.cluster import ensure_ray

    ensure_ray()
    files = sorted(
        DeltaTable(
            f"{train_delta.lake_root(asked['scale'], train_delta.FEATURES)}/rows"
        ).file_uris()
    )
    params, rounds, every = train_delta.params(2), asked["rounds"], asked.get("every")

    def loop() -> None:
        table = pa.concat_tables(pq.read_table(file) for file in files)
        names = [name for name in table.column_names if name != "label"]
        data = xgboost.QuantileDMatrix(table.select(names), label=table["label"].to_numpy())
        callbacks = [RayTrainReportCallback(frequency=every)] if every else []
        xgboost.train(params, data, rounds, evals=[(data, "train")], callbacks=callbacks)

    began = time.perf_counter()
    XGBoostTrainer(
        loop,
        scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 2}),
        run_config=ray.train.RunConfig(storage_path=tempfile.mkdtemp()),
    ).fit()
    return {"fit": time.perf_counter() - began}


@contextlib.contextmanager
def standing_ray(folder: str) -> Iterator[str]:
    """The address of a Ray of two CPUs on loopback, which is ended with the block."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    command = [
        str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--num-cpus=2",
        "--include-dashboard=false", "--disable-usage-stats", "--node-ip-address=127.0.0.1",
        f"--temp-dir={folder}/ray",
        *(f"--{name}={port}" for name, port in zip(PORTS, ports, strict=True)),
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    env |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
    with (
        Path(folder, "log").open("w") as log,
        subprocess.Popen(
            command, stdout=log, stderr=log, env=env, start_new_session=True
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 90
            while not answers(ports[0]):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(Path(folder, "log").read_text())
                time.sleep(0.2)
            time.sleep(5)  # its agents come up
            yield f"127.0.0.1:{ports[0]}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def started(
    asked: dict[str, Any], fault: str | None = None, once: str = "", address: str | None = None
) -> dict[str, Any]:
    """A run in a process of its own; ``wall`` are the seconds of the process."""
    asked = {**asked, "at": time.time()}
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RAYPIPE_FAULT", "RAY_"))}
    if address:
        env |= {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
    if fault:
        env |= {"RAYPIPE_FAULT": fault} | ({"RAYPIPE_FAULT_ONCE": once} if once else {})
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(asked)],
        capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip
    wall = time.perf_counter() - began
    dies = asked.get("kill") == "driver" or bool(fault and not once)
    if done.returncode != (-signal.SIGKILL if dies else 0):
        raise SystemExit(done.stderr[-3000:] if done.returncode else "nobody was killed")
    told = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    print(f"{asked} {fault or ''}: {wall:.1f} s {told}", file=sys.stderr, flush=True)
    return {"wall": wall, **told}


def checkpoint_cost(base: dict[str, Any], repeats: int) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {"none": [], "each": []}
    for number in range(repeats):
        for name in ("none", "each") if number % 2 == 0 else ("each", "none"):
            every = {"every": EVERY_S} if name == "each" else {}
            runs[name].append(
                started({**base, **every, "run_on": "local", "turn": f"{name}{number}"})
            )
    cost = [(one["in_rounds"] + one["beside"]) / one["fit"] for one in runs["each"]]
    return {
        "none_s": [round(one["fit"], 2) for one in runs["none"]],
        "each_s": [round(one["fit"], 2) for one in runs["each"]],
        "saved": [one["saved"] for one in runs["each"]],
        "in_rounds_s": [round(one["in_rounds"], 4) for one in runs["each"]],
        "beside_s": [round(one["beside"], 4) for one in runs["each"]],
        "cost": round(statistics.median(cost), 5),
    }


def peer(base: dict[str, Any]) -> dict[str, Any]:
    short, found = {**base, "rounds": SHORT, "run_on": "ray"}, {}
    for way in ("ours", "theirs"):
        for every in (None, STEP):
            one = started({**short, "way": way, "every": every, "turn": f"{way}{every}"})
            found[f"{way}, {f'each {every} rounds' if every else 'none'}"] = round(one["fit"], 2)
    return found


def recovery(
    base: dict[str, Any], kills: list[str], folder: str, address: str | None = None
) -> dict[str, Any]:
    at = f"training:round:{int(base['rounds'] * SHARE)}"
    found: dict[str, Any] = {}

    def run(where: str, turn: str, *fault: str, **more: Any) -> dict[str, Any]:
        turn = f"{turn} {where}{' joined' if address else ''}"
        asked = {**base, **more, "every": EVERY_S, "run_on": where, "turn": turn}
        return started(asked, *fault, address=address)

    def spent(kill: str, where: str) -> tuple[str, float, dict[str, Any]]:
        """What is compared, seconds of all that ran, and the run that finished."""
        if kill.startswith("driver"):
            # on Ray it is a worker that passes the round, so the driver kills itself
            killed = run(where, kill, at) if where == "local" else run(where, kill, kill="driver")
            last = run(where, kill)
            return "wall", killed["wall"] + last["wall"], last
        if kill == "worker":
            last = run(where, kill, at, f"{folder}/killed")
            if not Path(folder, "killed").exists():
                raise SystemExit("no worker was killed")
        else:
            last = run(where, kill, kill="controller")
        return "fit", last["fit"], last

    places = {"driver": "local", "driver_on_ray": "ray", "worker": "ray", "controller": "ray"}
    places |= {"driver_on_cluster": "ray"}
    for place in sorted({places[kill] for kill in kills}):
        alone = [run(place, "alone")]
        after = {kill: spent(kill, place) for kill in kills if places[kill] == place}
        alone.append(run(place, "alone again"))
        for kill, (what, seconds, last) in after.items():
            undisturbed = [one[what] for one in alone]
            found[kill] = {
                "lost_s": round(seconds - statistics.mean(undisturbed), 2),
                "undisturbed_s": [round(one, 2) for one in undisturbed],
                "of": what,
                "up_s": last["up"],
                "rounds_s": last["rounds"],
                "begun_at": last["begun_at"],
                "same_bytes": all(last["hash"] == one["hash"] for one in alone),
            }
            told = f"lost by a kill of the {kill}: {found[kill]} (goal {EVERY_S + 15:g} s)"
            print(told, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--scale", type=float, default=0.2, help="of 2M rows (default 0.2)")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3, help="fits for the cost (default 3)")
    parser.add_argument("--only", default="cost,peer,kills", help="by comma")
    parser.add_argument(
        "--kills", default="driver,worker", help="also controller, driver_on_ray, driver_on_cluster"
    )
    asked = parser.parse_args()
    if asked.one:
        one = json.loads(asked.one)
        print(json.dumps((theirs if one.get("way") == "theirs" else ours)(one)))
        return
    train_delta.make(asked.scale)
    base = {"scale": asked.scale, "rounds": asked.rounds, "stamp": time.time_ns()}
    only = asked.only.split(",")
    told: dict[str, Any] = {"rows": int(train_delta.ROWS * asked.scale), **base}
    if "cost" in only:
        cost = told["cost"] = checkpoint_cost(base, asked.repeats)
        print(f"fit without checkpoints {cost['none_s']} s, each {EVERY_S:g} s {cost['each_s']} s")
        print(f"a checkpoint's cost: {cost['cost']:.2%} of the time ({cost['saved']} saved)")
    if "peer" in only:
        told["peer"] = peer(base)
        print(f"seconds of a fit of {SHORT} rounds on Ray Train: {told['peer']}")
    if "kills" in only:
        with tempfile.TemporaryDirectory() as folder:
            kills = asked.kills.split(",")
            alone = [kill for kill in kills if kill != "driver_on_cluster"]
            told["kills"] = recovery(base, alone, folder)
            if alone != kills:
                with standing_ray(folder) as address:
                    told["kills"] |= recovery(base, ["driver_on_cluster"], folder, address)
    print(f"written to {common.save('train_recovery', told)}")


if __name__ == "__main__":
    main()
