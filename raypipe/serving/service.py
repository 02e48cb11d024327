"""A model behind HTTP, on Ray Serve."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, RequestError, ServiceUnavailableError, ServingError
from raypipe.core.identity import bytes_hash, content_hash
from raypipe.core.markup import html_facts
from raypipe.core.uris import check_name
from raypipe.models.trusting import trusted
from raypipe.registry import Registry
from raypipe.serving.client import Client, Prediction
from raypipe.serving.log import MODES, LogMode
from raypipe.serving.protocol import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.lake import Lake

TOKEN_ENV = "RAYPIPE_SERVICE_TOKEN"  # noqa: S105 - the variable's name, no token
_POLL = timedelta(milliseconds=250)
_LINGER = timedelta(milliseconds=5)
_KEEP_VERSIONS = 4
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Service:
    """A model in service: the version that the registry names, over HTTP.

    ``POST /predict/<model>`` takes plain rows, ``POST /v2/models/<model>/infer`` the Open Inference
    Protocol; each answer names the version and an id for each prediction. A promotion or a rollback
    in the registry moves the replicas to the other version within about half a second; no request
    fails for it. Replicas follow the registry themselves, so nothing has to be told to a service.

    Guarantee of the prediction log: with ``log="durable"`` the rows of every answer that was given
    are committed to ``<model>__predictions`` before the answer leaves, and
    ``raypipe.serving.predictions`` shows each prediction id once, however often a request with one
    id was sent, and whatever was killed. A client that asks again with the same id within a day
    gets the answer that was logged if it says so (``Raypipe-Attempt: 2``, as ``predict`` does) or
    if the same replica gave it lately. ``log="buffered"`` answers at once and commits every second:
    a replica that is killed loses its last second of rows. ``log="off"`` keeps nothing.

    A promoted version that a replica cannot take stays out of service, and the one before stays in:
    its files cannot be read, or its inputs differ from those that the log's table has columns for.
    ``wait_for`` raises and says why. A replica tries such a version again after 5 s and then after
    pauses that double up to 5 minutes, and at once when the registry changes; promote another
    version or roll back. Serve a model with other inputs under another name, or with ``log="off"``.

    Args:
        lake: where the registry is and the log goes.
        name: the model.
        host: where to listen; loopback by default. Without TLS and, unless ``token`` is given,
            without authentication: put a proxy in front before you open it to a network.
        port: the port.
        prefix: stands before each path; for a second model on the same Ray.
        replicas: how many processes answer.
        cpus: logical CPUs that each replica reserves. 0 by default: a service must come up, and
            come up again after a crash, also where training holds every CPU. On a large cluster
            reserve 1, so that Ray spreads the replicas.
        token: a bearer token that requests must show (but those to ``/v2/health``); by default
            that of ``RAYPIPE_SERVICE_TOKEN``, if it is set. Replicas get its hash only.
        log: ``"durable"``, ``"buffered"`` or ``"off"``.
        max_body_bytes: larger bodies get 413.
        max_rows: more rows in one request get 413.

    Raises:
        ConfigError: an argument cannot be used.
    """

    def __init__(
        self,
        lake: Lake,
        name: str,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        prefix: str = "/",
        replicas: int = 1,
        cpus: float = 0.0,
        token: str | None = None,
        log: LogMode = "durable",
        max_body_bytes: int = Limits().max_body_bytes,
        max_rows: int = Limits().max_rows,
    ) -> None:
        self.lake = lake
        self.name = check_name("model", name)
        self.host = host
        self.port = _positive("port", port)
        self.replicas = _positive("replicas", replicas)
        self.log: LogMode = log
        self._prefix = "" if prefix == "/" else prefix.rstrip("/")
        self._cpus = cpus
        self._token = token if token is not None else os.environ.get(TOKEN_ENV) or None
        self._limits = Limits(
            max_body_bytes=_positive("max_body_bytes", max_body_bytes),
            max_rows=_positive("max_rows", max_rows),
        )
        if port > 65_535:
            raise ConfigError("this is no port", port, "Use 1 to 65535.", "port")
        if cpus < 0:
            raise ConfigError("cpus must be >= 0", cpus, field="cpus")
        if log not in MODES:
            raise ConfigError("unknown log mode", log, f"Use one of {', '.join(MODES)}.", "log")
        if self._prefix and not self._prefix.startswith("/"):
            raise ConfigError("the prefix must begin with /", prefix, field="prefix")
        if self._token is not None and not (self._token.isascii() and self._token.strip()):
            raise ConfigError("the token is empty or not ASCII", field="token")
        reach = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        self._client = Client(reach, port, self._prefix, self._token)
        self._answered = False

    @property
    def url(self) -> str:
        """Where the service is, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self._prefix}"

    def deploy(self, wait: timedelta = timedelta(seconds=60)) -> Service:
        """Puts the model's champion into service and returns when it answers.

        Starts Ray and Ray Serve if they do not run. Idempotent: deployed with the same arguments
        already, nothing happens; with others, the replicas are replaced without a failed request.

        Raises:
            ModelNotFoundError: no version has been promoted.
            PortInUseError: another process listens at the port.
            ConfigError: Ray Serve runs on this Ray at another port.
            ServiceUnavailableError: it does not answer in time.
            ServingError: Serve did not take it.
            EngineError: Ray does not start.
        """
        from raypipe.engine.cluster import ensure_ray
        from raypipe.serving import application
        from raypipe.serving.live import no_champion

        if Registry(self.lake).champion(self.name) is None:
            raise no_champion(self.name)
        ensure_ray()
        application.start_serve(self.host, self.port)
        config = self._config()
        if not self._answers_as(config.fingerprint):
            placement = application.Placement(
                name=self._application,
                prefix=self._prefix or "/",
                host=self.host,
                port=self.port,
                replicas=self.replicas,
                cpus=self._cpus,
            )
            application.run_application(self.lake, config, placement)
        deadline = time.monotonic() + wait.total_seconds()
        while not self._answers_as(config.fingerprint):
            if time.monotonic() > deadline:
                raise ServiceUnavailableError(
                    f"the service of {self.name} did not come up within {wait.total_seconds():g} s",
                    f"application {application.application_state(self._application)}",
                    "Look at the replica's log in Ray's session folder, or pass a longer wait.",
                )
            time.sleep(0.05)
        return self

    def predict(
        self,
        rows: Any,
        id: str | None = None,  # noqa: A002 - the request's own word
        time: datetime | Sequence[datetime] | None = None,
        *,
        log: bool = True,
        timeout: timedelta = timedelta(seconds=60),
    ) -> Prediction:
        """Scores rows over HTTP.

        Idempotent by ``id``: asked again, the answer is the same and nothing is logged twice. Lost
        connections and a replica that is being replaced are waited for.

        Args:
            rows: mappings with every raw input of the model, one mapping, or a polars frame.
            id: names the request; by default a fresh one.
            time: when the events happened, one for all rows or one for each; by default now.
            log: False for a probe: it is scored as any request and stands in no table, so that it
                reaches neither the monitor nor a training.
            timeout: how long to try.

        Raises:
            RequestError: the rows cannot be scored; ``field`` names the feature.
            ServingError: it was not deployed; said at once.
            ServiceUnavailableError: no answer in time.
        """
        if not self._answered:
            self._check_deployed()
        answer = self._client.predict(self.name, rows, id, time, timeout, log=log)
        self._answered = True
        return answer

    def ready(self) -> bool:
        """Whether the service answers."""
        return self._ask() is not None

    def version(self) -> int:
        """The version in service, as a replica has it.

        Raises:
            ServiceUnavailableError: no answer in time.
        """
        return int(self._metadata(timedelta(seconds=10))["in_service"])

    def wait_for(self, version: int, timeout: timedelta = timedelta(seconds=30)) -> Service:
        """Returns when every replica has a version in service.

        Raises:
            ServingError: a replica cannot take the version; says why.
            ServiceUnavailableError: not in time, or fewer replicas answer than this service has.
        """
        deadline = time.monotonic() + timeout.total_seconds()
        seen: set[str] = set()
        while True:
            left = max(0.0, deadline - time.monotonic())
            state = self._metadata(timedelta(seconds=left))
            if int(state["in_service"]) == version:
                seen.add(state["replica"])
                if len(seen) >= self.replicas:
                    return self
            else:
                seen.clear()
                if state["refused"] == version:
                    raise ServingError(
                        f"version {version} of {self.name} is not taken into service",
                        state["error"],
                        f"Version {state['in_service']} stays in service.",
                    )
            if time.monotonic() > deadline:
                raise ServiceUnavailableError(
                    f"version {version} of {self.name} is not in service in all replicas "
                    f"after {timeout.total_seconds():g} s",
                    f"{len(seen)} of {self.replicas} with it, the last to answer has version "
                    f"{state['in_service']}" + (f" ({state['error']})" if state["error"] else ""),
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Takes this service away, and Ray Serve too if it was started here and has no other.

        Rows that wait for the log are committed first. Does nothing if it is not deployed.
        """
        import ray

        from raypipe.serving import application

        if ray.is_initialized():
            application.stop_application(self._application)

    def _check_deployed(self) -> None:
        """Says at once that nothing was deployed, where that can be known; else there is waiting.

        Once a service has answered, it is waited for: it may be replaced just now.
        """
        ray = sys.modules.get("ray")
        here = ray is not None and ray.is_initialized()
        if self._client.listens() or not (here or self.host in _LOOPBACK):
            return
        if here:
            from raypipe.serving import application

            if application.application_state(self._application) is not None:
                return
        raise ServingError(
            f"the service of {self.name} is not deployed",
            f"nothing listens at {self.url}",
            "Call deploy() first; where another process does, wait until ready().",
        )

    @property
    def _application(self) -> str:
        return f"raypipe-{self.name}"

    def _config(self) -> Any:
        from raypipe import __version__
        from raypipe.serving.replica import ReplicaConfig

        token = None if self._token is None else bytes_hash(self._token.encode())
        named = {
            "root": self.lake.root,
            "model": self.name,
            "limits": [self._limits.max_body_bytes, self._limits.max_rows],
            "log": self.log,
            "replicas": self.replicas,
            "cpus": self._cpus,
            "token": token,
            "release": __version__,
        }
        named |= {"trusted": trusted()} if trusted() else {}
        return ReplicaConfig(
            model=self.name,
            limits=self._limits,
            log=self.log,
            linger=_LINGER,
            poll=_POLL,
            keep_versions=_KEEP_VERSIONS,
            token_sha256=token,
            release=__version__,
            fingerprint=content_hash(named),
            trusted=trusted(),
        )

    def _answers_as(self, fingerprint: str) -> bool:
        state = self._ask()
        return state is not None and state["deployment"] == fingerprint

    def _ask(self) -> dict[str, Any] | None:
        """What a replica says of itself, or ``None`` if none of this model answers now."""
        try:
            return self._metadata(timedelta(seconds=1))
        except (ServiceUnavailableError, RequestError):
            return None

    def _metadata(self, patience: timedelta) -> dict[str, Any]:
        answer = self._client.call("GET", f"/v2/models/{self.name}", None, patience)
        parameters: dict[str, Any] = answer["parameters"]
        return parameters

    def _facts(self) -> list[tuple[str, object]]:
        state = self._ask()
        return [
            ("model", self.name),
            ("url", self.url),
            ("version", "not in service" if state is None else state["in_service"]),
            ("replicas", self.replicas),
            ("log", self.log),
            ("token", "required" if self._token else "none"),
        ]

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {self.url!r}, replicas={self.replicas}, log={self.log!r})"

    def _repr_html_(self) -> str:
        return html_facts(dict(self._facts()), "service")


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ConfigError(f"{name} must be >= 1", value, field=name)
    return value
