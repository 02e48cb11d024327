"""Promise 1, for training: whatever is killed, the finished model is the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, IntegrityError, RecipeError, SchemaError
from raypipe.training.checkpoints import Checkpoints, Saver
from raypipe.training.state import State
from raypipe.training.trainer import Trainer
from tests import object_stores, small
from tests.faults.training_run import ROUNDS, fill, fit

HERE = Path(__file__).parents[2]


def command(root: str, kind: str, run_on: str = "local", workers: int = 1) -> list[str]:
    script = str(Path(__file__).parent / "training_run.py")
    return [sys.executable, script, root, kind, run_on, str(workers)]


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS" and "RAYPIPE_FAULT" not in k}
    return {**kept, "PYTHONPATH": str(HERE), **more}


def runs_of(root: str) -> list[str]:
    return sorted(one.name for one in Path(root, "runs").iterdir())


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> rp.Lake:
    return fill(str(tmp_path_factory.mktemp("undisturbed") / "lake"))


@pytest.fixture(scope="module")
def hashes(lake: rp.Lake) -> dict[tuple[str, int], str]:
    """What undisturbed runs give, by kind and number of workers."""
    return {
        (kind, workers): fit(
            lake, kind, num_workers=workers, run_on="local", checkpoint_every=1000
        ).bundle.content_hash
        for kind in ("sampled", "dart", "forest")
        for workers in (1, 2)
    }


def kill_and_go_on(root: str, kind: str, workers: int, kills: list[int]) -> str:
    """The driver is killed in the given rounds, once in each start, and goes on to the end."""
    for number in kills:
        fault = environment(RAYPIPE_FAULT=f"training:round:{number * workers}")
        killed = subprocess.run(
            command(root, kind, workers=workers), env=fault, capture_output=True, check=False
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
        assert not list(Path(root, "runs").glob("*/finished/history.json"))
    done = subprocess.run(
        command(root, kind, workers=workers),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()[0]


def plan(count: int) -> list[tuple[str, int, int]]:
    """Kinds, workers and rounds to kill in: a third each, seeded."""
    rng = random.Random(7)
    kinds = ("sampled", "dart", "forest")
    return [(kinds[n % 3], 1 + n % 2, rng.randint(2, 12)) for n in range(count)]


def kill_runs(
    tmp_path: Path, lake: rp.Lake, hashes: dict[tuple[str, int], str], count: int
) -> None:
    for number, (kind, workers, round_) in enumerate(plan(count)):
        root = str(tmp_path / f"lake-{number}")
        shutil.copytree(Path(lake.root, "rows"), Path(root, "rows"))
        got = kill_and_go_on(root, kind, workers, [round_])
        assert got == hashes[kind, workers], (kind, workers, round_)


def test_a_killed_process_changes_no_byte(
    lake: rp.Lake, hashes: dict[tuple[str, int], str], tmp_path: Path
) -> None:
    kill_runs(tmp_path, lake, hashes, 4)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_200_kills_change_no_byte(
    lake: rp.Lake, hashes: dict[tuple[str, int], str], tmp_path: Path
) -> None:
    kill_runs(tmp_path, lake, hashes, 200)


def test_a_run_goes_on_from_any_round_to_the_same_bytes(
    lake: rp.Lake,
    hashes: dict[tuple[str, int], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if killed right after each of some checkpoints; in this process, so it is cheap."""
    rng = random.Random(3)
    for number in range(14):
        kind, workers = ("sampled", "dart", "forest")[number % 3], 1 + number % 2
        root = str(tmp_path / f"lake-{number}")
        shutil.copytree(Path(lake.root, "rows"), Path(root, "rows"))
        at = rng.randint(1, 14)
        with monkeypatch.context() as patch:

            def save(self: Saver, state: State, at: int = at) -> None:
                if state.rounds <= at:
                    self._checkpoints.save(state)

            patch.setattr(Saver, "offer", save)
            first = fit(rp.Lake(root), kind, num_workers=workers, run_on="local")
        shutil.rmtree(Path(root, "runs", first.id, "finished"))
        again = fit(rp.Lake(root), kind, num_workers=workers, run_on="local")
        assert again.facts["resumed_at"] == at
        assert again.bundle.content_hash == hashes[kind, workers]
        assert again.history == first.history


