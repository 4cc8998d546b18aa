"""A residual network taken apart by following its forward.

At first the model's own forward is recorded, each of its modules as one call.  The modules that all
of the data passes through are opened in their turn, their calls recorded in place of theirs, until
there is nothing more to open; those that do more than call modules one by one, and in which no two
routes are added, are closed again.  So a branch is made of the model's modules as they are, however
they compute what they do.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from helpers.cuts import ends, narrows, sums
from helpers.pieces import Parts, as_module, bound, in_parts
from helpers.recording import OverwritesInput, Recorder

CONCATENATIONS = (torch.cat, torch.concat, torch.concatenate)
ADVICE = "give the model's parts: unravel(model, images, stem=..., modules=[...], head=...)"


def traced(model: nn.Module, x: Tensor, read: Callable, modes: dict[nn.Module, bool]) -> Parts:
    """`model`, in eval mode, in parts: read(model(x)), for x as the model takes it, (B, ...).

    `modes`: which of its modules are to be in train mode.  ValueError says why there are no parts:
    no additions, hooks that these would leave out, calls that differ in train mode, or a forward
    that could not be followed.  A warning names a module that could not be.
    """
    kind, names = type(model).__name__, {part: name for name, part in model.named_modules()}
    try:
        graph, opened, failed = opened_up(model, x, read)
        joined = concatenates(graph)
        opened = worth_opening(model, graph, opened)
        graph = record(model, x, read, opened)
    except Exception as error:
        raise ValueError(f"{kind} could not be followed: {in_words(error)}; {ADVICE}") from error
    lost = [
        f"{names[m]}, a {type(m).__name__}, could not be followed: {in_words(error)}"
        for m, error in failed.items()
        if m in on_the_way(graph)
    ]
    if not sums(graph):
        why = "its routes meet in concatenations, not in additions"
        if not joined:
            why = "no two routes that together carry all of its data are added"
        more = f"; {lost[0]}; {ADVICE}" if lost else ""
        raise ValueError(f"{kind} is no residual network: {why}{more}")
    for message in lost:
        warnings.warn(f"{message}; additions in it are not seen", stacklevel=3)
    for m in filter(has_hooks, opened):
        name = names[m] or kind
        raise ValueError(
            f"{name} has hooks, which a network of its parts would not run: remove them"
        )
    if not same_in_modes(model, x, read, opened, modes, graph):
        raise ValueError(f"{kind} makes other calls in train mode: call model.eval() first")
    return in_parts(graph, sums(graph))


def same_in_modes(
    model: nn.Module,
    x: Tensor,
    read: Callable,
    opened: set[nn.Module],
    modes: dict[nn.Module, bool],
    graph: fx.Graph,
) -> bool:
    """Whether the opened modules make the calls of `graph` in the modes that they are to be in."""
    if not any(modes[m] for m in opened):
        return True
    for m in opened:
        m.training = modes[m]
    try:
        return calls(record(model, x, read, set(opened))) == calls(graph)
    except Exception:
        return False


def opened_up(
    model: nn.Module, x: Tensor, read: Callable
) -> tuple[fx.Graph, set[nn.Module], dict[nn.Module, Exception]]:
    """The calls of a model, the modules that these are the calls of, and why others could not be
    opened."""
    opened, failed = {model}, {}
    graph = record(model, x, read, opened)
    while new := [m for m in on_the_way(graph) if can_open(m) and m not in failed]:
        # Those of one kind at once: mostly all of them can be opened, or none.
        kinds = dict.fromkeys(map(type, new))
        left = [[m for m in new if type(m) is kind] for kind in kinds]
        while left:
            alike = left.pop()
            try:
                wider = opened | {*alike}
                graph, opened = record(model, x, read, wider), wider
            except Exception as error:
                left += [[m] for m in alike] if len(alike) > 1 else []
                failed |= {alike[0]: error} if len(alike) == 1 else {}
    return graph, opened, failed


def worth_opening(model: nn.Module, graph: fx.Graph, opened: set[nn.Module]) -> set[nn.Module]:
    """Those of the opened modules in which routes are added, and those that only call modules one
    by one."""
    ends_of = {one.end for one in sums(graph)}
    around, chains = {model}, {m for m in opened if not has_hooks(m)}
    for node in graph.nodes:
        if node.op not in ("placeholder", "output"):
            within = modules_around(model, node)
            if node in ends_of:
                around.update(within)
            if as_module(node) is None:
                chains.difference_update(within)
    return around | chains


def record(model: nn.Module, x: Tensor, read: Callable, opened: set[nn.Module]) -> fx.Graph:
    """The calls of the `opened` modules, to which those are added that write to their input: it is
    their calls that tell what others then read."""
    while True:
        try:
            return Recorder(opened).record(model, x, read)
        except OverwritesInput as error:
            if error.module in opened or error.module is None or not can_open(error.module):
                raise
            opened.add(error.module)


def on_the_way(graph: fx.Graph) -> list[nn.Module]:
    """The modules whose output all of the data passes through."""
    return [node.meta["own"] for node in narrows(*ends(graph)) if node.op == "call_module"]


def can_open(m: nn.Module) -> bool:
    """Whether a module's own calls may be recorded: PyTorch's layers are one call each."""
    return bool(list(m.children())) or not type(m).__module__.startswith("torch.nn.")


def has_hooks(m: nn.Module) -> bool:
    """Whether something runs with a module that is not in its forward."""
    hooks = (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)
    return any(hooks)


def modules_around(model: nn.Module, node: fx.Node) -> list[nn.Module]:
    """The modules of the model in whose forwards a call is made, the outermost first."""
    stack = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
    return [model.get_submodule(name.removeprefix("model").removeprefix(".")) for name in stack]


def concatenates(graph: fx.Graph) -> bool:
    """Whether values that depend on the input are concatenated."""
    return any(
        node.target in CONCATENATIONS and sum(n.meta["live"] for n in node.all_input_nodes) > 1
        for node in graph.nodes
    )


def calls(graph: fx.Graph) -> list[tuple]:
    """What is called with what, the mode that a dropout function is told left out: in the network
    it is a layer, which follows the mode."""
    return [
        (node.op, node.target, str(node.args[:1]), bound(node)["p"])
        if node.target is F.dropout
        else (node.op, node.target, str(node.args), str(node.kwargs))
        for node in graph.nodes
    ]


def in_words(error: Exception) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
