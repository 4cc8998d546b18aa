"""Lesions: delete or reorder the modules of a network.

An intervention returns a view over the same weights and leaves the network as it is.  Modules are
told by their indices from 0, in any form that `indices` takes.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from scipy.stats import kendalltau
from torch import Tensor, nn

from helpers import combinatorics
from helpers.indices import Indices, module_indices, module_order
from helpers.network import Network
from helpers.orders import draw_orders, most_inversions
from helpers.stages import compatible, downsampling, stages

__all__ = [
    "delete",
    "reorder",
    "downsampling",
    "stages",
    "random_lesions",
    "nested_lesions",
    "nested_deletions",
    "swapped",
    "orders_over_tau",
    "lowest_tau",
    "kendall_tau",
]

N = TypeVar("N", bound=Network)


def delete(network: N, modules: Indices) -> N:
    """A view without the residuals of `modules`: y'_i = y_{i-1} (Section 4.1).

    Each keeps its skip connection, downsampling included; a plain layer keeps the pooling before
    it.  Raises IndexError for an index outside the network, TypeError for what is no index (a mask
    among it), ValueError for a module without a skip connection, such as one deleted before.

    >>> from helpers import models
    >>> network = models.resnet(depth=14)
    >>> [type(block).__name__ for block in delete(network, [1]).blocks[:3]]
    ['ResidualModule', 'Identity', 'ResidualModule']
    """
    blocks = list(network.blocks)
    for i in set(module_indices(modules, len(blocks))):
        skip = getattr(blocks[i], "skip", None)
        if not isinstance(skip, nn.Module):
            raise ValueError(
                f"module {i} is a {type(blocks[i]).__name__} without a skip connection: expected a "
                "residual module or a plain layer; was it deleted before?"
            )
        blocks[i] = skip
    return network.with_blocks(blocks)


def reorder(network: N, order: Indices, images: Tensor | None = None) -> N:
    """A view that runs module order[i] at position i (Section 4.3).

    Raises ValueError if `order` is no permutation of 0..n-1, or moves a module out of the stage it
    fits in, or moves a downsampling module; TypeError for what is no order.  `images`: see
    `stages`.

    >>> from helpers import models
    >>> network = models.resnet(depth=14)
    >>> reorder(network, [1, 0, 2, 3, 4, 5]).blocks[0] is network.blocks[1]
    True
    """
    order = module_order(order, len(network.blocks))
    stage_of = {i: stage for stage in stages(network, images) for i in stage}
    for position, module in enumerate(order):
        if position != module and module not in stage_of.get(position, ()):
            raise ValueError(
                f"module {module} at position {position}: the two are not compatible, modules "
                "may move only within a stage, downsampling modules not at all"
            )
    return network.with_blocks([network.blocks[i] for i in order])


def random_lesions(
    network: Network,
    counts: Iterable[int],
    draws: int,
    generator: torch.Generator,
    spared: Indices = (),
) -> list[list[list[int]]]:
    """Modules to delete (Section 4.2): for each number in `counts`, `draws` sets of so many.

    Drawn uniformly from the modules that are not `spared`, every set by itself.  Raises ValueError
    if a number is larger than there are, or if there is to be no draw.

    >>> from helpers import models
    >>> random_lesions(models.resnet(depth=14), [0, 6], 1, torch.Generator(), spared=[])
    [[[]], [[0, 1, 2, 3, 4, 5]]]
    """
    free = not_spared(network, spared)
    check_at_least(1, "draws", draws)
    return [
        [[free[i] for i in combinatorics.subset(len(free), k, generator)] for _ in range(draws)]
        for k in counts
    ]


def nested_lesions(
    network: Network, largest: int, draws: int, generator: torch.Generator, spared: Indices = ()
) -> list[list[int]]:
    """Modules to delete one after the other: `draws` lists of `largest` modules.

    The first k modules of a list are deleted together.  Over all draws they are a uniform set of k
    of the modules that are not `spared`, as in `random_lesions`; within a draw each set holds the
    one before, so that what one more deletion costs is seen on the same modules.  Raises ValueError
    if `largest` is more than there are, or if there is to be no draw.

    >>> from helpers import models
    >>> (order,) = nested_lesions(models.resnet(depth=14), 6, 1, torch.Generator())
    >>> sorted(order)
    [0, 1, 2, 3, 4, 5]
    """
    free = not_spared(network, spared)
    check_at_least(1, "draws", draws)
    combinatorics.check_length(len(free), largest, "number of modules")
    return [
        [free[i] for i in torch.randperm(len(free), generator=generator)[:largest].tolist()]
        for _ in range(draws)
    ]


def nested_deletions(network: N, orders: Sequence[Sequence[int]]) -> dict[int, list[N]]:
    """The views that `nested_lesions` speaks of: for k = 1, ..., one for each of `orders`, without
    the first k modules of it.

    All in one sweep take about half the computation of as many deletions one by one: with one more
    module deleted, all that is in front of it is as before.

    >>> from helpers import models
    >>> views = nested_deletions(models.resnet(depth=14), [[4, 1], [0, 2]])
    >>> {k: len(of_each_order) for k, of_each_order in views.items()}
    {1: 2, 2: 2}
    """
    if len({len(order) for order in orders}) != 1:
        raise ValueError("orders of several lengths, or none: expected those of `nested_lesions`")
    return {
        k: [delete(network, order[:k]) for order in orders] for k in range(1, len(orders[0]) + 1)
    }


def swapped(
    network: Network, swaps: int, generator: torch.Generator, images: Tensor | None = None
) -> list[int]:
    """An order made by `swaps` random swaps, each of two modules of one stage (Section 4.3).

    A pair is drawn uniformly from all compatible pairs.  Raises ValueError if there is none.
    `images`: see `stages`.

    >>> from helpers import models
    >>> swapped(models.resnet(depth=14), 0, torch.Generator())
    [0, 1, 2, 3, 4, 5]
    """
    check_at_least(0, "swaps", swaps)
    runs = compatible(network, images)
    pairs = torch.tensor([(a, b) for s in runs for a in s for b in s if a < b])
    order = list(range(len(network.blocks)))
    for a, b in pairs[torch.randint(len(pairs), (swaps,), generator=generator)].tolist():
        order[a], order[b] = order[b], order[a]
    return order


def orders_over_tau(
    network: Network,
    count: int,
    generator: torch.Generator,
    lowest: float | None = None,
    images: Tensor | None = None,
) -> list[list[int]]:
    """`count` orders whose Kendall's tau goes from 1 to `lowest` in even steps (Section 4.3).

    `lowest`: by default `lowest_tau`, where every stage is reversed.  Each tau is met as nearly as
    an order can, to within 1 / (number of pairs of modules).  Each order is drawn uniformly from
    all orders of that tau which keep modules in their stages; the first is the intact one.  Raises
    ValueError for fewer than two orders, for a tau out of reach, or if no two modules are
    compatible.  `images`: see `stages`.

    >>> from helpers import models
    >>> orders = orders_over_tau(models.resnet(depth=20), 3, torch.Generator())
    >>> orders[0], [round(kendall_tau(order), 2) for order in orders]
    ([0, 1, 2, 3, 4, 5, 6, 7, 8], [1.0, 0.89, 0.72])
    """
    check_at_least(2, "orders", count)
    reachable = lowest_tau(network, images)
    lowest = reachable if lowest is None else lowest
    if not reachable <= lowest <= 1:
        raise ValueError(f"lowest tau {lowest}: expected {reachable:.3f} (all reversed) to 1")
    n, runs = len(network.blocks), compatible(network, images)
    # A pair out of order takes 2 / (number of pairs) from tau.
    furthest = (1 - lowest) / 2 * n * (n - 1) / 2
    inversions = [round(furthest * i / (count - 1)) for i in range(count)]
    found = []
    for of_each_run in draw_orders([len(run) for run in runs], inversions, generator):
        order = list(range(n))
        for run, own in zip(runs, of_each_run, strict=True):
            order[run[0] : run[-1] + 1] = [run[i] for i in own]
        found.append(order)
    return found


def lowest_tau(network: Network, images: Tensor | None = None) -> float:
    """Kendall's tau of the order that reverses every stage: none that is allowed has a lower one.

    Raises ValueError if no two modules are compatible.  `images`: see `stages`.

    >>> from helpers import models
    >>> round(lowest_tau(models.resnet(depth=110)), 3)
    0.406
    """
    n = len(network.blocks)
    inversions = most_inversions([len(run) for run in compatible(network, images)])
    return 1 - 4 * inversions / (n * (n - 1))


def kendall_tau(order: Indices) -> float:
    """Kendall's rank correlation of an order with the original one: 1 intact, -1 reversed.

    Raises ValueError unless each of 0..n-1 occurs once, and if there is but one module.

    >>> kendall_tau([2, 1, 0])
    -1.0
    """
    ranks = module_order(order)
    check_at_least(2, "modules in an order", len(ranks))
    return float(kendalltau(range(len(ranks)), ranks).statistic)


def not_spared(network: Network, spared: Indices) -> list[int]:
    """The indices of all modules but `spared`."""
    n = len(network.blocks)
    kept = set(module_indices(spared, n))
    return [i for i in range(n) if i not in kept]


def check_at_least(least: int, what: str, number: int) -> None:
    """ValueError, naming the number, if it is less than the least."""
    if number < least:
        raise ValueError(f"{number} {what}: expected at least {least}")
