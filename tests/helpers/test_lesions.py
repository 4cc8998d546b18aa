"""Lesions: what is left computes what it should, and the network stays as it is."""

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kendalltau
from torch import nn

from helpers import lesions, models, sweep
from helpers.network import ResidualModule, ResidualNetwork

N = 54


def last_convolution(block):
    return [part for part in block.residual if isinstance(part, nn.Conv2d)][-1]


def zeroed(network, modules):
    """The network after setting the last convolution of `modules` to zero."""
    for i in modules:
        nn.init.zeros_(last_convolution(network.blocks[i]).weight)
    return network


@pytest.mark.parametrize("shortcuts", models.SHORTCUTS)
@pytest.mark.parametrize("modules", [[0], [2], [5], [1, 2, 4], [5, 0, 0], [], list(range(6))])
def test_deleting_equals_zeroing_the_last_convolution(
    new_network, images, untouched, modules, shortcuts
):
    network = new_network(shortcuts=shortcuts)
    with untouched(network):
        found = lesions.delete(network, modules)(images)
    expected = zeroed(new_network(shortcuts=shortcuts), modules)(images)
    assert torch.equal(found, expected)
    assert torch.equal(found, network(images)) is not bool(modules)


@pytest.mark.parametrize("model", ["vgg15", "vgg15-plain"])
def test_deleting_plain_layers(new_network, model, untouched, generator):
    """A deleted layer leaves nothing, or the pooling before it."""
    network = new_network(model)
    x = torch.randn(2, 1, 16, 16, generator=generator, dtype=torch.float64)
    y = network.stem(x)
    for i, block in enumerate(network.blocks):
        y = block.skip(y)
        y = y if i in (0, 3) else block.layer(y)
    with untouched(network):
        found = lesions.delete(network, [0, 3])(x)
    assert isinstance(network.blocks[3].skip, nn.MaxPool2d)
    assert torch.equal(found, network.head(y))


def test_a_lesion_of_a_lesion(new_network, images):
    network = new_network()
    twice = lesions.delete(lesions.delete(network, [1]), [])
    assert torch.equal(twice(images), lesions.delete(network, [1])(images))


@pytest.mark.parametrize("module", [1, 3])
def test_a_module_deleted_before(new_network, untouched, module):
    """Deleted again, it would be no lesion; what is left of it can change places."""
    network = new_network()
    once = lesions.delete(network, [module])
    with untouched(network), pytest.raises(ValueError, match=f"module {module} is a .*before"):
        lesions.delete(once, [0, module])
    assert lesions.downsampling(once) == lesions.downsampling(network) == [2, 4]
    assert lesions.stages(once) == lesions.stages(network)
    moved = lesions.reorder(once, [1, 0, 2, 3, 4, 5])
    assert moved.blocks[0] is once.blocks[1]


def test_reorder(new_network, images, untouched):
    network = new_network()
    order = [1, 0, 2, 3, 4, 5]
    y = network.stem(images)
    for i in order:
        y = network.blocks[i](y)
    with untouched(network):
        found = lesions.reorder(network, order)(images)
    assert torch.equal(found, network.head(y))
    assert not torch.equal(found, network(images))
    assert torch.equal(lesions.reorder(network, list(range(6)))(images), network(images))


@pytest.mark.parametrize(
    "order, reason",
    [
        ([0, 1, 2, 3, 4], "expected each of 0 to 5 once"),
        ([0, 0, 2, 3, 4, 5], "expected each of 0 to 5 once"),
        ([1, 2, 3, 4, 5, 6], "expected each of 0 to 5 once"),
        ([2, 1, 0, 3, 4, 5], "not compatible"),
        ([0, 1, 3, 2, 4, 5], "not compatible"),
        ([0, 1, 4, 3, 2, 5], "not compatible"),
        ([0, 1, 2, 5, 4, 3], "not compatible"),
    ],
)
def test_an_order_that_is_none(new_network, untouched, order, reason):
    """Too short, repeated, out of range; another stage's, a downsampling module's place."""
    network = new_network()
    with untouched(network), pytest.raises(ValueError, match=reason):
        lesions.reorder(network, order)


def test_stages(new_network):
    network = new_network(depth=20)
    assert lesions.downsampling(network) == [3, 6]
    assert lesions.stages(network) == [[0, 1, 2], [4, 5], [7, 8]]
    vgg = new_network("vgg15")
    assert lesions.downsampling(vgg) == [1, 3, 6, 9]
    assert lesions.stages(vgg) == [[0], [2], [4, 5], [7, 8], [10, 11, 12]]


