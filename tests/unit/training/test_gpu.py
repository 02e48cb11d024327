"""``device="cuda"``: runs where there is a GPU, and is refused at once where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import raypipe as rp
from raypipe.core.errors import ResourceError
from tests import small

GPU = Path("/dev/nvidiactl").exists()


def rows(root: Path) -> rp.Snapshot:
    lake = rp.Lake(root / "lake")
    lake.table("rows").append(small.rows(n=2000))
    return lake.table("rows").at()


def trainer(device: str) -> rp.Trainer:
    learner = rp.XGBoost(rounds=10, device=device)
    return rp.Trainer(small.recipe(), label="late", learner=learner, run_on="local")


@pytest.mark.skipif(not GPU, reason="this machine has no GPU")
def test_a_gpu_learns_what_a_cpu_learns(tmp_path: Path) -> None:
    snapshot = rows(tmp_path)
    there, here = (trainer(device).fit(snapshot, snapshot) for device in ("cuda", "cpu"))
    assert there.bundle.manifest["learner"]["device"] == "cuda"
    one, other = there.metrics["roc_auc"], here.metrics["roc_auc"]
    assert one == pytest.approx(other, abs=0.02)
    assert np.isfinite(there.bundle.predict(snapshot.frame().head(20))).all()


@pytest.mark.skipif(GPU, reason="this machine has a GPU")
def test_without_a_gpu_it_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="no GPU"):
        trainer("cuda").fit(rows(tmp_path))
