"""Which names somebody may have meant."""

from __future__ import annotations

from raypipe.core.near import near


def test_a_name_that_is_known_twice_is_told_once() -> None:
    assert near("amount_log", ["amount", "amount", "n"]) == "Did you mean 'amount'?"
    assert near("zzz", ["amount"]) is None
