"""Networks with their activations held: against a slow twin, module by module."""

from itertools import product
from math import comb

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import combinatorics, lesions, linearised, models
from helpers.linearised import Linearised
from helpers.losses import SCALE
from helpers.network import ResidualModule, ResidualNetwork, scale_residuals

modes = pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
places = pytest.mark.parametrize("at_image", [False, True], ids=["first module", "image"])


def twin(at, signs=None):
    """G[k] by the recursion as it is written, for all images: (n + 1, B, ...)."""
    n, lengths = len(at.modules), {0: at.g}
    for i in reversed(range(n)):
        stay, enter = at.modules[i]
        sign = 1 if signs is None else signs[i].reshape(-1, *[1] * (at.g.dim() - 1))
        new = {k: stay(g) for k, g in lengths.items()}
        for k, g in lengths.items():
            new[k + 1] = new.get(k + 1, 0) + sign * enter(g)
        lengths = new
    return torch.stack([at.stem(lengths[k]) for k in range(n + 1)])


def cut_off(by_length, longest):
    """Entries up to `longest`, then the sum over all longer ones, if any."""
    rest = by_length[longest + 1 :]
    return torch.cat([by_length[: longest + 1], rest.sum(0)[None]]) if len(rest) else by_length


def one_pass(at):
    """The whole gradient over the same activations, without regard to length."""
    g = at.g
    for stay, enter in reversed(at.modules):
        g = stay(g) + enter(g)
    return at.stem(g)


def draw_signs(generator, *shape):
    return (torch.randint(2, shape, generator=generator) * 2 - 1).double()


def distance(found, expected):
    """The relative distance of two tensors of one shape."""
    assert found.shape == expected.shape
    return ((found - expected).norm() / expected.norm()).item()


def farthest(found, expected):
    """The largest relative distance of two entries, each against its own size; zeros are zeros."""
    assert found.shape == expected.shape
    there = [bool(entry.any()) for entry in expected]
    assert [bool(entry.any()) for entry in found] == there and any(there)
    return max(map(distance, found[there], expected[there]))


@pytest.fixture(params=[*models.SHORTCUTS, "deleted", "in both routes"])
def network(request, new_network):
    """Six modules: what they do to the shape, and whether a gradient passes the skip unchanged."""
    kind = request.param
    made = new_network(shortcuts=kind if kind in models.SHORTCUTS else "subsample")
    if kind == "deleted":
        return lesions.delete(made, [1, 2])
    if kind == "in both routes":
        blocks = [ResidualModule(nn.ReLU(), block.residual) for block in made.blocks[:2]]
        # A stem, too, that is not the same for all images.
        stem = nn.Sequential(made.stem, nn.ReLU())
        return ResidualNetwork(stem, [*blocks, *made.blocks[2:]], made.head).eval()
    return made


# Closed forms.


def test_the_gradient_above_the_last_module(generator):
    """Softmax minus one-hot, times the scale."""
    x, labels = torch.randn(4, 3, 1, 1, generator=generator).double(), torch.tensor([0, 2, 1, 1])
    network = ResidualNetwork(nn.Identity(), [nn.Identity()], nn.Flatten()).eval()
    at = Linearised(network, x, labels)
    expected = (x.flatten(1).softmax(1) - F.one_hot(labels, 3)) * SCALE
    assert distance(at.g.flatten(1), expected) < 1e-13
    assert SCALE == 2**80


def test_no_modules(four, images, labels):
    """One path, of length zero."""
    empty = ResidualNetwork(four.stem, [], nn.Sequential(nn.Flatten(), nn.Linear(256, 3)))
    at = Linearised(empty.double().eval(), images, labels)
    assert torch.equal(at.by_length(0), at.g[None])
    nowhere = torch.zeros(5, 0, dtype=torch.bool)
    assert torch.equal(at.along(nowhere[0]), at.g)
    assert torch.equal(at.along_each(nowhere, torch.arange(5).flip(0)), at.g.flip(0))


# The slow twin.


@modes
@places
def test_by_length(network, images, labels, generator, training, at_image):
    at = Linearised(network.train(training), images, labels, at_image)
    found, expected = at.by_length(6), twin(at)
    assert found.shape == (7, 5, *(images.shape[1:] if at_image else (16, 8, 8)))
    assert farthest(found, expected) < 1e-13
    assert farthest(found * 1.001, expected) > 1e-4
    signs = draw_signs(generator, 6, 1 if training else 5)
    assert farthest(at.by_length(6, signs=signs), twin(at, signs)) < 1e-13
    assert distance(twin(at, signs)[3], expected[3]) > 0.1


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
@pytest.mark.parametrize("longest", [0, 1, 2, 3, 5])
def test_all_longer_paths_together(network, images, labels, generator, longest, signed):
    at = Linearised(network, images, labels)
    signs = draw_signs(generator, 6, 5) if signed else None
    expected = cut_off(twin(at, signs), longest)
    assert farthest(at.by_length(longest, signs=signs), expected) < 1e-12


