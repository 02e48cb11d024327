"""LightGBM's text, looked at before the library reads it.

The library reads trees in several threads, and an error in one of them ends the process; indices
that it reads it follows unchecked. So a text that is not whole is refused here. Pure.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WHOLE = re.compile(r"-?[0-9]{1,10}")
_NUMBER = re.compile(r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?|-?inf")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_NODES = ("split_gain", "internal_value", "internal_weight", "internal_count")
_LEAVES = ("leaf_weight", "leaf_count")
_CATEGORICAL = 1  # a bit of decision_type
_MOST = 10**6
_END = "end of trees\n"


def check_text(text: str) -> None:
    """Refuses what the library could not read, or would read beyond.

    Settings behind the trees are refused, too: models are stored without them.

    Raises:
        ValueError: the text is not whole, or a tree of it is none.
    """
    head, _, trees = text.partition("\n\n")
    first, _, lines = head.partition("\n")
    _need(first == "tree" and not _CONTROL.search(text), "the head")
    values = _values(lines)
    outputs = _one(values, "num_class", 1)
    _need(_one(values, "num_tree_per_iteration", 1) == outputs, "the number of outputs")
    features = _one(values, "max_feature_idx", 0) + 1
    for name in ("feature_names", "feature_infos"):
        _need(len(_words(values, name)) == features, name)
    sizes = _wholes(values, "tree_sizes", 1, len(text))
    _need(len(sizes) % outputs == 0, "the number of trees")
    at, raw = 0, trees.encode()
    for number, size in enumerate(sizes):
        block = raw[at : at + size].decode()
        _need(block.startswith(f"Tree={number}\n") and block.endswith("\n\n"), "where trees begin")
        _check_tree(block, features)
        at += size
    _need(raw[at:].startswith(_END.encode()) and b"\nparameters" not in raw[at:], "the end")


def _check_tree(block: str, features: int) -> None:
    tree = _values(block.rstrip("\n"))
    leaves = _one(tree, "num_leaves", 1)
    categories = _one(tree, "num_cat", 0)
    _need(tree.get("is_linear") == "0", "is_linear")
    _need(_numbers(tree, "leaf_value", leaves) and _numbers(tree, "shrinkage", 1), "leaf_value")
    nodes = leaves - 1
    _need(all(_numbers(tree, name, nodes) for name in ("threshold", *_NODES)), "nodes")
    counts = [len(_words(tree, name)) for name in _LEAVES]
    _need(all(_numbers(tree, n, c) for n, c in zip(_LEAVES, counts, strict=True)), "leaves")
    _need(all(count == leaves or (count == 0 and not nodes) for count in counts), "leaves")
    _need(len(_wholes(tree, "split_feature", 0, features - 1)) == nodes, "split_feature")
    kinds = _wholes(tree, "decision_type", 0, 15)
    _need(len(kinds) == nodes, "decision_type")
    _check_children(tree, nodes)
    bounds: Sequence[int] = [0]
    if categories:
        bounds = _wholes(tree, "cat_boundaries", 0, _MOST)
        _need(len(bounds) == categories + 1 and bounds[0] == 0, "cat_boundaries")
        _need(all(low < high for low, high in pairwise(bounds)), "cat_boundaries")
        _need(len(_wholes(tree, "cat_threshold", 0, 2**32 - 1)) == bounds[-1], "cat_threshold")
    for kind, word in zip(kinds, _words(tree, "threshold"), strict=True):
        if kind & _CATEGORICAL:
            _need(_WHOLE.fullmatch(word) is not None and 0 <= int(word) < categories, "threshold")


def _check_children(tree: Mapping[str, str], nodes: int) -> None:
    """Each node but the first and each leaf hangs below one node that comes before it."""
    seen: set[int] = set()
    for name in ("left_child", "right_child"):
        children = _wholes(tree, name, -nodes - 1, nodes - 1)
        _need(len(children) == nodes, name)
        _need(all(one < 0 or one > node for node, one in enumerate(children)), name)
        seen.update(children)
    _need(len(seen) == 2 * nodes, "children")


def _values(text: str) -> dict[str, str]:
    lines = text.split("\n")
    values = dict(line.partition("=")[::2] for line in lines)
    _need(len(values) == len(lines) and all("=" in line for line in lines), "the lines")
    return values


def _words(values: Mapping[str, str], name: str) -> list[str]:
    _need(name in values, name)
    return values[name].split(" ") if values[name] else []


def _wholes(values: Mapping[str, str], name: str, low: int, high: int) -> list[int]:
    words = _words(values, name)
    _need(all(_WHOLE.fullmatch(word) for word in words), name)
    found = [int(word) for word in words]
    _need(all(low <= one <= high for one in found), name)
    return found


def _one(values: Mapping[str, str], name: str, low: int) -> int:
    found = _wholes(values, name, low, _MOST)
    _need(len(found) == 1, name)
    return found[0]


def _numbers(values: Mapping[str, str], name: str, count: int) -> bool:
    words = _words(values, name)
    return len(words) == count and all(_NUMBER.fullmatch(word) for word in words)


def _need(held: bool, what: str) -> None:
    if not held:
        raise ValueError(f"{what} of a LightGBM model cannot be this")
