"""Transposed Jacobians: literals, then matrices, then automatic differentiation."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from helpers import models
from helpers.network import Scaled, SharedPreActivation, Subsample
from helpers.steps import Automatic, Zero
from helpers.vjp import Pullback, linearise

# Once, for a kernel of even side.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

# 4 channels; the odd side leaves no pixel over at stride 2, the even one does.
PIXELS = (5, 4, 9, 8)
TOKENS = (5, 3, 4)


class OwnSequential(nn.Sequential):
    """Not what nn.Sequential does."""

    def forward(self, x):
        return x * super().forward(x)


class OwnReLU(nn.ReLU):
    def forward(self, x):
        return F.relu(x - 0.3)


class OwnNorm(nn.BatchNorm2d):
    def forward(self, x):
        return x.sin() + super().forward(x)


class OwnConv(nn.Conv2d):
    def forward(self, x):
        return super().forward(x.abs())


class OwnIdentity(nn.Identity):
    def forward(self, x):
        return x**2


class OwnScaled(Scaled):
    def forward(self, x):
        return self.module(x) ** 2


class OwnSubsample(Subsample):
    def forward(self, x):
        return super().forward(x.flip(2))


class Constant(nn.Module):
    """Ones, whatever x is; nothing leads back."""

    def forward(self, x):
        return torch.ones_like(x)


class Parameter(nn.Module):
    """The same, but for a parameter, to which something does."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.weight * torch.ones_like(x)


def norm(**settings):
    """Batch norm with statistics and, unless `affine` is false, weights of its own."""
    layer = nn.BatchNorm2d(4, eps=0.01, **settings)
    if layer.track_running_stats:
        layer.running_mean.copy_(torch.randn(4))
        layer.running_var.copy_(torch.rand(4) + 0.5)
    if layer.affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return layer.eval()


def hooked(layer, kind, change):
    """`layer` with a hook that changes what it does."""
    getattr(layer, f"register_{kind}")(change)
    return layer


def nested():
    inner = nn.Sequential(nn.Identity(), norm(), nn.Sequential(nn.ReLU(inplace=True)))
    return nn.Sequential(nn.Sequential(norm(), nn.ReLU()), nn.Sequential(), conv(), inner, conv())


def conv(c_out=4, kernel=3, padding=1, **settings):
    return nn.Conv2d(4, c_out, kernel, padding=padding, **settings)


