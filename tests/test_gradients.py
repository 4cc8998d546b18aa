"""Gradients along paths: closed forms, then brute force over all paths, then identities."""

from copy import deepcopy
from itertools import combinations, product
from math import comb, prod

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import architectures, gradients, interventions, models, paths

modes = pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
places = pytest.mark.parametrize("at_image", [False, True], ids=["first module", "image"])


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
    blocks = [models.ResidualModule(nn.Identity(), Times(a)) for a in factors]
    return models.ResidualNetwork(nn.Identity(), blocks, nn.Flatten()).eval()


def toy_gradient(factors, x, labels):
    """The gradient at the logits of `toy`: softmax minus one-hot, (B, classes, 1, 1)."""
    logits = x.flatten(1) * prod(1 + a for a in factors)
    return (logits.softmax(1) - F.one_hot(labels, x.shape[1]))[:, :, None, None]


def symmetric(factors, k):
    """The elementary symmetric polynomial e_k."""
    return sum(prod(chosen) for chosen in combinations(factors, k))


def routed(network, images, labels, path, at_image=False):
    """The gradient along one path by cutting, in the forward pass, every route not taken."""
    network = deepcopy(network)
    x = images.clone().requires_grad_()
    first = y = network.stem(x)
    for block, enters in zip(network.blocks, path, strict=True):
        skip, residual = block.skip(y), block.residual(y)
        y = skip.detach() + residual if enters else skip + residual.detach()
    loss = F.cross_entropy(network.head(y), labels, reduction="sum")
    where = x if at_image else first
    found = torch.autograd.grad(loss, where, allow_unused=True)[0]
    return torch.zeros_like(where) if found is None else found


def autograd(network, images, labels, at_image=False):
    """The whole gradient, as anybody would write it."""
    network = deepcopy(network)
    x = images.clone().requires_grad_()
    first = y = network.stem(x)
    for block in network.blocks:
        y = block(y)
    F.cross_entropy(network.head(y), labels, reduction="sum").backward(inputs=[x, first])
    return x.grad if at_image else first.grad


def distance(found, expected):
    """The relative distance of two tensors."""
    return ((found - expected).norm() / expected.norm()).item()


@pytest.fixture
def logits(generator):
    """Four "images" for `toy`: three logits each."""
    return torch.randn(4, 3, 1, 1, generator=generator, dtype=torch.float64)


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 2, 1])


# Closed forms.


def test_toy_by_length(logits, targets):
    """The gradient over the paths of length k is e_k(a) times the gradient at the output."""
    factors = [0.5, -0.3, 0.2, 1.5, -0.7]
    found = gradients.by_length(toy(factors), logits, targets)
    g = toy_gradient(factors, logits, targets)
    expected = torch.stack([symmetric(factors, k) * g for k in range(6)])
    assert max(map(distance, found, expected)) < 1e-12
    whole = gradients.whole(toy(factors), logits, targets)
    assert distance(whole, prod(1 + a for a in factors) * g) < 1e-12


def test_toy_along_paths(logits, targets):
    """The gradient along a path is the product of its a_i times the gradient at the output."""
    factors = [0.5, -0.3, 0.2, 1.5]
    on = torch.stack([paths.from_code(c) for c in ("1010", "0000", "1111", "0101")])
    found = gradients.along_paths(toy(factors), logits, targets, on)
    products = [0.5 * 0.2, 1, 0.5 * -0.3 * 0.2 * 1.5, -0.3 * 1.5]
    scale = torch.tensor(products, dtype=torch.float64)
    expected = scale[:, None, None, None] * toy_gradient(factors, logits, targets)
    assert max(map(distance, found, expected)) < 1e-12


def test_toy_signed(logits, targets):
    """The sum of squared path norms is e_k(a^2) times the squared norm at the output."""
    factors = [0.5, -0.3, 0.2]
    patterns = [torch.tensor(s)[:, None].expand(3, 4) for s in product((-1, 1), repeat=3)]
    squares = [
        gradients.norms(gradients.by_length(toy(factors), logits, targets, signs=s)) ** 2
        for s in patterns
    ]
    g = gradients.norms(toy_gradient(factors, logits, targets)) ** 2
    expected = torch.stack([symmetric([a * a for a in factors], k) * g for k in range(4)])
    assert max(map(distance, torch.stack(squares).mean(0), expected)) < 1e-12


