"""The registry's state as a pure fold over its events.

An event is a fact: a version was registered, refused, promoted, or a promotion was taken back. The
table of events is the only thing stored; what is in service is computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

Kind = Literal["registered", "refused", "promoted", "rolled_back"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One fact about a model.

    Attributes:
        id: unique; the same fact told again has the same id and is stored once.
        at: when it was recorded (UTC).
        version: the version it is about; ``None`` for a refusal.
    """

    id: str
    at: datetime
    model: str
    kind: Kind
    version: int | None
    run_id: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelState:
    """What the events of one model amount to.

    Attributes:
        versions: run id and details of each version, by number, oldest first.
        promotions: the versions promoted and not taken back, oldest first; the last is in service.
    """

    versions: Mapping[int, Event] = field(default_factory=dict)
    promotions: tuple[int, ...] = ()

    @property
    def champion(self) -> int | None:
        """The version in service."""
        return self.promotions[-1] if self.promotions else None

    @property
    def next_version(self) -> int:
        """The number that the next registered version gets."""
        return max(self.versions, default=0) + 1

    def version_of_run(self, run_id: str) -> int | None:
        """The version that a run was registered as."""
        return next((n for n, e in self.versions.items() if e.run_id == run_id), None)


def fold(events: Iterable[Event], model: str) -> ModelState:
    """The state of one model after its events, in the order in which they were committed."""
    versions: dict[int, Event] = {}
    promotions: list[int] = []
    for event in events:
        if event.model != model:
            continue
        if event.kind == "registered" and event.version is not None:
            versions[event.version] = event
        elif event.kind == "promoted" and event.version is not None:
            promotions.append(event.version)
        elif event.kind == "rolled_back" and promotions:
            promotions.pop()
    return ModelState(versions=versions, promotions=tuple(promotions))
