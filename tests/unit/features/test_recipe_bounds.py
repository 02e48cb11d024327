"""A stored recipe takes bearable time and memory, however it was written."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import FittedRecipe, Recipe
from raypipe.features import transforms as T  # noqa: N812
from raypipe.features.columns import unknown

X: dict[str, Any] = {"col": "x"}


def _op(name: str, *args: Any, **options: Any) -> dict[str, Any]:
    return {"op": name, "args": list(args), "options": options}


def _derive(name: str, expr: Any) -> dict[str, Any]:
    return {"kind": "derive", "name": name, "expression": {"version": 1, "expr": expr}}


def _stored(steps: list[dict[str, Any]], types: dict[str, str]) -> str:
    return json.dumps(
        {
            "kind": "raypipe.fitted_recipe",
            "version": 1,
            "recipe": {"kind": "raypipe.recipe", "version": 1, "transforms": steps},
            "label": None,
            "types": types,
            "nullable": [],
            "states": [None] * len(steps),
            "profile": {"version": 2, "columns": []},
            "rows": 5,
        }
    )


def _refused(text: str) -> str:
    with pytest.raises(RecipeError) as refused:
        FittedRecipe.from_json(text)
    return str(refused.value)


def _chain(name: str, times: int) -> dict[str, Any]:
    found = X
    for _ in range(times):
        found = _op(name, found, X)
    return found


def test_a_remainder_of_remainders_does_not_take_a_power_of_two() -> None:
    text = _stored([_derive("z", _chain("mod", 98))], {"x": "float64"})
    assert "deeper than 100 or larger than 10000 nodes" in _refused(text)
    nested = pl.col("x") % 7 % 5 % 3
    fitted = Recipe(T.derive(z=nested)).fit(pl.DataFrame({"x": [1.5, 9.25, -4.0]}))
    assert fitted.row({"x": 9.25})[0] == 2.25


def test_a_deep_and_wide_expression_is_asked_of_polars_node_by_node() -> None:
    wide = X
    for _ in range(85):
        wide = _op("add", wide, _op("max_horizontal", *[X] * 100))
    fitted = FittedRecipe.from_json(_stored([_derive("z", wide)], {"x": "float64"}))
    assert fitted.row({"x": 1.0}).tolist() == [86.0]
    assert fitted.transform(pl.DataFrame({"x": [1.0, 2.0]}))["z"].to_list() == [86.0, 172.0]


def test_a_long_chain_of_steps_works() -> None:
    step = {"kind": "clip", "column": "x", "low": -1.0, "high": None, "quantiles": None}
    fitted = FittedRecipe.from_json(_stored([step] * 2_000, {"x": "float64"}))
    assert fitted.row({"x": -2.0}).tolist() == [-1.0]
    frame = pl.DataFrame({"x": [-2.0, 3.0]})
    assert fitted.transform(frame)["x"].to_list() == [-1.0, 3.0]
    fitted._calls = None  # the way of steps that are not recorded
    assert fitted.transform(frame)["x"].to_list() == [-1.0, 3.0]


def test_more_transforms_columns_or_nodes_than_can_be_borne_are_refused() -> None:
    step = {"kind": "select", "column": "x"}
    assert "too long" in _refused(_stored([step] * 10_001, {"x": "float64"}))
    with pytest.raises(RecipeError, match="too many transforms"):
        Recipe([T.select("x")[0]] * 10_001).fit(pl.DataFrame({"x": [1.0]}))
    texts = {f"s{n}": "string" for n in range(17)}
    grams = [{"kind": "ngrams", "column": n, "unit": "char", "n": 2, "width": 4096} for n in texts]
    assert "too many columns" in _refused(_stored(grams, texts))
    bushy = [_derive(f"z{n}", _op("max_horizontal", *[X] * 100)) for n in range(1_000)]
    assert "expressions of the recipe are too large" in _refused(_stored(bushy, {"x": "float64"}))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"edges": [0.5] * 10**5}, "edges"),
        ({"count": 10**12, "how": "uniform", "edges": None}, "count"),
    ],
)
def test_edges_and_widths_are_bounded(change: dict[str, Any], place: str) -> None:
    (bins,) = json.loads(Recipe(T.bins("x", edges=[1.0])).to_json())["transforms"]
    with pytest.raises(RecipeError) as refused:
        FittedRecipe.from_json(_stored([{**bins, **change}], {"x": "float64"}))
    assert refused.value.field == place
    for kind, more in (("hash_encode", {}), ("ngrams", {"unit": "char", "n": 2})):
        hashed = {"kind": kind, "column": "s", "width": 10**12, **more}
        assert "width" in _refused(_stored([hashed], {"s": "string"}))


def test_texts_do_not_grow_out_of_bounds() -> None:
    frame = pl.DataFrame({"s": ["abc"]})
    steps = [*T.derive(t0=pl.concat_str(["s"] * 10))]
    assert Recipe(steps, T.derive(z=pl.col("t0").str.len_chars())).fit(frame).row({"s": "ab"}) == 20
    for n in range(9):
        steps += T.derive(**{f"t{n + 1}": pl.concat_str([f"t{n}"] * 10)})
    recipe = Recipe(steps, T.derive(z=pl.col("t9").str.len_chars()))
    with pytest.raises(RecipeError, match="grow out of bounds") as refused:
        recipe.fit(frame)
    assert refused.value.field == "t1"
    # Through what other transforms give anew, too.
    more = (*T.impute("t0", strategy="constant", value=""), *T.derive(u=pl.concat_str(["t0"] * 10)))
    with pytest.raises(RecipeError, match="grow out of bounds"):
        Recipe(steps[0], more, T.hash_encode("u", width=9)).fit(frame)
    cased = pl.col("s").str.to_uppercase()
    for _ in range(4):
        cased = cased.str.to_uppercase()
    with pytest.raises(RecipeError, match="grow out of bounds"):
        Recipe(T.derive(z=cased.str.len_bytes())).fit(frame)
    long = pl.concat_str([pl.lit("x" * 10_000)] * 11 + [pl.col("s")])
    with pytest.raises(RecipeError, match="110000 characters"):
        Recipe(T.derive(z=long.str.len_chars())).fit(frame)


def test_a_text_of_very_many_lists_is_refused_before_it_is_read() -> None:
    text = _stored([{"kind": "select", "column": "x"}], {"x": "float64"})
    many = text[:-1] + ', "training": [' + ",".join(["[]"] * 5_000_001) + "]}"
    assert "more lists than" in _refused(many)


def test_brackets_within_texts_are_no_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"s": ['[[[["', "{{\\", "a", "b"], "y": [0, 1, 1, 0]})
    fitted = Recipe(T.one_hot("s")).fit(frame)
    text = fitted.to_json()
    monkeypatch.setattr("raypipe.features.stored.MAX_LISTS", text.count("[") + text.count("{") - 6)
    assert FittedRecipe.from_json(text).to_json() == text
    monkeypatch.setattr("raypipe.features.stored.MAX_LISTS", 5)
    assert "more lists" in _refused(text)


@pytest.mark.parametrize("end", ["", "\\", '"'])
def test_a_text_that_is_not_closed_is_read_once(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """Read again from each of its quotes it would take hours."""
    monkeypatch.setattr("raypipe.features.stored.MAX_LISTS", 5)
    text = "[" * 6 + '"' + '\\"' * 1_000_000 + end
    assert "more lists" in _refused(text)
    assert "not JSON" in _refused(text[2:])


def test_a_pattern_that_is_too_large_is_refused_in_batch_and_row() -> None:
    for pattern in ("(a{1000}){1000}", "(a{999}){999}{999}"):
        test = _op("contains", {"col": "s"}, {"lit": pattern, "type": "string"},
                   literal=False, strict=True)  # fmt: skip
        fitted = FittedRecipe.from_json(_stored([_derive("z", test)], {"s": "string"}))
        with pytest.raises(RecipeError, match=re.compile("size limit|regex", re.IGNORECASE)):
            fitted.transform(pl.DataFrame({"s": ["a", "b"]}))
        with pytest.raises(RecipeError, match="cannot compute 'z'"):
            fitted.row({"s": "a"})
    slow = _op("contains", {"col": "s"}, {"lit": "(a+)+$", "type": "string"},
               literal=False, strict=True)  # fmt: skip
    fitted = FittedRecipe.from_json(_stored([_derive("z", slow)], {"s": "string"}))
    assert fitted.row({"s": "a" * 10_000 + "b"}).tolist() == [0.0]


def test_an_expression_is_no_polars_tree() -> None:
    """Which could name a file, a plug-in or a pickled function."""
    for tree in (
        {"Scan": {"sources": {"Paths": ["/etc/passwd"]}}},
        {"AnonymousFunction": {"input": [], "function": [128, 4, 149]}},
        {"Function": {"function": {"FfiPlugin": {"lib": "x.so", "symbol": "f"}}, "input": []}},
        {"op": "map_batches", "args": [X], "options": {}},
        {"op": "read_csv", "args": [{"lit": "/etc/passwd", "type": "string"}], "options": {}},
    ):
        assert "stored expression is not valid" in _refused(
            _stored([_derive("z", tree)], {"x": "float64"})
        )


def test_a_name_that_is_not_there_is_compared_with_few_and_short_ones() -> None:
    names = [f"{'a' * 990}{n:05d}" for n in range(20_000)]
    assert "There are" in str(unknown("a" * 994, names, "select"))
    assert "Did you mean 'temp'" in str(unknown("tmp", ["temp", *names], "select"))
