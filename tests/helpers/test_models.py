"""Networks: the equations by hand, the sizes from the literature."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import lesions, models
from helpers.network import (
    HighwayModule,
    Network,
    PlainLayer,
    ResidualModule,
    ResidualNetwork,
    Scaled,
    SharedPreActivation,
    Subsample,
    scale_residuals,
)
from tests.toys import Times

BASE = {"in_channels": 3, "classes": 10}


def toy(factors):
    """Residuals a_i x around identities."""
    blocks = [ResidualModule(nn.Identity(), Times(a)) for a in factors]
    return ResidualNetwork(nn.Identity(), blocks, nn.Identity())


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_equation_1():
    module = ResidualModule(Times(10.0), Times(0.5))
    assert module(torch.tensor(4.0)) == 42
    assert [name for name, _ in module.named_children()] == ["skip", "residual"]


def test_a_plain_layer_has_no_skip():
    """Eq 7; what stands in for the deleted layer comes before it."""
    layer = PlainLayer(Times(10.0), nn.ReLU())
    assert layer(torch.tensor(-4.0)) == 0
    assert layer(torch.tensor(4.0)) == 40


def test_equation_3():
    x = torch.linspace(-2, 2, 9)
    found = HighwayModule(nn.ReLU(), nn.Sigmoid())(x)
    t = 1 / (1 + torch.exp(-x))
    assert torch.allclose(found, x.clamp(min=0) * t + x * (1 - t), atol=1e-6)
    assert not torch.allclose(found, x, atol=0.1)


def test_equation_3_where_the_shape_changes(generator):
    """A downsampling module: a 1x1 projection of every second pixel stands for x."""
    network = models.build("highway", 0, depth=8, gate_bias=-1.0)
    module = network.blocks[1].double().eval()
    x = torch.randn(2, 16, 6, 4, generator=generator, dtype=torch.float64)
    pixels, (norm, _, gate, _) = x[:, :, ::2, ::2], module.gate
    nn.init.normal_(gate.weight, generator=generator)
    # Batch norm that has seen nothing only adds its epsilon to a variance of 1.
    positive = pixels.clamp(min=0) / (1 + norm.eps) ** 0.5
    z = torch.einsum("oc,bchw->bohw", gate.weight[:, :, 0, 0], positive) - 1
    t = 1 / (1 + torch.exp(-z))
    carried = torch.einsum("oc,bchw->bohw", module.skip.weight[:, :, 0, 0], pixels)
    expected = module.transform(x) * t + carried * (1 - t)
    assert t.min() < 0.1 and t.max() > 0.5
    assert torch.allclose(module(x), expected, rtol=1e-9, atol=1e-12)


def test_a_highway_with_half_open_gates_is_a_residual_network(generator):
    """z_i = 2^i y_i obeys z_{i+1} = z_i + 2^i f(z_i / 2^i)."""
    transforms = [nn.Sequential(nn.Linear(4, 4), nn.Tanh()).double() for _ in range(3)]

    # The sigmoid of zero is one half, everywhere.
    gate = nn.Sequential(Times(0.0), nn.Sigmoid())
    y = z = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    for i, f in enumerate(transforms):
        y = HighwayModule(f, gate)(y)
        z = z + 2**i * f(z / 2**i)
    assert torch.allclose(z, 2**3 * y, rtol=1e-12, atol=0)


def test_toy_modules_multiply():
    """Modules a_i x make prod(1 + a_i) x."""
    assert toy([1.0, 0.5, -0.25, 3.0])(torch.tensor(2.0)) == 2 * 2 * 1.5 * 0.75 * 4


def test_equation_6_is_equation_4(four, images):
    """The unrolled sum: the stem's output through the skips, plus one term a module."""
    y = four.stem(images)
    terms = [y]
    for block in four.blocks:
        terms = [block.skip(term) for term in terms] + [block.residual(y)]
        y = block(y)
    assert len(terms) == 5
    assert torch.allclose(sum(terms), y, rtol=1e-12, atol=0)
    assert torch.allclose(four.head(sum(terms)), four(images), rtol=1e-12, atol=0)


def test_subsample():
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    y = Subsample(3)(x)
    assert y.shape == (1, 5, 2, 2)
    assert y[0, 0].tolist() == [[0, 2], [8, 10]]
    assert y[0, 1].tolist() == [[16, 18], [24, 26]]
    assert not y[0, 2:].any()


def test_scale_residuals():
    network = toy([1.0, 2.0])
    assert scale_residuals(network, [0.5, 0.25])(torch.tensor(1.0)) == 1.5 * 1.5
    assert network(torch.tensor(1.0)) == 2 * 3
    with pytest.raises(ValueError, match="1 factors for 2 modules"):
        scale_residuals(network, [0.5])
    deleted = network.with_blocks([network.blocks[0], nn.Identity()])
    with pytest.raises(TypeError, match="module 1 is a Identity: expected a ResidualModule"):
        scale_residuals(deleted, [0.5, 0.25])


