"""How Ray Train asks for its workers on a Ray of one machine: it does not.

Ray Train tells an actor of Ray Data's, which tells the autoscaler, and waits until that actor has
started and answered. A local Ray has nothing to scale. This file imports nothing but Ray Train,
since the controller imports it.
"""

from __future__ import annotations

from typing import Any

from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy


class Seats(FixedScalingPolicy):  # type: ignore[misc]
    """A fixed number of workers, of which nobody is told."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """Nothing to tell."""

    def _maybe_send_resource_request(self) -> None:
        """Nothing to tell."""

    def _cancel_resource_request(self) -> None:
        """Nothing was told."""
