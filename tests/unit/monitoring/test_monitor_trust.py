"""A monitor's actor loads the models that the process which starts it may load."""

from __future__ import annotations

import pytest
import ray

import raypipe as rp
from raypipe.models import trusting


def test_the_actor_trusts_what_its_starter_trusts(
    ray_session: None, lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusting, "_trusted", set())
    rp.trust("somewhere:load", "somewhere:predict")
    monitor = rp.Monitor(rp.Lake(lake_root), "delays").start(poll_every=None)
    try:
        seat = monitor._seat()
        there = ray.get(seat.__ray_call__.remote(lambda _: trusting.trusted()))
        assert there == ("somewhere:load", "somewhere:predict")
    finally:
        monitor.stop()
