"""Which modules carry the gradient: the share that flows through each module's residual.

A path either enters module i or skips it.  With g the whole gradient and g_i the sum over all paths
that enter module i, the module's share is <g_i, g> / <g, g>; the rest skips it.  Every path of
length k enters k modules, so the shares of all modules add up to the mean path length,
sum_k k share_k of `gradients.shares`.

No g_i is needed, only its inner product with g.  With G the gradient at the module's output and u
what the Jacobians of the modules below make of g, that is <J_i^T G, u>: one pass down and one up.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from helpers.exactness import exactly, finite
from helpers.groups import grouped, steps
from helpers.layouts import room
from helpers.linearised import Linearised, joined
from helpers.losses import SCALE, Loss, cross_entropy
from helpers.network import ResidualNetwork
from helpers.vjp import Pullback


def module_shares(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    at_image: bool = False,
    loss: Loss = cross_entropy,
) -> tuple[Tensor, Tensor]:
    """The share of each module in the gradient: (n,) of the batch taken as one vector, as
    `gradients.shares`, and (n, B) of each image's gradient.

    Arguments and errors are those of `helpers.gradients`; a share may be negative or above 1.

    >>> from helpers import models
    >>> network = models.build("resnet", seed=0, depth=8, in_channels=1).eval()
    >>> both, each = module_shares(network, torch.ones(2, 1, 8, 8), torch.tensor([0, 1]))
    >>> both.shape, each.shape
    (torch.Size([3]), torch.Size([3, 2]))
    """
    products, squares = module_products(network, images, labels, at_image, loss=loss)
    return products.sum(1) / squares.sum(), products / squares


def module_products(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    at_image: bool = False,
    progress: Callable[..., None] | None = None,
    loss: Loss = cross_entropy,
) -> tuple[Tensor, Tensor]:
    """The inner products <g_i, g> of each image and module, (n, B), and <g, g>, (B,): float64.

    `progress` is called with the modules done, in groups of images, and all of them.  Raises
    ValueError in train mode: batch statistics join the images, and no share is one image's.
    ArithmeticError where g is not automatic differentiation's, or where what has been carried up,
    multiplied with the gradient above the last module, is not <g, g>.
    """
    if joined(network):
        raise ValueError("shares of modules need eval mode: batch statistics join the images")
    groups, n = grouped(network, images, labels, 4), len(network.blocks)
    step = steps(progress, len(groups) * n)
    products, squares = torch.empty(0), torch.empty(0)
    # Other kernels of attention cannot be differentiated twice.
    with exactly(network), sdpa_kernel(SDPBackend.MATH):
        for rows in groups:
            at = Linearised(network, images[rows], labels[rows], at_image, loss, whole=True)
            if not products.dim() > 1:
                products, squares = room(at.g, n, len(images)), room(at.g, len(images))
            products[:, rows], squares[rows] = of_group(at, step)
    return finite(products), finite(squares)


def of_group(at: Linearised, step: Callable[[], None] | None) -> tuple[Tensor, Tensor]:
    """<g_i, g> and <g, g> of the images of one forward pass: (n, B), (B,)."""
    tops, g = [], at.g
    for stay, enter in reversed(at.modules):
        tops.append(g)
        g = stay(g) + enter(g)
    at.check_sum(at.stem(g)[None])
    # Upwards in the size of the loss itself: the square of SCALE would be beyond float32.
    u = pushed([at.stem], g, at.stem(g) / SCALE)
    squares, products = inner(g, u), []
    for (stay, enter), top in zip(at.modules, reversed(tops), strict=True):
        products.append(inner(enter(top), u))
        u = pushed([stay, enter], top, u)
        if step:
            step()
    off, size = (inner(at.g, u) - squares).abs(), (inner(at.g, at.g) * inner(u, u)).sqrt()
    if bool((off > at.rounding() * size).any()):
        raise ArithmeticError("the way up is not the transposed way down: is a layer random?")
    none = squares.new_zeros(0, len(squares))
    return torch.stack(products) / SCALE if products else none, squares / SCALE


def pushed(routes: list[Pullback], top: Tensor, u: Tensor) -> Tensor:
    """The sum of the routes' Jacobians times u: pulling back is linear, and this is its transposed
    Jacobian, at any gradient like `top`."""
    with torch.enable_grad():
        top = top.detach().clone().requires_grad_()
        below = torch.stack([route(top) for route in routes]).sum(0)
        if not below.requires_grad:
            return torch.zeros_like(top)
        return torch.autograd.grad(below, top, u)[0]


def inner(a: Tensor, b: Tensor) -> Tensor:
    """The inner products of each image, (B,), in float64."""
    if a.device.type == "mps":
        a, b = a.cpu(), b.cpu()
    return (a.double() * b.double()).flatten(1).sum(1)
