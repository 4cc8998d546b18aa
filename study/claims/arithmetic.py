"""Claims A: the arithmetic of paths.  n = 54 modules, a 110-layer network.

No verdict is typed in: what can be counted is counted, and what is said of functions (A1, A11)
is tried on small random ones (`study.claims.unrolling`).
"""

import torch
from torch import nn

from helpers import combinatorics, models
from helpers.combinatorics import EFFECTIVE
from study.claims import unrolling
from study.claims.claim import CORRECTED, NOT_REPRODUCED, REPRODUCED, Claim, Verdict

DEPTH = 110
LAYERS = 2  # A module has so many; beside modules there are the stem and the classifier.
N = (DEPTH - 2) // LAYERS
EXACT = "exact arithmetic"
FEW = 8  # Modules whose paths are looked at one by one.
SHORTEST, LONGEST = EFFECTIVE[0], EFFECTIVE[-1]


def percent(share: float, digits: int = 2) -> str:
    """0.5 as "50.00%"."""
    return f"{100 * share:.{digits}f}%"


def exact(holds: bool, ours: str, sound: bool = True) -> Verdict:
    """The verdict of a claim that holds as it stands, or needs a correction; `sound`: whether what
    is left of it, corrected, holds at all."""
    return Verdict((REPRODUCED if holds else CORRECTED) if sound else NOT_REPRODUCED, ours)


def _a1(rows):
    found = unrolling.unrolled()
    sound = found.tree_is_chain and found.gradient_is_sum
    terms = f"Eq 6 equals Eq 4, and there are {found.paths} paths through {found.modules} modules"
    forward = "is" if found.forward_is_sum else "is no"
    return exact(
        sound and found.forward_is_sum,
        f"{terms if sound else 'Eq 6 does not equal Eq 4'}; but Eq 6 has n + 1 additive terms, not "
        f"2^n. With nonlinear modules the forward pass {forward} sum over paths; the gradient is, "
        "exactly",
        sound,
    )


def _a2(rows):
    mean = combinatorics.mean_length(N)
    by_one = combinatorics.every(FEW).sum(1).bincount().tolist()
    binomial = by_one == combinatorics.counts_by_length(FEW)
    return exact(binomial and mean == N / 2, f"the mean length is {mean:g}")


def _a3(rows):
    share = combinatorics.share_between(N, 19, 35)
    low, high = combinatorics.tightest_band(N, 0.95)
    tight = percent(combinatorics.share_between(N, low, high))
    return exact(share > 0.95, f"{percent(share)}; already {low} to {high} hold {tight}")


def _a4(rows):
    share = combinatorics.share_between(N, SHORTEST, LONGEST)
    return exact(percent(share) == "0.45%", percent(share, 4))


def _a5(rows):
    left = combinatorics.count(N - 10) / combinatorics.count(N)
    needed = next(d for d in range(N) if 2.0**-d < 1e-6)
    ours = f"2^44 paths are {left:.1e} of 2^54; 10^-6 takes {needed} deletions"
    return exact(1e-7 < left < 1e-5, ours)


def _a6(rows):
    layers = LAYERS * combinatorics.mean_length(N) + 2
    return exact(abs(layers - 55) <= 1, f"mean {layers:g} layers, stem and classifier counted")


def left_by_one(deleted: int) -> list[float]:
    """The fraction of the paths through `FEW` modules, by length, that enter none of the first
    `deleted`, found by looking at each."""
    paths = combinatorics.every(FEW)
    spared = paths[~paths[:, :deleted].any(1)].sum(1).bincount(minlength=FEW + 1)
    return (spared.double() / paths.sum(1).bincount().double()).tolist()


def _a7(rows):
    holds = all(left_by_one(d) == combinatorics.remaining(FEW, d) for d in range(FEW + 1))
    left = combinatorics.remaining(N, 10)
    return exact(
        holds,
        "of the paths of length 5, 11, 17, after 10 deletions: "
        + ", ".join(percent(left[k], 1) for k in (5, 11, 17)),
    )


def _a8(rows):
    ten, twenty = (combinatorics.remaining_between(N, d, SHORTEST, LONGEST) for d in (10, 20))
    left = ten * sum(combinatorics.counts_by_length(N)[k] for k in EFFECTIVE)
    share = f"{percent(ten)} of them by count (20 deletions: {percent(twenty, 3)})"
    return exact(ten > 0.5, f"{share}; as a number, still {left:.1e}")


