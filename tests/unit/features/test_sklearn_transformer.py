from __future__ import annotations

import copy
import pickle
import warnings
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from raypipe.core.errors import RecipeError
from raypipe.features import FittedRecipe, Recipe, RecipeTransformer
from raypipe.features import transforms as T  # noqa: N812

OWN = Recipe(
    T.impute("x0", strategy="mean", indicator=True), T.derive(twice=pl.col("x0") * 2)
).as_transformer()

# A check of scikit-learn that cannot run here, and why. All others run, and none may fail.
APART = {"check_array_api_input": "SCIPY_ARRAY_API is not set, and only numpy is promised"}
# Checks that scikit-learn keeps beside its list, on frames of names of their own, so that only a
# recipe of all columns can pass. ``check_dataframe_column_names_consistency`` is left out: it wants
# another order and further columns of a frame refused, and a recipe reads columns by their names.
FURTHER = (
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
)


def _checks() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not inherit from BaseEstimator
        return [
            pytest.param(made, check, id=f"{made.recipe is None}-{_name(check)}")
            for made in (RecipeTransformer(), OWN)
            for _, check in estimator_checks.estimator_checks_generator(made)
            if _name(check) not in APART
        ]


def _name(check: Any) -> str:
    return str(check.func.__name__ if isinstance(check, partial) else check.__name__)


@pytest.mark.filterwarnings("ignore:Estimator RecipeTransformer does not inherit")
@pytest.mark.parametrize(("made", "check"), _checks())
def test_the_checks_of_scikit_learn_hold(made: RecipeTransformer, check: Any) -> None:
    check(clone(made))


@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names")
@pytest.mark.parametrize("name", FURTHER)
def test_its_further_checks_hold(name: str) -> None:
    getattr(estimator_checks, name)("RecipeTransformer", RecipeTransformer())


def test_columns_are_read_by_name_in_any_order() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    made = RecipeTransformer().fit(frame)
    other = frame.with_columns(c=1).select("c", "b", "a")
    assert made.transform(other).tolist() == made.transform(frame).tolist()
    with pytest.raises(RecipeError) as refused:
        made.transform(frame.drop("b"))
    assert refused.value.field == "b"


def _flights(rows: int = 400) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    draw = np.random.default_rng(3)
    carrier = draw.choice(["AA", "B6", "UA"], rows)
    distance = draw.normal(800, 300, rows)
    distance[::9] = np.nan
    late = (draw.random(rows) < np.where(carrier == "B6", 0.8, 0.2)).astype(int)
    time = [datetime(2013, 1, 1 + n % 28, n % 24) for n in range(rows)]
    frame = pd.DataFrame({"carrier": carrier, "distance": distance, "time": time})
    return frame.set_index(np.arange(rows) * 7), late


RECIPE = Recipe(
    T.one_hot("carrier"),
    T.target_encode("carrier", smoothing=2),
    T.impute("distance", indicator=True),
    T.derive(near=(pl.col("distance") - 800.0) / 300),
    T.date_parts("time", ["hour"]),
)


def test_it_stands_in_pipelines_and_is_cross_validated() -> None:
    frame, late = _flights()
    model = make_pipeline(RECIPE.as_transformer(), LogisticRegression(max_iter=5000))
    scores = cross_val_score(model, frame, late, cv=4)
    assert scores.mean() > 0.7
    fitted = model.fit(frame, late)
    assert fitted.score(frame, late) > 0.7
    assert list(fitted[:-1].get_feature_names_out()) == list(fitted[0].fitted_.feature_names)
    other = Recipe(T.impute("distance")).as_transformer()
    grid = GridSearchCV(model, {"recipetransformer__recipe": [RECIPE, other.recipe]}, cv=2)
    assert grid.fit(frame, late).best_params_["recipetransformer__recipe"] is not other.recipe


def test_what_it_gives_is_what_the_fitted_recipe_gives() -> None:
    frame, late = _flights()
    made = RECIPE.as_transformer().fit(frame, late)
    assert isinstance(made.fitted_, FittedRecipe)
    table = pl.from_pandas(frame)
    bits = made.fitted_.transform(table).to_numpy().tobytes()
    got = made.transform(frame)
    assert got.dtype == np.float32
    assert (
        np.ascontiguousarray(got.T).tobytes()
        == np.ascontiguousarray(made.fitted_.transform(table).to_numpy().T).tobytes()
    )
    again = FittedRecipe.from_json(made.fitted_.to_json())
    assert again.transform(table).to_numpy().tobytes() == bits
    row = again.row({name: table[name][5] for name in again.inputs})
    assert row.tobytes() == np.ascontiguousarray(got[5]).tobytes()
    assert made.transform(table).tobytes() == got.tobytes()


def test_the_container_of_the_output_is_chosen() -> None:
    frame, late = _flights(40)
    made = RECIPE.as_transformer().fit(frame, late)
    named = clone(made).set_output(transform="pandas").fit(frame, late).transform(frame)
    assert list(named.index) == list(frame.index)
    assert list(named.columns) == list(made.get_feature_names_out())
    assert isinstance(made.set_output(transform="polars").transform(frame), pl.DataFrame)
    with config_context(transform_output="pandas"):
        assert isinstance(clone(OWN).fit_transform([[1.0], [2.0]]), pd.DataFrame)
    assert isinstance(made.set_output(transform="default").transform(frame), np.ndarray)
    with pytest.raises(RecipeError) as refused:
        made.set_output(transform="arrow")  # type: ignore[arg-type]
    assert refused.value.field == "transform"


