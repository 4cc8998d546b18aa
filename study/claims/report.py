"""The verdicts in Markdown: tables, headlines, and where the numbers come from."""

from collections.abc import Sequence

from study.claims import amendments
from study.claims.claim import Verdict
from study.claims.ledger import LEDGER, counts, judge
from study.claims.words import several
from study.records.store import provenance


def report(claims: Sequence[str], recorded: list[dict]) -> str:
    """A Markdown table of what the paper says, the rules, and verdicts from the recorded rows."""
    lines = ["| the paper says | verdict |", "|---|---|"]
    for claim in claims:
        # Two columns, so that a phone shows both.
        lines.append(f"| {statement(claim)} | {sentence(judge(claim, recorded))} |")
    return "\n".join(lines)


def scorecard(kind: str, rows: list[dict]) -> str:
    """A Markdown table of all claims of a kind, "A", "B", "L" or "H": what the paper says and its
    number, ours and what it rests on, rule, verdict, and a link to the figure."""
    lines = ["| the paper says | paper | ours | verdict |", "|---|---|---|---|"]
    for claim, entry in LEDGER.items():
        if claim.startswith(kind):
            found = judge(claim, rows)
            role = "doc" if "/" in entry.figure else "numref"
            basis = f"<br>*{found.basis()}*" if found.basis() else ""
            why = f": {found.why}" if found.why else ""
            verdict = f"**{found.verdict}**{why}<br>{{{role}}}`{entry.figure}`"
            lines.append(
                f"| {statement(claim)} | {entry.paper} | {found.ours}{basis} | {verdict} |"
            )
    return "\n".join(lines)


def statement(claim: str) -> str:
    """What is claimed, where, and the rule, with the numbers of its amendments."""
    entry, amended = LEDGER[claim], amendments.of(claim)
    rule = f"*Rule, amended ({', '.join(map(str, amended))})*" if amended else "*Rule*"
    return f"**{claim}** ({entry.where}): {entry.says}<br>{rule}: {entry.rule}"


def headline(rows: list[dict]) -> str:
    """How many claims have which verdict, a sentence for each kind of claim."""
    lines = []
    for kind, found in counts(rows).items():
        listed = ", ".join(f"{count} {verdict}" for verdict, count in found.items() if count)
        lines.append(f"{kind.capitalize()}, {several(sum(found.values()), 'claim')}: **{listed}**.")
    return " ".join(lines)


def sentence(verdict: Verdict) -> str:
    """A verdict in one line: **reproduced**: 98.1% of modules (54 modules)."""
    basis = f" ({verdict.basis()})" if verdict.basis() else ""
    why = f" ({verdict.why})" if verdict.why else ""
    return f"**{verdict.verdict}**{why}: {verdict.ours}{basis}"


def sources(recorded: Sequence[dict | None], here: Sequence[dict]) -> str:
    """Markdown, to be unfolded: where the numbers of a figure come from, a line for each row."""
    lines = [f"Recorded: {provenance(row)}" for row in recorded if row]
    counted = {"recorded": len(lines), "live": len(here)}
    lines += [live(f"Here: {provenance(row)}") for row in here]
    if not lines:
        return ""
    listed = ", ".join(f"{several(n, 'row')} {kind}" for kind, n in counted.items() if n)
    return (
        f"<details><summary>Where these numbers come from: {listed}</summary>\n\n"
        f"{'<br>'.join(lines)}\n\n</details>"
    )


def live(text: str) -> str:
    """Mark text as measured on this machine just now, for the eye and for the notebook tests."""
    return f'<span class="live">{text}</span>'
