from __future__ import annotations

import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError
from tests import small


def test_floor_and_baseline() -> None:
    run = small.train(small.rows(), small.rows(seed=1))
    report = rp.Gate(rp.metrics.roc_auc, at_least=0.6).evaluate(run.bundle, validation=run.valid)
    assert report.passed
    assert report.checks[0].against == "floor"
    assert report.checks[0].rows == 400
    report = rp.Gate(rp.metrics.log_loss, beats="baseline").evaluate(
        run.bundle, validation=run.valid
    )
    assert report.passed
    too_high = rp.Gate(rp.metrics.roc_auc, at_least=0.9999)
    assert not too_high.evaluate(run.bundle, validation=run.valid).passed
    ceiling = rp.Gate(rp.metrics.log_loss, at_least=0.01)
    assert not ceiling.evaluate(run.bundle, validation=run.valid).passed


def test_a_model_does_not_beat_itself_and_the_margin_counts() -> None:
    valid = small.rows(seed=1)
    good, bad = small.train(small.rows()), small.train(small.rows(n=20, noise=5.0))
    gate = rp.Gate(rp.metrics.roc_auc, beats="champion", on=valid)
    assert not gate.evaluate(good.bundle, champion=lambda: good.bundle).passed
    assert gate.evaluate(good.bundle, champion=lambda: bad.bundle).passed
    assert gate.evaluate(good.bundle, champion=lambda: None).passed
    wide = rp.Gate(rp.metrics.roc_auc, beats="champion", on=valid, margin=0.9)
    assert not wide.evaluate(good.bundle, champion=lambda: bad.bundle).passed


def test_bad_gates_and_missing_rows_are_refused() -> None:
    run = small.train(small.rows())
    with pytest.raises(ConfigError, match="checks nothing"):
        rp.Gate(rp.metrics.roc_auc)
    with pytest.raises(ConfigError, match="unknown opponent"):
        rp.Gate(rp.metrics.roc_auc, beats="nobody")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="margin"):
        rp.Gate(rp.metrics.roc_auc, beats="champion", margin=-0.1)
    with pytest.raises(ConfigError, match="no rows to judge on"):
        rp.Gate(rp.metrics.roc_auc, at_least=0.5).evaluate(run.bundle)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="at_least"):
            rp.Gate(rp.metrics.roc_auc, at_least=bad)
        with pytest.raises(ConfigError, match="margin"):
            rp.Gate(rp.metrics.roc_auc, beats="champion", margin=bad)
    with pytest.raises(ConfigError, match="needs a metric"):
        rp.Gate("roc_auc", at_least=0.5)  # type: ignore[arg-type]
    unlabelled = small.rows().with_columns(late=None).cast({"late": bool})
    with pytest.raises(ConfigError, match="judges on has a label"):
        rp.Gate(rp.metrics.roc_auc, at_least=0.5, on=unlabelled).evaluate(run.bundle)
