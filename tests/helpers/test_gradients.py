"""Gradients along paths: closed forms, then brute force over all paths, then identities."""

from copy import deepcopy
from itertools import product
from math import comb, prod

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import combinatorics, gradients, lesions
from helpers.linearised import Linearised
from helpers.losses import SCALE
from helpers.network import ResidualModule, ResidualNetwork, scale_residuals
from tests.toys import Times, symmetric, toy

modes = pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
places = pytest.mark.parametrize("at_image", [False, True], ids=["first module", "image"])


def toy_gradient(factors, x, labels):
    """The gradient at the logits of `toy`: softmax minus one-hot, (B, classes, 1, 1)."""
    logits = x.flatten(1) * prod(1 + a for a in factors)
    return (logits.softmax(1) - F.one_hot(labels, x.shape[1]))[:, :, None, None]


def every_sign(n):
    """All 2^n patterns of signs, each (n, 1): the same for all images."""
    return torch.tensor(list(product((-1.0, 1.0), repeat=n))).double()[:, :, None]


def routed(network, images, labels, path, at_image=False):
    """The gradient along one path by cutting, in the forward pass, every route not taken."""
    network = deepcopy(network)
    x = images.clone().requires_grad_()
    first = y = network.stem(x)
    for block, enters in zip(network.blocks, path, strict=True):
        skip, residual = block.skip(y), block.residual(y)
        y = skip.detach() + residual if enters else skip + residual.detach()
    loss = F.cross_entropy(network.head(y), labels, reduction="sum")
    where = x if at_image else first
    found = torch.autograd.grad(loss, where, allow_unused=True)[0]
    return torch.zeros_like(where) if found is None else found


def autograd(network, images, labels, at_image=False):
    """The whole gradient, as anybody would write it."""
    network = deepcopy(network)
    x = images.clone().requires_grad_()
    first = y = network.stem(x)
    for block in network.blocks:
        y = block(y)
    F.cross_entropy(network.head(y), labels, reduction="sum").backward(inputs=[x, first])
    return x.grad if at_image else first.grad


def distance(found, expected):
    """The relative distance of two tensors."""
    return ((found - expected).norm() / expected.norm()).item()


# Closed forms.


def test_toy_by_length(logits, targets):
    """The gradient over the paths of length k is e_k(a) times the gradient at the output."""
    factors = [0.5, -0.3, 0.2, 1.5, -0.7]
    found = gradients.by_length(toy(factors), logits, targets)
    g = toy_gradient(factors, logits, targets)
    expected = torch.stack([symmetric(factors, k) * g for k in range(6)])
    assert max(map(distance, found, expected)) < 1e-12
    whole = gradients.whole(toy(factors), logits, targets)
    assert distance(whole, prod(1 + a for a in factors) * g) < 1e-12


def test_toy_along_paths(logits, targets):
    """The gradient along a path is the product of its a_i times the gradient at the output."""
    factors = [0.5, -0.3, 0.2, 1.5]
    on = torch.stack([combinatorics.from_code(c) for c in ("1010", "0000", "1111", "0101")])
    found = gradients.along_paths(toy(factors), logits, targets, on)
    products = [0.5 * 0.2, 1, 0.5 * -0.3 * 0.2 * 1.5, -0.3 * 1.5]
    scale = torch.tensor(products, dtype=torch.float64)
    expected = scale[:, None, None, None] * toy_gradient(factors, logits, targets)
    assert max(map(distance, found, expected)) < 1e-12


def test_toy_signed(logits, targets):
    """The sum of squared path norms is e_k(a^2) times the squared norm at the output."""
    factors = [0.5, -0.3, 0.2]
    at = Linearised(toy(factors), logits, targets)
    lengths = torch.stack([at.by_length(3, signs=signs) / SCALE for signs in every_sign(3)])
    squares = gradients.norms(lengths).square().mean(0)
    g = gradients.norms(toy_gradient(factors, logits, targets)) ** 2
    expected = torch.stack([symmetric([a * a for a in factors], k) * g for k in range(4)])
    assert max(map(distance, squares, expected)) < 1e-12


