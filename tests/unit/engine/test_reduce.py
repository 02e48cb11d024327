"""What parts give is merged in a tree that follows from their number alone."""

from __future__ import annotations

import itertools
import random
import threading

import pytest

from raypipe.core.errors import ConfigError
from raypipe.engine.reduce import Tree, reduce_here, reduce_parts


def bracket(one: str, other: str) -> str:
    return f"({one}{other})"


def by_blocks(count: int, level: int) -> str | None:
    """As the cluster does: each task merges some neighbours, and the driver what they give."""
    tree = Tree(bracket)
    for block, start in enumerate(range(0, count, 1 << level)):
        inner = Tree(bracket)
        for place, number in enumerate(range(start, min(count, start + (1 << level)))):
            inner.take(place, f"{number}.")
        state = inner.result()
        assert state is not None
        tree.take(block, state, level)
    return tree.result()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13, 100])
def test_any_order_and_any_blocks_give_one_tree(count: int) -> None:
    want = by_blocks(count, 0)
    draw = random.Random(count)
    for _ in range(5):
        tree = Tree(bracket)
        for place in draw.sample(range(count), count):
            tree.take(place, f"{place}.")
        assert tree.result() == want
    assert all(by_blocks(count, level) == want for level in range(1, 8))
    assert reduce_here(lambda n: f"{n}.", bracket, range(count), threads=3) == want


def test_neighbours_keep_their_order() -> None:
    found = reduce_here(lambda n: [n], lambda a, b: a + b, range(1_000), threads=4)
    assert found == list(range(1_000))


def test_few_states_are_held_at_a_time() -> None:
    held = most = 0
    lock = threading.Lock()

    def made(_: int) -> int:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return 1

    def both(one: int, other: int) -> int:
        nonlocal held
        with lock:
            held -= 1
        return one + other

    assert reduce_here(made, both, range(1_024), threads=2) == 1_024
    assert most <= 2 * 11


def test_the_first_error_is_raised_and_no_more_parts_are_asked_for() -> None:
    asked = []

    def parts() -> itertools.count:
        for number in itertools.count():
            asked.append(number)
            yield number

    def failing(number: int) -> int:
        if number == 7:
            raise ValueError("seven")
        return number

    with pytest.raises(ValueError, match="seven"):
        reduce_here(failing, lambda a, b: a + b, parts(), threads=2)
    assert len(asked) < 20


def test_what_gives_the_parts_may_fail() -> None:
    def parts() -> itertools.count:
        yield 1
        raise OSError("gone")

    for threads in (1, 2):
        with pytest.raises(OSError, match="gone"):
            reduce_here(lambda n: n, lambda a, b: a + b, parts(), threads=threads)


def test_no_part_gives_nothing_and_an_unknown_place_is_refused() -> None:
    assert reduce_parts(str, bracket, []) is None
    with pytest.raises(ConfigError) as refused:
        reduce_parts(str, bracket, [1], run_on="here")  # type: ignore[arg-type]
    assert refused.value.field == "run_on"