def test_stages_where_a_relu_is_part_of_the_skip():
    """It keeps the shape, but modules with and without it take their inputs for different things;
    neighbours of one kind may change places, others not."""
    skips = [
        nn.Identity(),
        nn.Identity(),
        nn.ReLU(),
        nn.ReLU(),
        nn.Sequential(nn.AvgPool2d(2)),
        nn.ReLU(),
    ]
    blocks = [ResidualModule(skip, nn.Identity()) for skip in skips]
    network = ResidualNetwork(nn.Identity(), blocks, nn.Identity())
    assert lesions.downsampling(network) == [4]
    assert lesions.stages(network) == [[0, 1], [2, 3], [5]]
    assert list(lesions.reorder(network, [1, 0, 3, 2, 4, 5]).blocks)[2] is blocks[3]
    for order in ([0, 2, 1, 3, 4, 5], [0, 1, 2, 5, 4, 3]):
        with pytest.raises(ValueError, match="not compatible"):
            lesions.reorder(network, order)


def test_layers_that_keep_the_shape_do_so_in_a_row():
    """They are no downsampling, but such a module is not like its neighbours either."""
    skips = [nn.Identity(), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), nn.Sequential(nn.ReLU())]
    skips += [nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)), nn.Identity()]
    blocks = [ResidualModule(skip, nn.Identity()) for skip in skips]
    network = ResidualNetwork(nn.Identity(), blocks, nn.Identity())
    assert lesions.downsampling(network) == [3]
    assert lesions.stages(network) == [[0], [1], [2], [4]]


def test_random_lesions(new_network, generator, untouched):
    """Sets of the sizes asked for, of modules that may go, each of them as often as the others."""
    network = new_network(depth=20)
    with untouched(network):
        found = lesions.random_lesions(network, [1, 3], 2000, generator, [3, 6])
    assert [len(sets) for sets in found] == [2000, 2000]
    for size, sets in zip((1, 3), found, strict=True):
        assert all(len(set(s)) == size for s in sets)
        counts = np.bincount([i for s in sets for i in s], minlength=9)
        assert not counts[[3, 6]].any()
        # Seven modules are free; 5 standard deviations of a binomial count.
        mean = 2000 * size / 7
        assert abs(counts[[0, 1, 2, 4, 5, 7, 8]] - mean).max() < 5 * mean**0.5


