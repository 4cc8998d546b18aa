"""Claims A: the arithmetic of paths, judged by counting.  n = 54 modules, a 110-layer network.

A finding is whether the claim holds as it stands (False: it needs a correction) and what is exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

from helpers import combinatorics

N = 54
EXACT = "exact arithmetic"


@dataclass(frozen=True)
class Claim:
    """Where the paper makes a claim, what it says and its number, what counting finds, the page
    of this book that shows it, and the rule."""

    where: str
    says: str
    paper: str
    finding: Callable[[], tuple[bool, str]]
    figure: str
    rule: str = EXACT


def percent(share: float, digits: int = 2) -> str:
    """0.5 as "50.00%"."""
    return f"{100 * share:.{digits}f}%"


def _a1():
    return False, (
        "Eq 6 equals Eq 4, and there are 2^n paths; but Eq 6 has n + 1 additive terms, not 2^n. "
        "With nonlinear modules the forward pass is no sum over paths; the gradient is, exactly"
    )


def _a2():
    mean = combinatorics.mean_length(N)
    return mean == N / 2, f"the mean length is {mean:g}"


def _a3():
    share = combinatorics.share_between(N, 19, 35)
    low, high = combinatorics.tightest_band(N, 0.95)
    tight = percent(combinatorics.share_between(N, low, high))
    return share > 0.95, f"{percent(share)}; already {low} to {high} hold {tight}"


def _a4():
    share = combinatorics.share_between(N, 5, 17)
    return round(100 * share, 2) == 0.45, percent(share, 4)


def _a5():
    left = combinatorics.count(N - 10) / combinatorics.count(N)
    needed = next(d for d in range(N) if 2.0**-d < 1e-6)
    return 1e-7 < left < 1e-5, f"2^44 paths are {left:.1e} of 2^54; 10^-6 takes {needed} deletions"


def _a6():
    layers = 2 * combinatorics.mean_length(N) + 2
    return abs(layers - 55) <= 1, f"mean {layers:g} layers, stem and classifier counted"


def _a7():
    left = combinatorics.remaining(N, 10)
    return True, "of the paths of length 5, 11, 17, after 10 deletions: " + ", ".join(
        percent(left[k], 1) for k in (5, 11, 17)
    )


def _a8():
    ten, twenty = (combinatorics.remaining_between(N, d, 5, 17) for d in (10, 20))
    left = ten * sum(combinatorics.counts_by_length(N)[5:18])
    share = f"{percent(ten)} of them by count (20 deletions: {percent(twenty, 3)})"
    return ten > 0.5, f"{share}; as a number, still {left:.1e}"


def _a9():
    inside, longer = combinatorics.share_between(23, 5, 17), combinatorics.share_between(23, 18, 23)
    spread = f"{percent(inside)} within 5 to 17, but {percent(longer)} are longer"
    return longer == 0, f"mean {combinatorics.mean_length(23):g}; {spread}"


def _a10():
    halved = combinatorics.count(N - 1) * 2 == combinatorics.count(N)
    return halved, "2^n becomes 2^(n-1); in a plain network 1 becomes 0"


def _a11():
    return False, (
        "up to scale: z_i = 2^i y_i is a residual network of 2^i f(z_i / 2^i); the same f only "
        "where f is homogeneous, as without biases and batch norm"
    )


def _a12():
    return (2 * 5, 2 * 17) == (10, 34), "2 x (5 to 17) layers, stem and classifier not counted"


UNRAVELED, LENGTHS = "notebooks/00_unraveled_view", "fig-path-lengths"

LEDGER = {
    "A1": Claim(
        "Eq 4-6, Fig 1", "unrolling gives 2^n paths; Eq 6 equals Eq 4", "2^n", _a1, UNRAVELED
    ),
    "A2": Claim(
        "S5, Fig 6a", "path length is Binomial(n, 1/2), centred at n/2", "27", _a2, LENGTHS
    ),
    "A3": Claim("S5", "more than 95% of paths go through 19 to 35 modules", "95%", _a3, LENGTHS),
    "A4": Claim("S5", "lengths 5 to 17 are 0.45% of all paths", "0.45%", _a4, LENGTHS),
    "A5": Claim(
        "S4.2",
        "deleting 10 leaves 2^44, a factor of roughly 10^-6",
        "10^-6",
        _a5,
        "fig-random-deletions",
    ),
    "A6": Claim("S1", "most paths of 110 layers are about 55 layers deep", "55", _a6, LENGTHS),
    "A7": Claim(
        "Eq 8, Fig 7",
        "C(n-d, x) / C(n, x) of the paths of length x remain",
        "Eq 8",
        _a7,
        "fig-remaining",
    ),
    "A8": Claim(
        "S6",
        "after 10 deletions many of the paths of 5 to 17 are valid",
        "many",
        _a8,
        "fig-remaining",
        "'many' taken as more than half",
    ),
    "A9": Claim(
        "S5",
        "23 modules centre lengths at 11.5; no long path is ever used",
        "none",
        _a9,
        LENGTHS,
    ),
    "A10": Claim(
        "S4.1, Fig 2",
        "a deletion halves the paths; a plain network has one",
        "half",
        _a10,
        UNRAVELED,
    ),
    "A11": Claim(
        "Eq 3", "a highway network with t = 0.5 is a residual network", "equal", _a11, UNRAVELED
    ),
    "A12": Claim("abstract", "effective paths are 10 to 34 layers deep", "10 to 34", _a12, LENGTHS),
}
