"""How far weights have come from their start, by hand."""

import copy
import math

import pytest
import torch
from torch import nn

from helpers import models
from helpers.network import PlainLayer, ResidualModule, ResidualNetwork
from study.training import drift


def module(*weights, scales=()):
    """A residual module of 1x1 convolutions of one channel, and of batch norms."""
    layers = [nn.Conv2d(1, 1, 1, bias=False) for _ in weights]
    for layer, weight in zip(layers, weights, strict=True):
        nn.init.constant_(layer.weight, weight)
    for scale in scales:
        layers.append(nn.BatchNorm2d(len(scale)))
        layers[-1].weight.data = torch.tensor(scale)
    return ResidualModule(nn.Identity(), nn.Sequential(*layers))


def network(*blocks):
    return ResidualNetwork(nn.Conv2d(1, 1, 1), list(blocks), nn.Flatten())


def test_the_cosine_of_a_module_is_that_of_all_its_convolutions():
    """(3, 4) against (4, 3): 24 / 25; the two numbers alone would give 1 each."""
    found = drift.cosine_with_start(network(module(3.0, 4.0)), network(module(4.0, 3.0)))
    assert found == pytest.approx(24 / 25, rel=1e-12)


def test_the_median_over_the_modules():
    """Cosines 1, -1, 0.6: the mean would be 0.2.  Only modules count, and only convolutions."""
    end = network(module(1.0, 0.0), module(2.0), module(3.0, 4.0, scales=[[9.0]]), module())
    start = network(module(5.0, 0.0), module(-1.0), module(1.0, 0.0, scales=[[1.0]]), module())
    assert drift.cosine_with_start(end, start) == pytest.approx(0.6, rel=1e-12)


def test_a_network_at_its_start_and_one_that_forgot_it():
    end, start, other = (models.build("resnet", seed, depth=20) for seed in (0, 0, 1))
    assert drift.cosine_with_start(end, start) == pytest.approx(1, rel=1e-12)
    assert abs(drift.cosine_with_start(other, start)) < 0.05, "two random starts"
    with torch.no_grad():
        for p in end.parameters():
            p *= 0.035  # What decay alone leaves is shorter, and points where it did.
    assert drift.cosine_with_start(end, start) == pytest.approx(1, rel=1e-6)


def test_a_mixture_of_start_and_something_else():
    """a start + b noise of the same size: a / sqrt(a^2 + b^2), but for chance."""
    start, noise = (models.build("resnet", seed, depth=20) for seed in (0, 1))
    mixed = copy.deepcopy(start)
    with torch.no_grad():
        for p, q in zip(mixed.parameters(), noise.parameters(), strict=True):
            p.mul_(0.3).add_(0.4 * q)
    found = drift.cosine_with_start(mixed, start)
    assert found == pytest.approx(0.3 / math.hypot(0.3, 0.4), abs=0.03)


def test_half_precision_is_compared_in_full():
    end, start = network(module(3.0, 4.0)).half(), network(module(4.0, 3.0))
    assert drift.cosine_with_start(end, start) == pytest.approx(24 / 25, rel=1e-12)


def test_no_convolution_at_all():
    bare = network(module(), module())
    with pytest.raises(ValueError, match="no module has a convolution"):
        drift.cosine_with_start(bare, bare)


def test_networks_of_other_lengths():
    with pytest.raises(ValueError, match="shorter"):
        drift.cosine_with_start(network(module(1.0), module(1.0)), network(module(1.0)))


def test_gamma():
    """The mean over all scales of a module, not over its layers."""
    found = drift.gamma_means(
        network(module(scales=[[1.0, 2.0, 3.0], [6.0]]), module(1.0), module(scales=[[0.5]]))
    )
    assert found == [3.0, 0.5]


def test_gamma_of_an_untrained_network():
    assert drift.gamma_means(models.build("resnet", 0, depth=20)) == [1.0] * 9
    plain = models.build("vgg15-plain", 0)
    assert drift.gamma_means(plain) == []
    assert isinstance(plain.blocks[0], PlainLayer)
