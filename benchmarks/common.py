"""What the benchmarks share: contenders in processes of their own, run in turn, measured outside.

A contender is a script that calls ``serve`` with one function. ``race`` starts every contender
once, then runs rounds: in each round every contender runs once, in a turned order, so that what
else the machine does meets all of them alike. Ratios are taken within a round. For each run stand
seconds (told by the contender, start-up left out), CPU seconds and peak memory of its whole tree
of processes, read from ``/proc`` (0 where there is none).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CACHE = Path(os.environ.get("RAYPIPE_BENCH_CACHE", Path.home() / ".cache" / "raypipe-bench"))
OURS = sys.executable
PEERS = str(HERE.parent / ".venvs" / "peers" / "bin" / "python")
_SAMPLE_S = 0.02
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Contender:
    """A process that runs one way of doing the task.

    Attributes:
        name: its row in the table.
        script: a file that calls ``serve``.
        args: its arguments.
        python: the interpreter; ``PEERS`` is the one with the peers' packages.
        env: variables on top of this process's.
    """

    name: str
    script: Path
    args: tuple[str, ...] = ()
    python: str = OURS
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Runs:
    """What was measured of one contender, one entry a round; the first run is apart."""

    name: str
    first_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    error: str | None = None


def serve(run: Callable[[dict[str, Any]], Any]) -> None:
    """Runs ``run(request)`` for each line of JSON on stdin; its result must be JSON or None.

    ``run`` may return ``(seconds, answer)`` where its first part is not to be timed.
    """
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    for line in sys.stdin:
        begin = time.perf_counter()
        try:
            answer = run(json.loads(line))
            seconds = time.perf_counter() - begin
            if isinstance(answer, tuple):
                seconds, answer = answer
            reply = {"seconds": seconds, "answer": answer}
        except Exception:  # noqa: BLE001 - a contender that fails is a row of the table
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=out, flush=True)


class Process:
    """A contender that runs."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self._lock = threading.Lock()
        log = RESULTS / "logs"
        log.mkdir(parents=True, exist_ok=True)
        name = "".join(c if c.isalnum() else "-" for c in contender.name)
        self.log = log / f"{contender.script.stem}-{name}.log"
        path = os.pathsep.join(p for p in (str(HERE.parent), os.environ.get("PYTHONPATH")) if p)
        with self.log.open("w") as err:
            self.process = subprocess.Popen(
                [contender.python, str(contender.script), *contender.args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                env={**os.environ, "PYTHONPATH": path, **contender.env},
            )

    def run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One run: ``seconds``, ``answer``, ``cpu_s`` and ``peak_mb``, or ``error``."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        peak = 0.0
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(_SAMPLE_S):
                peak = max(peak, tree_memory(self.process.pid))

        before = tree_cpu(self.process.pid)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            self.process.stdin.write(json.dumps(dict(request)) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError as error:
            line = json.dumps({"error": str(error)})
        finally:
            done.set()
            watcher.join()
        reply: dict[str, Any] = (
            json.loads(line) if line else {"error": f"the process ended; see {self.log}"}
        )
        after = tree_cpu(self.process.pid)
        return {**reply, "cpu_s": max(0.0, after - before), "peak_mb": peak / 1e6}

    def stop(self) -> None:
        """Ends the process; it has a minute to end what it started."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(
            int(entry.parent.name)
        )
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue.extend(children.get(found[-1], ()))
    return found


def tree_memory(pid: int) -> float:
    """Bytes: private memory of all processes of the tree, and the largest shared memory once."""
    private = shared = 0.0
    for one in tree(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            continue
        sizes = {k: int(v.split()[0]) * 1024 for k, _, v in (x.partition(":") for x in lines)
                 if k in ("RssAnon", "RssShmem")}  # fmt: skip
        private += sizes.get("RssAnon", 0)
        shared = max(shared, sizes.get("RssShmem", 0))
    return private + shared


def tree_cpu(pid: int) -> float:
    """CPU seconds that the tree has used, with those of children that ended."""
    total = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(x) for x in fields[11:15])
    return total / _TICK


def race(
    contenders: Sequence[Contender],
    rounds: int,
    request: Callable[[str, int], Mapping[str, Any]],
    *,
    after: Callable[[str, int, Any], None] | None = None,
    warmups: int = 1,
) -> list[Runs]:
    """Runs every contender ``warmups`` and then ``rounds`` times, in turn.

    Args:
        contenders: who runs.
        rounds: how often each is measured.
        request: what to send, by contender and round; warm-ups have negative rounds.
        after: called with contender, round and answer when a run ended, not timed; it may raise.
        warmups: runs before; the very first one's seconds are kept as ``first_s``.
    """
    runs = {one.name: Runs(one.name) for one in contenders}
    alive = {}
    try:
        for one in contenders:
            alive[one.name] = Process(one)
            for k in range(warmups):
                _one(alive[one.name], runs[one.name], -1 - k, request, after)
        for number in range(rounds):
            names = [n for n in alive if runs[n].error is None]
            turned = names[number % len(names) :] + names[: number % len(names)] if names else []
            for name in turned if number % 2 == 0 else turned[::-1]:
                _one(alive[name], runs[name], number, request, after)
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        for process in alive.values():
            process.stop()
    return list(runs.values())


def _one(
    process: Process,
    runs: Runs,
    number: int,
    request: Callable[[str, int], Mapping[str, Any]],
    after: Callable[[str, int, Any], None] | None,
) -> None:
    if runs.error is not None:
        return
    reply = process.run(request(runs.name, number))
    if "error" in reply:
        runs.error = str(reply["error"]).strip().splitlines()[-1]
        print(f"{runs.name} failed: {runs.error} (log: {process.log})", file=sys.stderr)
        return
    if after is not None:
        after(runs.name, number, reply.get("answer"))
    if number < 0:
        runs.first_s = runs.first_s or reply["seconds"]
        return
    runs.seconds.append(reply["seconds"])
    runs.cpu_s.append(reply["cpu_s"])
    runs.peak_mb.append(reply["peak_mb"])
    runs.answers.append(reply.get("answer"))


def rows(runs: Sequence[Runs], against: str) -> list[dict[str, Any]]:
    """One row a contender: medians, and the ratio to ``against`` within each round; also that of
    the least seconds of both, and that of the CPU seconds.
    """
    base = next((r for r in runs if r.name == against), None)
    out: list[dict[str, Any]] = []
    for one in runs:
        row: dict[str, Any] = {"name": one.name, "first_s": round(one.first_s, 3)}
        if one.error is not None or not one.seconds:
            out.append({**row, "error": one.error or "never ran"})
            continue
        row["s"] = round(statistics.median(one.seconds), 3)
        row["s_min"], row["s_max"] = round(min(one.seconds), 3), round(max(one.seconds), 3)
        if base is not None and base.seconds:
            pairs = [a / b for a, b in zip(one.seconds, base.seconds, strict=False)]
            row["ratio"] = round(statistics.median(pairs), 3)
            row["ratio_min"], row["ratio_max"] = round(min(pairs), 3), round(max(pairs), 3)
            # What else the machine does only adds: the least of each is nearest to a quiet one.
            row["ratio_of_least"] = round(min(one.seconds) / min(base.seconds), 3)
            row["cpu_ratio"] = round(
                statistics.median(one.cpu_s) / max(statistics.median(base.cpu_s), 0.01), 3
            )
        row["cpu_s"] = round(statistics.median(one.cpu_s), 2)
        row["peak_mb"] = round(max(one.peak_mb))
        row["rounds"] = len(one.seconds)
        out.append(row)
    return out


def show(title: str, table: Sequence[Mapping[str, Any]], against: str) -> str:
    """The rows as a Markdown table."""
    head = (
        f"| {title} | s (min to max) | of {against} | (min to max) | of the least | CPU s | of it "
        "| peak MB | first s |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for row in table:
        if "error" in row:
            lines.append(f"| {row['name']} | failed: {row['error'][:80]} | | | | | | | |")
            continue
        ratio, cpu = " | | ", ""
        if "ratio" in row:
            ratio = f"{row['ratio']:.2f} | {row['ratio_min']:.2f} to {row['ratio_max']:.2f}"
            ratio, cpu = f"{ratio} | {row['ratio_of_least']:.2f}", f"{row['cpu_ratio']:.2f}"
        lines.append(
            f"| {row['name']} | {row['s']:.2f} ({row['s_min']:.2f} to {row['s_max']:.2f}) "
            f"| {ratio} "
            f"| {row['cpu_s']:.1f} | {cpu} | {row['peak_mb']} | {row['first_s']:.1f} |"
        )
    return "\n".join(lines)


def save(name: str, payload: Mapping[str, Any]) -> Path:
    """Writes ``benchmarks/results/<name>.json`` with what is known of the machine."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * _PAGE / 1e9, 1),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **payload}, indent=1))
    return path


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The arguments that all benchmarks take: ``--rounds``, ``--scale``, ``--only``."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n", 1)[0])
    made.add_argument("--rounds", type=int, default=5, help="measured runs of each (default 5)")
    made.add_argument("--scale", type=float, default=1, help="TPC-H scale factor (default 1)")
    made.add_argument("--only", default="", help="names of contenders hold one of these, by comma")
    return made


