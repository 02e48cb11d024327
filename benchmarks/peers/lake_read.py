"""Ways to read a hundredth of a Delta table by a filter on its sorted column, and to count it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import common
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "l_orderkey"
COLUMNS = [KEY, "l_quantity", "l_extendedprice"]
Request = dict[str, Any]


def _snapshot(request: Request) -> Any:
    from raypipe.lake import Lake

    return Lake(request["root"]).table("lineitem").at()


def raypipe(request: Request) -> int:
    now = _snapshot(request)
    if request["count"]:
        return int(now.count())
    some = now.where(pl.col(KEY).is_between(request["low"], request["high"])).select(*COLUMNS)
    return int(some.frame().height)


def raypipe_dataset(request: Request) -> int:
    now = _snapshot(request)
    some = now.where(pl.col(KEY).is_between(request["low"], request["high"])).select(*COLUMNS)
    return int((now if request["count"] else some).dataset().materialize().count())


def scan_delta(request: Request) -> int:
    rows = pl.scan_delta(f"{request['root']}/lineitem")
    if request["count"]:
        return int(rows.select(pl.len()).collect().item())
    some = rows.filter(pl.col(KEY).is_between(request["low"], request["high"])).select(COLUMNS)
    return int(some.collect().height)


def _read_delta(request: Request, **settings: Any) -> Any:
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray.data.read_delta(f"{request['root']}/lineitem", **settings)


def read_delta(request: Request) -> int:
    if request["count"]:
        return int(_read_delta(request).count())
    rows = _read_delta(request).filter(
        expr=f"{KEY} >= {request['low']} and {KEY} <= {request['high']}"
    )
    return int(rows.select_columns(COLUMNS).materialize().count())


def read_delta_pushed(request: Request) -> int:
    import pyarrow.compute as pc

    if request["count"]:
        return int(_read_delta(request, columns=[KEY]).count())
    key = pc.field(KEY)
    some = (key >= request["low"]) & (key <= request["high"])
    return int(_read_delta(request, filter=some, columns=COLUMNS).materialize().count())


WAYS: dict[str, Callable[[Request], int]] = {
    "raypipe": raypipe,
    "raypipe_dataset": raypipe_dataset,
    "scan_delta": scan_delta,
    "read_delta": read_delta,
    "read_delta_pushed": read_delta_pushed,
}


def taken() -> dict[int, int]:
    """Bytes that this process and all below it have read from files so far."""
    out = {}
    for pid in common.tree(os.getpid()):
        try:
            out[pid] = int(Path(f"/proc/{pid}/io").read_text().split()[1])
        except OSError:
            continue
    return out


def measured(way: Callable[[Request], int], request: Request) -> dict[str, int]:
    before = taken()
    rows = way(request)
    after = taken()
    return {"rows": rows, "bytes": sum(n - before.get(pid, 0) for pid, n in after.items())}


if __name__ == "__main__":
    chosen = WAYS[sys.argv[1]]
    common.serve(lambda request: measured(chosen, request))
