"""Many variants at once: what the plain loop finds, from fewer computations."""

import weakref
from math import log2

import numpy as np
import pytest
import torch
from torch import nn

from helpers import lesions, sweep
from helpers.bfloat16 import bfloat16
from helpers.network import (
    HighwayModule,
    Network,
    ResidualModule,
    ResidualNetwork,
    scale_residuals,
)


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


def test_what_cannot_be_swept(new_network, many):
    network, labels = new_network(), torch.zeros(30, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"no images: found shape \(0, 1, 16, 16\)"):
        sweep.predictions([network], many[:0])
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"batch size {size}: expected at least 1"):
            sweep.predictions([network], many, size)
    # One label would be compared with all predictions.
    for wrong in (labels[:29], labels[:1], labels[:, None]):
        with pytest.raises(ValueError, match=r"labels of shape .*: expected \(30,\)"):
            sweep.errors([network], many, wrong)
    flat = ResidualNetwork(nn.Identity(), [], nn.Flatten(0))
    with pytest.raises(ValueError, match="the head returns shape .*: expected logits"):
        sweep.predictions([flat], many)


# Inputs and predictions of any rank.


def residual_network(stem, residual, head, n=4):
    """`n` modules around what `residual` makes, float32 and in eval mode; weights from seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [ResidualModule(nn.Identity(), residual()) for _ in range(n)]
        return ResidualNetwork(stem(), blocks, head()).eval()


def convolutional(convolution, pool):
    """On one channel, in one or three dimensions; four classes."""

    def residual():
        return nn.Sequential(nn.ReLU(), convolution(6, 6, 3, padding=1))

    def head():
        return nn.Sequential(pool(1), nn.Flatten(), nn.Linear(6, 4))

    return residual_network(lambda: convolution(1, 6, 3, padding=1), residual, head)


def perceptron():
    """Vectors of five numbers; four classes."""
    return residual_network(
        lambda: nn.Linear(5, 8),
        lambda: nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU()),
        lambda: nn.Linear(8, 4),
    )


def language_model():
    """Sequences of tokens 0 to 11 in; logits of the token that follows each."""
    return residual_network(
        lambda: nn.Embedding(12, 8),
        lambda: nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU()),
        lambda: nn.Linear(8, 12),
    )


def case(kind, generator):
    """A network and 30 inputs for it."""
    if kind == "tokens":
        return language_model(), torch.randint(12, (30, 7), generator=generator)
    if kind == "vectors":
        return perceptron(), torch.randn(30, 5, generator=generator)
    if kind == "sequences":
        network, shape = convolutional(nn.Conv1d, nn.AdaptiveAvgPool1d), (30, 1, 9)
    else:
        network, shape = convolutional(nn.Conv3d, nn.AdaptiveAvgPool3d), (30, 1, 4, 4, 4)
    return network, torch.randn(shape, generator=generator)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["vectors", "tokens", "sequences", "volumes"])
@torch.no_grad()
def test_inputs_of_any_rank(generator, untouched, kind, precision):
    network, x = case(kind, generator)
    variants = [network, *(lesions.delete(network, [i]) for i in range(4))]
    variants.append(lesions.reorder(network, [3, 1, 2, 0]))
    # Every class is as likely as the others.
    linear = network.head if isinstance(network.head, nn.Linear) else network.head[-1]
    linear.bias -= torch.stack([v(x) for v in variants]).flatten(0, -2).mean(0)
    expected = torch.stack([v(x).argmax(-1) for v in variants])
    with untouched(network):
        found = sweep.predictions(variants, x, batch_size=8, precision=precision)
    assert found.shape == expected.shape and found.dtype == torch.int64
    assert len(expected.flatten(1).unique(dim=0)) == len(variants), "the variants differ"
    if precision == "float32":
        assert (found == expected).double().mean() > 0.99
    else:
        assert (found == expected).double().mean() > 0.9, "rounding alone"
    labels = torch.randint(4, expected.shape[1:], generator=generator)
    shares = (found != labels).flatten(1).double().mean(1).tolist()
    assert sweep.errors(variants, x, labels, 8, precision=precision) == pytest.approx(shares)


def test_errors_of_tokens(generator):
    """The share of wrong predictions of all tokens, not of sequences: by hand 3 of 30 x 7."""
    network, x = case("tokens", generator)
    labels = sweep.predictions([network], x)[0]
    for row, token in ((0, 1), (0, 2), (29, 6)):
        labels[row, token] += 1
    assert sweep.errors([network], x, labels) == [pytest.approx(3 / 210)]
    with pytest.raises(ValueError, match=r"labels of shape \(30,\): expected \(30, 7\)"):
        sweep.errors([network], x, labels[:, 0])


# What is not a number is no prediction.


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_nan_in_one_weight(new_network, many, value, precision):
    """Only the variant without that module has predictions; the first that has not is named."""
    network = new_network().float()
    network.blocks[1].residual[-1].weight.data[0, 0] = value
    without = lesions.delete(network, [1])
    labels = torch.zeros(30, dtype=torch.int64)
    assert sweep.predictions([without], many.float(), precision=precision).shape == (1, 30)
    with pytest.raises(ArithmeticError, match="variant 1, 2: logits of images 0 to 29"):
        sweep.errors([without, network, network], many.float(), labels, precision=precision)


def test_a_nan_in_one_image(new_network, many):
    many[17, 0, 3, 3] = float("nan")
    with pytest.raises(ArithmeticError, match="variant 0: logits of images 16 to 23"):
        sweep.predictions([new_network()], many, 8)


def test_classes_that_are_ruled_out(many):
    """A logit of minus infinity is never the largest, and the others decide."""

    class RuleOut(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :4].index_fill(1, torch.tensor([2]), -float("inf"))

    network = ResidualNetwork(nn.Identity(), [], RuleOut())
    found = sweep.predictions([network], many)
    assert torch.equal(found[0], network(many).argmax(1)) and set(found[0].tolist()) == {0, 1, 3}
    many[4] = -float("inf")
    with pytest.raises(ArithmeticError, match="variant 0"):
        sweep.predictions([network], many)


@pytest.mark.parametrize(
    "only_a, only_b, p",
    [(0, 0, 1), (3, 3, 1), (1, 0, 1), (0, 5, 2 / 32), (9, 1, 22 / 1024), (1, 9, 22 / 1024)],
)
def test_mcnemar(only_a, only_b, p):
    """By hand: twice the tail of Binomial(only_a + only_b, 1/2); the rest does not count."""
    right_a = torch.tensor([True] * 7 + [False] * 4 + [True] * only_a + [False] * only_b)
    right_b = torch.tensor([True] * 7 + [False] * 4 + [False] * only_a + [True] * only_b)
    assert sweep.mcnemar(right_a, right_b) == pytest.approx(p, rel=1e-12)


def test_mcnemar_of_what_is_not_paired():
    """Of integers, ~ would be another number, not the opposite."""
    right = torch.tensor([True, False])
    for other in (right.long(), right[:1]):
        with pytest.raises(ValueError, match="expected two bool tensors of one shape"):
            sweep.mcnemar(right, other)


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


@pytest.mark.parametrize("value", [float("nan"), 1.01, -0.01])
def test_a_gate_that_is_none(highway, many, value):
    highway.blocks[3].gate.register_forward_hook(lambda *call: torch.full_like(call[2], value))
    with pytest.raises(ArithmeticError, match="gate of module 3 is nan or outside"):
        sweep.gates(highway, many)


def test_gates_of_vectors(generator):
    """A highway network of linear layers (Srivastava et al. 2015), and no images at all."""
    blocks = [
        HighwayModule(nn.Linear(5, 5), nn.Sequential(nn.Linear(5, 5), nn.Sigmoid()))
        for _ in range(3)
    ]
    network = Network(nn.Identity(), blocks, nn.Identity()).double()
    x = torch.randn(30, 5, generator=generator, dtype=torch.float64)
    means = [t.mean() for t in gates_at_once(network, x)]
    assert sweep.gates(network, x, 7)["mean"] == pytest.approx(means, rel=1e-12)
    with pytest.raises(ValueError, match="no images"):
        sweep.gates(network, x[:0])


def test_a_network_without_gates(new_network, many):
    with pytest.raises(TypeError, match="expected a highway network"):
        sweep.gates(new_network(), many)
