"""A residual network with its activations held: linear on the way back, path by path.

Gradients are carried with the loss scaled up by `SCALE` and are right up to that factor.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.network import ResidualModule, ResidualNetwork, is_a
from helpers.vjp import Pullback, Zero, linearise, take_rows

# Long paths carry gradients below the range of float32.  The loss is scaled up by a power of two,
# which rounds nothing, and results are scaled back in float64.
SCALE = 2.0**80


def room(like: Tensor, *shape: int) -> Tensor:
    """An empty float64 tensor; on the CPU where the device has no float64."""
    device = "cpu" if like.device.type == "mps" else like.device
    return torch.empty(shape, dtype=torch.float64, device=device)


def unscaled(gradients: Tensor) -> Tensor:
    """Gradients of the loss itself, in float64."""
    return room(gradients, *gradients.shape).copy_(gradients).div_(SCALE)


class Linearised:
    """A network at B images: each module's two routes back, and the gradient `g` above the last.

    `labels`: (B,); the loss is the cross-entropy summed over the images.  `at_image`: the way back
    leads through the stem, too.  Raises TypeError for a network that is not residual, ValueError
    for a module that is not skip + residual.
    """

    def __init__(
        self, network: ResidualNetwork, images: Tensor, labels: Tensor, at_image: bool = False
    ):
        if not isinstance(network, ResidualNetwork):
            kind = type(network).__name__
            raise TypeError(f"{kind}: expected a ResidualNetwork, only it has paths")
        with torch.no_grad():
            self.stem = Pullback([])
            if at_image:
                x, self.stem = linearise(network.stem, images)
            else:
                x = network.stem(images)
            self.modules: list[tuple[Pullback, Pullback]] = []
            for block in network.blocks:
                if isinstance(block, ResidualModule):
                    y, stay = linearise(block.skip, x)
                    residual, enter = linearise(block.residual, x)
                    y = y + residual
                    if not is_a(ResidualModule, block) and not torch.equal(block(x), y):
                        kind = type(block).__name__
                        raise ValueError(f"{kind} is not skip + residual: hooked, or changed?")
                else:
                    # What is left of a deleted module is all skip.
                    y, stay = linearise(block, x)
                    enter = Pullback([Zero(x)])
                self.modules.append((stay, enter))
                x = y
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            # A copy, because some heads work in place.
            loss = F.cross_entropy(network.head(x.clone()), labels, reduction="sum") * SCALE
            self.g = torch.autograd.grad(loss, x)[0]

    def by_length(
        self,
        longest: int,
        rows: Tensor | None = None,
        signs: Tensor | None = None,
        progress: Callable[[], None] | None = None,
    ) -> Tensor:
        """G[k] for k = 0 to `longest`, then all longer paths together, if any: (K, S, ...).

        `rows`: (S,), the image of each column, by default each once.  `signs`: (n, S) or (n, 1),
        multiplies each J_i.  `progress` is called after each module.
        """
        top = self.g if rows is None else take_rows(self.g, rows)
        rest = longest < len(self.modules)
        lengths = zeros(top, longest + 1 + rest, len(top))
        lengths[0] = top
        for done, routes in enumerate(reversed(self.modules)):
            stay, enter = routes if rows is None else (route.at(rows) for route in routes)
            # The modules above have paths of length 0 to `done`.
            filled = min(done, longest) + 1
            new = through(stay, lengths, filled)
            sign = None if signs is None else per_image(signs[-1 - done], top)
            # Downwards: where a module keeps the shape, G[k + 1] is added to in place.
            for part in reversed(list(calls(lengths, filled))):
                g = lengths[part]
                if rest and part.stop == longest + 1:
                    # With one more module both the longest and the longer ones are longer.
                    g = torch.cat([g[:-1], g[-1:] + lengths[-1:]])
                enter.add_to(new[part.start + 1 : part.stop + 1], g, sign)
            lengths = new
            if progress:
                progress()
        return through(self.stem if rows is None else self.stem.at(rows), lengths, longest + 1)

    def along(self, path: Tensor) -> Tensor:
        """The gradients of all images along one path, bool (n,): (B, ...)."""
        g = self.g
        for (stay, enter), on in zip(reversed(self.modules), reversed(path.tolist()), strict=True):
            g = enter(g) if on else stay(g)
        return self.stem(g)

    def along_each(self, paths: Tensor, rows: Tensor) -> Tensor:
        """The gradient along each of many paths: (S, ...).

        `paths`: bool (S, n); `rows`: (S,), the image that each is for.  Going down, paths of one
        image that agree so far are one gradient, a state: what they share is computed once.
        """
        images, state = rows.unique(return_inverse=True)
        g, image, used = zeros(self.g, len(rows)), torch.empty_like(rows), len(images)
        g[:used], image[:used] = take_rows(self.g, images), images
        down = zip(reversed(self.modules), reversed(paths.unbind(1)), strict=True)
        for (stay, enter), on in down:
            entering, staying = state[on].unique(), state[~on].unique()
            # A state that splits keeps its place for the paths that stay.
            place, splits = entering.clone(), torch.isin(entering, staying)
            place[splits] = torch.arange(used, used + int(splits.sum()))
            used += int(splits.sum())
            routes = [(enter, entering, place), (stay, staying, staying)]
            parts = [
                (to, route.at(image[some])(take_rows(g, some)))
                for route, some, to in routes
                if len(some) and not (route is stay and stay.is_identity)
            ]
            if parts and not stay.is_identity:
                g = zeros(parts[0][1], len(rows))
            for to, part in parts:
                g[to.to(g.device)] = part
            image[place] = image[entering]
            state[on] = place[torch.searchsorted(entering, state[on])]
        return take_rows(self.stem.at(image[:used])(g[:used]), state)


def joined(network: nn.Module) -> bool:
    """Whether batch statistics join the images: a path is then one choice for all of them."""
    return network.training or any(
        part.training or part.running_mean is None
        for part in network.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
    )


def through(route: Pullback, lengths: Tensor, filled: int) -> Tensor:
    """The first `filled` entries and the last, which may hold longer paths, through one route."""
    if route.is_identity:
        return lengths
    last = route(lengths[-1:])
    new = zeros(last[0], *lengths.shape[:2])
    for part in calls(lengths, filled):
        new[part] = route(lengths[part])
    new[-1:] = last
    return new


def calls(lengths: Tensor, filled: int) -> Iterator[slice]:
    """The first `filled` entries, as many in a call as are best for the device."""
    # A CPU is fastest while a stack stays in its caches, a GPU while memory lasts.
    size = 2**21 if lengths.device.type == "cpu" else 2**30
    step = max(1, size // (lengths[0].numel() * lengths.element_size()))
    for start in range(0, filled, step):
        yield slice(start, min(start + step, filled))


def zeros(like: Tensor, *lead: int) -> Tensor:
    """Zeros (*lead, C, H, W) for images like (B, C, H, W), in the layout that suits a module."""
    if like.dim() != 4:
        return like.new_zeros(*lead, *like.shape[1:])
    channels, height, width = like.shape[1:]
    return like.new_zeros(*lead, height, width, channels).movedim(-1, -3)


def per_image(values: Tensor, g: Tensor) -> Tensor:
    """(..., B) as (..., B, 1, 1, 1), to multiply gradients g, (B, C, H, W)."""
    return values.reshape(*values.shape, *[1] * (g.dim() - 1))


@contextmanager
def exactly(network: nn.Module) -> Iterator[None]:
    """Arithmetic in full float32; running statistics that a pass in train mode moves are put back.

    By default convolutions on recent GPUs round their factors to 10 bits, and other operations do
    so where a user has allowed it.
    """
    cpu, gpu = torch.backends.mkldnn, torch.backends
    operations = (gpu.cudnn.conv, gpu.cuda.matmul, cpu.conv, cpu.matmul)
    allowed = [operation.fp32_precision for operation in operations]
    before = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        for operation in operations:
            operation.fp32_precision = "ieee"
        yield
    finally:
        for operation, precision in zip(operations, allowed, strict=True):
            operation.fp32_precision = precision
        for buffer, value in before:
            buffer.copy_(value)
