"""Signed passes: closed forms, then brute force over all paths, then statistics."""

from itertools import product
from math import prod

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import combinatorics, gradients, signed
from helpers.linearised import Linearised
from helpers.losses import SCALE
from helpers.network import ResidualModule, ResidualNetwork
from tests.toys import symmetric, toy

modes = pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
places = pytest.mark.parametrize("at_image", [False, True], ids=["first module", "image"])
cuts = pytest.mark.parametrize("longest", [None, 2, 0])


def distance(found, expected):
    """The relative distance of two tensors of one shape."""
    assert found.shape == expected.shape
    return ((found - expected).norm() / expected.norm()).item()


def brute_force(network, images, labels, at_image=False, longest=None):
    """The sum of ||g_p||^2 over all paths of each length, then of all longer ones: (B, K)."""
    n, count = len(network.blocks), len(images)
    found = torch.zeros(count, n + 1, dtype=torch.float64)
    for path in combinatorics.every(n):
        g = gradients.along_paths(network, images, labels, path.expand(count, n), at_image)
        found[:, path.sum()] += gradients.norms(g, g.dim() - 1) ** 2
    if longest not in (None, n):
        found = torch.cat([found[:, : longest + 1], found[:, longest + 1 :].sum(1)[:, None]], 1)
    return found


def each(images, times):
    """Every image so many times, in order."""
    return torch.arange(images).repeat_interleave(times)


def toy_size(factors, x, labels):
    """The squared norm of each image's gradient at the logits of `toy`."""
    logits = x.flatten(1) * prod(1 + a for a in factors)
    return (logits.softmax(1) - F.one_hot(labels, x.shape[1])).square().sum(1)


@pytest.fixture
def many(generator):
    """37 images and labels: more than are worked on together."""
    images = torch.randn(37, 1, 8, 8, generator=generator, dtype=torch.float64)
    return images, torch.randint(3, (37,), generator=generator)


# Closed forms.


def test_toy(logits, targets, generator):
    """A pass with signs s is e_k(s a) times the gradient at the output: each s as often as any."""
    factors = [0.5, -0.3, 0.2]
    rows = each(4, 200)
    found = signed.squared_norms(toy(factors), logits, targets, rows, generator)
    assert found.shape == (800, 4) and found.dtype == torch.float64
    patterns = [[s * a for s, a in zip(signs, factors, strict=True)] for signs in SIGNS]
    possible = [[symmetric(pattern, k) ** 2 for k in range(4)] for pattern in patterns]
    expected = (
        torch.tensor(possible, dtype=torch.float64)
        * toy_size(factors, logits, targets)[rows, None, None]
    )
    # Turning all signs changes no square, so two patterns are one.
    expected = expected[:, :4]
    nearest = ((found[:, None] - expected).norm(dim=2) / found.norm(dim=1)[:, None]).min(1)
    assert nearest.values.max() < 1e-12
    for of_image in nearest.indices.split(200):
        counts = of_image.bincount(minlength=4)
        # Chi-square with 3 degrees of freedom: 99.9% of draws are below 16.3.
        assert ((counts - 50) ** 2 / 50).sum() < 16.3


SIGNS = list(product((1, -1), repeat=3))


def test_toy_mean_squares(logits, targets, generator):
    """The sum of squared path norms is e_k(a^2) times the squared norm at the output."""
    factors = [0.5, -0.3, 0.2]
    found, error = signed.mean_squares(toy(factors), logits, targets, 500, generator)
    size = toy_size(factors, logits, targets).mean()
    sums = [symmetric([a * a for a in factors], k) for k in range(4)]
    expected = torch.tensor(sums, dtype=torch.float64) * size
    assert found.shape == error.shape == (4,)
    assert ((found - expected).abs() < 4 * error + 1e-12 * expected).all()
    # The shortest and the longest path are alone, and signs do nothing to them.
    assert (error < 1e-12 * expected).tolist() == [True, False, False, True]
    assert (error[1:3] < 0.1 * expected[1:3]).all()


