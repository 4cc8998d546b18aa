"""The ledger of all claims, and the verdict on each from result rows."""

from collections import Counter

from study.claims import (
    arithmetic,
    decay_law,
    discussion,
    dynamics,
    gradients,
    lesions,
    training,
)
from study.claims.claim import NOT_RUN, VERDICTS, Claim, Missing, Verdict

# What is counted apart, and the letters of its claims.
KINDS = {"arithmetic": "A", "experiments": "B", "related papers and our own": "LH"}

_found = {
    claim: entry
    for part in (arithmetic, training, lesions, gradients, discussion, dynamics, decay_law)
    for claim, entry in part.LEDGER.items()
}
_letters = "".join(KINDS.values())
LEDGER: dict[str, Claim] = dict(
    sorted(_found.items(), key=lambda entry: (_letters.index(entry[0][0]), int(entry[0][1:])))
)


def judge(claim: str, rows: list[dict]) -> Verdict:
    """The verdict on a claim such as "B3" from result rows.

    KeyError for a claim that is not in the ledger; "not run", with what is missing, where the rows
    do not hold what the rule needs.
    """
    if claim not in LEDGER:
        raise KeyError(f"claim {claim!r}: expected one of {', '.join(LEDGER)}")
    try:
        return LEDGER[claim].find(rows)
    except Missing as missing:
        return Verdict(NOT_RUN, str(missing))


def counts(rows: list[dict]) -> dict[str, dict[str, int]]:
    """How many claims of each of `KINDS` have each verdict; they are never added up."""
    found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for claim in LEDGER:
        kind = next(kind for kind, letters in KINDS.items() if claim[0] in letters)
        found[kind][judge(claim, rows).verdict] += 1
    return {kind: {v: counted[v] for v in VERDICTS} for kind, counted in found.items()}
