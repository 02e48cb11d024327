"""FittedRecipe: the same features for a table, for some rows and for one row, to the bit."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.identity import content_hash
from raypipe.expressions import POLARS_ERRORS
from raypipe.features.bound import bound, feature_exprs
from raypipe.features.columns import RAW_TYPES, InputSpec, raw_type, types_of, unknown
from raypipe.features.crossing import remembered
from raypipe.features.cuts import each_part
from raypipe.features.fit import (
    Data,
    Learned,
    apply,
    collected,
    learn,
    read_parts,
    schema_of,
    to_slots,
)
from raypipe.features.fitted_spec import fitted_data, fitted_text, not_kept, read_fitted
from raypipe.features.history.fill import filled
from raypipe.features.plan import Plan, make_plan
from raypipe.features.replay import frame_shape, materialised, record, replay
from raypipe.features.rows import RowScorer
from raypipe.features.show import fitted_html
from raypipe.features.spec import recipe_data
from raypipe.features.transforms.base import ROW_HASH, slot
from raypipe.features.transforms.hashing import row_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from raypipe.engine.place import RunOn
    from raypipe.features.profile import Profile
    from raypipe.features.transforms import Fitted, Transform
    from raypipe.features.transforms.base import PlacedFitted

_AT_ONCE = 100


class FittedRecipe:
    """A recipe with all that it learned. Made by ``Recipe.fit`` or ``from_json``.

    ``transform``, ``rows`` and ``row`` give the same float32 bits for the same values, also after
    a trip through JSON. A missing value is NaN in a feature, and every NaN is the same NaN.
    """

    def __init__(self, transforms: tuple[Transform, ...], plan: Plan, learned: Learned) -> None:
        self.transforms = transforms
        self._plan = plan
        self._learned = learned
        wanted = {*plan.live, *plan.label_live}
        self._fitted: dict[int, Fitted] = {
            step.number: step.transform.fitted(learned.states[step.number], step.schema)
            for step in plan.steps
            if step.number in wanted
        }
        self._steps, self._places = bound(plan, self._fitted)
        self._calls = record(self._steps, self._fitted, self._places.values())
        self._features_of = feature_exprs(self._steps, self._fitted, self._places)
        self._scorer: RowScorer | None = None
        self._training: dict[int, PlacedFitted] | None = None
        self._one: Callable[[Mapping[str, Any]], npt.NDArray[np.float32]] = self._first_row
        self._some: Callable[[Sequence[Mapping[str, Any]]], npt.NDArray[np.float32]]
        self._some = self._first_rows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features, in the order of the columns that every method gives."""
        return tuple(self._places)

    def get_feature_names_out(self) -> npt.NDArray[np.object_]:
        """``feature_names`` as scikit-learn gives them: an array of objects."""
        return np.array(self.feature_names, dtype=object)

    @property
    def inputs(self) -> Mapping[str, InputSpec]:
        """The raw columns that scoring needs; what only the label needs is not among them."""
        nullable = set(self._learned.nullable)
        return {
            name: InputSpec(self._plan.types[name], name in nullable) for name in self._plan.inputs
        }

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The raw columns that scoring or the label needs: what training has to read."""
        return tuple(dict.fromkeys((*self._plan.inputs, *self._plan.label_inputs)))

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The raw columns that the label is made of."""
        return tuple(self._plan.label_inputs)

    @property
    def label(self) -> str | None:
        """The label's name."""
        return None if self._plan.label is None else self._plan.label[0]

    @property
    def profile(self) -> Profile:
        """How the raw inputs were spread over the rows of the fit."""
        return self._learned.profile

    @property
    def rows_fitted(self) -> int:
        """How many rows the fit read."""
        return self._learned.rows

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the fitted recipe's JSON."""
        return content_hash(self.to_data())

    def transform(self, data: Data) -> pl.DataFrame:
        """The features of rows: one Float32 column each, in the rows' order, without nulls.

        Args:
            data: a polars frame or a scan with the columns of ``inputs``; others are ignored.

        Raises:
            RecipeError: an input is missing or of another type; ``field`` names it.
        """
        schema = schema_of(data)
        for name in self._plan.inputs:
            if name not in schema:
                raise unknown(name, schema, "the recipe")
        made = each_part(data, self._plan.inputs, self._features)
        if not made:
            return pl.DataFrame(schema=dict.fromkeys(self.feature_names, pl.Float32))
        return pl.concat(made) if len(made) > 1 else made[0]

    def _features(self, rows: pl.DataFrame) -> pl.DataFrame:
        return self._of_slots(to_slots(rows, self._plan, self._plan.inputs))

    def _of_slots(self, frame: pl.DataFrame) -> pl.DataFrame:
        rows, frame = frame.height, _one_piece(frame)
        if self._calls is not None:
            # On a frame polars refuses a few expressions that it computes lazily, such as
            # 0 > x where x is null in every row; those are left to the way below.
            with contextlib.suppress(*POLARS_ERRORS):
                return replay(frame, self._calls).select(self._features_of).head(rows)
        return self._lazily(frame, self._fitted).head(rows)

    def _lazily(self, frame: pl.DataFrame, fitted: dict[int, Fitted]) -> pl.DataFrame:
        # Of a few steps at a time: polars walks a plan in a time that grows with its square.
        for at in range(0, len(self._steps) - _AT_ONCE, _AT_ONCE):
            some = apply(frame.lazy(), self._steps[at : at + _AT_ONCE], fitted)
            frame = materialised(collected(some))
        rest = self._steps[(len(self._steps) - 1) // _AT_ONCE * _AT_ONCE :]
        return collected(apply(frame.lazy(), rest, fitted).select(self._features_of))

    def training_features(self, frame: pl.DataFrame, part: int, first_row: int = 0) -> pl.DataFrame:
        """The features of rows of the fit itself, as a model must see them in training.

        As ``transform``, but a cross-fitted transform gives each row what it learned from the rows
        of the other folds, so that no row's features hold its own label. Without such a transform
        it is ``transform``. Later transforms take those values as they take the others.

        Args:
            frame: rows of the fit, in their order, with the columns of ``inputs``.
            part: the index of the scan's part that they come from; 0 for a fit on a frame.
            first_row: the position of the first of them in the part, before any filter of labels.

        Raises:
            RecipeError: as ``transform``; the fit has read no row there; or the recipe was stored
                without what training needs.
        """
        for name in self._plan.inputs:
            if name not in frame.columns:
                raise unknown(name, frame.columns, "the recipe")
        placed = self._placed()
        if not placed:
            return self._features(frame)
        for one in placed.values():
            one.check_place(part, first_row, frame.height)
        hashes = pl.Series(ROW_HASH, row_hash(part, first_row, frame.height))
        slots = to_slots(frame, self._plan, self._plan.inputs).with_columns(hashes)
        return self._lazily(_one_piece(slots), {**self._fitted, **placed}).head(frame.height)

    def _placed(self) -> dict[int, PlacedFitted]:
        if self._training is None:
            found: dict[int, PlacedFitted] = {}
            kept = self._learned.training
            for step in self._steps:
                if not step.transform.cross_fitted:
                    continue
                if kept is None:
                    act = "Store it with to_json(training=True), or fit it again."
                    raise not_kept(step.transform.kind, act)
                state = self._learned.states[step.number]
                one = step.transform.for_training(state, kept[step.number], step.schema)
                if one is not None:
                    found[step.number] = one
            self._training = found
        return self._training

    def labels(self, data: Data) -> pl.Series:
        """The label of rows as Float32; null where it is not known.

        Raises:
            RecipeError: the recipe was fitted without a label, or a column that the label needs is
                missing or of another type.
        """
        plan = self._plan
        if plan.label is None:
            raise RecipeError("this recipe was fitted without a label", None, None, "label")
        schema = schema_of(data)
        for name in plan.label_inputs:
            if name not in schema:
                raise unknown(name, schema, "the label")
        steps = [step for step in plan.steps if step.number in plan.label_live]
        made = [pl.Series(plan.label[0], [], dtype=pl.Float32)]
        for part in read_parts(data, plan.label_inputs):
            frame = to_slots(part, plan, plan.label_inputs)
            made_of = apply(_one_piece(frame).lazy(), steps, self._fitted)
            values = (
                collected(made_of)
                .head(frame.height)[slot(plan.label[1])]
                .cast(pl.Float64)
                .fill_nan(None)
            )
            made.append(values.cast(pl.Float32).alias(plan.label[0]))
        return pl.concat(made)

    def row(self, row: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        """The features of one row, without a dataframe in the way: float32, shape (features,).

        Args:
            row: a value for every column of ``inputs`` and nothing else; null is None. Integers
                and decimals may stand for floats, ISO text for times and days, scalars of numpy
                for those of Python. A time with a zone is brought to UTC.

        Raises:
            RecipeError: a field is missing, unknown or of a wrong type; ``field`` names it.
        """
        return self._one(row)

    def _first_row(self, row: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        self._one = self._rows_scorer().one
        return self._one(row)

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        """The features of some rows: float32, shape (rows, features).

        They go one by one or through polars, whichever is faster; the bits are the same. A first
        guess comes from what the recipe asks of polars. Where it is not clear, and earlier calls of
        recipes of these transforms do not tell, the call goes through polars and is timed. Threads
        may share a recipe; one of them times.

        Raises:
            RecipeError: as ``row``.
        """
        return self._some(rows)

    def _first_rows(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        self._some = self._rows_scorer().rows
        return self._some(rows)

    def with_history(
        self, rows: Sequence[Mapping[str, Any]], events: pl.DataFrame
    ) -> list[dict[str, Any]]:
        """Rows to serve with what ``lag`` and ``window`` read, as ``row`` and ``rows`` take them.

        Args:
            rows: each with its keys and time, and the other ``inputs``; other fields are left out.
            events: the events of these keys, as far back as the transforms look, or more.

        Raises:
            RecipeError: as ``Recipe.with_history``; or a field is missing.
        """
        return filled(self.transforms, rows, events, list(self.inputs))

    def _rows_scorer(self) -> RowScorer:
        if self._scorer is None:

            def batch(frame: pl.DataFrame) -> npt.NDArray[np.float32]:
                made = self._of_slots(frame).to_numpy(order="c", writable=True)
                return np.asarray(made, np.float32)

            given = (self._plan, self._steps, self._fitted, self._places)
            shape = frame_shape(self._plan, self._steps, self._calls, len(self._places))
            self._scorer = RowScorer(*given, batch, shape, lambda: remembered(self._kind()))
        return self._scorer

    def _kind(self) -> str:
        """The same for recipes whose rows take about as long: a refit is of the same kind."""
        types = {name: self._plan.types[name] for name in self._plan.inputs}
        return content_hash([recipe_data(self.transforms), types, len(self._places)])

    def __getstate__(self) -> dict[str, Any]:
        return {"json": self.to_json(training=self._learned.training is not None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(type(self).from_json(state["json"]).__dict__)

    def to_data(self, *, training: bool = False) -> dict[str, Any]:
        """What ``to_json`` writes, as plain values."""
        return fitted_data(self.transforms, self._plan, self._learned, training=training)

    def to_json(self, *, training: bool = False) -> str:
        """Canonical JSON text; ``from_json`` reads it.

        Args:
            training: also writes what ``training_features`` needs: for each cross-fitted
                transform, rows and label sums by category and fold. Serving does not need it, and
                the fingerprint is the same with and without.

        Raises:
            RecipeError: it is asked for and was not kept; or the text is longer than ``from_json``
                reads.
        """
        return fitted_text(self.to_data(training=training), training=training)

    @classmethod
    def from_json(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        """The fitted recipe in a text that ``to_json`` wrote, or in the values of one.

        Safe on a stranger's file: sizes are bounded, everything is checked, nothing is evaluated.

        Raises:
            RecipeError: the version is unknown or anything is not as this library writes it.
        """
        transforms, plan, learned = read_fitted(data)
        made = cls(transforms, plan, learned)
        if learned.training is not None:
            made._placed()  # checks it
        return made

    def __repr__(self) -> str:
        return (
            f"FittedRecipe({len(self.inputs)} inputs, {len(self.feature_names)} features, "
            f"label={self.label!r}, rows={self.rows_fitted}, {self.fingerprint[:12]})"
        )

    def _repr_html_(self) -> str:
        return fitted_html(self.feature_names, self.inputs, self.label, self.rows_fitted)


def fit_transforms(
    transforms: tuple[Transform, ...],
    data: Data,
    label: str | None,
    run_on: RunOn = "auto",
    memory_budget: int | None = None,
) -> FittedRecipe:
    """Learns what transforms need from rows; see ``Recipe.fit``.

    Raises:
        RecipeError: as ``Recipe.fit``.
        ConfigError: as ``Recipe.fit``.
    """
    schema = schema_of(data)
    types = types_of(schema)
    try:
        plan = make_plan(transforms, label, types)
    except RecipeError as refused:
        if refused.field in schema and refused.field not in types:
            raw_type(refused.field, schema[refused.field])  # says what its type is
        raise
    made = FittedRecipe(transforms, plan, learn(data, plan, run_on, memory_budget))
    # What polars cannot compute of these types is an error now, not at the first row to serve.
    # On a row of nulls: of no row at all polars computes less than it checks of one.
    raw = {name: RAW_TYPES[plan.types[name]] for name in plan.inputs}
    made.transform(pl.DataFrame({name: [None] for name in raw}, schema=raw))
    return made


def _one_piece(frame: pl.DataFrame) -> pl.DataFrame:
    # polars takes a column of one row for a constant and divides by it in another way.
    return materialised(pl.concat([frame, frame]) if frame.height == 1 else frame)