CONVOLUTIONS = {
    "3x3": conv,
    "without bias": lambda: conv(6, bias=False),
    "stride 2": lambda: conv(6, stride=2),
    "stride 3": lambda: conv(6, 2, padding=0, stride=3),
    "dilation": lambda: conv(6, padding=2, dilation=2),
    "groups": lambda: conv(6, groups=2),
    "each channel": lambda: conv(8, groups=4, stride=2),
    "1x1": lambda: conv(6, 1, padding=0),
    "1x1 of stride 2": lambda: conv(6, 1, padding=0, stride=2),
    "two sides": lambda: conv(6, (3, 2), padding=(2, 1), stride=(1, 3), dilation=(2, 1)),
    "same": lambda: conv(6, padding="same"),
    "same, even": lambda: conv(6, 4, padding="same"),
    "valid": lambda: conv(6, padding="valid"),
    "circular": lambda: conv(6, padding_mode="circular"),
    "reflected": lambda: conv(6, padding_mode="reflect"),
    "weight norm": lambda: parametrizations.weight_norm(conv(6)),
}
# Images know nothing of one another.
APART = CONVOLUTIONS | {
    "batch norm": norm,
    "batch norm without weights": lambda: norm(affine=False),
    "ReLU": nn.ReLU,
    "ReLU in place": lambda: nn.ReLU(inplace=True),
    "identity": nn.Identity,
    "empty": nn.Sequential,
    "nested": nested,
    "diagonals": lambda: nn.Sequential(norm(), nn.ReLU(), Scaled(norm(), -0.7), nn.ReLU()),
    "ends in diagonals": lambda: nn.Sequential(conv(6), nn.ReLU(), nn.ReLU()),
    "scaled": lambda: Scaled(nn.Sequential(norm(), nn.ReLU(), conv()), -0.7),
    "scaled twice": lambda: Scaled(Scaled(nn.Identity(), 3.0), 0.3),
    "subsampled": lambda: Subsample(2),
    "subsampled, no new channels": lambda: Subsample(0),
    "basic": lambda: models.basic_residual(4, 6, 2).eval(),
    "bottleneck": lambda: models.bottleneck_residual(4, 8, 2).eval(),
    "pooling": lambda: nn.MaxPool2d(2),
    "flat": nn.Flatten,
    "dropout": lambda: nn.Dropout().eval(),
    "in place in between": lambda: nn.Sequential(
        conv(), nn.Hardswish(inplace=True), conv(), norm()
    ),
    "in place at first": lambda: nn.Sequential(nn.Hardswish(inplace=True), conv(), nn.ReLU()),
    "constant": Constant,
    "constant parameter": lambda: nn.Sequential(conv(), Parameter()),
    "own sequential": lambda: OwnSequential(conv(), nn.ReLU()),
    "own ReLU": OwnReLU,
    "own norm": lambda: OwnNorm(4).eval(),
    "own convolution": lambda: OwnConv(4, 6, 3),
    "own identity": OwnIdentity,
    "own scaled": lambda: OwnScaled(nn.ReLU(), 2.0),
    "own subsample": lambda: OwnSubsample(2),
    "hooked": lambda: nn.Sequential(
        hooked(conv(), "forward_hook", lambda _, x, y: y**2), nn.ReLU()
    ),
    "hooked sequence": lambda: hooked(nested(), "forward_hook", lambda _, x, y: y * 3),
    "hooked before": lambda: hooked(nn.ReLU(), "forward_pre_hook", lambda _, x: x[0].sin()),
    "hooked on the way back": lambda: hooked(
        nn.ReLU(), "full_backward_hook", lambda _, into, out: out
    ),
    "hooked before the way back": lambda: hooked(
        norm(), "full_backward_pre_hook", lambda _, out: (out[0] * 3,)
    ),
    "linear": lambda: nn.Linear(4, 6),
    "layer norm": lambda: nn.LayerNorm(4),
    "of tokens": lambda: nn.Sequential(
        nn.LayerNorm(4), nn.Linear(4, 6), nn.ReLU(), Scaled(nn.Linear(6, 4), 0.3)
    ),
}
JOINED = {
    "batch norm in train mode": lambda: norm().train(),
    "batch norm without statistics": lambda: norm(track_running_stats=False),
    "basic in train mode": lambda: models.basic_residual(4, 6, 2),
}
EVERY = APART | JOINED
OF_TOKENS = ("linear", "layer norm", "of tokens")
DTYPES = {"float64": (torch.float64, 1e-13), "float32": (torch.float32, 1e-5)}

precisions = pytest.mark.parametrize("precision", DTYPES)
layouts = pytest.mark.parametrize("channels_last", [False, True], ids=["plain", "channels last"])


@pytest.fixture
def draw(generator):
    """Draws a tensor; `stacks` of images in the layout asked for."""

    def draw(*shape, dtype=torch.float64, channels_last=False):
        x = torch.randn(shape, generator=generator, dtype=dtype)
        if channels_last and len(shape) > 3:
            x = x.movedim(-3, -1).contiguous().movedim(-1, -3)
        return x

    return draw