def test_paths_far_below_the_range_of_float32(logits, targets):
    """The longest path of 54 modules carries 1e-54; the smallest float32 is 1e-45."""
    network, x = toy([0.1] * 54), logits.float() * 0.01
    g = toy_gradient([0.1] * 54, logits * 0.01, targets)
    on = torch.ones(4, 54, dtype=torch.bool)
    assert distance(gradients.along_paths(network, x, targets, on), 1e-54 * g) < 1e-4
    for k, found in enumerate(gradients.by_length(network, x, targets)):
        assert distance(found, comb(54, k) * 0.1**k * g) < 1e-4


# Brute force: four modules, sixteen paths.


@modes
@places
def test_all_sixteen_paths_added_are_the_whole_gradient(four, images, labels, training, at_image):
    four.train(training)
    by_path = [routed(four, images, labels, path, at_image) for path in combinatorics.every(4)]
    expected = autograd(four, images, labels, at_image)
    assert distance(sum(by_path), expected) < 1e-12
    assert distance(sum(by_path[1:]), expected) > 1e-3
    assert distance(gradients.whole(four, images, labels, at_image), expected) < 1e-12


@modes
@places
def test_by_length_is_the_sum_over_its_paths(four, images, labels, training, at_image):
    four.train(training)
    found = gradients.by_length(four, images, labels, at_image=at_image)
    assert found.dtype == torch.float64 and len(found) == 5
    for k, gradient in enumerate(found):
        chosen = [path for path in combinatorics.every(4) if path.sum() == k]
        expected = sum(routed(four, images, labels, path, at_image) for path in chosen)
        assert distance(gradient, expected) < 1e-12


@modes
@places
def test_along_every_path(four, images, labels, training, at_image):
    four.train(training)
    for path in combinatorics.every(4):
        found = gradients.along_paths(four, images, labels, path.expand(5, 4), at_image)
        assert distance(found, routed(four, images, labels, path, at_image)) < 1e-12


@places
def test_every_image_follows_its_own_path(four, images, labels, generator, at_image):
    on = combinatorics.sample(4, 2, 5, generator)
    assert len(on.unique(dim=0)) > 1
    found = gradients.along_paths(four, images, labels, on, at_image)
    for b, path in enumerate(on):
        expected = routed(four, images, labels, path, at_image)[b]
        assert distance(found[b], expected) < 1e-12


@modes
@places
@pytest.mark.parametrize("longest", [4, 2, 0])
def test_signs_of_all_patterns_average_to_the_squared_path_norms(
    four, images, labels, training, at_image, longest
):
    """Exactly, over all 2^4 patterns; the cross terms that vanish are not small."""
    four.train(training)
    at = Linearised(four, images, labels, at_image)
    lengths = [at.by_length(longest, signs=signs) / SCALE for signs in every_sign(4)]
    squares = gradients.norms(torch.stack(lengths)).square().mean(0)
    expected = cut_off(squared_path_norms(four, images, labels, at_image), longest)
    assert max(map(distance, squares, expected)) < 1e-12
    unsigned = gradients.norms(gradients.by_length(four, images, labels, longest, at_image)) ** 2
    assert max(map(distance, unsigned, expected)) > 0.1


def cut_off(by_length, longest):
    """Entries up to `longest`, then the sum over all longer ones, if any."""
    rest = by_length[longest + 1 :]
    return torch.cat([by_length[: longest + 1], rest.sum(0)[None]]) if len(rest) else by_length


def squared_path_norms(network, images, labels, at_image=False):
    """By brute force: sum over all paths of length k of ||g_p||^2, (K, B)."""
    n = len(network.blocks)
    total = torch.zeros(n + 1, len(images), dtype=torch.float64)
    for path in combinatorics.every(n):
        total[path.sum()] += gradients.norms(routed(network, images, labels, path, at_image)) ** 2
    return total


# 54 modules.


@pytest.mark.parametrize(
    "training, at_image, bound", [(False, False, 1e-12), (False, True, 1e-12), (True, True, 1e-10)]
)
def test_54_modules_sum_to_autograd(
    new_network, images, labels, untouched, training, at_image, bound
):
    """Batch norm in train mode divides by what batches differ in, and so magnifies rounding."""
    network = new_network(depth=110).train(training)
    with untouched(network):
        found = gradients.by_length(network, images[:3], labels[:3], at_image=at_image)
    expected = autograd(network, images[:3], labels[:3], at_image)
    assert found.shape == (55, *expected.shape)
    assert distance(found.sum(0), expected) < bound
    # No length on its own could be left out unnoticed, down to a part in 10^9.
    seen = [k for k in range(55) if distance(found.sum(0) - found[k], expected) > bound]
    assert set(range(30)) <= set(seen)
    assert gradients.shares(found).sum().item() == pytest.approx(1, abs=1e-9)


