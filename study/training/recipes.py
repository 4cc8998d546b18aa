"""What is trained, and by which recipe: a frozen `TrainConfig` and what follows from it alone."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace

import torch

from helpers import combinatorics, models
from helpers.devices import resolve
from helpers.network import Network, ResidualNetwork, scale_residuals
from study import decay


@dataclass(frozen=True)
class TrainConfig:
    """One training run.  The defaults are the paper's network by the paper's recipe.

    recipe "paper": He et al. 2016, learning rate / 10 at half and at three quarters of the
    iterations, after 400 iterations at a tenth of it; "compact": up linearly over the first fifth,
    then down linearly to zero, on images that grow (`image_side`), for small machines; "one-cycle":
    these rates on whole images, by which networks recorded earlier were trained.  active = k:
    exactly k modules, drawn anew each iteration (Section 5; 0: all of them).  survival: stochastic
    depth, the probability that the last module is active (Huang et al. 2016; 1: off).  Raises
    ValueError for settings that make no run, and for a depth or shortcuts of a model that has no
    such choice.
    """

    dataset: str = "cifar10"
    model: str = "resnet"
    depth: int = 110
    shortcuts: str = "subsample"
    recipe: str = "paper"
    iterations: int = 64_000
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    active: int = 0
    survival: float = 1.0
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self):
        if self.recipe not in ("paper", "compact", "one-cycle"):
            raise ValueError(f"recipe {self.recipe!r}: expected 'paper' or 'compact'")
        models.check(self.model)
        for name, having in CHOICES.items():
            value, default = getattr(self, name), getattr(TrainConfig, name)
            if self.model not in having and value != default:
                raise ValueError(
                    f"{name} {value!r}: the model {self.model!r} has no such choice, "
                    f"expected the default, {default!r}"
                )
        for name in ("iterations", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: expected at least 1")
        resolve("cpu", self.precision)
        if not 0 < self.survival <= 1:
            raise ValueError(f"survival {self.survival}: expected more than 0, up to 1")
        if self.active and self.survival < 1:
            raise ValueError("active and survival: expected one of them, both choose the modules")

    @property
    def label(self) -> str:
        """A short name for people, such as "resnet110-cifar10-23of54-s0"."""
        name = self.model + (str(self.depth) if self.model in CHOICES["depth"] else "")
        name += "" if self.shortcuts == "subsample" else f"-{self.shortcuts}"
        part = f"-{self.active}active" if self.active else ""
        part += f"-survival{self.survival:g}" if self.survival < 1 else ""
        return f"{name}-{self.dataset.replace('/', '_').replace(':', '-')}{part}-s{self.seed}"

    def digest(self, data_checksum: str) -> str:
        """A hash of what differs from the defaults, and of the training images: it names the run.

        A new setting leaves the names of earlier runs as they are, if its default is what they did.
        """
        settings = json.dumps(changed(asdict(self)), sort_keys=True)
        return hashlib.sha256((settings + data_checksum).encode()).hexdigest()


def changed(settings: dict) -> dict:
    """Those of a run's settings that differ from the defaults of `TrainConfig`."""
    usual = {field.name: field.default for field in fields(TrainConfig)}
    # A whole number in the place of a fraction is that fraction.
    return {
        name: float(value) if isinstance(usual.get(name), float) else value
        for name, value in settings.items()
        if name not in usual or value != usual[name]
    }


# Settings of the network, and the models that have them.
CHOICES = {"depth": ("resnet", "highway"), "shortcuts": ("resnet",)}

# Learning rates by recipe, the compact one's at its peak; without batch norm nothing is learned so.
RATES, LOWER_RATES = {"paper": 0.1, "compact": 0.2}, {"vgg15-plain": 0.05}

# Compact runs: about 20 epochs of digits, 45 of CIFAR-10.
COMPACT = {"digits": 220, "cifar10": 17_550, "cifar10-tuning": 17_550}

# The images of the compact recipe: up to this share of the iterations, this share of their side;
# then all of it.  None is shrunk below so many pixels: VGG-15 halves its images four times.
GROWTH, SMALLEST = ((0.4, 0.5), (0.7, 0.75)), 16


