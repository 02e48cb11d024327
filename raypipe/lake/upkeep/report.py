"""What a compaction or a vacuum came to, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.core.markup import html_table

if TYPE_CHECKING:
    from datetime import timedelta

    from raypipe.lake.upkeep.vacuum_plan import Kept


@dataclass(frozen=True, slots=True)
class Compaction:
    """What was put together.

    Attributes:
        table: the table's name.
        version: the version that has the new files; the one that was looked at when there was
            nothing to do.
        files_removed: files that were read.
        files_added: files in their place.
        rows: rows that were rewritten; they are the same rows.
        bytes_removed: size of the old files.
        bytes_added: size of the new ones.
    """

    table: str
    version: int
    files_removed: int = 0
    files_added: int = 0
    rows: int = 0
    bytes_removed: int = 0
    bytes_added: int = 0

    def _repr_html_(self) -> str:
        return html_table(("", ""), [(name, getattr(self, name)) for name in self.__slots__])


@dataclass(frozen=True, slots=True)
class VacuumReport:
    """What went, and what stayed for whom.

    Attributes:
        table: the table's name.
        version: the newest version when it was looked at.
        retention: how long files stay after they left the table.
        dry_run: nothing was removed; the figures say what would be.
        files: paths of the files that went, in the table's folder.
        nbytes: their size.
        kept: what pins kept, by holder and version.
        gone: versions that cannot be read any more, as ranges without their ends.
        log_files: files of the log that went.
    """

    table: str
    version: int
    retention: timedelta
    dry_run: bool
    files: tuple[str, ...]
    nbytes: int
    kept: tuple[Kept, ...]
    gone: tuple[tuple[int, int], ...]
    log_files: int = 0

    def __repr__(self) -> str:
        verb = "would remove" if self.dry_run else "removed"
        kept = "".join(
            f", kept {k.files} for {k.holder!r} (version {k.version})" for k in self.kept
        )
        return (
            f"VacuumReport({self.table!r}, version {self.version}: {verb} {len(self.files)} files,"
            f" {self.nbytes} bytes, {self.log_files} of the log{kept})"
        )

    def _repr_html_(self) -> str:
        verb = "would be removed" if self.dry_run else "removed"
        rows: list[tuple[object, object, object]] = [
            (verb, len(self.files), f"{self.nbytes} bytes"),
            (f"of the log {verb}", self.log_files, ""),
        ]
        rows += [
            (f"kept for {k.holder}, version {k.version}", k.files, f"{k.nbytes} bytes")
            for k in self.kept
        ]
        return html_table((f"vacuum of {self.table}", "files", ""), rows)
