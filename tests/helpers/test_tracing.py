"""Models taken apart by their forward: closed forms, then other people's models, then refusals."""

from copy import deepcopy
from itertools import combinations
from math import prod

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F
from torchvision.models import ConvNeXt, DenseNet, EfficientNet, get_model
from torchvision.models.convnext import CNBlock, CNBlockConfig
from torchvision.models.efficientnet import FusedMBConvConfig, MBConvConfig
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.regnet import ResBottleneckBlock
from torchvision.models.swin_transformer import SwinTransformer, SwinTransformerBlock
from torchvision.ops import StochasticDepth

from helpers import gradients, lesions
from helpers.network import ResidualModule, SharedStart
from helpers.unravel import unravel
from tests.toys import Times


def randomise(model):
    """All weights and statistics drawn, in float64 and eval mode: where a model starts at zeros or
    ones, layers are hidden."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.dim() < 2 or "layer_scale" in name:
            low = 0.5 if "weight" in name or "var" in name or "scale" in name else -0.1
            tensor.uniform_(low, low + 0.2 if low < 0 else 1.5, generator=generator)
        elif tensor.is_floating_point() and not tensor.any():
            tensor.normal_(std=0.1, generator=generator)
    return model.double().eval()


def seeded(make, *args, **settings):
    """A model drawn from a seed, the global generator left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomise(make(*args, **settings))


def calibrated(model, x):
    """Batch norms with the statistics that x has there: signals then reach every layer."""
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model.train()(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def draw(*shape):
    """Random numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def distance(found, expected):
    """The relative distance of two tensors."""
    return ((found - expected).norm() / expected.norm()).item()


def check_lengths(model, network, x, read=lambda out: out):
    """The sum over all lengths is the model's own gradient; at tokens, that at the first module."""
    labels = torch.arange(len(x)) % 2
    if x.is_floating_point():
        at = x.clone().requires_grad_()
        logits = read(model(at))
    else:
        at = network.stem(x).detach().requires_grad_()
        y = at
        for block in network.blocks:
            y = block(y)
        logits = network.head(y)
    (g,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), at)
    lengths = gradients.by_length(network, x, labels, at_image=x.is_floating_point())
    assert len(lengths) == len(network.blocks) + 1
    assert distance(lengths.sum(0), g) < 1e-10
    assert distance(lengths.sum(0) - lengths[1], g) > 1e-6


class Written(nn.Module):
    """y = x + f(x) for each f, the sum as `way` has it."""

    def __init__(self, fs, way):
        super().__init__()
        self.fs, self.way = nn.ModuleList(fs), way

    def forward(self, x):
        for f in self.fs:
            x = self.way(x, f)
        return x.flatten(1)


def in_place(x, f):
    x = x + 0
    x += f(x)
    return x


def in_place_on_the_branch(x, f):
    y = f(x)
    y += x
    return y


WAYS = {
    "x + f(x)": lambda x, f: x + f(x),
    "f(x) + x": lambda x, f: f(x) + x,
    "torch.add": lambda x, f: torch.add(x, f(x)),
    "x.add": lambda x, f: x.add(f(x)),
    "y.add_": lambda x, f: f(x).add_(x),
    "x +=": in_place,
    "y +=": in_place_on_the_branch,
}


# Closed forms.


@pytest.mark.parametrize("way", WAYS)
def test_however_the_sum_is_written(way, untouched):
    """Residuals a_i x: the output is prod(1 + a_i) x, the share of length k is e_k(a) in it."""
    factors = [0.5, -0.3, 0.2, 1.5]
    model, x = Written([Times(a) for a in factors], WAYS[way]).double(), draw(2, 4)
    before = x.clone()
    with untouched(model):
        network = unravel(model, x)
    assert torch.equal(x, before)
    assert len(network.blocks) == 4
    assert distance(network(x), prod(1 + a for a in factors) * x) < 1e-12
    found = gradients.shares(gradients.by_length(network, x, torch.tensor([0, 2])))
    e = [sum(map(prod, combinations(factors, k))) for k in range(5)]
    expected = torch.tensor(e, dtype=torch.float64) / prod(1 + a for a in factors)
    assert distance(found, expected) < 1e-12
    without = lesions.delete(network, [3])(x)
    assert distance(without, prod(1 + a for a in factors[:3]) * x) < 1e-12


