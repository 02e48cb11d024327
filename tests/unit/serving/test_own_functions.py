"""A version that functions of the user's own load: a replica trusts what its deployer trusts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError
from raypipe.models import ModelBundle, trusting
from raypipe.models.forms.folder import to_bytes
from raypipe.serving.replica import Replica
from tests import loop_of_ours, small
from tests.unit.serving.test_replica import ask, config

NAMES = ("tests.loop_of_ours:load", "tests.loop_of_ours:predict")


@pytest.fixture
def lake(lake_root: str, monkeypatch: pytest.MonkeyPatch) -> rp.Lake:
    """One version in service; then nothing is trusted any more, as in a new process."""
    monkeypatch.setattr(trusting, "_trusted", set(NAMES))
    lake = rp.Lake(lake_root)
    frame = small.rows(n=200)
    fitted = small.recipe().fit(frame, label="late")
    weights = np.linspace(-1, 1, len(fitted.feature_names) + 1).tolist()
    files = {"model.json": json.dumps({"weights": weights, "rounds": 1}).encode()}
    manifest = {"label_mean": 0.5, "rows": 200, "metrics": {}}
    bundle = ModelBundle(to_bytes(files, *NAMES), fitted, manifest, "model.zip")
    run = small.SmallRun(id="r", bundle=bundle, valid=None)
    rp.Registry(lake).register("delays", run).promote()
    trusting._trusted.clear()
    return lake


def asked() -> dict[str, Any]:
    return {"rows": [{"x": 0.5, "y": None, "color": "red"}]}


def test_a_replica_that_trusts_nothing_does_not_load_it(lake: rp.Lake) -> None:
    with pytest.raises(ConfigError, match="not told to trust: got tests"):
        Replica(lake, config())


def test_a_replica_trusts_what_its_deployer_trusts(lake: rp.Lake) -> None:
    rp.trust(loop_of_ours.load, loop_of_ours.predict)
    made = rp.Service(lake, "delays")._config()
    assert made.trusted == tuple(sorted(NAMES))
    trusting._trusted.clear()
    assert made.fingerprint != rp.Service(lake, "delays")._config().fingerprint
    replica = Replica(lake, config(trusted=made.trusted))
    status, answer, _ = asyncio.run(ask(replica, "POST", "/predict/delays", asked()))
    assert status == 200
    frame = pl.DataFrame(asked()["rows"], schema={"x": pl.Float64, "y": pl.Float64, "color": str})
    expected = rp.Registry(lake).version("delays", 1).predict(frame)
    assert answer["predictions"][0]["score"] == expected[0]
