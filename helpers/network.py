"""Networks as a stem, a flat list of modules and a head.

Eq 1 of the paper is `ResidualModule.forward`.  Every network of this project is such a list, so
that a lesion is a new list over the same weights, and a path is a choice of route at each entry.
"""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResidualModule(nn.Module):
    """Eq 1: y_i = f_i(y_{i-1}) + y_{i-1}; `skip` is the identity unless the module downsamples."""

    def __init__(self, skip: nn.Module, residual: nn.Module):
        super().__init__()
        self.skip = skip
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.residual(x)


class SharedPreActivation(ResidualModule):
    """A residual module whose skip connection begins behind the same pre-activation as its residual
    (Eq 1 for the activated input).

    `residual`: its first two layers, batch norm and ReLU, are the pre-activation; `skip`: what
    follows them on the other route.  Both routes hold these layers: each is whole on its own.
    """

    skip: nn.Sequential
    residual: nn.Sequential

    def __init__(self, skip: nn.Module, residual: nn.Sequential):
        super().__init__(nn.Sequential(*list(residual)[:2], skip), residual)

    def forward(self, x: Tensor) -> Tensor:
        # Once: in training, batch norm would otherwise count each batch twice.
        x = self.skip[:2](x)
        return self.skip[2:](x) + self.residual[2:](x)


class PlainLayer(nn.Module):
    """A layer with no skip connection, Eq 7: y_i = f_i(y_{i-1}).

    `skip` is what is left when the layer is deleted: the identity, or the pooling before it.
    """

    def __init__(self, skip: nn.Module, layer: nn.Module):
        super().__init__()
        self.skip = skip
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.skip(x))


class HighwayModule(nn.Module):
    """Eq 3: y = f(x) t(x) + x (1 - t(x)), with `gate` giving t(x) in [0, 1].

    `skip` stands for x where the module changes the shape.
    """

    def __init__(self, transform: nn.Module, gate: nn.Module, skip: nn.Module | None = None):
        super().__init__()
        self.skip = nn.Identity() if skip is None else skip
        self.transform = transform
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        t = self.gate(x)
        # With a gate almost closed, 16 bits would lose what it lets through beside the rest.
        t = t.to(torch.promote_types(t.dtype, torch.float32))
        return self.transform(x) * t + self.skip(x) * (1 - t)


class Network(nn.Module):
    """A stem, modules applied one after the other (`blocks`), a head: images (B, C, H, W) in,
    logits (B, classes) out."""

    def __init__(self, stem: nn.Module, blocks: Iterable[nn.Module], head: nn.Module):
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(blocks)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def with_blocks(self, blocks: Iterable[nn.Module]) -> Self:
        """A network of the same type, stem, head and mode around other blocks; weights are shared,
        not copied."""
        view = type(self)(self.stem, blocks, self.head)
        # train() would also reach into the shared modules; the view only takes over the flag.
        view.training = self.training
        return view


class ResidualNetwork(Network):
    """A `Network` of residual modules: 2^n paths.  A deleted module leaves its skip connection."""


class Subsample(nn.Module):
    """Parameter-free shortcut at downsampling ("option A", He et al. 2015): every second pixel,
    zeros for the new channels."""

    def __init__(self, new_channels: int):
        super().__init__()
        self.new_channels = new_channels

    def forward(self, x: Tensor) -> Tensor:
        # (B, C, H, W) -> (B, C + new, H/2, W/2).  The mean over one pixel is that pixel; slicing
        # would hand back gradients that have lost the layout with channels last.
        return F.pad(F.avg_pool2d(x, 1, stride=2), (0, 0, 0, 0, 0, self.new_channels))


class Scaled(nn.Module):
    """`factor` times what `module` returns."""

    def __init__(self, module: nn.Module, factor: float):
        super().__init__()
        self.module = module
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x) * self.factor


def scale_residuals(network: ResidualNetwork, factors: list[float]) -> ResidualNetwork:
    """A view whose i-th residual is multiplied by factors[i]: the test-time rule of stochastic
    depth (Huang et al. 2016).

    ValueError unless there is one factor a module; TypeError for a module that is not residual,
    such as one deleted before.

    >>> module = ResidualModule(nn.Identity(), nn.ReLU())
    >>> network = ResidualNetwork(nn.Identity(), [module], nn.Identity())
    >>> scale_residuals(network, [0.5])(torch.ones(1, 1))
    tensor([[1.5000]])
    """
    if len(factors) != len(network.blocks):
        raise ValueError(f"{len(factors)} factors for {len(network.blocks)} modules")
    scaled = []
    for i, (block, factor) in enumerate(zip(network.blocks, factors, strict=True)):
        if not isinstance(block, ResidualModule):
            raise TypeError(f"module {i} is a {type(block).__name__}: expected a ResidualModule")
        scaled.append(ResidualModule(block.skip, Scaled(block.residual, factor)))
    return network.with_blocks(scaled)


def is_a(kind: type[nn.Module], module: nn.Module) -> bool:
    """Whether `module` computes what `kind` does: no forward of its own, nothing hooked to it.

    >>> is_a(nn.ReLU, nn.ReLU()), is_a(nn.ReLU, nn.GELU())
    (True, False)
    """
    forward = module._forward_hooks or module._forward_pre_hooks
    hooked = forward or module._backward_hooks or module._backward_pre_hooks
    return isinstance(module, kind) and type(module).forward is kind.forward and not hooked