@pytest.mark.parametrize("training", [True, False])
def test_a_view_shares_weights_and_mode(new_network, untouched, training):
    network = new_network().train(training)
    # One part may be in another mode than the whole, and stays in it.
    network.blocks[1].residual.train(not training)
    with untouched(network):
        view = network.with_blocks(list(network.blocks)[1:3])
    assert type(view) is ResidualNetwork and view.training is training
    mine = {id(p) for p in network.parameters()}
    assert {id(p) for p in view.parameters()} < mine
    assert view.stem is network.stem and view.head is network.head
    assert list(view.blocks) == list(network.blocks)[1:3]


# Of each module a batch norm of c_in channels, and a 1x1 convolution with a bias.
SHAPES = [(16, 16)] * 18 + [(16, 32)] + [(32, 32)] * 17 + [(32, 64)] + [(64, 64)] * 17
GATES = sum(2 * c_in + c_in * c_out + c_out for c_in, c_out in SHAPES)


@pytest.mark.parametrize(
    "model, settings, modules, expected",
    [
        ("resnet", BASE, 54, 1_727_962),
        ("resnet", BASE | {"shortcuts": "projection"}, 54, 1_730_522),
        ("resnet", BASE | {"shortcuts": "shared"}, 54, 1_727_962),
        ("resnet200", {}, 66, 64_666_280),
        ("highway", BASE, 54, 1_730_522 + GATES),
        ("vgg15", BASE, 13, 3_456 + 256 + 13 * (128 * 128 * 9 + 256) + 1_290),
        ("vgg15-plain", BASE, 13, 3_584 + 13 * (128 * 128 * 9 + 128) + 1_290),
    ],
)
def test_sizes(model, settings, modules, expected):
    with torch.device("meta"):
        network = models.ARCHITECTURES[model](**settings)
    assert len(network.blocks) == modules
    assert parameters(network) == expected


@pytest.mark.parametrize("depth, modules", [(8, 3), (20, 9), (110, 54)])
def test_depth(depth, modules):
    """6m + 2 layers: two convolutions a module, the stem, the classifier."""
    network = models.build("resnet", 0, depth=depth)
    assert len(network.blocks) == modules
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


def test_shapes_through_a_resnet(new_network, images):
    x, shapes = (network := new_network()).stem(images), []
    for block in network.blocks:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    stages = [(16, 8, 8), (32, 4, 4), (64, 2, 2)]
    assert shapes == [shape for shape in stages for _ in range(2)]
    assert network(images).shape == (5, 10)


def test_shapes_through_a_vgg(new_network):
    x, sides = (network := new_network("vgg15")).stem(torch.zeros(2, 1, 16, 16).double()), []
    for block in network.blocks:
        x = block(x)
        assert x.shape[1] == 128
        sides.append(x.shape[-1])
    assert sides == [16] + [8] * 2 + [4] * 3 + [2] * 3 + [1] * 4
    assert network(torch.zeros(2, 1, 16, 16).double()).shape == (2, 10)


def test_a_bottleneck_network_runs():
    """ResNet-200's module, on a small network: 1x1, 3x3, 1x1, the stride in the middle."""
    residual = models.bottleneck_residual(8, 16, 2).eval()
    convolutions = [m for m in residual if isinstance(m, nn.Conv2d)]
    assert [(c.kernel_size[0], c.stride[0], c.out_channels) for c in convolutions] == [
        (1, 1, 4),
        (3, 2, 4),
        (1, 1, 16),
    ]
    module = ResidualModule(models.shortcut("projection", 8, 16, 2), residual)
    assert module(torch.zeros(1, 8, 6, 6)).shape == (1, 16, 3, 3)


@pytest.mark.parametrize("shortcuts, kind", [("subsample", Subsample), ("projection", nn.Conv2d)])
def test_two_modules_downsample(shortcuts, kind):
    network = models.build("resnet", 0, depth=20, shortcuts=shortcuts)
    kinds = [type(block.skip) for block in network.blocks]
    assert kinds == [nn.Identity] * 3 + [kind] + [nn.Identity] * 2 + [kind] + [nn.Identity] * 2


def test_shared_pre_activation(new_network, images):
    """In the first module of each stage both routes begin with the same batch norm and ReLU, which
    it leaves when deleted.  A batch is counted once."""
    network = new_network(depth=20, shortcuts="shared")
    opening = [i for i, b in enumerate(network.blocks) if type(b) is SharedPreActivation]
    assert opening == [0, 3, 6]
    assert lesions.downsampling(network) == [3, 6]
    assert lesions.stages(network) == [[0], [1, 2], [4, 5], [7, 8]]
    plain = new_network(depth=20)
    assert parameters(network) == parameters(plain), "nothing is added"
    x = network.stem(images)
    for block, other in zip(network.blocks, plain.blocks, strict=True):
        first, others = block.residual[:2], block.residual[2:]
        if type(block) is SharedPreActivation:
            z = first(x)
            assert torch.equal(block(x), others(z) + other.skip(z))
            assert torch.equal(block.skip(x), other.skip(z))
            assert block.skip[0] is block.residual[0]
        x = block(x)
    before = [b.residual[0].num_batches_tracked.item() for b in network.blocks]
    network.train()(images)
    assert [b.residual[0].num_batches_tracked.item() for b in network.blocks] == [
        number + 1 for number in before
    ]


