"""A run goes on from where it was, to the same bytes, whatever happened to it or its storage."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import (
    ConfigError,
    IntegrityError,
    RecipeError,
    RunNotFoundError,
    SchemaError,
)
from raypipe.training.checkpoints import Checkpoints, Saver
from raypipe.training.runs.runs import TABLE
from raypipe.training.state import State
from raypipe.training.trainer import Trainer
from tests import object_stores, small
from tests.faults import drivers
from tests.faults.training_run import ROUNDS, drive, fill, fit, kept
from tests.flaky import flaky

ALONE: dict[str, Any] = {"num_workers": 1, "run_on": "local"}


def killed_at(root: str, point: str, **given: Any) -> None:
    """A driver begins the run, and is killed at a named point."""
    code = drivers.run(drive, root, f"{root}.out", {"RAYPIPE_FAULT": point}, {**ALONE, **given})
    assert code == -signal.SIGKILL


@pytest.fixture
def root(lake: rp.Lake, tmp_path: Path) -> str:
    """A lake of its own with the same rows."""
    shutil.copytree(Path(lake.root, "rows"), tmp_path / "lake" / "rows")
    return str(tmp_path / "lake")


@pytest.fixture
def leftover(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the process was killed before it removed the checkpoints of the finished run."""
    monkeypatch.setattr(Checkpoints, "clear", lambda _: None)


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