# Identities.


@modes
@places
@pytest.mark.parametrize("longest", [0, 1, 4, 5, 6])
def test_a_maximum_length(new_network, images, labels, longest, training, at_image):
    """One more entry holds all longer paths, if there are any: nothing is lost."""
    network = new_network().train(training)
    full = gradients.by_length(network, images, labels, at_image=at_image)
    found = gradients.by_length(network, images, labels, longest, at_image)
    expected = cut_off(full, longest)
    assert found.shape == expected.shape and len(found) == min(longest + 2, 7)
    assert max(map(distance, found, expected)) < 1e-12
    assert distance(found.sum(0), autograd(network, images, labels, at_image)) < 1e-12


@pytest.mark.parametrize("model", ["whole", "deleted", "deleted downsampling", "scaled"])
def test_the_sum_for_views(new_network, images, labels, model):
    """A view is a network like any other; a deleted module makes the longest paths disappear."""
    network = new_network()
    gone = {"deleted": [1, 3], "deleted downsampling": [2]}.get(model, [])
    view = lesions.delete(network, gone)
    if model == "scaled":
        view = scale_residuals(network, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    found = gradients.by_length(view, images, labels)
    assert distance(found.sum(0), autograd(view, images, labels)) < 1e-12
    assert [bool(g.any()) for g in found] == [k <= 6 - len(gone) for k in range(7)]
    path = combinatorics.from_code("110101").expand(5, 6)
    assert gradients.along_paths(view, images, labels, path).any() == (not gone or 2 in gone)


def test_scaling_by_a_power_of_two_rounds_nothing(four, images, labels):
    """In float32 the whole gradient is autograd's, bit for bit."""
    network, x = four.float(), images.float()
    assert torch.equal(gradients.whole(network, x, labels), autograd(network, x, labels).double())


def test_routing_leaves_the_forward_pass_bit_identical(four, images, labels, generator):
    """As many images as are worked on together."""
    reached, images, labels = [], images[:4], labels[:4]
    handle = four.head.register_forward_pre_hook(lambda _, x: reached.append(x[0].detach()))
    with torch.no_grad():
        four(images)
    on = combinatorics.sample(4, 1, 4, generator)
    gradients.along_paths(four, images, labels, on)
    gradients.by_length(four, images, labels, max_length=1)
    gradients.whole(four, images, labels)
    handle.remove()
    # The first image once more, alone, to be checked.
    (checked,) = (x for x in reached if len(x) == 1)
    assert len(reached) == 5 and torch.allclose(checked, reached[0][:1], rtol=1e-12)
    assert all(torch.equal(x, reached[0]) for x in reached if len(x) == 4)


def test_gradients_at_the_image_need_no_gradient_there(four, images, labels):
    """The caller's tensor is not marked, whatever is asked, also where nothing is computed."""
    everything_deleted = ResidualNetwork(nn.Identity(), [nn.Identity()], nn.Flatten())
    for network in (four, everything_deleted):
        gradients.whole(network, images, labels, at_image=True)
        gradients.by_length(network, images, labels, at_image=True)
        assert not images.requires_grad


def test_where_no_gradients_are_kept(four, images, labels):
    """What the caller has switched off is switched on where it is needed."""
    asked = [
        lambda: gradients.whole(four, images, labels, at_image=True),
        lambda: gradients.by_length(four, images, labels, at_image=True),
        lambda: gradients.along_paths(
            four, images, labels, combinatorics.every(4)[:5], at_image=True
        ),
    ]
    for ask in asked:
        expected = ask()
        with torch.no_grad():
            found = ask()
        assert torch.equal(found, expected) and not found.requires_grad


def test_shares():
    lengths = torch.tensor([[[3.0, 0.0]], [[1.0, 2.0]], [[0.0, -1.0]]])
    # g = (4, 1), <g, g> = 17.
    assert gradients.shares(lengths).tolist() == pytest.approx([12 / 17, 6 / 17, -1 / 17])


def test_sufficient_length():
    """Two images, lengths 0 to 3: what is left beyond each, by hand."""
    lengths = torch.tensor([[10.0, 4.0], [5.0, 3.0], [-1.0, 2.0], [2.0, 1.0]])[:, :, None]
    # Beyond 0, 1 and 2: (6, 6), (1, 3), (2, 1) of (16, 10).
    for share, longest in (
        (0.05, 3), (0.12, 3), (0.13, 2), (0.29, 2), (0.31, 1), (0.59, 1), (0.61, 0), (1.0, 0)
    ):  # fmt: skip
        assert gradients.sufficient_length(lengths, share) == longest
    assert gradients.sufficient_length(torch.zeros(4, 2, 3), 0.1) == 0


def test_nothing_much_is_longer_than_the_sufficient_length(new_network, images, labels):
    network = scale_residuals(new_network(), [0.01] * 6)
    lengths = gradients.by_length(network, images, labels)
    longest = gradients.sufficient_length(lengths, 1e-5)
    assert 0 < longest < 6
    for k, enough in ((longest, True), (longest - 1, False)):
        rest = gradients.by_length(network, images, labels, k)[-1]
        size = gradients.norms(rest) / gradients.norms(lengths.sum(0))
        assert (size <= 1e-5).all() == enough


def test_norms():
    assert gradients.norms(torch.full((2, 3, 1, 2, 2), 3.0)).tolist() == [[6, 6, 6]] * 2
    assert gradients.norms(torch.full((2, 3, 4), 3.0), dims=1).tolist() == [[6, 6, 6]] * 2
    # Squares of this are beyond the range of float32.
    assert gradients.norms(torch.full((1, 1, 1, 4), 2.0**80)).tolist() == [2.0**81]


# Many images, many paths.


@pytest.fixture
def many(generator):
    """37 images and labels: more than are worked on together."""
    images = torch.randn(37, 1, 8, 8, generator=generator, dtype=torch.float64)
    return images, torch.randint(3, (37,), generator=generator)


@places
@pytest.mark.parametrize("some", ["all", "few", "last", "one"])
def test_paths_of_many_images(four, many, generator, at_image, some):
    """Several paths an image, or none, in any order."""
    known = {"all": range(37), "few": [2, 9, 35], "last": range(32, 37), "one": [35]}[some]
    rows = torch.tensor(known)[torch.randint(len(known), (600,), generator=generator)]
    codes = torch.randint(16, (600,), generator=generator)
    found = gradients.along_paths(four, *many, combinatorics.every(4)[codes], at_image, rows)
    by_path = torch.stack([routed(four, *many, path, at_image) for path in combinatorics.every(4)])
    expected = by_path[codes, rows]
    assert found.dtype == torch.float64
    assert max(map(distance, found, expected)) < 1e-12
    assert distance(by_path[codes, rows.flip(0)], expected) > 0.1 or some == "one"


def test_many_images_joined(four, many):
    """In train mode all go together, however many."""
    images, labels = (part.repeat(8, *[1] * (part.dim() - 1)) for part in many)
    path = combinatorics.from_code("1011")
    found = gradients.along_paths(four.train(), images, labels, path.expand(296, 4))
    assert distance(found, routed(four, images, labels, path)) < 1e-12
    found = gradients.by_length(four, images, labels).sum(0)
    assert distance(found, autograd(four, images, labels)) < 1e-12


@pytest.mark.parametrize("size", [1, 2, 5])
def test_images_in_groups(four, images, labels, monkeypatch, size):
    """In eval mode no image knows of another, however many are worked on together."""

    def numbers():
        generator = torch.Generator().manual_seed(0)
        on = combinatorics.sample(4, 2, 9, generator)
        rows = torch.tensor([4, 0, 0, 1, 4, 2, 2, 0, 4])
        return (
            gradients.by_length(four, images, labels),
            gradients.by_length(four, images, labels, 2, at_image=True),
            gradients.along_paths(four, images, labels, on, rows=rows),
            gradients.sampled_norms(four, images, labels, [1, 3], 9, generator),
        )

    def grouped(network, images, *_):
        return [slice(i, min(i + size, 5)) for i in range(0, 5, size)]

    expected = numbers()
    monkeypatch.setattr(gradients, "grouped", grouped)
    for found, before in zip(numbers(), expected, strict=True):
        assert distance(found, before) < 1e-13


@places
def test_batch_statistics_in_eval_mode(four, images, labels, generator, at_image):
    """Batch norm without statistics joins the images in either mode, and so does one in train
    mode."""
    four.blocks[0].residual[0].train()
    four.blocks[2].residual[0] = nn.BatchNorm2d(6, track_running_stats=False).double().eval()
    found = gradients.by_length(four, images, labels, at_image=at_image)
    for k, gradient in enumerate(found):
        chosen = [path for path in combinatorics.every(4) if path.sum() == k]
        expected = sum(routed(four, images, labels, path, at_image) for path in chosen)
        assert distance(gradient, expected) < 1e-12
    alike = combinatorics.from_code("1011").expand(5, 4)
    along = gradients.along_paths(four, images, labels, alike, at_image)
    assert distance(along, routed(four, images, labels, alike[0], at_image)) < 1e-12
    with pytest.raises(ValueError, match="differing paths need eval mode"):
        gradients.sampled_norms(four, images, labels, [2], 9, generator)


class Tokens(nn.Module):
    """(B, 1, 8, 8) to 8 tokens of 8 numbers."""

    def forward(self, x):
        return x.squeeze(1)


@places
def test_activations_of_another_shape(images, labels, generator, at_image):
    """Layers that are no convolutions, on (B, T, D)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [
            ResidualModule(skip, nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.ReLU()))
            for skip in (nn.Linear(8, 8), nn.Identity(), nn.ReLU())
        ]
        head = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        network = ResidualNetwork(Tokens(), blocks, head).double().eval()
    asked = (network, images, labels)
    by_path = torch.stack([routed(*asked, path, at_image) for path in combinatorics.every(3)])
    lengths = combinatorics.every(3).sum(1)
    dims = by_path.dim() - 2
    found = gradients.by_length(*asked, at_image=at_image)
    expected = torch.stack([by_path[lengths == k].sum(0) for k in range(4)])
    assert max(map(distance, found, expected)) < 1e-12
    sampled = gradients.sampled_norms(*asked, [1, 3], 30, generator, at_image)
    for norms, k in zip(sampled, (1, 3), strict=True):
        possible = gradients.norms(by_path[lengths == k], dims).flatten()
        assert (norms[:, None] / possible - 1).abs().min(1).values.max() < 1e-12


# The paper's protocol.


@places
@pytest.mark.parametrize("longest_first", [False, True])
def test_sampled_norms(four, images, labels, generator, at_image, longest_first):
    """Each is the norm of one image along one path of its length; all pairs are met alike."""
    lengths = [4, 2, 1] if longest_first else [1, 2, 4]
    found = gradients.sampled_norms(four, images, labels, lengths, 400, generator, at_image)
    assert found.shape == (3, 400) and found.dtype == torch.float64
    # Chi-square with 19, 29 and 4 degrees of freedom: 99.9% of draws are below.
    bounds, drawn = {1: 43.8, 2: 58.3, 4: 18.5}, []
    for norms, length in zip(found, lengths, strict=True):
        chosen = [path for path in combinatorics.every(4) if path.sum() == length]
        routes = [routed(four, images, labels, path, at_image) for path in chosen]
        possible = torch.cat([gradients.norms(route) for route in routes])
        nearest = (norms[:, None] / possible - 1).abs().min(1)
        assert nearest.values.max() < 1e-12
        counts = nearest.indices.bincount(minlength=len(possible))
        mean = 400 / len(possible)
        assert len(counts) == len(possible)
        assert ((counts - mean) ** 2 / mean).sum() < bounds[length]
        drawn.append(nearest.indices % 5)
    # Lengths do not share their images: a fifth agrees by chance.
    assert 0.1 < (drawn[0] == drawn[1]).double().mean() < 0.3


@pytest.mark.usefixtures("no_global_draws")
def test_the_same_seed_gives_the_same_numbers(four, images, labels):
    def numbers(seed):
        generator = torch.Generator().manual_seed(seed)
        return gradients.sampled_norms(four, images, labels, [2, 3], 6, generator)

    assert torch.equal(numbers(1), numbers(1))
    assert not torch.equal(numbers(1), numbers(2))


# What must not change, and what must be refused.


@modes
def test_the_network_is_left_as_it_was(new_network, images, labels, generator, untouched, training):
    network = new_network().train(training)
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    on = combinatorics.from_code("101010").expand(5, 6)
    with untouched(network):
        gradients.whole(network, images, labels, at_image=True)
        gradients.by_length(network, images, labels, 2, at_image=True)
        gradients.along_paths(network, images, labels, on, at_image=True)
        if not training:
            gradients.sampled_norms(network, images, labels, [6], 2, generator)


@modes
def test_also_after_an_error(four, images, labels, untouched, training, generator):
    """In the forward pass, on the way back, or outside."""
    four.train(training)
    broken = list(four.blocks)
    broken[2] = ResidualModule(nn.Identity(), Times(1.0))
    network = four.with_blocks(broken)
    on = combinatorics.from_code("1111").expand(5, 4)
    asked = [
        (1, lambda: gradients.whole(network, images, labels)),
        (1, lambda: gradients.by_length(network, images, labels)),
        (1, lambda: gradients.along_paths(network, images, labels, on)),
        (9, lambda: gradients.by_length(network, images, labels, progress=fail)),
    ]
    if not training:
        # Layers that are not known are run once more at the images that are asked for.
        asked.append((2, lambda: gradients.along_paths(network, images, labels, on)))
        asked.append((1, lambda: sampled(None)))
        asked.append((9, lambda: sampled(fail)))

    def fail(*counts):
        raise ArithmeticError("as asked")

    def sampled(progress):
        gradients.sampled_norms(network, images, labels, [3], 5, generator, progress=progress)

    for fails, ask in asked:
        network.blocks[2].residual = Times(1.0, fails)
        with untouched(network), pytest.raises(ArithmeticError, match="as asked"):
            ask()
        assert torch.backends.cudnn.allow_tf32


def precisions():
    """How each kind of operation may round its factors."""
    gpu, cpu = torch.backends, torch.backends.mkldnn
    return [part.fp32_precision for part in (gpu.cudnn.conv, gpu.cuda.matmul, cpu.conv, cpu.matmul)]


@pytest.fixture
def allow():
    """Sets what a user may have allowed by the older settings; puts everything back."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()

    def allow(convolutions, products):
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)

    yield allow
    allow(*before)