def test_early_stopping_ends_at_the_same_round(lake: rp.Lake, tmp_path: Path) -> None:
    stopping = rp.EarlyStopping(patience=2, metric="logloss")
    rows = lake.table("rows").at(version=3)
    few, many = rows.where(pl.col("x") > 0.5), rows.where(pl.col("x") <= 0.5)
    trainer = rp.Trainer(
        small.recipe(),
        label="late",
        learner=rp.XGBoost(rounds=300, learning_rate=1.0, params={"subsample": 0.5}),
        early_stopping=stopping,
        run_on="local",
    )
    run = trainer.fit(many, few)
    assert run.facts["stopped_early"]
    losses = run.history["valid"]["logloss"]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert run.bundle.booster.num_boosted_rounds() == best + 1
    assert len(losses) == best + 1 + stopping.patience


def test_a_damaged_checkpoint_is_refused_and_the_one_before_used(
    lake: rp.Lake, hashes: dict[tuple[str, int], str], tmp_path: Path
) -> None:
    for number, damage in enumerate(
        (lambda b: b[:-20], lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:])
    ):
        root = str(tmp_path / f"lake-{number}")
        shutil.copytree(Path(lake.root, "rows"), Path(root, "rows"))
        first = fit(rp.Lake(root), num_workers=1, run_on="local")
        shutil.rmtree(Path(root, "runs", first.id, "finished"))
        names = sorted(Path(root, "runs", first.id, "checkpoints").iterdir())
        assert 1 <= len(names) <= 2
        names[-1].write_bytes(damage(names[-1].read_bytes()))
        before = int(names[-2].name) if len(names) == 2 else 0
        again = fit(rp.Lake(root), num_workers=1, run_on="local")
        assert again.facts["resumed_at"] == before
        assert again.bundle.content_hash == hashes["sampled", 1]


def test_resume_by_id_after_the_driver_died(
    lake: rp.Lake, hashes: dict[tuple[str, int], str], tmp_path: Path
) -> None:
    root = str(tmp_path / "lake")
    shutil.copytree(Path(lake.root, "rows"), Path(root, "rows"))
    fault = environment(RAYPIPE_FAULT="training:round:9")
    subprocess.run(command(root, "sampled"), env=fault, capture_output=True, check=False)
    (run_id,) = runs_of(root)
    # rounds do not wait for the saver, so on a busy machine there may be no checkpoint yet
    kept = Checkpoints(rp.Lake(root), run_id).latest().rounds
    run = Trainer.resume(rp.Lake(root), run_id)
    assert run.facts["resumed_at"] == kept
    assert run.bundle.content_hash == hashes["sampled", 1]
    assert Trainer.resume(rp.Lake(root), run_id).id == run_id
    record = rp.Runs(rp.Lake(root)).get(run_id)
    assert (record.status, record.attempts) == ("finished", 2)
    with pytest.raises(rp.errors.RunNotFoundError):
        Trainer.resume(rp.Lake(root), "0" * 20)


