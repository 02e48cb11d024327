from __future__ import annotations

import threading
from typing import Any

import pytest

import raypipe as rp
from raypipe.core.errors import (
    ConfigError,
    GateError,
    IntegrityError,
    ModelNotFoundError,
    RegistryError,
)
from tests import small


def test_register_promote_roll_back(lake_root: str) -> None:
    registry = rp.Registry(rp.Lake(lake_root))
    assert registry.models() == []
    assert registry.champion("m") is None
    one = registry.register("m", small.train(small.rows(seed=1)))
    two = registry.register("m", small.train(small.rows(seed=2)))
    assert (one.version, two.version) == (1, 2)
    one.promote()
    two.promote()
    assert registry.champion("m").version == 2  # type: ignore[union-attr]
    assert two.rollback().version == 1
    with pytest.raises(ConfigError, match="is not in service"):
        two.rollback()
    with pytest.raises(RegistryError, match="no earlier version"):
        one.rollback()
    with pytest.raises(ModelNotFoundError, match=r"versions \[1, 2\]"):
        registry.version("m", 3)
    loaded = rp.Registry(rp.Lake(lake_root)).version("m", 2)
    data = small.rows(seed=9)
    assert loaded.predict(data).tobytes() == two.predict(data).tobytes()


def test_a_run_is_one_version_and_a_cause_promotes_once(lake_root: str) -> None:
    registry = rp.Registry(rp.Lake(lake_root))
    run = small.train(small.rows())
    assert registry.register("m", run).version == registry.register("m", run).version == 1
    other = registry.register("m", small.train(small.rows(seed=2)))
    registry.promote("m", 1, cause="a")
    registry.promote("m", 1, cause="a")
    other.promote()
    registry.promote("m", 2, cause="a")
    registry.promote("m", 1, cause="a")  # told again later: that cause is spent
    assert registry.champion("m").version == 2  # type: ignore[union-attr]
    assert [e.kind for e in registry.events("m")].count("promoted") == 2


def test_a_refused_candidate_leaves_no_version(lake_root: str) -> None:
    registry = rp.Registry(rp.Lake(lake_root))
    run = small.train(small.rows(), small.rows(seed=1))
    gate = rp.Gate(rp.metrics.roc_auc, at_least=0.99999)
    for _ in range(2):
        with pytest.raises(GateError, match="roc_auc"):
            registry.register("m", run, gate)
    assert registry.versions("m") == []
    assert [e.kind for e in registry.events("m")] == ["refused"]
    assert registry.register("m", run, gate=[]).version == 1


def test_two_writers_never_share_a_number(lake_root: str) -> None:
    runs = [small.train(small.rows(seed=seed)) for seed in range(6)]
    numbers: list[int] = []

    def work(run: small.SmallRun) -> None:
        numbers.append(rp.Registry(rp.Lake(lake_root)).register("m", run).version)

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


def test_a_changed_manifest_is_refused(lake_root: str) -> None:
    lake = rp.Lake(lake_root)
    registry = rp.Registry(lake)
    run = small.train(small.rows())
    registry.register("m", run)
    path = f"models/m/{run.id}/manifest.json"
    lake.files.put(path, lake.files.get(path).replace(b'"rows":400', b'"rows":401'))
    with pytest.raises(IntegrityError, match="manifest of m version 1"):
        _ = registry.version("m", 1).bundle


def test_names_are_checked(lake_root: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a model"):
        rp.Registry(rp.Lake(lake_root)).register("../m", small.train(small.rows()))


@pytest.mark.parametrize("run", [None, "0a1b", small.recipe()])
def test_what_is_no_run(lake_root: str, run: Any) -> None:
    with pytest.raises(ConfigError, match=r"no finished run: got .*Trainer\.fit"):
        rp.Registry(rp.Lake(lake_root)).register("m", run)


def test_a_path_in_the_place_of_a_lake_is_refused_and_not_shown() -> None:
    path: Any = "s3://key:secret@bucket/lake"
    for use in (rp.Registry, rp.Runs, lambda lake: rp.Trainer.resume(lake, "0" * 20)):
        with pytest.raises(ConfigError, match=r"a lake: got str\. Pass Lake\(root\)\.$") as refused:
            use(path)
        assert refused.value.field == "lake"