@modes
@pytest.mark.parametrize("allowed", [(True, "highest"), (False, "high"), (True, "medium")])
def test_full_float32(four, images, labels, generator, allow, training, allowed):
    """Factors are not rounded on the way, whatever holds before and after."""
    allow(*allowed)
    cudnn, seen, found = torch.backends.cudnn, [], precisions()
    assert found != ["ieee"] * 4

    def settings(*_):
        return tuple(precisions())

    class Looks(nn.Module):
        """x; notes the settings on the way there and back."""

        def forward(self, x):
            seen.append(settings())
            if x.requires_grad:
                x.register_hook(lambda _: seen.append(settings()))
            return x * 1

    four.blocks[1].residual.append(Looks())
    on = combinatorics.from_code("1111").expand(5, 4)
    asked = [
        lambda: gradients.whole(four, images, labels),
        lambda: gradients.by_length(four, images, labels),
        lambda: gradients.along_paths(four, images, labels, on),
        lambda: gradients.sampled_norms(four, images, labels, [4], 3, generator),
    ]
    for ask in asked[: 3 if training else 4]:
        seen.clear()
        ask()
        assert len(seen) >= 2 and set(seen) == {("ieee",) * 4}
        assert precisions() == found
        assert (cudnn.allow_tf32, torch.get_float32_matmul_precision()) == allowed


