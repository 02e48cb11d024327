"""What many parts give, merged into one: here or on the cluster, with the same bits.

Results are merged in pairs of neighbours, pairs of pairs and so on, as soon as both are there. So
the tree of merges depends on the number of parts alone, not on where and when they ran, and about
``log2(parts)`` results for each thread or task at work are held at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from raypipe.engine.parts import RunOn, choose_place, here, on_ray

if TYPE_CHECKING:
    from collections.abc import Iterable

Part = TypeVar("Part")
State = TypeVar("State")
Merge = Callable[[State, State], State]

_TASKS_PER_CPU = 4


class Tree(Generic[State]):
    """Merges states by place, whatever order they come in and from whichever thread.

    Args:
        merge: gives one state for two neighbours, the earlier first; it may change both.
    """

    def __init__(self, merge: Merge[State]) -> None:
        self._merge = merge
        self._waiting: dict[tuple[int, int], State] = {}
        self._lock = threading.Lock()

    def take(self, place: int, state: State, level: int = 0) -> None:
        """Takes the state of ``2**level`` parts, which are number ``place`` of that many."""
        while True:
            with self._lock:
                other = self._waiting.pop((level, place ^ 1), None)
                if other is None:
                    self._waiting[level, place] = state
                    return
            state = self._merge(other, state) if place % 2 else self._merge(state, other)
            level, place = level + 1, place // 2

    def result(self) -> State | None:
        """The state of all, to be asked once, when all are there; None without any."""
        left = sorted(self._waiting, key=lambda key: key[1] << key[0])
        if not left:
            return None
        state = self._waiting[left.pop()]
        while left:
            state = self._merge(self._waiting[left.pop()], state)
        return state


def reduce_parts(
    fn: Callable[[Part], State],
    merge: Merge[State],
    parts: Sequence[Part],
    *,
    run_on: RunOn = "auto",
    bytes_hint: int = 0,
    threads: int | None = None,
) -> State | None:
    """Applies ``fn`` to every part and merges what comes; None without parts.

    A task on the cluster takes some neighbours and merges their states, so that few come back.

    Args:
        fn: as for ``run_parts``.
        merge: gives one state for two neighbours, the earlier first; it may change both. It
            pickles, and is called in threads.
        parts: as for ``run_parts``.
        run_on: as for ``run_parts``.
        bytes_hint: as for ``run_parts``.
        threads: as for ``run_parts``.

    Raises:
        ConfigError: as ``run_parts``.
        EngineError: as ``run_parts``.
    """
    if choose_place(run_on, len(parts), bytes_hint).place == "local":
        return reduce_here(fn, merge, parts, threads)
    if not parts:
        return None
    tree = Tree(merge)
    level = _level(len(parts))
    blocks = [parts[k : k + (1 << level)] for k in range(0, len(parts), 1 << level)]
    on_ray(_Block(fn, merge), blocks, lambda place, state: tree.take(place, state, level))
    return tree.result()


def reduce_here(
    fn: Callable[[Part], State],
    merge: Merge[State],
    parts: Iterable[Part],
    threads: int | None = None,
) -> State | None:
    """As ``reduce_parts`` in this process, also for parts that are made as they are asked for."""
    tree = Tree(merge)
    here(fn, parts, tree.take, threads)
    return tree.result()


def _level(count: int) -> int:
    """How often a task halves its parts: some tasks a CPU, of a power of two of parts each."""
    import ray

    from raypipe.engine.cluster import ensure_ray

    ensure_ray()
    tasks = max(1, int(ray.cluster_resources().get("CPU", 1)) * _TASKS_PER_CPU)
    return max(0, -(-count // tasks) - 1).bit_length()


@dataclass(frozen=True, slots=True)
class _Block(Generic[Part, State]):
    """What a task does: its parts one after the other."""

    fn: Callable[[Part], State]
    merge: Merge[State]

    def __call__(self, parts: Sequence[Part]) -> Any:
        return reduce_here(self.fn, self.merge, parts, threads=1)
