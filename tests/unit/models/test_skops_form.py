"""An estimator's file that is damaged is refused in words, whatever its bytes are."""

from __future__ import annotations

import io
import random
import zipfile

import numpy as np
import pytest

from raypipe.core.errors import IntegrityError
from raypipe.models.forms.estimators import SklearnScorer, to_bytes

linear_model = pytest.importorskip("sklearn.linear_model")
pytest.importorskip("skops")

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


def model() -> bytes:
    return to_bytes(linear_model.LogisticRegression().fit(ROWS, [0, 1, 0, 1, 1, 0]))


def test_damage_anywhere_is_told_or_does_no_harm() -> None:
    whole, rng, refused = model(), random.Random(1), 0
    assert np.isfinite(SklearnScorer(whole).score(ROWS)).all()
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 4])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            SklearnScorer(bytes(damaged))
        except IntegrityError:
            refused += 1
    assert refused > 50


def test_a_file_that_is_nested_too_deeply_or_leaves_its_folder() -> None:
    entries = zipfile.ZipFile(io.BytesIO(model()))
    for name, data in (("schema.json", b"[" * 300_000), ("../../evil", b"x")):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr(name, data)
            for one in entries.namelist():
                if one not in {name, "schema.json"}:
                    archive.writestr(one, entries.read(one))
        with pytest.raises(IntegrityError):
            SklearnScorer(made.getvalue())
