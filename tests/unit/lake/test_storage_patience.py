"""How long a store that is away is waited for, where its clients give up too soon."""

from __future__ import annotations

from datetime import timedelta

import pytest

from raypipe.core.errors import ConfigError
from raypipe.lake.storage.patience import Patience, patience, waited

QUICK = {
    "max_retries": "4",
    "retry_timeout": "30s",
    "backoff_config.init_backoff": "1ms",
    "backoff_config.max_backoff": "2ms",
}
BROKEN = "after 1 retries, max_retries: 4 - HTTP error: error sending request"


class Asked:
    """Fails with given errors, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_pauses_grow_to_the_longest_and_end_in_time() -> None:
    seconds = timedelta(seconds=1)
    one = Patience(5, 60 * seconds, seconds, 4 * seconds, 3.0)
    pauses = [one.next_pause(0 * seconds, n, n + 1) for n in range(6)]
    assert pauses == [seconds, 3 * seconds, 4 * seconds, 4 * seconds, 4 * seconds, None]
    assert one.next_pause(57 * seconds, 1, 2) is None
    assert one.next_pause(56 * seconds, 1, 2) == 3 * seconds


def test_the_defaults_wait_a_minute() -> None:
    asked = patience(None)
    assert asked.retries == 30
    assert asked.limit == timedelta(seconds=60)
    with pytest.raises(ConfigError, match="retry_timeout"):
        patience({"retry_timeout": "soon"})


def test_a_broken_connection_is_made_again_within_the_tries() -> None:
    # each failure stands for one retry of the client, and each new call is one more
    fine = Asked(OSError(BROKEN), OSError(BROKEN))
    assert waited(fine, "s3://box", QUICK) == "done"
    assert fine.calls == 3
    lost = Asked(*[OSError(BROKEN)] * 9)
    with pytest.raises(OSError, match="error sending"):
        waited(lost, "s3://box", QUICK)
    assert lost.calls == 3


@pytest.mark.parametrize(
    ("error", "root"),
    [
        (OSError("error sending request"), "/tmp/lake"),
        (OSError("status code: 403, error sending request"), "s3://box"),
        (FileNotFoundError("no such object"), "s3://box"),
        (ValueError("a wrong region"), "s3://box"),
    ],
)
def test_what_is_no_broken_connection_of_a_store_is_told_at_once(
    error: Exception, root: str
) -> None:
    asked = Asked(error, error)
    with pytest.raises(type(error)):
        waited(asked, root, QUICK)
    assert asked.calls == 1
