"""One image alone, and one left over by groups of 4 and 32: PyTorch takes its layout for another.

Everything is compared with automatic differentiation as anybody would write it, in float64.
"""

from copy import deepcopy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from helpers import combinatorics, gradients, signed
from helpers.layouts import settled
from helpers.network import ResidualModule, ResidualNetwork
from helpers.unravel import unravel

places = pytest.mark.parametrize("at_image", [False, True], ids=["first module", "image"])
counts = pytest.mark.parametrize("count", [1, 5, 33])


class OwnNorm(nn.BatchNorm2d):
    """As SyncBatchNorm and others: a batch norm with a forward of its own."""

    def forward(self, x):
        return super().forward(x) * 1.0


NORMS = {
    "instance norm": lambda c: nn.InstanceNorm2d(c, affine=True),
    "instance norm with statistics": lambda c: nn.InstanceNorm2d(c, track_running_stats=True),
    "own batch norm": OwnNorm,
    "group norm": lambda c: nn.GroupNorm(2, c),
}


def network_of(norm):
    """Three modules, the second of which changes sizes, float64, eval mode."""

    def residual(c_in, c_out, stride):
        return nn.Sequential(
            norm(c_in),
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1),
            norm(c_out),
            nn.ReLU(),
            nn.Conv2d(c_out, c_out, 3, padding=1),
        )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [
            ResidualModule(nn.Identity(), residual(4, 4, 1)),
            ResidualModule(nn.Conv2d(4, 6, 1, stride=2), residual(4, 6, 2)),
            ResidualModule(nn.Identity(), residual(6, 6, 1)),
        ]
        head = nn.Sequential(
            norm(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
        )
        stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), norm(4), nn.ReLU())
        return ResidualNetwork(stem, blocks, head).double().eval()


def autograd(network, images, labels, at_image=False):
    """One image after the other in eval mode, as PyTorch makes it; all together in train mode."""
    network = deepcopy(network)
    whole = network.training
    parts = [(images, labels)] if whole else zip(images.split(1), labels.split(1), strict=True)
    found = []
    for image, label in parts:
        x = image.clone().requires_grad_()
        first = y = network.stem(x)
        for block in network.blocks:
            y = block(y)
        loss = F.cross_entropy(network.head(y), label, reduction="sum")
        found.append(torch.autograd.grad(loss, x if at_image else first)[0])
    return torch.cat(found)


def farthest(found, expected):
    """The largest relative distance of one image's gradient."""
    assert found.shape == expected.shape
    return ((found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)).max()


def some(count, generator):
    images = torch.randn(count, 1, 8, 8, generator=generator, dtype=torch.float64)
    return images, torch.randint(3, (count,), generator=generator)


@counts
@places
@pytest.mark.parametrize("norm", NORMS)
def test_every_engine(norm, count, at_image, generator):
    network, (images, labels) = network_of(NORMS[norm]), some(count, generator)
    expected = autograd(network, images, labels, at_image)
    lengths = gradients.by_length(network, images, labels, at_image=at_image)
    assert farthest(lengths.sum(0), expected) < 1e-12
    assert farthest(gradients.whole(network, images, labels, at_image), expected) < 1e-12
    rows, every = torch.arange(count).repeat_interleave(8), combinatorics.every(3).repeat(count, 1)
    along = gradients.along_paths(network, images, labels, every, at_image, rows)
    assert farthest(along.unflatten(0, (count, 8)).sum(1), expected) < 1e-12
    # The shortest and the longest path are alone, and signs do nothing to them.
    squares = signed.squared_norms(
        network, images, labels, torch.arange(count), generator, at_image=at_image
    )
    alone = gradients.norms(lengths[[0, 3]]).square().T
    assert torch.allclose(squares[:, [0, 3]], alone, rtol=1e-10, atol=0)
    norms = gradients.sampled_norms(network, images, labels, [3], 9, generator, at_image)
    nearest = (norms.T / gradients.norms(lengths[3]) - 1).abs().min(1).values
    assert nearest.max() < 1e-12


