"""A memory budget changes no bit, and it is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import raypipe as rp
from raypipe.core.errors import ConfigError
from raypipe.features import fit as fit_file
from raypipe.features import shares
from raypipe.training import budget as budget_file
from raypipe.training import feeding
from raypipe.training.budget import least_bytes
from raypipe.training.feeding import Feed
from raypipe.training.plan import plan_shards
from raypipe.training.survey import Roles, survey
from tests import small
from tests.unit.training.test_feeding import same

MIB = 1024**2


def filled(root: Path) -> rp.Table:
    table = rp.Lake(root).table("rows")
    for number in range(3):
        frame = small.rows(n=900 + number, seed=number)
        unknown = pl.when(pl.int_range(pl.len()) % 7 > 0).then("late")
        table.append(frame.with_columns(late=unknown), batch_id=f"{number}")
    return table


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_recipe_fitted_by_columns_is_the_same(
    tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = filled(tmp_path).at()
    whole = small.recipe().fit(rows, label="late", run_on="local")
    monkeypatch.setattr(fit_file, "most_columns", lambda *_: most)
    parted = small.recipe().fit(rows, label="late", run_on="local", memory_budget=MIB)
    assert parted.to_json(training=True) == whole.to_json(training=True)


def test_columns_of_a_reading_are_few_and_all_are_read() -> None:
    names = [f"c{number}" for number in range(10)]
    inputs = {name: {name} for name in names}
    for most in (1, 3, 10, 100):
        found = shares.shares(inputs, [], {}, most)
        assert [name for one in found for name in one.inputs] == names
        assert len(found) == -(-10 // most)
        assert all(len(one.inputs) <= most for one in found)
    assert len(shares.shares(inputs, [], {}, None)) == 1


def test_a_budget_that_holds_no_column_says_what_does(tmp_path: Path) -> None:
    rows = filled(tmp_path).at()
    with pytest.raises(ConfigError, match="Give at least") as caught:
        small.recipe().fit(rows, label="late", memory_budget=1000)
    least = int(str(caught.value).partition("Give at least ")[2].split()[0])
    assert small.recipe().fit(rows, label="late", memory_budget=least).rows_fitted == 2703


@pytest.mark.parametrize("kind", ["plain", "filtered", "deleted"])
@pytest.mark.parametrize("group", [False, True])
def test_rows_read_in_slices_come_in_the_same_batches(
    tmp_path: Path, kind: str, group: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "batch_rows", lambda _: 70)
    table = filled(tmp_path)
    if kind == "deleted":
        table.delete(pl.col("x") > 1.0)
    rows = table.at()
    if kind == "filtered":
        rows = rows.where(pl.col("x") > -0.5)
    fitted = small.recipe().fit(rows, label="late", run_on="local")
    for ranks in (1, 2):
        look = survey(rows, fitted, Roles(), run_on="local")
        for shard in plan_shards(look.known, ranks):
            given = {"pieces": look.pieces, "shard": shard, "recipe": fitted, "fitted_on": True}
            alone = list(Feed(**given, roles=Roles()).batches())
            for at_once in (1, 8 * 100 * 10, 2**30):
                sliced = list(Feed(**given, roles=Roles(), at_once=at_once).batches())
                assert len(sliced) == len(alone)
                assert all(map(same, alone, sliced))


def test_a_piece_in_ranges_is_the_piece(tmp_path: Path) -> None:
    for part in filled(tmp_path).at().parts():
        whole = part.read()
        for rows in (1, 7, 400, 10_000):
            parts = part.sliced(rows)
            assert pl.concat([one.read() for one in parts]).equals(whole)
            assert all(one.rows <= rows for one in parts) or len(parts) == 1


@pytest.mark.parametrize(
    ("label", "where", "step"),
    [
        ("late", False, rp.transforms.one_hot("color")),
        ("late", True, rp.transforms.select("x")),
        ("y", False, rp.transforms.select("x")),
    ],
)
def test_a_budget_that_is_too_small_for_the_rows_is_refused_before_any_work(
    tmp_path: Path, label: str, where: bool, step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a few rows, as if each took a MiB; their files are gone, so whoever reads them fails."""
    monkeypatch.setattr(budget_file, "_SKETCHED_BYTES", MIB)
    rows = filled(tmp_path).at()
    if where:  # the log tells that all rows pass
        rows = rows.where(pl.col("x") < 100.0)
    known = rows.frame()[label].count()
    for file in tmp_path.glob("rows/*.parquet"):
        file.unlink()
    recipe = rp.Recipe(step, rp.transforms.derive(twice=pl.col("x") * 2))
    trainer = rp.Trainer(recipe, label=label, memory_budget=64 * MIB, run_on="local")
    with pytest.raises(ConfigError, match=f"{2 * known:,} rows by") as caught:
        trainer.fit(rows, rows)
    assert caught.value.field == "memory_budget"
    assert rp.Runs(rp.Lake(tmp_path)).records() == []


