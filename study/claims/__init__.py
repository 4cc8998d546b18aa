"""The ledger: what the paper claims, the rule for a verdict, and the verdict from result rows.

The rules were written before any result was seen; where they were amended since, `amendments`
says when and why.  Claims A are arithmetic and need no rows; claims B, L and H are about trained
networks and are judged from rows alone.
"""

from study.claims import ledger, rows, words
from study.claims.amendments import told as amendments_told
from study.claims.claim import CORRECTED, NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED
from study.claims.ledger import KINDS, LEDGER, counts, judge
from study.claims.report import headline, live, report, scorecard, sentence, sources
from study.claims.rows import (
    DECAY_ONLY,
    FULL,
    HIGHWAY,
    PLAIN,
    PROJECTION,
    STOCHASTIC,
    example,
    examples,
    matched,
    runs,
)
from study.claims.words import recipe

__all__ = [
    "CORRECTED",
    "DECAY_ONLY",
    "FULL",
    "HIGHWAY",
    "KINDS",
    "LEDGER",
    "NOT_REPRODUCED",
    "NOT_RUN",
    "PLAIN",
    "PROJECTION",
    "REPRODUCED",
    "STOCHASTIC",
    "UNDECIDED",
    "amendments_told",
    "counts",
    "example",
    "examples",
    "headline",
    "judge",
    "ledger",
    "live",
    "matched",
    "recipe",
    "report",
    "rows",
    "runs",
    "scorecard",
    "sentence",
    "sources",
    "words",
]
