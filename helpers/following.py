"""Which modules of a model its recorded forward leads into: those on whose way routes are added."""

from collections.abc import Callable

from torch import Tensor, fx, nn

from helpers.cuts import Parts, Sum, cuts, ends, in_parts, sums
from helpers.modes import in_eval_mode
from helpers.tracing import OverwritesInput, Recorder


def followed(model: nn.Module, x: Tensor, read: Callable) -> Parts:
    """`model` in parts."""
    opened, failed = {model}, {}

    def record() -> fx.Graph:
        while True:
            try:
                return Recorder(opened).record(model, x, read)
            except OverwritesInput as error:
                if error.module is None or error.module in opened or not can_open(error.module):
                    raise
                opened.add(error.module)

    graph = record()
    while True:
        kinds = {}
        for m in on_the_way(graph):
            if can_open(m) and m not in opened and m not in failed:
                kinds.setdefault(type(m), set()).add(m)
        if not kinds:
            break
        for same in kinds.values():
            before = set(opened)
            opened |= same
            try:
                graph = record()
            except Exception as error:
                opened = before
                failed |= dict.fromkeys(same, error)
    found = sums(graph)
    print({type(m).__name__: repr(e)[:150] for m, e in failed.items()})
    if not found:
        raise ValueError("no")
    return in_parts(graph, found)


def on_the_way(graph: fx.Graph) -> list[nn.Module]:
    """The modules that all of the way passes through."""
    at = cuts(*ends(graph))
    return [node.meta["own"] for node in at if node.op == "call_module"]


def can_open(m: nn.Module) -> bool:
    """Whether a module's own calls could be recorded: PyTorch's layers are one call each."""
    return bool(list(m.children())) or not type(m).__module__.startswith("torch.nn.")
