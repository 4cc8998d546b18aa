"""A claim, and a verdict on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from study.claims.words import recipe

REPRODUCED = "reproduced"
CORRECTED = "reproduced with a correction"
NOT_REPRODUCED = "not reproduced"
UNDECIDED = "undecided"
NOT_RUN = "not run"
VERDICTS = (REPRODUCED, CORRECTED, NOT_REPRODUCED, UNDECIDED, NOT_RUN)


class Missing(LookupError):
    """The rows do not hold what a rule needs."""


@dataclass(frozen=True)
class Verdict:
    """A verdict on one claim, what was measured, on how many samples, and the rows behind it;
    `why`: what keeps it undecided."""

    verdict: str
    ours: str
    samples: str = ""
    rows: tuple[dict, ...] = ()
    why: str = ""

    def basis(self) -> str:
        """Samples and recipes behind a verdict, in words; empty for arithmetic."""
        return "; ".join(filter(None, [self.samples, *sorted({recipe(r) for r in self.rows})]))


@dataclass(frozen=True)
class Claim:
    """Where a claim is made, what it says and its number, the rule that decides, what the rows
    say (arithmetic needs none), and the figure or page of this book that shows it.

    `find` raises `Missing` where the rows do not hold what the rule needs.
    """

    where: str
    says: str
    paper: str
    rule: str
    find: Callable[[list[dict]], Verdict]
    figure: str


def decided(
    holds: bool, ours: str, samples: str, rows: Sequence[dict], lacking: Sequence[str] = ()
) -> Verdict:
    """The verdict of a rule that is met or not; undecided where something is `lacking`."""
    if lacking:
        return Verdict(UNDECIDED, ours, samples, tuple(rows), "; ".join(dict.fromkeys(lacking)))
    return Verdict(REPRODUCED if holds else NOT_REPRODUCED, ours, samples, tuple(rows))
