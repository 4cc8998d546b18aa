"""Modules in bfloat16: what the original computes, up to the rounding of bfloat16."""

import pytest
import torch
from torch import nn

from helpers import models
from helpers.bfloat16 import bfloat16
from helpers.network import HighwayModule, PlainLayer, ResidualModule, Scaled, Subsample


def distance(found, expected):
    """The relative distance of two tensors."""
    return ((found.double() - expected).norm() / expected.norm()).item()


@pytest.fixture
def x(generator):
    """Activations, (6, 8, 9, 7) in float64, already as bfloat16 has them; half are negative."""
    return torch.randn(6, 8, 9, 7, generator=generator).bfloat16().double()


def norm(channels, generator):
    """Batch norm in eval mode whose statistics are not the initial ones."""
    layer = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for values in (layer.weight, layer.bias, layer.running_mean):
            values.copy_(torch.randn(channels, generator=generator))
        layer.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    return layer.eval()


class Doubled(nn.ReLU):
    """A ReLU with a forward of its own."""

    def forward(self, x):
        return 2 * x


def modules(g):
    """One of each kind that is known, and some that are not."""
    conv = nn.Conv2d(8, 8, 3, padding=1)
    pre_activation = nn.Sequential(
        norm(8, g), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), norm(8, g), nn.ReLU(inplace=True), conv
    )
    relu, unfixed = nn.ReLU(), nn.BatchNorm2d(8, track_running_stats=False)
    post_activation = nn.Sequential(conv, norm(8, g), nn.ReLU())
    return {
        "identity": nn.Identity(),
        "convolution": conv,
        "relu first": nn.Sequential(nn.ReLU(), conv),
        "relu after identity": nn.Sequential(nn.Identity(), nn.ReLU()),
        "relu after dropout": nn.Sequential(nn.Dropout(), nn.ReLU()),
        "batch norm": norm(8, g),
        "convolution and batch norm": nn.Sequential(conv, norm(8, g)),
        "batch norm and convolution": nn.Sequential(norm(8, g), conv),
        "pre-activation": pre_activation,
        "post-activation": post_activation,
        "residual": ResidualModule(nn.Identity(), post_activation),
        "scaled": Scaled(post_activation, 0.3),
        "subsample": Subsample(8),
        "plain layer": PlainLayer(nn.MaxPool2d(2), post_activation),
        "highway": HighwayModule(conv, nn.Sequential(conv, nn.Sigmoid())),
        "nested": nn.Sequential(nn.Sequential(norm(8, g), nn.ReLU()), nn.Sequential(conv)),
        "unknown": nn.Sequential(nn.GroupNorm(2, 8), nn.GELU(), nn.Flatten(), nn.Linear(504, 5)),
        "its own forward": nn.Sequential(conv, Doubled()),
        "one layer twice": nn.Sequential(conv, relu, norm(8, g), relu, conv),
        "statistics of the batch": nn.Sequential(conv, unfixed, nn.ReLU()),
    }


@pytest.mark.parametrize("kind", modules(torch.Generator()))
def test_each_kind(x, generator, kind):
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(3)
        module = modules(generator)[kind].eval()
        state = {name: value.clone() for name, value in module.state_dict().items()}
        expected = module.double()(x)
        module.float()
        given = x.bfloat16()
        found = bfloat16(module)(given)
        assert found.dtype == torch.bfloat16
        assert torch.equal(given.double(), x), "the input was overwritten"
        # One rounding to bfloat16 is 0.4% at most; a wrong layer is off by far more.
        assert distance(found, expected) < 0.01
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("negative", [True, False])
def test_nan_is_not_lost(x, negative):
    """Of either sign: a ReLU must not take it for a negative number."""
    module = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU()).eval()
    value = torch.tensor(float("nan"))
    module[0].bias.data[3] = -value if negative else value
    with torch.inference_mode():
        found = bfloat16(module)(x.bfloat16())
    assert found[:, 3].isnan().all() and not found[:, :3].isnan().any()


def test_a_whole_network_is_as_close_as_autocast(generator):
    """Fusing may not cost more accuracy than rounding to bfloat16 does anyway."""
    network = models.build("resnet", 0, depth=56, in_channels=1).eval()
    x = torch.randn(8, 1, 16, 16, generator=generator)
    with torch.inference_mode():
        exact = network.double()(x.double())
        network.float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            by_autocast = distance(network(x), exact)
        y = bfloat16(network.stem)(x.bfloat16())
        for block in network.blocks:
            y = bfloat16(block)(y)
        assert 0 < distance(network.head(y.float()), exact) < 1.5 * by_autocast < 0.05
