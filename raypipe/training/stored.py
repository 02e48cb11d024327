"""A run's folder in the lake: what was asked for, and the finished model.

``runs/<id>/config.json`` is written before any work, so that a run whose driver died can be gone on
with by its id. ``runs/<id>/finished/`` holds the bundle and the facts; of these ``history.json``
comes last, and says that the run is finished.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import IntegrityError, RunNotFoundError
from raypipe.core.identity import content_hash
from raypipe.models import ModelBundle
from raypipe.training.checkpoints import patient
from raypipe.training.run import Run

if TYPE_CHECKING:
    from raypipe.lake import Lake, Snapshot

_SHOWN = 20


def run_id_of(config: dict[str, Any]) -> str:
    """Names a run by all that its model depends on."""
    return content_hash(config)[:_SHOWN]


def folder(run_id: str) -> str:
    """Where a finished run's files are."""
    return f"runs/{run_id}/finished"


def keep_config(lake: Lake, run_id: str, config: dict[str, Any], how: dict[str, Any]) -> None:
    """Writes down what was asked for, and how it is run, which the model does not depend on."""
    data = json.dumps({"config": config, "how": how}).encode()
    patient(lake.files.put, f"runs/{run_id}/config.json", data)


def read_config(lake: Lake, run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was asked for, and how.

    Raises:
        RunNotFoundError: no such run was started in this lake.
        IntegrityError: what is stored is not what the run's id stands for.
    """
    try:
        found = json.loads(lake.files.get(f"runs/{run_id}/config.json"))
    except FileNotFoundError:
        raise RunNotFoundError(
            "no run of this id was started in this lake", run_id, "See Runs(lake).list()."
        ) from None
    if run_id_of(found["config"]) != run_id:
        raise IntegrityError(
            "the stored configuration is not that of the run",
            run_id,
            "Call fit with the configuration that you want.",
        )
    return found["config"], found["how"]


def keep_finished(
    lake: Lake, run_id: str, bundle: ModelBundle, history: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Writes the finished run; a reader sees all of it or none."""
    files = {
        **bundle.to_files(),
        "facts.json": json.dumps(facts).encode(),
        "history.json": json.dumps(history).encode(),
    }
    for name, data in files.items():
        patient(lake.files.put, f"{folder(run_id)}/{name}", data)


def read_finished(lake: Lake, run_id: str, valid: Snapshot | None) -> Run | None:
    """The finished run, or None while it is not."""
    place = folder(run_id)
    if not patient(lake.files.exists, f"{place}/history.json"):
        return None
    history = json.loads(lake.files.get(f"{place}/history.json"))
    bundle = ModelBundle.from_files(lambda name: lake.files.get(f"{place}/{name}"))
    facts = {}
    if lake.files.exists(f"{place}/facts.json"):
        facts = json.loads(lake.files.get(f"{place}/facts.json"))
    return Run(id=run_id, bundle=bundle, history=history, valid=valid, result=None, facts=facts)
