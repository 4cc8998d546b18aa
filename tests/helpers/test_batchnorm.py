"""Batch norm's statistics and scales, exchanged: nothing else may move."""

import pytest
import torch
from torch import nn

from helpers import batchnorm, models
from study.training import recipes
from study.training.recipes import TrainConfig
from tests.conftest import draw_batch_norms


def one_layer(channels=2):
    """A batch norm and nothing else, float64."""
    return nn.Sequential(nn.BatchNorm2d(channels)).double()


@pytest.fixture
def batches(generator):
    """Ten images of two channels whose pixels become larger and wilder from image to image."""
    size = torch.arange(1, 11, dtype=torch.float64)[:, None, None, None]
    return size * (torch.randn(10, 2, 3, 3, generator=generator, dtype=torch.float64) + 1)


def moments(x):
    """Mean and unbiased variance of each channel of one batch."""
    return x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=True)


def test_statistics_are_averages_over_whole_batches(batches):
    """Two batches of four; the last two images fill none."""
    found = batchnorm.with_statistics_of(one_layer(), batches, batch_size=4)[0]
    means, variances = zip(*map(moments, (batches[:4], batches[4:8])), strict=True)
    assert torch.allclose(found.running_mean, sum(means) / 2, rtol=1e-12, atol=0)
    assert torch.allclose(found.running_var, sum(variances) / 2, rtol=1e-12, atol=0)
    pooled = moments(batches[:8])[1]
    assert not torch.allclose(found.running_var, pooled, rtol=0.01)


def test_a_batch_is_128_images_unless_told_otherwise(generator):
    x = torch.randn(300, 2, 2, 2, generator=generator, dtype=torch.float64)
    x *= torch.linspace(1, 3, 300)[:, None, None, None]
    default, same, other = (
        batchnorm.with_statistics_of(one_layer(), x, *size)[0].running_var
        for size in ((), (128,), (64,))
    )
    assert torch.equal(default, same) and not torch.equal(default, other)


