"""Elements of HTML and SVG, escaped by construction.

`Markup` is a type of its own, so that a plain string cannot become part of the page unescaped
without the type checker seeing it.
"""

from __future__ import annotations

import re
from typing import NewType

Markup = NewType("Markup", str)

# What XML 1.0 has no way to write, escaped or not, and what UTF-8 cannot carry.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "`": "&#96;"}
)

_VOID = frozenset({"meta", "br"})


def text(value: object) -> Markup:
    """The value as text that is safe in an element and in a quoted attribute."""
    return Markup(_UNWRITABLE.sub("\ufffd", str(value)).translate(_ESCAPES))


def el(tag: str, /, *children: Markup, **attributes: str | float | None) -> Markup:
    """One element.

    An attribute's name loses a trailing underscore (``class_``) and turns the others into hyphens;
    one that is None is left out. Coordinates are cut to two decimals.
    """
    written = "".join(
        f' {_name(name)}="{text(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{''.join(children)}</{tag}>")


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _number(value: str | float) -> str:
    if isinstance(value, float):
        short = f"{value:.2f}".rstrip("0").rstrip(".")
        return "0" if short == "-0" else short
    return str(value)
