"""The monitor: a detached actor that looks at a model again and again."""

from __future__ import annotations

import hashlib
import os
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, MonitorError
from raypipe.core.markup import html_facts, html_table
from raypipe.core.times import utc_now
from raypipe.core.uris import check_name
from raypipe.models.trusting import trust, trusted
from raypipe.monitoring.config import MonitorConfig
from raypipe.monitoring.store import MonitorStore
from raypipe.monitoring.watcher import OnDrift, Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from raypipe.lake import Lake
    from raypipe.monitoring.figures import Alert


_SHOWN = 20  # alerts, the newest
GRACE = timedelta(minutes=1)
"""A look at the present leaves out the last minute: requests on their way are not logged yet."""


class _Seat:
    """The actor: one watcher, one look at a time, a thread that looks by itself."""

    def __init__(
        self, watcher: Watcher, poll_every: timedelta | None, trusted: Sequence[str]
    ) -> None:
        trust(*trusted)
        self._watcher = watcher
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._status: dict[str, Any] = {"polls": 0, "last_poll": None, "last_error": None}
        if poll_every is not None:
            seconds = poll_every.total_seconds()
            threading.Thread(target=self._run, args=(seconds,), daemon=True).start()

    def poll(self, until: datetime | None) -> list[Alert]:
        with self._lock:
            alerts = self._watcher.poll(until or utc_now() - GRACE)
            self._status |= {"polls": self._status["polls"] + 1, "last_poll": utc_now()}
            return alerts

    def status(self) -> dict[str, Any]:
        return dict(self._status)

    def pid(self) -> int:
        return os.getpid()

    def stop(self) -> None:
        self._stop.set()
        with self._lock:  # a look that is under way is finished first
            return

    def _run(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            try:
                self.poll(None)
                self._status["last_error"] = None
            except Exception as error:  # noqa: BLE001 - told by status(); the next look tries again
                self._status["last_error"] = f"{type(error).__name__}: {error}"


class Monitor:
    """Watches a model's inputs and performance, with a stated bound on false alarms.

    What it knows lies in the lake (tables ``<model>__drift`` and ``<model>__alerts``): the actor
    may be killed, restarted or run twice, and nothing is lost or repeated.

    Args:
        lake: the lake with the registry, the predictions and the labels.
        model: the model to watch.
        config: all settings as one value; or give them by name:
        settings: ``false_alarm``, ``window``, ``label_delay``, ``psi_floor``, ``columns``,
            ``ignore``, ``performance_margin``, ``min_rows`` (see ``MonitorConfig``).

    Raises:
        ConfigError: a setting is out of its range, or both ways of giving them are used.
    """

    def __init__(
        self, lake: Lake, model: str, *, config: MonitorConfig | None = None, **settings: Any
    ) -> None:
        if config is not None and settings:
            raise ConfigError("give either config= or settings by name", sorted(settings))
        self.lake = lake
        self.model = check_name("model", model)
        try:
            self.config = config or MonitorConfig(**settings)
        except TypeError as error:
            raise ConfigError(
                "unknown setting of a monitor", str(error), f"Known: {_settings()}."
            ) from error
        self._store = MonitorStore(lake, model)

    @property
    def actor_name(self) -> str:
        """The name of the actor: one for each lake and model."""
        place = hashlib.sha256(self.lake.root.encode()).hexdigest()[:12]
        return f"raypipe-monitor-{place}-{self.model}"

    def start(
        self,
        on_drift: OnDrift | None = None,
        *,
        poll_every: timedelta | None = timedelta(seconds=30),
        since: datetime | None = None,
    ) -> Monitor:
        """Starts the actor; does nothing if it runs already.

        It is detached: it outlives this process on a cluster that does, and Ray restarts it when
        its process dies. Stored models may name the functions there that this process trusts.

        Args:
            on_drift: called in the actor with each open alert (``raypipe.Retrain`` is one); without
                it alerts are recorded, and nothing else is done about them.
            poll_every: how often it looks by itself; ``None`` only when ``poll`` is called.
            since: event time (UTC) of the first window; default the first prediction's.
        """
        import ray

        from raypipe.engine.cluster import NAMESPACE, ensure_ray

        ensure_ray()
        watcher = Watcher(self.lake, self.model, self.config, on_drift, since)
        seat = ray.remote(_Seat).options(
            name=self.actor_name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=3,  # a look repeats nothing, so it may be asked for again
            max_concurrency=3,
            num_cpus=0,
        )
        ray.get(seat.remote(watcher, poll_every, trusted()).status.remote())
        return self

    def poll(self, until: datetime | None = None) -> list[Alert]:
        """Looks now and waits for the outcome, with what ``on_drift`` does about it.

        Args:
            until: event time (UTC) before which no further prediction is expected; default a minute
                ago, since requests on their way are still to be logged.

        Returns:
            The alerts that this look raised.

        Raises:
            MonitorError: the monitor was not started.
            ModelNotFoundError: no version is in service.
        """
        import ray

        alerts: list[Alert] = ray.get(self._seat().poll.remote(until))
        return alerts

    def status(self) -> dict[str, Any]:
        """How often it looked, when last, and the error of the last look, if any.

        Raises:
            MonitorError: the monitor was not started.
        """
        import ray

        status: dict[str, Any] = ray.get(self._seat().status.remote())
        return status

    def alerts(self) -> list[Alert]:
        """All alerts so far, from the lake; the monitor need not run."""
        return self._store.read_alerts()

    def figures(self) -> pl.DataFrame:
        """Drift and performance by window, from the lake; the monitor need not run."""
        return self._store.figures()

    def stop(self) -> None:
        """Ends the actor after the look that is under way; does nothing if none runs."""
        import ray

        try:
            seat = self._seat()
        except MonitorError:
            return
        ray.get(seat.stop.remote())
        ray.kill(seat, no_restart=True)

    def _seat(self) -> Any:
        import ray

        from raypipe.engine.cluster import NAMESPACE, ensure_ray

        ensure_ray()
        try:
            return ray.get_actor(self.actor_name, namespace=NAMESPACE)
        except ValueError as error:
            raise MonitorError(
                f"the monitor of {self.model} does not run",
                f"no actor {self.actor_name}",
                "Call start() first.",
            ) from error

    def __repr__(self) -> str:
        alerts = len(self.alerts())
        return f"Monitor({self.model!r}, false_alarm={self.config.false_alarm}, alerts={alerts})"

    def _repr_html_(self) -> str:
        alerts = self.alerts()
        facts = {
            "model": self.model,
            "false alarms at most": self.config.false_alarm,
            "alerts": len(alerts),
        }
        shown = [(a.version, a.window_end, a.cause, a.message) for a in alerts[-_SHOWN:]]
        table = html_table(("version", "window's end", "cause", "message"), shown)
        return html_facts(facts, "monitor") + (table if alerts else "")


def _settings() -> str:
    return ", ".join(field for field in MonitorConfig.__dataclass_fields__)