@modes
def test_progress(four, images, labels, training):
    """Steps over groups of images: four or, in train mode, all."""
    four.train(training)
    groups, seen = 1 if training else 2, []
    gradients.by_length(four, images, labels, 1, progress=lambda *counts: seen.append(counts))
    assert seen == [(i, 4 * groups) for i in range(1, 4 * groups + 1)]


def test_progress_of_samples(four, many, generator):
    """Up to all of them."""
    seen = []
    gradients.sampled_norms(
        four, *many, [1, 2], 300, generator, progress=lambda *counts: seen.append(counts)
    )
    done = [count for count, _ in seen]
    assert len(seen) > 2 and done == sorted(set(done)) and done[-1] == 600
    assert {total for _, total in seen} == {600}


@pytest.mark.parametrize("length", [-1, 5])
def test_a_length_outside_the_network(four, images, labels, generator, untouched, length):
    with untouched(four):
        for ask in (
            lambda: gradients.by_length(four, images, labels, max_length=length),
            lambda: gradients.sampled_norms(four, images, labels, [2, length], 1, generator),
        ):
            with pytest.raises(ValueError, match=f"path length {length}: expected 0 to 4"):
                ask()


def test_wrong_paths(four, images, labels):
    for wrong in (
        torch.ones(4, 4, dtype=torch.bool),
        torch.ones(5, 3, dtype=torch.bool),
        torch.ones(5, 4),
    ):
        with pytest.raises(ValueError, match="expected 5 paths x 4 modules, bool"):
            gradients.along_paths(four, images, labels, wrong)
    none = torch.ones(0, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="expected some paths x 4 modules, bool"):
        gradients.along_paths(four, images, labels, none, rows=torch.arange(0))