def test_a_changed_configuration_never_goes_on_with_an_old_run(
    lake: rp.Lake, tmp_path: Path
) -> None:
    root = str(tmp_path / "lake")
    shutil.copytree(Path(lake.root, "rows"), Path(root, "rows"))
    first = fit(rp.Lake(root), num_workers=1, run_on="local")
    other = fit(rp.Lake(root), "dart", num_workers=1, run_on="local")
    assert first.id != other.id
    assert other.facts["resumed_at"] == 0
    config = Path(root, "runs", first.id, "config.json")
    config.write_text(config.read_text().replace('"seed": 5', '"seed": 6'))
    with pytest.raises(IntegrityError, match="not that of the run"):
        Trainer.resume(rp.Lake(root), first.id)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_run_that_goes_on(
    lake: rp.Lake, hashes: dict[tuple[str, int], str], tmp_path: Path, workers: int
) -> None:
    root = str(tmp_path / "lake")
    shutil.copytree(Path(lake.root, "rows"), Path(root, "rows"))
    slow = "import raypipe.training.tree_session as s, time; g = s.TreeSession.grow\n"
    slow += "s.TreeSession.grow = lambda self, n: (time.sleep(0.1), g(self, n))[1]\n"
    slow += "import raypipe as rp, sys; from tests.faults.training_run import fit\n"
    slow += f"fit(rp.Lake(sys.argv[1]), num_workers={workers}, run_on='local')"
    with subprocess.Popen(
        [sys.executable, "-c", slow, root], env=environment(), stderr=subprocess.PIPE
    ) as driver:
        deadline = time.monotonic() + 60
        while not list(Path(root).glob("runs/*/checkpoints/*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(60) != 0
    (run_id,) = runs_of(root)
    run = Trainer.resume(rp.Lake(root), run_id)
    assert run.facts["resumed_at"] > 0
    assert run.bundle.content_hash == hashes["sampled", workers]


def test_storage_that_fails_for_a_while_is_waited_for(
    lake: rp.Lake, hashes: dict[tuple[str, int], str], tmp_path: Path
) -> None:
    """A link to itself stands where the checkpoints' folder should be, until it is taken away."""
    root = tmp_path / "lake"
    shutil.copytree(Path(lake.root, "rows"), root / "rows")
    first = fit(rp.Lake(root), num_workers=1, run_on="local")
    place = root / "runs" / first.id
    shutil.rmtree(place)
    place.mkdir()
    (place / "checkpoints").symlink_to(place / "checkpoints")
    timer = threading.Timer(2.0, (place / "checkpoints").unlink)
    timer.start()
    began = time.monotonic()
    run = fit(rp.Lake(root), num_workers=1, run_on="local")
    assert time.monotonic() - began > 1.9
    assert run.bundle.content_hash == hashes["sampled", 1]


def test_a_lake_in_an_object_store(hashes: dict[tuple[str, int], str], tmp_path: Path) -> None:
    with object_stores.s3_place(tmp_path) as place:
        there = fill(f"{place.root}/lake", dict(place.options))
        run = fit(there, num_workers=1, run_on="local", checkpoint_every=3)
        assert run.bundle.content_hash == hashes["sampled", 1]
        there.files.delete(f"runs/{run.id}/finished")
        again = fit(there, num_workers=1, run_on="local", checkpoint_every=3)
        assert again.facts["resumed_at"] > 0
        assert again.bundle.content_hash == run.bundle.content_hash


def test_the_last_two_checkpoints_are_kept(lake: rp.Lake, tmp_path: Path) -> None:
    run = fit(lake, num_workers=1, run_on="local")
    names = Checkpoints(lake, run.id).names()
    assert 1 <= len(names) <= 2
    assert int(names[-1].rpartition("/")[2]) == len(run.history["valid"]["auc"])


def test_bad_input_is_refused_before_any_work(lake: rp.Lake) -> None:
    rows = lake.table("rows").at()
    with pytest.raises(RecipeError):
        rp.Trainer(small.recipe(), label="lat").fit(rows)
    graded = rp.Recipe(*small.recipe().transforms, rp.transforms.derive(grade=pl.col("x").floor()))
    with pytest.raises(RecipeError, match="must be 0, 1 or null"):
        rp.Trainer(graded, label="grade").fit(rows.where(pl.col("x").is_between(-3, 3)))
    with pytest.raises(ConfigError, match="no validation rows"):
        rp.Trainer(small.recipe(), label="late").fit(rows, valid=rows.where(pl.col("x") > 1e9))
    with pytest.raises(SchemaError, match="lack a column"):
        rp.Trainer(small.recipe(), label="late").fit(rows, valid=rows.select("x", "late"))
    with pytest.raises((ConfigError, RecipeError)):
        rp.Trainer(small.recipe(), label="late").fit(rows.where(pl.col("x") > 1e9))
    with pytest.raises(RecipeError):  # one class
        rp.Trainer(small.recipe(), label="late").fit(rows.where(pl.col("late")))
    with pytest.raises(ConfigError, match="fewer rows with a label than workers"):
        rp.Trainer(small.recipe(), label="late", num_workers=2101, run_on="local").fit(rows)
    with pytest.raises(SchemaError, match="lack a column"):
        rp.Trainer(small.recipe(), label="late", weight="w").fit(rows)
    with pytest.raises(RecipeError, match="a weight cannot be this"):
        rp.Trainer(small.recipe(), label="late", weight="x").fit(rows)


def test_a_category_may_hold_what_xgboost_refuses(tmp_path: Path) -> None:
    lake = rp.Lake(tmp_path / "lake")
    odd = small.rows(n=600).with_columns(
        color=pl.col("color").replace({"red": "[red]", "green": "<green", "blue": "{green"})
    )
    lake.table("rows").append(odd)
    run = rp.Trainer(small.recipe(), label="late", learner=rp.XGBoost(rounds=3)).fit(
        lake.table("rows").at()
    )
    assert "color=[red]" in run.bundle.recipe.feature_names
    assert len(set(run.bundle.booster.feature_names)) == len(run.bundle.recipe.feature_names)


def test_rounds(lake: rp.Lake) -> None:
    run = fit(lake, num_workers=1, run_on="local")
    assert 1 <= len(run.history["train"]["logloss"]) <= ROUNDS
    assert (run.metrics["roc_auc"] or 0) > 0.7
