"""Recipe: what to make of raw columns, written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, overload

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.identity import canonical_json, content_hash
from raypipe.features.fit import read_parts
from raypipe.features.fitted import fit_transforms
from raypipe.features.history.fill import with_history
from raypipe.features.show import recipe_html
from raypipe.features.spec import read_recipe, recipe_data
from raypipe.features.transformer import RecipeTransformer
from raypipe.features.transforms import Transform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.core.scan import Scan
    from raypipe.engine.place import RunOn
    from raypipe.features.fit import Data
    from raypipe.features.fitted import FittedRecipe
    from raypipe.features.history.filled_rows import FilledRows


class Recipe:
    """Transforms in order. Features are exactly what they give; no raw column enters unnamed.

    Args:
        *transforms: what ``raypipe.transforms`` makes. A transform reads raw columns and what
            transforms before it gave; of two columns of one name, the later.

    Raises:
        RecipeError: something else than a transform was given.

    Example:
        >>> import polars as pl
        >>> from raypipe.features import Recipe, transforms
        >>> recipe = Recipe(transforms.select("distance"), transforms.one_hot("origin"))
        >>> fitted = recipe.fit(pl.DataFrame({"distance": [1, 2], "origin": ["JFK", "LGA"]}))
        >>> fitted.feature_names
        ('distance', 'origin=JFK', 'origin=LGA')
    """

    def __init__(self, *transforms: Transform | Sequence[Transform]) -> None:
        flat: list[Transform] = []
        for given in transforms:
            flat.extend(given if isinstance(given, list | tuple) else [given])  # type: ignore[list-item]  # judged below
        for one in flat:
            if not isinstance(one, Transform):
                raise RecipeError(
                    "a recipe takes transforms",
                    repr(one)[:100],
                    f"Use raypipe.transforms, such as select({one!r})."
                    if isinstance(one, str)
                    else "Use raypipe.transforms.",
                    "recipe",
                )
        self.transforms: tuple[Transform, ...] = tuple(flat)

    def fit(
        self,
        data: Data,
        label: str | None = None,
        *,
        run_on: RunOn = "auto",
        memory_budget: int | None = None,
    ) -> FittedRecipe:
        """Learns what the transforms need from rows, in as few passes as they allow.

        It holds some pieces of the rows at a time and states of bounded size. Means, variances
        and counts are exact; quantiles are so up to 16,384 distinct values, and within 0.1 % of the
        rows beyond. Here or on Ray, it gives the same bits.

        Args:
            data: a polars frame, or a scan, whose parts are read in pieces.
            label: the column to be predicted, raw or derived: a number or a boolean. Its rows
                that are null or NaN are left out of what is learned from the label.
            run_on: ``"local"`` in threads of this process, ``"ray"`` on the cluster, ``"auto"`` by
                the bytes to read and the cluster there is; the log says what it chose and why.
            memory_budget: bytes that the fit of a snapshot may take, in each process that works on
                it. It then reads some columns after the others, in one thread; the bits are the
                same. By default it reads all at once, in a thread for each core.

        Returns:
            The fitted recipe; the same rows in the same parts give the same bits.

        Raises:
            ConfigError: ``run_on`` is none of the three, or the budget cannot hold one column of
                one piece of the rows.
            EngineError: Ray could not be reached, or a worker died again and again.
            RecipeError: a column is unknown or of a wrong type, a feature is not a number, or the
                label is missing, is a feature, is null everywhere or the same everywhere.
        """
        return fit_transforms(self.transforms, data, label, run_on, memory_budget)

    def as_transformer(self) -> RecipeTransformer:
        """The recipe for a scikit-learn ``Pipeline``: ``fit`` changes it and gives it back.

        It takes pandas and polars frames and 2-D arrays (whose columns are x0, x1 and so on).
        """
        return RecipeTransformer(self)

    def fit_transform(self, data: Data, label: str | None = None) -> pl.DataFrame:
        """Fits, and gives the features of the rows of the fit, as a model must see them.

        A cross-fitted transform (``target_encode``) gives each row what the other folds say of it,
        so the features are not those of ``fit(data, label).transform(data)``, which hold each
        row's own label.

        Args:
            data: as in ``fit``; it is read once more.
            label: as in ``fit``.

        Raises:
            RecipeError: as ``fit``.
        """
        fitted = self.fit(data, label)
        parts = enumerate(read_parts(data, list(fitted.inputs)))
        return pl.concat([fitted.training_features(rows, part) for part, rows in parts])

    @overload
    def with_history(
        self,
        rows: pl.DataFrame | pl.LazyFrame,
        events: Data | None = None,
        *,
        folder: str | None = None,
    ) -> pl.DataFrame: ...

    @overload
    def with_history(
        self, rows: Scan, events: Data | None = None, *, folder: str | None = None
    ) -> FilledRows: ...

    def with_history(
        self, rows: Data, events: Data | None = None, *, folder: str | None = None
    ) -> pl.DataFrame | FilledRows:
        """Rows with the columns that ``lag`` and ``window`` read, from the events before each.

        The values depend on the events before a row alone, to the bit: it does not matter which
        other rows or events are given, how they are sorted, nor whether they fit in memory. So what
        is filled over a table is what ``FittedRecipe.with_history`` fills for one row from its
        key's last events.

        Frames are held in memory; of events in a scan only those of the rows' keys are. Rows in a
        scan may be more than memory holds: beyond 1,048,576 rows and events they go by buckets of
        keys through temporary files, which take the keys, times and values once and the filled
        columns once. Memory then holds a part of each scan for each core, and a bucket of about
        1,048,576 rows or the rows of one key. This runs in this process, not on the cluster.

        Args:
            rows: rows with the keys and times.
            events: rows with the keys, times and values; the rows themselves if not given.
            folder: where temporary files go; the system's temporary folder if not given. Workers on
                other machines can read the result where they see it.

        Returns:
            A DataFrame for a frame; for a scan a ``FilledRows``, a scan with the same parts, which
            ``fit``, ``transform`` and training read part by part. Its files go with it.

        Raises:
            RecipeError: a column is missing or of a type that cannot be taken; a lazy frame, the
                events of a frame's keys or the rows of one key are more than half of the memory
                holds; or temporary files cannot be written.
        """
        return with_history(self.transforms, rows, events, folder)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the recipe's JSON: equal for equal recipes."""
        return content_hash(self.to_data())

    def to_data(self) -> dict[str, Any]:
        """What ``to_json`` writes, as plain values."""
        return recipe_data(self.transforms)

    def to_json(self) -> str:
        """Canonical JSON text; ``from_json`` reads it."""
        return canonical_json(self.to_data())

    @classmethod
    def from_json(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        """The recipe in a text that ``to_json`` wrote, or in the values of one.

        Safe on a stranger's file: sizes are bounded, everything is checked, nothing is evaluated.

        Raises:
            RecipeError: the version is unknown or anything is not as this library writes it.
        """
        return cls(*read_recipe(data))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.to_data() == other.to_data()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        lines = "".join(f"\n    {one!r}," for one in self.transforms)
        return f"Recipe({lines}\n)"

    def _repr_html_(self) -> str:
        return recipe_html(self.transforms)
