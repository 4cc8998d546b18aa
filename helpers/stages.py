"""Which modules can change places: neighbours whose skip connections keep the shape and are alike.

Told from the types of the layers in the skip connections or, for types not known here, measured.
"""

from torch import Tensor, nn, no_grad

from helpers.eval_mode import in_eval_mode
from helpers.network import Network

ACTIVATIONS = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh),
    *(nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU),
    *(nn.Sigmoid, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold),
)
NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.GroupNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.LayerNorm, nn.RMSNorm),
    nn.LocalResponseNorm,
)
DROPOUTS = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)
KEEP_SHAPE = {nn.Identity, *ACTIVATIONS, *NORMS, *DROPOUTS}


def downsampling(network: Network, images: Tensor | None = None) -> list[int]:
    """Indices of the modules whose skip connection changes the shape.

    Without `images`, also of those whose layers are of types not known to keep it, convolutions
    among them.  With `images` as the stem takes them, one or more, shapes are measured.

    >>> from helpers import models
    >>> downsampling(models.resnet(depth=110))
    [18, 36]
    """
    return [i for i, kept in enumerate(shapes_kept(network, images)) if not kept]


def stages(network: Network, images: Tensor | None = None) -> list[list[int]]:
    """Runs of neighbours that can change places: all modules but those that downsample.

    In a run, all inputs and outputs have one shape, and all skip connections have layers of the
    same types: what a module with a ReLU there gets is the sum before the ReLU, so that a module
    without one would take it for something else.  `images`: see `downsampling`.

    >>> from helpers import models
    >>> [len(stage) for stage in stages(models.resnet(depth=110))]
    [18, 17, 17]
    """
    runs: list[list[int]] = []
    before = None
    kept = shapes_kept(network, images)
    for i, block in enumerate(network.blocks):
        kind = kind_of(block) if kept[i] else None
        if kind is not None:
            if kind != before:
                runs.append([])
            runs[-1].append(i)
        before = kind
    return runs


def compatible(network: Network, images: Tensor | None) -> list[list[int]]:
    """The stages of two modules or more; ValueError if there is none."""
    runs = [run for run in stages(network, images) if len(run) > 1]
    if not runs:
        raise ValueError("no two modules of this network are compatible: nothing can be swapped")
    return runs


def skip_of(block: nn.Module) -> nn.Module:
    """A module's skip connection.  Of a deleted module nothing else is left."""
    skip = getattr(block, "skip", block)
    return skip if isinstance(skip, nn.Module) else block


def layers_of(skip: nn.Module) -> list[nn.Module]:
    """The layers of a skip connection in a row, those that do nothing left out."""
    if type(skip) is nn.Sequential:
        return [layer for part in skip for layer in layers_of(part)]
    return [] if type(skip) is nn.Identity else [skip]


def kind_of(block: nn.Module) -> tuple[type[nn.Module], ...]:
    """What a module's skip connection does: the types of its layers, none for the identity."""
    return tuple(type(layer) for layer in layers_of(skip_of(block)))


def shapes_kept(network: Network, images: Tensor | None = None) -> list[bool]:
    """Whether each module returns what it is given in the same shape.

    Measured, if there are `images` as the stem takes them (one is enough), by one forward pass in
    eval mode.  Otherwise told from the types of the layers in its skip connection: those that work
    element by element, normalise or drop out keep the shape; all others may change it.
    """
    if images is None:
        return [KEEP_SHAPE.issuperset(kind_of(block)) for block in network.blocks]
    kept = []
    with in_eval_mode(network), no_grad():
        x = network.stem(images)
        for block in network.blocks:
            before, x = x.shape, block(x)
            kept.append(x.shape == before)
    return kept
