"""Values of rows about errors: of trained networks, of lesioned ones; and gates."""

import math
from dataclasses import dataclass

from helpers.lesions import kendall_tau
from study.records.kinds import (
    COSINE,
    COUNT,
    INDEX,
    REAL,
    SHARE,
    SIZE,
    TAU,
    SchemaError,
    ascending,
    by_name,
    each,
    in_order,
    of_images,
    one,
)


@dataclass(frozen=True)
class Training:
    """Test error of a trained network, the test images it gets wrong (indices), its modules, by how
    much rounding to half precision moved the error, and how far the weights have come from their
    random start (`study.training.drift`)."""

    error: float = one(SHARE)
    wrong: list[int] = each(INDEX, "wrong")
    modules: int = one(COUNT)
    rounding: float | None = one(REAL, optional=True)
    decay_sum: float | None = one(SIZE, optional=True)
    cosine_with_start: float | None = one(COSINE, optional=True)
    gamma_mean: list[float] | None = each(REAL, "normalised", optional=True)

    def relations(self, samples: int, images: int) -> None:
        """The error is the share of the images that are wrong."""
        ascending("wrong", self.wrong, samples)
        if not math.isclose(self.error * samples, len(self.wrong), abs_tol=1e-6):
            raise SchemaError(f"error is {self.error}: {len(self.wrong)} of {samples} are wrong")


@dataclass(frozen=True)
class TestTime:
    """Test errors of a network that was trained on a part of its modules, by how it is tested."""

    errors: dict[str, float] = by_name(SHARE)

    def relations(self, samples: int, images: int) -> None:
        """Errors are shares of the images."""
        of_images("errors", list(self.errors.values()), images)


@dataclass(frozen=True)
class Deletion:
    """Test error intact, and with each module deleted (Figure 3); indices of the downsampling
    modules; number of classes."""

    intact: float = one(SHARE)
    errors: list[float] = each(SHARE, "modules")
    downsampling: list[int] = each(INDEX, "downsampling")
    classes: int | None = one(COUNT, optional=True)

    def relations(self, samples: int, images: int) -> None:
        """Errors are shares of the images."""
        of_images("errors", [self.intact, *self.errors], images)
        ascending("downsampling", self.downsampling, len(self.errors))


@dataclass(frozen=True)
class RandomDeletions:
    """Errors with `deleted` modules deleted, a list for each number; intact error.

    `orders`: for nested sets, the modules in the order of their removal, a list for each draw: of
    the draw's sets each is the beginning of the next.
    """

    deleted: list[int] = each(COUNT, "numbers")
    errors: list[list[float]] = each(SHARE, "numbers", "draws")
    intact: float = one(SHARE)
    orders: list[list[int]] | None = each(INDEX, "draws", "largest", optional=True)

    def relations(self, samples: int, images: int) -> None:
        """As many draws as samples; numbers ascend; nested sets name each module once."""
        ascending("deleted", self.deleted)
        of_images("errors", [self.intact, *(e for draws in self.errors for e in draws)], images)
        if any(len(draws) != samples for draws in self.errors):
            raise SchemaError(f"errors: expected {samples} draws for each number, as samples says")
        for order in self.orders or ():
            if len(order) != self.deleted[-1] or len(set(order)) != len(order):
                raise SchemaError(f"orders: expected {self.deleted[-1]} different modules a draw")


@dataclass(frozen=True)
class Reordering:
    """Errors of reordered networks, Kendall's tau of each order, swaps that made it, and, from
    version 2 on, the orders themselves; intact error."""

    tau: list[float] = each(TAU, "variants")
    errors: list[float] = each(SHARE, "variants")
    intact: float = one(SHARE)
    swaps: list[int] | None = each(INDEX, "variants", optional=True)
    orders: list[list[int]] | None = each(INDEX, "variants", "modules", optional=True)

    def relations(self, samples: int, images: int) -> None:
        """As many orders as samples, each a permutation with the tau that is told."""
        of_images("errors", [self.intact, *self.errors], images)
        if len(self.tau) != samples:
            raise SchemaError(f"tau: expected {samples} orders, as samples says")
        for order, tau in zip(self.orders or (), self.tau, strict=False):
            if sorted(order) != list(range(len(order))):
                raise SchemaError("orders: expected each module once in an order")
            if not math.isclose(kendall_tau(order), tau, abs_tol=1e-9):
                raise SchemaError(f"tau is {tau}: its order has {kendall_tau(order)}")


@dataclass(frozen=True)
class Gates:
    """Transfer gates of a highway network's modules: mean and percentiles over images, channels
    and places; `start`: the mean gate before training."""

    mean: list[float] = each(SHARE, "modules")
    start: float = one(SHARE)
    p10: list[float] | None = each(SHARE, "modules", optional=True)
    p90: list[float] | None = each(SHARE, "modules", optional=True)

    def relations(self, samples: int, images: int) -> None:
        """Percentiles are in order."""
        in_order(self.p10, self.p90)