@given(st.integers(0, 10**9), st.integers(1, 10**5), st.integers(0, 10**8), st.integers(0, 10**4))
def test_more_rows_or_features_never_need_less(
    rows: int, features: int, more_rows: int, more_features: int
) -> None:
    for learner in (rp.XGBoost(), rp.XGBoost(max_bin=1000), rp.LightGBM()):
        least = least_bytes(learner, rows, features)
        assert least <= least_bytes(learner, rows + more_rows, features)
        assert least <= least_bytes(learner, rows, features + more_features)


CHILD = """
import json, sys
import raypipe as rp
from raypipe.training import local, tree_session  # imported before the start
rows = rp.Lake(sys.argv[1]).table("rows").at()
budget = int(sys.argv[2]) or None
names = [name for name in rows.schema if name != "label"]
trainer = rp.Trainer(rp.Recipe(rp.transforms.select(*names)), label="label",
    learner=rp.XGBoost(rounds=2), memory_budget=budget, run_on="local")
print("ready", flush=True)
sys.stdin.readline()
run = trainer.fit(rows, tags={"budget": budget})
print(json.dumps({"model": run.model.booster.save_raw("ubj").hex()}))
"""


def own_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(one.split()[1]) * 1024 for one in lines if one.startswith("RssAnon")), 0)


def fitted(root: Path, budget: int) -> tuple[int, str]:
    """The most memory that a fit took in a process of its own, and the model."""
    environment = {**os.environ, "PYTHONPATH": str(Path(rp.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(root), str(budget)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        before = most = own_bytes(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        while child.poll() is None:
            most = max(most, own_bytes(child.pid))
            time.sleep(0.005)
        told = json.loads(child.stdout.read().splitlines()[-1])
    return most - before, told["model"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_fit_keeps_its_budget(tmp_path: Path) -> None:
    """At the least that is taken; without a budget the same rows take more."""
    features, rows, files = 32, 320_000, 4
    rng = np.random.default_rng(0)
    table = rp.Lake(tmp_path).table("rows")
    for number in range(files):
        values = rng.standard_normal((rows, features), dtype=np.float32)
        label = values[:, 0] + values[:, 1] * values[:, 2] > 0
        frame = pl.DataFrame(values, schema=[f"f{n}" for n in range(features)])
        table.append(frame.with_columns(label=pl.Series(label).cast(pl.Int8)), batch_id=f"{number}")
    least = least_bytes(rp.XGBoost(rounds=2), rows * files, features)
    with pytest.raises(ConfigError, match=f"Give at least {least} bytes"):
        rp.Trainer(
            rp.Recipe(rp.transforms.select(*[f"f{n}" for n in range(features)])),
            label="label",
            memory_budget=least - 1,
            run_on="local",
        ).fit(table.at())
    within, model = fitted(tmp_path, least)
    without, same_model = fitted(tmp_path, 0)
    assert model == same_model
    assert within <= least, (within / MIB, without / MIB, least / MIB)
    assert without > least, (within / MIB, without / MIB, least / MIB)
