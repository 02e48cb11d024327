from __future__ import annotations

import json

import numpy as np
import pytest

from raypipe.core.errors import IntegrityError
from raypipe.models import ModelBundle
from raypipe.models.bundle import FILES as OTHERS
from tests import small

FILES = ("model.ubj", *OTHERS)


def test_files_give_the_same_bundle_again() -> None:
    run = small.train(small.rows())
    files = run.bundle.to_files()
    assert set(files) == {*FILES, "manifest.json"}
    again = ModelBundle.from_files(files.__getitem__)
    assert again.content_hash == run.bundle.content_hash
    assert again.to_files() == files
    data = small.rows(seed=3)
    assert again.predict(data).tobytes() == run.bundle.predict(data).tobytes()


def test_a_row_alone_a_list_and_a_frame_score_to_the_same_bits() -> None:
    bundle = small.train(small.rows()).bundle
    data = small.rows(n=50, seed=5).drop("late")
    frame = bundle.predict(data)
    rows = data.to_dicts()
    assert bundle.predict(rows).tobytes() == frame.tobytes()
    alone = np.concatenate([bundle.predict([row]) for row in rows])
    assert alone.tobytes() == frame.tobytes()
    assert bundle.predict([]).shape == (0,)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(name: str) -> None:
    files = small.train(small.rows()).bundle.to_files()
    files[name] = files[name] + b" "
    with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
        ModelBundle.from_files(files.__getitem__)


def test_an_unknown_format_is_refused() -> None:
    files = small.train(small.rows()).bundle.to_files()
    manifest = json.loads(files["manifest.json"]) | {"format": 99}
    files["manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(IntegrityError, match="format is unknown: got 99"):
        ModelBundle.from_files(files.__getitem__)


def test_the_signature_names_inputs_only() -> None:
    signature = small.train(small.rows()).bundle.signature
    assert {item["name"]: item["type"] for item in signature["inputs"]} == {
        "x": "float64",
        "y": "float64",
        "color": "string",
    }
