"""Any loss, and networks of anything: closed forms, then automatic differentiation."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import by_module, combinatorics, gradients, signed
from helpers.losses import SCALE, cross_entropy, scaled_up
from helpers.network import ResidualModule, ResidualNetwork
from tests.toys import symmetric, toy


def logit(outputs, labels):
    """The logit of the label."""
    return outputs.gather(1, labels[:, None]).sum()


def logit_difference(outputs, labels):
    """Between two classes, (B, 2)."""
    return (outputs.gather(1, labels[:, :1]) - outputs.gather(1, labels[:, 1:])).sum()


def squares(outputs, targets):
    """Half the squared distance: targets are floats of the outputs' shape."""
    return (outputs - targets).square().sum() / 2


def next_token(outputs, labels):
    """Of a language model: (B, T, V) and (B, T)."""
    return F.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="sum")


def distance(found, expected):
    assert found.shape == expected.shape
    return ((found - expected).norm() / expected.norm()).item()


def made(build):
    """What `build` returns, the same at each call, float64, eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build().double().eval()


def residuals(build, shape_skip=None):
    """Three modules whose residual `build` makes; the second has a skip connection of its own."""
    skips = [nn.Identity(), shape_skip or nn.Tanh(), nn.Identity()]
    return [ResidualModule(skip, build()) for skip in skips]


class Numbers(nn.Module):
    """Tokens (B, T) or (B,) to vectors, with their places."""

    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(11, 6), nn.Parameter(torch.randn(5, 6))

    def forward(self, x):
        return self.token(x) + self.place


class Causal(nn.Module):
    """Each token attends to those before it."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=x.dtype)
        return self.attention(x, x, x, attn_mask=mask, need_weights=False)[0]


def mlp():
    blocks = residuals(lambda: nn.Sequential(nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 6)))
    return ResidualNetwork(nn.Linear(7, 6), blocks, nn.Linear(6, 3))


def language_model():
    blocks = residuals(lambda: nn.Sequential(nn.LayerNorm(6), Causal(), nn.Linear(6, 6)))
    return ResidualNetwork(Numbers(), blocks, nn.Linear(6, 11))


def signals():
    norm = [nn.BatchNorm1d(4), nn.ReLU()]
    blocks = residuals(lambda: nn.Sequential(*norm, nn.Conv1d(4, 4, 3, padding=1)))
    return ResidualNetwork(
        nn.Conv1d(2, 4, 3, stride=2), blocks, nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    )


def videos():
    norm = [nn.BatchNorm3d(4), nn.ReLU()]
    blocks = residuals(lambda: nn.Sequential(*norm, nn.Conv3d(4, 4, (3, 1, 3), padding=(1, 0, 1))))
    head = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3))
    return ResidualNetwork(nn.Conv3d(1, 4, 3, stride=(1, 2, 2)), blocks, head)


def draw(kind, generator):
    """Five inputs and their labels."""
    shape = {"mlp": (5, 7), "signals": (5, 2, 11), "videos": (5, 1, 4, 7, 6)}.get(kind)
    if kind == "language model":
        tokens = torch.randint(11, (5, 6), generator=generator)
        return tokens[:, :-1], tokens[:, 1:]
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return x, torch.tensor([0, 2, 1, 1, 0])


KINDS = {
    "mlp": (mlp, cross_entropy),
    "language model": (language_model, next_token),
    "signals": (signals, cross_entropy),
    "videos": (videos, cross_entropy),
}
PLACES = [(kind, place) for kind in KINDS for place in (False, True)]
PLACES.remove(("language model", True))


def routed(network, x, labels, path, loss, at_image=False):
    """The gradient along one path by cutting, in the forward pass, every route not taken."""
    network = deepcopy(network)
    x = x.clone().requires_grad_() if at_image else x
    first = y = network.stem(x)
    if not at_image:
        first = y = y.detach().requires_grad_()
    for block, enters in zip(network.blocks, path, strict=True):
        skip, residual = block.skip(y), block.residual(y)
        y = skip.detach() + residual if enters else skip + residual.detach()
    return torch.autograd.grad(loss(network.head(y), labels), x if at_image else first)[0]


@pytest.mark.parametrize("kind, at_image", PLACES)
def test_networks_of_anything(kind, at_image, generator):
    """Inputs of any rank, integers too, against brute force over all eight paths."""
    build, loss = KINDS[kind]
    x, labels = draw(kind, generator)
    network = made(lambda: initialised(build(), x))
    every = combinatorics.every(3)
    by_path = torch.stack([routed(network, x, labels, p, loss, at_image) for p in every])
    expected = torch.stack([by_path[every.sum(1) == k].sum(0) for k in range(4)])
    asked = (network, x, labels)
    found = gradients.by_length(*asked, at_image=at_image, loss=loss)
    assert max(map(distance, found, expected)) < 1e-11
    whole = gradients.whole(*asked, at_image=at_image, loss=loss)
    assert distance(whole, expected.sum(0)) < 1e-12
    rows = torch.arange(40) // 8
    along = gradients.along_paths(*asked, every.repeat(5, 1), at_image, rows, loss=loss)
    assert distance(along.unflatten(0, (5, 8)).transpose(0, 1), by_path) < 1e-11
    shares, each = by_module.module_shares(*asked, at_image, loss)
    k = torch.arange(4.0).double()
    assert torch.allclose(each.sum(0), k @ gradients.shares_by_image(found), rtol=1e-9)
    squared, error = signed.mean_squares(*asked, 60, generator, at_image=at_image, loss=loss)
    sums = torch.stack(
        [by_path[every.sum(1) == k].flatten(2).square().sum((0, 2)) for k in range(4)]
    )
    assert ((squared - sums.mean(1)).abs() < 4.5 * error + 1e-10 * sums.mean(1)).all()
    norms = gradients.sampled_norms(*asked, [3], 20, generator, at_image, loss=loss)
    possible = by_path[-1].flatten(1).norm(dim=1)
    assert (norms.T / possible - 1).abs().min(1).values.max() < 1e-10


