"""What a commit keeps of a write, and the result that is read from it, now or by a retry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.lake.outcome import Commit, Outcome

if TYPE_CHECKING:
    from raypipe.lake.log.commit import Committed
    from raypipe.lake.outcome import Report
    from raypipe.lake.write.ask import Ask
    from raypipe.lake.write.sources import Source

_SOURCES = 100


def note_of(ask: Ask, report: Report, source: Source) -> dict[str, Any]:
    """What the commit keeps of a write; plain JSON."""
    return {
        "kind": ask.kind,
        "batch_id": ask.batch_id,
        "rows": report.rows,
        "rows_in": report.rows_in,
        "quarantined": report.quarantined,
        "dropped": report.dropped,
        "warned": sum(o.failed for o in report.outcomes if o.on_fail == "warn"),
        **({"checks": [o.as_json() for o in report.outcomes]} if report.outcomes else {}),
        "metadata": dict(ask.metadata),
        "ran_on": None if ask.run_on == "auto" else ask.run_on,
        "sources": list(dict.fromkeys(part.label for part in source.parts))[:_SOURCES],
    }


def result_of(table: str, done: Committed) -> Commit:
    """A write's figures, as its commit noted them."""
    names = ["rows", "quarantined", "dropped", "rows_in", "warned"]
    names += ["inserted", "updated", "deleted"]
    counts = {name: int(done.noted.get(name, 0)) for name in names}
    return Commit(
        table=table,
        version=done.version,
        applied_before=done.applied_before,
        outcomes=tuple(Outcome.of_json(one) for one in done.noted.get("checks", ())),
        ran_on=done.noted.get("ran_on"),
        how=str(done.noted.get("how", "")),
        **counts,
    )
