from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from raypipe.registry.state import Event, fold


def event(kind: Any, version: int | None, model: str = "m", n: int = 0) -> Event:
    return Event(
        id=f"{kind}{n}",
        at=datetime(2026, 1, 1),
        model=model,
        kind=kind,
        version=version,
        run_id=None,
    )


def test_rollback_goes_back_to_the_promotion_before() -> None:
    events = [event("registered", n) for n in (1, 2, 3)]
    assert fold(events, "m").champion is None
    events += [event("promoted", 1), event("promoted", 3), event("promoted", 2)]
    assert fold(events, "m").champion == 2
    events.append(event("rolled_back", 2))
    assert fold(events, "m").champion == 3
    assert fold(events, "m").next_version == 4
    assert fold(events, "other").versions == {}


@given(st.lists(st.sampled_from(["registered", "promoted", "rolled_back", "refused"])))
def test_the_champion_is_the_last_promotion_not_taken_back(kinds: list[Any]) -> None:
    stack: list[int] = []
    events = []
    for n, kind in enumerate(kinds):
        events.append(event(kind, n, n=n))
        if kind == "promoted":
            stack.append(n)
        elif kind == "rolled_back" and stack:
            stack.pop()
    assert fold(events, "m").champion == (stack[-1] if stack else None)