def reference(
    dataset: str, iterations: int = 0, decay_sum: float | None = None, **settings
) -> TrainConfig:
    """The run that the book's chapters use on a data set.

    `iterations`: of the compact recipe; 0: the book's own length for digits and CIFAR-10, the
    paper's recipe for a folder; -1: the paper's recipe for any data set.  `decay_sum`: what the
    compact recipe's weight decay is chosen to give (`decay_of`; None: as the paper's recipe does).
    ValueError for other numbers of iterations, and for settings that make no run.
    """
    if iterations < -1:
        raise ValueError(
            f"iterations {iterations}: expected 1 or more, 0 for the book's own length, or -1 for "
            "the paper's recipe"
        )
    length = iterations or COMPACT.get(dataset, -1)
    recipe = "paper" if length == -1 else "compact"
    rate = LOWER_RATES.get(settings.get("model", ""), RATES[recipe])
    settings = {"dataset": dataset, "learning_rate": rate, **settings}
    if recipe == "paper":
        return TrainConfig(**settings)
    unit = TrainConfig(recipe=recipe, iterations=length, **settings | {"weight_decay": 1.0})
    wanted = decay_of(TrainConfig()) if decay_sum is None else decay_sum
    return replace(unit, weight_decay=wanted / decay_of(unit))


def decay_of(config: TrainConfig) -> float:
    """The decay sum of a run (`decay.decay_sum`)."""
    return decay.decay_sum(asdict(config))


def image_side(config: TrainConfig, iteration: int, side: int) -> int:
    """The side in pixels that an iteration's images are shrunk to, a multiple of 4; `side`: theirs.

    The compact recipe begins at half the side, at 0.4 of the iterations goes on at three quarters,
    and at 0.7 at all of it.  Images of `SMALLEST` pixels or fewer stay as they are.
    """
    if config.recipe != "compact":
        return side
    shares = (share for end, share in GROWTH if iteration < end * config.iterations)
    share = next(shares, 1)
    return max(min(side, SMALLEST), round(share * side / 4) * 4)


def milestones(iterations: int) -> list[int]:
    """Iterations worth looking at along a run: the start, doublings up to a quarter of the way
    while things change fast, then every eighth."""
    early = [iterations >> halvings for halvings in range(8, 1, -1)]
    late = [iterations * eighth // 8 for eighth in range(3, 9)]
    return sorted({0, *early, *late})


def build(config: TrainConfig, in_channels: int, classes: int) -> Network:
    """The network of a run, with its initial weights."""
    settings = {"in_channels": in_channels, "classes": classes}
    settings |= {n: getattr(config, n) for n, having in CHOICES.items() if config.model in having}
    return models.build(config.model, config.seed, **settings)


def learning_rate(config: TrainConfig, iteration: int) -> float:
    """The learning rate at an iteration counted from 0."""
    return decay.learning_rate(config.recipe, config.iterations, config.learning_rate, iteration)


def survival_probabilities(config: TrainConfig, n: int) -> list[float]:
    """How likely each of n modules is to be active in an iteration.

    Stochastic depth decays linearly with depth, p_l = 1 - l / n (1 - p_n); k of n is uniform.
    Raises ValueError if more modules are to be active than there are.
    """
    if not config.model.startswith("resnet") and (config.active or config.survival < 1):
        raise ValueError(f"model {config.model!r}: active and survival need residual modules")
    combinatorics.check_length(n, config.active, "number of active modules")
    if config.active:
        return [config.active / n] * n
    return [1 - (i + 1) / n * (1 - config.survival) for i in range(n)]


def active_modules(config: TrainConfig, n: int, generator: torch.Generator) -> list[bool]:
    """Which of n modules an iteration uses."""
    if config.active:
        chosen = set(combinatorics.subset(n, config.active, generator))
        return [i in chosen for i in range(n)]
    draws = torch.rand(n, generator=generator).tolist()
    return [d < p for d, p in zip(draws, survival_probabilities(config, n), strict=True)]


def at_test_time(config: TrainConfig, network: Network) -> Network:
    """The network as it is tested: residuals times the probability that they were active."""
    if not config.active and config.survival == 1:
        return network
    assert isinstance(network, ResidualNetwork)  # `survival_probabilities` refuses all others.
    return scale_residuals(network, survival_probabilities(config, len(network.blocks)))
