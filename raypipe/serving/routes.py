"""Which question a method and a path ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raypipe.core.errors import RequestError
from raypipe.serving.signature import shown

Kind = Literal["predict", "infer", "live", "ready", "server", "model", "model_ready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One question.

    Attributes:
        kind: which.
        version: the version it names; ``None`` for the one in service.
    """

    kind: Kind
    version: int | None = None

    @property
    def method(self) -> str:
        """The only method that it takes."""
        return "POST" if self.kind in ("predict", "infer") else "GET"


def find_route(path: str, model: str) -> Route:
    """The question at a path.

    Raises:
        RequestError: 404, nothing is there; names the model or the version where that is why.
    """
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["v2"]:
            return Route(kind="server")
        case ["v2", "health", "live"]:
            return Route(kind="live")
        case ["v2", "health", "ready"]:
            return Route(kind="ready")
        case ["predict", name]:
            _check_model(name, model)
            return Route(kind="predict")
        case ["v2", "models", name, *rest]:
            _check_model(name, model)
            route = _model_route(rest)
            if route is not None:
                return route
    raise RequestError(
        "nothing is at this path",
        shown(path),
        f"Use POST /predict/{model} or POST /v2/models/{model}/infer.",
        status=404,
    )


def _model_route(rest: list[str]) -> Route | None:
    version: int | None = None
    if rest and rest[0] == "versions" and len(rest) > 1:
        version = _version(rest[1])
        rest = rest[2:]
    match rest:
        case []:
            return Route(kind="model", version=version)
        case ["ready"]:
            return Route(kind="model_ready", version=version)
        case ["infer"]:
            return Route(kind="infer", version=version)
    return None


def check_method(route: Route, method: str) -> None:
    """Holds a request's method against the route's.

    Raises:
        RequestError: 405, another method.
    """
    if method != route.method:
        raise RequestError(
            "the method is not allowed here", shown(method), f"Use {route.method}.", status=405
        )


def check_content(content_type: str | None, content_encoding: str | None) -> None:
    """Holds the headers of a body against what is read here: JSON, as it is.

    Raises:
        RequestError: 415, another type or a compressed body.
    """
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise RequestError(
            "the content type is not accepted",
            shown(content_type),
            "Send Content-Type: application/json.",
            "Content-Type",
            415,
        )
    if (content_encoding or "identity").strip().lower() != "identity":
        raise RequestError(
            "the content encoding is not accepted",
            shown(content_encoding),
            "Send the body as it is.",
            "Content-Encoding",
            415,
        )


def _check_model(name: str, model: str) -> None:
    if name != model:
        raise RequestError(
            f"no model {shown(name)} is served here", None, f"Use {model!r}.", "model", 404
        )


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise RequestError(
            "this is no version", shown(text), "Use a number from 1.", "version", 404
        )
    return int(text)
