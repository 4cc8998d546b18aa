"""Lesions: delete or reorder the modules of a network.

An intervention returns a view over the same weights and leaves the network as it is.
"""

import torch
from scipy.stats import kendalltau
from torch import nn

from helpers import combinatorics
from helpers.network import Network

# A ReLU stands in both routes where blocks end in one (see `unravel`): what it gets is the sum
# before it, so that a module without one would take that for something else.
KEEP_SHAPE = (nn.Identity, nn.ReLU)


def delete(network: Network, modules: list[int]) -> Network:
    """A view without the residuals of `modules` (indices from 0): y'_i = y_{i-1} (Section 4.1).

    Each keeps its skip connection, downsampling included; a plain layer keeps the pooling before
    it.  Raises IndexError for an index outside the network.
    """
    check_indices(network, modules)
    gone = set(modules)
    return network.with_blocks([b.skip if i in gone else b for i, b in enumerate(network.blocks)])


def reorder(network: Network, order: list[int]) -> Network:
    """A view that runs module order[i] at position i (Section 4.3).

    Raises ValueError if `order` is no permutation of 0..n-1, or moves a module out of the stage it
    fits in, or moves a downsampling module.
    """
    n = len(network.blocks)
    if sorted(order) != list(range(n)):
        raise ValueError(f"order of {len(order)} modules: expected each of 0 to {n - 1} once")
    stage_of = {i: stage for stage in stages(network) for i in stage}
    for position, module in enumerate(order):
        if position != module and module not in stage_of.get(position, ()):
            raise ValueError(
                f"module {module} at position {position}: the two are not compatible, modules "
                "may move only within a stage, downsampling modules not at all"
            )
    return network.with_blocks([network.blocks[i] for i in order])


def downsampling(network: Network) -> list[int]:
    """Indices of the modules whose skip connection may change the shape."""

    def keeps_shape(skip: nn.Module) -> bool:
        # A skip connection may begin with batch norm and ReLU (`models.SharedPreActivation`).
        layers = skip if type(skip) is nn.Sequential else [skip]
        return all(type(layer) in (*KEEP_SHAPE, nn.BatchNorm2d) for layer in layers)

    return [i for i, block in enumerate(network.blocks) if not keeps_shape(block.skip)]


def stages(network: Network) -> list[list[int]]:
    """Runs of neighbours whose skips keep the shape and are of one kind: all inputs and outputs of
    a run have one shape, and mean the same to its modules, which can change places."""
    runs, before = [], None
    for i, block in enumerate(network.blocks):
        kind = type(block.skip)
        if kind in KEEP_SHAPE:
            if kind is not before:
                runs.append([])
            runs[-1].append(i)
        before = kind
    return runs


def random_lesions(
    network: Network, counts: list[int], draws: int, generator: torch.Generator, spared: list[int]
) -> list[list[list[int]]]:
    """Modules to delete (Section 4.2): for each number in `counts`, `draws` sets of so many.

    Drawn uniformly from the modules that are not `spared`.  Raises ValueError if a number is larger
    than there are.
    """
    free = [i for i in range(len(network.blocks)) if i not in spared]
    return [
        [[free[i] for i in combinatorics.subset(len(free), k, generator)] for _ in range(draws)]
        for k in counts
    ]


def swapped(network: Network, swaps: int, generator: torch.Generator) -> list[int]:
    """An order made by `swaps` random swaps, each of two modules of one stage (Section 4.3).

    A pair is drawn uniformly from all compatible pairs.
    """
    pairs = torch.tensor([(a, b) for s in stages(network) for a in s for b in s if a < b])
    if not len(pairs):
        raise ValueError("no two modules of this network are compatible: nothing can be swapped")
    order = list(range(len(network.blocks)))
    for a, b in pairs[torch.randint(len(pairs), (swaps,), generator=generator)].tolist():
        order[a], order[b] = order[b], order[a]
    return order


def kendall_tau(order: list[int]) -> float:
    """Kendall's rank correlation of an order with the original one: 1 intact, -1 reversed."""
    return float(kendalltau(range(len(order)), order).statistic)


def check_indices(network: Network, modules: list[int]) -> None:
    """IndexError unless every index is one of the network's."""
    n = len(network.blocks)
    for i in modules:
        if not 0 <= i < n:
            raise IndexError(f"module {i}: expected 0 to {n - 1}, the network has {n} modules")
