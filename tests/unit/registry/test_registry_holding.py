"""A registered model pins the versions of tables that its manifest names."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

import raypipe as rp
from raypipe.models import ModelBundle
from raypipe.registry.holding import sources
from tests import small


def trained_on(lake: rp.Lake, train: int, valid: int) -> small.SmallRun:
    run = small.train(small.rows(), small.rows(seed=1))
    table = lake.table("flights")
    manifest = {
        **run.bundle.manifest,
        "train": table.at(version=train).identity(),
        "valid": table.at(version=valid).identity(),
    }
    bundle = ModelBundle(run.bundle.model, run.bundle.recipe, manifest)
    return replace(run, bundle=bundle)


@pytest.fixture
def lake(lake_root: str) -> rp.Lake:
    lake = rp.Lake(lake_root)
    for seed in range(3):
        lake.table("flights").overwrite(small.rows(seed=seed))
    return lake


def test_registering_pins_for_ever_and_once(lake: rp.Lake) -> None:
    run = trained_on(lake, 1, 2)
    registry = rp.Registry(lake)
    registry.register("delays", run)
    pins = lake.pins()
    assert [(p.table, p.version, p.until) for p in pins] == [
        ("flights", 1, None),
        ("flights", 2, None),
    ]
    assert {p.holder for p in pins} == {f"model delays, run {run.id}"}
    revision = lake._pin_book.read()[1]
    registry.register("delays", run)
    assert lake._pin_book.read()[1] == revision


def test_a_refused_candidate_pins_nothing(lake: rp.Lake) -> None:
    run = trained_on(lake, 1, 2)
    gate = rp.Gate(rp.metrics.roc_auc, at_least=0.9999, on=small.rows(seed=4))
    with pytest.raises(rp.errors.GateError):
        rp.Registry(lake).register("delays", run, gate)
    assert lake.pins() == ()


def test_a_register_that_was_cut_short_pins_when_it_is_called_again(lake: rp.Lake) -> None:
    run = trained_on(lake, 1, 2)
    rp.Registry(lake).register("delays", run)
    lake.unpin(f"model delays, run {run.id}")  # as if killed after the event, before the pins
    rp.Registry(lake).register("delays", run)
    assert len(lake.pins()) == 2


def test_what_is_gone_is_said_and_the_model_registered(
    lake: rp.Lake, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained_on(lake, 1, 3)
    manifest = {**run.bundle.manifest, "train": {"table": "flights", "version": 99}}
    bundle = ModelBundle(run.bundle.model, run.bundle.recipe, manifest)
    with caplog.at_level(logging.WARNING):
        version = rp.Registry(lake).register("delays", replace(run, bundle=bundle))
    assert version.version == 1
    assert "cannot be built again" in caplog.text
    assert [p.version for p in lake.pins()] == [3]


def test_manifests_without_tables_hold_nothing() -> None:
    assert sources({}) == ()
    assert sources({"train": "somewhere", "valid": None}) == ()
    same = {"table": "t", "version": 4}
    assert sources({"train": same, "valid": dict(same)}) == (("t", 4),)
