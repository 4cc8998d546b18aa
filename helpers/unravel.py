"""Any residual network as a stem, a list of residual modules and a head.

torchvision's ResNets and VisionTransformers are taken apart here; any other model by a list of its
parts.  Weights are shared, and what comes out is checked against the model on the spot.

Blocks that end in a ReLU compute relu(skip(x) + f(x)).  With z the sum before that ReLU, the next
block is z -> skip(relu(z)) + f(relu(z)): Eq 1, with the ReLU at the start of both routes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.vision_transformer import EncoderBlock, VisionTransformer

from helpers.eval_mode import in_eval_mode
from helpers.network import ResidualModule, ResidualNetwork

LAYERS = {
    resnet.BasicBlock: ("conv1", "bn1", "relu", "conv2", "bn2"),
    resnet.Bottleneck: ("conv1", "bn1", "relu", "conv2", "bn2", "relu", "conv3", "bn3"),
}
ENTRY = "each module is a ResidualModule, a pair (skip, residual), or a residual alone, nn.Modules"
HINTS = (
    "is a layer missing, out of order, hooked or patched?  A ReLU behind a sum belongs in front of "
    "both routes of the next module"
)
ADVICE = "give the model's parts: unravel(model, images, stem=..., modules=[...], head=...)"


class Part(NamedTuple):
    """Modules that stand for a block of the model, and what that block puts behind the last sum."""

    name: str
    modules: list[ResidualModule]
    block: nn.Module | None = None
    after: nn.Module = nn.Identity()


class Tokens(nn.Module):
    """The stem of a VisionTransformer: images (B, C, H, W) to tokens (B, 1 + patches, D)."""

    def __init__(self, model: VisionTransformer):
        super().__init__()
        self.conv_proj = model.conv_proj
        self.class_token = model.class_token
        self.pos_embedding = model.encoder.pos_embedding
        self.dropout = model.encoder.dropout

    def forward(self, x: Tensor) -> Tensor:
        # (B, C, H, W) -> (B, D, H/patch, W/patch) -> (B, patches, D)
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), patches], dim=1)
        return self.dropout(tokens + self.pos_embedding)


class SelfAttention(nn.Module):
    """What `attention` (batch first) makes of tokens (B, T, D) that attend to one another."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


class ClassToken(nn.Module):
    """The first of the tokens: (B, T, D) to (B, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def unravel(
    model: nn.Module,
    images: Tensor,
    stem: nn.Module | None = None,
    modules: Sequence | None = None,
    head: nn.Module | None = None,
) -> ResidualNetwork:
    """`model` as a ResidualNetwork over the same weights, in the same mode; it is not changed.

    torchvision's ResNets (ResNeXt and wide ones too) and VisionTransformers need no list.  For any
    other model, `modules` names its residual modules in order: each a ResidualModule, a pair (skip,
    residual), or a residual alone, whose skip is the identity.  `stem` is what comes before them
    and `head` what comes after, nothing by default.  Parts that the model does not hold take over
    its mode.

    `images`: normalised, (B, C, H, W), the model's dtype and device.  In eval mode the network must
    give the same output for them, up to rounding.  ValueError says which part does not, or fails;
    TypeError if the model is of an unknown type and there is no list, or something in it is no
    module.
    """
    if modules is not None:
        parts = [Part(f"modules[{i}]", [listed(i, m)]) for i, m in enumerate(modules)]
        stem, head = stem or nn.Identity(), head or nn.Identity()
    elif stem is not None or head is not None:
        raise TypeError(f"a stem or a head without modules: {ADVICE}")
    elif isinstance(model, resnet.ResNet):
        stem, parts, head = resnet_parts(model)
    elif isinstance(model, VisionTransformer):
        stem, parts, head = transformer_parts(model)
    else:
        raise TypeError(
            f"{type(model).__name__}: only torchvision's ResNet and VisionTransformer are known; "
            f"{ADVICE}, where {ENTRY}"
        )
    network = ResidualNetwork(stem, [m for part in parts for m in part.modules], head)
    with undisturbed(images.device, model, network):
        check(model, network, parts, images)
    held = set(model.modules())
    for part in network.modules():
        if part not in held:
            part.training = model.training
    return network


def listed(index: int, module) -> ResidualModule:
    """An entry of the caller's list as a module; TypeError if it is no such thing."""
    if isinstance(module, ResidualModule):
        return module
    pair = module if isinstance(module, tuple | list) else (nn.Identity(), module)
    if len(pair) != 2 or not all(isinstance(route, nn.Module) for route in pair):
        raise TypeError(f"modules[{index}] is a {type(module).__name__}: {ENTRY}")
    return ResidualModule(*pair)


