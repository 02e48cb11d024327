"""Delta tables and files below one root: atomic writes, versions, expectations, quarantine."""

from raypipe.lake.lake import Lake
from raypipe.lake.outcome import Commit, Outcome, Report
from raypipe.lake.quality import expect, masks
from raypipe.lake.quality.expect import Expectation
from raypipe.lake.read.changes import Changes
from raypipe.lake.read.explain import Explanation
from raypipe.lake.read.facts import ColumnFacts, Description
from raypipe.lake.read.part import LakePart
from raypipe.lake.read.snapshot import Snapshot
from raypipe.lake.schema.spec import Column, TableSpec
from raypipe.lake.storage.files import Files
from raypipe.lake.table import Table
from raypipe.lake.upkeep.pin_state import Pin
from raypipe.lake.upkeep.pins import Lease
from raypipe.lake.upkeep.report import Compaction, VacuumReport

__all__ = [
    "Changes",
    "Column",
    "ColumnFacts",
    "Commit",
    "Compaction",
    "Description",
    "Expectation",
    "Explanation",
    "Files",
    "Lake",
    "LakePart",
    "Lease",
    "Outcome",
    "Pin",
    "Report",
    "Snapshot",
    "Table",
    "TableSpec",
    "VacuumReport",
    "expect",
    "masks",
]
