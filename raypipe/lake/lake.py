"""The lake: one root that holds tables and files, and nothing outside of it keeps state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, RecipeError
from raypipe.core.uris import check_name, join, normalize_root
from raypipe.lake.options import TableOptions
from raypipe.lake.outcome import html_table
from raypipe.lake.quality.expect import Expectation, flatten
from raypipe.lake.storage.files import Files
from raypipe.lake.storage.store import open_store
from raypipe.lake.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.read.snapshot import Snapshot


_FOLDERS = ("demo", "models", "runs")
"""Where raypipe keeps files of its own; a table lies in a folder of its name beside them."""


class Lake:
    """A root URI with Delta tables and files. Making one touches nothing.

    Args:
        root: a folder, or ``s3://…``, ``az://…``, ``gs://…``.
        storage_options: keys for the object store, as deltalake names them; never shown.

    Raises:
        ConfigError: the root cannot be one.
    """

    def __init__(
        self, root: str | os.PathLike[str], storage_options: Mapping[str, str] | None = None
    ) -> None:
        self._root = normalize_root(_checked(root))
        self._options = dict(storage_options) if storage_options else None

    def __reduce__(self) -> tuple[Any, ...]:
        return (Lake, (self._root, self._options))

    @property
    def root(self) -> str:
        """The root as an absolute path or a URI."""
        return self._root

    @property
    def storage_options(self) -> Mapping[str, str] | None:
        """Keys for the object store; a secret, so no ``repr`` shows them."""
        return self._options

    @property
    def files(self) -> Files:
        """The files that are not tables."""
        return Files(self._root, self._options)

    def table(
        self,
        name: str,
        *,
        expect: Sequence[Expectation | Sequence[Expectation]] = (),
        partition_by: str | Sequence[str] = (),
    ) -> Table:
        """A table by name; nothing is written before the first append.

        Args:
            name: a letter, then letters, digits or underscores; not ``demo``, ``models`` or
                ``runs``.
            expect: expectations (see ``raypipe.lake.expect``) that every write through this object
                is judged by.
            partition_by: columns by whose values files are kept apart, from the first write on.

        Raises:
            ConfigError: the name, an expectation or ``partition_by`` is not usable.
        """
        if name in _FOLDERS:
            raise ConfigError(
                "this name is reserved: raypipe keeps its own files in that folder of the lake",
                name,
                f"Name the table otherwise than {', '.join(_FOLDERS)}.",
                "name",
            )
        columns = (partition_by,) if isinstance(partition_by, str) else tuple(partition_by)
        if len(set(columns)) < len(columns) or not all(isinstance(c, str) for c in columns):
            raise ConfigError(
                "partition_by names columns, each once", columns, None, "partition_by"
            )
        return Table(self, check_name("table", name), TableOptions(flatten(expect), columns))

    def tables(self) -> list[str]:
        """The names of the tables that have been written, quarantine tables too, sorted."""
        store = open_store(self._root, self._options)
        return [name for name in store.folders() if store.exists(f"{name}/_delta_log")]

    def snapshot(self, identity: Mapping[str, Any]) -> Snapshot:
        """The rows that ``Snapshot.identity()`` names.

        Raises:
            ConfigError: the identity is not one.
            TableNotFoundError: the table is not in this lake.
            VersionNotFoundError: the version is not there any more.
        """
        damaged = ConfigError("not the identity of a snapshot", identity, None, "identity")
        try:
            name, version = identity["table"], identity["version"]
        except (KeyError, TypeError):
            raise damaged from None
        if not isinstance(name, str) or not isinstance(version, int):
            raise damaged
        now = self.table(name).at(version=version)
        try:
            return now.restrict(identity)
        except (AttributeError, KeyError, TypeError, RecipeError) as error:
            raise damaged from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lake) and other._root == self._root

    def __hash__(self) -> int:
        return hash(self._root)

    def __repr__(self) -> str:
        return f"Lake({self._root!r})"

    def _repr_html_(self) -> str:
        rows = [(name, join(self._root, name)) for name in self.tables()]
        return html_table(("table", "where"), rows)


def _checked(root: object) -> str | os.PathLike[str]:
    """The root, if it is a path at all; an empty one would be whatever folder one works in."""
    text = os.fspath(root) if isinstance(root, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise ConfigError(
            "the root of a lake is a folder or a URI", root, "Give its path or URI.", "root"
        )
    return text
