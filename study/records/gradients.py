"""Values of rows about the gradient by path length and by module."""

import math
from dataclasses import dataclass

from study.records.kinds import (
    COUNT,
    INDEX,
    REAL,
    SIZE,
    SchemaError,
    ascending,
    by_name,
    each,
    in_order,
    intervals,
    one,
    whole,
)


@dataclass(frozen=True)
class ByLength:
    """The exact gradient by path length, from 0: norms (mean over images), shares of the whole,
    mean square norms.  `by_image`: the mean over images of each image's own shares.  `intervals`,
    `by_image_intervals`: 95% bootstrap intervals over images, (lengths, 2)."""

    norms: list[float] = each(SIZE, "lengths")
    shares: list[float] = each(REAL, "lengths")
    squares: list[float] | None = each(SIZE, "lengths", optional=True)
    by_image: list[float] | None = each(REAL, "lengths", optional=True)
    intervals: list[list[float]] | None = each(REAL, "lengths", 2, optional=True)
    by_image_intervals: list[list[float]] | None = each(REAL, "lengths", 2, optional=True)

    def relations(self, samples: int, images: int) -> None:
        """Shares add up to 1; a mean square is at least the square of the mean."""
        for name in ("shares", "by_image"):
            if (shares := getattr(self, name)) is not None:
                whole(name, shares)
        intervals("intervals", self.intervals)
        intervals("by_image_intervals", self.by_image_intervals)
        for norm, square in zip(self.norms, self.squares or (), strict=False):
            if square < norm**2 * (1 - 1e-6):
                raise SchemaError(f"squares: {square} is less than the square of its norm {norm}")


@dataclass(frozen=True)
class ByModule:
    """The share of the gradient that goes through each module's residual, as `ByLength`.

    Shares add up to the mean length.
    """

    shares: list[float] = each(REAL, "modules")
    by_image: list[float] | None = each(REAL, "modules", optional=True)
    intervals: list[list[float]] | None = each(REAL, "modules", 2, optional=True)
    by_image_intervals: list[list[float]] | None = each(REAL, "modules", 2, optional=True)

    def relations(self, samples: int, images: int) -> None:
        """Intervals are in order."""
        intervals("intervals", self.intervals)
        intervals("by_image_intervals", self.by_image_intervals)


@dataclass(frozen=True)
class SampledNorms:
    """Norms of gradients along sampled paths of each length: mean and percentiles over samples."""

    lengths: list[int] = each(INDEX, "lengths")
    mean: list[float] = each(SIZE, "lengths")
    modules: int = one(COUNT)
    p10: list[float] | None = each(SIZE, "lengths", optional=True)
    p50: list[float] | None = each(SIZE, "lengths", optional=True)
    p90: list[float] | None = each(SIZE, "lengths", optional=True)

    def relations(self, samples: int, images: int) -> None:
        """Lengths ascend up to the number of modules; percentiles are in order."""
        ascending("lengths", self.lengths, self.modules + 1)
        in_order(self.p10, self.p50, self.p90)


@dataclass(frozen=True)
class SignedNorms:
    """By length, from 0: the sum of squared path norms from signed passes, its standard error, and
    the root mean square norm of a path."""

    sum_of_squares: list[float] = each(SIZE, "lengths")
    error: list[float] = each(SIZE, "lengths")
    rms: list[float] = each(SIZE, "lengths")

    def relations(self, samples: int, images: int) -> None:
        """The mean square is the sum divided by the number of paths."""
        n = len(self.rms) - 1
        for k, (total, rms) in enumerate(zip(self.sum_of_squares, self.rms, strict=True)):
            if not math.isclose(rms**2 * math.comb(n, k), total, rel_tol=1e-6, abs_tol=1e-290):
                raise SchemaError(f"rms of length {k} is {rms}: sum_of_squares gives another")


@dataclass(frozen=True)
class Dynamics:
    """The gradient by length at times of a training run: shares, norms, loss, and the mean scale
    of batch norm (gamma)."""

    iterations: list[int] = each(INDEX, "times")
    shares: list[list[float]] = each(REAL, "times", "lengths")
    norms: list[list[float]] | None = each(SIZE, "times", "lengths", optional=True)
    loss: list[float] | None = each(SIZE, "times", optional=True)
    gamma: list[float] | None = each(REAL, "times", optional=True)

    def relations(self, samples: int, images: int) -> None:
        """Times ascend; shares add up to 1 at each."""
        ascending("iterations", self.iterations)
        for shares in self.shares:
            whole("shares", shares)


@dataclass(frozen=True)
class Scaling:
    """Mean path length before and after training, and with batch norm's scales exchanged between
    the two; `stem_only`: with the stem's convolution exchanged instead, a control."""

    start: float = one(SIZE)
    end: float = one(SIZE)
    scales_only: float = one(SIZE)
    weights_only: float = one(SIZE)
    stem_only: float | None = one(SIZE, optional=True)
    shares: dict[str, list[float]] | None = by_name(REAL, "lengths", optional=True)

    def relations(self, samples: int, images: int) -> None:
        """Each mean length is that of its shares."""
        for name, shares in (self.shares or {}).items():
            whole(f"shares of {name}", shares)
            mean = math.fsum(k * share for k, share in enumerate(shares))
            if not math.isclose(mean, getattr(self, name, None) or 0.0, rel_tol=1e-6):
                raise SchemaError(f"{name}: expected the mean length of its shares, {mean}")


@dataclass(frozen=True)
class StartOfTraining:
    """Before any training: the mean path length for each of several draws of the weights, and the
    share of each module, mean over the draws."""

    mean_length: list[float] = each(REAL, "draws of weights")
    shares: list[float] = each(REAL, "modules")

    def relations(self, samples: int, images: int) -> None:
        """There is a draw a sample; every path of length k enters k modules, so that the shares add
        up to the mean length."""
        if len(self.mean_length) != samples:
            raise SchemaError(
                f"{len(self.mean_length)} mean lengths: expected {samples}, a sample each"
            )
        total, mean = sum(self.shares), sum(self.mean_length) / samples
        if abs(total - mean) > 1e-6 * max(1.0, abs(mean)):
            raise SchemaError(f"shares add up to {total:.6g}: expected the mean length, {mean:.6g}")