@pytest.mark.parametrize("longest", [0, 1, 2, 5])
def test_longer_paths_far_below_the_rounding_of_the_whole(new_network, images, labels, longest):
    """They are added to one another, not left over from a difference."""
    network = scale_residuals(new_network(), [1e-9] * 6)
    at = Linearised(network, images, labels)
    full, found = twin(at), at.by_length(longest)
    rest = full[longest + 1 :].sum(0)
    assert distance(found[-1], rest) < 1e-12
    assert longest == 0 or rest.norm() / full[0].norm() < 1e-15


@places
@pytest.mark.parametrize("longest", [2, 6])
@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
def test_columns_for_some_of_the_images(
    network, images, labels, generator, longest, signed, at_image
):
    """In any order, with signs of their own: as if each were alone."""
    at, rows = Linearised(network, images, labels, at_image), torch.tensor([3, 0, 3, 3, 2, 0, 4])
    signs = draw_signs(generator, 6, 7)
    found = at.by_length(longest, rows, signs if signed else None)
    for s, b in enumerate(rows):
        expected = cut_off(twin(at, signs[:, [s]] if signed else None), longest)[:, b]
        assert farthest(found[:, s], expected) < 1e-12
    assert not signed or distance(found[2, 0], found[2, 2]) > 0.1


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("longest", [0, 2, 3, 6])
def test_any_number_of_lengths_in_a_call(
    network, images, labels, generator, monkeypatch, longest, size
):
    """By itself, all of so few fit in one."""
    made = []

    def calls(lengths, filled):
        made.append(size)
        return [slice(i, min(i + size, filled)) for i in range(0, filled, size)]

    at = Linearised(network, images, labels, at_image=True)
    rows, signs = torch.tensor([3, 3, 1]), draw_signs(generator, 6, 3)
    plain, signed = at.by_length(longest), at.by_length(longest, rows, signs)
    monkeypatch.setattr(linearised, "calls", calls)
    assert distance(at.by_length(longest), plain) < 1e-13
    assert distance(at.by_length(longest, rows, signs), signed) < 1e-13
    assert made


