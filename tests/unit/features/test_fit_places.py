"""A fit gives the same bits in threads and on Ray, whatever dies, in memory that is bounded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from raypipe import Lake
from raypipe.core.errors import ConfigError
from raypipe.features import Recipe, cuts, transforms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = transforms
RECIPE = Recipe(
    T.derive(late=pl.col("delay") > 15),
    T.impute("temp", strategy="mean", indicator=True),
    T.impute("wind"),
    T.scale("distance"),
    T.scale("speed", how="robust"),
    T.bins("price", count=8),
    T.one_hot("origin"),
    T.ordinal("carrier"),
    T.target_encode("dest"),
    T.derive(warm=pl.col("temp") > 0),
    T.count_encode("warm"),
)


def rows(seed: int, count: int = 9_000) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    some = lambda share: pl.Series(rng.random(count) < share)  # noqa: E731
    frame = pl.DataFrame(
        {
            "delay": rng.normal(10, 20, count),
            "temp": rng.normal(size=count).astype(np.float32),
            "wind": rng.exponential(size=count),
            "distance": rng.integers(50, 5_000, count),
            "speed": 1e6 + rng.random(count),
            "price": np.round(rng.exponential(90, count), 2),
            "origin": rng.choice(["EWR", "JFK", "LGA", ""], count),
            "carrier": rng.choice([f"C{n}" for n in range(40)], count),
            "dest": rng.choice([f"airport {n}" for n in range(300)], count),
        }
    )
    holes = {"delay": 0.02, "temp": 0.1, "wind": 0.3, "dest": 0.05, "carrier": 0.01}
    return frame.with_columns(
        pl.when(some(share)).then(None).otherwise(pl.col(name)).alias(name)
        for name, share in holes.items()
    )


@dataclass(frozen=True)
class DyingPart:
    """A part whose reader is killed once, on the cluster."""

    seed: int
    marker: str
    driver: int
    rows: int = 9_000

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        if self.seed == 3 and os.getpid() != self.driver and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        frame = rows(self.seed)
        return frame if columns is None else frame.select(columns)


@dataclass(frozen=True)
class DyingScan:
    marker: str

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return rows(0, 1).schema

    def parts(self) -> Sequence[DyingPart]:
        return [DyingPart(seed, self.marker, os.getpid()) for seed in range(5)]

    def lazy(self) -> pl.LazyFrame:
        return pl.concat([part.read() for part in self.parts()]).lazy()

    def identity(self) -> dict[str, Any]:
        return {}


def test_on_ray_a_fit_has_the_same_bits_and_a_killed_worker_changes_nothing(
    ray_session: None, tmp_path: Path
) -> None:
    marker = tmp_path / "died"
    here = RECIPE.fit(DyingScan(str(marker)), "late", run_on="local")
    assert not marker.exists()
    there = RECIPE.fit(DyingScan(str(marker)), "late", run_on="ray")
    assert marker.exists()
    assert there.to_json(training=True) == here.to_json(training=True)


def test_a_table_is_fitted_the_same_on_ray(ray_session: None, lake_root: str) -> None:
    table = Lake(lake_root).table("flights")
    for seed in range(3):
        table.append(rows(seed), batch_id=str(seed))
    for data in (table.at(), table.at().where(pl.col("distance") > 900)):
        here = RECIPE.fit(data, "late")
        assert RECIPE.fit(data, "late", run_on="ray").to_json() == here.to_json()
        assert here.rows_fitted == data.count()
    frame = rows(0, 600_000)  # more than one stretch
    assert RECIPE.fit(frame, "late", run_on="ray").to_json() == RECIPE.fit(frame, "late").to_json()


def test_the_bits_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from raypipe.engine import cluster

    monkeypatch.setattr(cuts, "ROWS", 1_000)
    frame = rows(1, 20_000)
    found = set()
    for cores in (1, 2, 5):
        monkeypatch.setattr(cluster, "cores", lambda cores=cores: cores)
        found.add(RECIPE.fit(frame, "late").to_json(training=True))
    assert len(found) == 1


def test_rows_of_pieces_keep_their_folds(lake_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a row stands in its part decides its fold, in however many pieces the part is read."""
    table = Lake(lake_root).table("flights")
    table.append(rows(0, 60_000))
    recipe = Recipe(RECIPE.transforms[0], T.target_encode("dest"))
    whole = table.at()
    some = whole.where(pl.col("distance") > 900)
    want = [recipe.fit(data, "late").to_json(training=True) for data in (whole, some)]
    monkeypatch.setattr(cuts, "PIECE_BYTES", 1)
    monkeypatch.setattr(cuts, "AT_ONCE", 1_234)
    found = [recipe.fit(data, "late").to_json(training=True) for data in (whole, some)]
    assert found == want
    part = whole.parts()[0].read(["dest"])
    fitted = recipe.fit(whole, "late")
    assert fitted.training_features(part[5_000:], 0, 5_000).equals(
        fitted.training_features(part, 0)[5_000:]
    )


def test_an_unknown_place_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        RECIPE.fit(rows(0, 50), "late", run_on="there")  # type: ignore[arg-type]
    assert refused.value.field == "run_on"


_MEASURED = """
import json, resource, sys
import numpy as np, polars as pl
from raypipe.features import Recipe, transforms as T

class Part:
    rows = 200_000
    def __init__(self, seed): self.seed = seed
    def read(self, columns=None):
        rng = np.random.default_rng(self.seed)
        made = {f"x{n}": rng.normal(size=self.rows) for n in range(6)}
        made["y"] = rng.random(self.rows) < 0.5
        return pl.DataFrame(made).select(columns)

class Rows:
    def __init__(self, parts): self.count = parts
    schema = {**{f"x{n}": pl.Float64() for n in range(6)}, "y": pl.Boolean()}
    def parts(self): return [Part(seed) for seed in range(self.count)]
    def lazy(self): raise AssertionError("not all rows at once")
    def identity(self): return {}

recipe = Recipe(T.impute("x0", "x1"), T.scale("x2", how="robust"), T.bins("x3"), T.select("x4"))
found = []
for parts in (4, int(sys.argv[1])):
    recipe.fit(Rows(parts), "y", run_on="local")
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(json.dumps(found))
"""


def test_ten_times_the_rows_take_no_more_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "40"], capture_output=True, text=True, check=True
    )
    few, many = json.loads(done.stdout)
    values = 40 * 200_000 * 6 * 8  # 384 MB of numbers
    assert many - few < values / 4
