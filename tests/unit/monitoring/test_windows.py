from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from raypipe.core.errors import ConfigError, IntegrityError, MonitorError, SchemaError
from raypipe.monitoring.config import MonitorConfig
from raypipe.monitoring.figures import FIGURES_SCHEMA, Alert, figures_frame
from raypipe.monitoring.performance import match_labels
from raypipe.monitoring.state import MonitorState, acknowledge
from raypipe.monitoring.windows import Window, advance, due_windows

ORIGIN = datetime(2013, 4, 1)
CONFIG = MonitorConfig()
WEEK = timedelta(weeks=1)


def start(profile, config=CONFIG, baseline=None) -> MonitorState:
    return MonitorState.start(
        model="delays",
        version=3,
        origin=ORIGIN,
        profile=profile,
        config=config,
        baseline_loss=baseline,
    )


def step(state, frame, profile, config=CONFIG, labelled=None):
    window = Window(
        start=state.watermark,
        end=state.watermark + config.window,
        predictions=frame,
        labelled=labelled,
    )
    return advance(state, window, profile=profile, config=config)


def labelled_week(week: int, count: int, positive: float) -> pl.DataFrame:
    rng = np.random.default_rng(week)
    return pl.DataFrame(
        {
            "prediction_id": [f"{week}-{i}" for i in range(count)],
            "event_time": [ORIGIN] * count,
            "score": np.full(count, 0.2),
            "label": (rng.random(count) < positive).astype(float),
        }
    )


def test_quiet_weeks_raise_nothing(profile, draw):
    state = start(profile)
    for week in range(6):
        state, figures, alert = step(state, draw(week), profile)
        assert alert is None
    assert state.watermark == ORIGIN + 6 * WEEK
    assert [(row.kind, row.name) for row in figures] == [
        ("column", "origin"),
        ("column", "temp"),
        ("all", "all"),
    ]
    assert all(row.psi < 0.02 for row in figures[:2])
    assert figures[-1].log_e is None
    assert figures[-1].rows == 2000


def test_a_shift_raises_one_alert_that_names_the_column(profile, draw):
    state = start(profile)
    for week in range(3):
        state, _, _ = step(state, draw(week), profile)
    state, figures, alert = step(state, draw(3, shift=4.0), profile)
    assert alert == state.alert
    assert (alert.cause, alert.columns, alert.epoch) == ("drift", ("temp",), 0)
    assert alert.window_end == ORIGIN + 4 * WEEK
    assert alert.e_value >= 100
    assert "temp (PSI" in alert.message
    assert [row.guilty for row in figures] == [False, True, True]
    state, _, again = step(state, draw(4, shift=4.0), profile)
    assert again is None
    assert state.alert == alert


def test_a_handled_alert_opens_a_new_epoch_with_fresh_evidence(profile, draw):
    state, _, first = step(start(profile), draw(0, shift=5.0), profile)
    state = acknowledge(state)
    assert (state.epoch, state.alert, state.watermark) == (1, None, ORIGIN + WEEK)
    assert all(column.rows == 0 for column in state.columns.values())
    state, _, second = step(state, draw(1, shift=5.0), profile)
    assert second.id != first.id
    with pytest.raises(MonitorError, match="no alert"):
        acknowledge(start(profile))


def test_category_and_null_drift_are_found(profile, draw):
    _, _, alert = step(start(profile), draw(0, weights=(5, 5, 10)), profile)
    assert alert.columns == ("origin",)
    nulls = draw(0).with_columns(
        temp=pl.when(pl.int_range(pl.len()) % 3 > 0).then("temp").otherwise(None)
    )
    _, figures, alert = step(start(profile), nulls, profile)
    assert alert.columns == ("temp",)
    assert figures[1].missing_share == pytest.approx(0.34, abs=0.02)
    unseen = draw(0).with_columns(
        origin=pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("BOS")).otherwise("origin")
    )
    _, figures, alert = step(start(profile), unseen, profile)
    assert alert.columns == ("origin",)
    assert figures[0].other_share == 0.2


def test_a_certain_but_trivial_difference_stays_quiet(profile, draw):
    state = start(profile)
    for week in range(4):
        state, figures, alert = step(state, draw(week, 6000, shift=0.7), profile)
        assert alert is None
    assert figures[1].log_e > 50
    assert figures[1].psi < 0.1
    open_floor = MonitorConfig(psi_floor=0.0)
    state = start(profile, open_floor)
    _, _, alert = step(state, draw(0, 6000, shift=0.7), profile, open_floor)
    assert alert.columns == ("temp",)


def test_worse_predictions_raise_and_equal_ones_do_not(profile, draw):
    same, worse = start(profile, baseline=0.16), start(profile, baseline=0.16)
    for week in range(4):
        same, _, alert = step(same, draw(week), profile, labelled=labelled_week(week, 2000, 0.2))
        assert alert is None
        worse, figures, alert = step(
            worse, draw(week), profile, labelled=labelled_week(week, 2000, 0.35)
        )
        if alert:
            break
    assert (alert.cause, alert.columns) == ("performance", ())
    assert "Brier loss 0.2" in alert.message
    assert figures[2].name == "performance"
    assert figures[2].roc_auc == 0.5
    assert week == 0
    _, _, both = step(
        start(profile, baseline=0.16),
        draw(0, shift=5),
        profile,
        labelled=labelled_week(0, 2000, 0.5),
    )
    assert (both.cause, both.columns) == ("both", ("temp",))


