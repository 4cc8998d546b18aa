"""What several tests need: small networks, generators, and a look at what must not change."""

import os
import random
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from torch import nn

# Pictures are drawn into memory: there may be no screen.
matplotlib.use("Agg")
import matplotlib.pyplot as plt

from helpers import models
from helpers.network import ResidualModule, ResidualNetwork, Subsample
from study import figures


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """On tensors as small as these, threads would do little but wait for one another."""
    torch.set_num_threads(1)


@pytest.fixture
def generator():
    """A seeded generator on the CPU."""
    return torch.Generator().manual_seed(0)


def draw_batch_norms(network, seed=1):
    """Give every batch norm weights and statistics that differ from those it starts with."""
    generator = torch.Generator().manual_seed(seed)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight.data, part.running_var):
                tensor.copy_(torch.rand(len(tensor), generator=generator) + 0.5)
            for tensor in (part.bias.data, part.running_mean):
                tensor.copy_(torch.randn(len(tensor), generator=generator) * 0.1)
    return network


@pytest.fixture
def new_network():
    """Builds a network of the zoo for grey images, in float64 and eval mode; six modules unless
    told otherwise."""

    def build(model="resnet", **settings):
        settings = {"in_channels": 1} | ({"depth": 14} if model == "resnet" else {}) | settings
        network = models.build(model, seed=0, **settings)
        return draw_batch_norms(network).double().eval()

    return build


@pytest.fixture
def four(generator):
    """Four modules with all kinds of skip connection, float64, eval mode: 16 paths."""

    def residual(c_in, c_out, stride):
        return models.basic_residual(c_in, c_out, stride)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [
            ResidualModule(nn.Identity(), residual(4, 4, 1)),
            ResidualModule(Subsample(2), residual(4, 6, 2)),
            ResidualModule(nn.Identity(), residual(6, 6, 1)),
            ResidualModule(models.conv1x1(6, 8, stride=2), residual(6, 8, 2)),
        ]
        network = ResidualNetwork(models.conv3x3(1, 4), blocks, models.classifier(8, 3))
    return draw_batch_norms(network).double().eval()


@pytest.fixture
def images(generator):
    """Five grey images of 8x8 random pixels, float64."""
    return torch.randn(5, 1, 8, 8, generator=generator, dtype=torch.float64)


@pytest.fixture
def labels():
    """A label for each of `images`."""
    return torch.tensor([0, 2, 1, 1, 0])


def portrait(network):
    """Everything about a network that a measurement must leave alone."""
    tensors = {n: t.detach().clone() for n, t in network.state_dict().items()}
    parts = {n: (id(m), m.training, len(m._forward_hooks)) for n, m in network.named_modules()}
    parameters = {n: (id(p), p.requires_grad) for n, p in network.named_parameters()}
    grads = {n: p.grad if p.grad is None else p.grad.clone() for n, p in network.named_parameters()}
    return tensors, parts, parameters, grads


@pytest.fixture
def ax():
    """Empty axes, as wide as a page of the book."""
    figure, (ax,) = figures.canvas()
    yield ax
    plt.close(figure)


@pytest.fixture
def untouched():
    """A context that fails if weights, statistics, modes or gradients of a network change."""

    def same(a, b):
        return (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))

    @contextmanager
    def check(network):
        before = portrait(network)
        yield
        after = portrait(network)
        assert before[1:3] == after[1:3]
        for old, new in ((before[0], after[0]), (before[3], after[3])):
            assert old.keys() == new.keys()
            assert [n for n in old if not same(old[n], new[n])] == []

    return check


@pytest.fixture
def no_global_draws():
    """Fails a test that draws from, or seeds, a global random generator."""

    def states():
        # ruff's NPY rule is about this generator: here it is only looked at.
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002
        return random.getstate(), torch.get_rng_state().tolist(), (kind, keys.tolist(), *rest)

    before = states()
    yield
    assert states() == before


@pytest.fixture(scope="session")
def cifar_dir():
    """The folder named by DATA_DIR, where it holds the official binary files of CIFAR-10."""
    folder = os.environ.get("DATA_DIR")
    if not folder or not (Path(folder) / "cifar-10-batches-bin").is_dir():
        pytest.skip("needs CIFAR-10: set DATA_DIR to a folder that holds cifar-10-batches-bin")
    return Path(folder)
