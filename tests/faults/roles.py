"""What the processes of a fault test do: write, upsert, compact, clean up, read.

Each source of rows (``src``) is owned by one writer. At every version a source has either no row,
or all of its rows in one generation: that is what a reader may see, and nothing else.
"""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from raypipe.core.errors import CommitConflictError, RaypipeError
from raypipe.lake import Lake, Table, expect

KEYS = 100
"""Keys from here on are refused."""

RULE = expect.between("k", 0, KEYS - 1, on_fail="quarantine")


def table(root: str) -> Table:
    """The table that all write."""
    return Lake(root).table("t", expect=[RULE])


def rows(src: str, n: int, gen: int = 0, refused: int = 0) -> pl.DataFrame:
    """The rows of a source in one generation."""
    keys = [*range(n), *range(KEYS, KEYS + refused)]
    return pl.DataFrame({"src": src, "k": keys, "gen": gen})


def acknowledge(acks: str, what: str) -> None:
    """Writes down, outside of the lake, that a call returned."""
    with Path(acks).open("a") as file:
        file.write(what + "\n")
        file.flush()
        os.fsync(file.fileno())


def append(root: str, acks: str, name: str, batches: int, n: int, refused: int) -> None:
    """Appends batches, each a source of its own."""
    for batch in range(batches):
        src = f"{name}{batch}"
        data = rows(src, n, refused=refused)
        _patiently(lambda src=src, data=data: table(root).append(data, batch_id=src))
        acknowledge(acks, src)


def merge(root: str, acks: str, name: str, gens: int, n: int, refused: int) -> None:
    """Brings the source ``name`` from one generation to the next, with rows that are refused."""
    for gen in range(1, gens + 1):
        data, batch = rows(name, n, gen, refused), f"{name}-{gen}"
        _patiently(lambda d=data, b=batch: table(root).merge(d, ["src", "k"], batch_id=b))
        acknowledge(acks, batch)


def update(root: str, acks: str, name: str, gens: int, n: int) -> None:
    """Counts the generation of its rows up: what happens twice is seen."""
    _patiently(lambda: table(root).append(rows(name, n), batch_id=f"{name}-0"))
    acknowledge(acks, f"{name}-0")
    mine = pl.col("src") == name
    for gen in range(1, gens + 1):
        batch = f"{name}-{gen}"
        more = {"gen": pl.col("gen") + 1}
        _patiently(lambda b=batch, more=more: table(root).update(mine, more, batch_id=b))
        acknowledge(acks, batch)


def compact(root: str, stop: str) -> None:
    """Compacts again and again, now and then by a curve."""
    while not Path(stop).exists():
        if table(root).exists:
            curve = random.choice([(), (), ("k", "gen")])
            _patiently(lambda curve=curve: table(root).compact(z_order=curve))
        time.sleep(random.uniform(0, 0.05))


def vacuum(root: str, stop: str) -> None:
    """Removes what nobody needs, and old log entries, again and again."""
    while not Path(stop).exists():
        if table(root).exists:
            table(root).vacuum(log=True)
            table(root).checkpoint()
        time.sleep(random.uniform(0, 0.1))


def _patiently(call: Callable[[], object]) -> None:
    """As a client does whose call others were ahead of."""
    for _ in range(20):
        try:
            call()
        except CommitConflictError:
            continue
        return
    raise AssertionError("others came first again and again")


def read(root: str, stop: str, sizes: dict[str, int], refused: dict[str, int]) -> None:
    """Reads versions until it is told to stop; fails when one shows half a batch."""
    now, seen = table(root), -1
    gens: dict[str, int] = {}
    turns = 0
    while not Path(stop).exists() or turns == 0:
        if not now.exists:
            time.sleep(0.005)
            continue
        shot = now.at()
        assert shot.version >= seen, (shot.version, seen)
        if shot.version > seen:
            seen = shot.version
            told = whole(shot.frame(), sizes)
            for src, gen in told.items():
                assert gen >= gens.get(src, 0), (src, gen, gens)
            assert told.keys() >= gens.keys(), (sorted(told), sorted(gens))
            gens = told
        bad = now.quarantine()
        if bad.exists:
            counts = dict(bad.at().frame().group_by("_batch").len().iter_rows())
            assert all(count == refused[src] for src, count in counts.items()), counts
        turns += 1
        time.sleep(random.uniform(0, 0.02))
    print(f"read {seen} versions", flush=True)


def whole(frame: pl.DataFrame, sizes: dict[str, int]) -> dict[str, int]:
    """The generation of every source that is there; each must be whole."""
    facts = frame.group_by("src").agg(
        pl.len(), pl.col("k").n_unique().alias("keys"),
        pl.col("gen").n_unique().alias("gens"), pl.col("gen").max().alias("gen"),
    )  # fmt: skip
    for src, count, keys, gens, gen in facts.iter_rows():
        assert (count, keys, gens) == (sizes[src],) * 2 + (1,), (src, count, keys, gens, gen)
    return dict(facts.select("src", "gen").iter_rows())


def limited(root: str, size: int, told: str) -> None:
    """Appends while no file may grow beyond a size; tells the error, or nothing."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    message = ""
    try:
        table(root).append(rows("new", 8, refused=3), batch_id="new")
    except RaypipeError as error:
        message = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    Path(told).write_text(message)


def shifted(root: str, seconds: float, src: str, count: int = 1) -> None:
    """Appends while the clock of the process is off; several times, to pass a checkpoint."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)
    for number in range(count):
        table(root).append(rows(src, 2), batch_id=src if number == 0 else f"{src}-{number}")