def make(name, dtype=torch.float64):
    """The layer of this name: the same at each call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return EVERY[name]().to(dtype)


def some(name, draw, **settings):
    """An input for the layer of this name, a fifth of it exactly zero."""
    x = draw(*(TOKENS if name in OF_TOKENS else PIXELS), **settings)
    return x.where(x.abs() > 0.25, torch.zeros_like(x))


def automatic(layer, x, gradients):
    """What automatic differentiation makes of each of `gradients`, (stacks, B, ...)."""
    x = x.clone().requires_grad_()
    y = deepcopy(layer)(x.clone())
    if not y.requires_grad:
        return torch.zeros(len(gradients), *x.shape, dtype=x.dtype)
    options = {"retain_graph": True, "materialize_grads": True}
    return torch.stack([torch.autograd.grad(y, x, g, **options)[0] for g in gradients])


def distance(found, expected):
    """The relative distance of two tensors of one shape; where nothing is expected, any is far."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    return ((found - expected).norm() / expected.norm().clamp(min=1e-30)).item()


# Literals.


def test_a_relu_is_a_mask():
    """Nothing flows where the output is zero."""
    x = torch.tensor([[-1.0, 0.0, 2.0, 1e-30]])
    y, back = linearise(nn.ReLU(), x)
    assert y.tolist() == [[0, 0, 2, torch.tensor(1e-30).item()]]
    assert back(torch.tensor([[5.0, 6.0, 7.0, 8.0]])).tolist() == [[0, 0, 7, 8]]


def test_batch_norm_is_a_factor_a_channel():
    layer = nn.BatchNorm2d(2, eps=0.25).eval()
    layer.running_var.copy_(torch.tensor([2.0, 15.75]))
    layer.weight.data.copy_(torch.tensor([3.0, -8.0]))
    _, back = linearise(layer, torch.zeros(1, 2, 1, 2))
    g = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    assert back(g).tolist() == [[[[2.0, 4.0]], [[-6.0, -8.0]]]]


def test_subsampling_spreads():
    """The gradient of the new channel goes nowhere."""
    y, back = linearise(Subsample(1), torch.arange(6.0).reshape(1, 1, 3, 2))
    assert y.tolist() == [[[[0], [4]], [[0], [0]]]]
    g = torch.tensor([[[[7.0], [8.0]], [[9.0], [9.0]]]])
    assert back(g).tolist() == [[[[7, 0], [0, 0], [8, 0]]]]


def test_nothing_comes_back_from_a_constant():
    back = Pullback([Zero(torch.ones(2, 3, 4, 4))])
    assert torch.equal(back(torch.ones(6, 7, 2, 9, 5, 5)), torch.zeros(6, 7, 2, 3, 4, 4))


# Matrices.


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_the_transposed_matrix(name, draw):
    """Each column is what the layer makes of one pixel of value 1."""
    layer, pixels = make(name), torch.eye(60, dtype=torch.float64).reshape(60, 4, 5, 3)
    with torch.no_grad():
        zero = layer(torch.zeros(1, 4, 5, 3).double())
        columns = (layer(pixels) - zero).flatten(1)
    g = draw(2, *zero.shape)
    y, back = linearise(layer, draw(1, 4, 5, 3))
    assert y.shape == zero.shape
    assert distance(back(g).flatten(1), g.flatten(1) @ columns.T) < 1e-13
    assert distance((g * 1.0001).flatten(1) @ columns.T, g.flatten(1) @ columns.T) > 1e-5


# Automatic differentiation.


@layouts
@precisions
@pytest.mark.parametrize("name", EVERY)
def test_like_automatic_differentiation(name, draw, precision, channels_last):
    """The output bit for bit, any stack of gradients up to rounding, twice, nothing overwritten."""
    dtype, bound = DTYPES[precision]
    layer, x = make(name, dtype), some(name, draw, dtype=dtype, channels_last=channels_last)
    with torch.no_grad():
        expected, before = deepcopy(layer)(x.clone()), x.clone()
    stack = draw(3, 2, *expected.shape, dtype=dtype, channels_last=channels_last)
    y, back = linearise(deepcopy(layer), x)
    assert torch.equal(y, expected) and torch.equal(x, before)
    assert not y.requires_grad
    gradients = automatic(layer, x, stack.flatten(0, 1)).unflatten(0, (3, 2))
    kept = stack.clone()
    for g, way_back in (
        (stack, gradients),
        (stack[1], gradients[1]),
        (stack[2, 1], gradients[2, 1]),
    ):
        for _ in range(2):
            found = back(g)
            assert distance(found, way_back) < bound
            assert not found.requires_grad
    assert torch.equal(stack, kept)


