"""How far a trained network has come from its random start.

What weight decay leaves of the start decides how a network stands lesions, so every trained network
tells it: the decay sum of its run (`recipes.decay_of`), the cosine with the start, the scales of
batch norm.
"""

from statistics import median

import torch
from torch import Tensor, nn

from helpers.network import Network


def cosine_with_start(network: Network, start: Network) -> float:
    """The cosine of a module's convolution weights, taken together, with those it began with; the
    median over the modules.  1: still at the random start, about 0: nothing is left of it.

    `start`: the untrained network of the same run.  ValueError if no module has a convolution.
    """
    pairs = zip(network.blocks, start.blocks, strict=True)
    weights = [(convolutions(block), convolutions(first)) for block, first in pairs]
    cosines = [float(w @ v / (w.norm() * v.norm())) for w, v in weights if len(w)]
    if not cosines:
        raise ValueError("no module has a convolution: expected a convolutional network")
    return median(cosines)


def convolutions(module: nn.Module) -> Tensor:
    """All convolution weights of a module, float64, in one row."""
    found = [part.weight for part in module.modules() if isinstance(part, nn.Conv2d)]
    rows = [weight.detach().cpu().double().flatten() for weight in found]
    return torch.cat(rows) if rows else torch.empty(0, dtype=torch.float64)


def gamma_means(network: Network) -> list[float]:
    """The mean of batch norm's scales (gamma) in each module that has any; they begin at 1."""
    means = []
    for block in network.blocks:
        norms = [part for part in block.modules() if isinstance(part, nn.BatchNorm2d)]
        if norms:
            scales = torch.cat([norm.weight.detach().cpu().double() for norm in norms])
            means.append(float(scales.mean()))
    return means
