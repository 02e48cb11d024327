"""Ray Serve, thinly: what is started, with which settings, and what is taken down again.

Serve starts three processes: a controller and a proxy, once for a cluster, and the replicas of each
application. All reserve no CPU by default, so that a service comes up, and comes up again after a
crash, on a cluster whose CPUs are all held by training.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import logging
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, PortInUseError, ServingError
from raypipe.serving.hosting import HostedReplica

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raypipe.lake import Lake
    from raypipe.serving.replica import ReplicaConfig

# One event loop in a replica and in the proxy in place of two each; logs written in blocks; a
# controller that looks round four times a second in place of ten.
_LIGHT = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
}
_ONGOING = 64
_HEALTH_PERIOD_S = 1.0
_NO_SUCH_HOST = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_SHUTDOWN_S = 15.0
_started_here = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where and how often an application runs."""

    name: str
    prefix: str
    host: str
    port: int
    replicas: int
    cpus: float


def start_serve(host: str, port: int) -> None:
    """Starts Serve on this Ray, or finds the one that runs there.

    Raises:
        PortInUseError: another process listens at the port.
        ConfigError: Serve runs already, but listens elsewhere; or this process may not listen
            there.
        ServingError: Serve did not start.
    """
    global _started_here
    from ray import serve

    running = _running_http()
    if running is not None:
        if (running.host, running.port) != (host, port):
            raise ConfigError(
                "Ray Serve listens elsewhere already",
                f"{running.host}:{running.port}",
                f"Use host={running.host!r}, port={running.port}, or stop the services there.",
                "port",
            )
        return
    check_port(host, port)
    options: dict[str, Any] = {}
    if "controller_options" in inspect.signature(serve.start).parameters:
        options["controller_options"] = {"runtime_env": {"env_vars": _LIGHT}}
    with quiet():
        try:
            serve.start(
                proxy_location="HeadOnly",
                http_options={"host": host, "port": port},
                logging_config=_logging(),
                **options,
            )
        except Exception as error:
            raise ServingError(
                "Ray Serve did not start", f"{type(error).__name__}: {error}"
            ) from error
    _started_here = True


def run_application(lake: Lake, config: ReplicaConfig, placement: Placement) -> None:
    """Deploys an application, or replaces the one of this name; returns when it is asked for.

    Raises:
        ServingError: Serve refused it, for example since another application has its prefix.
    """
    from ray import serve

    deployment = serve.deployment(
        HostedReplica,
        name=config.model,
        num_replicas=placement.replicas,
        ray_actor_options={"num_cpus": placement.cpus},
        max_ongoing_requests=_ONGOING,
        max_surge_percent=100,
        health_check_period_s=_HEALTH_PERIOD_S,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=10.0,
        max_constructor_retry_count=1,
        logging_config=_logging(),
    )
    with quiet():
        try:
            serve.run(
                deployment.bind(lake, config), name=placement.name, route_prefix=placement.prefix
            )
        except Exception as error:
            raise ServingError(
                f"Ray Serve did not take the service of {config.model}",
                f"{type(error).__name__}: {error}",
                "Another service at the same prefix? Then pass prefix=.",
            ) from error


def stop_application(name: str) -> None:
    """Removes an application; shuts Serve down if it was started here and holds no other."""
    global _started_here
    from ray import serve

    with quiet():
        applications = serve.status().applications
        if name in applications:
            serve.delete(name)
        if _started_here and not set(applications) - {name}:
            _shut_down()
            _started_here = False


def application_state(name: str) -> str | None:
    """What Serve says of an application (``RUNNING``, ``DEPLOYING`` …); ``None``: there is none."""
    from ray import serve

    with quiet():
        application = serve.status().applications.get(name)
    return None if application is None else str(application.status.value)


def check_port(host: str, port: int) -> None:
    """Makes sure that this process could listen at a port.

    Raises:
        PortInUseError: something listens there.
        ConfigError: the host is none of this machine's, or the port needs privileges.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(
                    f"port {port} of {host} is taken by another process",
                    error.strerror,
                    f"Stop that process (`ss -ltnp 'sport = :{port}'` names it), or pass port=.",
                    "port",
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM):
                raise ConfigError(
                    "this port needs privileges", port, "Use one above 1023.", "port"
                ) from error
            if isinstance(error, socket.gaierror) or error.errno in _NO_SUCH_HOST:
                raise ConfigError(
                    "the service cannot listen at this host", host, str(error), "host"
                ) from error
            raise ConfigError(
                f"the service cannot listen at port {port} of {host}", str(error), field="port"
            ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the block Serve tells this process only of warnings."""
    logger = logging.getLogger("ray.serve")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _shut_down() -> None:
    """``serve.shutdown`` without its last wait, which ends when Ray prints that the actor died.

    Returns when the port is free again.
    """
    import ray
    from ray import serve
    from ray.serve import context
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    http = _running_http()
    controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    ray.get(controller.graceful_shutdown.remote(wait=False))
    deadline = time.monotonic() + _SHUTDOWN_S
    while time.monotonic() < deadline:
        try:
            ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
        except ValueError:  # it is gone
            context._disconnect()
            break
        time.sleep(0.05)
    else:
        serve.shutdown()
    while http is not None and time.monotonic() < deadline:
        try:
            check_port(http.host, http.port)
        except PortInUseError:
            time.sleep(0.05)
        else:
            return


def _running_http() -> Any:
    """The HTTP options of the Serve that runs on this Ray, or ``None``."""
    from ray.serve.context import _get_global_client

    with quiet():
        client = _get_global_client(raise_if_no_controller_running=False)
    return None if client is None else client.http_config


def _logging() -> dict[str, Any]:
    return {"log_level": "WARNING", "enable_access_log": False}
