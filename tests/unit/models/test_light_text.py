"""LightGBM ends the process over some damaged texts, so they are refused before it sees them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from raypipe.core.errors import IntegrityError
from raypipe.models.forms import scorer
from raypipe.models.forms.light_text import check_text

lightgbm = pytest.importorskip("lightgbm")


def grown(objective: str = "binary", **settings: object) -> str:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 3))
    features[:, 2] = rng.integers(0, 5, 300)
    label = (features[:, 0] > 0) ^ (features[:, 2] == 3)
    rows = lightgbm.Dataset(features, label.astype(int), categorical_feature=[2])
    params = {"objective": objective, "verbosity": -1, "num_leaves": 4, "seed": 1, **settings}
    text: str = lightgbm.train(params, rows, 3).model_to_string()
    settings_from, settings_to = text.index("\nparameters:"), text.index("\npandas_categorical:")
    return text[:settings_from] + text[settings_to:]  # as models are stored


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"objective": "multiclass", "num_class": 2},
        {"objective": "regression", "monotone_constraints": [1, 0, 0]},
        {"min_data_in_leaf": 1000},
        {"cat_smooth": 0.0, "cat_l2": 0.0, "max_cat_to_onehot": 1, "min_data_per_group": 1},
    ],
)
def test_what_the_library_writes_is_taken(settings: dict[str, object]) -> None:
    check_text(grown(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("begins", "instead"),
    [
        ("split_gain=", "split_gain=1 2\n3"),
        ("split_feature=", "split_feature=0 1 9"),
        ("left_child=", "left_child=0 -1 -2"),
        ("right_child=", "right_child=7 8 9"),
        ("threshold=", "threshold=1 2"),
        ("leaf_value=", "leaf_value=1 2 3 nan"),
        ("num_leaves=", "num_leaves=999999999"),
        ("max_feature_idx=", "max_feature_idx=1"),
        ("num_class=", "num_class=1000000"),
        ("tree_sizes=", "tree_sizes=1 2 3"),
        ("is_linear=", "is_linear=1"),
    ],
)
def test_what_is_damaged_is_refused(begins: str, instead: str) -> None:
    text = grown()
    line = next(line for line in text.split("\n") if line.startswith(begins))
    grow = len(instead) - len(line)
    changed = text.replace(line, instead, 1)
    sizes = next(line for line in text.split("\n") if line.startswith("tree_sizes="))
    first = int(sizes.split("=")[1].split(" ")[0])
    if text.index(line) > text.index("Tree=0"):  # its length is told rightly
        changed = changed.replace(f"tree_sizes={first}", f"tree_sizes={first + grow}", 1)
    with pytest.raises(IntegrityError):
        scorer("model.txt", changed.encode())


def test_damage_anywhere_ends_no_process() -> None:
    model, rng = grown().encode(), random.Random(0)
    rows = np.zeros((2, 3), np.float32)
    scored = 0
    for _ in range(400):
        damaged = bytearray(model)
        damaged[rng.randrange(len(damaged))] = rng.choice(b"0123456789-. \n\r\0=")
        try:
            scored += len(scorer("model.txt", bytes(damaged)).score(rows)) == 2
        except IntegrityError:
            continue
    assert 0 < scored < 400
