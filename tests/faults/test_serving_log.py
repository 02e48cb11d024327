"""A replica that is killed around the commit of its log, and the client that asks again."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from raypipe.lake import Lake
from raypipe.serving.answers import Scored
from raypipe.serving.log import PredictionLog
from raypipe.serving.log_table import Entry, predictions
from raypipe.serving.protocol import Parsed
from raypipe.serving.signature import Signature
from tests.faults import drivers


def answer(root: str, score: float, names: tuple[str, ...], fault: str, told: str) -> None:
    """Logs requests, and tells once it could answer them."""
    os.environ["RAYPIPE_FAULT"] = fault
    log = PredictionLog(Lake(root), "m", "durable", timedelta(milliseconds=100))
    log.admit(Signature([{"name": "temp", "type": "float64", "nullable": False}]))
    waiting = []
    for name in names:
        parsed = Parsed(id=name, given=True, columns={"temp": [1.0, 2.0]})
        ids = parsed.prediction_ids()
        scored = Scored(model="m", version=1, id=name, prediction_ids=ids, scores=[score] * 2)
        waiting.append(log.add(Entry(parsed=parsed, scored=scored, at=datetime(2013, 7, 1))))
    for future in waiting:
        future.result(timeout=120)
    Path(told).touch()
    log.close()


def write(root: str, score: float, *names: str, fault: str = "") -> tuple[int, bool]:
    """Logs requests in a process of its own; gives its end, and whether it could answer."""
    told = Path(f"{root}-answered")
    told.unlink(missing_ok=True)
    code = drivers.run(answer, root, score, names, fault, str(told))
    return code, told.exists()


@pytest.mark.parametrize(
    ("fault", "counts"),
    [
        ("serving:before-log", 0.9),
        ("lake:after-files", 0.9),
        ("lake:before-commit", 0.9),
        ("lake:after-commit", 0.1),
        ("serving:after-log", 0.1),
    ],
)
def test_each_prediction_is_there_once_after_a_kill_and_a_retry(
    lake_root: str, fault: str, counts: float
) -> None:
    write(lake_root, 0.5, "earlier")
    assert write(lake_root, 0.1, "a", "b", fault=fault) == (-9, False)
    # the clients come back on their own, and meet others in their commits
    assert write(lake_root, 0.9, "b", "other") == (0, True)
    assert write(lake_root, 0.9, "a") == (0, True)
    seen = predictions(Lake(lake_root), "m").collect()
    assert sorted(seen["prediction_id"]) == sorted(
        f"{name}:{row}" for name in ("earlier", "a", "b", "other") for row in (0, 1)
    )
    scores = dict(seen.select("request_id", "score").iter_rows())
    assert scores == {"earlier": 0.5, "a": counts, "b": counts, "other": 0.9}
