"""Other people's networks: closed forms, then torchvision's own answers, then what goes wrong."""

from copy import deepcopy
from functools import cache
from itertools import combinations, product
from math import prod

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import ResNet, VisionTransformer, get_model
from torchvision.models.resnet import BasicBlock, Bottleneck

from helpers import gradients, lesions, sweep
from helpers.network import ResidualModule, ResidualNetwork
from helpers.unravel import unravel
from tests.toys import Times

TINY = {"block": BasicBlock, "layers": [1, 1, 1, 1], "num_classes": 5}
SMALL_VIT = {"image_size": 16, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 8}
SMALL_VIT |= {"mlp_dim": 16, "num_classes": 5}

# Name -> how many modules, and the side of the images.
NAMED = {"resnet18": (8, 64), "resnet50": (16, 64), "vit_b_16": (24, 32)}
named = pytest.mark.parametrize("name", NAMED)


def randomised(make, **settings):
    """A model with all its weights and statistics drawn, in eval mode: torchvision starts some at
    zero or one, which would hide them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make(**settings)
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.1)
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(std=0.1)
                part.running_var.uniform_(0.5, 1.5)
        if isinstance(model, VisionTransformer):
            nn.init.normal_(model.heads.head.weight, std=0.1)
            nn.init.normal_(model.class_token, std=0.1)
            for block in model.encoder.layers:
                nn.init.normal_(block.self_attention.out_proj.bias, std=0.1)
    return model.eval()


@cache
def original(name):
    """A torchvision model, float32, built once: tests leave it alone or copy it."""
    settings = {"image_size": 32} if name.startswith("vit") else {}
    return randomised(get_model, name=name, weights=None, **settings)


def draw(n, side, dtype=torch.float64):
    """Random images."""
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1)).to(dtype)


def distance(found, expected):
    """The relative distance of two tensors."""
    return ((found - expected).norm() / expected.norm()).item()


def autograd(model, x, labels):
    """The gradient at the image, of the model as it came."""
    x = x.clone().requires_grad_()
    F.cross_entropy(model(x), labels, reduction="sum").backward(inputs=[x])
    return x.grad


class Chain(nn.Module):
    """A user's model: x + f(x) for each f, `after` behind every sum, then the last layer."""

    def __init__(self, fs, after=None, last=None):
        super().__init__()
        self.fs, self.after = nn.ModuleList(fs), after or nn.Identity()
        self.last = last or nn.Flatten()

    def forward(self, x):
        for f in self.fs:
            x = self.after(x + f(x))
        return self.last(x)


def layers(n=3, width=4):
    """Residuals of a user's model, for inputs (B, width)."""
    return [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(n)]