def test_few_rows_raise_nothing_but_count(profile, draw):
    config = MonitorConfig(min_rows=500)
    state, figures, alert = step(start(profile, config), draw(0, 400, shift=9), profile, config)
    assert alert is None
    assert figures[1].log_e > 50
    _, _, alert = step(state, draw(1, 500), profile, config)
    assert alert is None


def test_an_empty_window_is_a_window(profile, draw):
    state, figures, alert = step(start(profile, baseline=0.2), draw(0, 0), profile)
    assert alert is None
    assert [row.rows for row in figures] == [0, 0, 0, 0]
    assert figures[0].psi is None
    assert figures[2].brier is None
    assert state.watermark == ORIGIN + WEEK
    bare = draw(0, 0).select("prediction_id", "event_time", "score")
    assert step(start(profile, baseline=0.2), bare, profile)[0] == state


def test_the_order_and_repetition_of_rows_do_not_matter(profile, draw):
    frame = draw(0)
    one = step(start(profile), frame, profile)
    other = step(
        start(profile),
        pl.concat([frame, frame[:100]]).sample(fraction=1.0, shuffle=True, seed=1),
        profile,
    )
    assert one == other
    assert one[0].to_json() == other[0].to_json()


def test_state_survives_json_at_every_step(profile, draw):
    state = start(profile, baseline=0.16)
    for week in range(12):
        labels = labelled_week(week, 200, 0.21)
        state, _, _ = step(state, draw(week, 300, shift=week - 4.0), profile, labelled=labels)
        text = state.to_json()
        state = MonitorState.from_json(text)
        assert state.to_json() == text
    assert state.alert is not None


def test_state_that_is_none_is_refused(profile):
    for text in (
        "{}",
        "[]",
        "nonsense",
        start(profile).to_json().replace('"format":1', '"format":9'),
    ):
        with pytest.raises(IntegrityError, match="state of a monitor"):
            MonitorState.from_json(text)


def test_due_windows_are_complete_and_labels_lag(profile):
    state = start(profile)
    assert due_windows(state, CONFIG, ORIGIN + WEEK - timedelta(microseconds=1)) == []
    first, second = due_windows(state, CONFIG, ORIGIN + 2.5 * WEEK)
    assert (first.start, first.end) == (ORIGIN, ORIGIN + WEEK)
    assert first.labelled_start == first.labelled_end == ORIGIN
    assert (second.labelled_start, second.labelled_end) == (ORIGIN, ORIGIN + WEEK)
    halfway = MonitorConfig(label_delay=timedelta(days=3))
    first = due_windows(start(profile, halfway), halfway, ORIGIN + WEEK)[0]
    assert (first.labelled_start, first.labelled_end) == (ORIGIN, ORIGIN + timedelta(days=4))


def test_windows_out_of_turn_or_under_other_settings_are_refused(profile, draw):
    state, _, _ = step(start(profile), draw(0), profile)
    for begin in (ORIGIN, ORIGIN + 2 * WEEK):
        window = Window(start=begin, end=begin + WEEK, predictions=draw(0))
        with pytest.raises(MonitorError, match="in order, each once"):
            advance(state, window, profile=profile, config=CONFIG)
    with pytest.raises(MonitorError, match="profile or the settings"):
        step(state, draw(1), profile, replace(CONFIG, false_alarm=0.5))


def test_bad_rows_name_the_column(profile, draw):
    state = start(profile, baseline=0.16)
    with pytest.raises(SchemaError, match="missing from the predictions") as caught:
        step(state, draw(0).drop("temp"), profile)
    assert caught.value.field == "temp"
    with pytest.raises(SchemaError) as caught:
        step(state, draw(0).drop("event_time"), profile)
    assert caught.value.field == "event_time"
    with pytest.raises(SchemaError, match="outside the window"):
        step(state, draw(1), profile)
    for value in (1.5, -0.1, math.nan, None):
        labels = labelled_week(0, 3, 0.5).with_columns(label=pl.lit(value, dtype=pl.Float64))
        with pytest.raises(SchemaError, match=r"must lie in \[0, 1\]") as caught:
            step(state, draw(0), profile, labelled=labels)
        assert caught.value.field == "label"


def test_what_cannot_be_started_says_why(profile):
    for baseline in (1.0, -0.5, math.nan):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            start(profile, baseline=baseline)
    with pytest.raises(ConfigError, match="nothing to watch"):
        start(profile, MonitorConfig(ignore=("temp", "origin")))


def test_figures_and_alerts_as_table_rows(profile, draw):
    _, figures, alert = step(start(profile, baseline=0.16), draw(0, shift=5), profile)
    frame = figures_frame(figures)
    assert dict(frame.schema) == FIGURES_SCHEMA
    assert frame.height == 4
    assert dict(figures_frame([]).schema) == FIGURES_SCHEMA
    assert frame["guilty"].to_list() == [False, True, False, True]
    assert Alert.from_dict(alert.to_dict()) == alert


def test_labels_meet_predictions_once(draw):
    predictions = draw(0, 10)
    labels = pl.DataFrame(
        {"prediction_id": ["0-1", "0-1", "0-4", "0-5", "zz"], "label": [1.0, 0.0, 0.0, None, 1.0]}
    )
    matched = match_labels(pl.concat([predictions, predictions]), labels)
    assert matched["prediction_id"].to_list() == ["0-1", "0-4"]
    assert matched["label"].to_list() == [1.0, 0.0]
    assert matched.columns == ["prediction_id", "event_time", "score", "label"]