def test_a_layer_sees_what_the_one_before_makes_of_the_batch(batches):
    """As in training: each batch comes out of the first with its learned bias and scale, but for
    the epsilon under the root, so the statistics of the second are known."""
    network = draw_batch_norms(nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2))).double()
    first, second = batchnorm.with_statistics_of(network, batches, batch_size=4)
    count, expected = 4 * 3 * 3, 0
    for batch in (batches[:4], batches[4:8]):
        variance = batch.var((0, 2, 3), unbiased=False)
        expected += first.weight**2 * variance / (variance + first.eps) * count / (count - 1) / 2
    assert torch.allclose(second.running_mean, first.bias, rtol=1e-9, atol=1e-9)
    assert torch.allclose(second.running_var, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_only_statistics_move_and_only_in_the_copy(new_network, untouched, generator, training):
    network = new_network(depth=8).train(training)
    for part in batchnorm.norms(network):
        part.momentum = 0.3
    x = torch.randn(8, 1, 8, 8, generator=generator, dtype=torch.float64)
    with untouched(network):
        copy = batchnorm.with_statistics_of(network, x, batch_size=4)
    assert not any(part.training for part in copy.modules())
    assert {part.momentum for part in batchnorm.norms(copy)} == {0.3}
    before, after = network.state_dict(), copy.state_dict()
    moved = {name.split(".")[-1] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


def test_old_statistics_leave_no_trace(new_network, generator):
    x = torch.randn(8, 1, 8, 8, generator=generator, dtype=torch.float64)
    network = new_network(depth=8)
    once = batchnorm.with_statistics_of(network, x, batch_size=4).state_dict()
    for part in batchnorm.norms(network):
        part.running_mean.fill_(100)
        part.running_var.fill_(100)
        part.num_batches_tracked.fill_(50)  # As after training; it is what weighs the first batch.
    again = batchnorm.with_statistics_of(network, x, batch_size=4).state_dict()
    assert [name for name in once if not torch.equal(once[name], again[name])] == []
    assert {int(t) for name, t in again.items() if "tracked" in name} == {2}


def test_statistics_of_a_view(new_network, untouched, generator):
    """All modules active, residuals scaled by one in three: what the second module then gets."""
    network, x = new_network(depth=8), torch.randn(8, 1, 8, 8, generator=generator).double()
    view = recipes.at_test_time(TrainConfig(active=1), network)
    with untouched(network), untouched(view):
        anew = batchnorm.with_statistics_of(view, x, batch_size=8)
    assert len(batchnorm.norms(anew)) == len(batchnorm.norms(network)) == 7
    first = network.blocks[0].train()
    with torch.no_grad():
        y = network.stem(x)
        mean, variance = moments(first.skip(y) + first.residual(y) / 3)
    found = batchnorm.norms(anew.blocks[1])[0]
    assert torch.allclose(found.running_mean, mean, rtol=1e-9, atol=1e-12)
    assert torch.allclose(found.running_var, variance, rtol=1e-9, atol=0)


def test_too_few_images_for_a_batch(batches):
    with pytest.raises(ValueError, match="10 images: expected at least a batch of 11"):
        batchnorm.with_statistics_of(one_layer(), batches, batch_size=11)
    batchnorm.with_statistics_of(one_layer(), batches, batch_size=10)


def test_a_network_without_batch_norm(new_network, generator):
    network = new_network("vgg15-plain")
    x = torch.randn(2, 1, 16, 16, generator=generator).double()
    with pytest.raises(ValueError, match="no batch norm"):
        batchnorm.with_statistics_of(network, x, batch_size=2)
    with pytest.raises(ValueError, match="no batch norm"):
        batchnorm.with_scales_of(network, network)


@pytest.mark.parametrize("training", [True, False])
def test_only_scales_move(new_network, untouched, training):
    network = new_network(depth=8).train(training)
    other = draw_batch_norms(models.build("resnet", 5, depth=8, in_channels=1), 2).double()
    with untouched(network), untouched(other):
        mixed = batchnorm.with_scales_of(network, other)
    assert all(part.training is training for part in mixed.modules())
    scales = [f"{n}.weight" for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    mine, theirs, found = (net.state_dict() for net in (network, other, mixed))
    for name, tensor in found.items():
        source = theirs if name in scales else mine
        assert torch.equal(tensor, source[name]), name
    assert len(scales) == 7
    assert not any(torch.equal(mine[name], theirs[name]) for name in scales)


@pytest.mark.parametrize("settings", [{"depth": 14}, {"model": "vgg15"}])
def test_scales_of_another_architecture(new_network, untouched, settings):
    network, other = new_network(depth=8), new_network(**settings)
    with untouched(network), pytest.raises(ValueError, match="expected one architecture"):
        batchnorm.with_scales_of(network, other)


def test_the_same_batch_norms_around_other_shortcuts(new_network):
    """A network with projections and one without have the same batch norms."""
    bare, projecting = (new_network(depth=8, shortcuts=s) for s in ("subsample", "projection"))
    widths = [[part.num_features for part in batchnorm.norms(n)] for n in (bare, projecting)]
    assert widths[0] == widths[1]
    differs = "blocks.1.skip.weight is {} in the one that gives its scales, {} in the other"
    for network, other, said in (
        (bare, projecting, differs.format((32, 16, 1, 1), "missing")),
        (projecting, bare, differs.format("missing", (32, 16, 1, 1))),
    ):
        with pytest.raises(ValueError) as caught:
            batchnorm.with_scales_of(network, other)
        assert said in str(caught.value) and "expected one architecture" in str(caught.value)


def test_as_many_batch_norms_of_other_widths():
    one, other = (nn.Sequential(nn.BatchNorm2d(c)) for c in (2, 3))
    with pytest.raises(ValueError, match="expected one architecture"):
        batchnorm.with_scales_of(one, other)