# Brute force.


@modes
@places
@cuts
def test_squared_norms_on_average(four, images, labels, training, at_image, longest, generator):
    """The mean of many passes is within four standard errors; without signs it would not be."""
    four.train(training)
    expected = brute_force(four, images, labels, at_image, longest)
    rows = torch.arange(5).repeat(300)
    found = signed.squared_norms(four, images, labels, rows, generator, longest, at_image)
    assert found.shape == (1500, expected.shape[1]) and found.dtype == torch.float64
    draws = found.unflatten(0, (300, 5))
    mean, error = draws.mean(0), draws.std(0) / 300**0.5
    # Rounding is all that differs where there is but one path.
    assert ((mean - expected).abs() < 4 * error + 1e-12 * expected).all()
    unsigned = gradients.norms(gradients.by_length(four, images, labels, longest, at_image)) ** 2
    assert ((unsigned.T - expected).abs() > 4 * error).any()


@modes
@places
@cuts
def test_mean_squares(four, images, labels, training, at_image, longest, generator):
    four.train(training)
    expected = brute_force(four, images, labels, at_image, longest).mean(0)
    asked = (four, images, labels, 200, generator, longest, at_image)
    found, error = signed.mean_squares(*asked)
    assert found.shape == error.shape == expected.shape
    assert ((found - expected).abs() < 4 * error + 1e-12 * expected).all()
    assert (error < 0.3 * expected).all()


@modes
def test_the_standard_error_is_what_it_says(four, images, labels, training, generator):
    """Over many repetitions, squared distances from the truth average to squared errors, also with
    no more than two draws."""
    four.train(training)
    expected = brute_force(four, images, labels).mean(0)[1:4]
    found, error = zip(
        *(signed.mean_squares(four, images, labels, 2, generator) for _ in range(300)), strict=True
    )
    found, error = torch.stack(found)[:, 1:4], torch.stack(error)[:, 1:4]
    ratio = ((found - expected) ** 2).mean(0) / (error**2).mean(0)
    assert (ratio > 0.7).all() and (ratio < 1.4).all()
    assert ((found.mean(0) - expected).abs() < 4 * found.std(0) / 300**0.5).all()


@places
def test_joined_in_eval_mode(four, images, labels, generator, at_image):
    """By batch norm without statistics: one choice of signs for all images."""
    four.blocks[2].residual[0] = nn.BatchNorm2d(6, track_running_stats=False).double().eval()
    expected = brute_force(four, images, labels, at_image)
    rows = torch.arange(5).repeat(300)
    found = signed.squared_norms(four, images, labels, rows, generator, at_image=at_image)
    draws = found.unflatten(0, (300, 5))
    error = draws.std(0) / 300**0.5
    assert ((draws.mean(0) - expected).abs() < 4 * error + 1e-12 * expected).all()
    with pytest.raises(ValueError, match="passes for single images need eval mode"):
        signed.squared_norms(four, images, labels, torch.tensor([1]), generator)


