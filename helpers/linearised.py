"""A residual network with its activations held: linear on the way back, path by path.

Gradients are carried with the loss scaled up by `losses.SCALE` and are right up to that factor.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from helpers.exactness import finite
from helpers.layouts import length, settled, take_rows, zeros
from helpers.losses import Loss, cross_entropy, scaled_up
from helpers.network import ResidualModule, ResidualNetwork, is_a
from helpers.steps import Zero
from helpers.vjp import Pullback, linearise


class Linearised:
    """A network at B images: each module's two routes back, and the gradient `g` above the last.

    `loss`: see `helpers.losses`.  `at_image`: the way back leads through the stem, too.  `whole`:
    the gradient over all paths is found by automatic differentiation of the same forward pass, as
    `self.whole`, (B, ...).  Raises TypeError for a network that is not residual, ValueError for a
    module that is not skip + residual.
    """

    def __init__(
        self,
        network: ResidualNetwork,
        images: Tensor,
        labels: Tensor,
        at_image: bool = False,
        loss: Loss = cross_entropy,
        whole: bool = False,
    ):
        if not isinstance(network, ResidualNetwork):
            kind = type(network).__name__
            raise TypeError(f"{kind}: expected a ResidualNetwork, only it has paths")
        self.together = joined(network)
        first = x = start(network, images, at_image).requires_grad_(whole)
        self.stem = Pullback([])
        self.modules: list[tuple[Pullback, Pullback]] = []
        with torch.set_grad_enabled(whole):
            if at_image:
                x, self.stem = linearise(network.stem, x)
            for block in network.blocks:
                x, stay, enter = both_routes(block, x)
                self.modules.append((stay, enter))
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            # A copy, because some heads work in place.
            outputs = network.head(settled(x).clone())
            total = scaled_up(loss, outputs, labels.clone(), not self.together)
            found = torch.autograd.grad(
                total,
                (x, first) if whole else x,
                # Some layers need their part of the graph on the way back.
                retain_graph=True,
                materialize_grads=True,
            )
        self.g = found[0]
        if whole:
            self.whole = found[1]

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

    def check_sum(self, lengths: Tensor) -> None:
        """ArithmeticError unless the gradients by length, (K, B, ...), add up to the whole one, as
        automatic differentiation finds it (for which there is `whole`).

        What is compared is each image's gradient, or all in one where batch statistics join them.
        """
        dims = tuple(range(1 if self.together else 2, lengths.dim()))
        far = length((lengths.sum(0) - self.whole)[None], dims)[0]
        # Lengths may be far larger than what they add up to, and so is their rounding.
        size = length(lengths, dims).sum(0)
        bound = self.rounding()
        if bool((finite(far) > bound * size).any()):
            worst = float((far / size).max())
            raise ArithmeticError(
                f"the gradients by length miss the whole gradient by {worst:.1e} of their size; "
                f"rounding explains up to {bound:.1e}.  Is a layer random, or does it change what "
                "it is given?  If not, one is carried back wrongly: compare module by module with "
                "automatic differentiation in float64, and report it"
            )

    def rounding(self) -> float:
        """What rounding explains, in parts of the size of what is added up."""
        return min(1e4 * torch.finfo(self.g.dtype).eps, 0.1)

    def along(self, path: Tensor) -> Tensor:
        """The gradients of all images along one path, bool (n,): (B, ...)."""
        g = self.g
        for (stay, enter), on in zip(reversed(self.modules), reversed(path.tolist()), strict=True):
            g = enter(g) if on else stay(g)
        return self.stem(g)

    def along_all(self) -> Tensor:
        """The gradients along all paths together, (B, ...), in one pass through the same routes."""
        g = self.g
        for stay, enter in reversed(self.modules):
            g = stay(g) + enter(g)
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


@torch.no_grad()
def start(network: ResidualNetwork, images: Tensor, at_image: bool) -> Tensor:
    """Where gradients are taken: the images or what the stem makes of them.  TypeError for
    integers."""
    x = settled(images.clone())
    if not at_image:
        x = settled(network.stem(x))
    if not x.is_floating_point():
        raise TypeError(
            f"images of {x.dtype} have no gradient: take it at the first module (at_image=False)"
            if at_image
            else f"the first module gets {x.dtype}, which has no gradient: an embedding belongs "
            "into the stem"
        )
    return x


def both_routes(block: nn.Module, x: Tensor) -> tuple[Tensor, Pullback, Pullback]:
    """A module's output and the ways back through its skip connection and its residual."""
    if not isinstance(block, ResidualModule):
        # What is left of a deleted module is all skip.
        y, stay = linearise(block, x)
        return y, stay, Pullback([Zero(x)])
    y, stay = linearise(block.skip, x)
    residual, enter = linearise(block.residual, x)
    y = y + residual
    if not is_a(ResidualModule, block):
        with torch.no_grad():
            if not torch.equal(block(x), y):
                kind = type(block).__name__
                raise ValueError(f"{kind} is not skip + residual: hooked, or changed?")
    return y, stay, enter


def joined(network: nn.Module) -> bool:
    """Whether batch statistics join the images: a path is then one choice for all of them."""
    return network.training or any(
        part.training or part.running_mean is None
        for part in network.modules()
        if isinstance(part, _BatchNorm)
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


def per_image(values: Tensor, g: Tensor) -> Tensor:
    """(..., B) as (..., B, 1, 1, 1), to multiply gradients g, (B, C, H, W)."""
    return values.reshape(*values.shape, *[1] * (g.dim() - 1))
