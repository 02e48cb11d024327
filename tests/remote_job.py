"""A process that works on a lake in an object store: run by tests, killed by some.

``python -m tests.remote_job '<JSON>'`` with ``root``, ``options`` and ``do``: ``append`` (batches
by id and first number, in threads) or ``large`` (one batch of ``mib`` MiB of noise).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.object_stores import HOUSE, Place


def start(place: Place, root: str, env: Mapping[str, str], **ask: Any) -> subprocess.Popen[str]:
    """Starts one; its last line is JSON."""
    asked = json.dumps({"root": root, "options": dict(place.options), **ask})
    return subprocess.Popen(
        [sys.executable, "-m", "tests.remote_job", asked],
        cwd=HOUSE, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **place.environment, "PYTHONPATH": str(HOUSE), **env},
    )  # fmt: skip


def main(ask: Mapping[str, Any]) -> Any:
    import numpy as np
    import polars as pl

    from raypipe.lake import Lake, expect

    rule = expect.between("n", 0, 10**9, on_fail="quarantine")
    table = Lake(ask["root"], ask["options"]).table("t", expect=[rule])
    if ask["do"] == "large":
        noise = np.random.default_rng(7).integers(0, 2**62, ask["mib"] * 2**17)
        frame = pl.DataFrame({"n": range(len(noise)), "noise": noise})
        frame = pl.concat([frame, pl.DataFrame({"n": [-1], "noise": [0]})])
        return table.append(frame, batch_id="large").version

    def one(batch: tuple[str, int]) -> bool:
        name, first = batch
        own = Lake(ask["root"], ask["options"]).table("t", expect=[rule])
        return own.append(pl.DataFrame({"n": [first, first + 1]}), batch_id=name).applied_before

    with ThreadPoolExecutor(len(ask["batches"])) as pool:
        return list(pool.map(one, [(str(n), int(f)) for n, f in ask["batches"]]))


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
