"""The ledger: what the paper claims, the rule for a verdict, and the verdict from result rows.

The rules were written before any result was seen.  Claims A are arithmetic and need no rows; claims
B and L are about trained networks and are judged from rows alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from study.claims import arithmetic, discussion, dynamics, gradients, lesions, training
from study.claims.rows import (
    FULL,
    HIGHWAY,
    PLAIN,
    STOCHASTIC,
    Missing,
    example,
    examples,
    matched,
    recipe,
    runs,
    several,
)
from study.records.store import provenance

__all__ = [
    "FULL",
    "HIGHWAY",
    "PLAIN",
    "STOCHASTIC",
    "counts",
    "example",
    "examples",
    "judge",
    "live",
    "matched",
    "report",
    "runs",
    "scorecard",
    "sentence",
    "sources",
]

REPRODUCED = "reproduced"
CORRECTED = "reproduced with a correction"
NOT_REPRODUCED = "not reproduced"
NOT_RUN = "not run"

LEDGER = (
    arithmetic.LEDGER
    | training.LEDGER
    | lesions.LEDGER
    | gradients.LEDGER
    | discussion.LEDGER
    | dynamics.LEDGER
)
LEDGER = dict(sorted(LEDGER.items(), key=lambda entry: (entry[0][0], int(entry[0][1:]))))


@dataclass(frozen=True)
class Verdict:
    """A verdict on one claim, what it rests on, how many samples that is, and the rows."""

    verdict: str
    ours: str
    samples: str = ""
    rows: tuple[dict, ...] = ()

    def basis(self) -> str:
        """Samples and recipes behind a verdict, in words; empty for arithmetic."""
        return "; ".join(filter(None, [self.samples, *sorted({recipe(r) for r in self.rows})]))


def judge(claim: str, rows: list[dict]) -> Verdict:
    """The verdict on a claim such as "B3" from result rows.

    KeyError for a claim that is not in the ledger; "not run", with what is missing, where the rows
    do not hold what the rule needs.
    """
    if claim not in LEDGER:
        raise KeyError(f"claim {claim!r}: expected one of {', '.join(LEDGER)}")
    if claim in arithmetic.LEDGER:
        holds, ours = LEDGER[claim].finding()
        return Verdict(REPRODUCED if holds else CORRECTED, ours)
    try:
        found = LEDGER[claim].finding(rows)
    except Missing as missing:
        return Verdict(NOT_RUN, str(missing))
    verdict = REPRODUCED if found.holds else NOT_REPRODUCED
    return Verdict(verdict, found.ours, found.samples, tuple(found.rows))


def report(claims: Sequence[str], recorded: list[dict]) -> str:
    """A Markdown table of what the paper says, the rules, and verdicts from the recorded rows."""
    lines = ["| the paper says | verdict |", "|---|---|"]
    for claim in claims:
        entry = LEDGER[claim]
        says = f"**{claim}** ({entry.where}): {entry.says}<br>*Rule*: {entry.rule}"
        # Two columns, so that a phone shows both.
        lines.append(f"| {says} | {sentence(judge(claim, recorded))} |")
    return "\n".join(lines)


def scorecard(kind: str, rows: list[dict]) -> str:
    """A Markdown table of all claims of a kind, "A", "B" or "L": what the paper says and its
    number, ours and what it rests on, rule, verdict, and a link to the figure."""
    lines = ["| the paper says | paper | ours | verdict |", "|---|---|---|---|"]
    for claim, entry in LEDGER.items():
        if claim.startswith(kind):
            found = judge(claim, rows)
            role = "doc" if "/" in entry.figure else "numref"
            says = f"**{claim}** ({entry.where}): {entry.says}<br>*Rule*: {entry.rule}"
            basis = f"<br>*{found.basis()}*" if found.basis() else ""
            verdict = f"**{found.verdict}**<br>{{{role}}}`{entry.figure}`"
            lines.append(f"| {says} | {entry.paper} | {found.ours}{basis} | {verdict} |")
    return "\n".join(lines)


def counts(rows: list[dict]) -> dict[str, int]:
    """How many claims of the ledger have each verdict."""
    found = Counter(judge(claim, rows).verdict for claim in LEDGER)
    return {v: found[v] for v in (REPRODUCED, CORRECTED, NOT_REPRODUCED, NOT_RUN)}


def sentence(verdict: Verdict) -> str:
    """A verdict in one line: **reproduced**: 98.1% of modules (54 modules)."""
    basis = f" ({verdict.basis()})" if verdict.basis() else ""
    return f"**{verdict.verdict}**: {verdict.ours}{basis}"


def sources(recorded: Sequence[dict | None], here: Sequence[dict]) -> str:
    """Markdown, to be unfolded: where the numbers of a figure come from, a line for each row."""
    lines = [f"Recorded: {provenance(row)}" for row in recorded if row]
    counts = {"recorded": len(lines), "live": len(here)}
    lines += [live(f"Here: {provenance(row)}") for row in here]
    if not lines:
        return ""
    listed = ", ".join(f"{several(n, 'row')} {kind}" for kind, n in counts.items() if n)
    return (
        f"<details><summary>Where these numbers come from: {listed}</summary>\n\n"
        f"{'<br>'.join(lines)}\n\n</details>"
    )


def live(text: str) -> str:
    """Mark text as measured on this machine just now, for the eye and for the notebook tests."""
    return f'<span class="live">{text}</span>'
