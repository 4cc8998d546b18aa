"""The scorecard page: made from the committed rows, by the code, and by nothing else."""

import copy
import re
from pathlib import Path

import pytest

from study import claims
from study.records import store

ROOT = Path(__file__).resolve().parents[2]
ROWS = store.read(ROOT / "book/results")
# A verdict that the committed rows cannot give, and the reason that must be said.
NOT_RUN = {"B15": "ImageNet"}


@pytest.mark.parametrize("claim", claims.LEDGER)
def test_every_claim_has_a_verdict_from_the_committed_rows(claim):
    found = claims.judge(claim, ROWS)
    assert (found.verdict == claims.NOT_RUN) == (claim in NOT_RUN), found.ours
    if claim in NOT_RUN:
        assert NOT_RUN[claim] in found.ours
    elif not claim.startswith("A"):
        assert found.rows and all(row["dataset"] == "cifar10" for row in found.rows)


def test_the_committed_rows_were_made_by_committed_code():
    for row in ROWS:
        assert row["code"]["commit"] and row["code"]["dirty"] is False, row["experiment"]


def test_no_network_was_recorded_twice():
    """The same measurement of the same network in two rows would count twice."""
    seen = [
        (r["experiment"], r["checkpoint"], str(sorted(r["config"].items())), r["seed"])
        for r in ROWS
        if not r["experiment"].startswith("bench ")
    ]
    assert len(seen) == len(set(seen))


def test_another_row_makes_another_scorecard():
    rows = copy.deepcopy(ROWS)
    before = claims.scorecard("B", rows), claims.counts(rows)
    for row in rows:
        if row["experiment"] == "deletion" and row["config"]["model"] == "resnet":
            row["value"]["errors"] = [0.9] * len(row["value"]["errors"])
    assert claims.judge("B3", ROWS).verdict != claims.judge("B3", rows).verdict or (
        claims.judge("B3", ROWS).ours != claims.judge("B3", rows).ours
    )
    assert (claims.scorecard("B", rows), claims.counts(rows)) != before


@pytest.mark.parametrize("page", ["scorecard.md", "intro.md", "guide.md", "deviations.md"])
def test_the_pages_hold_no_number_of_ours(page):
    """Percentages and points in the prose are the paper's, or counts of settings: none is ours."""
    text = (ROOT / "book" / page).read_text(encoding="utf8")
    prose = re.sub(r"```\{code-cell\}.*?```", "", text, flags=re.S)
    ours = {f"{100 * r['value']['error']:.2f}%" for r in ROWS if r["experiment"] == "training"}
    assert not [number for number in ours if number in prose]


def test_every_figure_of_the_ledger_is_in_a_chapter():
    chapters = "".join(p.read_text(encoding="utf8") for p in (ROOT / "notebooks").glob("*.py"))
    for claim, entry in claims.LEDGER.items():
        if "/" in entry.figure:
            assert (ROOT / f"{entry.figure}.ipynb").is_file(), claim
        else:
            assert f'"name": "{entry.figure}"' in chapters, claim
