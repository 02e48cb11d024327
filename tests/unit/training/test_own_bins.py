"""Bins that raypipe seeks: the trees of XGBoost's own where both are exact, as good elsewhere."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost

import raypipe as rp
from raypipe.core.errors import ConfigError
from raypipe.training import sketching
from raypipe.training.cut_points import MOST_BINS
from raypipe.training.learner import learner_from
from raypipe.training.sketching import Sketch

SKETCHES = ("raypipe", "xgboost")


def filled(root: Path, frame: pl.DataFrame, files: int = 3) -> rp.Snapshot:
    table = rp.Lake(root).table("rows")
    size = -(-frame.height // files)
    for number in range(files):
        table.append(frame.slice(number * size, size), batch_id=f"{number}")
    return table.at()


def fitted(rows: rp.Snapshot, sketch: str, **settings: Any) -> rp.Run:
    names = [name for name in rows.schema if name not in {"label", "weight"}]
    params = settings.pop("params", {})
    trainer = rp.Trainer(
        rp.Recipe(rp.transforms.select(*names)),
        label="label",
        learner=rp.XGBoost(rounds=6, sketch=sketch, params=params),
        run_on=settings.pop("run_on", "local"),
        **settings,
    )
    return trainer.fit(rows)


def few_values(rows: int) -> pl.DataFrame:
    """Up to 250 distinct values a column, rare ones among them, and values that are missing."""
    rng = np.random.default_rng(3)
    columns = {
        "common": rng.zipf(1.3, rows).clip(0, 249).astype(float),
        "flag": (rng.random(rows) < 0.001).astype(float),
        "constant": np.full(rows, 2.5),
        "level": rng.integers(-100, 100, rows) / 8,
    }
    missing = pl.when(pl.int_range(pl.len()) % 11 > 0).then("level")
    label = (columns["level"] + rng.normal(size=rows) > 3) | (columns["flag"] > 0)
    return pl.DataFrame(columns).with_columns(level=missing, nothing=None, label=label)


@pytest.mark.parametrize("workers", [1, 2])
def test_few_distinct_values_give_the_bytes_of_xgboosts_own(tmp_path: Path, workers: int) -> None:
    frame = few_values(3000).with_columns(pl.col("nothing").cast(pl.Float64))
    rows = filled(tmp_path, frame)
    mine, own = (fitted(rows, sketch, num_workers=workers) for sketch in SKETCHES)
    assert mine.bundle.booster.save_raw("ubj") == own.bundle.booster.save_raw("ubj")
    assert mine.id != own.id


def test_what_was_written_before_there_was_a_choice_means_xgboosts_own() -> None:
    old = {"name": "xgboost", "rounds": 5, "max_depth": 6, "learning_rate": 0.1, "max_bin": 256}
    learner = learner_from({**old, "params": {}})
    assert learner == rp.XGBoost(rounds=5, sketch="xgboost")
    assert learner.to_dict() == {**old, "params": {}}  # and so has the id that it had
    new = rp.XGBoost(rounds=5)
    assert learner_from(new.to_dict()) == new
    assert new.to_dict()["sketch"] == "raypipe"


def test_an_unknown_sketch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no such sketch: got gk\. Use raypipe or xgboost"):
        rp.XGBoost(sketch="gk")


def test_xgboosts_own_is_taken_where_ours_does_not_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(2000, 2))
    frame = pl.DataFrame(values, schema=["a", "b"]).with_columns(
        label=pl.Series(values[:, 0] > rng.normal(size=2000)), weight=rng.random(2000)
    )
    rows = filled(tmp_path, frame)
    models = {s: fitted(rows, s, weight="weight").bundle.booster.save_raw("ubj") for s in SKETCHES}
    assert len({bytes(one) for one in models.values()}) == 1
    plain = {"weighted": False, "categories": False}
    assert rp.XGBoost().own_bins(**plain)
    assert not rp.XGBoost().own_bins(weighted=True, categories=False)
    assert not rp.XGBoost().own_bins(weighted=False, categories=True)
    for settings in (
        {"categorical": ["a"]},
        {"device": "cuda"},
        {"max_bin": 1025},
        {"sketch": "xgboost"},
    ):
        assert not rp.XGBoost(**settings).own_bins(**plain)


def as_ranks(parts: list[np.ndarray[Any, Any]], max_bin: int) -> list[bytes]:
    """What each of the ranks finds, one after the other."""
    tracker = xgboost.RabitTracker(n_workers=len(parts), host_ip="127.0.0.1", sortby="task")
    tracker.start()
    found: dict[int, bytes] = {}

    def rank(number: int) -> None:
        arguments = {**tracker.worker_args(), "dmlc_task_id": f"rank-{number:08d}"}
        with (
            xgboost.collective.CommunicatorContext(**arguments),
            Sketch(parts[number].shape[1], max_bin, 1) as sketch,
        ):
            sketch.update(parts[number])
            found[number] = sketch.representatives().tobytes()

    threads = [threading.Thread(target=rank, args=(number,)) for number in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracker.wait_for()
    return [found[number] for number in range(len(parts))]


def test_ranks_agree_also_one_without_rows_and_one_without_a_value() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(90_000, 3)).astype(np.float32)
    features[:30_000, 1] = np.nan
    features[:, 2] = rng.integers(0, 9, 90_000)
    parts = [features[:30_000], features[:0], features[30_000:]]
    found = as_ranks(parts, 16)
    assert len(set(found)) == 1
    assert found == as_ranks(parts, 16)
    table = np.frombuffer(found[0], np.float32).reshape(-1, 3)
    assert table[~np.isnan(table[:, 2]), 2].tolist() == list(range(9))
    for number in range(2):
        ordered = np.sort(features[:, number])
        ordered = ordered[~np.isnan(ordered)]
        assert table[[0, 16], number].tolist() == [ordered[0], ordered[-1]]
        below = np.searchsorted(ordered, table[1:16, number])
        wanted = np.arange(1, 16) * len(ordered) / 16
        assert np.abs(below - wanted).max() <= len(ordered) / (8 * 16)


def test_ranks_are_as_near_with_the_most_bins_as_with_few() -> None:
    """What a rank tells of a column grows with the bins."""
    features = np.random.default_rng(7).normal(size=(200_000, 1)).astype(np.float32)
    found = as_ranks([features[:120_000], features[120_000:]], MOST_BINS)
    assert len(set(found)) == 1
    table = np.frombuffer(found[0], np.float32)
    assert len(table) == MOST_BINS + 1
    below = np.searchsorted(np.sort(features[:, 0]), table[1:-1])
    wanted = np.arange(1, MOST_BINS) * len(features) / MOST_BINS
    assert np.abs(below - wanted).max() <= len(features) / (8 * MOST_BINS)


def test_ranks_find_the_same_of_all_columns_at_once_and_of_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = np.random.default_rng(8).normal(size=(9_000, 5)).astype(np.float32)
    features[:, 3] = np.nan  # no rank has a value
    parts = np.array_split(features, 3)
    together = as_ranks(parts, 16)
    monkeypatch.setattr(sketching, "_TOLD_AT_ONCE", 1)
    assert as_ranks(parts, 16) == together


@pytest.mark.parametrize("rare", [False, True])
def test_held_out_figures_are_those_of_xgboosts_own(tmp_path: Path, rare: bool) -> None:
    """Over six seeds of sampled rows the mean difference is within the noise of the seeds."""
    rng = np.random.default_rng(6)
    values = rng.lognormal(0.0, 2.0, size=(24_000, 4))
    values[rng.random(values.shape) < 0.4] = 0.0
    score = np.log1p(values[:, 0]) - np.log1p(values[:, 1]) + (values[:, 2] == 0.0)
    if rare:  # a label for one row in fifty, mostly by the tail of one column
        score = np.where(values[:, 3] > np.quantile(values[:, 3], 0.985), 6.0, score - 5.5)
    label = rng.random(24_000) < 1 / (1 + np.exp(-score))
    frame = pl.DataFrame(values, schema=["a", "b", "c", "d"]).with_columns(
        label=pl.Series(label), held=pl.int_range(24_000) % 3 == 0
    )
    rows = filled(tmp_path, frame)
    early, late = rows.where(~pl.col("held")), rows.where(pl.col("held"))
    figures: dict[str, list[tuple[float, float]]] = {}
    for sketch in SKETCHES:
        for seed in range(6):
            trainer = rp.Trainer(
                rp.Recipe(rp.transforms.select("a", "b", "c", "d")),
                label="label",
                learner=rp.XGBoost(rounds=20, sketch=sketch, params={"subsample": 0.7}),
                seed=seed,
                run_on="local",
            )
            told = trainer.fit(early, late).metrics
            assert told["log_loss"] is not None
            assert told["roc_auc"] is not None
            figures.setdefault(sketch, []).append((told["log_loss"], told["roc_auc"]))
    mine, own = (np.array(figures[sketch]) for sketch in SKETCHES)
    noise = np.sqrt(mine.var(axis=0, ddof=1) + own.var(axis=0, ddof=1)) / np.sqrt(len(own))
    assert (np.abs(mine.mean(axis=0) - own.mean(axis=0)) <= 3 * noise).all(), (mine, own)
