"""What null, unseen, rare and empty categories mean in each transform over categories."""

from __future__ import annotations

import math
import sys
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import FittedRecipe, Recipe
from raypipe.features import transforms as t

FRAME = pl.DataFrame(
    {
        "s": ["b", "b", "a", "c", "", None, "b", "a"],
        "n": [7, 7, 3, None, 3, 7, -1, 0],
        "f": [True, True, False, None, True, True, True, False],
        "y": [1, 0, 1, 0, 1, 0, 1, 0],
    }
)
ASKED = pl.DataFrame({"s": ["a", "b", "c", "", None, "z"]})
NAN = math.nan


def _both(fitted: FittedRecipe, frame: pl.DataFrame, column: str) -> list[float]:
    batch = fitted.transform(frame)[column].to_list()
    place = fitted.feature_names.index(column)
    rows = [float(fitted.row(row)[place]) for row in frame.select(list(fitted.inputs)).to_dicts()]
    assert str(rows) == str(batch)
    return rows


def _same(got: list[float], want: list[Any]) -> None:
    assert got == pytest.approx(want, nan_ok=True, rel=1e-6)


def test_ordinal_by_frequency_and_in_sorted_order() -> None:
    fitted = Recipe(t.ordinal("s")).fit(FRAME)  # b 3, a 2, then "" and c in sorted order
    _same(_both(fitted, ASKED, "s_code"), [1, 0, 3, 2, NAN, -1])
    fitted = Recipe(t.ordinal("s", order="sorted")).fit(FRAME)
    _same(_both(fitted, ASKED, "s_code"), [1, 2, 3, 0, NAN, -1])
    fitted = Recipe(t.ordinal("s", min_count=2)).fit(FRAME)
    _same(_both(fitted, ASKED, "s_code"), [1, 0, -1, -1, NAN, -1])
    fitted = Recipe(t.ordinal("n", "f", order="sorted")).fit(FRAME)
    _same(_both(fitted, FRAME, "n_code"), [3, 3, 2, NAN, 2, 3, 0, 1])
    _same(_both(fitted, FRAME, "f_code"), [1, 1, 0, NAN, 1, 1, 1, 0])


def test_sorted_order_of_texts_is_that_of_code_points() -> None:
    texts = ["é", "z", "Z", "\U0001f600", "\uffff", "10", "9"]
    fitted = Recipe(t.ordinal("s", order="sorted")).fit(pl.DataFrame({"s": texts}))
    codes = _both(fitted, pl.DataFrame({"s": texts}), "s_code")
    assert codes == [sorted(texts).index(text) for text in texts]


def test_count_encode_counts_null_as_a_category_and_gives_0_for_unseen() -> None:
    fitted = Recipe(t.count_encode("s"), t.count_encode("s", share=True)).fit(FRAME)
    _same(_both(fitted, ASKED, "s_count"), [2, 3, 1, 1, 1, 0])
    _same(_both(fitted, ASKED, "s_share"), [2 / 8, 3 / 8, 1 / 8, 1 / 8, 1 / 8, 0])


def test_rare_and_unseen_categories_become_one_that_later_transforms_read() -> None:
    recipe = Recipe(t.group_rare("s", min_count=2, other="rest"), t.one_hot("s"))
    fitted = recipe.fit(FRAME)
    assert fitted.feature_names == ("s=a", "s=b", "s=rest")
    _same(_both(fitted, ASKED, "s=rest"), [0, 0, 1, 1, 0, 1])
    fitted = Recipe(t.group_rare("s", max_categories=1), t.count_encode("s")).fit(FRAME)
    _same(_both(fitted, ASKED, "s_count"), [4, 3, 4, 4, 1, 4])
    grouped = t.group_rare("n", min_count=2, other=-9)
    fitted = Recipe(grouped, t.select("n")).fit(FRAME)
    _same(_both(fitted, FRAME, "n"), [7, 7, 3, NAN, 3, 7, -9, -9])
    named = Recipe(t.group_rare("s", min_count=2, other="c"), t.one_hot("s")).fit(FRAME)
    _same(_both(named, ASKED, "s=c"), [0, 0, 1, 1, 0, 1])


def test_one_hot_of_the_most_frequent() -> None:
    assert Recipe(t.one_hot("s", max_categories=2)).fit(FRAME).feature_names == ("s=a", "s=b")
    limited = Recipe(t.one_hot("s", max_categories=3)).fit(FRAME)
    assert limited.feature_names == ("s=", "s=a", "s=b")  # "" and c are tied
    _same(_both(limited, ASKED, "s="), [0, 0, 0, 1, 0, 0])
    stored = Recipe(t.one_hot("s")).to_json()
    assert "max_categories" not in stored  # as before there was one


