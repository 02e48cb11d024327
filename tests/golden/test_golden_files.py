"""Files of older releases stay readable and mean the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from raypipe.models import ModelBundle
from raypipe.monitoring.state import MonitorState

HERE = Path(__file__).parent


def test_a_bundle_of_format_1() -> None:
    folder = HERE / "bundle_1"
    expected = json.loads((folder / "expected.json").read_text())
    bundle = ModelBundle.from_files(lambda name: (folder / name).read_bytes())
    assert bundle.content_hash == expected["hash"]
    # written again, the files are those that were read, however this release writes a recipe
    assert bundle.to_files() == {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "expected.json"
    }
    scores = bundle.predict(expected["rows"])
    np.testing.assert_allclose(scores, expected["scores"], rtol=1e-6)
    assert set(bundle.recipe.inputs) == {"x", "y", "color"}


def test_a_monitor_state_of_format_1() -> None:
    text = (HERE / "monitor_state_1.json").read_text().strip()
    state = MonitorState.from_json(text)
    assert state.to_json() == text
    assert (state.model, state.version, state.epoch) == ("m", 1, 0)
    assert set(state.columns) == {"color", "x", "y"}