class Block(nn.Module):
    """A block whose forward is any function of it and x."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def line():
    return nn.Linear(4, 4)


def of_blocks(*blocks):
    """A stem, blocks and a head in a chain."""
    model = nn.Sequential(nn.Linear(3, 4), *blocks, nn.Linear(4, 2))
    return seeded(lambda: model)


def residual(**parts):
    """x + f(x)."""
    return Block(lambda self, x: x + self.f(x), **parts or {"f": line()})


def after(activation):
    """activation(x + f(x))."""
    return Block(lambda self, x: self.activation(x + self.f(x)), f=line(), activation=activation)


@pytest.mark.parametrize(
    "activation", [nn.ReLU(inplace=True), F.relu, F.relu_, lambda x: x.relu_()], ids=str
)
def test_an_activation_behind_the_sum(activation):
    """It begins both routes of the next module, and leaves the sum alone."""
    model, x = of_blocks(*(after(activation) for _ in range(3))), draw(5, 3)
    network = unravel(model, x)
    assert [type(block.skip) for block in network.blocks] == [nn.Identity, nn.ReLU, nn.ReLU]
    assert all(type(block) is ResidualModule for block in network.blocks)
    assert torch.equal(network(x), model(x))
    check_lengths(model, network, x)
    y = network.stem(x)
    for i, block in enumerate(network.blocks):
        expected = (y.relu() if i else y) + model[i + 1].f(y.relu() if i else y)
        y = block(y)
        assert torch.equal(y, expected)


def test_an_activation_in_place_before_the_branch():
    """It overwrites what the skip connection carries: the model's skip is relu(x)."""
    model = of_blocks(*(residual(f=nn.Sequential(nn.ReLU(inplace=True), line())) for _ in "ab"))
    x = draw(5, 3)
    network = unravel(model, x)
    assert torch.equal(network(x), model(x))
    assert len(network.blocks) == 2 and type(network.blocks[1].skip) is nn.ReLU
    check_lengths(model, network, x)


def test_the_stems_activation_joins_the_first_module():
    """Where the others begin with one, all are alike and may trade places."""
    model = of_blocks(nn.ReLU(), after(F.relu), after(F.relu))
    network = unravel(model, draw(5, 3))
    assert [type(block.skip) for block in network.blocks] == [nn.ReLU, nn.ReLU]
    assert lesions.stages(network) == [[0, 1]]
    assert torch.equal(network(draw(5, 3)), model(draw(5, 3)))


@pytest.mark.parametrize("training", [False, True])
def test_plain_layers_between_modules(training):
    """They begin both routes of the next module, and are computed once."""
    norm = nn.BatchNorm1d(4)
    model = of_blocks(residual(), line(), norm, nn.Dropout(0.5), residual(), nn.Tanh())
    x = draw(5, 3)
    network = unravel(model.train(training), x)
    assert [type(block) for block in network.blocks] == [ResidualModule, SharedStart]
    outputs, states = [], []
    for one in (network, model):
        fresh = deepcopy(norm.state_dict())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            outputs.append(one(x))
        states.append(deepcopy(norm.state_dict()))
        norm.load_state_dict(fresh)
    assert torch.equal(*outputs)
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    without = lesions.delete(network.eval(), [1])(x)
    with torch.no_grad():
        model.eval()[5].f.weight.zero_()
        model[5].f.bias.zero_()
    assert torch.equal(without, model(x))


@pytest.mark.parametrize("order", [0, 1])
def test_the_route_with_fewer_calls_is_the_skip(order):
    def forward(self, x):
        sides = self.project(x), self.b(torch.tanh(self.a(x)))
        return sides[order] + sides[1 - order]

    model = of_blocks(Block(forward, project=line(), a=line(), b=line()), residual())
    network = unravel(model, draw(5, 3))
    assert network.blocks[0].skip is model[1].project
    check_lengths(model, network, draw(5, 3))


def test_of_nested_blocks_the_outer_one_counts():
    model = of_blocks(residual(f=nn.Sequential(residual(), residual())), residual())
    network = unravel(model, draw(5, 3))
    assert [block.residual for block in network.blocks] == [model[1].f, model[2].f]
    check_lengths(model, network, draw(5, 3))


