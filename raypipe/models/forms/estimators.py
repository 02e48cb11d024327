"""scikit-learn's estimators as skops files, made equal for equal models.

A skops file is a zip with a JSON of what the estimator is made of, and its arrays. It builds only
classes that are trusted: those that skops trusts itself and the few in ``TRUSTED``, all of
scikit-learn. Its names hold addresses of the process that wrote it, and its entries the time;
``to_bytes`` numbers the former and leaves out the latter.

Linear models are computed here from their coefficients, feature by feature, since a matrix product
gives a row other last bits alone than among others.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from raypipe.core.errors import IntegrityError, RecipeError
from raypipe.models.forms.base import parts_missing

if TYPE_CHECKING:
    import numpy.typing as npt

TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""Classes of scikit-learn beside those that skops trusts itself."""

_SCHEMA = "schema.json"
_IDS = re.compile(r'("__id__": )(\d+)')
_LONGEST_AGO = (1980, 1, 1, 0, 0, 0)
_MOST_BYTES = 2 * 1024**3
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What zipfile, json and skops raise over bytes that are no model."""


def to_bytes(estimator: Any) -> bytes:
    """The file of an estimator; equal estimators of one release of Python give equal bytes.

    Raises:
        MissingPartError: scikit-learn or skops is not installed.
    """
    made = io.BytesIO(require_skops().dumps(estimator))
    out = io.BytesIO()
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        schema = source.read(_SCHEMA).decode()
        names: dict[str, str] = {}

        def numbered(match: re.Match[str]) -> str:
            return match[1] + names.setdefault(match[2], str(len(names)))

        schema = _IDS.sub(numbered, schema)
        for file in source.namelist():
            if file == _SCHEMA:
                continue
            stem, dot, kind = file.partition(".")
            short = names.get(stem, f"x{len(names)}") + dot + kind
            schema = schema.replace(f'"{file}"', f'"{short}"')
            _write(target, short, source.read(file))
        _write(target, _SCHEMA, schema.encode())
    return out.getvalue()


def _write(target: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _LONGEST_AGO)
    info.compress_type = zipfile.ZIP_DEFLATED
    target.writestr(info, data, compresslevel=6)


def require_skops() -> Any:
    """The library that reads and writes estimators.

    Raises:
        MissingPartError: scikit-learn or skops is not installed.
    """
    try:
        import sklearn  # noqa: F401 - what skops writes and builds
        import skops.io
    except ImportError as error:
        raise parts_missing("scikit-learn with skops", "sklearn", error) from error
    return skops.io


class SklearnScorer:
    """An estimator.

    Raises:
        MissingPartError: scikit-learn or skops is not installed.
        IntegrityError: the bytes are no estimator, or one that holds what is not trusted.
    """

    def __init__(self, model: bytes) -> None:
        skops = require_skops()
        try:
            with zipfile.ZipFile(io.BytesIO(model)) as file:
                if sum(one.file_size for one in file.infolist()) > _MOST_BYTES:
                    raise IntegrityError("the model's file is too large to be opened")
                json.loads(file.read(_SCHEMA))
            unknown = set(skops.get_untrusted_types(data=model)) - set(TRUSTED)
            if unknown:
                raise IntegrityError(
                    "the model's file would build what is not trusted",
                    ", ".join(sorted(unknown)),
                    "Train the model again with this release.",
                )
            self.native = skops.loads(model, trusted=list(TRUSTED))
        except _DAMAGED as error:
            raise IntegrityError(
                "the model's bytes are no scikit-learn model", type(error).__name__
            ) from error
        self._classes = len(getattr(self.native, "classes_", ()))
        self._takes_missing = takes_missing(self.native)

    def score(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The probability of class 1, of each class where there are more, or the number.

        Raises:
            RecipeError: a feature is infinite, or missing and the estimator takes none that is.
        """
        if not self._takes_missing and np.isnan(rows).any():
            raise missing_value(type(self.native).__name__, int(np.isnan(rows).any(0).argmax()))
        if np.isinf(rows).any():
            raise infinite_value(type(self.native).__name__, int(np.isinf(rows).any(0).argmax()))
        if hasattr(self.native, "coef_"):
            return _linear(self.native, rows)
        if not self._classes:
            return np.asarray(self.native.predict(rows), dtype=np.float64)
        made = np.asarray(self.native.predict_proba(rows), dtype=np.float64)
        return made[:, 1] if self._classes == 2 else made

    def one_thread(self) -> None:
        """Nothing to do: estimators are stored so that they predict with one thread."""


def takes_missing(estimator: Any) -> bool:
    """Whether features may be missing, by scikit-learn's own tag."""
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan)


def missing_value(estimator: str, column: int, name: str | None = None) -> RecipeError:
    """The error for a feature without a value."""
    return RecipeError(
        f"{estimator} takes no missing values",
        f"feature {name or column} is missing",
        "Fill it in the recipe, or use an estimator that takes such rows.",
        name,
    )


def infinite_value(estimator: str, column: int) -> RecipeError:
    """The error for a feature that is infinite."""
    return RecipeError(
        f"{estimator} takes no infinite values",
        f"feature {column} is infinite",
        "Clip it in the recipe.",
    )


def _linear(model: Any, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    coefs = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    at = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), len(coefs)).astype(float)
    sums = []
    for weights, start in zip(coefs, at, strict=True):
        total = np.full(len(rows), start)
        for number, weight in enumerate(weights):
            total += rows[:, number].astype(np.float64) * weight
        sums.append(total)
    if not hasattr(model, "classes_"):
        link = getattr(model, "_base_loss", None)
        log = link is not None and type(link.link).__name__ == "LogLink"
        return np.exp(sums[0]) if log else sums[0]
    if len(sums) == 1:
        return np.asarray(1.0 / (1.0 + np.exp(-sums[0])), dtype=np.float64)
    top = np.maximum.reduce(sums)
    powers = [np.exp(one - top) for one in sums]
    whole = powers[0]
    for one in powers[1:]:
        whole = whole + one
    return np.column_stack([one / whole for one in powers])
