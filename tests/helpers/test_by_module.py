"""Shares of modules: closed forms, then brute force over all paths, then an identity."""

from math import prod

import pytest
import torch
from torch import nn

from helpers import by_module, combinatorics, gradients, lesions
from helpers.network import ResidualModule, ResidualNetwork, scale_residuals
from tests.toys import toy

places = pytest.mark.parametrize("at_image", [False, True], ids=["first module", "image"])


def brute_force(network, images, labels, at_image=False):
    """<g_i, g> by adding up the paths that enter each module: (n, B); <g, g>: (B,)."""
    n, count = len(network.blocks), len(images)
    every = combinatorics.every(n)
    by_path = torch.stack(
        [
            gradients.along_paths(network, images, labels, p.expand(count, n), at_image)
            for p in every
        ]
    ).flatten(2)
    g = by_path.sum(0)
    entering = torch.stack([by_path[every[:, i]].sum(0) for i in range(n)])
    return (entering * g).sum(2), (g * g).sum(1)


def mean_length(network, images, labels, at_image=False):
    """Sum over k of k times the share of length k, of the batch and of each image."""
    lengths = gradients.by_length(network, images, labels, at_image=at_image)
    k = torch.arange(len(lengths), dtype=torch.float64)
    return k @ gradients.shares(lengths), k @ gradients.shares_by_image(lengths)


def test_toy(generator):
    """Of the module's factor 1 + a, the residual has a."""
    factors = [0.5, -0.3, 0.2, 1.5]
    x = torch.randn(3, 4, 1, 1, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 3, 1])
    shares, each = by_module.module_shares(toy(factors), x, labels)
    expected = torch.tensor([a / (1 + a) for a in factors], dtype=torch.float64)
    assert torch.allclose(shares, expected, rtol=1e-12, atol=0)
    assert torch.allclose(each, expected[:, None].expand(4, 3), rtol=1e-12, atol=0)
    products, squares = by_module.module_products(toy(factors), x, labels)
    logits = x.flatten(1) * prod(1 + a for a in factors)
    top = logits.softmax(1) - nn.functional.one_hot(labels, 4)
    size = top.square().sum(1) * prod((1 + a) ** 2 for a in factors)
    assert torch.allclose(squares, size, rtol=1e-12, atol=0)
    assert torch.allclose(products, expected[:, None] * size, rtol=1e-12, atol=0)


@places
def test_brute_force(four, images, labels, at_image):
    """Five images, a group of four and one alone; sixteen paths."""
    products, squares = brute_force(four, images, labels, at_image)
    found = by_module.module_products(four, images, labels, at_image)
    assert torch.allclose(found[0], products, rtol=1e-10, atol=1e-12 * float(squares.max()))
    assert torch.allclose(found[1], squares, rtol=1e-12, atol=0)
    shares, each = by_module.module_shares(four, images, labels, at_image)
    assert torch.allclose(shares, products.sum(1) / squares.sum(), rtol=1e-9, atol=1e-12)
    assert torch.allclose(each, products / squares, rtol=1e-9, atol=1e-12)
    assert (each[:, :1] - each[:, 1:]).abs().max() > 0.01


@places
@pytest.mark.parametrize("view", ["whole", "deleted", "deleted downsampling", "scaled"])
def test_they_add_up_to_the_mean_path_length(new_network, images, labels, at_image, view):
    network = new_network(shortcuts="projection")
    network = {
        "whole": lambda: network,
        "deleted": lambda: lesions.delete(network, [1, 3]),
        "deleted downsampling": lambda: lesions.delete(network, [2]),
        "scaled": lambda: scale_residuals(network, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]),
    }[view]()
    shares, each = by_module.module_shares(network, images, labels, at_image)
    of_all, of_each = mean_length(network, images, labels, at_image)
    assert torch.allclose(shares.sum(), of_all, rtol=1e-10, atol=0)
    assert torch.allclose(each.sum(0), of_each, rtol=1e-10, atol=0)
    assert [i for i, share in enumerate(shares) if share == 0] == (
        [1, 3] if view == "deleted" else [2] if view == "deleted downsampling" else []
    )


def test_54_modules_in_float32(new_network, images, labels):
    network, few = new_network(depth=110), (images[:2], labels[:2])
    exact = by_module.module_shares(network, *few)[0]
    assert torch.allclose(exact.sum(), mean_length(network, *few)[0], rtol=1e-9, atol=0)
    found = by_module.module_shares(network.float(), few[0].float(), few[1])[0]
    assert found.dtype == torch.float64
    assert (found - exact).norm() / exact.norm() < 1e-3


@places
def test_layers_that_are_carried_back_automatically(images, labels, at_image):
    """Tokens, (B, T, D): the way back is differentiated, too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [
            ResidualModule(skip, nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU()))
            for skip in (nn.Linear(8, 8), nn.Identity(), nn.SiLU())
        ]
        head = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        network = ResidualNetwork(nn.Flatten(1, 2), blocks, head).double().eval()
    products, squares = brute_force(network, images, labels, at_image)
    found = by_module.module_products(network, images, labels, at_image)
    assert torch.allclose(found[0], products, rtol=1e-9, atol=1e-12 * float(squares.max()))
    assert torch.allclose(found[1], squares, rtol=1e-12, atol=0)


def test_no_modules(four, images, labels):
    empty = ResidualNetwork(four.stem, [], nn.Sequential(nn.Flatten(), nn.Linear(256, 3))).double()
    products, squares = by_module.module_products(empty.eval(), images, labels)
    assert products.shape == (0, 5) and (squares > 0).all()


def test_the_network_is_left_as_it_was(four, images, labels, untouched):
    seen = []
    with untouched(four):
        by_module.module_products(
            four, images, labels, progress=lambda *counts: seen.append(counts)
        )
    assert seen == [(i, 8) for i in range(1, 9)]


def test_train_mode(four, images, labels):
    with pytest.raises(ValueError, match="shares of modules need eval mode"):
        by_module.module_shares(four.train(), images, labels)
