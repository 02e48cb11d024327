"""The choice between rows one by one and a frame: never slower than what was timed was wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features.columns import RAW_TYPES
from raypipe.features.crossing import KINDS, LARGEST, NEAR, Crossing, forget, remembered
from raypipe.features.frame_cost import DOUBT, FrameShape, clear

Frame = Callable[[float], float]
SIZES = st.sampled_from([(1, 40), (1, 5000), (200, 300), (1, 200_000), (4096, 4096)])
TIE = math.sqrt(NEAR) * (1 + 1e-9)


@st.composite
def frames(draw: Callable[..., float]) -> Frame:
    """Microseconds of a frame of so many rows: a cost of its own, and one that grows slower."""
    own, each = draw(st.floats(1, 1e5)), draw(st.floats(0, 20))
    bend = draw(st.sampled_from([1.0, 0.9, 0.5]))
    return lambda rows: float(own + each * rows**bend)


def calls(
    row: float,
    frame: Frame,
    sizes: Iterator[int],
    noise: Callable[[], float],
    guess: tuple[float, float] = (0.0, math.inf),
) -> Iterator[tuple[int, bool, bool]]:
    """Calls of these sizes: rows, whether they went one by one, whether that was timed first."""
    crossing = Crossing()
    crossing.guess(*guess)
    for rows in sizes:
        found, timed = crossing.one_by_one(rows), False
        if found is None:
            few, timed = min(rows, LARGEST), True
            crossing.learn(few, frame(few) * noise() / (row * noise()))
            found = crossing.one_by_one(rows)
            assert found is not None
        yield rows, found, timed


def _drawn(seed: int, bounds: tuple[int, int], count: int) -> Iterator[int]:
    draw = random.Random(seed)
    return (draw.randint(*bounds) for _ in range(count))


def _regret(row: float, frame: Frame, rows: int, one_by_one: bool) -> float:
    few = min(rows, LARGEST)  # beyond, a frame's own cost is spread thin
    ways = row * few, frame(few)
    return ways[0 if one_by_one else 1] / min(ways)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    row=st.floats(0.3, 300),
    frame=frames(),
    sizes=SIZES,
    wrong=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_choice_is_as_wrong_as_its_timing_at_most(
    row: float, frame: Frame, sizes: tuple[int, int], wrong: float, seed: int
) -> None:
    draw = random.Random(seed)
    timed = 0
    for rows, one_by_one, asked in calls(
        row, frame, _drawn(seed, sizes, 3000), lambda: 1 + wrong * draw.random()
    ):
        assert _regret(row, frame, rows, one_by_one) <= (1 + wrong) * TIE, rows
        timed += asked
    assert timed <= 40


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    row=st.floats(0.3, 300),
    frame=frames(),
    sizes=SIZES,
    wrong=st.sampled_from([0.1, 10.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_wrong_timing_is_found_out(
    row: float, frame: Frame, sizes: tuple[int, int], wrong: float, seed: int
) -> None:
    """The first times are ten times too long or too short: the machine did other things."""
    first = iter([wrong])
    last = 0.0
    for rows, one_by_one, _ in calls(
        row, frame, _drawn(seed, sizes, 40_000), lambda: next(first, 1.0)
    ):
        last = _regret(row, frame, rows, one_by_one)
    assert last <= TIE


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    row=st.floats(0.3, 300),
    frame=frames(),
    sizes=SIZES,
    wrong=st.floats(1 / 16, 16),
    wide=st.floats(1, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_wrong_guess_is_found_out(
    row: float, frame: Frame, sizes: tuple[int, int], wrong: float, wide: float, seed: int
) -> None:
    point = next(2.0**n for n in range(25) if row * 2**n >= frame(2**n) or n == 24) * wrong
    guess = (point / wide, point * wide)
    last = 0.0
    for rows, one_by_one, _ in calls(row, frame, _drawn(seed, sizes, 8_000), lambda: 1.0, guess):
        last = _regret(row, frame, rows, one_by_one)
    assert last <= TIE


@settings(max_examples=200, deadline=None)
@given(
    inputs=st.dictionaries(st.sampled_from(sorted(RAW_TYPES)), st.integers(0, 50)),
    counts=st.tuples(*[st.integers(1, 60)] * 4),
    row_s=st.floats(1e-7, 1e-3),
    rows=st.integers(1, 10**6),
)
def test_a_guess_is_clear_only_beyond_its_doubt(
    inputs: dict[str, int], counts: tuple[int, int, int, int], row_s: float, rows: int
) -> None:
    shape = FrameShape(inputs, *counts)
    until, since = clear(shape, row_s)
    frame_s = shape.own_s + shape.row_s * rows
    assert 0 < until <= since
    if abs(rows - until) > 1:
        assert (rows < until) == (DOUBT * rows * row_s < frame_s)
    if abs(rows - since) > 1:
        assert (rows > since) == (rows * row_s > DOUBT * frame_s)


def test_recipes_of_one_kind_share_what_is_known() -> None:
    forget()
    one = remembered("a")
    one.learn(100, 350.0)
    assert remembered("a") is one
    assert remembered("b").blank
    for number in range(KINDS):
        remembered(str(number))
    assert remembered("a").blank


def test_what_was_timed_holds_for_fewer_or_for_more_rows() -> None:
    crossing = Crossing()
    assert crossing.one_by_one(0) is True
    assert crossing.one_by_one(1) is None
    crossing.learn(100, 350.0)
    assert [crossing.one_by_one(n) for n in (2, 100, 350, 351)] == [True, True, True, None]
    crossing.learn(1000, 600.0)
    assert [crossing.one_by_one(n) for n in (350, 351, 599, 600, 10**9)] == [
        True, None, None, False, False,
    ]  # fmt: skip
    crossing.learn(600, 620.0)  # against what was known of 600
    assert [crossing.one_by_one(n) for n in (351, 600, 620, 621)] == [True, True, True, False]
