"""A loop of the user's own: its settings, its rows, its storage and its model, without Ray."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from pyarrow import fs

import raypipe as rp
from raypipe.core.errors import ConfigError, RecipeError
from raypipe.models import trusting
from raypipe.models.forms import scorer
from raypipe.models.forms.folder import to_bytes
from raypipe.training.asked import Asked
from raypipe.training.fitting import Fit
from raypipe.training.learner import learner_from
from raypipe.training.loops.reports import LoopCallback, Reports, history_of, up_to_checkpoint
from raypipe.training.loops.shard import Shard, ShardProvider
from raypipe.training.loops.storage import lake_filesystem
from raypipe.training.rounds import Job
from raypipe.training.survey import Roles
from tests import loop_of_ours, object_stores, small

HERE = Path(__file__).parents[3]


def no_arguments() -> None: ...


def two_arguments(a: Any, b: Any) -> None: ...


def only_named(*, a: Any) -> None: ...


def around(value: int) -> Any:
    def loop(config: Any) -> int:
        return value

    return loop


def loop(**more: Any) -> rp.TrainLoop:
    given = {"load": loop_of_ours.load, "predict": loop_of_ours.predict, **more}
    return rp.TrainLoop(loop_of_ours.fit, config={"rounds": 3, "rate": 1.0}, **given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rp.TrainLoop(3), "loop is a function: got int"),  # type: ignore[arg-type]
        (lambda: rp.TrainLoop("tests.loop_of_ours"), 'Write "module:function"'),
        (lambda: rp.TrainLoop("tests.loop_of_ours:fitt"), "no such function can be imported"),
        (lambda: rp.TrainLoop("tests.absent:fit"), "no such function can be imported"),
        (lambda: rp.TrainLoop(two_arguments), "called with its configuration or nothing"),
        (lambda: rp.TrainLoop(only_named), "called with its configuration or nothing"),
        (lambda: rp.TrainLoop(around(3)), "no run id could tell: got value"),
        (lambda: rp.TrainLoop(no_arguments, config={"a": float("nan")}), "config must be plain"),
        (lambda: rp.TrainLoop(no_arguments, config=[1]), "config is a mapping"),  # type: ignore[arg-type]
        (lambda: loop(predict=None), "load= and predict= go together. Give predict="),
        (lambda: loop(load=lambda folder: folder), "must be found again by processes"),
        (lambda: loop(load=two_arguments), "load is called with a folder"),
        (lambda: loop(predict=no_arguments), "predict is called with the model and rows"),
        (lambda: loop(task="clustering"), "no such task: got clustering. Use one of: binary"),
        (lambda: loop(backend="gloo"), "no such backend"),
        (lambda: loop(device="tpu"), "no such device"),
        (lambda: loop(task="multiclass"), "classes= goes with task='multiclass'"),
        (lambda: loop(classes=3), "classes= goes with task='multiclass'"),
        (lambda: loop(task="multiclass", classes=1), "classes must be a whole number >= 2"),
        (lambda: rp.TrainLoop(no_arguments, {"a": 1}), "all but loop by name"),  # type: ignore[misc]
        (lambda: rp.TrainLoop(no_arguments, confg={}), "Did you mean 'config'"),  # type: ignore[call-arg]
        (lambda: trainer(early_stopping=rp.EarlyStopping()), "stops when it ends"),
        (lambda: trainer(run_on="local"), "runs on Ray Train's workers"),
        (lambda: rp.Tuner(trainer(), {"rate": 1}), "a search does not vary a loop"),
    ],
)
def test_bad_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in str(caught.value)


def trainer(**more: Any) -> rp.Trainer:
    return rp.Trainer(small.recipe(), label="late", learner=loop(), **more)


def test_settings_are_a_value() -> None:
    made = loop(backend="xgboost", packages=("pyarrow",))
    told = made.to_dict()
    assert told["loop"] == "tests.loop_of_ours:fit"
    assert (told["load"], told["predict"]) == made.names
    assert (
        learner_from(told)
        == made
        == rp.TrainLoop(
            "tests.loop_of_ours:fit",
            config={"rounds": 3, "rate": 1.0},
            load="tests.loop_of_ours:load",
            predict="tests.loop_of_ours:predict",
            backend="xgboost",
            packages=("pyarrow",),
        )
    )
    made.check()
    without = {name: value for name, value in told.items() if name != "code"}
    for other in ({**told, "code": "0" * 64}, without):
        with pytest.raises(ConfigError, match="the loop is not what it was"):
            learner_from(other)
    for other in ({"name": "loop"}, {**told, "loop": 3}):
        with pytest.raises(ConfigError, match="not a loop's settings"):
            learner_from(other)
    assert rp.TrainLoop(no_arguments).names == (None, None)


def test_a_name_from_a_lake_is_followed_only_where_it_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, model = loop().to_dict(), to_bytes({}, "os:getcwd", "os:fspath")
    with pytest.raises(ConfigError, match=r"not told to trust: got os:getcwd.*rp\.trust"):
        scorer("model.zip", model)
    monkeypatch.setattr(trusting, "_trusted", set())
    with pytest.raises(ConfigError, match="not told to trust"):
        learner_from(told)
    monkeypatch.setenv(trusting.VARIABLE, "tests.loop_of_ours:fit, tests.loop_of_ours:load")
    with pytest.raises(ConfigError, match=r"got tests\.loop_of_ours:predict"):
        learner_from(told)
    rp.trust(loop_of_ours.predict)
    assert learner_from(told).to_dict() == told
    for odd in ("no name", "a:b:c", "a:", 3, lambda: None):
        with pytest.raises(ConfigError):
            rp.trust(odd)  # type: ignore[arg-type]


def test_making_settings_of_a_name_imports_what_the_caller_named_only() -> None:
    """A manifest that names a module does not get it imported."""
    code = "import sys, raypipe.training.learner as l\n"
    code += "told = {'name': 'loop', 'loop': 'antigravity:fly', 'code': '', 'config': {}}\n"
    code += "try: l.learner_from(told)\n"
    code += "except ValueError as error: print(error, 'antigravity' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert "not told to trust" in done.stdout
    assert done.stdout.strip().endswith("False")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    lake = rp.Lake(str(tmp_path_factory.mktemp("lake")))
    for part in range(3):
        frame = small.rows(n=70 + part, seed=part).with_columns(w=pl.int_range(pl.len()) + 1)
        frame = frame.with_columns(late=pl.when(pl.col("w") % 5 > 0).then("late"))
        lake.table("rows").append(frame)
    return job_of(lake.table("rows").at())


def job_of(rows: rp.Snapshot, **roles: Any) -> Job:
    asked = Asked(
        num_workers=1,
        cpus_per_worker=None,
        checkpoint_every=1,
        memory_budget=None,
        run_on="local",
        max_failures=0,
    )
    made = Fit(
        recipe=small.recipe(),
        label="late",
        learner=loop(),
        stopping=None,
        seed=0,
        roles=Roles(**{"weight": "w", **roles}),
        asked=asked,
        train=rows,
        valid=None,
        config={},
        run_id="r",
        choice=SimpleNamespace(place="local"),  # type: ignore[arg-type]
    )
    return made.job(small.recipe().fit(rows, label="late"))


def shard(job: Job, rank: int, world: int, name: str | None = None) -> Shard:
    info = SimpleNamespace(dataset_name=name, world_rank=rank)
    provider = pickle.loads(pickle.dumps(ShardProvider(job, world)))
    made: Shard = provider.get_dataset_shard(info)
    return made


@pytest.mark.parametrize("world", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 7, 64, 1000, None])
def test_shards_hold_each_row_once_in_order(job: Job, world: int, size: int | None) -> None:
    whole = shard(job, 0, 1).to_numpy()
    parts = [shard(job, rank, world) for rank in range(world)]
    assert sum(one.count() for one in parts) == len(whole["label"]) == job.train.labels.count
    for kept in (False, True):
        made = [one.materialize() if kept else one for one in parts]
        for _ in range(2):
            batches = [b for one in made for b in one.iter_batches(batch_size=size)]
            for name, values in whole.items():
                assert np.concatenate([b[name] for b in batches]).tobytes() == values.tobytes()
            if size is not None:
                assert all(len(b["label"]) <= size for b in batches)
    if size is not None:
        full = list(parts[0].iter_batches(batch_size=size, drop_last=True))
        assert all(len(b["label"]) == size for b in full)
        assert len(full) == parts[0].rows // size


def test_formats_of_batches(job: Job) -> None:
    made = shard(job, 0, 1, "train")
    (frame,) = made.iter_batches(batch_size=1000, batch_format="polars")
    (table,) = made.iter_batches(batch_size=1000, batch_format="pyarrow")
    assert frame.columns == [*made.features, "late", "w"]
    assert frame.equals(made.to_polars())
    assert pl.from_arrow(table).equals(frame)  # type: ignore[union-attr]
    assert frame.select(made.features).to_numpy().tobytes() == made.to_numpy()["features"].tobytes()
    for wrong in ({"batch_format": "pandas"}, {"batch_size": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            made.iter_batches(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"no such rows: got valid\. There are: train"):
        shard(job, 0, 1, "valid")


@pytest.mark.parametrize("several", [False, True])
def test_a_worker_without_rows_has_all_columns(job: Job, several: bool) -> None:
    margins = ("x", "y") if several else ("x",)
    whole = shard(job, 0, 1)
    nothing = Shard(replace(whole._feed, shard=(), roles=Roles(weight="w", margin=margins)))
    made = nothing.to_numpy()
    assert made["margin"].shape == ((0, 2) if several else (0,))
    assert {name: values.dtype for name, values in whole.to_numpy().items()} == {
        name: made[name].dtype for name in ("features", "label", "weight")
    }
    assert nothing.to_polars().columns[: -len(margins)] == whole.to_polars().columns
    assert nothing.to_polars().height == nothing.count() == 0


def test_labels_that_are_none_of_the_task(job: Job) -> None:
    numbers = rp.TrainLoop(no_arguments, task="regression")
    numbers.check_labels(job.train.labels)
    loop().check_labels(job.train.labels)
    with pytest.raises(RecipeError, match="beyond those expected"):
        rp.TrainLoop(no_arguments, task="multiclass", classes=2).check_labels(
            SimpleNamespace(  # type: ignore[arg-type]
                name="late", low=0.0, high=2.0, whole=True, odd=None, values={0.0, 1.0, 2.0}
            )
        )


def test_the_lake_as_a_file_system(tmp_path: Path) -> None:
    there_and_back(rp.Lake(str(tmp_path / "lake")), tmp_path)


def test_an_object_store_as_a_file_system(tmp_path: Path) -> None:
    with object_stores.s3_place(tmp_path) as place:
        options = dict(place.options)
        there_and_back(rp.Lake(f"{place.root}/lake", storage_options=options), tmp_path)


def there_and_back(lake: rp.Lake, tmp_path: Path) -> None:
    files = {"a.txt": b"a", "in/b.bin": bytes(range(256)) * 1000, "in/deep/empty": b""}
    source, target = tmp_path / "source", tmp_path / "target"
    for path, data in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    system = pickle.loads(pickle.dumps(lake_filesystem(lake)))
    assert system == lake_filesystem(lake)
    fs.copy_files(str(source), "runs/r/one", destination_filesystem=system)
    fs.copy_files("runs/r/one", str(target), source_filesystem=system)
    found = {p.relative_to(target).as_posix(): p for p in target.rglob("*") if p.is_file()}
    assert {path: place.read_bytes() for path, place in found.items()} == files
    assert lake.files.get("runs/r/one/in/b.bin") == files["in/b.bin"]
    kinds = {one.path: one.type for one in system.get_file_info(fs.FileSelector("runs/r/one"))}
    assert kinds == {"runs/r/one/a.txt": fs.FileType.File, "runs/r/one/in": fs.FileType.Directory}
    system.delete_dir("runs/r/one/in")
    assert lake.files.list("runs/r") == ["runs/r/one/a.txt"]
    assert system.get_file_info("runs/r/one/in").type == fs.FileType.NotFound
    with pytest.raises(FileNotFoundError):
        system.open_input_stream("runs/r/none")
    half = system.open_output_stream("runs/r/half")
    half.write(b"x")
    del half
    gc.collect()
    assert not lake.files.exists("runs/r/half")
    with pytest.raises(PermissionError):
        system.delete_dir_contents("", accept_root_dir=True)


def test_reports_become_a_history(lake_root: str) -> None:
    reports = [
        {"metrics": {"loss": 1.0, "valid_loss": 2.0}, "checkpoint": True},
        {"metrics": {"loss": 0.5}, "checkpoint": False},
    ]
    kept = Reports(rp.Lake(lake_root), "r")
    assert kept.read() == []
    kept.write(reports)
    assert kept.read() == reports
    assert up_to_checkpoint(reports) == reports[:1]
    assert up_to_checkpoint(reports[1:]) == []
    history = history_of(reports)
    assert history["train"] == {"loss": [1.0, 0.5]}
    assert history["valid"]["loss"][0] == 2.0
    assert np.isnan(history["valid"]["loss"][1])
    other = [{"metrics": {"train_loss": 1.0, "loss": 2.0, "valid/a": 3.0, "valid-a": 4.0}}]
    assert history_of(other) == {
        "train": {"train_loss": [1.0], "loss": [2.0]},
        "valid": {"a": [3.0], "valid-a": [4.0]},
    }


def test_what_is_no_figure_does_not_end_a_run(lake_root: str) -> None:
    lake = rp.Lake(lake_root)
    callback = LoopCallback(SimpleNamespace(lake=lake, run_id="r"))  # type: ignore[arg-type]
    metrics = {
        "loss": np.float32(0.5),
        "whole": 3,
        "matrix": np.ones((2, 2)),
        "large": 10**400,
        "odd": Odd(),
        "note": "1.5",
        "nothing": None,
    }
    callback.after_report(SimpleNamespace(checkpoint=object()), [metrics, {"loss": 9.0}])
    kept = {"metrics": {"loss": 0.5, "whole": 3.0}, "checkpoint": True}
    assert Reports(lake, "r").read() == [kept]


class Odd:
    def __float__(self) -> float:
        raise RuntimeError("several values")
