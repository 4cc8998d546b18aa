"""What the claims about trained networks share: a claim, and the rows it is judged from."""

from collections.abc import Callable
from dataclasses import dataclass


class Missing(LookupError):
    """The rows do not hold what a rule needs."""


@dataclass(frozen=True)
class Claim:
    """Where the paper makes a claim, what it says, the rule, and what rows find.

    A finding is whether the rule is met, what was measured, and how many samples that rests on.
    """

    where: str
    says: str
    rule: str
    finding: Callable[[list[dict]], tuple[bool, str, str]]


def select(rows: list[dict], experiment: str, what: str, keep=lambda row: True) -> list[dict]:
    """The rows of an experiment that `keep` accepts; Missing, with `what`, if there are none.

    Rows of several networks of a kind (seeds) are averaged by the rules, never chosen from.
    """
    found = [r for r in rows if r["experiment"] == experiment and keep(r)]
    if not found:
        raise Missing(f"no rows of {what}")
    return found


def is_plain(row: dict) -> bool:
    """Whether a row is of a network without skip connections."""
    return row["config"]["model"].startswith("vgg")


def is_full(row: dict) -> bool:
    """Whether a row is of a residual network trained with all modules active."""
    config = row["config"]
    return not is_plain(row) and config["active"] == 0 and config["survival"] == 1