@pytest.mark.parametrize(
    "rows",
    [
        torch.tensor([0, 5]),
        torch.tensor([-1, 0]),
        torch.tensor([[0], [1]]),
        torch.tensor([0.0, 1.0]),
        torch.tensor([True, False]),
        torch.tensor(0),
    ],
    ids=["outside", "negative", "columns", "floats", "mask", "number"],
)
def test_wrong_rows(four, images, labels, rows):
    on = torch.ones(2, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"rows: expected \(S,\) int64, each from 0 to 4"):
        gradients.along_paths(four, images, labels, on, rows=rows)


def test_differing_paths_in_train_mode(four, images, labels, generator):
    four.train()
    alike = torch.ones(5, 4, dtype=torch.bool)
    differing = alike.clone()
    differing[4, 0] = False
    for ask in (
        lambda: gradients.along_paths(four, images, labels, differing),
        lambda: gradients.along_paths(four, images, labels, alike, rows=torch.arange(5).flip(0)),
        lambda: gradients.along_paths(four, images, labels, alike[:2], rows=torch.arange(2)),
        lambda: gradients.sampled_norms(four, images, labels, [2, 3], 5, generator),
    ):
        with pytest.raises(ValueError, match="differing paths need eval mode"):
            ask()
    gradients.along_paths(four, images, labels, alike)


