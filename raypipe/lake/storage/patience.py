"""Waiting for an object store that is away, where its clients give up too soon.

The clients try a request again with growing pauses, but some ways for a connection to break are of
no kind that they know: "connection was not ready", when the server closed it between two requests.
Then they give up at once, whatever ``max_retries`` says. All requests of the lake are safe to make
again, so they are made again here, within the same number of tries and the same time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from raypipe.core.uris import is_local
from raypipe.lake.storage.failures import TRIED, cut_off
from raypipe.lake.storage.keys import for_obstore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store that is away is waited for.

    Attributes:
        retries: how often a request is made again, the client's own retries counted.
        limit: for how long.
        pause: before the first retry; each further pause is ``base`` times as long.
        longest: no pause is longer.
        base: growth of the pauses.
    """

    retries: int
    limit: timedelta
    pause: timedelta
    longest: timedelta
    base: float

    def next_pause(self, spent: timedelta, retries: int, failures: int) -> timedelta | None:
        """How long to wait before the request is made again, or None to give up.

        Args:
            spent: time since the first try.
            retries: how often it was made again so far, by the client and here.
            failures: how often the client gave up.
        """
        if retries >= self.retries:
            return None
        pause = min(self.longest, self.pause * self.base ** min(failures - 1, 50))
        return pause if spent + pause < self.limit else None


def patience(options: Mapping[str, str] | None) -> Patience:
    """What storage options ask for; the defaults are those of the clients.

    Raises:
        ConfigError: a count or a duration is not one.
    """
    asked = for_obstore(options).retries
    backoff = asked["backoff"]
    return Patience(
        retries=asked["max_retries"],
        limit=asked["retry_timeout"],
        pause=backoff["init_backoff"],
        longest=backoff["max_backoff"],
        base=float(backoff["base"]),
    )


def waited(act: Callable[[], T], root: str, options: Mapping[str, str] | None) -> T:
    """What ``act`` gives; it is called again while the store's connection breaks.

    Args:
        act: asks the store for something; must be safe to call again.
        root: where it asks; a folder is not waited for.
        options: storage options.

    Raises:
        Exception: what the last call raised.
    """
    if is_local(root):
        return act()
    start = time.monotonic()
    retries = failures = 0
    while True:
        try:
            return act()
        except Exception as error:
            if not cut_off(error):
                raise
            tried = TRIED.search(str(error))
            retries += int(tried[1]) if tried else 0
            failures += 1
            spent = timedelta(seconds=time.monotonic() - start)
            pause = patience(options).next_pause(spent, retries, failures)
            if pause is None:
                raise
        time.sleep(pause.total_seconds())
        retries += 1