@places
def test_activations_of_another_shape(images, labels, generator, at_image):
    """Tokens, (B, T, D)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [
            ResidualModule(nn.Identity(), nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8)))
            for _ in range(3)
        ]
        head = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        network = ResidualNetwork(nn.Flatten(1, 2), blocks, head).double().eval()
    expected = brute_force(network, images, labels, at_image).mean(0)
    asked = (network, images, labels, 100, generator)
    found, error = signed.mean_squares(*asked, at_image=at_image)
    assert ((found - expected).abs() < 4 * error + 1e-12 * expected).all()
    assert (error < 0.1 * expected).all()


# Which image each pass is for.


@pytest.mark.parametrize("some", ["all", "few", "last", "one"])
def test_passes_for_some_of_many_images(four, many, generator, some):
    """In any order: the longest path is alone, and signs do nothing to it."""
    known = {"all": range(37), "few": [2, 9, 35], "last": range(32, 37), "one": [35]}[some]
    rows = torch.tensor(known)[torch.randint(len(known), (100,), generator=generator)]
    found = signed.squared_norms(four, *many, rows, generator)
    expected = brute_force(four, *many)[rows]
    assert distance(found[:, 4], expected[:, 4]) < 1e-12
    assert distance(found[:, 2], expected[:, 2]) > 0.01


def test_each_pass_has_signs_of_its_own(four, images, labels, generator):
    rows = torch.zeros(40, dtype=torch.int64)
    found = signed.squared_norms(four, images, labels, rows, generator)
    # Four modules, 2^4 patterns: half of them turn all signs, which changes no square.
    assert 4 < len(found[:, 2].mul(1e6).round().unique()) <= 8


def test_one_choice_of_signs_for_all_images_in_train_mode(four, images, labels, generator):
    """A fresh one each time."""
    four.train()
    lengths = [
        gradients.norms(
            Linearised(four, images, labels).by_length(4, signs=torch.tensor(s)[:, None]) / SCALE
        )
        for s in product((-1.0, 1.0), repeat=4)
    ]
    possible = torch.stack(lengths).square().transpose(1, 2)
    rows = torch.arange(5).repeat(60)
    found = signed.squared_norms(four, images, labels, rows, generator).unflatten(0, (60, 5))
    far = (found[:, None] / possible - 1).abs().amax((2, 3))
    assert far.min(1).values.max() < 1e-9
    assert len(far.argmin(1).unique()) > 5


def test_allocation(logits, targets):
    """Two passes an image, the others in proportion to the squared gradient at the output."""
    network, x = toy([0.5, -0.3]), logits * torch.tensor([5.0, 1, 0.1, 1])[:, None, None, None]
    rows = signed.allocate(network, x, targets, 1000)
    assert len(rows) == 4000 and torch.equal(rows, rows.sort().values)
    size = toy_size([0.5, -0.3], x, targets)
    expected = 2 + 998 * 4 * size / size.sum()
    counts = rows.bincount(minlength=4)
    assert ((counts - expected).abs() <= 1).all()
    assert counts.max() > 3 * counts.min()
    assert signed.allocate(network, x, targets, 2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    for draws in range(2, 20):
        counts = signed.allocate(network, x, targets, draws).bincount(minlength=4)
        assert counts.sum() == 4 * draws and counts.min() >= 2


def test_allocation_to_many_images(four, many):
    rows = signed.allocate(four, *many, 100)
    counts = rows.bincount(minlength=37)
    size = gradients.norms(Linearised(four, *many).g) ** 2
    assert len(rows) == 3700
    assert ((counts - 2 - 98 * 37 * size / size.sum()).abs() <= 1).all()


def test_allocation_where_nothing_tells_images_apart(four, images, labels):
    """In train mode, or where all gradients are zero."""
    expected = torch.arange(5).repeat(7)
    assert torch.equal(signed.allocate(four.train(), images, labels, 7), expected)
    four.head[-1].weight.data.zero_()
    rows = signed.allocate(four.eval(), images, labels, 7)
    assert torch.equal(rows, expected.sort().values)


def test_more_passes_where_they_tell_more(new_network, images, generator):
    """With as many passes, a smaller error than if all images had the same, where most are
    classified well."""
    network = new_network()
    network.head[-1].weight.data.mul_(100)
    with torch.no_grad():
        labels = network(images).argmax(1)
    labels[3] = (labels[3] + 1) % 10
    error = signed.mean_squares(network, images, labels, 60, generator)[1]
    squares = signed.squared_norms(network, images, labels, each(5, 60), generator)
    alike = (squares.unflatten(0, (5, 60)).var(1) / 60).sum(0).sqrt() / 5
    assert (error[2:6] < 0.7 * alike[2:6]).all()


# What must not change, and what must be refused.


@pytest.mark.usefixtures("no_global_draws")
@modes
def test_the_same_seed_gives_the_same_numbers(four, images, labels, training):
    four.train(training)

    def numbers(seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.stack(signed.mean_squares(four, images, labels, 9, generator))

    assert torch.equal(numbers(1), numbers(1))
    assert not torch.equal(numbers(1), numbers(2))


@modes
def test_the_network_is_left_as_it_was(four, images, labels, generator, untouched, training):
    four.train(training)
    for p in four.parameters():
        p.grad = torch.ones_like(p)
    before = images.clone()
    with untouched(four):
        signed.mean_squares(four, images, labels, 3, generator, 2, at_image=True)
    assert torch.equal(images, before) and not images.requires_grad


@modes
def test_full_float32(four, images, labels, generator, training):
    """Factors are not rounded to 10 bits, on the way there and back."""
    seen = []

    class Looks(nn.Module):
        def forward(self, x):
            seen.append(torch.backends.cudnn.conv.fp32_precision)
            if x.requires_grad:
                x.register_hook(lambda _: seen.append(torch.backends.cudnn.conv.fp32_precision))
            return x * 1

    four.train(training).blocks[1].residual.append(Looks())
    signed.mean_squares(four, images, labels, 2, generator)
    assert len(seen) > 2 and set(seen) == {"ieee"}
    assert torch.backends.cudnn.allow_tf32


@modes
def test_progress(four, images, labels, generator, training):
    """Up to all passes."""
    seen = []
    signed.mean_squares(
        four.train(training),
        images,
        labels,
        30,
        generator,
        progress=lambda *counts: seen.append(counts),
    )
    done = [count for count, _ in seen]
    assert len(seen) > 2 and done == sorted(set(done)) and done[-1] == 150
    assert {total for _, total in seen} == {150}


@pytest.mark.parametrize("draws", [1, 0, -1])
def test_too_few_draws(four, images, labels, generator, draws):
    with pytest.raises(ValueError, match=f"{draws} draws: expected at least 2"):
        signed.mean_squares(four, images, labels, draws, generator)


@pytest.mark.parametrize("length", [-1, 5])
def test_a_length_outside_the_network(four, images, labels, generator, length):
    with pytest.raises(ValueError, match=f"path length {length}: expected 0 to 4"):
        signed.mean_squares(four, images, labels, 2, generator, length)


@pytest.mark.parametrize("rows", [[0, 5], [-1, 0], [[0], [1]], [0.0, 1.0], [True, False]], ids=str)
def test_wrong_rows(four, images, labels, generator, rows):
    with pytest.raises(ValueError, match=r"rows: expected \(S,\) int64, each from 0 to 4"):
        signed.squared_norms(four, images, labels, torch.tensor(rows), generator)


@pytest.mark.parametrize(
    "rows", [[0, 1, 2, 3], [1, 0, 2, 3, 4], [0, 1, 2, 3, 4, 0], each(5, 2).tolist()], ids=str
)
def test_wrong_rows_in_train_mode(four, images, labels, generator, rows):
    with pytest.raises(ValueError, match="passes for single images need eval mode"):
        signed.squared_norms(four.train(), images, labels, torch.tensor(rows), generator)


@modes
@pytest.mark.parametrize("count", [0, 4, 6])
def test_labels_of_another_number(four, images, generator, training, count):
    labels = torch.zeros(count, dtype=torch.int64)
    with pytest.raises(ValueError, match=rf"5\D+{count}\b"):
        signed.mean_squares(four.train(training), images, labels, 2, generator)


@modes
def test_no_images(four, images, labels, generator, training):
    with pytest.raises(ValueError, match="0 images"):
        signed.mean_squares(four.train(training), images[:0], labels[:0], 2, generator)


def test_a_network_without_skips(new_network, labels, generator):
    network, x = new_network("vgg15"), torch.zeros(5, 1, 16, 16).double()
    with pytest.raises(TypeError, match="expected a ResidualNetwork, only it has paths"):
        signed.mean_squares(network, x, labels, 2, generator)
