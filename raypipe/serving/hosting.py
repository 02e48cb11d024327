"""The replica as Ray Serve hosts it: the same, but reachable on its node's address only.

Serve gives each replica a gRPC server for calls between deployments. It unpickles what it is sent,
asks for no token, and listens on every address of the machine: whoever reaches its port runs code
here. Serve's own processes call it at the node's address, so that is where it is bound; in a
local Ray that is loopback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ServingError
from raypipe.serving.replica import Replica, ReplicaConfig

if TYPE_CHECKING:
    from raypipe.lake import Lake

_EVERYWHERE = ("[::]:", "0.0.0.0:")


class HostedReplica(Replica):
    """The Serve deployment's class; see ``Replica``."""

    def __init__(self, lake: Lake, config: ReplicaConfig) -> None:
        _bind_to_node()
        super().__init__(lake, config)


def _bind_to_node() -> None:
    """Makes the server that Serve starts after this class's ``__init__`` listen on the node only.

    Raises:
        ServingError: this version of Ray starts that server in another way.
    """
    import ray
    from ray.serve._private import replica

    add_port = getattr(replica, "add_port_to_grpc_server", None)
    if add_port is None:
        raise ServingError(
            "this version of Ray opens a port of its replicas in an unknown way",
            ray.__version__,
            "Use a version that this release of raypipe was tested with.",
        )
    address = ray.util.get_node_ip_address()
    host = f"[{address}]" if ":" in address else address

    def bound(server: Any, wanted: str) -> Any:
        for everywhere in _EVERYWHERE:
            if wanted.startswith(everywhere):
                wanted = f"{host}:{wanted.removeprefix(everywhere)}"
        return add_port(server, wanted)

    replica.add_port_to_grpc_server = bound
