"""Texts: one rule for tokens in polars and in Python, and n-grams counted in two ways."""

from __future__ import annotations

import math
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.features import Recipe
from raypipe.features import transforms as t
from raypipe.features.transforms.hashing import text_bucket
from raypipe.features.transforms.tokens import POLARS_TOKEN, tokens

SPECIAL = (
    "\x00 \x09\x0a\x0b\x1c\x1f!'_-.,~\x7f\x85\xa0\xaa\xb5\xba\xbc\xd7\xf7\xe9\xdf\u0130"
    "\u03a3\u03c2\u0300\u1680\u180e\u2003\u200b\u200c\u200d\u2028\u2060\u3000\u3001\u3005"
    "\u300c\u300d\ufeff\uff01\uff21\uff10\U0001f468\u200d\U0001f469\u65e5\u672c\u8a9e"
)
TEXTS = st.text(st.sampled_from(SPECIAL) | st.characters(codec="utf-8"), max_size=30)


def test_tokens_by_hand() -> None:
    assert tokens("It's 5-a-side; naïve_name, New\u00a0York\u3000東京、日本!") == [
        "It", "s", "5", "a", "side", "naïve", "name", "New", "York", "東京", "日本",
    ]  # fmt: skip
    assert tokens("") == tokens(" \t\u2003,.") == []


@settings(max_examples=200, deadline=None, derandomize=True)
@given(texts=st.lists(TEXTS, min_size=1, max_size=10))
def test_polars_and_python_find_the_same_tokens(texts: list[str]) -> None:
    found = pl.Series(texts).str.extract_all(POLARS_TOKEN)
    assert found.to_list() == [tokens(text) for text in texts]
    parts = Recipe(t.text_parts("s", ["length", "bytes", "tokens", "digits"]))
    fitted = parts.fit(pl.DataFrame({"s": texts}))
    batch = fitted.transform(pl.DataFrame({"s": texts})).to_numpy()
    assert np.array_equal(batch, np.array([fitted.row({"s": text}) for text in texts]))


def test_every_code_point_is_a_separator_in_both_or_in_neither() -> None:
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    in_polars = pl.Series(points).str.contains(POLARS_TOKEN).to_list()
    assert in_polars == [bool(tokens(point)) for point in points]


def test_parts_of_a_text() -> None:
    frame = pl.DataFrame({"s": ["Émile 4 42", "", None, "\U0001f600"]})
    got = Recipe(t.text_parts("s", ["length", "bytes", "tokens", "digits"])).fit(frame)
    rows = got.transform(frame).rows()
    assert rows[0] == (10, 11, 3, 3)
    assert rows[1] == (0, 0, 0, 0)
    assert all(math.isnan(value) for value in rows[2])
    assert rows[3] == (1, 4, 1, 0)


def test_ngrams_by_hand() -> None:
    frame = pl.DataFrame({"s": ["Abab", "x", "", None]})
    fitted = Recipe(t.ngrams("s", n=2, width=50)).fit(frame)
    want = [0] * 50
    for gram in ("ab", "ba", "ab"):
        want[text_bucket(gram.encode(), 50)] += 1
    rows = fitted.transform(frame).rows()
    assert list(rows[0]) == want
    assert list(rows[1]) == list(rows[2]) == [0] * 50
    assert all(math.isnan(value) for value in rows[3])
    words = Recipe(t.ngrams("s", unit="word", n=2, width=50)).fit(frame)
    row = words.row({"s": "New  York, new-york"})
    want = [0] * 50
    for gram in ("new york", "york new", "new york"):
        want[text_bucket(gram.encode(), 50)] += 1
    assert row.tolist() == want
    assert words.feature_names[:2] == ("s_word2_0", "s_word2_1")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    texts=st.lists(st.none() | TEXTS, min_size=1, max_size=12),
    unit=st.sampled_from(["char", "word"]),
    n=st.integers(1, 4),
    width=st.sampled_from([2, 7, 16]),
)
def test_ngrams_of_a_batch_are_those_of_each_row(
    texts: list[str | None], unit: str, n: int, width: int
) -> None:
    frame = pl.DataFrame({"s": texts}, schema={"s": pl.String})
    fitted = Recipe(t.ngrams("s", unit=unit, n=n, width=width)).fit(frame)
    batch = fitted.transform(frame).to_numpy()
    rows = np.array([fitted.row({"s": text}) for text in texts])
    assert np.array_equal(batch, rows, equal_nan=True)


def test_a_batch_is_hashed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"s": [None, *(f"text {n % 7} of {n}" for n in range(50)), None]})
    fitted = Recipe(t.ngrams("s", width=16)).fit(frame)
    want = fitted.transform(frame)
    # The function of that name hides the module from an attribute's path.
    module = sys.modules["raypipe.features.transforms.ngrams"]
    monkeypatch.setattr(module, "_CHUNK", 48)
    assert fitted.transform(frame).equals(want)


def test_a_batch_is_hashed_once_whatever_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["raypipe.features.transforms.ngrams"]
    counted = module.text_counts
    calls: list[int] = []
    monkeypatch.setattr(module, "text_counts", lambda *args: calls.append(1) or counted(*args))
    frame = pl.DataFrame({"s": ["one", "two"]})
    fitted = Recipe(t.ngrams("s", width=16)).fit(frame)
    calls.clear()
    fitted.transform(frame)
    assert len(calls) == 1
