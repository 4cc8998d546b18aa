"""A model's forward as a graph of the calls it makes, with the value of each.

torch.fx records; every call is also carried out for the given input, so that a forward may look at
shapes and values, and so that some things are known of each call, in `node.meta`:

- `value`: what it returned;
- `live`: whether what it returned depends on the input, and not merely on its shape;
- `overwrites`: whether it works in place, on its first argument;
- `shares`: the value in whose memory it leaves its own, or None;
- `own`: the model's parameter, buffer or module that it is, or None.

What is written in place is recorded as a new value: whoever reads the old one later reads that.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate, map_arg
from torch.overrides import TorchFunctionMode


class OverwritesInput(Exception):
    """`module` writes to its input and returns something else: only its own calls tell what."""

    def __init__(self, module: nn.Module | None, name: str):
        super().__init__(f"{name} overwrites its input")
        self.module, self.name = module, name


class Whole(nn.Module):
    """`model` as a function of one tensor that returns one tensor, which `read` finds."""

    def __init__(self, model: nn.Module, read: Callable):
        super().__init__()
        self.model, self.read = model, read

    def forward(self, x: Tensor) -> Tensor:
        # A language model's cache of earlier tokens is no part of what it computes.
        cached = "use_cache" in inspect.signature(self.model.forward).parameters
        return self.read(self.model(x, use_cache=False) if cached else self.model(x))


class Known(fx.Proxy):
    """A recorded value that can be looked at: for a condition, a loop, a size."""

    @property
    def value(self):
        """What the call returned."""
        return self.node.meta["value"]

    def __getattr__(self, name: str):
        found = getattr(self.value, name)
        if callable(found):
            return super().__getattr__(name)
        if isinstance(found, Tensor | tuple | list):
            return unpacked(self.tracer.create_proxy("call_function", getattr, (self, name), {}))
        return found

    def __bool__(self) -> bool:
        return bool(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __index__(self) -> int:
        return self.value.__index__()

    def __float__(self) -> float:
        return float(self.value)

    def __iter__(self) -> Iterator:
        return iter([self[i] for i in range(len(self.value))])


class WithSizes(TorchFunctionMode):
    """Records also the functions that take no tensor but a recorded size: `torch.arange(n)`."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = []
        map_aggregate((args, kwargs or {}), lambda a: found.append(isinstance(a, fx.Proxy)))
        if any(found):
            return Known.__torch_function__(func, types, args, kwargs)
        return func(*args, **kwargs or {})