def test_a_run_goes_on_from_any_round_to_the_same_bytes(
    lake: rp.Lake,
    hashes: dict[tuple[str, int], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if killed right after each of some checkpoints; in this process, so it is cheap."""
    monkeypatch.setattr(Checkpoints, "clear", lambda _: None)
    rng = random.Random(3)
    for number in range(6):
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
    lake: rp.Lake, hashes: dict[tuple[str, int], str], leftover: None, tmp_path: Path
) -> None:
    for number, damage in enumerate(
        (
            lambda b: b[:-20],
            lambda b: b"",
            lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:],  # in the model
            lambda b: b.replace(b'"rounds": ', b'"rounds": 1', 1),  # in the head
        )
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


def test_resume_by_id_after_the_driver_died(hashes: dict[tuple[str, int], str], root: str) -> None:
    lake = rp.Lake(root)
    killed_at(root, "training:round:9")
    (run_id,) = runs_of(root)
    # rounds do not wait for the saver, so on a busy machine there may be no checkpoint yet
    kept = Checkpoints(lake, run_id).latest().rounds
    run = Trainer.resume(lake, run_id[:6])
    assert run.facts["resumed_at"] == kept
    assert run.bundle.content_hash == hashes["sampled", 1]
    assert Trainer.resume(lake, run_id).id == run_id
    record = rp.Runs(lake).get(run_id)
    assert (record.status, record.attempts) == ("finished", 2)


def test_resume_takes_the_beginning_of_one_run_only(lake: rp.Lake, root: str) -> None:
    there = rp.Lake(root)
    runs = [fit(there, **ALONE, checkpoint_every=every) for every in (1, 2)]
    runs += [fit(there, kind, **ALONE) for kind in ("dart", "forest")]
    first = runs[0].id
    assert runs[1].id == first  # how often it is saved is not what it is
    with pytest.raises(RunNotFoundError, match="there is no such run"):
        Trainer.resume(there, "0" * 20)
    with pytest.raises(RunNotFoundError, match="there is no such run"):
        Trainer.resume(there, "")
    with pytest.raises(RunNotFoundError, match="there is no such run"):
        Trainer.resume(there, "../rows")
    with pytest.raises(RunNotFoundError, match="named by its id"):
        Trainer.resume(there, runs[0])  # type: ignore[arg-type]
    for number in range(16):  # a run that begins as the first one does
        twin = f"{first[:2]}{number:x}{'0' * 17}"
        if twin[:3] != first[:3]:
            break
    told_started(there, twin)
    with pytest.raises(RunNotFoundError, match="several runs begin so") as caught:
        Trainer.resume(there, first[:2])
    assert first in str(caught.value)
    assert Trainer.resume(there, first[:3]).id == first


def told_started(lake: rp.Lake, run_id: str) -> None:
    nothing: dict[str, Any] = {"params": {}, "data": {}, "tags": {}, "packages": {}}
    rp.Runs(lake).started(run_id, **nothing, resources={})


def test_resume_of_a_run_whose_row_was_never_written(
    hashes: dict[tuple[str, int], str], root: str
) -> None:
    lake = rp.Lake(root)
    killed_at(root, "training:round:9")
    (run_id,) = runs_of(root)
    shutil.rmtree(Path(root, TABLE))
    assert Trainer.resume(lake, run_id).bundle.content_hash == hashes["sampled", 1]
    assert rp.Runs(lake).get(run_id).status == "finished"


@pytest.mark.parametrize("point", ["training:kept", "training:told"])
@pytest.mark.parametrize("how", ["fit", "resume"])
def test_a_run_whose_driver_died_at_its_end_is_told_of(
    hashes: dict[tuple[str, int], str], root: str, point: str, how: str
) -> None:
    lake = rp.Lake(root)
    killed_at(root, point)
    (run_id,) = runs_of(root)
    left = "finished" if point == "training:told" else "unfinished"
    assert rp.Runs(lake).get(run_id).status == left
    assert Checkpoints(lake, run_id).names()
    run = fit(lake, **ALONE) if how == "fit" else Trainer.resume(lake, run_id)
    assert run.bundle.content_hash == hashes["sampled", 1]
    record = rp.Runs(lake).get(run_id)
    assert (record.status, record.attempts) == ("finished", 1)
    assert (record.rounds, record.metrics) == (run.facts["rounds"], run.metrics)
    assert rp.Runs(lake).history(run_id).height == sum(
        len(values) for figures in run.history.values() for values in figures.values()
    )
    assert not Checkpoints(lake, run_id).names()


def test_checkpoints_go_when_the_run_is_finished(root: str) -> None:
    lake = rp.Lake(root)
    killed_at(root, "training:after-checkpoint:2")
    (run_id,) = runs_of(root)
    folder = Path(root, "runs", run_id, "checkpoints")
    folder.joinpath(".00000009.0123abcd.tmp").touch()  # as a writer that is killed leaves it
    fit(lake, **ALONE)
    assert not list(folder.iterdir())


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
    hashes: dict[tuple[str, int], str], root: str, workers: int
) -> None:
    given = {"num_workers": workers, "run_on": "local", "pause": 0.1}
    driver = drivers.start(drive, root, f"{root}.out", {}, given)
    while not list(Path(root).glob("runs/*/checkpoints/0*")):
        assert driver.is_alive()
        time.sleep(0.02)
    os.kill(driver.pid or 0, signal.SIGINT)
    assert drivers.ended(driver) == 1
    (run_id,) = runs_of(root)
    assert rp.Runs(rp.Lake(root)).get(run_id).error == "KeyboardInterrupt: "
    run = Trainer.resume(rp.Lake(root), run_id)
    assert run.facts["resumed_at"] > 0
    assert Path(f"{root}.out.notes").read_text() == kept(run_id, run.facts["resumed_at"])
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


@pytest.mark.parametrize(
    "seconds", [3, pytest.param(75, marks=[pytest.mark.long])], ids=["soon", "a minute"]
)
def test_an_object_store_that_is_away_for_a_while_is_waited_for(
    hashes: dict[tuple[str, int], str], tmp_path: Path, seconds: int
) -> None:
    """For longer than the store's own clients wait; the rounds go on meanwhile."""
    impatient = {"max_retries": "1", "retry_timeout": "1s"} if seconds < 60 else {}
    with object_stores.s3_place(tmp_path) as place, flaky(place.port) as proxy:
        lake = fill(f"{place.root}/lake", {**object_stores.s3_options(proxy.port), **impatient})

        def away() -> None:
            while not any("/checkpoints/" in one for one in lake.files.list("runs")):
                time.sleep(0.05)
            proxy.down = True
            time.sleep(seconds)
            proxy.down = False

        thread = threading.Thread(target=away)
        thread.start()
        began = time.monotonic()
        run = fit(lake, **ALONE, pause=0.05)
        thread.join()
        assert time.monotonic() - began > seconds
        assert run.bundle.content_hash == hashes["sampled", 1]
        assert rp.Runs(lake).get(run.id).status == "finished"


def test_a_lake_in_an_object_store(
    hashes: dict[tuple[str, int], str], leftover: None, tmp_path: Path
) -> None:
    with object_stores.s3_place(tmp_path) as place:
        there = fill(f"{place.root}/lake", dict(place.options))
        run = fit(there, num_workers=1, run_on="local", checkpoint_every=3)
        assert run.bundle.content_hash == hashes["sampled", 1]
        there.files.delete(f"runs/{run.id}/finished")
        again = fit(there, num_workers=1, run_on="local", checkpoint_every=3)
        assert again.facts["resumed_at"] > 0
        assert again.bundle.content_hash == run.bundle.content_hash


def test_the_last_two_checkpoints_are_kept(lake: rp.Lake, leftover: None, root: str) -> None:
    lake = rp.Lake(root)
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
    with pytest.raises(RecipeError, match="a weight, 'x', is below 0"):
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
