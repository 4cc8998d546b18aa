"""Whether a network of parts computes what the model does that it was made of: outputs, the sum of
each module, gradients, and all of it for another number of images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from helpers.eval_mode import in_eval_mode
from helpers.network import ResidualNetwork

HINTS = (
    "is a layer missing, out of order, hooked or patched?  A ReLU behind a sum belongs in front of "
    "both routes of the next module"
)


@contextmanager
def undisturbed(device: torch.device, *networks: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients; afterwards all modes, buffers and random states are as before."""
    buffers = [(b, b.clone()) for network in networks for b in network.buffers()]
    devices = [device] if device.type == "cuda" else []
    random = torch.random.fork_rng(devices)
    with random, in_eval_mode(*networks), torch.inference_mode(False), torch.no_grad():
        try:
            yield
        finally:
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def check(
    model: Callable,
    network: ResidualNetwork,
    images: Tensor,
    names: Sequence[str],
    sums: Sequence[Tensor] | None = None,
) -> None:
    """ValueError unless `network` computes what `model` does, up to rounding, in both directions.

    `model`: from `images` to logits; `names`: what the modules are called in an error; `sums`: what
    each must return, where that is known.
    """
    weights = list(network.parameters())
    with differentiable(images, weights) as (x, at):
        expected = run("the model", model, x.clone())
        g = gradient(expected, at)
        # A copy, so that a part that works in place cannot reach the caller's images.
        y = run("stem", network.stem, x.clone())
        for i, (name, module) in enumerate(zip(names, network.blocks, strict=True)):
            y = run(name, module, y)
            if sums is not None and (wrong := difference("output", y, sums[i])):
                raise ValueError(f"{name} is not skip + residual: {wrong}")
        y = run("head", network.head, y)
        if wrong := difference("output", y, expected):
            raise ValueError(f"the parts do not make up the model: {wrong}; {HINTS}")
        if sums is None and not expected.any():
            raise ValueError(
                "the model's output is zero, which checks nothing: give its head weights"
            )
        for mine, own in zip(gradient(y, at), g, strict=True):
            if wrong := difference("gradient", mine, own, scale=max(map(largest, g))):
                raise ValueError(f"the parts do not make up the model: {wrong}; {CUT_OFF}")
    if sums is not None:
        check_other_number(model, network, images)


CUT_OFF = "is part of its forward in torch.no_grad(), or is something detached?"


def check_other_number(model: Callable, network: ResidualNetwork, images: Tensor) -> None:
    """ValueError unless outputs are also equal for one image, or for two where one was given."""
    other = images[:1] if len(images) > 1 else torch.cat([images, images])
    expected = run("the model", model, other.clone())
    name = f"followed for {len(images)} images, the network"
    if wrong := difference("output", run(name, network, other.clone()), expected):
        raise ValueError(f"{name} is another for {len(other)}: {wrong}")


@contextmanager
def differentiable(images: Tensor, weights: list[Tensor]) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """The images, and what to take gradients at: them, or for whole numbers the weights."""
    frozen = [] if images.is_floating_point() else [w for w in weights if not w.requires_grad]
    x = images.detach().clone()
    if images.is_floating_point():
        weights = [x.requires_grad_()]
    try:
        for w in frozen:
            w.requires_grad_()
        with torch.enable_grad():
            yield x, weights
    finally:
        for w in frozen:
            w.requires_grad_(False)


def gradient(y: Tensor, at: list[Tensor]) -> tuple[Tensor, ...]:
    """The gradient of a sum of the outputs in which no two count alike."""
    if not y.requires_grad:
        return tuple(torch.zeros_like(x) for x in at)
    weights = torch.linspace(0.5, 1.5, y.numel(), device=y.device).to(y.dtype).view_as(y)
    return torch.autograd.grad(y, at, weights, materialize_grads=True)


def attempt(name: str, part: Callable, x: Tensor):
    """part(x); ValueError with the part's name if that fails."""
    about = f"{tuple(x.shape)} {x.dtype} on {x.device}"
    try:
        return part(x)
    except Exception as error:
        raise ValueError(f"{name} fails on {about}: {type(error).__name__}: {error}") from error


def run(name: str, part: Callable, x: Tensor) -> Tensor:
    """part(x); ValueError with the part's name if that fails, is no tensor or changes x itself."""
    version, y = x._version, attempt(name, part, x)
    if not isinstance(y, Tensor) or not y.is_floating_point():
        raise ValueError(f"{name} returns a {type(y).__name__}: expected a tensor of floats")
    if x._version != version:
        raise ValueError(f"{name} overwrites its input, which others need: use inplace=False")
    return y


def difference(what: str, found: Tensor, expected: Tensor, scale: float | None = None) -> str:
    """How `found` differs from `expected`, in words; empty if by no more than rounding, for values
    as large as `scale`, by default the largest expected."""
    mine, own = (f"{tuple(y.shape)} {y.dtype}" for y in (found, expected))
    if mine != own:
        return f"{what} {mine}, the model's is {own}"
    if torch.equal(found, expected):
        return ""
    off, scale = largest(found - expected), largest(expected) if scale is None else scale
    # Equal bits are the rule.  Other kernels may round otherwise, in each of some hundred layers.
    if off <= min(1000 * torch.finfo(expected.dtype).eps, 0.05) * scale:
        return ""
    return f"{what} differs by {off:.2g} where the model's largest is {scale:.2g}"


def largest(x: Tensor) -> float:
    """The largest absolute value."""
    return x.detach().abs().max().item() if x.numel() else 0.0