def test_calls():
    """Each entry once, in order: small ones all in one call, large ones each in its own."""
    for size, made in ((2**10, [19]), (2**28, [1] * 19)):
        lengths = torch.empty(()).expand(20, 2, size // 2)
        found = [list(range(19))[part] for part in linearised.calls(lengths, 19)]
        assert sum(found, []) == list(range(19))
        assert [len(part) for part in found] == made
    assert list(linearised.calls(torch.empty(20, 2**10), 0)) == []


def test_a_sign_for_all_images_is_the_same_sign_for_each(network, images, labels, generator):
    at, signs = Linearised(network, images, labels), draw_signs(generator, 6, 1)
    for_each = at.by_length(6, signs=signs.expand(6, 5))
    assert torch.equal(at.by_length(6, signs=signs), for_each)


@modes
@places
def test_along_one_path_with_all_images(network, images, labels, training, at_image):
    at = Linearised(network.train(training), images, labels, at_image)
    for code in ("100101", "000000", "111111", "011010"):
        assert torch.equal(
            at.along(combinatorics.from_code(code)), along(at, combinatorics.from_code(code))
        )


@places
def test_along_each_path_of_every_image(network, images, labels, at_image, generator):
    """All of them at once, some of them twice, shuffled."""
    at = Linearised(network, images, labels, at_image)
    pairs = [*product(range(5), range(64)), *product([1, 4], range(20))]
    pairs = torch.tensor(pairs)[torch.randperm(len(pairs), generator=generator)]
    rows, on = pairs[:, 0], combinatorics.every(6)[pairs[:, 1]]
    before = at.g.clone()
    found = at.along_each(on, rows)
    assert torch.equal(at.g, before)
    expected = torch.stack([along(at, path) for path in combinatorics.every(6)])[pairs[:, 1], rows]
    assert farthest(found, expected) < 1e-13


def along(at, path):
    """One path, all images, as it is written."""
    g = at.g
    for enters, (stay, enter) in zip(reversed(path), reversed(at.modules), strict=True):
        g = enter(g) if enters else stay(g)
    return at.stem(g)


class Counts(nn.Module):
    """x / 2; counts the images it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return x / 2


def test_what_paths_share_is_computed_once(generator):
    """All 2^4 paths of one image are one gradient at the last module, two at the next, ..."""
    blocks = [ResidualModule(nn.Identity(), Counts()) for _ in range(4)]
    network = ResidualNetwork(nn.Identity(), blocks, nn.Flatten()).eval()
    at = Linearised(network, torch.randn(3, 4, generator=generator), torch.tensor([0, 1, 2]))
    assert [block.residual.seen for block in network.blocks] == [3, 3, 3, 3]
    at.along_each(combinatorics.every(4), torch.ones(16, dtype=torch.int64))
    assert [block.residual.seen - 3 for block in network.blocks] == [8, 4, 2, 1]


def test_residuals_that_do_nothing(four, images, labels):
    """Where the residual is the identity, the paths that enter are those that stay, times one."""
    kinds = [(nn.Identity(), nn.Identity()), (nn.ReLU(), nn.Identity())]
    blocks = [ResidualModule(skip, residual) for skip, residual in kinds]
    at = Linearised(four.with_blocks([*blocks, *four.blocks, *blocks]), images, labels)
    on = combinatorics.every(8)
    found = at.along_each(on, torch.arange(256) % 5)
    expected = torch.stack([along(at, path)[s % 5] for s, path in enumerate(on)])
    assert farthest(found, expected) < 1e-13
    assert farthest(at.by_length(8), twin(at)) < 1e-13


def test_some_of_the_images(network, images, labels):
    """Several paths for one, none for others, whatever the module does with the shape."""
    at = Linearised(network, images, labels)
    on = torch.stack([combinatorics.from_code(c) for c in ("100101", "000001", "100101")])
    found = at.along_each(on, torch.tensor([3, 3, 1]))
    assert distance(found[0], along(at, on[0])[3]) < 1e-13
    assert distance(found[1], along(at, on[1])[3]) < 1e-13
    assert distance(found[2], along(at, on[2])[1]) < 1e-13
    assert distance(found[0], found[1]) > 0.01


# 54 modules.


@pytest.mark.parametrize(
    "dtype, bound", [(torch.float64, 1e-13), (torch.float32, 1e-5)], ids=["float64", "float32"]
)
@pytest.mark.parametrize("longest", [54, 20])
def test_54_modules_add_up(new_network, images, labels, dtype, bound, longest):
    """A sum of 55 entries rounds otherwise than one pass does, and no more than that."""
    network = new_network(depth=110).to(dtype)
    at = Linearised(network, images[:2].to(dtype), labels[:2], at_image=True)
    found, expected = at.by_length(longest), one_pass(at)
    assert len(found) == min(longest + 2, 55)
    assert found.dtype == dtype
    assert distance(found.double().sum(0), expected.double()) < bound
    # Leaving out any of these lengths would show.
    left_out = [distance(found.double().sum(0) - g, expected.double()) for g in found[3:20]]
    assert min(left_out) > bound


def test_54_modules_are_automatic_differentiation(new_network, images, labels):
    network, x = new_network(depth=110), images[:2].clone().requires_grad_()
    F.cross_entropy(network(x), labels[:2], reduction="sum").backward()
    found = Linearised(network, images[:2], labels[:2], at_image=True).by_length(54)
    assert distance(found.sum(0) / SCALE, x.grad) < 1e-12


# Other kinds of network.


class Tokens(nn.Module):
    """A stem: (B, 1, 8, 8) to 8 tokens of 8 numbers."""

    def forward(self, x):
        return x.squeeze(1)


@pytest.fixture
def of_tokens():
    """Three modules over (B, T, D), the second of which changes D."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [
            ResidualModule(skip, nn.Sequential(nn.LayerNorm(c), nn.Linear(c, 6), nn.ReLU()))
            for skip, c in ((nn.Linear(8, 6), 8), (nn.Identity(), 6), (nn.ReLU(), 6))
        ]
        head = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
        return ResidualNetwork(Tokens(), blocks, head).double().eval()


def test_activations_of_another_shape(of_tokens, images, labels, generator):
    at = Linearised(of_tokens, images, labels)
    found = at.by_length(3)
    assert found.shape == (4, 5, 8, 8)
    assert farthest(found, twin(at)) < 1e-13
    signs = draw_signs(generator, 3, 5)
    assert farthest(at.by_length(3, signs=signs), twin(at, signs)) < 1e-13
    rows = torch.tensor([3, 3, 0, 1])
    assert distance(at.by_length(3, rows), found[:, rows]) < 1e-13
    rows = torch.arange(5).repeat_interleave(8)
    each = at.along_each(combinatorics.every(3).repeat(5, 1), rows).unflatten(0, (5, 8))
    for k in range(4):
        chosen = each[:, combinatorics.every(3).sum(1) == k]
        assert chosen.shape[1] == comb(3, k)
        assert distance(chosen.sum(1), found[k]) < 1e-13


