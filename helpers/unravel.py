"""Any residual network as a stem, a list of residual modules and a head.

A model is taken apart by following its forward (`tracing`), or by a list of its parts.  Weights are
shared, and what comes out is checked against the model on the spot (`comparison`).

Blocks that end in a ReLU compute relu(skip(x) + f(x)).  With z the sum before that ReLU, the next
block is z -> skip(relu(z)) + f(relu(z)): Eq 1, with the ReLU at the start of both routes.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from helpers.comparison import attempt, check, undisturbed
from helpers.network import ResidualModule, ResidualNetwork
from helpers.pieces import Parts
from helpers.recording import Whole
from helpers.tracing import ADVICE, traced

ENTRY = "each module is a ResidualModule, a pair (skip, residual), or a residual alone, nn.Modules"


def unravel(
    model: nn.Module,
    images: Tensor,
    stem: nn.Module | None = None,
    modules: Sequence | None = None,
    head: nn.Module | None = None,
    read: Callable | None = None,
) -> ResidualNetwork:
    """`model` as a ResidualNetwork over the same weights, in the same mode; it is not changed.

    Without a list, the model's forward is followed.  Where it adds a branch to a route, and all of
    its data takes the one or the other, there is a residual module; the route with fewer calls is
    its skip connection.  What lies between two modules is at the start of both routes of the
    second: an activation behind the sum, a block without a skip connection.

    With a list, `modules` names the residual modules in order: each a ResidualModule, a pair (skip,
    residual), or a residual alone, whose skip is the identity.  `stem` is what comes before them
    and `head` what comes after, nothing by default.

    `images`: what the model takes, (B, ...), on its device: normalised images (B, C, H, W) of its
    dtype, or tokens (B, T), whole numbers.  `read`: a function from what the model returns to the
    logits (B, classes), where that is no tensor.  The forward is followed, and compared, in eval
    mode: output and gradient of the network must be those of the model, up to rounding.  Sizes
    other than B are those of `images`; where a model goes to another dtype or device, unravel it
    again.  Parts that the model does not hold take over its mode.

    ValueError says which part is not the model's, or fails, or why the model is no residual
    network; TypeError if it is wrapped in another or returns no tensor, or if something in the list
    is no module.
    """
    if modules is None and (stem is not None or head is not None):
        raise TypeError(f"a stem or a head without modules: {ADVICE}")
    if not len(images):
        raise ValueError("no images: expected at least one to compare the outputs for")
    whole, modes = Whole(model, read or as_it_is), {m: m.training for m in model.modules()}
    if modules is None:
        refuse_wrapped(model)
    with undisturbed(images.device, model):
        check_logits(attempt("the model", whole, images.clone()), read)
        if modules is None:
            parts = traced(model, images.clone(), whole.read, modes)
        else:
            parts = listed(stem, modules, head)
    network = ResidualNetwork(parts.stem, parts.modules, parts.head)
    with undisturbed(images.device, model, network):
        check(whole, network, images, parts.names, parts.sums)
    for part in network.modules():
        if part not in modes:
            part.training = model.training
    return network


def as_it_is(output):
    """The output."""
    return output


def listed(stem: nn.Module | None, modules: Sequence, head: nn.Module | None) -> Parts:
    """The caller's list as parts; TypeError if something in it is no module."""
    entries = [entry(i, module) for i, module in enumerate(modules)]
    names = [f"modules[{i}]" for i in range(len(entries))]
    return Parts(stem or nn.Identity(), entries, head or nn.Identity(), names, None)


def entry(index: int, module) -> ResidualModule:
    """An entry of the caller's list as a module; TypeError if it is no such thing."""
    if isinstance(module, ResidualModule):
        return module
    pair = module if isinstance(module, tuple | list) else (nn.Identity(), module)
    if len(pair) != 2 or not all(isinstance(route, nn.Module) for route in pair):
        raise TypeError(f"modules[{index}] is a {type(module).__name__}: {ENTRY}")
    return ResidualModule(*pair)


def refuse_wrapped(model: nn.Module) -> None:
    """TypeError for a model that is another's wrapping: its forward is not that of the model."""
    kind = type(model).__name__
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise TypeError(f"{kind} only runs another model: give that, model.module")
    if hasattr(model, "_orig_mod"):
        raise TypeError(f"{kind} is a compiled model: give the one it was made of, model._orig_mod")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError(f"{kind} is TorchScript: give the model that it was made of")


def check_logits(output, read: Callable | None) -> None:
    """TypeError unless the output, read by `read`, is a tensor of floats."""
    if isinstance(output, Tensor) and output.is_floating_point():
        return
    kind = output.dtype if isinstance(output, Tensor) else f"a {type(output).__name__}"
    if read is not None:
        raise TypeError(f"read returns {kind}: expected the logits, a tensor of floats")
    example = "out.logits" if hasattr(output, "logits") else "out[0]"
    if type(output) is dict:
        example = f"out[{next(iter(output), 'logits')!r}]"
    example = "" if isinstance(output, Tensor) else f", as in read=lambda out: {example}"
    raise TypeError(
        f"the model returns {kind}: expected a tensor of floats; give unravel read=, a function "
        f"from that to the logits{example}"
    )
