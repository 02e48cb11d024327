from __future__ import annotations

import math

import numpy as np
import pytest

from raypipe.monitoring import drift, performance
from raypipe.monitoring.evidence import judge, log_mean, name_guilty
from raypipe.monitoring.sketch import Reference


def test_psi_and_total_variation_by_hand():
    reference, live = np.array([499_999, 499_999, 0]), np.array([250, 750, 0])
    psi = drift.population_stability_index(reference * 100, live * 1000)
    assert psi == pytest.approx(0.25 * math.log(3), rel=1e-2)
    assert drift.total_variation(reference, live) == pytest.approx(0.25)
    assert drift.total_variation(reference, np.zeros(3, dtype=np.int64)) == 0.0


def test_psi_without_drift_is_about_its_stated_size():
    rng = np.random.default_rng(0)
    reference = rng.multinomial(90_000, np.full(12, 1 / 12))
    values = [
        drift.population_stability_index(reference, rng.multinomial(7000, np.full(12, 1 / 12)))
        for _ in range(200)
    ]
    noise = drift.psi_noise(reference, np.full(12, 7000 // 12))
    assert noise == pytest.approx(11 * (1 / 90_000 + 1 / 7000), rel=0.01)
    assert np.mean(values) == pytest.approx(noise, rel=0.1)
    assert drift.psi_noise(np.array([5, 0, 5]), np.array([10, 0, 0])) == pytest.approx(0.2)


def test_an_empty_bin_on_either_side_stays_finite():
    figures = drift.measure(np.array([0, 10, 0]), np.array([10, 0, 5]), other=1)
    assert math.isfinite(figures.psi)
    assert (figures.missing_share, figures.other_share) == (pytest.approx(1 / 3), 0.0)


def test_codes_are_ordered_by_name_then_other_then_null(profile, draw):
    reference = Reference.of(profile.columns["origin"])
    assert reference.counts.tolist() == [7000, 5000, 8000, 0, 200]  # EWR, JFK, LGA, other, null
    assert reference.other == 3
    frame = draw(0, 3).with_columns(origin=np.array(["LGA", "BOS", "EWR"]))
    assert reference.codes(frame).tolist() == [2, 3, 0]
    temp = Reference.of(profile.columns["temp"])
    assert temp.other is None
    assert temp.order.tolist() == list(range(11))


def test_roc_auc_counts_pairs():
    rng = np.random.default_rng(1)
    scores, labels = np.round(rng.random(60), 1), (rng.random(60) < 0.4).astype(float)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    assert performance.roc_auc(scores, labels) == pytest.approx(np.mean(pairs))
    assert performance.roc_auc(scores, np.ones(60)) is None


def test_figures_of_perfect_and_wrong_predictions():
    figures = performance.measure(np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0]))
    assert figures.brier == pytest.approx(1 / 3)
    assert figures.log_loss == pytest.approx(-math.log(1e-15) / 3, rel=1e-2)
    assert figures.positive_share == pytest.approx(1 / 3)
    assert performance.measure(np.empty(0), np.empty(0)).roc_auc is None


def test_mean_of_evidence_over_all_series():
    assert log_mean([]) == -math.inf
    assert log_mean([-math.inf, math.log(4)]) == pytest.approx(math.log(2))
    logs = {"a": math.log(199), "b": math.log(2)}
    loud = dict.fromkeys(logs, True)
    assert judge(logs, loud, 0.01).guilty == ("a",)  # 100.5 in the mean, though e-BH wants 200
    assert not judge(logs, {"a": False, "b": True}, 0.01).alarm
    assert name_guilty({"a": 9.0, "b": 8.9, "c": 0.0}, 0.01) == ("a", "b")
    assert name_guilty({}, 0.01) == ()
