"""Versions and what is in service, kept as events in the lake's ``registry`` table.

Each change is decided on a known version of that table and committed only if the table is still at
that version; otherwise it is decided again. So two writers never give one number to two models, and
a change told twice happens once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    GateError,
    ModelNotFoundError,
    RegistryError,
    TableNotFoundError,
)
from raypipe.core.faults import fault_point
from raypipe.core.identity import content_hash
from raypipe.core.markup import html_table
from raypipe.core.times import utc_now
from raypipe.core.uris import check_name
from raypipe.lake.lake import check_lake
from raypipe.registry.gates import Gate, GateReport, evaluate_all
from raypipe.registry.holding import Trained, hold
from raypipe.registry.state import Event, ModelState, fold
from raypipe.registry.version import ModelVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raypipe.lake import Lake
    from raypipe.models import ModelBundle

TABLE = "registry"
_ATTEMPTS = 50
_SCHEMA: dict[str, Any] = {
    "seq": pl.Int64,
    "id": pl.String,
    "at": pl.Datetime("us"),
    "model": pl.String,
    "kind": pl.String,
    "version": pl.Int64,
    "run_id": pl.String,
    "detail": pl.String,
}


class Registry:
    """The models of a lake, their versions, and which of them is in service.

    Safe under concurrent use from any number of processes.

    Raises:
        ConfigError: the lake is no ``Lake``.
    """

    def __init__(self, lake: Lake) -> None:
        check_lake(lake)
        self.lake = lake
        self._table = lake.table(TABLE, properties={"delta.autoOptimize.autoCompact": True})

    def register(
        self,
        name: str,
        run: Trained,
        gate: Gate | Sequence[Gate] = (),
        *,
        tags: dict[str, Any] | None = None,
    ) -> ModelVersion:
        """Stores a run's model as the next version, if it passes its gate.

        Idempotent: a run that is a version already gives that version, without a second check.
        Killed anywhere and called again, there is one version. What it takes to build the model
        again is pinned for ever: the versions of tables that the run was trained on.

        Args:
            name: the model's name.
            run: a finished run.
            gate: one gate or several; all must pass.
            tags: JSON kept with the version.

        Raises:
            GateError: a check failed; the refusal is recorded and nothing is registered.
            ConfigError: the name cannot be used, it is no run, a gate has no rows to judge on, or
                the model cannot predict (a loop without ``load`` and ``predict``).
        """
        version = self.attempt(name, run, gate, tags=tags)
        if isinstance(version, GateReport):
            raise GateError(
                f"run {run.id} did not pass the gate of {name}",
                str(version),
                "The version in service stays; train on other data or lower the gate.",
            )
        return version

    def attempt(
        self,
        name: str,
        run: Trained,
        gate: Gate | Sequence[Gate] = (),
        *,
        tags: dict[str, Any] | None = None,
    ) -> ModelVersion | GateReport:
        """As ``register``, but gives the report of a gate that was not passed.

        Raises:
            ConfigError: as ``register``.
        """
        check_name("model", name)
        if getattr(run, "bundle", None) is None:
            act = "Give what Trainer.fit gives."
            raise ConfigError("this is no finished run", type(run).__name__, act, "run")
        known = self.state(name).version_of_run(run.id)
        if known is not None:
            hold(self.lake, name, run, forever=True)
            return self.version(name, known)
        run.bundle.scorer  # noqa: B018 - what cannot be loaded here is no version
        report = self.evaluate(name, run, gate)
        detail = {"gate": report.to_dict(), "tags": tags or {}, "hash": run.bundle.content_hash}
        if not report.passed:
            refusal = f"refused:{name}:{run.id}:{content_hash(report.to_dict())[:12]}"
            self._record(name, lambda _: (refusal, "refused", None, run.id, detail))
            return report
        hold(self.lake, name, run)
        path = f"models/{name}/{run.id}"
        for file, data in run.bundle.to_files().items():
            self.lake.files.put(f"{path}/{file}", data)
        fault_point("registry:after-files")
        detail |= {"path": path, "manifest": content_hash(run.bundle.manifest)}
        self._record(
            name,
            lambda state: (
                f"registered:{name}:{run.id}",
                "registered",
                state.next_version,
                run.id,
                detail,
            ),
        )
        hold(self.lake, name, run, forever=True)
        number = self.state(name).version_of_run(run.id)
        if number is None:
            raise RegistryError("the registered version is not in the table", f"run {run.id}")
        return self.version(name, number)

    def evaluate(self, name: str, run: Trained, gate: Gate | Sequence[Gate]) -> GateReport:
        """The report that ``register`` would decide on; changes nothing."""
        gates = (gate,) if isinstance(gate, Gate) else tuple(gate)

        def champion() -> ModelBundle | None:
            version = self.champion(name)
            return version.bundle if version else None

        return evaluate_all(gates, run.bundle, validation=run.valid, champion=champion)

    def state(self, name: str) -> ModelState:
        """What the events amount to now (versions, promotions)."""
        return fold(self.events(), name)

    def events(self, name: str | None = None) -> list[Event]:
        """All events, or one model's, in the order in which they were committed."""
        events, _ = self._read()
        return [e for e in events if name is None or e.model == name]

    def models(self) -> list[str]:
        """The names of all models with a version, sorted."""
        return sorted({e.model for e in self.events() if e.kind == "registered"})

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions, oldest first."""
        return [ModelVersion(self, name, n, e) for n, e in self.state(name).versions.items()]

    def version(self, name: str, number: int) -> ModelVersion:
        """One version.

        Raises:
            ModelNotFoundError: there is none of this number.
        """
        event = self.state(name).versions.get(number)
        if event is None:
            known = sorted(self.state(name).versions)
            raise ModelNotFoundError(
                f"{name} has no version {number}",
                f"versions {known}" if known else "no version at all",
                "Register a run first." if not known else None,
            )
        return ModelVersion(self, name, number, event)

    def champion(self, name: str) -> ModelVersion | None:
        """The version in service, or ``None`` before the first promotion."""
        number = self.state(name).champion
        return None if number is None else self.version(name, number)

    def revision(self) -> int:
        """The registry table's version, -1 when there is none: cheap, for those who poll."""
        try:
            return self._table.version()
        except TableNotFoundError:
            return -1

    def promote(self, name: str, number: int, *, cause: str | None = None) -> None:
        """Puts a version into service.

        Idempotent: nothing happens if it is in service already, or if this cause promoted before.

        Args:
            name: the model.
            number: the version.
            cause: names the reason; one cause promotes once, even when told again later.

        Raises:
            ModelNotFoundError: there is no such version.
        """
        self.version(name, number)

        def decide(state: ModelState) -> _Decision | None:
            if state.champion == number:
                return None
            told = f"cause:{cause}" if cause else f"{number}:after:{len(self.events(name))}"
            event_id = f"promoted:{name}:{told}"
            return (event_id, "promoted", number, None, {"from": state.champion, "cause": cause})

        self._record(name, decide)

    def rollback(self, name: str, *, expected: int | None = None) -> ModelVersion:
        """Takes the last promotion back: the version before it is in service again.

        Args:
            name: the model.
            expected: the version to take out of service; by default the one that is in service
                when this is called.

        Raises:
            RegistryError: there was no earlier promotion.
            CommitConflictError: another version has been promoted meanwhile; nothing was done.
        """
        before = self.state(name).promotions
        leaving = before[-1] if expected is None and before else expected
        if len(before) < 2:
            raise RegistryError(
                f"{name} has no earlier version to go back to",
                f"promotions {list(before)}",
                "Promote another version instead.",
            )
        depth = len(before)

        def decide(state: ModelState) -> _Decision | None:
            if len(state.promotions) < depth:
                return None
            if state.champion != leaving:
                raise CommitConflictError(
                    f"version {leaving} of {name} is not in service any more",
                    f"version {state.champion}",
                    "Look again, and roll back what is in service now.",
                )
            event_id = f"rolled_back:{name}:{len(self.events(name))}"
            detail = {"from": state.champion, "to": state.promotions[-2]}
            return (event_id, "rolled_back", state.champion, None, detail)

        self._record(name, decide)
        champion = self.champion(name)
        if champion is None:
            raise RegistryError(f"{name} has no version in service after the rollback")
        return champion

    def _record(self, name: str, decide: Callable[[ModelState], _Decision | None]) -> None:
        """Commits what ``decide`` makes of the present state, deciding again after a conflict."""
        for _ in range(_ATTEMPTS):
            events, revision = self._read()
            decision = decide(fold(events, name))
            if decision is None or any(e.id == decision[0] for e in events):
                return
            event_id, kind, version, run_id, detail = decision
            row = {
                "seq": revision + 1,
                "id": event_id,
                "at": utc_now(),
                "model": name,
                "kind": kind,
                "version": version,
                "run_id": run_id,
                "detail": json.dumps(detail, sort_keys=True),
            }
            try:
                self._table.append(
                    pl.DataFrame([row], schema=_SCHEMA), batch_id=event_id, if_version=revision
                )
            except CommitConflictError:
                continue
            return
        raise CommitConflictError(
            "the registry changed under every attempt", f"{_ATTEMPTS} attempts", "Try again."
        )

    def _read(self) -> tuple[list[Event], int]:
        revision = self.revision()
        if revision < 0:
            return [], -1
        frame = self._table.at(revision).frame()
        if frame.columns != list(_SCHEMA):
            raise RegistryError(
                f"the table {TABLE} of this lake is not a registry",
                f"columns {frame.columns}",
                "That name is raypipe's own; keep other rows in another table.",
            )
        # by their own number: clocks of several writers may disagree, the table's versions do not
        frame = frame.sort("seq").drop("seq")
        events = [
            Event(**{**row, "detail": json.loads(row["detail"])})
            for row in frame.iter_rows(named=True)
        ]
        return events, revision

    def __repr__(self) -> str:
        return f"Registry({self.lake.root!r}, models={self.models()})"

    def _repr_html_(self) -> str:
        events, rows = self.events(), []
        for name in sorted({e.model for e in events if e.kind == "registered"}):
            state = fold(events, name)
            last = max(state.versions)
            champion = "none" if state.champion is None else state.champion
            rows.append((name, len(state.versions), champion, state.versions[last].at))
        return html_table(("model", "versions", "in service", "last registered"), rows)


_Decision = tuple[str, str, int | None, str | None, dict[str, Any]]
