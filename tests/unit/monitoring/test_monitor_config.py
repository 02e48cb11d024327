from __future__ import annotations

from datetime import timedelta

import pytest

from raypipe.core.errors import ConfigError
from raypipe.core.identity import canonical_json
from raypipe.monitoring.config import MonitorConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("false_alarm", 0.0),
        ("false_alarm", 1.0),
        ("false_alarm", float("nan")),
        ("window", timedelta(0)),
        ("label_delay", timedelta(seconds=-1)),
        ("psi_floor", -0.1),
        ("performance_margin", 1.0),
        ("min_rows", 0),
        ("columns", "temp"),
        ("ignore", 3),
    ],
)
def test_bad_settings_name_themselves(field, value):
    with pytest.raises(ConfigError) as caught:
        MonitorConfig(**{field: value})
    assert caught.value.field == field


def test_watched_columns():
    assert MonitorConfig(ignore=["b"]).watched(["c", "b", "a"]) == ("a", "c")
    assert MonitorConfig(columns=["c"]).watched(["c", "b"]) == ("c",)
    with pytest.raises(ConfigError, match="Known columns: b, c"):
        MonitorConfig(columns=["temp"]).watched(["c", "b"])
    with pytest.raises(ConfigError) as caught:
        MonitorConfig(ignore=["temp"]).watched([])
    assert caught.value.field == "ignore"


def test_settings_as_json():
    values = MonitorConfig(window=timedelta(hours=1)).to_dict()
    assert values["window"] == 3600.0
    assert canonical_json(values)