def test_a_highway_network_is_a_resnet_with_gates():
    """The same stem, transforms, skips and head; the gates alone, like any layer behind batch norm
    and ReLU, are added."""
    highway = models.build("highway", 0, depth=20)
    resnet = models.build("resnet", 0, depth=20, shortcuts="projection")
    assert type(highway) is Network, "it has no paths that a code could name"
    shapes, expected = (
        {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        for network in (highway, resnet)
    )
    gates = {name for name in shapes if ".gate." in name}
    assert {n.replace(".transform.", ".residual."): shapes[n] for n in shapes.keys() - gates} == (
        expected
    )
    for block in highway.blocks:
        parts = [nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.Sigmoid]
        assert [type(part) for part in block.gate] == parts
    kinds, skips = ([type(b.skip) for b in network.blocks] for network in (highway, resnet))
    assert kinds == skips


@pytest.mark.parametrize("settings, bias", [({}, -6.0), ({"gate_bias": 0.5}, 0.5)])
def test_gates_begin_at_their_bias(images, settings, bias):
    """Their weights are zero, so a gate is the sigmoid of its bias whatever comes in."""
    network = models.build("highway", 0, depth=14, in_channels=1, **settings).double().eval()
    x, open_at = network.stem(images), 1 / (1 + torch.tensor(-bias).exp().item())
    for block in network.blocks:
        convolution = block.gate[-2]
        assert (convolution.bias == bias).all() and not convolution.weight.any()
        gate, x = block.gate(x), block(x)
        assert gate.shape == x.shape
        assert torch.allclose(gate, torch.full_like(gate, open_at), rtol=1e-6, atol=0)
    assert network(images).shape == (5, 10)


def test_gradients_of_a_deep_highway_network_begin_at_a_usable_size(images):
    """With gates drawn at random the stem's is some ten orders of magnitude above the head's."""
    network = models.build("highway", 0, in_channels=1).train()
    F.cross_entropy(network(images.float()), torch.arange(5)).backward()
    stem, head = (p.grad.norm() for p in (network.stem.weight, network.head[0].weight))
    assert 1e-3 < stem / head < 1e3


def test_what_an_almost_closed_gate_lets_through_is_kept_in_16_bits():
    """1 + 0.0025 is 1 in bfloat16."""
    x = torch.ones(1, 1, 2, 2, dtype=torch.bfloat16)
    gate = Scaled(nn.Identity(), 0.0025)
    y = HighwayModule(Scaled(nn.Identity(), 2.0), gate)(x)
    assert torch.allclose(y, torch.full_like(y, 1.0025), rtol=0, atol=1e-5)


def test_pre_activation_order():
    """Eq 2: batch norm and ReLU before each convolution; the head finishes the last module."""
    network = models.build("resnet", 0, depth=8)
    order = [nn.BatchNorm2d, nn.ReLU, nn.Conv2d] * 2
    for block in network.blocks:
        assert [type(part) for part in block.residual] == order
    assert [type(part) for part in network.head[:2]] == [nn.BatchNorm2d, nn.ReLU]


def test_initial_weights():
    """Variance 2 / fan-out within 5%, for 18,432 weights from 32 to 64 channels; zero biases."""
    network = models.build("resnet", 0, depth=8)
    weights = network.blocks[-1].residual[2].weight
    assert weights.shape == (64, 32, 3, 3)
    assert weights.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)
    assert weights.mean().abs() < 0.001
    assert not network.head[-1].bias.any()


@pytest.mark.usefixtures("no_global_draws")
@pytest.mark.parametrize("model", ["resnet", "highway"])
def test_the_seed_alone_decides_the_weights(model):
    def weights(seed):
        network = models.build(model, seed, depth=8)
        return torch.cat([p.flatten() for p in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("model", ["resnet", "highway"])
@pytest.mark.parametrize("depth", [2, 7, 9, 109])
def test_a_wrong_depth(model, depth):
    with pytest.raises(ValueError, match=rf"depth {depth}: expected 6m \+ 2"):
        models.build(model, 0, depth=depth)


def test_wrong_names():
    with pytest.raises(ValueError, match="shortcuts 'pool': expected one of subsample, projection"):
        models.build("resnet", 0, shortcuts="pool")
    with pytest.raises(ValueError, match="model 'alexnet': expected one of resnet, "):
        models.build("alexnet", 0)
