"""Out-of-fold encodings: no row of the fit sees its own label, and only training pays for it."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import FittedRecipe, Recipe
from raypipe.features import transforms as t
from raypipe.features.transforms.base import PlacedState
from raypipe.features.transforms.hashing import row_hash
from tests.unit.features.test_recipe_fit import Parts

ROWS = 4_000


def _noise(rows: int = ROWS, categories: int = 1_000) -> pl.DataFrame:
    random = np.random.default_rng(7)
    names = [f"c{n}" for n in random.integers(0, categories, rows)]
    return pl.DataFrame({"s": names, "x": random.normal(size=rows)}).with_columns(
        y=pl.Series(random.integers(0, 2, rows))
    )


def _auc(scores: pl.Series, labels: pl.Series) -> float:
    ranks = scores.rank("average")
    positives = labels.sum()
    above = ranks.filter(labels == 1).sum() - positives * (positives + 1) / 2
    return float(above / (positives * (labels.len() - positives)))


def _by_hand(frame: pl.DataFrame, fold: np.ndarray[Any, Any], folds: int, m: float) -> list[float]:
    found = []
    rows = frame.with_columns(fold=pl.Series(fold.astype(np.int64))).to_dicts()
    for row in rows:
        others = [o for o in rows if o["fold"] != row["fold"] and o["y"] is not None]
        prior = sum(o["y"] for o in others) / len(others)
        same = [o["y"] for o in others if row["s"] is not None and o["s"] == row["s"]]
        found.append((sum(same) + m * prior) / (len(same) + m))
    return found


def test_noise_gives_training_no_signal_and_plain_encoding_does() -> None:
    frame = _noise()
    for folds, low, high in ((5, 0.47, 0.53), (10, 0.47, 0.53), (0, 0.75, 1.0)):
        recipe = Recipe(t.target_encode("s", smoothing=1.0, folds=folds))
        features = recipe.fit_transform(frame, "y")
        assert low < _auc(features["s_target"], frame["y"]) < high
    leaks = Recipe(t.target_encode("s", smoothing=1.0)).fit(frame, "y").transform(frame)
    assert _auc(leaks["s_target"], frame["y"]) > 0.75


def test_a_true_signal_stays() -> None:
    random = np.random.default_rng(3)
    group = random.integers(0, 20, ROWS)
    label = random.random(ROWS) < 0.2 + 0.03 * group
    frame = pl.DataFrame({"s": group, "y": label})
    features = Recipe(t.target_encode("s")).fit_transform(frame, "y")
    assert _auc(features["s_target"], frame["y"].cast(pl.Int64)) > 0.65


def test_each_row_gets_what_the_other_folds_say() -> None:
    frame = _noise(120, 12).with_columns(
        s=pl.when(pl.int_range(pl.len()) % 11 == 0).then(None).otherwise("s"),
        y=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise("y"),
    )
    scan = Parts(frame[:50], frame[50:53], frame[53:])
    recipe = Recipe(t.target_encode("s", smoothing=2.0, folds=3))
    fitted = recipe.fit(scan, "y")
    fold = np.concatenate([row_hash(p, 0, len(f.frame)) for p, f in enumerate(scan.parts())])
    want = _by_hand(frame, fold % np.uint64(3), 3, 2.0)
    got = recipe.fit_transform(scan, "y")["s_target"]
    assert got.to_list() == pytest.approx(want, rel=1e-6)
    pieces = [
        fitted.training_features(frame[50:53], 1),
        fitted.training_features(frame[53:60], 2),
        fitted.training_features(frame[60:61], 2, 7),
        fitted.training_features(frame[61:], 2, 8),
    ]
    assert pl.concat(pieces).equals(got.to_frame()[50:])
    # Serving is as it always was, and does not see folds.
    plain = Recipe(t.target_encode("s", smoothing=2.0, folds=0)).fit(scan, "y")
    assert plain.transform(frame).equals(fitted.transform(frame))


@pytest.mark.parametrize("label", ["y", "z"])
def test_the_own_label_has_no_part_in_a_rows_features(label: str) -> None:
    frame = _noise(60, 5).with_columns(z=pl.col("x") * 3.1)
    recipe = Recipe(t.target_encode("s", smoothing=1.0, folds=4))
    before = recipe.fit_transform(frame, label)["s_target"]
    for row in range(0, 60, 7):
        flipped = pl.int_range(pl.len()) == row
        other = frame.with_columns(pl.when(flipped).then(1 - pl.col(label)).otherwise(label))
        assert recipe.fit_transform(other, label)["s_target"][row] == before[row]


def test_without_a_cross_fitted_transform_training_sees_what_serving_sees() -> None:
    frame = _noise(50, 5)
    fitted = Recipe(t.select("x"), t.one_hot("s")).fit(frame, "y")
    want = fitted.transform(frame)
    assert fitted.training_features(frame, 5, 10**6).equals(want)
    assert Recipe(t.select("x"), t.one_hot("s")).fit_transform(frame, "y").equals(want)
    again = FittedRecipe.from_json(fitted.to_json())
    assert again.training_features(frame, 0).equals(want)


def test_later_transforms_read_the_out_of_fold_values() -> None:
    frame = _noise(80, 5)
    recipe = Recipe(t.target_encode("s"), t.derive(twice=pl.col("s_target") * 2))
    got = recipe.fit_transform(frame, "y")
    np.testing.assert_allclose(got["twice"], got["s_target"] * 2, rtol=1e-6)
    assert not got.equals(recipe.fit(frame, "y").transform(frame))


def test_grouped_categories_are_cross_fitted() -> None:
    frame = _noise(300, 100)
    recipe = Recipe(t.group_rare("s", min_count=4), t.target_encode("s"))
    fitted = recipe.fit(frame, "y")
    again = FittedRecipe.from_json(fitted.to_json(training=True))
    assert again.training_features(frame, 0).equals(recipe.fit_transform(frame, "y"))


def test_the_serving_json_does_not_hold_the_folds() -> None:
    frame = _noise()
    recipe = Recipe(t.target_encode("s"))
    fitted = recipe.fit(frame, "y")
    plain = Recipe(t.target_encode("s", folds=0)).fit(frame, "y")
    assert len(fitted.to_json()) - len(plain.to_json()) < 20
    served = FittedRecipe.from_json(fitted.to_json())
    kept = FittedRecipe.from_json(fitted.to_json(training=True))
    assert served.fingerprint == kept.fingerprint == fitted.fingerprint
    assert kept.to_json(training=True) == fitted.to_json(training=True)
    want = fitted.training_features(frame, 0)
    assert kept.training_features(frame, 0).equals(want)
    assert pickle.loads(pickle.dumps(fitted)).training_features(frame, 0).equals(want)
    assert pickle.loads(pickle.dumps(served)).to_json() == fitted.to_json()
    for refused in (
        lambda: served.training_features(frame, 0),
        lambda: served.to_json(training=True),
    ):
        with pytest.raises(RecipeError, match="for serving"):
            refused()


def test_rows_that_the_fit_did_not_read_are_refused() -> None:
    frame = _noise(50, 5)
    fitted = Recipe(t.target_encode("s")).fit(Parts(frame[:20], frame[20:]), "y")
    fitted.training_features(frame[20:], 1)
    for rows, part, first in ((frame, 0, 0), (frame[:1], 2, 0), (frame[:1], -1, 0),
                              (frame[:5], 0, 16), (frame[:5], 0, -1)):  # fmt: skip
        with pytest.raises(RecipeError, match="not rows of the fit"):
            fitted.training_features(rows, part, first)
    with pytest.raises(RecipeError) as refused:
        fitted.training_features(frame.drop("s"), 0)
    assert refused.value.field == "s"


def test_states_merge_in_any_order_to_the_same_bits() -> None:
    frame = _noise(900, 40)
    labels = pl.Series(
        np.random.default_rng(5).normal(size=900) * 10.0 ** np.arange(900).clip(0, 12)
    )
    one = t.target_encode("s")[0]

    def gathered(order: list[int]) -> Any:
        whole = None
        for part in order:
            state = one.state({"s": pl.String()})
            assert isinstance(state, PlacedState)
            rows = slice(part * 100, part * 100 + 100)
            state.update_at(frame[rows].select("s"), labels[rows], part, 0)
            if whole is None:
                whole = state
            else:
                whole.merge(state)
        assert whole is not None
        return json.dumps([whole.finish(), whole.training()])

    want = gathered(list(range(9)))
    random = np.random.default_rng(1)
    for _ in range(5):
        assert gathered(random.permutation(9).tolist()) == want


def test_a_tampered_training_state_is_refused() -> None:
    frame = _noise(50, 5)
    stored = json.loads(
        Recipe(t.target_encode("s", folds=2)).fit(frame, "y").to_json(training=True)
    )
    for wrong in (
        [],
        [None],
        [{}],
        {"a": 1},
        [{**stored["training"][0], "sums": [[1, 2]]}],
        [{**stored["training"][0], "counts": [[1.5] * 5] * 2}],
        [{**stored["training"][0], "rows": [1, -1]}],
        [{**stored["training"][0], "rows": None}],
        [{**stored["training"][0], "totals": [1, "2"]}],
        [{**stored["training"][0], "parts": 5}],
    ):
        tampered = copy.deepcopy(stored)
        tampered["training"] = wrong
        with pytest.raises(RecipeError):
            FittedRecipe.from_json(tampered)
