"""The way back through one layer: steps that carry stacks of gradients, (..., B, C, H, W) or any
other shape, from the layer's output to its input."""

from collections.abc import Callable
from typing import Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.layouts import layout, settled, take_rows

Convolutional = nn.Conv1d | nn.Conv2d | nn.Conv3d
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


class Step(Protocol):
    """What all of them do."""

    def __call__(self, g: Tensor, /) -> Tensor:
        """Gradients at the layer's input for gradients g at its output."""

    def at(self, rows: Tensor, /) -> "Step":
        """The same for images `rows`, (S,), of the B at which the layer was linearised."""


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

    def at(self, rows: Tensor) -> Self:
        """The same."""
        return self


class Convolution(ForAll):
    """The transposed convolution, from the shape of y to that of x, in 1, 2 or 3 dimensions."""

    def __init__(self, layer: Convolutional, x: Tensor, y: Tensor):
        weight = layer.weight.detach()
        self.weight = weight.contiguous(memory_format=layout(weight))
        self.dims = weight.dim() - 2
        self.transposed = TRANSPOSED[self.dims]
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
        stack = g.flatten(0, -self.dims - 2)
        back = self.transposed(stack, self.weight, None, *self.options)
        return back.unflatten(0, g.shape[: -self.dims - 1])


class Product(ForAll):
    """The product with a matrix from the right: the transposed linear layer."""

    def __init__(self, weight: Tensor):
        self.weight = weight.detach()

    def __call__(self, g: Tensor) -> Tensor:
        return g @ self.weight


class Spread(ForAll):
    """Every second pixel's gradient back to its place: the transposed `Subsample`."""

    def __init__(self, x: Tensor):
        self.shape = x.shape[1:]

    def __call__(self, g: Tensor) -> Tensor:
        flat, (channels, height, width) = g.flatten(0, -4), self.shape
        back = g.new_zeros(len(flat), height, width, channels).movedim(-1, -3)
        back[:, :, ::2, ::2] = flat[:, :channels]
        return back.unflatten(0, g.shape[:-3])


class Automatic:
    """Any layer, by automatic differentiation at its inputs x for all images."""

    def __init__(self, layer: nn.Module, x: Tensor):
        self.layer = layer
        with torch.enable_grad():
            self.x = x if x.requires_grad else x.detach().requires_grad_()
            # A copy, because some layers work in place.
            self.y = layer(settled(self.x).clone())
            if x.requires_grad and self.y.requires_grad:
                self.y.register_hook(settled)

    def __call__(self, g: Tensor) -> Tensor:
        back = [
            torch.autograd.grad(
                self.y,
                self.x,
                settled(each),
                retain_graph=True,
                # The way back may be differentiated itself.
                create_graph=torch.is_grad_enabled() and g.requires_grad,
                materialize_grads=True,
            )[0]
            for each in g.reshape(-1, *self.y.shape)
        ]
        return torch.stack(back).reshape(*g.shape[: g.dim() - self.y.dim()], *self.x.shape)

    def at(self, rows: Tensor) -> "Automatic":
        """The same for images `rows`.  ValueError if the layer makes something else of them."""
        some, before = Automatic(self.layer, self.x.detach()[rows]), self.y.detach()[rows]
        rounding = torch.finfo(before.dtype).eps ** 0.5
        size = float(before.abs().max())
        if not torch.allclose(some.y, before, rounding, rounding * size, equal_nan=True):
            raise ValueError(
                f"{type(self.layer).__name__} makes something else of the same images in another "
                "batch: expected a layer that is not random and does not join the images"
            )
        return some


class Zero(ForAll):
    """No way back: a constant, as the residual of a deleted module is."""

    def __init__(self, x: Tensor):
        self.shape = x.shape[1:]

    def __call__(self, g: Tensor) -> Tensor:
        return g.new_zeros(*g.shape[: g.dim() - len(self.shape)], *self.shape)