@modes
@pytest.mark.parametrize("count", [0, 4, 6])
def test_labels_of_another_number(four, images, training, count):
    four.train(training)
    labels, on = torch.zeros(count, dtype=torch.int64), torch.ones(5, 4, dtype=torch.bool)
    for ask in (
        lambda: gradients.by_length(four, images, labels),
        lambda: gradients.along_paths(four, images, labels, on),
    ):
        with pytest.raises(ValueError, match=rf"5\D+{count}\b"):
            ask()


def test_nothing_to_do(four, images, labels, generator):
    for samples in (0, -1):
        with pytest.raises(ValueError, match="no lengths, no samples or no images"):
            gradients.sampled_norms(four, images, labels, [2], samples, generator)
    with pytest.raises(ValueError, match="no lengths, no samples or no images"):
        gradients.sampled_norms(four, images, labels, [], 3, generator)
    with pytest.raises(ValueError, match="no lengths, no samples or no images"):
        gradients.sampled_norms(four, images[:0], labels[:0], [2], 3, generator)
    for training in (False, True):
        with pytest.raises(ValueError, match="0 images"):
            gradients.by_length(four.train(training), images[:0], labels[:0])


def test_a_network_without_skips(new_network, labels):
    network, x = new_network("vgg15"), torch.zeros(5, 1, 16, 16).double()
    with pytest.raises(TypeError, match="expected a ResidualNetwork, only it has paths"):
        gradients.by_length(network, x, labels)
    with pytest.raises(TypeError, match="expected a ResidualNetwork, only it has paths"):
        gradients.along_paths(network, x, labels, torch.ones(5, 13, dtype=torch.bool))
