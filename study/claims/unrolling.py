"""What the paper's equations say of functions, tried on small random modules in float64.

For claims A1 (Equations 1 and 4 to 6, Figure 1) and A11 (Equation 3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from helpers import combinatorics

SIZE, CLOSE = 5, 1e-12
Residual = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Unrolled:
    """What is true of an unrolled network."""

    modules: int
    paths: int
    tree_is_chain: bool
    forward_is_sum: bool
    gradient_is_sum: bool


def weights(n: int) -> Tensor:
    """Random matrices for n modules: (n, SIZE, SIZE)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, SIZE, SIZE, generator=generator, dtype=torch.float64) / SIZE**0.5


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are one but for rounding."""
    return bool((a - b).norm() <= CLOSE * b.norm())


def chain(residuals: list[Residual], y: Tensor) -> list[Tensor]:
    """The outputs of all modules, from the input on: y_i = y_{i-1} + f_i(y_{i-1}), Eq 1."""
    ys = [y]
    for f in residuals:
        ys.append(ys[-1] + f(ys[-1]))
    return ys


def tree(residuals: list[Residual], y: Tensor) -> tuple[Tensor, int]:
    """The last line of Eq 6, every repetition computed anew, and the number of its branches."""
    branches = [y] * 2 ** len(residuals)
    for f in residuals:
        pairs = zip(branches[::2], branches[1::2], strict=True)
        branches = [skip + f(enter) for skip, enter in pairs]
    return branches[0], 2 ** len(residuals)


def along(residuals: list[Residual], path: list[bool], y: Tensor) -> Tensor:
    """What a path would compute if it were a network of its own."""
    for f, enters in zip(residuals, path, strict=True):
        y = f(y) if enters else y
    return y


@cache
def unrolled(n: int = 3, linear: bool = False) -> Unrolled:
    """A network of n modules, tanh of a matrix (or the matrix alone), in all its forms."""
    matrices = weights(n)

    def module(w: Tensor) -> Residual:
        return lambda y: w @ y if linear else torch.tanh(w @ y)

    residuals = [module(w) for w in matrices]
    ys = chain(residuals, torch.linspace(-1, 1, SIZE, dtype=torch.float64))
    unraveled, branches = tree(residuals, ys[0])
    paths = combinatorics.every(n).tolist()
    total = torch.stack([along(residuals, path, ys[0]) for path in paths]).sum(0)
    # The whole derivative is autograd's, the paths are products of the modules' own derivatives.
    whole = torch.autograd.functional.jacobian(lambda y: chain(residuals, y)[-1], ys[0])
    of_modules = [
        w if linear else (1 - torch.tanh(w @ y) ** 2)[:, None] * w
        for w, y in zip(matrices, ys[:-1], strict=True)
    ]
    products = [
        along([j.matmul for j in of_modules], path, torch.eye(SIZE).double()) for path in paths
    ]
    return Unrolled(
        modules=n,
        paths=branches,
        tree_is_chain=same(unraveled, ys[-1]) and branches == len(paths) == combinatorics.count(n),
        forward_is_sum=same(total, ys[-1]),
        gradient_is_sum=same(torch.stack(products).sum(0), whole),
    )


@dataclass(frozen=True)
class Highway:
    """How a highway network whose gates are all 0.5 compares with a residual network of the same
    functions: equal; equal up to scale, without biases; and with them."""

    equal: bool
    homogeneous_up_to_scale: bool
    biased_up_to_scale: bool


@cache
def highway(n: int = 3) -> Highway:
    """y_{i+1} = t f(y_i) + (1 - t) y_i with t = 0.5 (Eq 3), f a ReLU of a matrix, against Eq 1.

    A bias stands for batch norm as well, which in test mode shifts and scales.
    """
    matrices = weights(n)

    def ends(bias: float) -> tuple[Tensor, Tensor]:
        def module(w: Tensor) -> Residual:
            return lambda y: torch.relu(w @ y + bias)

        residuals = [module(w) for w in matrices]
        y = start = torch.linspace(-1, 1, SIZE, dtype=torch.float64)
        for f in residuals:
            y = 0.5 * f(y) + 0.5 * y
        return y, chain(residuals, start)[-1]

    (gated, residual), (gated_biased, residual_biased) = ends(0.0), ends(0.3)
    return Highway(
        equal=same(gated, residual),
        homogeneous_up_to_scale=same(2**n * gated, residual),
        biased_up_to_scale=same(2**n * gated_biased, residual_biased),
    )