@pytest.fixture
def own():
    """A user's model of three residuals, and an input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Chain(layers(), last=nn.Linear(4, 3)).eval(), torch.randn(5, 4)


def as_listed(model, form):
    """The list of a `Chain`, in one of the forms that `unravel` takes."""
    forms = {
        "bare": lambda f: f,
        "pair": lambda f: (nn.Identity(), f),
        "module": lambda f: ResidualModule(nn.Identity(), f),
    }
    return [forms[form](f) for f in model.fs]


# Closed forms.


@pytest.mark.parametrize("form", ["bare", "pair", "module"])
def test_toy_list(form):
    """Residuals a_i x: the output is prod(1 + a_i) x, and the share of length k is e_k(a) in it."""
    factors = [0.5, -0.3, 0.2, 1.5]
    model, x = Chain([Times(a) for a in factors]), draw(2, 1)
    network = unravel(model, x, modules=as_listed(model, form), head=model.last)
    assert distance(network(x), prod(1 + a for a in factors) * x.flatten(1)) < 1e-12
    found = gradients.shares(gradients.by_length(network, x, torch.tensor([0, 2])))
    e = [sum(map(prod, combinations(factors, k))) for k in range(5)]
    expected = torch.tensor(e, dtype=torch.float64) / prod(1 + a for a in factors)
    assert distance(found, expected) < 1e-12


def test_toy_after_the_sum():
    """relu(x + a x), twice, by hand; where a module is deleted, the ReLU in front of it stays."""
    model = Chain([Times(1.0), Times(-0.25)], after=nn.ReLU())
    modules = [model.fs[0], (nn.ReLU(), nn.Sequential(nn.ReLU(), model.fs[1]))]
    x = torch.tensor([[3.0, -1.0]])
    network = unravel(model, x, modules=modules, head=nn.Sequential(nn.ReLU(), model.last))
    assert network(x).tolist() == [[3 * 2 * 0.75, 0]]
    assert network.blocks[1](torch.tensor([[6.0, -2.0]])).tolist() == [[4.5, 0]]
    assert lesions.delete(network, [0])(x).tolist() == [[3 * 0.75, 0]]
    assert lesions.delete(network, [1])(x).tolist() == [[3 * 2, 0]]


# torchvision's answers.


@named
def test_the_output_is_equal_bit_by_bit(name):
    """With and without gradients: attention has a faster way without, which rounds otherwise."""
    modules, side = NAMED[name]
    model, x = original(name), draw(2, side, torch.float32)
    network = unravel(model, x)
    assert type(network) is ResidualNetwork
    assert len(network.blocks) == modules
    assert all(type(block) is ResidualModule for block in network.blocks)
    assert torch.equal(network(x), model(x))
    with torch.no_grad():
        assert torch.equal(network(x), model(x))
    assert model(x).std(0).min() > 0, "the images are told apart"


SMALL = {"block": Bottleneck, "layers": [2, 1, 1, 1], "num_classes": 5}


@pytest.mark.parametrize(
    "settings",
    [
        {"groups": 32, "width_per_group": 4},
        {"width_per_group": 128},
        {"replace_stride_with_dilation": [False, True, True]},
        {"norm_layer": lambda channels: nn.GroupNorm(4, channels)},
        {"zero_init_residual": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_the_whole_family(settings):
    """ResNeXt, wide ResNets, and what else the constructor offers."""
    model, x = randomised(ResNet, **SMALL | settings), draw(2, 64, torch.float32)
    assert torch.equal(unravel(model, x)(x), model(x))


def test_models_with_another_stem_or_head():
    """As for CIFAR: a small first convolution, no pooling; a head of one's own; a stage less."""
    model = randomised(ResNet, **TINY)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1), nn.Identity()
    model.layer4, model.fc = nn.Identity(), nn.Sequential(nn.Linear(256, 9), nn.Linear(9, 2))
    x = draw(2, 8, torch.float32)
    network = unravel(model, x)
    assert len(network.blocks) == 3
    assert torch.equal(network(x), model(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("make, settings", [(ResNet, TINY), (VisionTransformer, SMALL_VIT)])
def test_dtypes(make, settings, dtype):
    model, x = randomised(make, **settings).to(dtype), draw(2, 16, dtype)
    assert torch.equal(unravel(model, x)(x), model(x))


@pytest.mark.parametrize("make, settings", [(ResNet, TINY), (VisionTransformer, SMALL_VIT)])
def test_equal_in_train_mode(make, settings):
    """Batch statistics move alike; dropout falls alike from the same state of the generator."""
    settings = settings | ({"dropout": 0.3} if make is VisionTransformer else {})
    model, x = randomised(make, **settings), draw(4, 16, torch.float32)
    network, twin = unravel(model.train(), x), deepcopy(model)
    outputs = []
    for one in (network, twin):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            outputs.append(one(x))
    assert torch.equal(*outputs)
    assert not torch.equal(network.eval()(x), outputs[0])
    for mine, own in zip(model.buffers(), twin.buffers(), strict=True):
        assert torch.equal(mine, own)


def last_layer(model, module):
    """What ends the residual of a module, found in the model as torchvision made it."""
    if isinstance(model, ResNet):
        stages = (model.layer1, model.layer2, model.layer3, model.layer4)
        block = [block for stage in stages for block in stage][module]
        return block.bn3 if isinstance(block, Bottleneck) else block.bn2
    block = model.encoder.layers[module // 2]
    return block.mlp[3] if module % 2 else block.self_attention.out_proj


@pytest.mark.parametrize(
    "name, modules",
    [("resnet18", (0, 1, 2, 7)), ("resnet50", (0, 1, 3, 15)), ("vit_b_16", (0, 1, 23))],
)
def test_deleting_equals_a_residual_that_ends_in_zero(name, modules):
    model, x = original(name), draw(2, NAMED[name][1], torch.float32)
    network = unravel(model, x)
    with torch.no_grad():
        for i in modules:
            layer = last_layer(model, i)
            weights = layer.weight.clone(), layer.bias.clone()
            found = lesions.delete(network, [i])(x)
            try:
                layer.weight.zero_()
                layer.bias.zero_()
                assert torch.equal(found, model(x))
            finally:
                layer.weight.copy_(weights[0])
                layer.bias.copy_(weights[1])
            assert distance(found, model(x)) > 1e-3


def test_predictions_of_many_lesions():
    """The prefix tree leaves out identities; the ReLU that a deleted module leaves, it keeps."""
    model, x = original("resnet18"), draw(8, 32, torch.float32)
    network = unravel(model, x)
    views = [lesions.delete(network, [i]) for i in range(8)]
    with torch.no_grad():
        expected = torch.stack([lesion(x).argmax(1) for lesion in views])
    assert torch.equal(sweep.predictions(views, x), expected)
    assert len(expected.unique(dim=0)) > 2, "the lesions differ"


@pytest.mark.parametrize(
    "name, order", [("resnet18", [1, 0, *range(2, 8)]), ("resnet50", [0, 2, 1, *range(3, 16)])]
)
def test_reordering_equals_changing_the_blocks_of_the_model(name, order):
    model, x = deepcopy(original(name)), draw(2, 32, torch.float32)
    found = lesions.reorder(unravel(model, x), order)(x)
    assert distance(found, model(x)) > 1e-3
    model.layer1 = nn.Sequential(*[model.layer1[i] for i in order[: len(model.layer1)]])
    assert torch.equal(found, model(x))


def test_stages():
    network = unravel(original("resnet18"), draw(1, 32, torch.float32))
    assert lesions.downsampling(network) == [2, 4, 6]
    assert lesions.stages(network) == [[0, 1], [3], [5], [7]]
    network = unravel(original("resnet50"), draw(1, 32, torch.float32))
    assert lesions.downsampling(network) == [0, 3, 7, 13]
    network = unravel(original("vit_b_16"), draw(1, 32, torch.float32))
    assert lesions.stages(network) == [list(range(24))]


# Gradients, in float64.


@named
def test_all_lengths_add_up_to_the_gradient_of_the_model(name):
    modules, side = NAMED[name]
    model, x, labels = deepcopy(original(name)).double(), draw(1, side), torch.tensor([3])
    lengths = gradients.by_length(unravel(model, x), x, labels, at_image=True)
    assert len(lengths) == modules + 1
    g = autograd(model, x, labels)
    assert distance(lengths.sum(0), g) < 1e-12
    assert distance(lengths.sum(0) - lengths[4], g) > 1e-3


def test_the_gradient_at_the_first_module_of_a_resnet():
    """Its input is the first pooling, before the ReLU: where negative, none gets through."""
    model, x = randomised(ResNet, **TINY).double(), draw(2, 32)
    network, labels = unravel(model, x), torch.tensor([0, 3])
    pooled = []
    handle = model.maxpool.register_forward_hook(lambda *call: pooled.append(call[-1]))
    loss = F.cross_entropy(model(x), labels, reduction="sum")
    handle.remove()
    (g,) = torch.autograd.grad(loss, pooled)
    first = network.stem(x)
    assert torch.equal(first.relu(), pooled[0]) and (first < 0).any()
    found = gradients.by_length(network, x, labels).sum(0)
    assert distance(found, g * (first > 0)) < 1e-12
    assert distance(found, g) > 1e-3


def routed_resnet(model, x, path):
    """The logits of torchvision's computation, cut behind every route that `path` does not take."""
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    stages = (model.layer1, model.layer2, model.layer3, model.layer4)
    for (block,), enters in zip(stages, path, strict=True):
        skip = x if block.downsample is None else block.downsample(x)
        f = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
        x = F.relu(skip.detach() + f if enters else skip + f.detach())
    return model.fc(model.avgpool(x).flatten(1))


def routed_vit(model, x, path):
    """The same for a VisionTransformer."""
    x = model._process_input(x)
    x = torch.cat([model.class_token.expand(len(x), -1, -1), x], dim=1)
    x = x + model.encoder.pos_embedding
    for i, block in enumerate(model.encoder.layers):
        y = block.ln_1(x)
        y = block.self_attention(y, y, y)[0]
        x = x.detach() + y if path[2 * i] else x + y.detach()
        y = block.mlp(block.ln_2(x))
        x = x.detach() + y if path[2 * i + 1] else x + y.detach()
    return model.heads(model.encoder.ln(x)[:, 0])


@pytest.mark.parametrize(
    "make, settings, routed",
    [(ResNet, TINY, routed_resnet), (VisionTransformer, SMALL_VIT, routed_vit)],
    ids=["resnet", "vit"],
)
def test_all_sixteen_paths(make, settings, routed):
    """Four modules: each path, and their sums by length, by brute force in the model itself."""
    model = randomised(make, **settings).double()
    images, labels = draw(2, 16), torch.tensor([1, 4])
    network = unravel(model, images)
    sums = dict.fromkeys(range(5), 0)
    x = images.clone().requires_grad_()
    scale = autograd(model, images, labels).norm()
    for path in product((False, True), repeat=4):
        loss = F.cross_entropy(routed(model, x, path), labels, reduction="sum")
        (expected,) = torch.autograd.grad(loss, x)
        along = gradients.along_paths(
            network, images, labels, torch.tensor([path, path]), at_image=True
        )
        assert (along - expected).norm() / scale < 1e-12
        sums[sum(path)] += expected
    lengths = gradients.by_length(network, images, labels, at_image=True)
    for k, expected in sums.items():
        assert (lengths[k] - expected).norm() / scale < 1e-12
        assert expected.norm() / scale > 1e-3 or (make is VisionTransformer and k == 0)


def test_no_path_reaches_the_image_around_all_attention():
    """The class token alone is classified, and only attention carries the patches to it."""
    model, x = randomised(VisionTransformer, **SMALL_VIT).double(), draw(1, 16)
    network, labels = unravel(model, x), torch.tensor([2])
    only_mlps = torch.tensor([[False, True, False, True]])
    assert not gradients.along_paths(network, x, labels, only_mlps, at_image=True).any()
    assert gradients.along_paths(network, x, labels, only_mlps).any()
    one = torch.tensor([[False, True, True, False]])
    assert gradients.along_paths(network, x, labels, one, at_image=True).any()


# Weights are shared, and nothing is changed.


@pytest.mark.parametrize("make, settings", [(ResNet, TINY), (VisionTransformer, SMALL_VIT)])
def test_weights_are_shared(make, settings):
    model, x = randomised(make, **settings), draw(2, 16, torch.float32)
    network = unravel(model, x)
    for mine, own in (
        (network.parameters(), model.parameters()),
        (network.buffers(), model.buffers()),
    ):
        assert {id(tensor) for tensor in mine} == {id(tensor) for tensor in own}
    before = model(x)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.5)
    assert torch.equal(network(x), model(x)) and not torch.equal(model(x), before)
    model.double()
    assert torch.equal(network(x.double()), model(x.double()))


@pytest.mark.usefixtures("no_global_draws")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "make, settings", [(ResNet, TINY), (VisionTransformer, SMALL_VIT | {"dropout": 0.5})]
)
def test_the_model_is_not_changed(make, settings, training, untouched):
    model, x = randomised(make, **settings), draw(2, 16, torch.float32)
    F.cross_entropy(model(x), torch.tensor([0, 1])).backward()
    # One part may be in another mode than the whole, and stays in it.
    next(model.train(training).children()).train(not training)
    before = x.clone()
    with untouched(model):
        network = unravel(model, x)
    assert torch.equal(x, before)
    assert network.training is training
    held = set(model.modules())
    assert {part.training for part in network.modules() if part not in held} == {training}


def test_parts_of_ones_own_take_over_the_mode(own):
    model, x = own
    modules = [(nn.Identity(), nn.Sequential(f, nn.Dropout())) for f in model.fs]
    network = unravel(model, x, modules=modules, head=model.last)
    assert not any(part.training for part in network.modules())
    assert torch.equal(network(x), model(x))
    network = unravel(model.train(), x, modules=modules, head=model.last)
    assert all(part.training for part in network.modules())


def test_inside_inference_mode(own):
    model, x = own
    with torch.inference_mode():
        network = unravel(model, x.clone(), modules=list(model.fs), head=model.last)
    labels = torch.zeros(5, dtype=torch.int64)
    assert distance(gradients.whole(network, x, labels), autograd(model, x, labels)) < 1e-6


def test_the_check_leaves_no_gradients(own, untouched):
    """An observer's hook on a part runs as ever; what the user differentiates gets nothing."""
    model, x = own
    seen, x = [], x.clone().requires_grad_()
    with untouched(model):
        handle = model.fs[1].register_forward_hook(lambda *call: seen.append(call[-1].shape))
        unravel(model, x, modules=list(model.fs), head=model.last)
        handle.remove()
    assert set(seen) == {(5, 4)} and x.grad is None


class Draws(nn.Module):
    """x plus noise, in eval mode too, and a count of the calls."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x + torch.randn(x.shape)


@pytest.mark.usefixtures("no_global_draws")
def test_random_states_and_buffers_are_put_back_after_an_error(own, untouched):
    model, x = own
    model.fs[1].append(Draws())
    model.train()
    with untouched(model), pytest.raises(ValueError, match="output differs by"):
        unravel(model, x, modules=list(model.fs), head=model.last)


# What cannot be unravelled.


class Halved(BasicBlock):
    def forward(self, x):
        return super().forward(x) / 2


class Unusual(ResNet):
    def forward(self, x):
        return super().forward(x.flip(3))


class Fails(nn.Module):
    def forward(self, x):
        raise ArithmeticError("as asked")


class Once(nn.Module):
    """Another factor at every call."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def halve(*call):
    return call[-1] / 2


def another_block(model):
    model.layer2[0] = Halved(64, 128, stride=2, downsample=model.layer2[0].downsample)


def another_relu(model):
    model.layer3[0].relu = nn.SiLU()


def another_first_relu(model):
    model.relu = nn.GELU()


def another_pool(model):
    model.maxpool = nn.AvgPool2d(2)


def no_sum(model):
    """A block without a skip connection joins both routes of the next."""
    block = model.layer2[0]
    model.layer2[0] = nn.Sequential(block.conv1, block.bn1, nn.ReLU(inplace=True))


def a_hook(model):
    model.layer2[0].register_forward_hook(halve)


def a_patch(model):
    block = model.layer4[0]
    block.forward = lambda x: BasicBlock.forward(block, x) / 2


def a_hook_on_the_model(model):
    model.register_forward_hook(halve)


def a_class_of_its_own(model):
    model.__class__ = Unusual


def a_layer_that_fails(model):
    model.layer3[0].conv2 = Fails()


def no_tensor(model):
    model.register_forward_hook(lambda *call: {"out": call[-1]})


def classes(model):
    model.register_forward_hook(lambda *call: call[-1].argmax(1))


@pytest.mark.parametrize(
    "change, modules",
    [
        (another_block, 4),
        (another_relu, 4),
        (another_first_relu, 4),
        (another_pool, 4),
        (a_patch, 4),
        (a_class_of_its_own, 4),
        (no_sum, 3),
    ],
)
def test_an_altered_resnet_is_followed_as_it_is(change, modules, untouched):
    model, x = randomised(ResNet, **TINY), draw(2, 16)
    change(model)
    with untouched(model.double().eval()):
        network = unravel(model, x)
    assert len(network.blocks) == modules
    assert torch.equal(network(x), model(x))
    labels = torch.tensor([3, 0])
    lengths = gradients.by_length(network, x, labels, at_image=True)
    assert distance(lengths.sum(0), autograd(model, x, labels)) < 1e-12


@pytest.mark.parametrize(
    "change, kind, message",
    [
        (a_hook, ValueError, r"^layer2\.0 has hooks, .* would not run: remove them$"),
        (a_hook_on_the_model, ValueError, "^ResNet has hooks, .* would not run: remove them$"),
        (
            a_layer_that_fails,
            ValueError,
            r"the model fails on \(2, 3, 16, 16\) torch.float32 on cpu: Arith",
        ),
        (no_tensor, TypeError, r"^the model returns a dict: .* read=lambda out: out\['out'\]$"),
        (classes, TypeError, "^the model returns torch.int64: .*, a function from that to the log"),
    ],
)
def test_an_altered_resnet_is_refused(change, kind, message, untouched):
    model, x = randomised(ResNet, **TINY), draw(2, 16, torch.float32)
    change(model)
    with untouched(model.train()), pytest.raises(kind, match=message):
        unravel(model, x)


def test_an_altered_transformer(untouched):
    model, x = randomised(VisionTransformer, **SMALL_VIT), draw(2, 16, torch.float32)
    with untouched(model), pytest.raises(ValueError, match=r"the model fails on \(2, 3, 8, 8\)"):
        unravel(model, x[:, :, ::2, ::2])
    handle = model.encoder.layers[1].register_forward_hook(halve)
    name = r"encoder\.layers\.encoder_layer_1"
    with untouched(model), pytest.raises(ValueError, match=rf"{name} has hooks"):
        unravel(model, x)
    handle.remove()
    model.encoder.layers[1] = nn.TransformerEncoderLayer(8, 2, batch_first=True).eval()
    network = unravel(model, x)
    assert len(network.blocks) == 4
    assert torch.equal(network(x), model(x))


def test_a_head_of_zeros_hides_nothing_of_a_model_that_is_followed():
    """As torchvision starts a VisionTransformer: its output is zero, its sums are compared."""
    model, x = randomised(VisionTransformer, **SMALL_VIT), draw(2, 16, torch.float32)
    nn.init.zeros_(model.heads.head.weight)
    assert not unravel(model, x)(x).any()
    model.encoder.layers[0].mlp.append(Once())
    with pytest.raises(
        ValueError, match="^module 1, in encoder.*_0 is not skip \\+ residual: outpu"
    ):
        unravel(model, x)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"modules": slice(0, 2)}, "do not make up the model: output differs by .*missing, out of"),
        ({"modules": slice(None, None, -1)}, "do not make up the model: output differs by "),
        ({"head": None}, r"output \(5, 4\) torch.float32, the model's is \(5, 3\) torch.float32"),
        (
            {"stem": Fails()},
            r"^stem fails on \(5, 4\) torch.float32 on cpu: ArithmeticError: as as",
        ),
        ({"head": Fails()}, r"^head fails on \(5, 4\)"),
        ({"stem": nn.ReLU(inplace=True)}, "^stem overwrites its input, .*inplace=False"),
    ],
)
def test_a_list_that_is_not_the_model(own, changes, message, untouched):
    model, x = own
    parts = {"modules": list(model.fs)[changes.pop("modules", slice(None))], "head": model.last}
    before = x.clone()
    with untouched(model.train()), pytest.raises(ValueError, match=message):
        unravel(model, x, **parts | changes)
    assert torch.equal(x, before)