def test_branches_are_the_models_own_modules():
    """Whatever they compute, and whatever is hooked to them."""

    def gate(self, x):
        y = self.a(x)
        return y * torch.sigmoid(y.mean(1, keepdim=True)) if y.sum() < 1e9 else y

    f, calls = Block(gate, a=line()), []
    model = of_blocks(residual(f=f), residual())
    f.register_forward_hook(lambda *call: calls.append(call[0]))
    network = unravel(model, draw(5, 3))
    assert network.blocks[0].residual is f
    assert network.stem is model[0] and network.head is model[-1]
    calls.clear()
    network(draw(5, 3))
    assert calls == [f]


class Dropped(nn.Module):
    """A dropped branch, layer scale, and dropout by a function that asks for the mode."""

    def __init__(self):
        super().__init__()
        self.f, self.g, self.drop = line(), line(), StochasticDepth(0.5, "row")
        self.layer_scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        x = x + self.drop(self.layer_scale * self.f(x))
        return x + F.dropout(self.g(x), p=0.25, training=self.training)


@pytest.mark.parametrize("training", [False, True])
def test_layer_scale_and_what_follows_the_mode(training):
    model, x = of_blocks(Dropped(), Dropped()).train(training), draw(5, 3)
    network = unravel(model, x)
    assert len(network.blocks) == 4
    for mode in (training, not training):
        outputs = []
        for one in (network.train(mode), model.train(mode)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                outputs.append(one(x))
        assert torch.equal(*outputs)
    check_lengths(model.eval(), network.eval(), x)


class Decoder(nn.Module):
    """A small language model: positions from the length, angles without gradients, a dict."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(11, 4), nn.Embedding(9, 4)
        self.blocks = nn.ModuleList(residual(f=nn.Sequential(line(), nn.Tanh())) for _ in range(3))
        self.mix = nn.MultiheadAttention(4, 2, batch_first=True)
        self.last = nn.Linear(4, 5)

    @torch.no_grad()
    def angles(self, x):
        return torch.cos(torch.arange(x.shape[1], device=x.device))[:, None].to(x.dtype)

    def forward(self, ids):
        batch, length = ids.size()
        x = self.words(ids) + self.places(torch.arange(length, device=ids.device))
        angles = self.angles(x)
        for block in self.blocks:
            x = block(x)
            y = x * angles
            x = x + self.mix(y, y, y, need_weights=False)[0]
        return {"logits": self.last(x.view(batch, length, 4))[:, -1], "hidden": x}


def test_tokens_in_and_a_dict_out(untouched):
    model = seeded(Decoder).requires_grad_(False)
    ids = torch.randint(11, (3, 6), generator=torch.Generator().manual_seed(0))
    with untouched(model):
        network = unravel(model, ids, read=lambda out: out["logits"])
    assert len(network.blocks) == 6
    for rows, length in ((3, 6), (1, 6), (2, 4)):
        some = ids[:rows, :length]
        assert torch.equal(network(some), model(some)["logits"])
    check_lengths(model, network, ids)
    message = r"^the model returns a dict: .* read=lambda out: out\['logits'\]$"
    with pytest.raises(TypeError, match=message):
        unravel(model, ids)
    with pytest.raises(
        TypeError, match="^read returns a tuple: expected the logits, a tensor of f"
    ):
        unravel(model, ids, read=tuple)


# torchvision's models, as small as they come.


def small_convnext():
    settings = [CNBlockConfig(8, 16, 2), CNBlockConfig(16, None, 2)]
    return ConvNeXt(settings, num_classes=5)


def small_efficientnet_v2():
    settings = [
        FusedMBConvConfig(1, 3, 1, 8, 8, 2),
        FusedMBConvConfig(4, 3, 2, 8, 16, 2),
        MBConvConfig(4, 3, 2, 16, 24, 3),
    ]
    return EfficientNet(settings, 0.1, num_classes=5, last_channel=32)


def small_swin():
    return SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], num_classes=5)


def last(conv_norm):
    """The last normalisation of a chain of convolutions."""
    return next(m for m in reversed(list(conv_norm.modules())) if isinstance(m, nn.BatchNorm2d))


# How many modules there are, and what ends their branches; the side of the images.
MODELS = {
    "resnet18": (8, 32, None),
    "regnet_x_400mf": (22, 32, None),
    "regnet_y_400mf": (16, 32, lambda m: m.f.c[1] if isinstance(m, ResBottleneckBlock) else None),
    "mobilenet_v2": (
        10,
        32,
        lambda m: last(m.conv) if isinstance(m, InvertedResidual) and m.use_res_connect else None,
    ),
    "mobilenet_v3_small": (
        6,
        32,
        lambda m: last(m.block) if getattr(m, "use_res_connect", False) else None,
    ),
    "efficientnet_b0": (
        9,
        32,
        lambda m: last(m.block) if getattr(m, "use_res_connect", False) else None,
    ),
    "mnasnet0_5": (10, 32, lambda m: m.layers[7] if getattr(m, "apply_residual", False) else None),
    small_efficientnet_v2: (5, 32, None),
    small_convnext: (4, 32, lambda m: m.layer_scale if isinstance(m, CNBlock) else None),
    small_swin: (
        8,
        32,
        lambda m: (m.attn.proj, m.mlp[3]) if isinstance(m, SwinTransformerBlock) else None,
    ),
}


@pytest.mark.parametrize("name", MODELS, ids=lambda name: getattr(name, "__name__", name))
def test_torchvisions_models(name):
    modules, side, branch_of = MODELS[name]
    make = (lambda: get_model(name, weights=None)) if isinstance(name, str) else name
    x = draw(2, 3, side, side)
    model = calibrated(seeded(make), draw(8, 3, side, side))
    network = unravel(model, x)
    assert len(network.blocks) == modules
    assert torch.equal(network(x), model(x))
    assert {*map(id, network.parameters())} == {*map(id, model.parameters())}
    check_lengths(model, network, x)
    if branch_of:
        check_deletions(model, network, x, [branch_of(m) for m in model.modules()])


def check_deletions(model, network, x, branches):
    """Deleting module i equals zeroing what ends the i-th branch in the model."""
    ends = []
    for branch in branches:
        ends += branch if isinstance(branch, tuple) else [] if branch is None else [branch]
    assert len(ends) == len(network.blocks)
    with torch.no_grad():
        whole = model(x)
        for i in {0, 1, len(ends) // 2, len(ends) - 1}:
            held = [ends[i]] if isinstance(ends[i], nn.Parameter) else list(ends[i].parameters())
            before = [p.clone() for p in held]
            found = lesions.delete(network, [i])(x)
            for p in held:
                p.zero_()
            assert distance(found, model(x)) < 1e-12
            for p, value in zip(held, before, strict=True):
                p.copy_(value)
            assert distance(found, whole) > 1e-6


def test_a_resnet_is_made_of_layers_alone():
    """Those that gradients pass fastest: no recorded calls are left."""
    model = seeded(get_model, "resnet18", weights=None)
    network = unravel(model, draw(1, 3, 32, 32))
    assert not any(isinstance(part, fx.GraphModule) for part in network.modules())
    first = model.layer2[0]
    kinds = [nn.ReLU, nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]
    assert [type(layer) for layer in network.blocks[2].residual] == kinds
    assert network.blocks[2].residual[4] is first.conv2
    assert network.blocks[2].skip[1] is first.downsample


# Other libraries' models.


@pytest.mark.parametrize(
    "name, modules, side",
    [
        ("resnetv2_18", 8, 32),
        ("seresnet18", 8, 32),
        ("poolformer_s12", 24, 32),
        ("repvgg_a0", 22, 32),
        ("convnext_atto", 12, 32),
        ("mixer_s32_224", 16, 64),
        ("vit_tiny_patch16_224", 24, 32),
    ],
)
def test_timms_models(name, modules, side):
    timm = pytest.importorskip("timm")
    settings = {"num_classes": 5} | ({"img_size": side} if name.endswith("224") else {})
    model, x = seeded(timm.create_model, name, **settings), draw(2, 3, side, side)
    network = unravel(model, x)
    assert len(network.blocks) == modules
    assert torch.equal(network(x), model(x))
    check_lengths(model, network, x)


@pytest.mark.parametrize("name", ["GPT2", "Llama"])
def test_language_models_of_hugging_face(name):
    transformers = pytest.importorskip("transformers")
    sizes = {"num_hidden_layers": 3, "num_attention_heads": 2, "hidden_size": 16}
    config = getattr(transformers, f"{name}Config")(vocab_size=50, **sizes)
    kind = {"GPT2": "GPT2LMHeadModel", "Llama": "LlamaForCausalLM"}[name]
    model = seeded(getattr(transformers, kind), config)
    ids = torch.randint(50, (3, 7), generator=torch.Generator().manual_seed(0))
    network = unravel(model, ids, read=lambda out: out.logits[:, -1])
    assert len(network.blocks) == 6
    for some in (ids, ids[:1], ids[:2, :5]):
        assert torch.equal(network(some), model(some).logits[:, -1])


# What is refused.

CONCATENATED = "is no residual network: its routes meet in concatenations, not in additions"
PLAIN = "is no residual network: no two routes that together carry all of its data are added"


@pytest.mark.parametrize(
    "name, side, kind, message",
    [
        ("alexnet", 64, "AlexNet", PLAIN),
        ("squeezenet1_1", 32, "SqueezeNet", CONCATENATED),
        ("shufflenet_v2_x0_5", 32, "ShuffleNetV2", CONCATENATED),
        ("googlenet", 32, "GoogLeNet", CONCATENATED),
        ("inception_v3", 80, "Inception3", CONCATENATED),
    ],
)
def test_models_without_additions(name, side, kind, message):
    settings = {"init_weights": False} if kind in ("GoogLeNet", "Inception3") else {}
    model = get_model(name, weights=None, num_classes=5, **settings).eval()
    with pytest.raises(ValueError, match=f"^{kind} {message}$"):
        unravel(model, draw(1, 3, side, side).float())


def test_a_densenet_has_no_additions():
    with pytest.raises(ValueError, match=f"^DenseNet {CONCATENATED}$"):
        unravel(seeded(DenseNet, 8, (2, 2), 16), draw(1, 3, 32, 32))


def test_a_wrapped_model():
    model, x = of_blocks(residual()), draw(5, 3)
    with pytest.raises(
        TypeError, match="^DataParallel only runs another .*: give that, model.module"
    ):
        unravel(nn.DataParallel(model), x)
    message = "^OptimizedModule is a compiled model: give the one it was made of, model._orig_mod$"
    with pytest.raises(TypeError, match=message):
        unravel(torch.compile(model), x)


def test_a_hook_that_would_be_lost(untouched):
    model, x = of_blocks(residual(), residual()), draw(5, 3)
    model[2].register_forward_hook(lambda *call: None)
    message = "^2 has hooks, which a network of its parts would not run: remove them$"
    with untouched(model), pytest.raises(ValueError, match=message):
        unravel(model, x)


def test_a_forward_that_differs_in_train_mode():
    def forward(self, x):
        return x + self.f(x) if self.training else x + 2 * self.f(x)

    model, x = of_blocks(Block(forward, f=line())), draw(5, 3)
    assert len(unravel(model, x).blocks) == 1
    message = "^Sequential makes other calls in train mode: call model.eval\\(\\) first$"
    with pytest.raises(ValueError, match=message):
        unravel(model.train(), x)
    assert model.training


def test_a_branch_without_gradients():
    """The outputs are equal; the network's gradient is not the model's."""

    def forward(self, x):
        with torch.no_grad():
            y = self.g(x)
        return x + self.f(x + y)

    model = of_blocks(Block(forward, f=line(), g=line()))
    with pytest.raises(ValueError, match="do not make up the model: gradient differs by .*no_grad"):
        unravel(model, draw(5, 3))


def test_a_forward_for_one_number_of_images():
    def forward(self, x):
        y = self.f(x)
        return x + torch.stack([y[i] for i in range(len(x))])

    model = of_blocks(Block(forward, f=line()))
    with pytest.raises(ValueError, match=r"^followed for 5 images, the network fails on \(1, 3\)"):
        unravel(model, draw(5, 3))


def test_what_cannot_be_followed():
    def forward(self, x):
        assert isinstance(x, torch.Tensor)
        return x + self.f(x)

    strange = Block(forward, f=line())
    message = (
        r"^Block could not be followed: .*; give the model's parts: "
        r"unravel\(model, images, stem=\.\.\., modules=\[\.\.\.\], head=\.\.\.\)$"
    )
    with pytest.raises(ValueError, match=message):
        unravel(seeded(lambda: strange), draw(5, 4))
    message = rf"^Sequential {PLAIN}; 1, a Block, could not be followed: .*; give the model's parts"
    with pytest.raises(ValueError, match=message):
        unravel(of_blocks(strange), draw(5, 3))
    with pytest.warns(UserWarning, match="^1, a Block, could not be followed: .* are not seen$"):
        network = unravel(of_blocks(strange, residual()), draw(5, 3))
    assert len(network.blocks) == 1
