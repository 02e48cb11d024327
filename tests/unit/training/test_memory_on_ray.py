"""A memory budget is kept by each rank on Ray, too; without one the same rows take more."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.training.budget import least_bytes

if TYPE_CHECKING:
    from raypipe.training.feeding import Feed
    from raypipe.training.learner import Build, Session

MIB = 1024**2
FEATURES, ROWS, FILES = 32, 320_000, 4
"""Of each rank."""


def own_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(one.split()[1]) * 1024 for one in lines if one.startswith("RssAnon"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched(rp.XGBoost):
    """XGBoost whose ranks write down how much memory their process took beyond its start."""

    folder: str = ""

    def build(self, train: Feed, valid: Feed | None, build: Build) -> Session:
        """A session that writes when it is cut, which is once, at its end."""
        from raypipe.training import tree_session  # noqa: F401 - imported before the start

        over, before = threading.Event(), own_bytes()
        most = [before]

        def look() -> None:
            while not over.wait(0.005):
                most[0] = max(most[0], own_bytes())

        threading.Thread(target=look, daemon=True).start()
        session = rp.XGBoost.build(self, train, valid, build)
        cut = session.cut

        def told(rounds: int) -> bytes:
            model = cut(rounds)
            over.set()
            Path(self.folder, f"{build.rank}.json").write_text(json.dumps(most[0] - before))
            return model

        session.cut = told  # type: ignore[method-assign]
        return session


def filled(root: Path, ranks: int) -> rp.Snapshot:
    rng = np.random.default_rng(0)
    table = rp.Lake(root).table("rows")
    for number in range(FILES * ranks):
        values = rng.standard_normal((ROWS, FEATURES), dtype=np.float32)
        label = values[:, 0] + values[:, 1] * values[:, 2] > 0
        frame = pl.DataFrame(values, schema=[f"f{n}" for n in range(FEATURES)])
        table.append(frame.with_columns(label=pl.Series(label).cast(pl.Int8)), batch_id=f"{number}")
    return table.at()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.long)])
def test_each_rank_keeps_the_budget(ray_session: None, tmp_path: Path, ranks: int) -> None:
    """At the least that is taken."""
    rows = filled(tmp_path / "lake", ranks)
    least = least_bytes(rp.XGBoost(), ROWS * FILES, FEATURES)
    took: dict[str, list[int]] = {}
    models = set()
    for name, budget in (("within", least), ("without", None)):
        folder = tmp_path / name
        folder.mkdir()
        given: dict[str, Any] = {"memory_budget": budget, "num_workers": ranks, "run_on": "ray"}
        run = rp.Trainer(
            rp.Recipe(rp.transforms.select(*[f"f{n}" for n in range(FEATURES)])),
            label="label",
            learner=Watched(rounds=2, folder=str(folder)),
            **given,
        ).fit(rows)
        models.add(bytes(run.model.booster.save_raw("ubj")))
        took[name] = [json.loads(one.read_text()) for one in sorted(folder.iterdir())]
    assert len(models) == 1
    assert len(took["within"]) == ranks
    assert max(took["within"]) <= least, (took, least / MIB)
    assert min(took["without"]) > least, (took, least / MIB)
