"""Networks whose outputs and gradients are known in closed form."""

from itertools import combinations
from math import prod

from torch import nn

from helpers.network import ResidualModule, ResidualNetwork


class Times(nn.Module):
    """a x; from the call numbered `fails` on, an error."""

    def __init__(self, factor, fails=None):
        super().__init__()
        self.factor, self.fails, self.calls = factor, fails, 0

    def forward(self, x):
        self.calls += 1
        if self.calls == self.fails:
            raise ArithmeticError("as asked")
        return self.factor * x


def toy(factors):
    """Residuals a_i x; the images, (B, classes, 1, 1), come out as logits."""
    blocks = [ResidualModule(nn.Identity(), Times(a)) for a in factors]
    return ResidualNetwork(nn.Identity(), blocks, nn.Flatten()).eval()


def symmetric(factors, k):
    """The elementary symmetric polynomial e_k."""
    return sum(prod(chosen) for chosen in combinations(factors, k))