@precisions
@layouts
@pytest.mark.parametrize("name", APART)
def test_at_some_of_the_images(name, draw, precision, channels_last):
    """In any order and number."""
    dtype, bound = DTYPES[precision]
    layer, x = make(name, dtype), some(name, draw, dtype=dtype, channels_last=channels_last)
    y, back = linearise(layer, x)
    for rows in (torch.tensor([3, 0, 0, 2, 4, 3]), torch.tensor([2]), torch.arange(5)):
        g = draw(len(rows), *y.shape[1:], dtype=dtype, channels_last=channels_last)
        kept = g.clone()
        expected = automatic(layer, x[rows], g[None])[0]
        for _ in range(2):
            assert distance(back.at(rows)(g), expected) < bound
        assert torch.equal(g, kept)


def test_one_image_for_many_gradients(draw):
    """A factor of a single image is nobody's but its own, and serves all the same."""
    layer, x = make("nested"), some("nested", draw)[:1]
    g, rows = draw(3, *PIXELS[1:]), torch.zeros(3, dtype=torch.int64)
    expected = automatic(layer, x.expand(3, -1, -1, -1), g[None])[0]
    assert distance(linearise(layer, x)[1].at(rows)(g), expected) < 1e-13


@pytest.mark.parametrize("name", EVERY)
def test_one_image_alone(name, draw):
    """Its batch may have any stride: as from `image.permute(2, 0, 1)[None]`, or from unflatten."""
    layer, x = make(name), some(name, draw)[:1]
    y, _ = linearise(layer, x)
    g = draw(1, *y.shape)
    expected = automatic(layer, x, g)
    odd = [strange(t) for t in (x, g[0])]
    for image, gradient in ((x, g[0]), (x, odd[1]), (odd[0], g[0]), odd):
        assert distance(linearise(layer, image)[1](gradient[None]), expected) < 1e-13


def strange(x):
    """The same numbers; channels are last, and the batch has the stride of a pixel."""
    last = x[0].movedim(0, -1).contiguous()
    return last.movedim(-1, 0)[None]


VOLUMES = {
    "signals": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), (5, 4, 8)),
    "signals in groups": (lambda: nn.Conv1d(4, 6, 2, dilation=3, groups=2), (5, 4, 9)),
    "videos": (
        lambda: nn.Conv3d(4, 6, (1, 2, 3), stride=(2, 1, 3), padding=(0, 1, 2)),
        (5, 4, 5, 4, 6),
    ),
    "norm of vectors": (lambda: nn.BatchNorm1d(4), (5, 4)),
    "norm of signals": (lambda: nn.BatchNorm1d(4), (5, 4, 6)),
    "norm of videos": (lambda: nn.BatchNorm3d(4), (5, 4, 2, 3, 3)),
    "product": (lambda: nn.Linear(4, 6, bias=False), (5, 3, 2, 4)),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_of_any_number_of_dimensions(name, draw):
    """Without automatic differentiation."""
    build, shape = VOLUMES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer, x = build().double(), draw(*shape)
        layer(x)
        for weight in layer.parameters():
            nn.init.normal_(weight)
    y, back = linearise(layer.eval(), x)
    assert torch.equal(y, layer(x)) and not any(isinstance(s, Automatic) for s in back.steps)
    g = draw(2, 3, *y.shape)
    expected = automatic(layer, x, g.flatten(0, 1)).unflatten(0, (2, 3))
    assert distance(back(g), expected) < 1e-13
    rows = torch.tensor([3, 0, 3])
    assert distance(back.at(rows)(g[0][:, rows]), expected[0][:, rows]) < 1e-13