def test_paths_far_below_the_range_of_float32(logits, targets):
    """The longest path of 54 modules carries 1e-54; the smallest float32 is 1e-45."""
    network, x = toy([0.1] * 54), logits.float() * 0.01
    g = toy_gradient([0.1] * 54, logits * 0.01, targets)
    on = torch.ones(4, 54, dtype=torch.bool)
    assert distance(gradients.along_paths(network, x, targets, on), 1e-54 * g) < 1e-4
    for k, found in enumerate(gradients.by_length(network, x, targets)):
        assert distance(found, comb(54, k) * 0.1**k * g) < 1e-4


# Brute force: four modules, sixteen paths.


@modes
@places
def test_all_sixteen_paths_added_are_the_whole_gradient(four, images, labels, training, at_image):
    four.train(training)
    by_path = [routed(four, images, labels, path, at_image) for path in paths.every(4)]
    expected = autograd(four, images, labels, at_image)
    assert distance(sum(by_path), expected) < 1e-12
    assert distance(sum(by_path[1:]), expected) > 1e-3
    assert distance(gradients.whole(four, images, labels, at_image), expected) < 1e-12


@modes
@places
def test_by_length_is_the_sum_over_its_paths(four, images, labels, training, at_image):
    four.train(training)
    found = gradients.by_length(four, images, labels, at_image=at_image)
    assert found.dtype == torch.float64 and len(found) == 5
    for k, gradient in enumerate(found):
        chosen = [path for path in paths.every(4) if path.sum() == k]
        expected = sum(routed(four, images, labels, path, at_image) for path in chosen)
        assert distance(gradient, expected) < 1e-12


@modes
@places
def test_along_every_path(four, images, labels, training, at_image):
    four.train(training)
    for path in paths.every(4):
        found = gradients.along_paths(four, images, labels, path.expand(5, 4), at_image)
        assert distance(found, routed(four, images, labels, path, at_image)) < 1e-12


@places
def test_every_image_follows_its_own_path(four, images, labels, generator, at_image):
    on = paths.sample(4, 2, 5, generator)
    assert len(on.unique(dim=0)) > 1
    found = gradients.along_paths(four, images, labels, on, at_image)
    for b, path in enumerate(on):
        expected = routed(four, images, labels, path, at_image)[b]
        assert distance(found[b], expected) < 1e-12


@modes
def test_signs_of_all_patterns_average_to_the_squared_path_norms(four, images, labels, training):
    """Exactly, over all 2^4 patterns; the cross terms that vanish are not small."""
    four.train(training)
    squares = 0
    for pattern in product((-1, 1), repeat=4):
        signs = torch.tensor(pattern)[:, None].expand(4, 5)
        lengths = gradients.by_length(four, images, labels, signs=signs)
        squares = squares + gradients.norms(lengths) ** 2 / 16
    expected = squared_path_norms(four, images, labels)
    assert distance(squares, expected) < 1e-12
    unsigned = gradients.norms(gradients.by_length(four, images, labels)) ** 2
    assert distance(unsigned[2], expected[2]) > 0.1


@modes
@places
def test_signed_squared_norms_on_average(four, images, labels, training, at_image, generator):
    """The mean of many draws is within four standard errors; without signs it would not be."""
    four.train(training)
    expected = squared_path_norms(four, images, labels, at_image)
    draws = gradients.signed_squared_norms(four, images, labels, 300, generator, at_image=at_image)
    assert draws.shape == (300, 5, 5) and draws.dtype == torch.float64
    found, error = draws.mean(0), draws.std(0) / 300**0.5
    # Rounding is all that differs where there is but one path.
    assert ((found - expected).abs() < 4 * error + 1e-12 * expected).all()
    unsigned = gradients.norms(gradients.by_length(four, images, labels, at_image=at_image)) ** 2
    assert ((unsigned - expected).abs() > 4 * error).any()


def squared_path_norms(network, images, labels, at_image=False):
    """By brute force: sum over all paths of length k of ||g_p||^2, (K, B)."""
    n = len(network.blocks)
    total = torch.zeros(n + 1, len(images), dtype=torch.float64)
    for path in paths.every(n):
        total[path.sum()] += gradients.norms(routed(network, images, labels, path, at_image)) ** 2
    return total


def test_each_image_has_signs_of_its_own(four, images, labels, generator):
    """Fresh ones in every draw, too."""
    same = images[:1].expand(5, -1, -1, -1)
    draws = gradients.signed_squared_norms(four, same, labels[:1].expand(5), 4, generator)
    assert len(draws[:, 2].flatten().unique()) > 5


# 54 modules.