def test_a_module_of_the_list_that_fails(own):
    model, x = own
    modules = [model.fs[0], nn.Sequential(model.fs[1], Fails()), model.fs[2]]
    with pytest.raises(ValueError, match=r"^modules\[1\] fails on \(5, 4\).*ArithmeticError: as"):
        unravel(model, x, modules=modules, head=model.last)
    modules[1] = nn.Linear(4, 3)
    with pytest.raises(ValueError, match=r"^modules\[1\] fails on .*RuntimeError: .* must match"):
        unravel(model, x, modules=modules, head=model.last)


def test_a_residual_that_works_in_place():
    """The model itself adds the overwritten input: equal outputs, and yet no two routes."""
    model = Chain([nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 4)) for _ in range(2)]).eval()
    x = draw(5, 2, torch.float32).flatten(1)[:, :4].contiguous()
    with pytest.raises(ValueError, match="the model overwrites its input"):
        unravel(model, x, modules=list(model.fs))
    model.fs[0][0] = nn.ReLU()
    with pytest.raises(ValueError, match=r"^modules\[1\] overwrites its input, .*inplace=False"):
        unravel(model, x, modules=list(model.fs))
    model.fs[1][0] = nn.ReLU()
    assert torch.equal(unravel(model, x, modules=list(model.fs))(x), model(x))


