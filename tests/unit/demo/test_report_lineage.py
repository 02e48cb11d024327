"""Lineage: any graph gets layers that read from left to right."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from raypipe.demo.report import LineageEdge, LineageNode, charts
from raypipe.demo.report.charts.layers import arrange, crossings, forward, layer_of
from raypipe.demo.report.svg import WIDE

if TYPE_CHECKING:
    from collections.abc import Sequence


def graph(edges: Sequence[tuple[int, int]]) -> tuple[list[LineageNode], list[LineageEdge]]:
    ids = sorted({end for edge in edges for end in edge})
    return (
        [LineageNode(id=str(i), kind="table", label=str(i)) for i in ids],
        [LineageEdge(source=str(a), target=str(b)) for a, b in edges],
    )


GRAPHS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25)


@given(GRAPHS)
def test_any_graph_gets_layers_in_which_edges_go_right(edges: list[tuple[int, int]]) -> None:
    nodes, given_edges = graph(edges)
    kept = forward(nodes, given_edges)
    layers = layer_of(nodes, kept)

    assert set(layers) == {node.id for node in nodes}
    assert min(layers.values()) == 0
    assert all(layers[one.source] < layers[one.target] for one in kept)
    columns, routes = arrange(nodes, kept)
    assert all(columns)
    place = {slot: i for i, column in enumerate(columns) for slot in column}
    for route in routes:
        assert [place[slot] for slot in route] == list(
            range(place[route[0]], place[route[0]] + len(route))
        )


@given(GRAPHS)
def test_edges_without_a_circle_are_all_kept(edges: list[tuple[int, int]]) -> None:
    rising = [(a, b) for a, b in edges if a < b] or [(0, 1)]

    assert len(forward(*graph(rising))) == len(set(rising))


def test_crossed_edges_are_uncrossed() -> None:
    nodes, edges = graph([(0, 3), (1, 2), (2, 4), (3, 5)])
    columns, routes = arrange(nodes, edges)
    steps = [step for route in routes for step in pairwise(route)]

    assert crossings([["0", "1"], ["2", "3"], ["4", "5"]], steps) == 1
    assert crossings(columns, steps) == 0


def test_a_long_lineage_grows_wider_and_boxes_do_not_overlap() -> None:
    nodes, edges = graph([(i, i + 1) for i in range(12)])
    root = ElementTree.fromstring(charts.lineage_graph(nodes, edges, key="k", width=WIDE))
    boxes = [one for one in root.iter() if one.get("class") == "node"]

    assert int(root.get("width") or 0) > WIDE
    lefts = sorted(float(one.get("x") or 0) for one in boxes)
    wide = float(boxes[0].get("width") or 0)
    assert all(b - a > wide for a, b in pairwise(lefts))
    assert "table 1 comes from 0." in (root[1].text or "")
