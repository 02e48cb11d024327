"""A recipe as a transformer of scikit-learn, which need not be installed."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from raypipe.core.errors import MissingPartError, RecipeError
from raypipe.features.columns import NUMERIC, types_of
from raypipe.features.fitted import fit_transforms
from raypipe.features.tabular import Tabular, tabular, target
from raypipe.features.transforms import select

if TYPE_CHECKING:
    import polars as pl

    from raypipe.features.fitted import FittedRecipe
    from raypipe.features.recipe import Recipe
    from raypipe.features.transforms import Transform

Output = Literal["default", "numpy", "polars", "pandas"]
_OUTPUTS = ("default", "numpy", "polars", "pandas")


class RecipeTransformer:
    """What stands in a scikit-learn ``Pipeline``; made by ``Recipe.as_transformer``.

    ``Recipe.fit`` gives a new ``FittedRecipe``, since a recipe is a value. scikit-learn wants
    ``fit`` to change the object and give it back: that is what this one is for. What it learned is
    in ``fitted_``, to be scored by row, stored as JSON or put beside a model.

    Rows come as a pandas or polars frame, or as a 2-D array, whose columns are x0, x1 and so on.
    A frame's further columns are ignored. Missing values (null, NaN) are taken; what they mean is
    the transforms' to say.

    Args:
        recipe: the recipe, or a fitted one to learn anew; None takes every column that is a number
            or a boolean as it is.

    Attributes:
        fitted_: the fitted recipe.
        n_features_in_: columns of the frame or array that it was fitted on.
        feature_names_in_: their names, where they had names.

    Example:
        >>> from raypipe.features import Recipe, transforms
        >>> made = Recipe(transforms.impute("x0", strategy="mean")).as_transformer()
        >>> made.fit_transform([[1.0, 0.0], [float("nan"), 1.0], [3.0, 2.0]]).tolist()
        [[1.0], [2.0], [3.0]]
    """

    def __init__(self, recipe: Recipe | FittedRecipe | None = None) -> None:
        self.recipe = recipe

    @classmethod
    def of_fitted(cls, fitted: FittedRecipe) -> Self:
        """A fitted step of a ``Pipeline``, for frames or arrays of the fitted recipe's inputs.

        To fit it again, as ``Pipeline.fit`` does, learns anew from what that is given.
        """
        made = cls(fitted)
        made.fitted_, made.n_features_in_ = fitted, len(fitted.inputs)
        made.feature_names_in_ = np.array(list(fitted.inputs), dtype=object)
        return made

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Learns from rows.

        Args:
            X: a frame, or a 2-D array.
            y: a label for each row; used where a transform learns from it, such as target_encode.
                Numbers, booleans, or texts of two classes, which are 0 and 1 in sorted order.

        Raises:
            RecipeError: a column that the recipe reads is not there or of a wrong type, or y is
                missing where it is needed; ``field`` names the column.
        """
        rows = tabular(X)
        transforms = self._transforms(rows.frame)
        frame, label = rows.frame, None
        if any(one.needs_label for one in transforms):
            if y is None:
                raise RecipeError(
                    f"this {type(self).__name__} requires y to be passed, but the target y is None",
                    None,
                    "Pass the labels, which target_encode and the like learn from.",
                    "y",
                )
            label = "y"
            while label in frame.columns:
                label += "_"
            frame = frame.with_columns(target(y, frame.height).alias(label))
        self.fitted_: FittedRecipe = fit_transforms(transforms, frame, label)
        self.n_features_in_ = rows.frame.width
        if rows.named:
            self.feature_names_in_ = np.array(rows.frame.columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def _transforms(self, frame: pl.DataFrame) -> tuple[Transform, ...]:
        if self.recipe is None:
            types = types_of(dict(frame.schema))
            return select(*(name for name, kind in types.items() if kind in NUMERIC))
        if not hasattr(self.recipe, "transforms"):
            raise RecipeError("this is not a recipe", repr(self.recipe)[:100], None, "recipe")
        return self.recipe.transforms

    def transform(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        """The features of rows: float32, missing values as NaN.

        Returns:
            An array of shape (rows, features), or the frame that ``set_output`` asked for.

        Raises:
            RecipeError: it is not fitted, or rows have other columns than those of the fit.
        """
        self._check_fitted()
        rows = tabular(X)
        made = self.fitted_.transform(self._aligned(rows))
        return self._packed(made, rows)

    def fit_transform(self, X: Any, y: Any = None) -> Any:  # noqa: N803 - scikit-learn's name
        """Fits, and gives the features of these rows as a model must see them in training.

        A cross-fitted transform (``target_encode``) gives each row what the rows of the other folds
        say, so this is not ``fit(X, y).transform(X)``. Without one it is.
        """
        self.fit(X, y)
        rows = tabular(X)
        return self._packed(self.fitted_.training_features(rows.frame, 0), rows)

    def _aligned(self, rows: Tabular) -> pl.DataFrame:
        frame = rows.frame
        names = getattr(self, "feature_names_in_", None)
        if rows.named and names is not None:
            return frame
        if frame.width != self.n_features_in_:
            raise RecipeError(
                f"X has {frame.width} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input",
                None,
                "Give the columns of the fit.",
                "X",
            )
        if names is not None:
            warnings.warn(
                f"X does not have valid feature names, but {type(self).__name__} was fitted with "
                "feature names",
                stacklevel=3,
            )
            return frame.rename(dict(zip(frame.columns, names.tolist(), strict=True)))
        if rows.named:
            warnings.warn(
                f"X has feature names, but {type(self).__name__} was fitted without feature names",
                stacklevel=3,
            )
            frame = frame.rename({name: f"x{at}" for at, name in enumerate(frame.columns)})
        return frame

    def _packed(self, made: pl.DataFrame, rows: Tabular) -> Any:
        output = getattr(self, "_sklearn_output_config", {}).get("transform")
        loaded = sys.modules.get("sklearn")
        if output is None and loaded is not None:
            output = loaded.get_config()["transform_output"]
        if output == "polars":
            return made
        values = np.ascontiguousarray(made.to_numpy(), np.float32)
        if output != "pandas":
            return values
        try:
            import pandas as pd  # type: ignore[import-untyped,unused-ignore]
        except ImportError as failure:
            raise MissingPartError(
                "pandas is not installed", None, "pip install pandas", "transform"
            ) from failure
        return pd.DataFrame(values, index=rows.index, columns=list(made.columns))

    def set_output(self, *, transform: Output | None = None) -> Self:
        """What ``transform`` gives: "default" (an array), "polars" or "pandas".

        None changes nothing.

        Raises:
            RecipeError: it is something else.
        """
        if transform is None:
            return self
        if transform not in _OUTPUTS:
            raise RecipeError(
                "set_output does not know this container",
                repr(transform)[:100],
                f"Use: {', '.join(_OUTPUTS)}.",
                "transform",
            )
        self._sklearn_output_config = {"transform": transform}
        return self

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """The names of the features, in the order of their columns.

        Args:
            input_features: None, or the names of the columns of the fit.

        Raises:
            RecipeError: it is not fitted, or the names are others.
        """
        self._check_fitted()
        known = getattr(self, "feature_names_in_", None)
        if input_features is not None:
            given = list(input_features)
            if known is not None and given != list(known):
                raise RecipeError(
                    "input_features is not equal to feature_names_in_", repr(given)[:200], None, "X"
                )
            if len(given) != self.n_features_in_:
                raise RecipeError(
                    "input_features should have length equal to number of features",
                    f"{len(given)}, not {self.n_features_in_}",
                    None,
                    "X",
                )
        return np.array(self.fitted_.feature_names, dtype=object)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The recipe, by the name of the argument."""
        return {"recipe": self.recipe}

    def set_params(self, **params: Any) -> Self:
        """Another recipe.

        Raises:
            RecipeError: another parameter is named.
        """
        for name, value in params.items():
            if name != "recipe":
                raise RecipeError(
                    f"Invalid parameter {name!r} for estimator {self!r}", None, "Use recipe.", name
                )
            self.recipe = value
        return self

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise RecipeError(
                f"this {type(self).__name__} instance is not fitted yet", None, "Call fit.", None
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn asks, so it is there.
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        transforms = [] if self.recipe is None else getattr(self.recipe, "transforms", [])
        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=any(one.needs_label for one in transforms)),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(allow_nan=True, string=True, categorical=True),
        )

    def __repr__(self) -> str:
        return f"RecipeTransformer({'' if self.recipe is None else repr(self.recipe)})"