@pytest.mark.parametrize(
    "entry", [torch.relu, (nn.Identity(),), (nn.Identity(), torch.relu), [nn.ReLU()] * 3]
)
def test_an_entry_that_is_no_module(own, entry):
    model, x = own
    kind = type(entry).__name__
    message = rf"modules\[1\] is a {kind}: each module is a ResidualModule, a pair"
    with pytest.raises(TypeError, match=message):
        unravel(model, x, modules=[model.fs[0], entry], head=model.last)


def test_a_stem_without_modules(own):
    model, x = own
    with pytest.raises(TypeError, match="a stem or a head without modules"):
        unravel(model, x, head=model.last)


def test_nothing_to_compare(own):
    model, x = own
    parts = {"modules": list(model.fs), "head": model.last}
    with pytest.raises(ValueError, match="no images"):
        unravel(model, x[:0], **parts)
    with torch.no_grad():
        model.last.weight[0, 0] = torch.inf
    with pytest.raises(ValueError, match="output differs by nan where"):
        unravel(model, x, modules=list(model.fs)[::-1], head=model.last)
    nn.init.zeros_(model.last.weight)
    nn.init.zeros_(model.last.bias)
    with pytest.raises(ValueError, match="output is zero, which checks nothing"):
        unravel(model, x, **parts)


@pytest.mark.parametrize(
    "dtype, rounding, wrong",
    [
        (torch.float64, 1e-14, 1e-9),
        (torch.float32, 1e-6, 1e-3),
        (torch.bfloat16, 0.01, 0.1),
    ],
)
def test_rounding_is_allowed_and_no_more(own, dtype, rounding, wrong):
    model, x = own
    model, x = model.to(dtype), x.to(dtype)
    for off, allowed in ((rounding, True), (wrong, False)):
        head = nn.Sequential(model.last, Times(1 + off))
        if allowed:
            network = unravel(model, x, modules=list(model.fs), head=head)
            assert not torch.equal(network(x), model(x))
        else:
            with pytest.raises(ValueError, match="output differs by"):
                unravel(model, x, modules=list(model.fs), head=head)
