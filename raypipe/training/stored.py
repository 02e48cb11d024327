"""A run's folder in the lake: what was asked for, and the finished model.

``runs/<id>/config.json`` is written before any work, so that a run whose driver died can be gone on
with by its id. ``runs/<id>/finished/`` holds the bundle and the facts; of these ``history.json``
comes last, and says that the run is finished. ``runs/<id>/checkpoints/`` and ``runs/<id>/begins/``
go when the tables of runs have been told of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import IntegrityError, RunNotFoundError
from raypipe.core.identity import content_hash
from raypipe.models import ModelBundle
from raypipe.training.checkpoints import patient
from raypipe.training.run import Run
from raypipe.training.runs import Runs

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


def whole_id(lake: Lake, run_id: str) -> str:
    """The id that a user means: a whole one, or the beginning that one run alone has.

    Raises:
        RunNotFoundError: no run begins so, or several do, or it is not a text.
    """
    try:
        return Runs(lake).resolve(run_id)
    except RunNotFoundError:  # a driver may die before its run has a row
        if isinstance(run_id, str) and _is_kept(lake, run_id):
            return run_id
        raise


def _is_kept(lake: Lake, run_id: str) -> bool:
    return run_id.isalnum() and patient(lake.files.exists, f"runs/{run_id}/config.json")


def read_config(lake: Lake, run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was asked for, and how.

    Raises:
        RunNotFoundError: no such run was started in this lake.
        IntegrityError: what is stored is not what the run's id stands for.
    """
    try:
        data = patient(lake.files.get, f"runs/{run_id}/config.json")
    except FileNotFoundError:
        raise RunNotFoundError(
            "no run of this id was started in this lake", run_id, "See Runs(lake).list()."
        ) from None
    try:
        found = json.loads(data)
        config, how = found["config"], found["how"]
        whole = run_id_of(config) == run_id and isinstance(how, dict)
    except (ValueError, KeyError, TypeError, RecursionError):  # cut short, or changed
        whole = False
    if not whole:
        raise IntegrityError(
            "the stored configuration is not that of the run",
            run_id,
            "Call fit with the configuration that you want.",
        )
    return config, how


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


def is_finished(lake: Lake, run_id: str) -> bool:
    """Whether all of a finished run is there; storage that fails is not waited for."""
    return lake.files.exists(f"{folder(run_id)}/history.json")


def read_finished(lake: Lake, run_id: str, valid: Snapshot | None) -> Run | None:
    """The finished run, or None while it is not.

    Raises:
        IntegrityError: a file of it is damaged.
    """
    place = folder(run_id)
    if not patient(is_finished, lake, run_id):
        return None

    def read(name: str) -> bytes:
        return patient(lake.files.get, f"{place}/{name}")

    def parsed(name: str) -> dict[str, Any]:
        try:
            found = json.loads(read(name))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            act = f"Restore it from a backup, or remove {place} and call fit, which trains again."
            raise IntegrityError(f"a file of run {run_id} is damaged", name, act)
        return found

    history, bundle = parsed("history.json"), ModelBundle.from_files(read)
    facts = parsed("facts.json") if patient(lake.files.exists, f"{place}/facts.json") else {}
    return Run(id=run_id, bundle=bundle, history=history, valid=valid, result=None, facts=facts)
