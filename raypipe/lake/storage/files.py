"""Files of the lake that are not tables: models, reports, checkpoints."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError
from raypipe.lake.storage.store import clean_path, open_store

if TYPE_CHECKING:
    from collections.abc import Mapping


class Files:
    """Bytes by path, below the lake's root. Paths are relative and use slashes."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None) -> None:
        """Made by ``Lake.files``."""
        self._root = root
        self._store = open_store(root, storage_options)

    def put(self, path: str, data: bytes) -> None:
        """Writes a file, whole or not at all; one that is there is replaced in one step.

        Raises:
            ConfigError: the path leaves the lake, or lies in a table.
            LakeAccessError: it cannot be written.
        """
        self._store.put(self._outside_tables(path), data)

    def get(self, path: str) -> bytes:
        """A file's bytes.

        Raises:
            SourceNotFoundError: there is none.
        """
        return self._store.get(clean_path(path))

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        return self._store.exists(clean_path(path))

    def list(self, prefix: str = "") -> list[str]:
        """The files in a folder and below it, sorted; none if it is not there."""
        return self._store.files(clean_path(prefix) if prefix else "")

    def delete(self, prefix: str) -> None:
        """Removes a file, or a folder with all files below it, also what killed writers left there;
        nothing there is no error.

        Raises:
            ConfigError: the path leaves the lake, or lies in a table.
        """
        self._store.delete(one.path for one in self._store.entries(self._outside_tables(prefix)))

    def _outside_tables(self, path: str) -> str:
        clean = clean_path(path)
        if self._store.exists(f"{PurePosixPath(clean).parts[0]}/_delta_log"):
            raise ConfigError(
                "this path lies in a table", path, "Write tables with append().", "path"
            )
        return clean

    def __repr__(self) -> str:
        return f"Files({self._root})"
