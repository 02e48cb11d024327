"""Lineage: from the sources on the left to what serves on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raypipe.demo.report.charts.layers import Slot, arrange, forward
from raypipe.demo.report.markup import Markup, el
from raypipe.demo.report.svg import hover, label, nothing, picture, rect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.demo.report.model import LineageEdge, LineageNode

TITLE = "Lineage, from sources to what serves"

_HIGH, _GAP, _BEND = 54.0, 16.0, 10.0


def lineage_graph(
    nodes: Sequence[LineageNode], edges: Sequence[LineageEdge], *, key: str, width: float
) -> Markup:
    """A layered graph; each box names its kind in words, so that colour only helps.

    The picture grows wider than `width` when there are more layers than fit it.
    """
    if not nodes:
        return nothing(key, TITLE, "No lineage was recorded.", width)
    kept = forward(nodes, edges)
    columns, routes = arrange(nodes, kept)
    apart = 36.0
    wide = min(max((width - apart * (len(columns) - 1)) / len(columns), 112.0), 190.0)
    width = max(width, len(columns) * wide + apart * (len(columns) - 1))
    # Fewer layers than fit the width: the room goes between them.
    if len(columns) > 1:
        apart = (width - wide * len(columns)) / (len(columns) - 1)
    tallest = max(_height(column) for column in columns)
    x: dict[Slot, float] = {}
    y: dict[Slot, float] = {}
    for layer, column in enumerate(columns):
        at = (tallest - _height(column)) / 2 + 4
        for slot in column:
            size = _size(slot)
            x[slot], y[slot] = layer * (wide + apart), at + size / 2
            at += size + _GAP
    parts = [_arrow(key)]
    parts += [_edge(route, x, y, wide, key) for route in routes]
    parts += [_box(node, x[node.id], y[node.id], wide) for node in nodes]
    words = (
        f"{len(nodes)} things and {len(kept)} steps between them, in {len(columns)} layers. "
        + " ".join(_sentence(node, nodes, kept) for node in nodes if _is_made(node, kept))
    )
    return picture(key, TITLE, words, width, tallest + 8, *parts, least=0.86 * width)


def _size(slot: Slot) -> float:
    return _HIGH if isinstance(slot, str) else _BEND


def _height(column: Sequence[Slot]) -> float:
    return sum(_size(slot) for slot in column) + _GAP * (len(column) - 1)


def _arrow(key: str) -> Markup:
    head = el("path", d="M0 0L8 4L0 8Z", class_="arrow")
    return el(
        "defs",
        el(
            "marker",
            head,
            id=f"{key}-arrow",
            viewBox="0 0 8 8",
            refX=7,
            refY=4,
            markerWidth=7,
            markerHeight=7,
            orient="auto",
        ),
    )


def _edge(
    route: Sequence[Slot], x: dict[Slot, float], y: dict[Slot, float], wide: float, key: str
) -> Markup:
    """A smooth curve; it runs level through its bends and ends at the box's edge."""
    path = f"M{x[route[0]] + wide:.1f} {y[route[0]]:.1f}"
    at, level = x[route[0]] + wide, y[route[0]]
    for i, slot in enumerate(route[1:], start=1):
        to = x[slot] - (2 if i == len(route) - 1 else 0)
        half = (at + to) / 2
        path += f"C{half:.1f} {level:.1f} {half:.1f} {y[slot]:.1f} {to:.1f} {y[slot]:.1f}"
        at, level = x[slot] + wide, y[slot]
        if i < len(route) - 1:
            path += f"H{at:.1f}"
    return el("path", d=path, class_="edge", marker_end=f"url(#{key}-arrow)")


def _box(node: LineageNode, x: float, y: float, wide: float) -> Markup:
    top = y - _HIGH / 2
    words = f"{node.kind}: {node.label}" + (f"\n{node.detail}" if node.detail else "")
    most = int((wide - 20) / 6.7)
    # No element of its own for hover: the group's title must be the only one to answer.
    inside = [
        hover(words),
        rect(x + 0.5, top, wide - 1, _HIGH, "node", rx=5),
        rect(x + 0.5, top, 5, _HIGH, f"kind-{node.kind}", rx=2),
        label(x + 14, top + 15, node.kind.upper(), "start", "kind"),
        label(x + 14, top + 31, node.label, "start", "name", most),
    ]
    if node.detail:
        inside.append(label(x + 14, top + 46, node.detail, "start", "tick", int(most * 1.08)))
    return el("g", *inside)


def _is_made(node: LineageNode, edges: Sequence[LineageEdge]) -> bool:
    return any(edge.target == node.id for edge in edges)


def _sentence(node: LineageNode, nodes: Sequence[LineageNode], edges: Sequence[LineageEdge]) -> str:
    names = {one.id: one.label for one in nodes}
    made_from = ", ".join(names[edge.source] for edge in edges if edge.target == node.id)
    return f"{node.kind} {node.label} comes from {made_from}."
