"""What a skip connection does to the shape: by the types of its layers, or measured."""

import pytest
import torch
from torch import nn

from helpers import lesions, models, stages
from helpers.network import ResidualModule, ResidualNetwork

CHANNELS = 4


def network_of(skips):
    blocks = [ResidualModule(skip, nn.Identity()) for skip in skips]
    return ResidualNetwork(nn.Identity(), blocks, nn.Identity())


def made(kind):
    """A layer of this kind for inputs (B, 4, 4) or, in two and three dimensions, (B, 4, 4, ...)."""
    needs = {
        nn.GroupNorm: (2, CHANNELS),
        nn.LocalResponseNorm: (2,),
        nn.Threshold: (0.1, 0.0),
        nn.LayerNorm: (CHANNELS,),
        nn.RMSNorm: (CHANNELS,),
    }
    normalised = kind in stages.NORMS and kind not in needs
    return kind(*(needs.get(kind) or ((CHANNELS,) if normalised else ()))).eval()


def dimensions(kind):
    return int(kind.__name__[-2]) if kind.__name__.endswith(("1d", "2d", "3d")) else 1


@pytest.mark.parametrize("kind", sorted(stages.KEEP_SHAPE, key=lambda kind: kind.__name__))
def test_the_layers_that_keep_the_shape_do(kind):
    """Each type in the list on an input that fits it; two such modules can change places."""
    x = torch.rand(2, CHANNELS, *[4] * dimensions(kind))
    network = network_of([made(kind), made(kind)])
    assert network.blocks[0].skip(x).shape == x.shape
    for images in (None, x):
        assert lesions.downsampling(network, images) == []
        assert lesions.stages(network, images) == [[0, 1]]
        assert lesions.reorder(network, [1, 0], images).blocks[0] is network.blocks[1]


@pytest.mark.parametrize(
    "layer",
    [nn.GLU(), nn.MaxPool1d(2), nn.Conv1d(4, 8, 1), nn.Flatten(), nn.Upsample(scale_factor=2)],
)
def test_layers_that_change_the_shape(layer):
    x = torch.rand(2, CHANNELS, 4)
    assert layer(x).shape != x.shape
    network = network_of([nn.Identity(), nn.Sequential(nn.ReLU(), layer)])
    network.blocks[1].residual = layer
    for images in (None, x):
        assert lesions.downsampling(network, images) == [1]
        assert lesions.stages(network, images) == [[0]]


class Mine(nn.Module):
    """A layer that nobody knows."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return x[..., :: self.step]


def test_unknown_layers_are_measured(untouched, generator):
    """Without images they may change the shape; with some they do or do not."""
    network = network_of([Mine(1), Mine(1), Mine(2), Mine(1), nn.Identity()])
    network.blocks[2].residual = Mine(2)
    x = torch.rand(1, 3, 8)
    assert lesions.downsampling(network) == [0, 1, 2, 3]
    assert lesions.stages(network) == [[4]]
    with untouched(network):
        assert lesions.downsampling(network, x) == [2]
        assert lesions.stages(network, x) == [[0, 1], [3], [4]]
    with pytest.raises(ValueError, match="not compatible"):
        lesions.reorder(network, [1, 0, 2, 3, 4])
    assert lesions.reorder(network, [1, 0, 2, 3, 4], x).blocks[0] is network.blocks[1]
    assert lesions.swapped(network, 1, generator, x) == [1, 0, 2, 3, 4]
    # Of 10 pairs one can be out of order.
    assert lesions.lowest_tau(network, x) == pytest.approx(1 - 2 / 10)
    assert lesions.orders_over_tau(network, 2, generator, images=x)[1] == [1, 0, 2, 3, 4]


def test_a_subclass_is_another_layer():
    """Its forward may be its own."""

    class Halves(nn.ReLU):
        def forward(self, x):
            return x[..., ::2]

    network = network_of([Halves()])
    network.blocks[0].residual = Halves()
    assert lesions.downsampling(network) == lesions.downsampling(network, torch.rand(1, 8)) == [0]


@pytest.mark.parametrize("shortcuts", models.SHORTCUTS)
@pytest.mark.parametrize("training", [True, False])
def test_measured_is_told(new_network, images, untouched, shortcuts, training):
    """On networks of known layers both ways agree, and neither moves statistics or modes."""
    network = new_network(depth=20, shortcuts=shortcuts).train(training)
    with untouched(network):
        assert lesions.downsampling(network, images) == lesions.downsampling(network) == [3, 6]
        assert lesions.stages(network, images) == lesions.stages(network)
