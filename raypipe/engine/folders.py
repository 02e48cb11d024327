"""Temporary folders that do not outlive their owner for long.

The owner holds a lock on a file in its folder. The system drops the lock when the owner dies,
however it dies, and the next start on the machine then removes the folder. A process id would not
do: it is used again, and containers that share ``/tmp`` do not share process ids.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "raypipe-"
_LOCK = "owner.lock"
_SETTLE_S = 60.0
# Ray puts sockets about 65 characters below its folder; the system allows 107 in all.
_MAX_BASE_CHARS = 24


def _base() -> Path:
    base = tempfile.gettempdir()
    return Path(base if len(base) <= _MAX_BASE_CHARS else "/tmp")  # noqa: S108


@dataclass(frozen=True, slots=True)
class OwnedFolder:
    """A temporary folder with a short path, locked by this process."""

    path: str
    lock: int

    @classmethod
    def create(cls, base: str | None = None) -> OwnedFolder:
        """A new empty folder that only this user may enter.

        Args:
            base: the folder that it is to lie in; one with a short path if not given.
        """
        path = tempfile.mkdtemp(prefix=_PREFIX, dir=_base() if base is None else base)
        lock = os.open(Path(path) / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return cls(path, lock)

    def remove(self) -> None:
        """Removes the folder; processes that still write into it get a few seconds to end."""
        for _ in range(50):
            shutil.rmtree(self.path, ignore_errors=True)
            if not Path(self.path).exists():
                break
            time.sleep(0.1)
        with contextlib.suppress(OSError):
            os.close(self.lock)


def sweep(*more: Path) -> list[str]:
    """Removes the folders of this user whose owner was killed; returns their paths.

    Args:
        *more: other places than those for temporary files where such folders may lie.

    The place is open to every user of the machine, so what is not this user's own, or is a link to
    somewhere else, is not touched, not even opened.
    """
    removed = []
    bases = {
        _base(),
        Path(tempfile.gettempdir()),
        *more,
    }  # what need not be short lies where TMPDIR says
    for path in (path for base in sorted(bases) for path in base.glob(f"{_PREFIX}*")):
        if _is_own_folder(path) and _abandoned(path / _LOCK):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(str(path))
    return removed


def _is_own_folder(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:  # its owner removed it meanwhile
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _abandoned(lock_file: Path) -> bool:
    try:
        if time.time() - lock_file.lstat().st_mtime < _SETTLE_S:  # its owner may not hold it yet
            return False
        lock = os.open(lock_file, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
