"""A recorded forward as modules over the weights of its model: a stem, residual modules, a head.

Calls between two modules join the start of both routes of the next: so the ReLU behind a sum, and
so a block without a skip connection.
"""

import copy
import inspect
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.nn import functional as F

from helpers.cuts import Sum, between, cuts, ends, place_of
from helpers.network import ResidualModule, SharedStart
from helpers.recording import in_memory_of, tensors

RELUS = (F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_")
POOLS = (nn.MaxPool2d, nn.Identity)


class Parts(NamedTuple):
    """A model in parts, what the modules are called in errors, and what each returned in the model,
    where that is known."""

    stem: nn.Module
    modules: list[ResidualModule]
    head: nn.Module
    names: list[str]
    sums: list[Tensor] | None


def in_parts(graph: fx.Graph, found: list[Sum]) -> Parts:
    """A recorded forward as modules over the weights of its model."""
    first, last = ends(graph)
    stem, before, modules = layers(first, found[0].start), found[0].start, []
    for one in found:
        routes = [layers(one.start, one.skip), layers(one.start, one.residual)]
        modules.append((layers(before, one.start), *routes))
        before = one.end
    activation_to_modules(stem, [start for start, _, _ in modules])
    return Parts(
        chain(stem),
        [joined(*lists) for lists in modules],
        chain(layers(before, last)),
        [f"module {i}, in {place_of(one.end)}" for i, one in enumerate(found)],
        [one.end.meta["value"].detach() for one in found],
    )


def activation_to_modules(stem: list[nn.Module], starts: list[list[nn.Module]]) -> None:
    """Where modules begin with the ReLU behind the sum before, the stem's last ReLU becomes the
    first module's, also from in front of max pooling, with which it commutes: modules of one shape
    are then alike, and may trade places."""
    last = next((i for i in reversed(range(len(stem))) if type(stem[i]) not in POOLS), None)
    alike = any([type(layer) for layer in start] == [nn.ReLU] for start in starts)
    if alike and not starts[0] and last is not None and type(stem[last]) is nn.ReLU:
        starts[0].append(nn.ReLU())
        del stem[last]


def joined(start: list, skip: list, residual: list) -> ResidualModule:
    """The residual module of the layers at the start of both routes and those of each."""
    if all(type(layer) is nn.ReLU for layer in start):
        return ResidualModule(chain(start + skip), chain(start + residual))
    return SharedStart(chain(start), chain(skip), chain(residual))


def chain(parts: list[nn.Module]) -> nn.Module:
    """Modules one after the other."""
    if len(parts) == 1:
        return parts[0]
    return nn.Sequential(*parts) if parts else nn.Identity()


def layers(start: fx.Node, end: fx.Node) -> list[nn.Module]:
    """What leads from one value to another, as modules one after the other: the model's own, where
    it calls them so, and a GraphModule for any other calls."""
    parts, opened, at = [], None, cuts(start, end)
    for before, node in zip(at, at[1:], strict=False):
        own = as_module(node) if node.all_input_nodes == [before] else None
        # The value in front of a route is the other route's, too.
        if own is not None and node.meta["overwrites"] and start in in_memory_of(before):
            own = out_of_place(own)
        if own is None:
            opened = opened or before
            continue
        if opened:
            parts.append(piece(opened, before))
            opened = None
        if type(own) is not nn.Identity:
            parts.append(own)
    return [*parts, piece(opened, end)] if opened else parts


def as_module(node: fx.Node) -> nn.Module | None:
    """The module that does what a call does with its first argument; None if there is none."""
    if node.op == "call_module":
        return node.meta["own"] if len(node.args) == 1 and not node.kwargs else None
    if node.target in RELUS:
        return nn.ReLU()
    if node.target in (torch.flatten, "flatten"):
        return nn.Flatten(*node.args[1:], **node.kwargs) if len(node.args) > 1 else None
    if node.target is F.dropout:
        # It follows the mode, which the forward has asked for.
        return nn.Dropout(bound(node)["p"])
    return None


def bound(node: fx.Node) -> dict:
    """The arguments of a function's call by their names."""
    given = inspect.signature(node.target).bind(*node.args, **node.kwargs)
    given.apply_defaults()
    return given.arguments


def out_of_place(own: nn.Module) -> nn.Module | None:
    """A layer like `own`, over its weights, that leaves its input alone; None if unknown how."""
    if type(own) is nn.ReLU:
        return nn.ReLU()
    if not hasattr(own, "inplace") or list(own.children()):
        return None
    own = copy.copy(own)
    own.inplace = False
    return own


def piece(start: fx.Node, end: fx.Node) -> fx.GraphModule:
    """The calls from one value to another as a module over the weights of the model.

    What does not depend on the input, such as position encodings, is worked out within.
    """
    graph, held, new, way = fx.Graph(), {}, {}, {start, *between(start, end)}
    x, shape = graph.placeholder("x"), start.meta["value"].shape
    new[start] = x

    def size(d: int, n: int):
        return graph.call_method("size", (x, d)) if d < len(shape) and shape[d] == n else n

    def from_above(node: fx.Node):
        """A value that does not lie on the way: of use can only have been its shape."""
        value = node.meta["value"]
        if isinstance(value, torch.Size):
            return tuple(size(d, n) for d, n in enumerate(value))
        if isinstance(value, int) and node.target == "size":
            return size(node.args[1], value)
        if not isinstance(value, Tensor):
            return value
        if value.shape != shape:
            raise ValueError(f"{place_of(end)} takes a value from further up the model")
        return x

    def rebuilt(node: fx.Node):
        if node not in new:
            new[node] = copied(node)
        return new[node]

    def copied(node: fx.Node):
        away = [n for n in node.all_input_nodes if n.meta["live"] and n not in way]
        if node.meta["live"] and node not in way or away and not tensors(node.meta["value"]):
            return from_above(node)
        args, kwargs = map_arg((node.args, node.kwargs), rebuilt)
        op, target, own = node.op, node.target, node.meta["own"]
        if target is F.dropout:
            op, target, own, args, kwargs = "call_module", node.name, as_module(node), args[:1], {}
        if own is not None:
            target = target.removeprefix("model.")
            held[target] = own
        if node.meta["overwrites"] and start in in_memory_of(node.args[0]):
            args = (graph.call_method("clone", args[:1]), *args[1:])
        return graph.create_node(op, target, args, kwargs)

    for node in between(start, end):
        rebuilt(node)
    graph.output(new[end])
    return fx.GraphModule(held, graph)
