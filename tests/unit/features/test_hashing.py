"""Our own hashes: pinned, spread evenly, and the same one by one and all at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features.transforms.hashing import row_hash, span_buckets, text_bucket, text_hash


@pytest.mark.parametrize(
    ("text", "hashed", "bucket"),
    [
        ("", 0, 0),
        ("a", 3320656311, 773),
        ("JFK", 3582142336, 834),
        ("é", 1955056165, 455),
        ("12345", 4060734269, 945),
        ("true", 587414510, 136),
        ("日本", 2995264306, 697),
    ],
)
def test_the_hash_of_a_text_never_changes(text: str, hashed: int, bucket: int) -> None:
    assert text_hash(text.encode()) == hashed
    assert text_bucket(text.encode(), 1000) == bucket


def test_the_hash_of_a_place_never_changes() -> None:
    assert row_hash(0, 0, 4).tolist() == [
        12035550249420947055,
        3069472533636442495,
        9405607414650848140,
        17996121457536601210,
    ]
    assert row_hash(7, 100, 2).tolist() == [3395261198787353300, 12717218003479592839]
    assert row_hash(3, 0, 50)[20:].tolist() == row_hash(3, 20, 30).tolist()
    assert row_hash(1, 5, 0).tolist() == []


@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts=st.lists(st.text(max_size=20), max_size=10), width=st.integers(2, 2**31))
def test_many_spans_have_the_buckets_of_each(texts: list[str], width: int) -> None:
    encoded = [text.encode() for text in texts]
    stops = np.cumsum([len(one) for one in encoded], dtype=np.int64)
    starts = stops - np.array([len(one) for one in encoded], np.int64)
    data = np.frombuffer(b"".join(encoded), np.uint8)
    got = span_buckets(data, starts, stops, width)
    assert got.tolist() == [text_bucket(one, width) for one in encoded]


@pytest.mark.parametrize("form", ["{}", "user{:07d}", "N{}AA", "{:x}000", "{:b}"])
@pytest.mark.parametrize("width", [64, 1000, 4096])
def test_names_that_follow_a_pattern_fill_buckets_evenly(form: str, width: int) -> None:
    count = 40_000
    found = [text_bucket(form.format(n).encode(), width) for n in range(count)]
    expected = count / width
    spread = ((np.bincount(found, minlength=width) - expected) ** 2 / expected).sum()
    # Chi-squared of width - 1 degrees: 5 standard deviations to each side.
    assert abs(spread - (width - 1)) < 5 * np.sqrt(2 * (width - 1))


def test_folds_are_even() -> None:
    folds = np.concatenate([row_hash(part, 0, 1000) % np.uint64(5) for part in range(100)])
    spread = ((np.bincount(folds.astype(int)) - 20_000) ** 2 / 20_000).sum()
    assert spread < 30
