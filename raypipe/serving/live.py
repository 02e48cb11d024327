"""The versions that a replica holds: the one in service, and those that requests name.

A thread asks the registry for its revision and reads it only when that changed. The next version
is loaded, checked and warmed before the pointer moves to it; requests meanwhile are scored by the
one before. If it cannot be loaded, the one before stays in service and the reason can be read.
Loading costs time and memory beside the requests, so a version that was not taken is tried again
with growing pauses, and at once only when the registry changed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ModelNotFoundError, RequestError
from raypipe.serving.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from raypipe.models import ModelBundle
    from raypipe.registry import Registry

_RETRY_S = 5.0
_LONGEST_RETRY_S = 300.0

_logger = logging.getLogger("ray.serve")


class LiveVersion:
    """A version that is loaded and warm.

    Args:
        number: its number.
        bundle: its model; one thread is set for each prediction.
    """

    def __init__(self, number: int, bundle: ModelBundle) -> None:
        self.number = number
        self.signature = Signature(bundle.signature["inputs"])
        self._bundle = bundle
        bundle.scorer.one_thread()
        self.score([self.signature.example()])

    def score(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        """A score for each row, in their order.

        Raises:
            RecipeError: the recipe cannot take a row.
        """
        scores: list[float] = self._bundle.predict(rows).tolist()
        return scores


class LiveModels:
    """The live versions of one model.

    Args:
        registry: where versions and the pointer are.
        model: the model's name.
        admit: is asked before a version goes into service, and raises to refuse it.
        poll: how often the registry is asked.
        keep: how many versions beside the one in service stay loaded.

    Attributes:
        current: the version in service.
        numbers: the versions that the registry has.
        error: why the last step failed; ``None`` if it did not.
        refused: the version that was to go into service and could not.

    Raises:
        ModelNotFoundError: no version is in service.
    """

    def __init__(
        self,
        registry: Registry,
        model: str,
        admit: Callable[[Signature], None],
        poll: timedelta,
        keep: int,
    ) -> None:
        self._registry = registry
        self._model = model
        self._admit = admit
        self._poll_s = poll.total_seconds()
        self._keep = keep
        self._pinned: OrderedDict[int, LiveVersion] = OrderedDict()
        self._loading = threading.Lock()
        self._stop = threading.Event()
        self.numbers: tuple[int, ...] = ()
        self.error: str | None = None
        self.refused: int | None = None
        self._revision = registry.revision()
        first = self._wanted()
        if first is None:
            raise no_champion(model)
        self.current = self._load(first)
        self._thread = threading.Thread(target=self._follow, name="pointer", daemon=True)
        self._thread.start()

    def get(self, number: int) -> LiveVersion:
        """A version by its number, loaded if need be; may read the lake.

        Raises:
            RequestError: 404, the model has no such version.
        """
        current = self.current
        if number == current.number:
            return current
        if number not in self.numbers and self._registry.revision() == self._revision:
            raise no_version(self._model, number, self.numbers)
        with self._loading:
            live = self._pinned.get(number) or self._load(number)
            self._keep_loaded(live)
            return live

    @property
    def alive(self) -> bool:
        """Whether the pointer is still followed."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stops following."""
        self._stop.set()

    def _wanted(self) -> int | None:
        state = self._registry.state(self._model)
        self.numbers = tuple(state.versions)
        return state.champion

    def _load(self, number: int) -> LiveVersion:
        try:
            version = self._registry.version(self._model, number)
        except ModelNotFoundError as error:
            raise no_version(self._model, number, self.numbers) from error
        live = LiveVersion(number, version.bundle)
        self._admit(live.signature)
        return live

    def _keep_loaded(self, live: LiveVersion) -> None:
        self._pinned[live.number] = live
        self._pinned.move_to_end(live.number)
        while len(self._pinned) > self._keep:
            self._pinned.popitem(last=False)

    def _move_to(self, number: int) -> None:
        with self._loading:
            live = self._pinned.pop(number, None) or self._load(number)
            self._keep_loaded(self.current)  # a rollback finds it warm
            # the next requests take it; those under way end with the one before
            self.current = live

    def _follow(self) -> None:
        tried, again, pause = self._revision, float("inf"), _RETRY_S
        while not self._stop.wait(self._poll_s):
            wanted = None
            try:
                revision = self._registry.revision()
                if revision == tried and time.monotonic() < again:
                    continue
                if revision != tried:
                    tried, pause = revision, _RETRY_S
                wanted = self._wanted()
                self._revision = revision
                if wanted is not None and wanted != self.current.number:
                    self._move_to(wanted)
                self.error, self.refused, again = None, None, float("inf")
            except Exception as error:  # noqa: BLE001 - the version in service must stay there
                self._tell(wanted, error)
                again = time.monotonic() + pause
                # a registry that cannot be read costs little to ask again; a version must be loaded
                pause = _RETRY_S if wanted is None else min(2 * pause, _LONGEST_RETRY_S)

    def _tell(self, wanted: int | None, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if reason != self.error:
            _logger.error("the next version of %s is not taken: %s", self._model, reason)
        self.error, self.refused = reason, wanted


def no_champion(model: str) -> ModelNotFoundError:
    """The error for a model of which no version is in service."""
    return ModelNotFoundError(
        f"no version of {model} is in service", None, "Promote one: version.promote().", "name"
    )


def no_version(model: str, number: int, known: Sequence[int]) -> RequestError:
    """The error for a version that the model does not have."""
    return RequestError(
        f"{model} has no version {number}", f"versions {list(known)}", None, "version", 404
    )