@counts
def test_batch_norm_in_train_mode(count, generator):
    """One group, whatever the number."""
    network, (images, labels) = network_of(nn.BatchNorm2d).train(), some(count, generator)
    expected = autograd(network, images, labels)
    found = gradients.by_length(network, images, labels).sum(0)
    assert ((found - expected).norm() / expected.norm()) < 1e-10


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("last", [False, True], ids=["plain", "channels last"])
def test_a_resnet_of_torchvision_in_train_mode(count, last, generator):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.resnet18(num_classes=3).double()
    model.to(memory_format=torch.channels_last if last else torch.contiguous_format)
    images = torch.randn(count, 3, 40, 40, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (count,), generator=generator)
    network = unravel(model.train(), images)
    x = images.clone().requires_grad_()
    F.cross_entropy(deepcopy(model)(x), labels, reduction="sum").backward(inputs=[x])
    found = gradients.by_length(network, images, labels, at_image=True).sum(0)
    assert (found - x.grad).norm() / x.grad.norm() < 1e-9


def test_mobilenet_by_a_hand_list(generator):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.mobilenet_v2(num_classes=3).double().eval()
    images = torch.randn(1, 3, 64, 64, generator=generator, dtype=torch.float64)
    modules, stem = [], [model.features[0]]
    for block in model.features[1:-1]:
        if block.use_res_connect:
            modules.append(ResidualModule(nn.Identity(), block.conv))
        elif not modules:
            stem.append(block)
        else:
            modules.append(ResidualModule(block, Nothing(block)))
    head = nn.Sequential(
        model.features[-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), model.classifier
    )
    network = unravel(model, images, nn.Sequential(*stem), modules, head)
    expected = autograd(network, images, torch.tensor([1]), at_image=True)
    found = gradients.by_length(network, images, torch.tensor([1]), at_image=True).sum(0)
    assert farthest(found, expected) < 1e-12


class Nothing(nn.Module):
    """Zeros of the shape that `block` gives: a module that is all skip."""

    def __init__(self, block):
        super().__init__()
        self.shape_of = [block]

    def forward(self, x):
        return torch.zeros_like(self.shape_of[0](x))


@pytest.mark.parametrize("norm", NORMS)
def test_a_photograph(norm, generator):
    """`image.permute(2, 0, 1)[None]`, as from a file: its batch has the stride of a pixel."""
    network = network_of(NORMS[norm])
    network.stem = nn.Sequential(nn.InstanceNorm2d(1), *network.stem).eval()
    image = torch.randn(8, 8, 1, generator=generator, dtype=torch.float64)
    images, labels = image.permute(2, 0, 1)[None], torch.tensor([2])
    assert images.stride() != settled(images).stride()
    expected = autograd(network, images.contiguous().clone(), labels, at_image=True)
    for found in (
        gradients.whole(network, images, labels, at_image=True),
        gradients.by_length(network, images, labels, at_image=True).sum(0),
    ):
        assert farthest(found, expected) < 1e-12


def test_channels_last(generator):
    """Automatic differentiation alone would be wrong: convolutions hand the one layout to instance
    norm, which takes it for the other."""
    network, (images, labels) = network_of(nn.InstanceNorm2d), some(1, generator)
    expected = autograd(network, images, labels)
    network.to(memory_format=torch.channels_last)
    for found in (
        gradients.whole(network, images, labels),
        gradients.by_length(network, images, labels).sum(0),
    ):
        assert farthest(found, expected) < 1e-12


class Wrong(nn.Module):
    """The identity; on the way back, a gradient that is wrong, as a faulty layer's may be."""

    def forward(self, x):
        class Faulty(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.calls = 0
                return x.clone()

            @staticmethod
            def backward(ctx, g):
                ctx.calls += 1
                return g * (1 + 0.01 * (ctx.calls > 1))

        return Faulty.apply(x)


def test_a_wrong_way_back_is_told(four, images, labels, generator):
    """A layer whose second answer is a hundredth off."""
    four.blocks[1].residual.append(Wrong())
    paths = torch.ones(5, 4, dtype=torch.bool)
    for ask in (
        lambda: gradients.by_length(four, images, labels),
        lambda: gradients.by_length(four, images, labels, 1),
        lambda: gradients.along_paths(four, images, labels, paths),
        lambda: gradients.sampled_norms(four, images, labels, [2], 4, generator),
        lambda: signed.mean_squares(four, images, labels, 2, generator),
    ):
        with pytest.raises(ArithmeticError, match="miss the whole gradient by .*e-0[2-5] of their"):
            ask()
