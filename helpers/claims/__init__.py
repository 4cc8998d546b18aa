"""The ledger: what the paper claims, the rule for a verdict, and the verdict from result rows.

The rules were written before any result was seen.  Claims A are arithmetic and need no rows; claims
B are about trained networks and are judged from rows alone.
"""

from dataclasses import dataclass

from helpers.claims import arithmetic, gradients, lesions, training
from helpers.claims.rows import Missing

REPRODUCED = "reproduced"
CORRECTED = "reproduced with a correction"
NOT_REPRODUCED = "not reproduced"
NOT_RUN = "not run"

LEDGER = arithmetic.LEDGER | lesions.LEDGER | gradients.LEDGER | training.LEDGER


@dataclass(frozen=True)
class Verdict:
    """A verdict on one claim, what it rests on, and how many samples that is."""

    verdict: str
    ours: str
    samples: str


def judge(claim: str, rows: list[dict]) -> Verdict:
    """The verdict on a claim such as "B3" from result rows.

    KeyError for a claim that is not in the ledger; "not run", with what is missing, where the rows
    do not hold what the rule needs.
    """
    if claim not in LEDGER:
        raise KeyError(f"claim {claim!r}: expected one of {', '.join(LEDGER)}")
    if claim in arithmetic.LEDGER:
        holds, ours = LEDGER[claim].finding()
        return Verdict(REPRODUCED if holds else CORRECTED, ours, "")
    try:
        holds, ours, samples = LEDGER[claim].finding(rows)
    except Missing as missing:
        return Verdict(NOT_RUN, str(missing), "")
    return Verdict(REPRODUCED if holds else NOT_REPRODUCED, ours, samples)


def report(claims: list[str], recorded: list[dict], here: list[dict]) -> str:
    """A Markdown table of verdicts: from the recorded reference rows, and from the rows that this
    machine has just measured, where the network is smaller and the rule only an indication."""
    lines = ["| the paper says | verdict |", "|---|---|"]
    for claim in claims:
        entry = LEDGER[claim]
        says = f"**{claim}** ({entry.where}): {entry.says}<br>*Rule*: {entry.rule}"
        if claim in arithmetic.LEDGER:
            verdict = sentence(judge(claim, []))
        else:
            verdict = (
                f"Recorded: {sentence(judge(claim, recorded))}<br>"
                f"Here: {live(sentence(judge(claim, here)))}"
            )
        # Two columns, so that a phone shows both.
        lines.append(f"| {says} | {verdict} |")
    return "\n".join(lines)


def sentence(verdict: Verdict) -> str:
    """A verdict in one line: **reproduced**: 98.1% of modules (54 modules)."""
    samples = f" ({verdict.samples})" if verdict.samples else ""
    return f"**{verdict.verdict}**: {verdict.ours}{samples}"


def live(text: str) -> str:
    """Mark text as measured on this machine just now, for the eye and for the notebook tests."""
    return f'<span class="live">{text}</span>'