def test_a_head_that_works_in_place(four, images, labels):
    head = nn.Sequential(nn.ReLU(inplace=True), four.head)
    networks = [ResidualNetwork(four.stem, list(four.blocks), h) for h in (head, four.head)]
    found, expected = (Linearised(network.eval(), images, labels).g for network in networks)
    # `four.head` begins with a batch norm, so the ReLU in front matters.
    assert distance(found, expected) > 0.1
    networks[0].head[0].inplace = False
    assert torch.equal(Linearised(networks[0], images, labels).g, found)


def test_joined(four):
    """By batch norm in train mode or without statistics, wherever it is."""
    assert not linearised.joined(four)
    assert linearised.joined(four.train())
    four.eval().training = True
    assert linearised.joined(four)
    assert not linearised.joined(lesions.delete(four.eval(), [1]))
    norm = four.blocks[1].residual[0].train()
    assert linearised.joined(four)
    assert linearised.joined(lesions.delete(four, [0]))
    assert not linearised.joined(lesions.delete(four, [1]))
    norm.eval()
    four.head[0] = nn.BatchNorm2d(8, track_running_stats=False).eval()
    assert linearised.joined(four)
    four.head[0] = nn.InstanceNorm2d(8).train()
    assert not linearised.joined(four)


def test_dropout_in_train_mode(four, images, labels):
    """One draw for everything: the same masks on the way there and back."""
    four.blocks[1].residual.append(nn.Dropout(0.5))
    with torch.random.fork_rng(devices=[]):
        at = Linearised(four.train(), images, labels, whole=True)
    lengths = at.by_length(4)
    at.check_sum(lengths)
    assert distance(lengths.sum(0), at.whole) < 1e-12
    assert torch.equal(at.by_length(4), lengths)


def test_along_all(network, images, labels):
    at = Linearised(network, images, labels, at_image=True, whole=True)
    assert distance(at.along_all(), one_pass(at)) < 1e-15
    assert distance(at.along_all(), at.whole) < 1e-12


def test_check_sum(four, images, labels):
    """Each image's gradient on its own, down to a part in 10^11 of what is added up."""
    at = Linearised(four, images, labels, whole=True)
    lengths = at.by_length(4)
    at.check_sum(lengths)
    smallest = lengths.flatten(2).norm(dim=2).sum(0).argmin()
    for wrong in (1e-11, 0.1):
        off = lengths.clone()
        off[2, smallest] *= 1 + wrong * 10
        with pytest.raises(ArithmeticError, match="miss the whole gradient by .* up to 2.2e-12"):
            at.check_sum(off)
    with pytest.raises(ArithmeticError, match="not finite"):
        at.check_sum(lengths * float("nan"))
    assert at.rounding() == 1e4 * 2**-52


# What must be refused.


class Centred(nn.Module):
    """x less its mean over the batch: the images are joined, and nothing says so."""

    def forward(self, x):
        return x - x.mean(0)


@pytest.mark.parametrize("layer", [Centred(), nn.Dropout(0.5).train()], ids=["joins", "random"])
def test_a_layer_that_gives_other_outputs_to_the_same_images(four, images, labels, layer):
    four.blocks[1].residual.append(layer)
    with torch.random.fork_rng(devices=[]):
        at = Linearised(four, images, labels)
        with pytest.raises(ValueError, match=f"{type(layer).__name__} makes something else of the"):
            at.along_each(combinatorics.every(4)[:5], torch.tensor([0, 0, 1, 2, 3]))


class Half(ResidualModule):
    """Not Eq 1."""

    def forward(self, x):
        return self.skip(x) + self.residual(x) / 2


def test_a_module_that_is_not_skip_plus_residual(four, images, labels):
    changed = four.with_blocks(
        [*four.blocks[:3], Half(four.blocks[3].skip, four.blocks[3].residual)]
    )
    with pytest.raises(ValueError, match="Half is not skip \\+ residual: hooked, or changed?"):
        Linearised(changed, images, labels)
    seen = []
    look = four.blocks[0].register_forward_hook(lambda _, x, y: seen.append(y))
    Linearised(four, images, labels)
    assert len(seen) == 1
    look.remove()
    four.blocks[0].register_forward_hook(lambda _, x, y: y * 2)
    with pytest.raises(ValueError, match="ResidualModule is not skip \\+ residual"):
        Linearised(four, images, labels)


def test_a_network_that_is_not_residual(new_network, labels):
    with pytest.raises(TypeError, match="Network: expected a ResidualNetwork, only it has paths"):
        Linearised(new_network("vgg15"), torch.zeros(5, 1, 16, 16).double(), labels)


def test_progress(four, images, labels):
    seen = []
    Linearised(four, images, labels).by_length(2, progress=lambda: seen.append(1))
    assert len(seen) == 4
