"""What the report is made of: the figures of one run of the loop, as plain values."""

# Annotations are read at run time (by the codec), so they are not deferred here.
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from raypipe.core.errors import ConfigError
from raypipe.demo.report.codec import Record

Kind = Literal["source", "table", "recipe", "run", "version", "service"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline(Record):
    """One figure for the top of the page, already written out: a value, its label, a short note."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFigures(Record):
    """One table of the lake: rows that came in, rows it holds, rows set aside."""

    name: str
    rows_in: int
    rows: int
    quarantined: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class WeekFigures(Record):
    """One week of service.

    Attributes:
        auc_first: ROC AUC of the first version, kept as it was, on this week's rows.
        auc_loop: ROC AUC of what the loop had in service.
        auc_static_baseline: ROC AUC of a third model to compare with, when there is one.
        late_share: share of rows with a positive label, 0 to 1.
        failed: requests that got no answer, after retries.
        p50_ms: median time of a request, milliseconds.
        p99_ms: 99th percentile of the same.
    """

    week_start: date
    rows: int
    auc_first: float | None
    auc_loop: float | None
    auc_static_baseline: float | None = None
    version_in_service: int
    late_share: float | None = None
    requests: int = 0
    failed: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MonthFigures(Record):
    """One month ("2013-04"): ROC AUC of the first version and of the loop."""

    month: str
    auc_first: float | None
    auc_loop: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftCell(Record):
    """One column in one week.

    Attributes:
        psi: population stability index against the profile of the version in service.
        log_e: log of the e-value that the test had gathered by the end of the week.
        raised: whether the test raised the alarm for this column in this week.
    """

    week_start: date
    column: str
    psi: float | None
    log_e: float | None = None
    raised: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Retraining(Record):
    """One retraining: what set it off, what came of it.

    Attributes:
        cause: what asked for it, in a word ("drift", "performance", "schedule").
        columns: the columns that the alarm named.
        week: the week in which it was asked for.
        to_version: the version registered, or None when the run gave none.
        promoted: whether that version went into service.
        reason: why it was, or was not, promoted.
        auc_champion: ROC AUC of the version in service on the gate's rows.
        auc_candidate: ROC AUC of the new one on the same rows.
        seconds: wall time from the alarm to the decision.
    """

    cause: str
    columns: tuple[str, ...] = ()
    week: date
    from_version: int
    to_version: int | None
    promoted: bool
    reason: str = ""
    auc_champion: float | None = None
    auc_candidate: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionFigures(Record):
    """One registered version, and one span of its time in service.

    A version that came back after a rollback is listed once for each span.

    Attributes:
        trained_from: first day of the rows it was trained on.
        trained_until: last day of the same.
        in_service_from: None for a version that never served.
        in_service_until: None while it still serves.
    """

    version: int
    trained_from: date
    trained_until: date
    rows: int
    model_hash: str
    auc_valid: float | None = None
    in_service_from: date | None = None
    in_service_until: date | None = None
    state: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage(Record):
    """One stage of the run: wall seconds, rows it handled, highest memory in megabytes."""

    name: str
    seconds: float
    rows: int | None = None
    peak_mb: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyFigures(Record):
    """Time of a request with `batch_rows` rows, in milliseconds."""

    batch_rows: int
    requests: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LineageNode(Record):
    """One thing in the lineage; `detail` is a second, smaller line."""

    id: str
    kind: Kind
    label: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LineageEdge(Record):
    """`target` was made from `source`; both are node ids."""

    source: str
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report(Record):
    """Everything the page shows; every part but the title may be empty.

    Attributes:
        created: when the report was made, naive UTC.
        lake: the root of the lake, as it may be shown (no secrets).
        machine: what it ran on, in words.

    Raises:
        ConfigError: two lineage nodes share an id, or an edge names a node that is not there.
    """

    title: str
    created: datetime
    lake: str
    machine: str
    headlines: tuple[Headline, ...] = ()
    tables: tuple[TableFigures, ...] = ()
    weeks: tuple[WeekFigures, ...] = ()
    months: tuple[MonthFigures, ...] = ()
    drift: tuple[DriftCell, ...] = ()
    retrainings: tuple[Retraining, ...] = ()
    versions: tuple[VersionFigures, ...] = ()
    stages: tuple[Stage, ...] = ()
    latency: tuple[LatencyFigures, ...] = ()
    nodes: tuple[LineageNode, ...] = ()
    edges: tuple[LineageEdge, ...] = ()

    def __post_init__(self) -> None:
        Record.__post_init__(self)
        known: set[str] = set()
        for node in self.nodes:
            if node.id in known:
                raise ConfigError("two lineage nodes share an id", node.id, field="nodes")
            known.add(node.id)
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in known:
                    raise ConfigError(
                        "a lineage edge names a node that is not there",
                        end,
                        "Add the node, or leave the edge out.",
                        "edges",
                    )
