"""Which version of the caller's code a run came from, and in what surroundings."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from typing import Any

_VARIABLE = "RAYPIPE_CODE_VERSION"
_WITHIN_S = 5.0


def code_version() -> dict[str, Any]:
    """The commit that the working folder is at, and whether files differ from it.

    ``RAYPIPE_CODE_VERSION`` says it where the code runs without its repository. Empty where
    nothing tells.
    """
    if told := os.environ.get(_VARIABLE):
        return {"commit": told[:200]}
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changed)}


def _git(*arguments: str) -> str | None:
    found = shutil.which("git")
    if found is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            [found, *arguments],
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def surroundings() -> dict[str, Any]:
    """The machine that the driver runs on."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count() or 0,
    }