def _a9(rows):
    inside = combinatorics.share_between(23, SHORTEST, LONGEST)
    longer = combinatorics.share_between(23, LONGEST + 1, 23)
    spread = f"{percent(inside)} within 5 to 17, but {percent(longer)} are longer"
    return exact(longer == 0, f"mean {combinatorics.mean_length(23):g}; {spread}")


def _a10(rows):
    paths = combinatorics.every(FEW)
    plain = paths[paths.all(1)]
    left, cut = (int((~kind[:, FEW // 2]).sum()) for kind in (paths, plain))
    ours = f"{len(paths)} paths of {FEW} modules become {left}; "
    ours += f"in a plain network {len(plain)} becomes {cut}"
    return exact(2 * left == len(paths) and (len(plain), cut) == (1, 0), ours)


def _a11(rows):
    found = unrolling.highway()
    return exact(
        found.equal,
        "up to scale: z_i = 2^i y_i is a residual network of 2^i f(z_i / 2^i); the same f only "
        "where f is homogeneous, as without biases and batch norm",
        found.homogeneous_up_to_scale and not found.biased_up_to_scale,
    )


def _a12(rows):
    with torch.random.fork_rng(devices=[]):
        residual = models.basic_residual(1, 1, 1)
    layers = sum(isinstance(part, nn.Conv2d) for part in residual.modules())
    ends = layers * SHORTEST, layers * LONGEST
    ours = (
        f"{layers} x (5 to 17) layers are {ends[0]} to {ends[1]}, stem and classifier not counted"
    )
    return exact(ends == (10, 34), ours)


UNRAVELED, LENGTHS = "notebooks/00_unraveled_view", "fig-path-lengths"

LEDGER = {
    "A1": Claim(
        "Eq 4-6, Fig 1",
        "unrolling gives 2^n paths; Eq 6 equals Eq 4",
        "2^n",
        EXACT,
        _a1,
        UNRAVELED,
    ),
    "A2": Claim(
        "S5, Fig 6a",
        "path length is Binomial(n, 1/2), centred at n/2",
        "27",
        EXACT,
        _a2,
        LENGTHS,
    ),
    "A3": Claim(
        "S5",
        "more than 95% of paths go through 19 to 35 modules",
        "95%",
        EXACT,
        _a3,
        LENGTHS,
    ),
    "A4": Claim(
        "S5",
        "lengths 5 to 17 are 0.45% of all paths",
        "0.45%",
        EXACT,
        _a4,
        LENGTHS,
    ),
    "A5": Claim(
        "S4.2",
        "deleting 10 leaves 2^44, a factor of roughly 10^-6",
        "10^-6",
        EXACT,
        _a5,
        "fig-random-deletions",
    ),
    "A6": Claim(
        "S1",
        "most paths of 110 layers are about 55 layers deep",
        "55",
        EXACT,
        _a6,
        LENGTHS,
    ),
    "A7": Claim(
        "Eq 8, Fig 7",
        "C(n-d, x) / C(n, x) of the paths of length x remain",
        "Eq 8",
        EXACT,
        _a7,
        "fig-remaining",
    ),
    "A8": Claim(
        "S6",
        "after 10 deletions many of the paths of 5 to 17 are valid",
        "many",
        "'many' taken as more than half",
        _a8,
        "fig-remaining",
    ),
    "A9": Claim(
        "S5",
        "23 modules centre lengths at 11.5; no long path is ever used",
        "none",
        EXACT,
        _a9,
        LENGTHS,
    ),
    "A10": Claim(
        "S4.1, Fig 2",
        "a deletion halves the paths; a plain network has one",
        "half",
        EXACT,
        _a10,
        UNRAVELED,
    ),
    "A11": Claim(
        "Eq 3",
        "a highway network with t = 0.5 is a residual network",
        "equal",
        EXACT,
        _a11,
        UNRAVELED,
    ),
    "A12": Claim(
        "abstract",
        "effective paths are 10 to 34 layers deep",
        "10 to 34",
        EXACT,
        _a12,
        LENGTHS,
    ),
}