def test_copies_are_like_scikit_learn_wants_them() -> None:
    frame, late = _flights(40)
    made = RECIPE.as_transformer()
    assert made.get_params() == {"recipe": RECIPE}
    assert clone(made).recipe == RECIPE
    made.fit(frame, late)
    check_is_fitted(made)
    with pytest.raises(RecipeError, match="not fitted"):
        clone(made).transform(frame)
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again.transform(frame).tobytes() == made.transform(frame).tobytes()
    assert made.set_params(recipe=OWN.recipe).recipe is OWN.recipe
    with pytest.raises(RecipeError, match="Invalid parameter"):
        made.set_params(other=1)


def test_it_is_one_column_among_others() -> None:
    frame, late = _flights(60)
    made = ColumnTransformer(
        [("ours", Recipe(T.impute("distance")).as_transformer(), ["distance", "time"])]
    )
    assert made.fit_transform(frame, late).shape == (60, 1)
    assert list(made.get_feature_names_out()) == ["ours__distance"]


def test_arrays_stand_for_frames_by_place() -> None:
    values = np.array([["a", "x"], ["b", "y"], ["a", "y"]], dtype=object)
    made = Recipe(T.one_hot("x1")).as_transformer().fit(values)
    assert list(made.get_feature_names_out()) == ["x1=x", "x1=y"]
    assert made.transform([["q", "y"]]).tolist() == [[0.0, 1.0]]
    named = pl.DataFrame({"u": ["a"], "v": ["x"]})
    with pytest.warns(UserWarning, match="fitted without feature names"):
        assert made.transform(named).tolist() == [[1.0, 0.0]]
    made = Recipe(T.one_hot("v")).as_transformer().fit(named)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert made.transform([["a", "x"]]).tolist() == [[1.0]]


def test_labels_of_two_classes_are_numbers() -> None:
    made = Recipe(T.target_encode("x0", smoothing=1)).as_transformer()
    data = [["a"], ["b"], ["a"]]
    want = made.fit(data, [1, 0, 1]).transform(data).tolist()
    assert want[0] == pytest.approx([(2 + 2 / 3) / 3])
    for y in (["no", "late", "no"], [True, False, True], np.array([[1.0], [0.0], [1.0]])):
        assert made.fit(data, y).transform(data).tolist() == want


def test_rows_of_the_fit_do_not_see_their_own_label() -> None:
    recipe = Recipe(T.target_encode("x0", smoothing=1, folds=3), T.select("x1"))
    data = pl.DataFrame({"x0": ["a", "b", "a", "c"] * 10, "x1": range(40)})
    late = [row % 3 == 0 for row in range(40)]
    made = recipe.as_transformer().set_output(transform="polars")
    seen = made.fit_transform(data, late)
    assert_frame_equal(seen, recipe.fit_transform(data.with_columns(y=pl.Series(late)), "y"))
    assert not seen.equals(made.transform(data))


@pytest.mark.parametrize(
    ("data", "y", "field"),
    [
        ([["a"], ["b"]], None, "y"),
        ([["a"], ["b"]], [1], "y"),
        ([["a"], ["b"]], [1, 1], "y"),
        ([["a"], ["b"]], [[1, 2], [2, 1]], "y"),
        ([["a"], ["b"], ["c"]], ["p", "q", "r"], "y"),
        ([[1.5], [2.5]], [0, 1], "x0"),
        ([[], []], [0, 1], "X"),
        ([], [], "X"),
        (["a", "b"], [0, 1], "X"),
        (np.array([[1j], [2j]]), [0, 1], "X"),
        (np.array([["a"], [{}]], dtype=object), [0, 1], "x0"),
        (pd.DataFrame([["a"], ["b"]], columns=["other"]), [0, 1], "x0"),
        (pd.DataFrame([["a", 1], ["b", 2]], columns=["x0", "x0"]), [0, 1], "X"),
        (pd.DataFrame([["a", 1], ["b", 2]], columns=["x0", 7]), [0, 1], "X"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(data: Any, y: Any, field: str) -> None:
    made = Recipe(T.target_encode("x0")).as_transformer()
    with pytest.raises(RecipeError) as refused:
        made.fit(data, y)
    assert refused.value.field == field


def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(RecipeError, match="not a recipe"):
        RecipeTransformer("x0").fit([[1.0]])  # type: ignore[arg-type]
    made = Recipe(T.select("x0")).as_transformer().fit([[1.0, 2.0]])
    with pytest.raises(RecipeError, match="expecting 2 features"):
        made.transform([[1.0]])
    with pytest.raises(RecipeError, match="input_features"):
        made.get_feature_names_out(["a"])


def test_a_fitted_recipe_is_a_fitted_step() -> None:
    frame = pd.DataFrame({"x": [1.0, None, 3.0], "other": [1, 2, 3], "y": [0.5, 0.0, 2.0]})
    fitted = Recipe(T.impute("x"), T.derive(twice=pl.col("y") * 2)).fit(pl.from_pandas(frame))
    step = RecipeTransformer.of_fitted(fitted)
    check_is_fitted(step)
    assert list(step.get_feature_names_out()) == list(fitted.get_feature_names_out())
    assert list(fitted.get_feature_names_out()) == list(fitted.feature_names)
    wanted = fitted.transform(pl.from_pandas(frame))
    assert step.transform(frame).tobytes() == wanted.to_numpy().tobytes()
    assert_frame_equal(step.set_output(transform="polars").transform(frame), wanted)
    loaded = RecipeTransformer.of_fitted(FittedRecipe.from_json(fitted.to_json()))
    inputs = frame[list(fitted.inputs)]
    assert loaded.transform(inputs).tobytes() == wanted.to_numpy().tobytes()
    assert clone(step).fit(frame.head(1)).transform(frame).shape == (3, 2)
