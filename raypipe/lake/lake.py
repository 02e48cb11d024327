"""The lake: one root that holds tables and files, and nothing outside of it keeps state."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, RecipeError
from raypipe.core.markup import html_table
from raypipe.core.uris import check_name, is_local, join, normalize_root
from raypipe.lake.lake_pins import LakePins
from raypipe.lake.options import (
    Evolve,
    TableOptions,
    checked_evolve,
    checked_names,
    checked_properties,
    checked_schema,
)
from raypipe.lake.quality.expect import Rule, flatten
from raypipe.lake.quality.tags import checked_pii
from raypipe.lake.storage.files import Files
from raypipe.lake.storage.remote import require_obstore
from raypipe.lake.storage.store import open_store
from raypipe.lake.table import Table
from raypipe.lake.upkeep.pins import PINS
from raypipe.lake.write.writer import QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from raypipe.lake.quality.masks import Mask
    from raypipe.lake.read.snapshot import Snapshot
    from raypipe.lake.schema.spec import Column


_FOLDERS = ("demo", "models", "runs", PINS)
"""Where raypipe keeps what is its own; a table lies in a folder of its name beside them."""


class Lake(LakePins):
    """A root URI with Delta tables and files. Making one touches nothing.

    Args:
        root: a folder, or ``s3://bucket/…``, ``az://container/…``, ``gs://bucket/…`` (the last is
            unproven). An object store needs the extra ``raypipe[cloud]``.
        storage_options: keys for the object store, as deltalake names them; never shown. What is
            not given is looked for in the environment.

    Raises:
        ConfigError: the root cannot be one, or carries a credential; the storage options are not
            names and texts.
        MissingPartError: the root is in an object store, and ``raypipe[cloud]`` is not installed.
    """

    def __init__(
        self, root: str | os.PathLike[str], storage_options: Mapping[str, str] | None = None
    ) -> None:
        self._root = normalize_root(_checked(root))
        if not is_local(self._root):
            require_obstore()
        self._options = _checked_options(storage_options)

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
        expect: Rule | Sequence[Rule | Sequence[Rule]] = (),
        partition_by: str | Sequence[str] = (),
        schema: Mapping[str, pl.DataType | type[pl.DataType] | Column] | None = None,
        evolve: Evolve = "fail",
        pii: Mapping[str, Mask] | None = None,
        sort_by: str | Sequence[str] = (),
        properties: Mapping[str, object] | None = None,
    ) -> Table:
        """A table by name; nothing is written before the first append.

        Args:
            name: a letter, then letters, digits or underscores; not ``demo``, ``models``, ``pins``
                or ``runs``.
            expect: expectations (see ``raypipe.lake.expect``) that every write through this object
                is judged by.
            partition_by: columns by whose values files are kept apart, from the first write on.
            schema: the columns by name, as polars types or ``Column``; without it the table takes
                the columns of its first write.
            evolve: what happens to columns that the table does not have: ``"fail"``; ``"add"``, and
                they join the table in the same commit; ``"quarantine"``, and their rows go there.
            pii: columns with personal data, and how they are masked before they are written.
            sort_by: columns by which the rows of each file are sorted, from the first write on.
            properties: Delta table properties that the table is made with, such as
                ``{"delta.enableChangeDataFeed": True}``.

        Raises:
            ConfigError: the name, or one of the other arguments, is not usable.
        """
        if name in _FOLDERS:
            raise ConfigError(
                "this name is reserved: raypipe keeps its own files in that folder of the lake",
                name,
                f"Name the table otherwise than {', '.join(_FOLDERS)}.",
                "name",
            )
        options = TableOptions(
            expect=flatten(expect),
            partition_by=checked_names("partition_by", partition_by),
            schema=checked_schema(schema),
            evolve=checked_evolve(evolve),
            pii=checked_pii(pii),
            sort_by=checked_names("sort_by", sort_by),
            properties=checked_properties(properties),
        )
        return Table(self, check_name("table", name), options)

    def tables(self) -> list[str]:
        """The names of the tables that have been written, sorted; those of quarantined rows and of
        checks too.
        """
        store = open_store(self._root, self._options)
        names = (name for name in store.folders() if name not in _FOLDERS)
        return [name for name in names if store.exists(f"{name}/_delta_log")]

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
        plain = name.removesuffix(QUARANTINE)
        table = self.table(plain) if plain == name else self.table(plain).quarantine()
        now = table.at(version=version)
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


def _checked_options(given: object) -> dict[str, str] | None:
    """Storage options, if they are names and plain values; a message shows their kinds only."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        bad = type(given).__name__
    else:
        odd = [
            n for n, v in given.items() if not isinstance(n, str) or not isinstance(v, str | int)
        ]
        if not odd:
            return dict(given) or None
        bad = f"{odd[0]!r}: {type(given[odd[0]]).__name__}"
    raise ConfigError(
        "storage_options map names to texts",
        bad,
        "Name them as deltalake does; what is not given is looked for in the environment.",
        "storage_options",
    )


def _checked(root: object) -> str | os.PathLike[str]:
    """The root, if it is a path at all; an empty one would be whatever folder one works in."""
    text = os.fspath(root) if isinstance(root, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise ConfigError(
            "the root of a lake is a folder or a URI", root, "Give its path or URI.", "root"
        )
    return text


def check_lake(given: object) -> None:
    """Refuses what is no lake, such as the path of one.

    Raises:
        ConfigError: it is not a ``Lake``.
    """
    if not isinstance(given, Lake):  # not shown: a URI may carry a key
        raise ConfigError("this takes a lake", type(given).__name__, "Pass Lake(root).", "lake")