def chosen(contenders: Sequence[Contender], only: str) -> list[Contender]:
    """Those whose name holds one of the words of ``--only``; all without it."""
    words = [w.strip() for w in only.split(",") if w.strip()]
    return [c for c in contenders if not words or any(w in c.name for w in words)]


def need_peers() -> None:
    """Ends the program with what to do when the peers' packages are not there."""
    if not Path(PEERS).is_file():
        raise SystemExit("The peers are not installed. Run: make peers")


def _plain_strings(path: Path) -> None:
    """The same file without string views, which some peers cannot read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pq.ParquetFile(path)
    plain = pa.schema(
        [
            pa.field(f.name, pa.string() if pa.types.is_string_view(f.type) else f.type)
            for f in source.schema_arrow
        ]
    )
    target = path.with_suffix(".plain")
    with pq.ParquetWriter(target, plain) as writer:
        for k in range(source.num_row_groups):
            writer.write_table(source.read_row_group(k).cast(plain))
    target.replace(path)


def lineitem(scale: float, parts: int = 8, kind: str = "parquet") -> Path:
    """TPC-H lineitem in ``parts`` files, made once into the cache folder; the folder of the files.

    The cache is ``~/.cache/raypipe-bench`` or ``RAYPIPE_BENCH_CACHE``.
    """
    need_peers()
    target = CACHE / f"sf{scale:g}-{kind}-{parts}"
    if not (target / "lineitem").is_dir():
        making = CACHE / f".{target.name}.{os.getpid()}"
        tool = Path(PEERS).with_name("tpchgen-cli")
        subprocess.run(
            [str(tool), kind, "-s", f"{scale:g}", "--tables=lineitem", f"--parts={parts}",
             f"--output-dir={making}"],
            check=True,
        )  # fmt: skip
        for path in sorted(making.rglob("*.parquet")):
            _plain_strings(path)
        try:
            making.rename(target)
        except OSError:  # another run made it meanwhile
            shutil.rmtree(making)
    return target / "lineitem"