@pytest.mark.parametrize("training, at_image", [(False, False), (True, True)])
def test_54_modules_sum_to_autograd(new_network, images, labels, untouched, training, at_image):
    network = new_network(depth=110).train(training)
    with untouched(network):
        found = gradients.by_length(network, images[:3], labels[:3], at_image=at_image)
    expected = autograd(network, images[:3], labels[:3], at_image)
    assert found.shape == (55, *expected.shape)
    assert distance(found.sum(0), expected) < 1e-10
    # No length on its own could be left out unnoticed, down to a part in 10^9.
    seen = [k for k in range(55) if distance(found.sum(0) - found[k], expected) > 1e-10]
    assert set(range(30)) <= set(seen)
    assert gradients.shares(found).sum().item() == pytest.approx(1, abs=1e-9)


# Identities.


@pytest.mark.parametrize("longest", [0, 1, 4, 6])
def test_a_maximum_length_cuts_the_result_off(new_network, images, labels, longest):
    network = new_network()
    full = gradients.by_length(network, images, labels)
    cut = gradients.by_length(network, images, labels, max_length=longest)
    assert cut.shape == (longest + 1, *full.shape[1:])
    assert distance(cut, full[: longest + 1]) < 1e-14


@pytest.mark.parametrize("model", ["whole", "deleted", "deleted downsampling", "scaled"])
def test_the_sum_for_views(new_network, images, labels, model):
    """A view is a network like any other; a deleted module makes the longest paths disappear."""
    network = new_network()
    gone = {"deleted": [1, 3], "deleted downsampling": [2]}.get(model, [])
    view = interventions.delete(network, gone)
    if model == "scaled":
        view = models.scale_residuals(network, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    found = gradients.by_length(view, images, labels)
    assert distance(found.sum(0), autograd(view, images, labels)) < 1e-12
    assert [bool(g.any()) for g in found] == [k <= 6 - len(gone) for k in range(7)]
    path = paths.from_code("110101").expand(5, 6)
    assert gradients.along_paths(view, images, labels, path).any() == (not gone or 2 in gone)


def test_scaling_by_a_power_of_two_rounds_nothing(four, images, labels):
    """In float32 the whole gradient is autograd's, bit for bit."""
    network, x = four.float(), images.float()
    assert torch.equal(gradients.whole(network, x, labels), autograd(network, x, labels).double())


def test_routing_leaves_the_forward_pass_bit_identical(four, images, labels, generator):
    reached = []
    handle = four.head.register_forward_pre_hook(lambda _, x: reached.append(x[0].detach()))
    with torch.no_grad():
        four(images)
    on = paths.sample(4, 1, 5, generator)
    gradients.along_paths(four, images, labels, on)
    gradients.by_length(four, images, labels, max_length=1)
    gradients.whole(four, images, labels)
    handle.remove()
    assert len(reached) == 4
    assert all(torch.equal(x, reached[0]) for x in reached)


def test_gradients_at_the_image_need_no_gradient_there(four, images, labels):
    """The caller's tensor is not marked, whatever is asked, also where nothing is computed."""
    everything_deleted = models.ResidualNetwork(nn.Identity(), [nn.Identity()], nn.Flatten())
    for network in (four, everything_deleted):
        gradients.whole(network, images, labels, at_image=True)
        gradients.by_length(network, images, labels, at_image=True)
        assert not images.requires_grad


def test_shares():
    lengths = torch.tensor([[[3.0, 0.0]], [[1.0, 2.0]], [[0.0, -1.0]]])
    # g = (4, 1), <g, g> = 17.
    assert gradients.shares(lengths).tolist() == pytest.approx([12 / 17, 6 / 17, -1 / 17])


def test_norms():
    assert gradients.norms(torch.full((2, 3, 1, 2, 2), 3.0)).tolist() == [[6, 6, 6]] * 2


# The paper's protocol.


def test_sampled_norms(four, images, labels, generator):
    """Each is the norm of one image along one path of that length; all pairs are met."""
    found = gradients.sampled_norms(four, images, labels, 2, 400, generator)
    chosen = [path for path in paths.every(4) if path.sum() == 2]
    possible = torch.cat([gradients.norms(routed(four, images, labels, p)) for p in chosen])
    assert found.shape == (400,) and found.dtype == torch.float64
    nearest = (found[:, None] / possible - 1).abs().min(1)
    assert nearest.values.max() < 1e-12
    counts = nearest.indices.bincount(minlength=30)
    # Chi-square with 29 degrees of freedom: 99% of draws are below 49.6.
    assert ((counts - 400 / 30) ** 2 / (400 / 30)).sum() < 49.6


def test_sampled_norms_in_batches(four, images, labels):
    def sampled(batch_size, at_image=False):
        generator = torch.Generator().manual_seed(5)
        return gradients.sampled_norms(four, images, labels, 2, 10, generator, batch_size, at_image)

    assert distance(sampled(3), sampled(10)) < 1e-12
    assert distance(sampled(10, at_image=True), sampled(10)) > 0.01


@pytest.mark.usefixtures("no_global_draws")
def test_the_same_seed_gives_the_same_numbers(four, images, labels):
    def numbers(seed):
        generator = torch.Generator().manual_seed(seed)
        return (
            gradients.sampled_norms(four, images, labels, 2, 6, generator),
            gradients.signed_squared_norms(four, images, labels, 2, generator, max_length=2),
        )

    for one, same, other in zip(numbers(1), numbers(1), numbers(2), strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


# What must not change, and what must be refused.


@modes
def test_the_network_is_left_as_it_was(new_network, images, labels, generator, untouched, training):
    network = new_network().train(training)
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    on = paths.from_code("101010").expand(5, 6)
    with untouched(network):
        gradients.whole(network, images, labels, at_image=True)
        gradients.by_length(network, images, labels, 2, at_image=True)
        gradients.along_paths(network, images, labels, on, at_image=True)
        gradients.signed_squared_norms(network, images, labels, 1, generator, 2)
        gradients.sampled_norms(network, images, labels, 6, 2, generator)


@pytest.mark.parametrize("fails", [1, 2])
@modes
def test_also_after_an_error(four, images, labels, untouched, training, fails):
    """In the forward pass, or on the way back when the residual is computed again."""
    four.train(training)
    broken = list(four.blocks)
    broken[2] = models.ResidualModule(nn.Identity(), Times(1.0))
    network = four.with_blocks(broken)
    for ask in (
        lambda: gradients.by_length(network, images, labels),
        lambda: gradients.along_paths(
            network, images, labels, paths.from_code("1111").expand(5, 4)
        ),
    ):
        network.blocks[2].residual = Times(1.0, fails)
        with untouched(network), pytest.raises(ArithmeticError, match="as asked"):
            ask()
    network.blocks[2].residual = Times(1.0, fails=1)
    with untouched(network), pytest.raises(ArithmeticError, match="as asked"):
        gradients.whole(network, images, labels)


def test_progress(four, images, labels):
    seen = []
    gradients.by_length(four, images, labels, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("length", [-1, 5])
def test_a_length_outside_the_network(four, images, labels, generator, untouched, length):
    with untouched(four):
        for ask in (
            lambda: gradients.by_length(four, images, labels, max_length=length),
            lambda: gradients.signed_squared_norms(four, images, labels, 1, generator, length),
            lambda: gradients.sampled_norms(four, images, labels, length, 1, generator),
        ):
            with pytest.raises(ValueError, match=f"path length {length}: expected 0 to 4"):
                ask()


def test_wrong_paths(four, images, labels):
    for wrong in (
        torch.ones(4, 4, dtype=torch.bool),
        torch.ones(5, 3, dtype=torch.bool),
        torch.ones(5, 4),
    ):
        with pytest.raises(ValueError, match="expected 5 images x 4 modules, bool"):
            gradients.along_paths(four, images, labels, wrong)
    differing = torch.eye(5, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="differing paths need eval mode"):
        gradients.along_paths(four.train(), images, labels, differing)


def test_no_draws(four, images, labels, generator):
    with pytest.raises(ValueError, match="0 draws: expected at least 1"):
        gradients.signed_squared_norms(four, images, labels, 0, generator)


def test_a_network_without_skips(new_network, labels):
    network, x = new_network("vgg15"), torch.zeros(5, 1, 16, 16).double()
    with pytest.raises(TypeError, match="expected a ResidualNetwork, only it has paths"):
        gradients.by_length(network, x, labels)
    with pytest.raises(TypeError, match="expected a ResidualNetwork, only it has paths"):
        gradients.along_paths(network, x, labels, torch.ones(5, 13, dtype=torch.bool))


def test_signed_passes_report_each_draw(generator):
    network = architectures.build("resnet", 0, depth=8, in_channels=1).eval()
    images, labels, seen = torch.randn(2, 1, 8, 8, generator=generator), torch.tensor([0, 1]), []
    gradients.signed_squared_norms(
        network, images, labels, 3, generator, progress=lambda *at: seen.append(at)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
