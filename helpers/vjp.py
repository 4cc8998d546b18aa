"""Transposed Jacobians: how a module carries gradients back from its output to its input.

With the activations held, the way back is linear.  Through most layers it is a convolution or a
product with a diagonal: a ReLU is a mask of zeros and ones, batch norm in eval mode a factor a
channel.  Those know no other image, so any stack of gradients goes through in one call.  Every
other layer goes through automatic differentiation, one gradient at a time.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.network import Scaled, Subsample, is_a


class Diagonal:
    """The product with `factor`, (B or 1, C, H, W) or a number; `own` if it may overwrite g."""

    def __init__(self, factor: Tensor, own: bool = False):
        self.factor, self.own = factor, own

    def __call__(self, g: Tensor) -> Tensor:
        return g.mul_(self.factor) if self.own else g * self.factor

    def at(self, rows: Tensor) -> "Diagonal":
        """The same for images `rows`."""
        shared = self.factor.dim() == 0 or len(self.factor) == 1
        return self if shared else Diagonal(take_rows(self.factor, rows), self.own)


class ForAll:
    """A step that is the same for every image."""

    def at(self, rows: Tensor) -> "ForAll":
        """The same."""
        return self


class Convolution(ForAll):
    """The transposed convolution, from the shape of y to that of x."""

    def __init__(self, layer: nn.Conv2d, x: Tensor, y: Tensor):
        self.weight = layer.weight.detach().to(memory_format=torch.channels_last)
        geometry = zip(
            x.shape[2:], y.shape[2:], layer.kernel_size, layer.stride, layer.padding,
            layer.dilation, strict=True,
        )  # fmt: skip
        # A stride may have left some of the last pixels unseen.
        unseen = [
            before - ((after - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1)
            for before, after, kernel, stride, padding, dilation in geometry
        ]
        self.options = layer.stride, layer.padding, unseen, layer.groups, layer.dilation

    def __call__(self, g: Tensor) -> Tensor:
        back = F.conv_transpose2d(g.flatten(0, -4), self.weight, None, *self.options)
        return back.unflatten(0, g.shape[:-3])


class Spread(ForAll):
    """Every second pixel's gradient back to its place: the transposed `Subsample`."""

    def __init__(self, x: Tensor):
        self.shape = x.shape[1:]

    def __call__(self, g: Tensor) -> Tensor:
        flat = g.flatten(0, -4)
        layout = {"memory_format": torch.channels_last}
        back = torch.empty(len(flat), *self.shape, dtype=g.dtype, device=g.device, **layout).zero_()
        back[:, :, ::2, ::2] = flat[:, : self.shape[0]]
        return back.unflatten(0, g.shape[:-3])


class Automatic:
    """Any layer, by automatic differentiation at its inputs x for all images."""

    def __init__(self, layer: nn.Module, x: Tensor):
        self.layer = layer
        with torch.enable_grad():
            self.x = x.detach().requires_grad_()
            # A copy, because some layers work in place.
            self.y = layer(self.x.clone())

    def __call__(self, g: Tensor) -> Tensor:
        options = {"retain_graph": True, "materialize_grads": True}
        stack = g.reshape(-1, *self.y.shape)
        back = [torch.autograd.grad(self.y, self.x, each, **options)[0] for each in stack]
        return torch.stack(back).reshape(*g.shape[: g.dim() - self.y.dim()], *self.x.shape)

    def at(self, rows: Tensor) -> "Automatic":
        """The same for images `rows`."""
        return Automatic(self.layer, self.x.detach()[rows])


class Zero(ForAll):
    """No way back: a constant, as the residual of a deleted module is."""

    def __init__(self, x: Tensor):
        self.shape = x.shape[1:]

    def __call__(self, g: Tensor) -> Tensor:
        return g.new_zeros(*g.shape[: g.dim() - len(self.shape)], *self.shape)


class Pullback:
    """A module's steps in the order in which a gradient meets them.

    Gradients are (..., B, C, H, W), or whatever shape activations have: any number of stacks over
    the B images at which the module was linearised.
    """

    def __init__(self, steps: list):
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


def merged(steps: list) -> list:
    """The same steps, neighbouring diagonals multiplied into one."""
    out = []
    for step in steps:
        if isinstance(step, Diagonal):
            factor = step.factor
            if out and isinstance(out[-1], Diagonal):
                factor = out.pop().factor * factor
            # What an earlier step has made, nobody else holds.
            step = Diagonal(factor, own=bool(out))
        out.append(step)
    return out


@torch.no_grad()
def linearise(module: nn.Module, x: Tensor) -> tuple[Tensor, Pullback]:
    """What `module` returns for x, (B, ...), and its transposed Jacobian there."""
    y, steps = forward(module, x)
    return y, Pullback(steps)


def forward(module: nn.Module, x: Tensor) -> tuple[Tensor, list]:
    """The output and the steps back."""
    if is_a(nn.Identity, module) or (is_a(nn.Dropout, module) and not module.training):
        return x, []
    if is_a(nn.Sequential, module):
        steps = []
        for part in module:
            x, new = forward(part, x)
            steps = new + steps
        return x, steps
    if is_a(Scaled, module):
        y, steps = forward(module.module, x)
        return y * module.factor, [Diagonal(y.new_tensor(module.factor)), *steps]
    if is_a(Subsample, module):
        return module(x), [Spread(x)]
    if is_a(nn.ReLU, module):
        y = F.relu(x)
        return y, [Diagonal((y > 0).to(y.dtype, memory_format=layout(y)))]
    if is_a(nn.BatchNorm2d, module) and not module.training and module.track_running_stats:
        factor = (module.running_var + module.eps).rsqrt()
        factor = factor * module.weight if module.affine else factor
        return module(x), [Diagonal(factor[None, :, None, None])]
    if is_a(nn.Conv2d, module) and module.padding_mode == "zeros" and type(module.padding) is tuple:
        y = module(x)
        return y, [Convolution(module, x, y)]
    layer = Automatic(module, x)
    return layer.y.detach(), [layer if layer.y.requires_grad else Zero(x)]


def layout(x: Tensor) -> torch.memory_format:
    """Channels last, where there are channels: convolutions are fastest so."""
    return torch.channels_last if x.dim() == 4 else torch.contiguous_format


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """x[rows], in the layout of x."""
    if x.dim() != 4:
        return x[rows.to(x.device)]
    last = x.permute(0, 2, 3, 1)
    # Whole rows of memory, where channels are last: faster than pixel by pixel.
    taken = last.flatten(1).index_select(0, rows.to(x.device))
    return taken.unflatten(1, last.shape[1:]).permute(0, 3, 1, 2)