def resnet_parts(model: resnet.ResNet) -> tuple[nn.Module, list[Part], nn.Module]:
    """Stem, modules and head of a torchvision ResNet.

    The stem's ReLU moves behind its max pooling, with which it commutes, and so into both routes of
    the first module: all modules are alike, and those of one shape may trade places.
    """
    for name, kinds in (("relu", (nn.ReLU,)), ("maxpool", (nn.MaxPool2d, nn.Identity))):
        if type(getattr(model, name)) not in kinds:
            raise unknown(model, name, " or ".join(kind.__name__ for kind in kinds))
    parts = []
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        for key, block in getattr(model, layer)._modules.items():
            name = f"{layer}.{key}"
            kind = next((kind for kind in LAYERS if acts_as(kind, block)), None)
            if kind is None:
                raise unknown(model, name, "a BasicBlock or Bottleneck with torchvision's forward")
            if type(block.relu) is not nn.ReLU:
                raise unknown(model, f"{name}.relu", "ReLU")
            # The block's own ReLU works in place, and in front would reach the other route.
            skip = nn.ReLU()
            if block.downsample is not None:
                skip = nn.Sequential(skip, block.downsample)
            residual = nn.Sequential(nn.ReLU(), *[getattr(block, part) for part in LAYERS[kind]])
            parts.append(Part(name, [ResidualModule(skip, residual)], block, after=nn.ReLU()))
    stem = nn.Sequential(model.conv1, model.bn1, model.maxpool)
    return stem, parts, nn.Sequential(nn.ReLU(), model.avgpool, nn.Flatten(), model.fc)


def transformer_parts(model: VisionTransformer) -> tuple[nn.Module, list[Part], nn.Module]:
    """Stem, modules and head of a torchvision VisionTransformer: attention and MLP of each layer
    are a module each."""
    parts = []
    for key, block in model.encoder.layers._modules.items():
        name = f"encoder.layers.{key}"
        if not acts_as(EncoderBlock, block):
            raise unknown(model, name, "an EncoderBlock with torchvision's forward")
        attention = nn.Sequential(block.ln_1, SelfAttention(block.self_attention), block.dropout)
        mlp = nn.Sequential(block.ln_2, block.mlp)
        modules = [ResidualModule(nn.Identity(), residual) for residual in (attention, mlp)]
        parts.append(Part(name, modules, block))
    return Tokens(model), parts, nn.Sequential(model.encoder.ln, ClassToken(), model.heads)


def acts_as(kind: type[nn.Module], part: nn.Module) -> bool:
    """Whether `part` is of this kind, and its class has no forward of its own."""
    return isinstance(part, kind) and type(part).forward is kind.forward


def unknown(model: nn.Module, name: str, expected: str) -> ValueError:
    """The error for a part that is not what it is in torchvision."""
    found = type(model.get_submodule(name)).__name__
    return ValueError(f"{name}: found {found}, expected {expected}; {ADVICE}")


@contextmanager
def undisturbed(device: torch.device, *networks: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients; afterwards all modes, buffers and random states are as before."""
    buffers = [(b, b.clone()) for network in networks for b in network.buffers()]
    devices = [device] if device.type == "cuda" else []
    random = torch.random.fork_rng(devices)
    with random, in_eval_mode(*networks), torch.inference_mode(False), torch.no_grad():
        try:
            yield
        finally:
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def check(model: nn.Module, network: ResidualNetwork, parts: list[Part], images: Tensor) -> None:
    """ValueError unless the network computes what the model does, and each part what its block
    does, up to rounding."""
    if not len(images):
        raise ValueError("no images: expected at least one to compare the outputs for")
    # Copies, so that a part that works in place cannot reach the caller's images.
    expected = run("the model", model, images.clone())
    x = run("stem", network.stem, images.clone())
    for name, modules, block, after in parts:
        before = after(x)
        for module in modules:
            x = run(name, module, x)
        if block is not None and (wrong := difference(after(x), run(name, block, before))):
            raise ValueError(f"{name} is not skip + residual: {wrong}; is it hooked, or patched?")
    if wrong := difference(run("head", network.head, x), expected):
        raise ValueError(f"the parts do not make up the model: {wrong}; {HINTS}")
    if not expected.any() and all(part.block is None for part in parts):
        raise ValueError("the model's output is zero, which checks nothing: give its head weights")


def run(name: str, part: nn.Module, x: Tensor) -> Tensor:
    """part(x); ValueError with the part's name if that fails, is no tensor or changes x itself."""
    version, about = x._version, f"{tuple(x.shape)} {x.dtype} on {x.device}"
    try:
        y = part(x)
    except Exception as error:
        raise ValueError(f"{name} fails on {about}: {type(error).__name__}: {error}") from error
    if not isinstance(y, Tensor) or not y.is_floating_point():
        raise ValueError(f"{name} returns a {type(y).__name__}: expected a tensor of floats")
    if x._version != version:
        raise ValueError(f"{name} overwrites its input, which others need: use inplace=False")
    return y


def difference(found: Tensor, expected: Tensor) -> str:
    """How `found` differs from `expected`, in words; empty if by no more than rounding."""
    mine, own = (f"{tuple(y.shape)} {y.dtype}" for y in (found, expected))
    if mine != own:
        return f"output {mine}, the model's is {own}"
    if torch.equal(found, expected):
        return ""
    largest, scale = (found - expected).abs().max(), expected.abs().max()
    # Equal bits are the rule.  Other kernels may round otherwise, in each of some hundred layers.
    if largest / scale <= min(1000 * torch.finfo(expected.dtype).eps, 0.05):
        return ""
    return f"output differs by {largest:.2g} where the model's largest is {scale:.2g}"