class Recorder(fx.Tracer):
    """Records the calls that the `opened` modules make; every other module is one call."""

    proxy_buffer_attributes = True

    def __init__(self, opened: set[nn.Module]):
        super().__init__()
        self.opened, self.busy = opened, False
        # A value that was overwritten -> the call that did it.
        self.now: dict[fx.Node, fx.Node] = {}

    def record(self, model: nn.Module, x: Tensor, read: Callable) -> fx.Graph:
        """The graph of read(model(x)).  Raises what the forward raises, and OverwritesInput."""
        self.x = x
        with torch.enable_grad(), WithSizes():
            return self.trace(Whole(model, read))

    def proxy(self, node: fx.Node) -> Known:
        """What stands for a call's value while the forward runs."""
        return Known(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one call."""
        return m not in self.opened

    def call_module(self, m: nn.Module, forward: Callable, args: tuple, kwargs: dict):
        """A module's call: carried out, gone into or recorded."""
        if self.busy:
            return forward(*args, **kwargs)
        if m in self.opened:
            # Past its hooks: they would get to see proxies.
            def forward(*args, **kwargs):
                return m.forward(*args, **kwargs)

        return unpacked(super().call_module(m, forward, args, kwargs))

    def getattr(self, attr: str, attr_val, parameter_proxy_cache: dict):
        """A parameter or buffer, read from a module."""
        if self.busy:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_node(self, kind: str, target, args: tuple, kwargs: dict, *rest, **named) -> fx.Node:
        """A recorded call, carried out."""
        args, kwargs = map_arg((args, kwargs), self.latest)
        node = super().create_node(kind, target, args, kwargs, *rest, **named)
        node.meta |= {"live": False, "overwrites": False, "shares": None, "own": None}
        if kind == "placeholder":
            node.meta |= {"value": kept(self.x, True), "live": True}
        elif kind == "get_attr":
            node.meta |= {"value": self.found(target).detach(), "own": self.found(target)}
        elif kind != "output":
            self.carry_out(node)
        return node

    def latest(self, node: fx.Node) -> fx.Node:
        """What is there now of a value that may have been overwritten."""
        while node in self.now:
            node = self.now[node]
        return node

    def found(self, target: str):
        """A parameter, buffer or module of the model by its name."""
        with self.at_work():
            found = self.root
            for name in target.split("."):
                found = getattr(found, name)
        return found

    def carry_out(self, node: fx.Node) -> None:
        """Fill in a call's meta.  Raises OverwritesInput."""
        # Copies, so that one call cannot write into what others get.
        given = {
            n: map_tensors(lambda t: t.clone() if t.requires_grad else t, n.meta["value"])
            for n in node.all_input_nodes
        }
        args, kwargs = map_arg((node.args, node.kwargs), given.get)
        with self.at_work():
            if node.op == "call_module":
                own = node.meta["own"] = self.found(node.target)
                value = own(*args, **kwargs)
            elif node.op == "call_method":
                value = getattr(args[0], node.target)(*args[1:], **kwargs)
            else:
                value = node.target(*args, **kwargs)
        inputs = [n for n in node.all_input_nodes if n.meta["live"]]
        # What comes from whole numbers, and whole numbers, depend on the input without gradients.
        whole = any(not t.requires_grad for n in inputs for t in tensors(n.meta["value"]))
        live = bool(inputs) and any(
            whole or t.requires_grad or not t.is_floating_point() for t in tensors(value)
        )
        written = [n for n in inputs if any(t._version for t in tensors(given[n]))]
        for n in written:
            if given[n] is not value:
                raise OverwritesInput(node.meta["own"], str(node.target).removeprefix("model."))
            same = [m for m in in_memory_of(n) if m.meta["value"].shape == given[n].shape]
            self.now |= dict.fromkeys(same, node)
        node.meta |= {"live": live, "overwrites": bool(written)}
        node.meta["shares"] = next((n for n in inputs if share_memory(given[n], value)), None)
        node.meta["value"] = map_tensors(lambda t: kept(t, live), value)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While a call is carried out, nothing is recorded."""
        before, self.busy = self.busy, True
        try:
            yield
        finally:
            self.busy = before


def unpacked(result):
    """A recorded tuple or list as one of recorded entries: a forward may ask what it is."""
    if isinstance(result, Known) and type(result.value) in (tuple, list):
        kind = type(result.value)
        return kind(None if v is None else unpacked(result[i]) for i, v in enumerate(result.value))
    return result


def in_memory_of(node: fx.Node | None) -> list[fx.Node]:
    """A value, the one in whose memory it is, and so on."""
    found = []
    while node is not None:
        found.append(node)
        node = node.meta["shares"]
    return found


def share_memory(a, b) -> bool:
    """Whether two values are tensors over the same memory."""
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return False
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr() != 0


def kept(t: Tensor, live: bool) -> Tensor:
    """A tensor without its history, marked by `requires_grad` if it is live."""
    return t.detach().requires_grad_(live and t.is_floating_point())


def tensors(value) -> list[Tensor]:
    """All tensors in a nest of tuples, lists and dicts."""
    found = []
    map_tensors(found.append, value)
    return found


def map_tensors(function: Callable, value):
    """`value` with the function applied to each tensor in it."""
    if isinstance(value, Tensor):
        return function(value)
    if type(value) in (tuple, list):
        return type(value)(map_tensors(function, v) for v in value)
    if isinstance(value, dict):
        # Also one of a kind of its own, as language models return it.
        value = copy.copy(value)
        for key in value:
            value[key] = map_tensors(function, value[key])
    return value