def test_where_gradients_are_enabled(draw):
    """The output leads back to x if x requires gradients, and only then."""
    layer, x = make("in place in between"), some("in place in between", draw)
    y, back = linearise(layer, x.requires_grad_())
    g = draw(*y.shape)
    (found,) = torch.autograd.grad(y, x, g, retain_graph=True)
    assert distance(found, back(g)) < 1e-13
    with torch.no_grad():
        assert not linearise(layer, x)[0].requires_grad
    assert not linearise(layer, x.detach())[0].requires_grad


def test_whatever_the_layers_do_next(draw):
    """What is held does not change with the input or the output."""
    for name in ("ReLU", "in place at first", "of tokens"):
        layer, x = make(name), some(name, draw)
        g = draw(*layer(x.clone()).shape)
        expected = automatic(layer, x, g[None])[0]
        y, back = linearise(layer, x)
        x.zero_()
        y.zero_()
        assert distance(back(g), expected) < 1e-13


def test_the_networks_of_the_paper_need_no_automatic_differentiation(new_network, images):
    """Batch norm and ReLU are one product."""
    for shortcuts in models.SHORTCUTS:
        for block in new_network(shortcuts=shortcuts).blocks:
            c_in = block.residual[0].num_features
            x = torch.zeros(2, c_in, 8, 8).double()
            _, enter = linearise(block.residual, x)
            kinds = [type(step).__name__ for step in enter.steps]
            assert kinds == ["Convolution", "Diagonal"] * 2
            _, stay = linearise(block.skip, x)
            shared = isinstance(block, SharedPreActivation)
            assert len(stay.steps) <= 1 + shared
            assert not any(isinstance(step, Automatic) for step in stay.steps)
            assert stay.is_identity == isinstance(block.skip, nn.Identity)


# Adding in place.

SHAPE_KEEPING = (
    "identity",
    "empty",
    "ReLU",
    "batch norm",
    "diagonals",
    "scaled",
    "scaled twice",
    "3x3",
    "nested",
    "in place in between",
    "in place at first",
    "constant",
    "of tokens",
)


@layouts
@pytest.mark.parametrize("signed", ["", "images", "draws"])
@pytest.mark.parametrize("name", [*SHAPE_KEEPING, "stride 2", "subsampled", "basic", "flat"])
def test_add_to(name, draw, signed, channels_last):
    layer, x = make(name), some(name, draw, channels_last=channels_last)
    y, back = linearise(layer, x)
    g = draw(3, 2, *y.shape, channels_last=channels_last)
    target = draw(3, 2, *x.shape, channels_last=channels_last)
    signs, times = signs_for(x, signed)
    expected, kept = target + times * back(g), g.clone()
    assert name == "constant" or distance(target, expected) > 0.01
    back.add_to(target, g, signs)
    assert distance(target, expected) < 1e-13
    assert torch.equal(g, kept)


@layouts
@pytest.mark.parametrize("signed", ["", "images", "draws"])
@pytest.mark.parametrize("name", SHAPE_KEEPING)
def test_add_to_the_next_entry(name, draw, signed, channels_last):
    """Each entry receives what the one before it was, not what it has just become."""
    layer, x = make(name), some(name, draw, channels_last=channels_last)
    _, back = linearise(layer, x)
    lengths = draw(4, 2, *x.shape, channels_last=channels_last)
    signs, times = signs_for(x, signed)
    expected = lengths.clone()
    expected[1:] += times * back(lengths[:-1].clone())
    back.add_to(lengths[1:], lengths[:-1], signs)
    assert distance(lengths, expected) < 1e-13


def signs_for(x, kind):
    """Signs, (2 draws, B or 1, 1, ...), and what they multiply by."""
    if not kind:
        return None, 1
    columns = len(x) if kind == "images" else 1
    signs = torch.tensor([1.0, -1, -1, 1, -1, -1, 1, -1, 1, 1]).double()[: 2 * columns]
    signs = signs.reshape(2, columns, *[1] * (x.dim() - 1))
    return signs, signs
