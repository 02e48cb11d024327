"""What a request says: its rows, its id and its time, from either of two forms of JSON.

Plain rows (``POST /predict/<model>``): ``{"rows": [{...}], "id": …, "time": …, "log": …}``, or a
bare list of rows, or one bare row. The Open Inference Protocol, version 2
(``POST /v2/models/<model>/infer``): named columns with shape and datatype, ``id``, and ``time`` and
``log`` in ``parameters``. ``"log": false`` is for probes: scored as any request, kept in no table.

Both give the same ``Parsed``. Nothing but ``RequestError`` leaves this module, whatever the bytes.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import RequestError
from raypipe.serving.signature import Signature, parse_time, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

REQUEST_ID = re.compile(r"[A-Za-z0-9._~:@-]{1,128}")
OUTPUTS = ("score", "prediction_id")
_INTEGERS = frozenset({f"{u}INT{bits}" for u in ("", "U") for bits in (8, 16, 32, 64)})
_DATATYPES: Mapping[str, frozenset[str]] = {
    "int64": _INTEGERS,
    "float64": _INTEGERS | {"FP16", "FP32", "FP64"},
    "string": frozenset({"BYTES"}),
    "bool": frozenset({"BOOL"}),
    "datetime": frozenset({"BYTES"}),
    "date": frozenset({"BYTES"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may hold at most."""

    max_body_bytes: int = 8 * 1024**2
    max_rows: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A request that can be answered.

    Attributes:
        id: the client's request id, or a fresh one.
        given: whether the client gave the id, so that the request can come again.
        columns: typed values by feature, in the signature's order; equal lengths, at least 1.
        event_times: one for each row, or ``None`` where the client gave no time.
        outputs: the outputs that were asked for.
        log: whether the predictions go to the log.
    """

    id: str
    given: bool
    columns: Mapping[str, list[Any]]
    event_times: list[datetime] | None = None
    outputs: tuple[str, ...] = field(default=OUTPUTS)
    log: bool = True

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def rows(self) -> list[dict[str, Any]]:
        """The rows as mappings from feature to typed value."""
        names = tuple(self.columns)
        return [
            dict(zip(names, values, strict=True))
            for values in zip(*self.columns.values(), strict=True)
        ]

    def prediction_ids(self) -> list[str]:
        """``<request id>:<row>``: the same request gives the same ids, wherever it is answered."""
        return [f"{self.id}:{row}" for row in range(self.count)]


def read_json(body: bytes, limits: Limits) -> object:
    """The JSON value of a body.

    ``NaN`` and infinities pass here as floats, so that the feature which holds one can be named.

    Raises:
        RequestError: 413 the body is too large; 400 it is not UTF-8, not JSON, nested too deeply,
            or an object has a key twice.
    """
    if len(body) > limits.max_body_bytes:
        raise body_too_large(f"{len(body)} bytes", limits)
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object)
    except RequestError:
        raise
    except RecursionError:
        raise RequestError("the body is nested too deeply", None, "Send rows.") from None
    except ValueError as error:
        raise RequestError(
            "the body is not JSON", str(error)[:200], "Send one JSON value in UTF-8."
        ) from None


def body_too_large(got: str, limits: Limits) -> RequestError:
    """The error for a body over the limit."""
    return RequestError(
        "the body is too large",
        got,
        f"At most {limits.max_body_bytes} bytes; send the rows in several requests.",
        status=413,
    )


def parse_predict(body: bytes, signature: Signature, limits: Limits) -> Parsed:
    """A request in plain rows.

    An object with the key ``rows`` is always the outer object, never a row.

    Raises:
        RequestError: the request cannot be answered; ``field`` is the feature or key at fault.
    """
    value = read_json(body, limits)
    outer: Mapping[str, object]
    if isinstance(value, dict) and "rows" in value:
        outer = value
        _only(outer, ("rows", "id", "time", "log"))
    elif isinstance(value, dict):
        outer = {"rows": [value]}
    else:
        outer = {"rows": value}
    rows = outer["rows"]
    if not isinstance(rows, list):
        raise RequestError("rows is not a list", shown(rows), "Send a list of objects.", "rows")
    _check_count(len(rows), limits)
    columns = signature.read_rows(rows)
    request_id, given = _request_id(outer.get("id"))
    return Parsed(
        id=request_id,
        given=given,
        columns=columns,
        event_times=_times(outer.get("time"), len(rows), "time"),
        log=_flag(outer.get("log"), "log"),
    )


def parse_infer(body: bytes, signature: Signature, limits: Limits) -> Parsed:
    """A request of the Open Inference Protocol, version 2, with its tensors in JSON.

    A column has the shape ``[n]`` or ``[n, 1]``. ``null`` stands for an unknown value.

    Raises:
        RequestError: as ``parse_predict``.
    """
    value = read_json(body, limits)
    if not isinstance(value, dict):
        raise RequestError("the body is not an object", shown(value), "Send {'inputs': [...]}.")
    _only(value, ("id", "parameters", "inputs", "outputs"))
    inputs = value.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise RequestError(
            "inputs is not a list of tensors", shown(inputs), "Send one for each feature.", "inputs"
        )
    columns: dict[str, list[object]] = {}
    count: int | None = None
    for tensor in inputs:
        name, data = _tensor(tensor, signature)
        if name in columns:
            raise RequestError(f"input {name!r} stands twice", field=name)
        if count is not None and len(data) != count:
            raise RequestError(
                f"input {name!r} has another number of rows than the first",
                f"{len(data)} and {count}",
                "Send columns of one length.",
                name,
            )
        count = len(data)
        _check_count(count, limits)
        columns[name] = data
    parameters = value.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RequestError("parameters is not an object", shown(parameters), field="parameters")
    request_id, given = _request_id(value.get("id"))
    typed = signature.read_columns(columns)
    return Parsed(
        id=request_id,
        given=given,
        columns=typed,
        event_times=_times(parameters.get("time"), count or 0, "parameters.time"),
        outputs=_outputs(value.get("outputs")),
        log=_flag(parameters.get("log"), "parameters.log"),
    )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RequestError(
                    f"the key {shown(key)} stands twice in one object", None, "Send it once.", key
                )
            seen.add(key)
    return value


def _only(value: Mapping[str, object], keys: Sequence[str]) -> None:
    for key in value:
        if key not in keys:
            raise RequestError(
                f"the request has no key {shown(key)}", None, f"Known: {', '.join(keys)}.", key
            )


def _check_count(count: int, limits: Limits) -> None:
    if not count:
        raise RequestError("there is no row to score", None, "Send at least one.", "rows")
    if count > limits.max_rows:
        raise RequestError(
            "there are too many rows",
            f"{count} rows",
            f"At most {limits.max_rows}; send them in several requests.",
            "rows",
            413,
        )


def _request_id(value: object) -> tuple[str, bool]:
    if value is None:
        return uuid.uuid4().hex, False
    if not isinstance(value, str) or not REQUEST_ID.fullmatch(value):
        raise RequestError(
            "this cannot be a request id",
            shown(value),
            "Use 1 to 128 letters, digits or any of . _ ~ : @ -",
            "id",
        )
    return value, True


def _flag(value: object, name: str) -> bool:
    if value is None:
        return True
    if not isinstance(value, bool):
        raise RequestError(f"{name} is not a boolean", shown(value), "Send true or false.", name)
    return value


def _times(value: object, count: int, name: str) -> list[datetime] | None:
    if value is None:
        return None
    texts = value if isinstance(value, list) else [value] * count
    if len(texts) != count:
        raise RequestError(
            f"{name} has {len(texts)} times for {count} rows",
            None,
            "Send one for all rows, or one for each.",
            name,
        )
    times = []
    for text in texts:
        try:
            if not isinstance(text, str):
                raise ValueError
            times.append(parse_time(text))
        except (ValueError, OverflowError):
            raise RequestError(
                f"{name} is not a time",
                shown(text),
                "Send ISO 8601, such as '2013-07-01T05:00:00Z'.",
                name,
            ) from None
    return times


def _tensor(tensor: object, signature: Signature) -> tuple[str, list[object]]:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise RequestError(
            "an input is not a tensor",
            shown(tensor),
            "Send {'name', 'shape', 'datatype', 'data'}.",
            "inputs",
        )
    name: str = tensor["name"]
    feature = signature.feature(name)
    accepted = _DATATYPES[feature.type]
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or datatype not in accepted:
        raise RequestError(
            f"input {name!r} has a datatype that is not accepted",
            shown(datatype),
            f"Use {' or '.join(sorted(accepted))}.",
            name,
        )
    data = tensor.get("data")
    if not isinstance(data, list):
        raise RequestError(
            f"input {name!r} has no data", shown(data), "Send a list of values.", name
        )
    shape = tensor.get("shape")
    whole = isinstance(shape, list) and all(type(n) is int for n in shape)
    if not isinstance(shape, list) or not whole or shape not in ([len(data)], [len(data), 1]):
        raise RequestError(
            f"input {name!r} has a shape that does not fit its data",
            f"shape {shown(shape)} for {len(data)} values",
            f"Send shape [{len(data)}].",
            name,
        )
    if len(shape) == 2 and all(isinstance(v, list) and len(v) == 1 for v in data):
        data = [v[0] for v in data]
    return name, data


def _outputs(value: object) -> tuple[str, ...]:
    if value is None or value == []:
        return OUTPUTS
    names = []
    for output in value if isinstance(value, list) else [value]:
        name = output.get("name") if isinstance(output, dict) else None
        if name not in OUTPUTS:
            raise RequestError(
                "an output that was asked for does not exist",
                shown(name if isinstance(output, dict) else output),
                f"Known: {', '.join(OUTPUTS)}.",
                "outputs",
            )
        names.append(name)
    return tuple(name for name in OUTPUTS if name in names)
