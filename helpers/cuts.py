"""Where a recorded forward can be cut, and where it adds two routes.

A cut is a value that everything on its way from the input to the output passes through.  Where an
addition brings the routes between two neighbouring cuts together, these are a residual module: the
routes are what leads to either side of the addition, the one with fewer calls is the skip
connection.
"""

import operator
from typing import NamedTuple

import torch
from torch import Tensor, fx

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")


class Sum(NamedTuple):
    """Where a model adds two routes: the cut before, the end of either route, the sum."""

    start: fx.Node
    skip: fx.Node
    residual: fx.Node
    end: fx.Node


def ends(graph: fx.Graph) -> tuple[fx.Node, fx.Node]:
    """The input of a graph and what it returns."""
    *_, output = graph.nodes
    return next(iter(graph.nodes)), output.args[0]


def between(start: fx.Node, end: fx.Node) -> list[fx.Node]:
    """The live nodes that lead from `start`, which is left out, to `end`, in order."""
    found, left = set(), [end]
    while left:
        node = left.pop()
        if node is not start and node not in found:
            found.add(node)
            left += [n for n in node.all_input_nodes if n.meta["live"]]
    return [node for node in end.graph.nodes if node in found]


def cuts(start: fx.Node, end: fx.Node) -> list[fx.Node]:
    """The tensors that all of the way from `start` to `end` passes through, both included."""
    return [node for node in narrows(start, end) if isinstance(node.meta["value"], Tensor)]


def narrows(start: fx.Node, end: fx.Node) -> list[fx.Node]:
    """The same with what is no tensor: tuples, for instance."""
    way = [start, *between(start, end)]
    place = {node: i for i, node in enumerate(way)}
    found, reach = [], 0
    for i, node in enumerate(way):
        # Nothing from further up is used further down.
        if reach <= i:
            found.append(node)
        reach = max([reach, *(place.get(user, 0) for user in node.users)])
    return found


def sums(graph: fx.Graph) -> list[Sum]:
    """Where a recorded forward adds two routes, in order."""
    found, at = [], cuts(*ends(graph))
    for start, end in zip(at, at[1:], strict=False):
        sides = [a for a in end.args if isinstance(a, fx.Node) and a.meta["live"]]
        if end.target in ADDITIONS and not end.kwargs and len(set(sides)) == 2:
            shapes = {tuple(side.meta["value"].shape) for side in sides}
            if len(shapes) == 1:
                skip, residual = sorted(sides, key=lambda side: effort(start, side))
                found.append(Sum(start, skip, residual, end))
    return found


def effort(start: fx.Node, end: fx.Node) -> tuple[int, int]:
    """How many calls, each layer of a module counted, and how many weights lead to `end`."""
    way = between(start, end)
    modules = [node.meta["own"] for node in way if node.op == "call_module"]
    layers = [part for m in modules for part in m.modules() if not list(part.children())]
    weights = sum(p.numel() for m in modules for p in m.parameters())
    return len(way) - len(modules) + len(layers), weights


def place_of(node: fx.Node) -> str:
    """The innermost module of the model in whose forward a call is made."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return stack[-1][0].removeprefix("model").removeprefix(".")
