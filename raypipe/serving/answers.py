"""What goes back: answers, errors and metadata as bytes of JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import RaypipeError, RequestError, ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.serving.signature import Signature

_ROW = re.compile(r"row (\d+)[ :]")
_LATER = "the service cannot answer now. Try again with the same id."
_FAILED = "the service failed on this request. The reason stands in the log of its replica."
_DATATYPE = {"int64": "INT64", "float64": "FP64", "bool": "BOOL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The scores of one request.

    Attributes:
        model: the model's name.
        version: the version that scored it.
        id: the request's id.
        prediction_ids: one for each row.
        scores: one for each row, in the same order.
    """

    model: str
    version: int
    id: str
    prediction_ids: Sequence[str]
    scores: Sequence[float]


def plain_answer(scored: Scored) -> bytes:
    """The answer to plain rows."""
    return _dump(
        {
            "model": scored.model,
            "version": scored.version,
            "id": scored.id,
            "predictions": [
                {"id": prediction_id, "score": score}
                for prediction_id, score in zip(scored.prediction_ids, scored.scores, strict=True)
            ],
        }
    )


def infer_answer(scored: Scored, outputs: Sequence[str]) -> bytes:
    """The answer of the Open Inference Protocol, with the outputs that were asked for."""
    known: dict[str, tuple[str, Sequence[Any]]] = {
        "score": ("FP64", scored.scores),
        "prediction_id": ("BYTES", scored.prediction_ids),
    }
    tensors = []
    for name in outputs:
        datatype, data = known[name]
        tensors.append(
            {"name": name, "shape": [len(data)], "datatype": datatype, "data": list(data)}
        )
    return _dump(
        {
            "model_name": scored.model,
            "model_version": str(scored.version),
            "id": scored.id,
            "outputs": tensors,
        }
    )


def error_answer(error: RaypipeError) -> tuple[int, bytes]:
    """The HTTP status and the body of an error that a client may see.

    A ``RequestError`` has its own status, ``ServiceUnavailableError`` is 503, all others are 500.
    Of 503 and 500 a client learns the type only: what they say is for the service's owner, and may
    name paths of the lake.
    """
    body: dict[str, Any] = {"type": type(error).__name__}
    if isinstance(error, RequestError):
        status = error.status
        body |= {"message": str(error), "field": error.field, "row": row_of(error)}
    else:
        status = 503 if isinstance(error, ServiceUnavailableError) else 500
        body |= {"message": _LATER if status == 503 else _FAILED, "field": None, "row": None}
    return status, _dump({"error": body})


def row_of(error: RaypipeError) -> int | None:
    """The row that an error of ``signature.at_row`` is about."""
    match = _ROW.match(error.what)
    return int(match[1]) if match else None


def server_metadata(release: str) -> bytes:
    """The answer to ``GET /v2``."""
    return _dump({"name": "raypipe", "version": release, "extensions": []})


def model_metadata(
    model: str,
    version: int,
    versions: Sequence[int],
    signature: Signature,
    parameters: dict[str, Any],
) -> bytes:
    """The answer to ``GET /v2/models/<model>[/versions/<version>]``."""
    inputs: list[dict[str, Any]] = [
        {
            "name": feature.name,
            "datatype": _DATATYPE.get(feature.type, "BYTES"),
            "shape": [-1],
            "parameters": {"type": feature.type, "nullable": feature.nullable},
        }
        for feature in signature.features
    ]
    return _dump(
        {
            "name": model,
            "versions": [str(number) for number in versions],
            "platform": "xgboost",
            "inputs": inputs,
            "outputs": [
                {"name": "score", "datatype": "FP64", "shape": [-1]},
                {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
            ],
            "parameters": dict(parameters, version=version),
        }
    )


def state(**values: Any) -> bytes:
    """A small object, for the questions about life and readiness."""
    return _dump(values)


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
