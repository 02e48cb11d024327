"""Places for a graph drawn in layers, left to right: a decision without a drawing in it."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from raypipe.demo.report.model import LineageEdge, LineageNode

# A node on the page, or a bend: the place where an edge passes a layer it does not stop in.
Slot = str | tuple[str, int]


def forward(nodes: Sequence[LineageNode], edges: Sequence[LineageEdge]) -> list[LineageEdge]:
    """The edges without repeats, loops and those that close a circle, so that layers exist."""
    out: dict[str, list[str]] = {node.id: [] for node in nodes}
    kept: list[LineageEdge] = []

    def reaches(start: str, goal: str) -> bool:
        stack, seen = [start], {start}
        while stack:
            here = stack.pop()
            if here == goal:
                return True
            for one in out[here]:
                if one not in seen:
                    seen.add(one)
                    stack.append(one)
        return False

    for edge in edges:
        if edge.target in out[edge.source] or reaches(edge.target, edge.source):
            continue
        out[edge.source].append(edge.target)
        kept.append(edge)
    return kept


def layer_of(nodes: Sequence[LineageNode], edges: Sequence[LineageEdge]) -> dict[str, int]:
    """The layer of each node: one more than the highest of what it was made from.

    A node that nothing was made into (a source) stands just before the first it feeds.
    """
    made_from: dict[str, list[str]] = {node.id: [] for node in nodes}
    feeds: dict[str, list[str]] = {node.id: [] for node in nodes}
    for edge in edges:
        made_from[edge.target].append(edge.source)
        feeds[edge.source].append(edge.target)
    layers: dict[str, int] = {}
    waiting = {node: len(before) for node, before in made_from.items()}
    ready = [node for node, number in waiting.items() if number == 0]
    while ready:
        node = ready.pop()
        layers[node] = max((layers[one] + 1 for one in made_from[node]), default=0)
        for after in feeds[node]:
            waiting[after] -= 1
            if waiting[after] == 0:
                ready.append(after)
    for node, before in made_from.items():
        if not before and feeds[node]:
            layers[node] = min(layers[one] for one in feeds[node]) - 1
    return layers


def arrange(
    nodes: Sequence[LineageNode], edges: Sequence[LineageEdge], sweeps: int = 6
) -> tuple[list[list[Slot]], list[list[Slot]]]:
    """The slots of each layer from top to bottom, and the slots that each edge passes.

    `edges` must be without a circle (see `forward`). An edge over several layers gets a bend in
    each between, shared by all edges from the same node. Each sweep sorts the layers by the mean
    place of the neighbours; of all orders met the one with the fewest crossings is kept.
    """
    layers = layer_of(nodes, edges)
    columns: list[list[Slot]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for node in nodes:
        columns[layers[node.id]].append(node.id)
    routes: list[list[Slot]] = []
    for edge in edges:
        route: list[Slot] = [edge.source]
        for layer in range(layers[edge.source] + 1, layers[edge.target]):
            bend = (edge.source, layer)
            if bend not in columns[layer]:
                columns[layer].append(bend)
            route.append(bend)
        routes.append([*route, edge.target])
    steps = list(dict.fromkeys(step for route in routes for step in pairwise(route)))
    before: dict[Slot, list[Slot]] = {}
    after: dict[Slot, list[Slot]] = {}
    for one, two in steps:
        after.setdefault(one, []).append(two)
        before.setdefault(two, []).append(one)
    best, fewest = [list(column) for column in columns], crossings(columns, steps)
    for sweep in range(sweeps):
        rightwards = sweep % 2 == 0
        order = range(1, len(columns)) if rightwards else range(len(columns) - 2, -1, -1)
        for layer in order:
            beside = columns[layer - 1] if rightwards else columns[layer + 1]
            _sort(columns[layer], beside, before if rightwards else after)
        if (number := crossings(columns, steps)) < fewest:
            best, fewest = [list(column) for column in columns], number
    return best, routes


def crossings(columns: Sequence[Sequence[Slot]], steps: Collection[tuple[Slot, Slot]]) -> int:
    """How many pairs of steps between neighbouring layers cross."""
    place = {slot: i for column in columns for i, slot in enumerate(column)}
    layer = {slot: i for i, column in enumerate(columns) for slot in column}
    spans = [(layer[one], place[one], place[two]) for one, two in steps]
    return sum(
        a[0] == b[0] and (a[1] - b[1]) * (a[2] - b[2]) < 0 for a, b in combinations(spans, 2)
    )


def _sort(column: list[Slot], beside: list[Slot], neighbours: dict[Slot, list[Slot]]) -> None:
    place = {slot: i / max(len(beside) - 1, 1) for i, slot in enumerate(beside)}
    own = {slot: i / max(len(column) - 1, 1) for i, slot in enumerate(column)}

    def wanted(slot: Slot) -> float:
        near = [place[one] for one in neighbours.get(slot, ()) if one in place]
        return sum(near) / len(near) if near else own[slot]

    column.sort(key=wanted)
