"""A fitted recipe as one function of a row: fields checked, steps done, features packed.

Each step writes itself as code where it can; a step that cannot is called through its ``row`` on a
list of slots. Names of fields, constants and categories are bound as objects and never become
source (see ``raypipe.expressions.code``).
"""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from raypipe.expressions.row_base import FLOAT, Value, is_null
from raypipe.features.columns import RAW_TYPES
from raypipe.features.transforms.base import RowWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from raypipe.expressions.code import Code
    from raypipe.features.plan import Step
    from raypipe.features.transforms import Fitted

# A value that passes needs no call: it is exactly of its raw type, or null.
_PASSES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "float64": ("{type}({v}) is not {0} and {v} is not None", (float,)),
    "int64": (
        "{v} is not None and ({type}({v}) is not {0} or not {1} <= {v} <= {2})",
        (int, -(2**63), 2**63 - 1),
    ),
    "string": ("{v} is not None and ({type}({v}) is not {0} or not {v}.isascii())", (str,)),
    "bool": ("{type}({v}) is not {0} and {v} is not None", (bool,)),
    "datetime": (
        "{v} is not None and ({type}({v}) is not {0} or {v}.tzinfo is not None or {v}.fold)",
        (datetime,),
    ),
    "date": ("{type}({v}) is not {0} and {v} is not None", (date,)),
}


def row_function(
    fields: Sequence[tuple[str, int, str, Callable[[Any], Any]]],
    steps: Sequence[Step],
    fitted: Mapping[int, Fitted],
    places: Sequence[int],
    check: Callable[[Any], None],
    pack: Callable[..., Any],
    empty: list[Any],
) -> Callable[..., Any] | None:
    """``f(row)``: the features of a row, packed.

    Args:
        fields: name, slot, raw type and coercer of each field.
        steps: in order.
        fitted: what is applied at each step.
        places: the slot of each feature.
        check: raises for a row whose fields are not exactly these.
        pack: called with a number for each feature; what it gives is given back.
        empty: a list of as many None as there are slots.

    Returns:
        The function, or None where it would be too large to compile.
    """
    write = RowWriter()
    row = write.argument()
    _fields(write, row, fields, check)
    slots: Code | None = None
    for step in steps:
        done, mark = fitted[step.number], write.mark
        if not done.code(write, step.source, step.target):
            write.cut(mark)
            if slots is None:
                slots = write.settled("{}({})", write.bind(list), write.bind(empty))
            _through_slots(write, slots, step, done)
        if write.large:
            return None
    gaps = (write.bind(pack), write.joined(_features(write, places)))
    return write.function(("return {}({})", gaps))


def _fields(
    write: RowWriter,
    row: Code,
    fields: Sequence[tuple[str, int, str, Callable[[Any], Any]]],
    check: Callable[[Any], None],
) -> None:
    names = [write.name() for _ in fields]
    write.line("try:")
    for held, (name, _, _, _) in zip(names, fields, strict=True):
        write.line("    {} = {}[{}]", held, row, write.bind(name))
    write.line("except {}:", write.bind((KeyError, TypeError)))
    write.line("    {}({})", write.bind(check), row)
    write.line("    raise")
    for held, (_, place, kind, coerce) in zip(names, fields, strict=True):
        test, parts = _PASSES[kind]
        bound = [write.bind(part) for part in parts]
        write.line(f"if {test}:", *bound, v=held, type=write.bind(type))
        write.line("    {0} = {1}({0})", held, write.bind(coerce))
        dtype = RAW_TYPES[kind]
        write.values[place] = Value(held, dtype, (held,), dtype == FLOAT)
    count = (write.bind(len), row, write.bind(len(fields)))
    write.line("if {}({}) != {}:", *count)
    write.line("    {}({})", write.bind(check), row)


def _through_slots(write: RowWriter, slots: Code, step: Step, done: Fitted) -> None:
    for place in step.source.values():
        write.line("{}[{}] = {}", slots, write.bind(place), write.read(place))
    write.line("{}({})", write.bind(done.row(step.source, step.target)), slots)
    dtypes = step.transform.outputs(step.schema)
    for name, place in step.target.items():
        held = write.settled("{}[{}]", slots, write.bind(place))
        write.values[place] = Value(held, dtypes.get(name, FLOAT), (held,), True)


def _features(write: RowWriter, places: Sequence[int]) -> list[Code]:
    found, nan = [], write.bind(math.nan)
    done = 0
    while done < len(places):
        whole, length = write.blocks.get(places[done], (None, 0))
        run = list(range(places[done], places[done] + length))
        if whole is not None and list(places[done : done + length]) == run:
            found.append(write.piece("*{}", whole))
            done += length
            continue
        value = write.values[places[done]]
        body = value.body
        if value.nan:
            if body.depth:
                body = write.settled("{}", body) if not value.nulls else body
            body = write.piece("({0} if {0} == {0} else {1})", body, nan)
        if value.nulls:
            body = write.piece("({} if {} else {})", nan, is_null(write, value.nulls), body)
        found.append(body)
        done += 1
    return found