def test_the_same_seed_gives_the_same_lesions(new_network):
    network = new_network(depth=20)
    draws = [
        lesions.random_lesions(network, [2], 5, torch.Generator().manual_seed(seed), [])
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_more_lesions_than_modules(new_network, generator):
    with pytest.raises(ValueError, match="number of modules 8: expected 0 to 7"):
        lesions.random_lesions(new_network(depth=20), [8], 1, generator, [3, 6])


def test_no_draws(new_network, generator):
    network = new_network(depth=20)
    for draws in (0, -1):
        for draw in (
            lambda draws=draws: lesions.random_lesions(network, [1], draws, generator),
            lambda draws=draws: lesions.nested_lesions(network, 1, draws, generator),
        ):
            with pytest.raises(ValueError, match=f"{draws} draws: expected at least 1"):
                draw()
    with pytest.raises(ValueError, match="-1 swaps"):
        lesions.swapped(network, -1, generator)


@pytest.mark.usefixtures("no_global_draws")
def test_nested_lesions(new_network, generator, untouched):
    """Of each order, the first k modules are a set drawn uniformly, for every k."""
    network = new_network(depth=20)
    with untouched(network):
        orders = lesions.nested_lesions(network, 4, 3000, generator, spared={3, 6})
    assert len(orders) == 3000 and all(type(i) is int for order in orders for i in order)
    free = [0, 1, 2, 4, 5, 7, 8]
    for k in range(1, 5):
        counts = Counter(frozenset(order[:k]) for order in orders)
        assert set(counts) == {frozenset(few) for few in combinations(free, k)}
        assert chisquare(list(counts.values())).pvalue > 0.01
    # All orders are alike, not only the sets: 7 * 6 beginnings.
    firsts = Counter(tuple(order[:2]) for order in orders)
    assert len(firsts) == 42 and chisquare(list(firsts.values())).pvalue > 0.01


def test_nested_deletions(new_network, images, generator):
    """The k-th views are without the first k modules: each without one more than the one before."""
    network = new_network(depth=20)
    orders = lesions.nested_lesions(network, 9, 3, generator)
    views = lesions.nested_deletions(network, orders)
    assert list(views) == list(range(1, 10))
    for draw, order in enumerate(orders):
        left = set(network.blocks)
        for k in views:
            left -= {network.blocks[order[k - 1]]}
            assert set(views[k][draw].blocks) & set(network.blocks) == left
            assert len(left) == 9 - k
    found = views[2][1](images)
    assert torch.equal(found, lesions.delete(network, orders[1][:2])(images))


def test_nested_deletions_are_half_the_work(new_network, generator):
    """What k + 1 deletions share with k is all that is in front of the one added: on average half
    of what is left.  Independent sets of as many modules share less."""
    network = new_network(depth=62)
    orders = lesions.nested_lesions(network, 20, 10, generator)
    nested = sum(lesions.nested_deletions(network, orders).values(), [])
    sets = sum(lesions.random_lesions(network, range(1, 21), 10, generator), [])
    independent = [lesions.delete(network, modules) for modules in sets]
    one_by_one = sum(30 - k for k in range(1, 21)) * 10
    half, more = (sweep.prefix_tree(views).size / one_by_one for views in (nested, independent))
    assert 0.4 < half < 0.56 < 0.65 < more < 1


def test_orders_of_removal_that_do_not_fit(new_network, generator):
    network = new_network(depth=20)
    with pytest.raises(ValueError, match="number of modules 8: expected 0 to 7"):
        lesions.nested_lesions(network, 8, 1, generator, spared=[3, 6])
    for orders in ([], [[1, 2], [3]]):
        with pytest.raises(ValueError, match="several lengths, or none"):
            lesions.nested_deletions(network, orders)


def test_swaps_stay_within_a_stage(new_network, generator, untouched):
    network = new_network(depth=26)
    homes = [{0, 1, 2, 3}, {5, 6, 7}, {9, 10, 11}]
    seen = set()
    with untouched(network):
        for _ in range(60):
            order = lesions.swapped(network, 30, generator)
            assert order[4] == 4 and order[8] == 8
            assert [set(order[:4]), set(order[5:8]), set(order[9:])] == homes
            lesions.reorder(network, order)
            seen |= set(enumerate(order))
    assert len(seen) == 4 * 4 + 3 * 3 + 3 * 3 + 2, "every module reaches every place of its stage"


def test_the_number_of_swaps(new_network, generator):
    network = new_network(depth=26)
    assert lesions.swapped(network, 0, generator) == list(range(12))
    for _ in range(20):
        order = lesions.swapped(network, 1, generator)
        assert sum(i != m for i, m in enumerate(order)) == 2


def test_pairs_are_drawn_uniformly(new_network, generator):
    """6 + 3 + 3 compatible pairs; the largest stage is met more often."""
    network = new_network(depth=26)
    drawn = [tuple(lesions.swapped(network, 1, generator)) for _ in range(2400)]
    counts = [drawn.count(order) for order in set(drawn)]
    assert len(counts) == 12
    # Chi-square with 11 degrees of freedom: 99% of draws are below 24.7.
    assert sum((c - 200) ** 2 / 200 for c in counts) < 24.7


@pytest.mark.usefixtures("no_global_draws")
def test_the_same_seed_gives_the_same_swaps(new_network):
    network = new_network(depth=26)

    def draw(seed):
        return lesions.swapped(network, 5, torch.Generator().manual_seed(seed))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_nothing_to_swap(new_network, generator):
    with pytest.raises(ValueError, match="nothing can be swapped"):
        lesions.swapped(new_network(depth=8), 1, generator)


def test_kendall_tau():
    """1 intact, -1 reversed, and 1 - 4 / (n (n - 1)) for each pair out of order."""
    intact = list(range(N))
    one_pair = 4 / (N * (N - 1))
    assert lesions.kendall_tau(intact) == pytest.approx(1)
    assert lesions.kendall_tau(intact[::-1]) == pytest.approx(-1)
    adjacent = [1, 0, *range(2, N)]
    assert lesions.kendall_tau(adjacent) == pytest.approx(1 - one_pair)
    # Modules 0 and 5 changed places: each of the four between is out of order with both.
    far = [5, 1, 2, 3, 4, 0, *range(6, N)]
    assert lesions.kendall_tau(far) == pytest.approx(1 - 9 * one_pair)
    assert lesions.kendall_tau([2, 0, 1]) == pytest.approx(-1 / 3)


def test_kendall_tau_of_a_shuffle_is_the_count_of_inversions(generator):
    order = torch.randperm(N, generator=generator).tolist()
    inversions = sum(order[a] > order[b] for a in range(N) for b in range(a + 1, N))
    expected = 1 - 4 * inversions / (N * (N - 1))
    assert lesions.kendall_tau(order) == pytest.approx(expected)


def test_more_swaps_mean_a_lower_tau(new_network, generator):
    network = new_network(depth=110)
    means = []
    for swaps in (0, 5, 20):
        taus = [lesions.kendall_tau(lesions.swapped(network, swaps, generator)) for _ in range(20)]
        means.append(sum(taus) / len(taus))
    assert means[0] == pytest.approx(1)
    assert all(a > b + 0.03 for a, b in pairwise(means))


def test_an_order_of_one_module():
    with pytest.raises(ValueError, match="1 modules in an order: expected at least 2"):
        lesions.kendall_tau([0])


def test_the_lowest_tau(new_network):
    """Stages of 18, 17 and 17 modules: 153 + 136 + 136 of 1,431 pairs can be out of order."""
    network = new_network(depth=110)
    assert lesions.lowest_tau(network) == pytest.approx(1 - 2 * 425 / 1431, rel=1e-12)
    order = [*range(17, -1, -1), 18, *range(35, 18, -1), 36, *range(53, 36, -1)]
    lesions.reorder(network, order)
    assert lesions.kendall_tau(order) == pytest.approx(lesions.lowest_tau(network), rel=1e-12)


@pytest.mark.usefixtures("no_global_draws")
@pytest.mark.parametrize("lowest", [None, 0.8])
def test_orders_over_tau(new_network, generator, untouched, lowest):
    """Taus in even steps, each within one pair's share of its target, by scipy's own count."""
    network = new_network(depth=110)
    with untouched(network):
        orders = lesions.orders_over_tau(network, 30, generator, lowest)
    last = 1 - 2 * 425 / 1431 if lowest is None else lowest
    taus = [kendalltau(range(54), order).statistic for order in orders]
    assert np.abs(np.array(taus) - np.linspace(1, last, 30)).max() <= 1 / 1431 + 1e-12
    assert orders[0] == list(range(54))
    for order in orders:
        assert all(type(i) is int for i in order)
        lesions.reorder(network, order)
    if lowest is None:
        assert orders[-1] == [*range(17, -1, -1), 18, *range(35, 18, -1), 36, *range(53, 36, -1)]


def test_orders_of_one_tau_are_drawn_uniformly(new_network, generator):
    """Of 36 pairs, two out of order, in stages of 3, 2 and 2 modules: from one stage 2, or from
    two stages 1 each: 2 + (2 + 2 + 1) orders."""
    network = new_network(depth=20)
    # As far down as two pairs take tau.
    draws = [lesions.orders_over_tau(network, 2, generator, 1 - 4 / 36) for _ in range(420)]
    counts = Counter(tuple(last) for _, last in draws)
    assert len(counts) == 7
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_taus_that_cannot_be_reached(new_network, generator):
    network = new_network(depth=110)
    for lowest in (0.40, -1, 1.01, float("nan")):
        with pytest.raises(ValueError, match=f"lowest tau {lowest}: expected 0.406 .* to 1"):
            lesions.orders_over_tau(network, 3, generator, lowest)
    with pytest.raises(ValueError, match="1 orders: expected at least 2"):
        lesions.orders_over_tau(network, 1, generator)
    assert lesions.orders_over_tau(network, 2, generator, 1) == [list(range(54))] * 2
    with pytest.raises(ValueError, match="nothing can be swapped"):
        lesions.orders_over_tau(new_network(depth=8), 2, generator)


@pytest.mark.parametrize("training", [True, False])
def test_a_view_keeps_kind_and_mode(new_network, training):
    network = new_network().train(training)
    for view in (
        lesions.delete(network, [1]),
        lesions.reorder(network, [1, 0, 2, 3, 4, 5]),
    ):
        assert type(view) is ResidualNetwork
        assert view.training is training
        assert view.stem is network.stem and view.head is network.head
