"""Makes a local Ray small: loopback only, and without three helper processes that it can miss.

Measured once on 2 idle cores with Ray 2.60, workers aside: 7 processes with 561 MB resident (350
not shared) become 4 with 280 MB (190), and ``ray.init`` takes 3.3 s in place of 4.7. Left out are

- the autoscaler's monitor: a local Ray has nothing to scale;
- the log monitor: it copies the workers' output to the driver, which stays quiet; kept when the
  user debugs;
- the API server: without the dashboard it serves only usage statistics.

The two agents of the raylet stay: the raylet ends when one of them ends. Prestarted workers stay:
without them ``init`` is shorter and the first tasks are longer by as much.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Ray's processes take these when they start. A value that the user set wins, but not the first.
_FORCED: Mapping[str, str] = {
    # Despite its name this is what makes every process listen on 127.0.0.1, on each system. Given
    # _node_ip_address="127.0.0.1" alone, Ray takes the machine's outward address in its place.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
SLEEPING: Mapping[str, str] = {
    # Threads of OpenMP spin while they wait for each other. A local Ray has more seats than cores,
    # so another process often holds the core that a thread is waited for on: 50 rounds of XGBoost
    # with two threads on 2 cores and a busy process beside took 18.2 s (6.6 to 30.9), with waiting
    # threads asleep 4.8 s (3.3 to 10.9). On an idle machine it costs a fit of 200,000 rows a
    # quarter (1.26, 1.10 to 1.48), one of 2,000,000 nothing that was seen.
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""What makes the threads of a worker that wait for each other sleep."""

_DEFAULTS: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning about num_gpus=0
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    **SLEEPING,
}
_MODE, _TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
_TOKEN_SETTINGS = (_MODE, _TOKEN, "RAY_AUTH_TOKEN_PATH")

# One for the whole life of the process: Ray reads the token once and then keeps it.
_own_token = secrets.token_hex(32)


@contextlib.contextmanager
def lean_start(*, debug: bool) -> Iterator[None]:
    """Within the block ``ray.init`` starts a small cluster; after it nothing is changed.

    The processes keep the environment they were started with, and pass it on to their workers.
    Where another version of Ray has other insides, the helper processes simply start.
    """
    with _environment(), on_loopback(), contextlib.ExitStack() as changes:
        import ray._private.node as node
        import ray._private.parameter as parameter

        without = (
            {"no_monitor": True} if debug else {"no_monitor": True, "include_log_monitor": False}
        )
        full = parameter.RayParams
        if without.keys() <= inspect.signature(full).parameters.keys():

            def params(*args: Any, **kwargs: Any) -> Any:
                return full(*args, **{**kwargs, **without})

            changes.enter_context(_replaced(parameter, "RayParams", params))
        if hasattr(node.Node, "start_api_server") and hasattr(node.Node, "webui_url"):
            changes.enter_context(_replaced(node.Node, "start_api_server", _no_api_server))
        yield


def keep_token_here() -> None:
    """Gives the clusters that this process starts a token of their own.

    Ray asks for a token on each connection. Left alone it writes one into the user's home, and from
    then on every ``ray start`` of that user wants it too. This one lives in this process's
    environment, which its children and the workers inherit, until ``take_token_back``; one that
    the user set is kept.
    """
    if not any(name in os.environ for name in _TOKEN_SETTINGS):
        os.environ[_TOKEN] = _own_token  # Ray itself then sets RAY_AUTH_MODE


def take_token_back() -> None:
    """Removes from the environment what ``keep_token_here`` put there, and Ray because of it."""
    if os.environ.get(_TOKEN) == _own_token:
        del os.environ[_TOKEN]
        os.environ.pop(_MODE, None)  # it was not set before, else there were no token of ours


@contextlib.contextmanager
def on_loopback() -> Iterator[None]:
    """Within the block Ray takes 127.0.0.1 as it is, and not for the machine's outward address."""
    import ray._private.ray_constants as constants

    # Ray reads the variable above when it is imported, which may be long past.
    with _replaced(constants, "ENABLE_RAY_CLUSTER", False):
        yield


def _no_api_server(self: Any, **_: Any) -> None:
    self._webui_url = ""


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    wanted = {**{k: v for k, v in _DEFAULTS.items() if k not in os.environ}, **_FORCED}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
