"""What may become source: templates and made names, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from raypipe.expressions.code import Code, Writer


def _written(template: str, *parts: Code) -> Any:
    write = Writer()
    row = write.argument()
    return write.function((template, (row, *parts)))


@pytest.mark.parametrize("part", ["x", "__import__('os')", 7, 1.5, None, b"x", ["k1"]])
def test_a_gap_takes_nothing_but_code(part: Any) -> None:
    write = Writer()
    for call in (write.piece, write.line, write.settled):
        with pytest.raises(TypeError, match="a gap takes code"):
            call("{}", part)
    with pytest.raises(TypeError, match="only a writer"):
        Code(part, "__import__('os')", 0)


@pytest.mark.parametrize(
    "template",
    [
        "return __import__({})",
        "return {}.__class__",
        "return {}.__globals__",
        "return open",
        "return 'text' if {} else None",
        "return 7 if {} else None",
        "import os",
        "lambda: {}",
        "return [x for x in {}]",
        "return f'{{{}}}'",
        "while {}: pass",
        "global v1",
        "with {} as v9: pass",
    ],
)
def test_source_that_no_template_holds_is_not_compiled(template: str) -> None:
    with pytest.raises(ValueError, match="source of a row"):
        _written(template)


def test_objects_are_bound_and_keep_their_identity() -> None:
    write = Writer()
    row, odd = write.argument(), object()
    name = write.bind(odd)
    assert write.bind(odd) is name
    assert write.function(("return {}", (name,)))(row) is odd


def test_a_function_has_no_builtins() -> None:
    write = Writer()
    row = write.argument()
    function = write.function(("return {}", (row,)))
    assert function(5) == 5
    assert function.__globals__["__builtins__"] == {}


def test_lines_taken_back_leave_nothing() -> None:
    write = Writer()
    row = write.argument()
    mark = write.mark
    write.settled("{} / {}", row, write.bind(0))
    write.cut(mark)
    assert write.function(("return {}", (row,)))(1) == 1
