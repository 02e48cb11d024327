"""A model with all that it needs to be used, checked and rebuilt: five files, no pickle.

``model.ubj`` (XGBoost; models of other learners have files of other names), ``recipe.json`` (the
fitted recipe), ``signature.json`` (inputs and outputs), ``profile.json`` (the training data's
reference profile) and ``manifest.json`` (what it was made of, with the hashes of the other four).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from raypipe.core.errors import ConfigError, IntegrityError
from raypipe.core.identity import bytes_hash, canonical_json
from raypipe.core.markup import html_facts
from raypipe.features import FittedRecipe
from raypipe.models.forms import DEFAULT, FORMS, Scorer, scorer

if TYPE_CHECKING:
    import polars as pl
    import xgboost

    from raypipe.features.profile import Profile

FORMAT = 1
FILES = ("recipe.json", "signature.json", "profile.json")
MANIFEST = "manifest.json"


class ModelBundle:
    """A trained model, its fitted recipe and its manifest.

    Immutable. Two bundles with equal ``content_hash`` hold the same model, byte for byte.

    Attributes:
        model: the model's bytes, in the form that ``file`` names.
        recipe: turns raw rows into the model's features.
        manifest: what it was made of; plain JSON.
        file: the model's file, such as ``model.ubj`` for XGBoost.
    """

    def __init__(
        self,
        model: bytes,
        recipe: FittedRecipe,
        manifest: Mapping[str, Any],
        file: str = DEFAULT,
    ) -> None:
        self.model = model
        self.file = file
        self.recipe = recipe
        payload = {
            file: model,
            "recipe.json": recipe.to_json().encode(),
            "signature.json": canonical_json(self.signature).encode(),
            "profile.json": recipe.profile.to_json().encode(),
        }
        hashes = {name: bytes_hash(data) for name, data in payload.items()}
        self.manifest: dict[str, Any] = {**manifest, "format": FORMAT, "files": hashes}
        self._files = {**payload, MANIFEST: canonical_json(self.manifest).encode()}

    @property
    def content_hash(self) -> str:
        """SHA-256 of the model's bytes."""
        return bytes_hash(self.model)

    @property
    def profile(self) -> Profile:
        """The reference profile of the training data's raw inputs."""
        return self.recipe.profile

    @property
    def signature(self) -> dict[str, Any]:
        """Inputs (name, type, whether null is accepted) and the output, as served."""
        return {
            "inputs": [
                {"name": name, "type": spec.dtype, "nullable": spec.nullable}
                for name, spec in self.recipe.inputs.items()
            ],
            "output": {"name": "score", "type": "float64"},
        }

    @cached_property
    def scorer(self) -> Scorer:
        """What scores rows.

        Raises:
            MissingPartError: the model's library is not installed.
        """
        return scorer(self.file, self.model)

    @property
    def native(self) -> Any:
        """The plain model of its own library."""
        return self.scorer.native

    @property
    def booster(self) -> xgboost.Booster:
        """The plain XGBoost booster.

        Raises:
            ConfigError: the model is not one of XGBoost's.
        """
        if self.file != DEFAULT:
            raise ConfigError("this model is not one of XGBoost's", self.file, "Use native.")
        booster: xgboost.Booster = self.native
        return booster

    def predict(
        self, data: pl.DataFrame | pl.LazyFrame | Sequence[Mapping[str, Any]]
    ) -> npt.NDArray[np.float64]:
        """Scores of raw rows, in their order: the probability of the label.

        A row gives the same bits alone, in a list, or in a frame.

        Args:
            data: a frame with the recipe's inputs, or rows as mappings.

        Raises:
            RecipeError: an input is missing, unknown or of a type that the recipe cannot take.
        """
        if isinstance(data, Sequence):
            return self.predict_features(self.recipe.rows(data))
        return self.predict_features(self.recipe.transform(data).to_numpy())

    def predict_features(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Scores of rows that the recipe has already transformed (float32, n by features)."""
        if not len(matrix):
            return np.empty(0, dtype=np.float64)
        rows = np.ascontiguousarray(matrix, dtype=np.float32)
        return self.scorer.score(rows)

    def to_files(self) -> dict[str, bytes]:
        """The five files by name; equal bundles give equal bytes."""
        return dict(self._files)

    @classmethod
    def from_files(cls, read: Callable[[str], bytes]) -> ModelBundle:
        """A bundle from its files, each held against its hash in the manifest.

        Raises:
            IntegrityError: a file's bytes are not those that the manifest names, or the manifest
                is of a format this release does not know.
            RecipeError: the recipe is of a format that this release does not know.
        """
        text = read(MANIFEST)
        try:
            manifest = json.loads(text)
            json.dumps(manifest, allow_nan=False)  # a number beyond 64 bits was read as infinite
            known, hashes = manifest["format"] == FORMAT, dict(manifest["files"])
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                "the manifest is damaged", type(error).__name__, "Restore it from a backup."
            ) from error
        if not known:
            raise IntegrityError(
                "the manifest's format is unknown",
                manifest.get("format"),
                f"This release reads format {FORMAT}; use the release that wrote it.",
            )
        model = [name for name in hashes if name in FORMS]
        if len(model) != 1:
            raise IntegrityError(
                "the manifest names no model that this release can read",
                str(sorted(hashes)),
                "Use the release that wrote it.",
            )
        files = {name: read(name) for name in (*model, *FILES)}
        for name, data in files.items():
            if bytes_hash(data) != hashes.get(name):
                raise IntegrityError(
                    f"{name} is not the file that was registered",
                    f"SHA-256 {bytes_hash(data)}",
                    "Restore it from a backup, or reproduce the version.",
                )
        recipe = FittedRecipe.from_json(files["recipe.json"].decode())
        bundle = cls(files[model[0]], recipe, manifest, model[0])
        # the bytes as they were registered: this release may write a recipe in another way
        bundle.manifest, bundle._files = manifest, {**files, MANIFEST: text}
        return bundle

    def __repr__(self) -> str:
        inputs, features = len(self.recipe.inputs), len(self.recipe.feature_names)
        return f"ModelBundle({self.content_hash[:12]}, {inputs} inputs, {features} features)"

    def _repr_html_(self) -> str:
        figures = self.manifest.get("metrics", {})
        facts = {
            "model": self.content_hash[:12],
            "file": f"{self.file}, {len(self.model):,} bytes",
            "inputs": ", ".join(f"{n} ({s.dtype})" for n, s in self.recipe.inputs.items()),
            "features": len(self.recipe.feature_names),
            "label": self.recipe.label,
            "rows": self.manifest.get("rows", ""),
            **{n: f"{v:.4f}" for n, v in figures.items() if isinstance(v, float)},
        }
        return html_facts(facts, "model")