def test_hash_encode_writes_values_as_text() -> None:
    fitted = Recipe(t.hash_encode("s", "n", "f", width=1000)).fit(FRAME)
    asked = pl.DataFrame(
        {"s": ["a", "", "12345", None], "n": [12345, 12345, None, -1], "f": [True, None] * 2}
    )
    _same(_both(fitted, asked, "s_hash"), [773, 0, 945, NAN])
    _same(_both(fitted, asked, "n_hash")[:3], [945, 945, NAN])
    _same(_both(fitted, asked, "f_hash"), [136, NAN, 136, NAN])
    unseen = fitted.transform(asked.with_columns(s=pl.lit("never seen")))["s_hash"]
    assert unseen.n_unique() == 1
    assert 0 <= unseen[0] < 1000
    nothing = fitted.transform(asked.with_columns(s=pl.lit(None, pl.String)))
    assert nothing["s_hash"].is_nan().all()


def test_floats_are_no_categories() -> None:
    frame = FRAME.with_columns(x=pl.lit(NAN))
    for recipe in (
        t.ordinal("x"),
        t.count_encode("x"),
        t.group_rare("x", min_count=2),
        t.hash_encode("x", width=8),
        t.target_encode("x"),
        t.text_parts("x"),
        t.ngrams("n"),
        t.group_rare("f", min_count=2),
        t.group_rare("n", min_count=2),  # other="other" is no integer
    ):
        with pytest.raises(RecipeError) as refused:
            Recipe(recipe).fit(frame, "y")
        assert refused.value.field in ("x", "n", "f")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: t.ordinal("x", order="size"), "order"),
        (lambda: t.ordinal("x", min_count=0), "min_count"),
        (lambda: t.count_encode("x", share=1), "share"),  # type: ignore[arg-type]
        (lambda: t.group_rare("x"), "min_count"),
        (lambda: t.group_rare("x", max_categories=0), "max_categories"),
        (lambda: t.group_rare("x", min_count=2, other=1.5), "other"),  # type: ignore[arg-type]
        (lambda: t.hash_encode("x", width=1), "width"),
        (lambda: t.one_hot("x", max_categories=0), "max_categories"),
        (lambda: t.target_encode("x", folds=1), "folds"),
        (lambda: t.target_encode("x", folds=True), "folds"),
        (lambda: t.text_parts("x", ["words"]), "parts"),
        (lambda: t.ngrams("x", unit="line"), "unit"),
        (lambda: t.ngrams("x", n=0), "n"),
        (lambda: t.ngrams("x", width=5000), "width"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(make: Any, field: str) -> None:
    with pytest.raises(RecipeError) as refused:
        make()
    assert refused.value.field == field


def test_a_stored_state_that_does_not_add_up_is_refused() -> None:
    fitted = Recipe(t.count_encode("s")).fit(FRAME).to_data()
    fitted["states"][0]["nulls"] += 1
    with pytest.raises(RecipeError, match="add up"):
        FittedRecipe.from_json(fitted)


def test_too_many_categories_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raypipe.features.transforms.categories.MAX_KEYS", 2)
    for one in (t.ordinal("s"), t.count_encode("s"), t.target_encode("s")):
        with pytest.raises(RecipeError, match="too many categories") as refused:
            Recipe(one).fit(FRAME, "y")
        assert refused.value.field == "s"
        assert "group_rare" in str(refused.value)


def test_lookup_gives_null_for_null_unseen_and_nan_and_keeps_an_empty_key() -> None:
    table = pl.DataFrame({"s": ["", "a", "b"], "size": [1.0, 2.0, NAN]})
    fitted = Recipe(t.lookup(table, on="s", columns=["size"]), t.select("size")).fit(FRAME)
    _same(_both(fitted, ASKED, "size"), [2, NAN, NAN, 1, NAN, NAN])


def test_a_lookup_that_could_not_be_read_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pl.DataFrame({"s": ["a", "b"], "size": [1, 2]})
    lookup = sys.modules["raypipe.features.transforms.lookup"]
    for name, limit in (("MAX_BYTES", 50), ("MAX_ROWS", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(lookup, name, limit)
            with pytest.raises(RecipeError, match="small tables") as refused:
                t.lookup(table, on="s", columns=["size"])
            assert refused.value.field == "s"


@pytest.mark.parametrize("edge", [2**63 - 1, -(2**63)])
def test_the_ends_of_64_bits_are_categories(edge: int) -> None:
    frame = pl.DataFrame({"n": [edge, edge, None, edge]})
    made = Recipe(t.ordinal("n"), t.count_encode("n")).fit(frame)
    assert made.row({"n": edge}).tolist() == [0.0, 3.0]
    assert made.transform(frame)["n_count"].to_list() == [3.0, 3.0, 1.0, 3.0]