def initialised(network, x):
    """Lazy layers know their sizes, batch norms have statistics of images."""
    network.train()(x.float() if x.is_floating_point() else x)
    return network


LOSSES = {
    "logit": (logit, torch.tensor([0, 2, 1, 1, 0])),
    "logit difference": (logit_difference, torch.tensor([[0, 1], [2, 0], [1, 2], [1, 0], [0, 2]])),
    "squares": (squares, torch.arange(15.0).reshape(5, 3).double()),
    "smoothed": (
        lambda y, t: F.cross_entropy(y, t, reduction="sum", label_smoothing=0.1),
        torch.tensor([0, 2, 1, 1, 0]),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_any_loss(four, images, name, training):
    loss, labels = LOSSES[name]
    x = images.clone().requires_grad_()
    loss(deepcopy(four.train(training))(x), labels).backward(inputs=[x])
    found = gradients.by_length(four, images, labels, at_image=True, loss=loss)
    assert distance(found.sum(0), x.grad) < 1e-11
    other = gradients.by_length(four, images, torch.tensor([0, 2, 1, 1, 0]), at_image=True)
    assert distance(other, found) > 0.1


def test_the_gradient_of_a_logit_is_known(generator):
    """One at the label, whatever the images: e_k(a) there by length."""
    factors, labels = [0.5, -0.3, 0.2], torch.tensor([2, 0])
    x = torch.randn(2, 3, 1, 1, generator=generator, dtype=torch.float64)
    found = gradients.by_length(toy(factors), x, labels, loss=logit)
    one_hot = F.one_hot(labels, 3).double()[:, :, None, None]
    expected = torch.stack([symmetric(factors, k) * one_hot for k in range(4)])
    assert torch.allclose(found, expected, rtol=1e-13, atol=0)


# What must be refused.


def everyone(network, images, labels, **settings):
    """Every engine, asked."""
    generator = torch.Generator().manual_seed(0)
    return [
        lambda: gradients.whole(network, images, labels, **settings),
        lambda: gradients.by_length(network, images, labels, **settings),
        lambda: gradients.along_paths(
            network, images, labels, combinatorics.every(4)[:5], **settings
        ),
        lambda: gradients.sampled_norms(network, images, labels, [2], 9, generator, **settings),
        lambda: signed.mean_squares(network, images, labels, 2, generator, **settings),
        lambda: by_module.module_shares(network, images, labels, **settings),
    ]


WRONG = {
    "a mean": (F.cross_entropy, r"loss of \d+ images is .*: expected a sum over the images"),
    "a loss for each": (
        lambda y, t: F.cross_entropy(y, t, reduction="none"),
        r"loss \(\d+,\): expected a scalar, summed over the images",
    ),
    "a constant": (lambda y, t: torch.ones(()), "does not depend on the network's outputs"),
    "without its graph": (lambda y, t: cross_entropy(y.detach(), t), "does not depend on"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_sum_over_the_images(four, images, labels, name):
    loss, message = WRONG[name]
    asked = everyone(four, images, labels, loss=loss)
    for ask in asked:
        with pytest.raises(ValueError, match=message):
            ask()


def test_integers_have_no_gradient(generator):
    """At the first module they may be tokens; at the image, or without a stem, they may not."""
    network, (x, labels) = made(language_model), draw("language model", generator)
    for ask in everyone(network, x, labels, loss=next_token, at_image=True)[:2]:
        with pytest.raises(TypeError, match=r"torch.int64 have no gradient.*\(at_image=False\)"):
            ask()
    bare = ResidualNetwork(nn.Identity(), list(network.blocks), network.head).eval()
    with pytest.raises(TypeError, match="int64, which has no gradient: an embedding belongs"):
        gradients.by_length(bare, x, labels, loss=next_token)


@pytest.mark.parametrize("wrong", [torch.tensor(1), torch.zeros(4, 5).long()], ids=["one", "4"])
def test_labels_of_another_number(four, images, wrong):
    for ask in everyone(four, images, wrong)[1:]:
        with pytest.raises(
            ValueError, match=r"5 images, labels \(.*\): expected \(B, ...\) of each"
        ):
            ask()


def test_scaled_up():
    """By 2^80, which rounds nothing."""
    outputs, labels = (
        torch.tensor([[0.3, 2.0], [1.0, -1.0]], requires_grad=True),
        torch.tensor([0, 1]),
    )
    found = scaled_up(cross_entropy, outputs, labels, apart=True)
    assert found == cross_entropy(outputs, labels) * SCALE and SCALE == 2**80
    # A contrast between the images is no sum over them: right only where they are joined.
    contrast = scaled_up(lambda y, t: (y[0] - y.mean(0)).sum(), outputs, labels, apart=False)
    assert contrast.item() == pytest.approx(1.15 * SCALE)
    with pytest.raises(ValueError, match="expected a sum over the images"):
        scaled_up(lambda y, t: y.exp().sum() ** 2, outputs, labels, apart=True)
