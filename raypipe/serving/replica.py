"""One replica: takes raw requests, scores them with a live version, logs them, answers.

It hosts all live versions of a model and chooses by a pointer; nothing restarts when a version is
promoted. Ray Serve calls it; all decisions are in the modules that it calls.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from raypipe.core.errors import RaypipeError, RecipeError, RequestError, ServiceUnavailableError
from raypipe.core.times import utc_now
from raypipe.models import trust
from raypipe.registry import Registry
from raypipe.serving import answers
from raypipe.serving.live import LiveModels, LiveVersion
from raypipe.serving.log import LogMode, PredictionLog
from raypipe.serving.log_table import LOOK_BACK, Entry
from raypipe.serving.protocol import Limits, Parsed, body_too_large, parse_infer, parse_predict
from raypipe.serving.recent import RecentAnswers
from raypipe.serving.routes import Route, check_content, check_method, find_route

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from starlette.requests import Request

    from raypipe.lake import Lake

ATTEMPT_HEADER = "raypipe-attempt"
"""Set to 2 and more by a client that asks again: the answer is then looked for in the log."""

_logger = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaConfig:
    """What a replica is told when it starts.

    Attributes:
        model: the model that it serves.
        token_sha256: hash of the bearer token that requests must show; the token stays outside.
        fingerprint: names this configuration, so that a second deployment of it is none.
        trusted: functions that models may name.
    """

    model: str
    limits: Limits
    log: LogMode
    linger: timedelta
    poll: timedelta
    keep_versions: int
    token_sha256: str | None
    release: str
    fingerprint: str
    trusted: tuple[str, ...] = ()


class Replica:
    """The Serve deployment's class.

    Raises:
        ModelNotFoundError: no version is in service.
    """

    def __init__(self, lake: Lake, config: ReplicaConfig) -> None:
        self._config = config
        trust(*config.trusted)
        self._id = uuid.uuid4().hex
        self._log = PredictionLog(lake, config.model, config.log, config.linger)
        self._models = LiveModels(
            Registry(lake), config.model, self._log.admit, config.poll, config.keep_versions
        )
        self._recent = RecentAnswers()

    async def __call__(self, request: Request) -> Response:
        """Answers one request; whatever happens, with JSON."""
        headers = {}
        try:
            body = await self._answer(request)
            status = 200
        except RaypipeError as error:
            status, body = answers.error_answer(error)
            if status >= 500:
                _logger.error("a request to %s failed: %s", self._config.model, error)
            if status == 401:
                headers["WWW-Authenticate"] = "Bearer"
            if status == 405:
                headers["Allow"] = "GET" if request.method == "POST" else "POST"
            if status == 503:
                headers["Retry-After"] = "1"
        except Exception:
            _logger.exception("a request to %s failed", self._config.model)
            status, body = answers.error_answer(RaypipeError("the service failed"))
        return Response(body, status, headers, media_type="application/json")

    def check_health(self) -> None:
        """Asked by Serve; a replica whose threads died is replaced.

        Raises:
            ServiceUnavailableError: the log's or the pointer's thread died.
        """
        if not (self._log.alive and self._models.alive):
            raise ServiceUnavailableError("a thread of this replica died")

    def __del__(self) -> None:
        """Called by Serve when the replica ends: what waits is logged."""
        models, log = getattr(self, "_models", None), getattr(self, "_log", None)
        if models is not None:
            models.close()
        if log is not None:
            log.close()

    async def _answer(self, request: Request) -> bytes:
        path, root = request.scope["path"], request.scope.get("root_path") or ""
        route = find_route(path.removeprefix(root.rstrip("/")), self._config.model)
        check_method(route, request.method)
        if route.kind == "live":
            return answers.state(live=True)
        if route.kind == "ready":
            return answers.state(ready=True)
        self._check_token(request.headers.get("authorization"))
        if route.kind == "server":
            return answers.server_metadata(self._config.release)
        live = await self._version(route.version)
        if route.kind == "model_ready":
            return answers.state(name=self._config.model, version=str(live.number), ready=True)
        if route.kind == "model":
            return self._metadata(live)
        return await self._predict(request, route, live)

    def _check_token(self, header: str | None) -> None:
        wanted = self._config.token_sha256
        if wanted is None:
            return
        scheme, _, token = (header or "").partition(" ")
        shown = hashlib.sha256(token.strip().encode()).hexdigest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown, wanted):
            raise RequestError(
                "the bearer token is missing or wrong",
                None,
                "Send Authorization: Bearer <token>.",
                "Authorization",
                401,
            )

    async def _version(self, number: int | None) -> LiveVersion:
        current = self._models.current
        if number is None or number == current.number:
            return current
        return await asyncio.to_thread(self._models.get, number)

    def _metadata(self, live: LiveVersion) -> bytes:
        return answers.model_metadata(
            self._config.model,
            live.number,
            self._models.numbers,
            live.signature,
            {
                "in_service": self._models.current.number,
                "replica": self._id,
                "deployment": self._config.fingerprint,
                "error": self._models.error,
                "refused": self._models.refused,
            },
        )

    async def _predict(self, request: Request, route: Route, live: LiveVersion) -> bytes:
        check_content(request.headers.get("content-type"), request.headers.get("content-encoding"))
        body = await self._body(request)
        plain = route.kind == "predict"
        parse = parse_predict if plain else parse_infer
        parsed = parse(body, live.signature, self._config.limits)
        again = request.headers.get(ATTEMPT_HEADER, "1") != "1"

        def render(scored: answers.Scored) -> bytes:
            if plain:
                return answers.plain_answer(scored)
            return answers.infer_answer(scored, parsed.outputs)

        if not parsed.given:
            return await self._scored(live, parsed, again, render)
        return await self._recent.once(
            parsed.id,
            f"{route}".encode() + body,
            lambda: self._scored(live, parsed, again, render),
        )

    async def _body(self, request: Request) -> bytes:
        limits = self._config.limits
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > limits.max_body_bytes:
            raise body_too_large(f"{length} bytes", limits)
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limits.max_body_bytes:
                raise body_too_large(f"more than {limits.max_body_bytes} bytes", limits)
            chunks.append(chunk)
        return b"".join(chunks)

    async def _scored(
        self,
        live: LiveVersion,
        parsed: Parsed,
        again: bool,
        render: Callable[[answers.Scored], bytes],
    ) -> bytes:
        """The bytes of the answer, once its rows are as safe as the log's mode promises."""
        if not parsed.log:
            return render(self._score(live, parsed))
        if again and parsed.given:
            stored = await asyncio.to_thread(self._log.find, parsed, utc_now() - LOOK_BACK)
            if stored is not None:
                return render(stored)
        scored = self._score(live, parsed)
        answer = render(scored)
        entry = Entry(parsed=parsed, scored=scored, at=utc_now())
        logged: Any = self._log.add(entry)
        fresh = await asyncio.wrap_future(logged)
        if not fresh:  # the same requests were committed, whenever, by a replica that then died
            stored = await asyncio.to_thread(self._log.find, parsed)
            return answer if stored is None else render(stored)
        return answer

    def _score(self, live: LiveVersion, parsed: Parsed) -> answers.Scored:
        try:
            scores = live.score(parsed.rows())
        except RecipeError as error:
            raise RequestError(error.what, error.got, error.act, error.field, 422) from error
        return answers.Scored(
            model=self._config.model,
            version=live.number,
            id=parsed.id,
            prediction_ids=parsed.prediction_ids(),
            scores=scores,
        )
