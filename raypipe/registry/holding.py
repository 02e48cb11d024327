"""A registered model keeps what it was trained on readable, so that it can be built again."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from raypipe.core.errors import LakeError
from raypipe.core.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from raypipe.core.scan import Scan
    from raypipe.lake import Lake
    from raypipe.models import ModelBundle

_SOURCES = ("train", "valid")
_REGISTERING = timedelta(days=1)

_logger = logging.getLogger(__name__)


class Trained(Protocol):
    """What can be registered: a ``Run``, or anything that holds a bundle and its name."""

    @property
    def id(self) -> str:
        """Names the run; the same run is registered once."""

    @property
    def bundle(self) -> ModelBundle:
        """The model with its recipe and manifest."""

    @property
    def valid(self) -> Scan | pl.DataFrame | None:
        """The rows it was validated on."""


def sources(manifest: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """The versions of tables that a manifest names, each once."""
    found: dict[tuple[str, int], None] = {}
    for name in _SOURCES:
        identity = manifest.get(name)
        if isinstance(identity, dict):
            table, version = identity.get("table"), identity.get("version")
            if isinstance(table, str) and isinstance(version, int):
                found[table, version] = None
    return tuple(found)


def holder(model: str, run_id: str) -> str:
    """How a vacuum's report names the model."""
    return f"model {model}, run {run_id}"


def hold(lake: Lake, model: str, run: Trained, *, forever: bool = False) -> None:
    """Pins what a run was trained on: for a day, or for ever once it is registered.

    What is gone already cannot be held: that is logged, and the model is registered all the same.
    """
    until = None if forever else utc_now() + _REGISTERING
    for source in sources(run.bundle.manifest):
        try:
            lake.pin(source, holder(model, run.id), until)
        except LakeError as error:
            _logger.warning("%s of run %s cannot be built again: %s", model, run.id, error)
