"""What the demo says at its end, as one value: a table for people, JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import raypipe as rp

PATH = "demo/summary.json"
ENDINGS = {
    "promoted": "beat the version in service",
    "refused": "refused: it did not beat the version in service",
    "unchanged": "nothing new was known",
    "failed": "the retraining failed",
    "under way": "under way",
}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures of one run of the loop.

    Attributes:
        lake: the lake's root.
        report: path of the HTML report.
        weeks: weeks replayed, from April on.
        tables: by name ``rows_in``, ``rows`` and ``quarantined``.
        retrainings: each with ``cause`` (the alert's id), ``why``, ``columns``, ``week``,
            ``from_version``, ``to_version``, ``promoted``, ``ending`` and ``seconds``.
        requests: HTTP requests sent, single flights and batches.
        failed_requests: those that were not answered with 200 at the first attempt.
        predictions: rows in the prediction log.
        auc: ROC AUC of April to December under the first version (``first``) and under the loop
            (``loop``), and both ``by_month``.
        model_hash: SHA-256 of the booster, by version.
        seconds: wall time by stage; a resumed run adds up.
        peak_mb: peak memory of all processes by stage, MiB (proportional set size).
        unchanged: whether this run found everything done and changed nothing.
    """

    lake: str
    report: str
    weeks: int
    tables: dict[str, dict[str, int]]
    retrainings: list[dict[str, Any]]
    requests: int
    failed_requests: int
    predictions: int
    auc: dict[str, Any]
    model_hash: dict[str, str]
    seconds: dict[str, float]
    peak_mb: dict[str, float | None]
    unchanged: bool = field(default=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def save(self, lake: rp.Lake) -> None:
        """Keeps the summary in the lake: the mark of a finished demo."""
        lake.files.put(PATH, json.dumps(self.to_dict()).encode())

    @classmethod
    def read(cls, lake: rp.Lake) -> Summary | None:
        """The summary of a finished demo in this lake."""
        if not lake.files.exists(PATH):
            return None
        return replace(cls(**json.loads(lake.files.get(PATH))), unchanged=True)

    def table(self) -> str:
        """The summary as text, some 40 lines."""
        lines = ["", "tables                 rows in       rows  quarantined"]
        for name, row in self.tables.items():
            lines.append(
                f"  {name:<18} {row['rows_in']:>9,}  {row['rows']:>9,}  {row['quarantined']:>11,}"
            )
        lines += ["", "ROC AUC               first version        loop"]
        for month, row in self.auc["by_month"].items():
            lines.append(f"  {month:<18} {_number(row['first'])}  {_number(row['loop'])}")
        lines.append(
            f"  {'all weeks':<18} {_number(self.auc['first'])}  {_number(self.auc['loop'])}"
        )
        lines += ["", "retrainings"]
        for done in self.retrainings:
            moved = f"version {done['from_version']} → {done['to_version']}: "
            end = (moved if done["promoted"] else "") + ENDINGS[done["ending"]]
            lines.append(f"  week of {done['week']}  {done['why']:<12} {end}")
        if not self.retrainings:
            lines.append("  none")
        lines += ["", "stages                 seconds    peak MiB"]
        for name, seconds in self.seconds.items():
            peak = self.peak_mb.get(name)
            lines.append(
                f"  {name:<18} {seconds:>9.1f}  {'' if peak is None else f'{peak:>9,.0f}'}"
            )
        lines.append(f"  {'all':<18} {sum(self.seconds.values()):>9.1f}")
        lines += [
            "",
            (
                f"requests {self.requests:,}, failed {self.failed_requests:,}; "
                f"predictions in the lake {self.predictions:,}"
            ),
            *(f"model version {n}: {digest[:16]}" for n, digest in self.model_hash.items()),
            "",
            f"report {self.report}",
        ]
        if self.unchanged:
            lines.append("Everything was done before in this lake: nothing was changed.")
        return "\n".join(lines)


def _number(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.4f}':>12}"
