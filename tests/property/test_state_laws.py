"""What a fit gathers merges in any order to the same state, for every transform that learns.

Of quantile sketches this holds while they are exact, up to 16,384 distinct values; beyond, their
stated error is held by ``test_quantile_laws.py`` and the profile's by ``test_spread_laws.py``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import RecipeError
from raypipe.features.profile_state import ProfileState
from raypipe.features.transforms.base import PlacedState, State, feed
from raypipe.features.transforms.shared import RowsView
from tests.property.value_draws import NUMBERS, TEXTS, WHOLE
from tests.unit.features.test_transform_conformance import CASES, FRAME, _flat

LEARNING = {
    (name, at): one
    for name in CASES
    for at, one in enumerate(_flat(name))
    if set(one.reads) <= set(FRAME.columns)
    and one.state({column: FRAME.schema[column] for column in one.reads}) is not None
}
FIELDS = {
    "x": st.none() | NUMBERS,
    "n": st.none() | st.integers(-3, 3) | WHOLE,
    "s": st.none() | st.sampled_from(["a", "b", "", "é"]) | TEXTS,
    "b": st.none() | st.booleans(),
}
LABELS = st.none() | st.sampled_from([0.0, 1.0, 0.1, -2.5, 2.0**70])
ROWS = st.lists(st.tuples(st.fixed_dictionaries(FIELDS), LABELS), min_size=1, max_size=24)


@st.composite
def parts(draw: Callable[..., Any]) -> list[tuple[pl.DataFrame, pl.Series, int]]:
    """Rows cut into parts, each with its labels and where it begins."""
    rows = [*draw(ROWS), (dict.fromkeys(FIELDS), 1.0)]  # a fit refuses rows without any label
    schema = {name: FRAME.schema[name] for name in FIELDS}
    frame = pl.DataFrame([row for row, _ in rows], schema=schema)
    labels = pl.Series([label for _, label in rows], dtype=pl.Float64)
    cuts = sorted(draw(st.sets(st.integers(1, len(rows)), max_size=5)) | {0, len(rows)})
    pairs = pairwise(cuts)
    return [(frame[low:high], labels[low:high], low) for low, high in pairs]


def _end(state: State) -> Any:
    try:
        made = state.finish()
    except (RecipeError, ZeroDivisionError) as refused:  # nothing to learn from
        return type(refused)
    return made, state.training() if isinstance(state, PlacedState) else None


def _merged(states: list[Any], draw: st.DataObject) -> Any:
    """Neighbours or any two, in whatever order."""
    while len(states) > 1:
        one = states.pop(draw.draw(st.integers(0, len(states) - 1)))
        other = states.pop(draw.draw(st.integers(0, len(states) - 1)))
        one.merge(pickle.loads(pickle.dumps(other)))
        states.append(one)
    return states[0]


@pytest.mark.parametrize("case", LEARNING, ids=str)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(cut=parts(), data=st.data())
def test_states_merge_in_any_order(case: tuple[str, int], cut: Any, data: st.DataObject) -> None:
    made = LEARNING[case]
    schema = {column: FRAME.schema[column] for column in made.reads}

    def gathered(frame: pl.DataFrame, labels: pl.Series, begin: int) -> Any:
        state = made.state(schema)
        assert state is not None
        feed(state, RowsView.of(frame.select(made.reads), labels, 0, begin))
        return state

    whole = gathered(pl.concat([f for f, *_ in cut]), pl.concat([y for _, y, _ in cut]), 0)
    assert _end(_merged([gathered(*one) for one in cut], data)) == _end(whole)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(cut=parts(), data=st.data())
def test_profiles_merge_in_any_order(cut: Any, data: st.DataObject) -> None:
    types = {"x": "float64", "n": "int64", "s": "string", "b": "bool"}

    def gathered(frame: pl.DataFrame, labels: pl.Series) -> ProfileState:
        state = ProfileState(types, True)
        state.take(RowsView.of(frame, labels))
        return state

    # Sums of labels by bin are floats, so of labels whose sums are exact.
    plain = [(f, y.is_not_null().cast(pl.Float64).set(y.is_null(), None)) for f, y, _ in cut]
    whole = gathered(pl.concat([f for f, _ in plain]), pl.concat([y for _, y in plain]))
    merged = _merged([gathered(*one) for one in plain], data)
    assert merged.finish().to_json() == whole.finish().to_json()


def test_every_state_is_tried() -> None:
    """Each transform that learns has a case here, in each of its ways."""
    assert {type(one).__name__ for one in LEARNING.values()} == {
        "Impute", "Scale", "Clip", "Bins", "OneHot", "TargetEncode", "Ordinal", "CountEncode",
        "GroupRare",
    }  # fmt: skip
