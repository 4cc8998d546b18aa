"""The networks of the paper: pre-activation ResNet-110 and ResNet-200, VGG-15, highway."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import nn

from helpers.network import (
    HighwayModule,
    Network,
    PlainLayer,
    ResidualModule,
    ResidualNetwork,
    SharedPreActivation,
    Subsample,
)

N = TypeVar("N", bound=Network)

conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
conv1x1 = partial(nn.Conv2d, kernel_size=1, bias=False)

# Of the residual networks for CIFAR; see `resnet`.
SHORTCUTS = ("subsample", "projection", "shared")


def pre_activation(channels: int) -> list[nn.Module]:
    """Batch norm, then ReLU: what Eq 2 puts before each weight layer."""
    return [nn.BatchNorm2d(channels), nn.ReLU()]


def basic_residual(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """Eq 2: two 3x3 convolutions, each after batch norm and ReLU."""
    return nn.Sequential(
        *pre_activation(c_in),
        conv3x3(c_in, c_out, stride=stride),
        *pre_activation(c_out),
        conv3x3(c_out, c_out),
    )


def bottleneck_residual(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """The 1x1, 3x3, 1x1 form of Eq 2 used beyond 50 layers (He et al. 2016)."""
    width = c_out // 4
    return nn.Sequential(
        *pre_activation(c_in),
        conv1x1(c_in, width),
        *pre_activation(width),
        conv3x3(width, width, stride=stride),
        *pre_activation(width),
        conv1x1(width, c_out),
    )


def shortcut(kind: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    """The skip connection: the identity; where sizes change, a convolution for "projection" and
    every second pixel otherwise."""
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    if kind == "projection":
        return conv1x1(c_in, c_out, stride=stride)
    return Subsample(c_out - c_in)


def classifier(channels: int, classes: int) -> nn.Sequential:
    """Batch norm, ReLU, global average, linear."""
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*pre_activation(channels), *pool, nn.Linear(channels, classes))


def resnet(
    depth: int = 110, in_channels: int = 3, classes: int = 10, shortcuts: str = "subsample"
) -> ResidualNetwork:
    """Pre-activation ResNet for CIFAR (He et al. 2016): three stages of 16, 32, 64 channels.

    depth = 6m + 2 layers make 3m residual modules; 110 layers are 54 modules.  Images whose side is
    a multiple of 4.  `shortcuts` at downsampling: "subsample" (parameter-free), "projection", or
    "shared": parameter-free, and in the first module of each stage the skip connection begins
    behind the pre-activation too.  Raises ValueError for another depth or kind of shortcut.
    """
    if shortcuts not in SHORTCUTS:
        raise ValueError(f"shortcuts {shortcuts!r}: expected one of {', '.join(SHORTCUTS)}")
    blocks, c_before = [], 0
    for c_in, c_out, stride in cifar_shapes(depth):
        opens = shortcuts == "shared" and c_out != c_before
        module = SharedPreActivation if opens else ResidualModule
        shape, c_before = (c_in, c_out, stride), c_out
        blocks.append(module(shortcut(shortcuts, *shape), basic_residual(*shape)))
    network = ResidualNetwork(conv3x3(in_channels, 16), blocks, classifier(64, classes))
    return initialise(network)


def cifar_shapes(depth: int) -> list[tuple[int, int, int]]:
    """Channels in, channels out and stride of the modules of three stages (He et al. 2015)."""
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth {depth}: expected 6m + 2, such as 20, 56 or 110")
    shapes, c_in = [], 16
    for c_out in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            shapes.append((c_in, c_out, 1 if c_in == c_out else 2))
            c_in = c_out
    return shapes


def highway(
    depth: int = 110, in_channels: int = 3, classes: int = 10, gate_bias: float = -6.0
) -> Network:
    """Highway network (Eq 3; Srivastava et al. 2015) with the modules of `resnet`, each behind a
    gate: a 1x1 convolution and a sigmoid (the exclusive gating of He et al. 2016), here behind
    batch norm and ReLU like every weight layer: with gates on the bare input, training diverged.

    `gate_bias`: of all gates before training; negative, so that the skip connection begins open.
    He et al. found -6 the best for 110 layers; at -3 less than a tenth of the stem's output passes.
    The gates' weights begin at zero.  Drawn at random, they open where a value stands out and let
    more of it through, module by module, and gradients explode on their way to the stem.
    1x1 projections where sizes change: through almost closed gates the new channels would stay
    almost zero.  Raises ValueError for a depth that is not 6m + 2.
    """
    blocks, of_gates = [], []
    for c_in, c_out, stride in cifar_shapes(depth):
        of_gates.append(nn.Conv2d(c_in, c_out, kernel_size=1, stride=stride))
        gate = nn.Sequential(*pre_activation(c_in), of_gates[-1], nn.Sigmoid())
        transform = basic_residual(c_in, c_out, stride)
        skip = shortcut("projection", c_in, c_out, stride)
        blocks.append(HighwayModule(transform, gate, skip))
    network = initialise(Network(conv3x3(in_channels, 16), blocks, classifier(64, classes)))
    for layer in of_gates:
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.get_parameter("bias"), gate_bias)
    return network


def resnet200(in_channels: int = 3, classes: int = 1000) -> ResidualNetwork:
    """Pre-activation bottleneck ResNet-200 for ImageNet (He et al. 2016): 3 + 24 + 36 + 3 = 66
    modules, 1x1 projections where sizes change; images of side 224 or so."""
    blocks, c_in = [], 64
    for stage, (modules, c_out) in enumerate(((3, 256), (24, 512), (36, 1024), (3, 2048))):
        for position in range(modules):
            stride = 2 if position == 0 and stage > 0 else 1
            skip = shortcut("projection", c_in, c_out, stride)
            blocks.append(ResidualModule(skip, bottleneck_residual(c_in, c_out, stride)))
            c_in = c_out
    stem = nn.Sequential(
        nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False),
        *pre_activation(64),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
    return initialise(ResidualNetwork(stem, blocks, classifier(2048, classes)))


def vgg15(in_channels: int = 3, classes: int = 10, batch_norm: bool = True) -> Network:
    """VGG with 15 layers, 14 of them convolutions of 128 channels (Section 4.1).

    The first convolution is the stem: it changes the number of channels and cannot be deleted.
    The other 13 keep it, and pooling is apart from them, so any can be.  Images of side 16 or more.
    """

    def layer(c_in: int) -> nn.Module:
        norm = [nn.BatchNorm2d(128)] if batch_norm else []
        conv = nn.Conv2d(c_in, 128, kernel_size=3, padding=1, bias=not batch_norm)
        return nn.Sequential(conv, *norm, nn.ReLU())

    blocks = []
    for group, convolutions in enumerate((1, 2, 3, 3, 4)):
        for position in range(convolutions):
            pools = group > 0 and position == 0
            blocks.append(PlainLayer(nn.MaxPool2d(2) if pools else nn.Identity(), layer(128)))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, classes))
    return initialise(Network(layer(in_channels), blocks, head))


def initialise(network: N) -> N:
    """He et al. 2015: normal, variance 2 / fan-out, for convolutions; zero biases.

    Draws from the global generator, as every layer constructor of PyTorch does: `build` seeds it
    and puts it back.
    """
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Linear):
            nn.init.zeros_(part.bias)
    return network


ARCHITECTURES: dict[str, Callable[..., Network]] = {
    "resnet": resnet,
    "resnet200": resnet200,
    "highway": highway,
    "vgg15": vgg15,
    "vgg15-plain": partial(vgg15, batch_norm=False),
}


def check(architecture: str) -> None:
    """ValueError unless there is such a network."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"model {architecture!r}: expected one of {', '.join(ARCHITECTURES)}")


def build(architecture: str, seed: int, **settings) -> Network:
    """A network with weights drawn from `seed` alone; the global generator is left as it was.

    Raises ValueError for a name that is not in `ARCHITECTURES`.
    """
    check(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[architecture](**settings)
