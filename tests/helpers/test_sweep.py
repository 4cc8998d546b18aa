"""Many variants at once: what the plain loop finds, from fewer computations."""

import weakref
from math import log2

import numpy as np
import pytest
import torch
from torch import nn

from helpers import lesions, sweep
from helpers.bfloat16 import bfloat16
from helpers.network import ResidualModule, ResidualNetwork, scale_residuals


@pytest.fixture
def many(generator):
    """Thirty images of 16x16 random pixels, float64; batches of eight leave a rest."""
    return torch.randn(30, 1, 16, 16, generator=generator, dtype=torch.float64)


@torch.no_grad()
def tell_apart(variants, images):
    """Make the classes equally likely, on average over variants and images: an untrained network
    would predict one class for all."""
    logits = torch.cat([v(images) for v in variants])
    linear = variants[0].head[-1]
    linear.bias -= logits.mean(0)
    for tensor in (linear.weight, linear.bias):
        tensor /= logits.std(0).view(-1, *[1] * (tensor.dim() - 1))


def variants_of(network, generator):
    """The network, every single deletion, random deletions and reorderings, scaled residuals."""
    n = len(network.blocks)
    variants = [network]
    variants += [lesions.delete(network, [i]) for i in range(n)]
    for _ in range(4):
        gone = torch.randperm(n, generator=generator)[: n // 2].tolist()
        variants.append(lesions.delete(network, gone))
        order = lesions.swapped(network, 3, generator)
        variants.append(lesions.reorder(network, order))
    variants.append(lesions.delete(network, list(range(n))))
    if isinstance(network, ResidualNetwork):
        variants.append(scale_residuals(network, [0.5] * n))
    return variants


@torch.no_grad()
def one_by_one(variants, images, batch_size):
    """The plain loop over variants and batches."""
    return torch.stack(
        [torch.cat([v(x).argmax(1) for x in images.split(batch_size)]) for v in variants]
    )


@pytest.mark.parametrize(
    "model, settings, dtype",
    [
        ("resnet", {"depth": 20}, torch.float64),
        ("resnet", {"shortcuts": "projection"}, torch.float32),
        ("resnet", {"depth": 20, "shortcuts": "shared"}, torch.float32),
        ("vgg15", {}, torch.float32),
    ],
)
def test_equal_to_the_plain_loop(new_network, many, generator, model, settings, dtype):
    network, images = new_network(model, **settings).to(dtype), many.to(dtype)
    variants = variants_of(network, generator)
    tell_apart(variants, images)
    found = sweep.predictions(variants, images, batch_size=8)
    assert found.dtype == torch.int64 and found.shape == (len(variants), 30)
    assert torch.equal(found, one_by_one(variants, images, 8))
    assert len(found.unique(dim=0)) > len(variants) // 3, "the variants differ"


def test_equal_to_the_plain_loop_in_bfloat16(new_network, many, generator):
    """The plain loop: the same modules in bfloat16, one variant after the other."""
    network, images = new_network().float().eval(), many.float()
    variants = variants_of(network, generator)
    tell_apart(variants, images)
    reached = []
    handle = network.head.register_forward_pre_hook(lambda _, x: reached.append(x[0].clone()))
    found = sweep.predictions(variants, images, batch_size=8, precision="bfloat16")
    handle.remove()
    assert all(torch.equal(x, x.bfloat16().float()) and x.dtype == torch.float32 for x in reached)
    with torch.inference_mode():
        for variant, classes in zip(variants, found, strict=True):
            x = bfloat16(network.stem)(images.bfloat16().to(memory_format=torch.channels_last))
            for block in variant.blocks:
                x = bfloat16(block)(x)
            assert torch.equal(network.head(x.float()).argmax(1), classes)
    assert len(found.unique(dim=0)) > len(variants) // 3, "the variants differ"
    in_full = sweep.predictions(variants, images, batch_size=8)
    assert (found == in_full).double().mean() > 0.8, "rounding alone"


def test_logits_are_bit_identical(new_network, many, generator):
    """Also what the predictions alone would not show."""
    network = new_network(depth=20)
    variants = variants_of(network, generator)
    reached = []
    handle = network.head.register_forward_hook(lambda *call: reached.append(call[2].clone()))
    sweep.predictions(variants, many)
    handle.remove()
    with torch.no_grad():
        expected = {v(many).numpy().tobytes() for v in variants}
    assert {logits.numpy().tobytes() for logits in reached} == expected


def prefixes(variants):
    """By brute force: the distinct beginnings of all sequences of modules, identities left out."""
    found = set()
    for variant in variants:
        ids = [id(b) for b in variant.blocks if not isinstance(b, nn.Identity)]
        found |= {tuple(ids[:length]) for length in range(1, len(ids) + 1)}
    return found


def test_each_shared_prefix_is_computed_once(new_network, many, generator):
    network = new_network(depth=20)
    variants = variants_of(network, generator)
    calls, handles = [], []
    blocks = {id(b): b for v in variants for b in v.blocks if isinstance(b, ResidualModule)}
    for block in blocks.values():
        handles.append(block.register_forward_hook(lambda part, *_: calls.append(id(part))))
    stems = []
    handles.append(network.stem.register_forward_hook(lambda *_: stems.append(1)))
    sweep.predictions(variants, many, batch_size=8)
    for handle in handles:
        handle.remove()
    ends = [prefix[-1] for prefix in prefixes(variants) if prefix[-1] in blocks]
    assert sorted(calls) == sorted(ends * 4), "four batches"
    assert len(stems) == 4
    assert len(ends) < 0.7 * sum(len(v.blocks) for v in variants)


def test_equal_variants_are_computed_once(new_network, many):
    """A module deleted is the same as none there, and order of deletion does not matter."""
    network = new_network(depth=20)
    twice = [lesions.delete(network, m) for m in ([1, 4], [4, 1], [1, 4, 4])]
    calls = []
    handle = network.head.register_forward_hook(lambda *_: calls.append(1))
    found = sweep.predictions(twice, many)
    handle.remove()
    assert len(calls) == 1
    assert (found == found[0]).all()


@pytest.mark.parametrize("n", [9, 27])
def test_few_activations_are_held_at_a_time(new_network, many, n):
    """No more than the logarithm of the number of variants, and the one just computed."""
    network = new_network(depth=2 * n + 2)
    variants = [lesions.delete(network, [i]) for i in range(n)]
    variants += [lesions.delete(network, [i, j]) for i in range(n) for j in range(i)]
    alive, most = weakref.WeakSet(), 0

    def count(part, inputs, output):
        nonlocal most
        alive.add(output)
        most = max(most, len(alive))

    handles = [b.register_forward_hook(count) for b in network.blocks]
    sweep.predictions(variants, many[:2])
    for handle in handles:
        handle.remove()
    assert 3 <= most <= log2(len(variants)) + 2


@pytest.mark.usefixtures("no_global_draws")
@pytest.mark.parametrize("training", [True, False])
def test_evaluated_in_eval_mode_and_put_back(new_network, many, generator, untouched, training):
    """The variants are left as they were, too: one may have been set to another mode."""
    network = new_network()
    variants = variants_of(network, generator)
    expected = sweep.predictions(variants, many)
    network.train(training)
    network.blocks[1].residual[0].train(not training)
    variants = variants_of(network, torch.Generator().manual_seed(0))
    own = [v.training for v in variants]
    with untouched(network):
        found = sweep.predictions(variants[:7], many)
    assert [v.training for v in variants] == own
    assert torch.equal(found, expected[:7])


def test_put_back_after_an_error(new_network, many, untouched):
    class Fails(nn.Module):
        def forward(self, x):
            raise ArithmeticError("as asked")

    network = new_network().train()
    view = network.with_blocks([*network.blocks, Fails()])
    with untouched(network), pytest.raises(ArithmeticError, match="as asked"):
        sweep.predictions([network, view], many)
    assert view.training


def test_errors(new_network, many, generator):
    network = new_network()
    variants = variants_of(network, generator)
    labels = torch.randint(10, (30,), generator=generator)
    found = sweep.errors(variants, many, labels, batch_size=7)
    predicted = one_by_one(variants, many, 7)
    expected = [sum(p != t for p, t in zip(row, labels, strict=True)) / 30 for row in predicted]
    assert found == pytest.approx([float(e) for e in expected])
    assert sweep.errors([network], many, predicted[0]) == [0.0]
    assert sweep.errors([network], many, (predicted[0] + 1) % 10) == [1.0]


def test_progress(new_network, many):
    seen = []
    sweep.predictions([new_network()], many, 8, progress=lambda *counts: seen.append(counts))
    assert seen == [(8, 30), (16, 30), (24, 30), (30, 30)]


def test_variants_of_different_networks(new_network, many):
    with pytest.raises(ValueError, match="expected views of one network"):
        sweep.predictions([new_network(), new_network()], many)
    with pytest.raises(ValueError, match="no variants"):
        sweep.predictions([], many)
    with pytest.raises(ValueError, match="precision 'float16'"):
        sweep.predictions([new_network()], many, precision="float16")


@pytest.mark.parametrize(
    "only_a, only_b, p",
    [(0, 0, 1), (3, 3, 1), (1, 0, 1), (0, 5, 2 / 32), (9, 1, 22 / 1024), (1, 9, 22 / 1024)],
)
def test_mcnemar(only_a, only_b, p):
    """By hand: twice the tail of Binomial(only_a + only_b, 1/2); the rest does not count."""
    right_a = torch.tensor([True] * 7 + [False] * 4 + [True] * only_a + [False] * only_b)
    right_b = torch.tensor([True] * 7 + [False] * 4 + [False] * only_a + [True] * only_b)
    assert sweep.mcnemar(right_a, right_b) == pytest.approx(p, rel=1e-12)


# The gates of a highway network.


@pytest.fixture
def highway(new_network):
    """Six modules whose gates are open to very different degrees, float64."""
    network = new_network("highway", depth=14)
    for i, block in enumerate(network.blocks):
        block.gate[-2].bias.data.fill_(2.0 * i - 6)
    return network


@torch.no_grad()
def gates_at_once(network, images):
    """The values of each module's gate on all images in one batch, by Eq 3."""
    found, x = [], network.stem(images)
    for block in network.blocks:
        t = block.gate(x)
        found.append(t.flatten().numpy())
        x = block.transform(x) * t + block.skip(x) * (1 - t)
    return found


@pytest.mark.parametrize("batch_size", [7, 30, 128])
def test_gates_are_those_of_all_images_at_once(highway, many, batch_size):
    """The last of five batches holds two images and weighs as much as that."""
    found = sweep.gates(highway, many, batch_size)
    values = gates_at_once(highway, many)
    assert found["mean"] == pytest.approx([t.mean() for t in values], rel=1e-12)
    half_a_bin = 0.5 / sweep.BINS + 1e-12
    for name, share in (("p10", 0.1), ("p90", 0.9)):
        expected = [np.quantile(t, share, method="inverted_cdf") for t in values]
        assert found[name] == pytest.approx(expected, rel=0, abs=half_a_bin)
    assert found["mean"][0] < 0.1 and found["mean"][-1] > 0.9


def test_gates_that_are_shut_or_open(highway, many):
    """The ends of [0, 1] are in the first and in the last bin."""
    for block, bias in zip(highway.blocks, (-1000, 1000) * 3, strict=True):
        block.gate[-2].bias.data.fill_(bias)
    found = sweep.gates(highway, many)
    assert found["mean"] == [0, 1] * 3
    middle = 0.5 / sweep.BINS
    assert found["p10"] == found["p90"] == [middle, 1 - middle] * 3


@pytest.mark.parametrize("training", [True, False])
def test_gates_are_measured_in_eval_mode_and_nothing_moves(highway, many, untouched, training):
    expected = sweep.gates(highway, many)
    highway.train(training)
    highway.blocks[1].gate.train(not training)
    with untouched(highway):
        assert sweep.gates(highway, many) == expected


def test_modes_are_put_back_where_a_gate_fails(highway, many, untouched):
    def fails(*_):
        raise ArithmeticError("as asked")

    highway.train().blocks[3].gate.register_forward_hook(fails)
    with untouched(highway), pytest.raises(ArithmeticError, match="as asked"):
        sweep.gates(highway, many)


def test_no_more_than_a_batch_is_looked_at_at_once(highway, many):
    sizes = []
    highway.stem.register_forward_hook(lambda _, x, y: sizes.append(len(x[0])))
    sweep.gates(highway, many, 8)
    assert sizes == [8, 8, 8, 6]


def test_a_network_without_gates(new_network, many):
    with pytest.raises(TypeError, match="expected a highway network"):
        sweep.gates(new_network(), many)
