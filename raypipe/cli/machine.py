"""``raypipe status`` and ``doctor``: how the lake and the machine are."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from typing import TYPE_CHECKING, Any

from raypipe.cli import models, output, tables

if TYPE_CHECKING:
    import argparse

_PACKAGES = ("raypipe", "ray", "deltalake", "polars", "pyarrow", "xgboost", "numpy")


def add(commands: Any) -> None:
    """Adds the commands."""
    status = commands.add_parser("status", help="the lake's tables and models at a glance")
    output.add_lake(status)
    output.add_json(status)
    status.set_defaults(run=_status)
    doctor = commands.add_parser("doctor", help="the machine, and the packages that are installed")
    doctor.add_argument("--ray", action="store_true", help="also start Ray and run a task")
    output.add_json(doctor)
    doctor.set_defaults(run=_doctor)


def _status(args: argparse.Namespace) -> int:
    value = {
        "lake": args.lake,
        "cluster": os.environ.get("RAY_ADDRESS"),
        "tables": tables.rows(args.lake),
        "models": models.rows(args.lake),
    }
    if args.json:
        output.print_json(value)
        return output.OK
    print(f"lake     {value['lake']}")
    print(f"cluster  {value['cluster'] or 'none named (RAY_ADDRESS); a local Ray when needed'}")
    print(f"tables   {len(value['tables'])}, {sum(t['rows'] for t in value['tables']):,} rows")
    for model in value["models"]:
        champion = model["champion"] or "none"
        print(f"model    {model['name']}: {len(model['versions'])} versions, champion {champion}")
    return output.OK


def _doctor(args: argparse.Namespace) -> int:
    from raypipe.engine.cluster import cores, memory_bytes

    value: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": cores(),
        "memory_gib": round(memory_bytes() / 1024**3, 1),
        **{name: _version(name) for name in _PACKAGES},
    }
    if args.ray:
        value["ray_start_s"] = _try_ray()
    if args.json:
        output.print_json(value)
    else:
        for name, found in value.items():
            print(f"{name:<12} {'not installed' if found is None else found}")
    missing = [name for name in _PACKAGES if name != "raypipe" and value[name] is None]
    return output.USER if missing else output.OK


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _try_ray() -> float:
    from raypipe.engine.cluster import session

    begin = time.perf_counter()
    with session():
        import ray

        ray.get(ray.remote(platform.python_version).remote())
    return round(time.perf_counter() - begin, 1)
