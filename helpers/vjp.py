"""Transposed Jacobians: how a module carries gradients back from its output to its input.

With the activations held, the way back is linear.  Through most layers it is a convolution, a
product with a matrix or one with a diagonal: a ReLU is a mask of zeros and ones, batch norm in eval
mode a factor a channel.  Those know no other image, so any stack of gradients goes through in one
call.  Every other layer goes through automatic differentiation, one gradient at a time.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from helpers.layouts import layout
from helpers.network import Scaled, Subsample, is_a
from helpers.steps import (
    Automatic,
    Convolution,
    Convolutional,
    Diagonal,
    Product,
    Spread,
    Step,
    Zero,
)

# The output of a layer and the steps back.
Linear = tuple[Tensor, list[Step]]


class Pullback:
    """A module's steps in the order in which a gradient meets them.

    Gradients are (..., B, C, H, W), or whatever shape activations have: any number of stacks over
    the B images at which the module was linearised.
    """

    def __init__(self, steps: list[Step]):
        self.steps = merged(steps)

    @property
    def is_identity(self) -> bool:
        """Whether gradients pass unchanged."""
        return not self.steps

    def __call__(self, g: Tensor) -> Tensor:
        for step in self.steps:
            g = step(g)
        return g

    def at(self, rows: Tensor) -> "Pullback":
        """The same for images `rows`, (S,), of the B."""
        return Pullback([step.at(rows) for step in self.steps])

    def add_to(self, target: Tensor, g: Tensor, signs: Tensor | None = None) -> None:
        """target += signs * pullback(g): the last product and the sum are one pass over memory."""
        *steps, last = self.steps or [Diagonal(g.new_ones(()))]
        if not isinstance(last, Diagonal):
            steps, last = self.steps, Diagonal(g.new_ones(()))
        # Without any step the target may overlap what is added.
        g = g if steps else g.clone()
        for step in steps:
            g = step(g)
        target.addcmul_(g, last.factor if signs is None else last.factor * signs)


def merged(steps: list[Step]) -> list[Step]:
    """The same steps, neighbouring diagonals multiplied into one."""
    out: list[Step] = []
    for step in steps:
        if isinstance(step, Diagonal):
            factor = step.factor
            if out and isinstance(before := out[-1], Diagonal):
                factor = before.factor * factor
                out.pop()
            # What an earlier step has made, nobody else holds.
            step = Diagonal(factor, own=bool(out))
        out.append(step)
    return out


def linearise(module: nn.Module, x: Tensor) -> tuple[Tensor, Pullback]:
    """What `module` returns for x, (B, ...), and its transposed Jacobian there.

    Where x requires gradients and they are enabled, the output also leads back to x by automatic
    differentiation; its graph is to be retained, for layers that have no rule here share it.

    >>> y, back = linearise(nn.ReLU(), torch.tensor([[-1.0, 2.0]]))
    >>> back(torch.tensor([[5.0, 6.0]]))
    tensor([[0., 6.]])
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
        y, steps = forward(module, x)
    return y, Pullback(steps)


def forward(module: nn.Module, x: Tensor) -> Linear:
    """By the rule for this kind of layer, else by automatic differentiation."""
    for kind, rule in RULES.items():
        if is_a(kind, module) and (known := rule(module, x)) is not None:
            return known
    layer = Automatic(module, x)
    back: Step = layer if layer.y.requires_grad else Zero(x)
    return layer.y if x.requires_grad else layer.y.detach(), [back]


def identity(module: nn.Identity, x: Tensor) -> Linear:
    """Nothing to do."""
    return x, []


def dropout(module: nn.Dropout, x: Tensor) -> Linear | None:
    """Nothing to do in eval mode."""
    return None if module.training else (x, [])


def sequence(module: nn.Sequential, x: Tensor) -> Linear:
    """One part after the other, and back."""
    steps: list[Step] = []
    for part in module:
        x, new = forward(part, x)
        steps = new + steps
    return x, steps


def scaled(module: Scaled, x: Tensor) -> Linear:
    """The factor, then the steps of what is scaled."""
    y, steps = forward(module.module, x)
    return y * module.factor, [Diagonal(y.new_tensor(module.factor)), *steps]


def subsample(module: Subsample, x: Tensor) -> Linear:
    """Back to every second pixel."""
    return module(x), [Spread(x)]


def relu(module: nn.ReLU, x: Tensor) -> Linear:
    """A mask."""
    y = F.relu(x)
    return y, [Diagonal((y > 0).to(y.dtype, memory_format=layout(y)))]


def batch_norm(module: _BatchNorm, x: Tensor) -> Linear | None:
    """A factor a channel, where the statistics are not the images'."""
    if module.training or module.running_var is None:
        return None
    factor = (module.running_var + module.eps).rsqrt()
    factor = factor * module.weight.detach() if module.affine else factor
    return module(x), [Diagonal(factor.reshape(1, -1, *[1] * (x.dim() - 2)))]


def linear(module: nn.Linear, x: Tensor) -> Linear:
    """The product with the weights."""
    return module(x), [Product(module.weight)]


def convolution(module: Convolutional, x: Tensor) -> Linear | None:
    """The transposed convolution, for zeros around the image."""
    if module.padding_mode != "zeros" or type(module.padding) is not tuple:
        return None
    y = module(x)
    return y, [Convolution(module, x, y)]


RULES: dict[type[nn.Module], Callable[..., Linear | None]] = {
    nn.Identity: identity,
    nn.Dropout: dropout,
    nn.Sequential: sequence,
    Scaled: scaled,
    Subsample: subsample,
    nn.ReLU: relu,
    _BatchNorm: batch_norm,
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
}
