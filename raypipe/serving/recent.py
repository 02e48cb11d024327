"""The requests that a replica answered lately, by id: asked again, they get the same answer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from raypipe.serving.log_table import id_used_twice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class RecentAnswers:
    """Answers and those still under way, the oldest forgotten first.

    Used from one event loop only.

    Args:
        max_requests: how many are kept.
        max_bytes: how large their answers may be together.
    """

    def __init__(self, max_requests: int = 4096, max_bytes: int = 16 * 1024**2) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: OrderedDict[str, tuple[bytes, asyncio.Task[bytes]]] = OrderedDict()

    async def once(
        self, request_id: str, request: bytes, answer: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """The answer to a request, made once.

        It goes on when the client leaves, so that the client finds it when it comes back. One that
        failed is forgotten.

        Args:
            request_id: names the request.
            request: the whole request; the same id must come with the same bytes.
            answer: makes the answer.

        Raises:
            RequestError: 409, the id came with another request before.
        """
        digest = blake2b(request, digest_size=16).digest()
        if request_id in self._known:
            before, task = self._known[request_id]
            if before != digest:
                raise id_used_twice(request_id)
            self._known.move_to_end(request_id)
        else:
            task = asyncio.ensure_future(_run(answer))
            self._known[request_id] = (digest, task)
            task.add_done_callback(lambda done: self._finished(request_id, done))
        return await asyncio.shield(task)

    def _finished(self, request_id: str, task: asyncio.Task[bytes]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._known.pop(request_id, None)
            return
        self._bytes += len(task.result())
        while self._bytes > self._max_bytes or len(self._known) > self._max_requests:
            oldest = next((k for k, (_, t) in self._known.items() if t.done()), None)
            if oldest is None:
                return
            _, forgotten = self._known.pop(oldest)
            self._bytes -= len(forgotten.result())


async def _run(answer: Callable[[], Awaitable[bytes]]) -> bytes:
    return await answer()
