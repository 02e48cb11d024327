from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError
from raypipe.retraining.decide import Attempt, Done, Policy, Stale, Start, Wait, decide

DAY = timedelta(days=1)
T0 = datetime(2026, 1, 1)
POLICY = Policy(cooldown=10 * DAY)


def test_the_first_alert_starts_and_is_then_done() -> None:
    assert decide("a", T0, T0, [], POLICY) == Start(T0, again=False)
    under_way = Attempt(cause="a", started=T0)
    assert decide("a", T0, T0 + DAY, [under_way], POLICY) == Start(T0, again=True)
    ended = Attempt(cause="a", started=T0, ending="refused")
    assert decide("a", T0, T0 + 100 * DAY, [ended], POLICY) == Done("refused")


def test_cooldown_budget_and_one_at_a_time() -> None:
    ended = Attempt(cause="a", started=T0, ending="promoted")
    early = decide("b", T0, T0 + 9 * DAY, [ended], POLICY)
    assert isinstance(early, Wait)
    assert "cooling down until 2026-01-11" in early.reason
    assert decide("b", T0, T0 + 10 * DAY, [ended], POLICY) == Start(T0 + 10 * DAY, again=False)
    spent = decide("b", T0, T0 + 99 * DAY, [ended], Policy(cooldown=DAY, budget=1))
    assert isinstance(spent, Wait)
    assert "budget" in spent.reason
    assert isinstance(decide("b", T0, T0, [Attempt(cause="a", started=T0)], POLICY), Wait)


def test_an_alert_of_a_version_that_was_replaced_starts_nothing_new() -> None:
    assert decide("a", T0, T0, [], POLICY, in_service=False) == Stale()
    cut_short = Attempt(cause="a", started=T0)
    assert decide("a", T0, T0, [cut_short], POLICY, in_service=False) == Start(T0, again=True)


def test_an_alert_settles_before_it_starts_anything() -> None:
    policy = Policy(settle=21 * DAY)
    early = decide("a", T0, T0 + 20 * DAY, [], policy)
    assert isinstance(early, Wait)
    assert "waiting for labels until 2026-01-22" in early.reason
    assert decide("a", T0, T0 + 21 * DAY, [], policy) == Start(T0 + 21 * DAY, again=False)


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abcdef")), max_size=40))
def test_whatever_is_offered_each_cause_starts_once_and_starts_keep_apart(
    offers: list[tuple[int, str]],
) -> None:
    attempts: list[Attempt] = []
    for day, cause in sorted(offers):
        now = T0 + day * DAY
        decision = decide(cause, now, now, attempts, POLICY)
        if isinstance(decision, Start):
            assert not decision.again
            attempts.append(Attempt(cause=cause, started=now, ending="promoted"))
    assert len({a.cause for a in attempts}) == len(attempts)
    starts = [a.started for a in attempts]
    assert all(b - a >= POLICY.cooldown for a, b in itertools.pairwise(starts))


def test_bad_policies_are_refused() -> None:
    with pytest.raises(ConfigError, match="cooldown"):
        Policy(cooldown=-DAY)
    with pytest.raises(ConfigError, match="settle"):
        Policy(settle=-DAY)
    with pytest.raises(ConfigError, match="budget"):
        Policy(budget=0)
