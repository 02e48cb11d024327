"""Workers of a cluster that was joined wait as those of a local Ray do."""

from __future__ import annotations

from raypipe.training.engine import asleep


def test_threads_that_wait_sleep_unless_the_user_says_otherwise() -> None:
    assert asleep({"HOME": "/home"}) == {"OMP_WAIT_POLICY": "PASSIVE"}
    assert asleep({"OMP_WAIT_POLICY": "ACTIVE"}) == {"OMP_WAIT_POLICY": "ACTIVE"}
