"""The scorecard page: made from the committed rows, by the code, and by nothing else."""

import ast
import copy
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from IPython.display import Markdown

from study import claims
from study.claims import amendments
from study.decay import is_papers
from study.records import store

ROOT = Path(__file__).resolve().parents[2]
ROWS = store.read(ROOT / "book/results")
PAGES = ["scorecard.md", "deviations.md", "intro.md"]


@pytest.mark.parametrize("claim", claims.LEDGER)
def test_a_verdict_from_the_committed_rows_rests_on_rows_of_cifar(claim):
    found = claims.judge(claim, ROWS)
    if claim.startswith("A"):
        assert not found.rows
    elif found.verdict == claims.NOT_RUN:
        assert "no rows" in found.ours and not found.rows
    else:
        assert found.rows and all(row["dataset"] == "cifar10" for row in found.rows)


@pytest.mark.parametrize("claim", claims.LEDGER)
def test_a_verdict_on_trained_networks_needs_the_papers_quality(claim):
    """Told from the rows alone, without the code that judges: errors, and decay sums."""
    found = claims.judge(claim, ROWS)
    if claim in amendments.TRAINED and found.verdict not in (claims.NOT_RUN, claims.UNDECIDED):
        for row in found.rows:
            assert is_papers(row["config"])
        full = {"model": "resnet", "active": 0, "survival": 1.0, "shortcuts": "subsample"}
        lengths = {row["config"]["iterations"] for row in found.rows}
        errors = [
            row["value"]["error"]
            for row in ROWS
            if row["experiment"] == "training"
            and row["dataset"] == "cifar10"
            and is_papers(row["config"])
            and full.items() <= row["config"].items()
            and row["config"]["iterations"] in lengths
        ]
        assert errors and min(errors) <= 0.076


@pytest.mark.parametrize("page", PAGES)
def test_the_cells_of_a_page_run(page, monkeypatch):
    """Each ends in Markdown or in a picture; a page of the book is made from these."""
    monkeypatch.chdir(ROOT / "book")
    monkeypatch.syspath_prepend(str(ROOT))
    text = (ROOT / "book" / page).read_text(encoding="utf8")
    shown, names = [], {}
    for cell in re.findall(r"```\{code-cell\} python3\n(.*?)```", text, flags=re.S):
        # Options stand above the code, as lines that begin with a colon or between two rules.
        code = re.sub(r"\A(---\n(?s:.*?)\n---\n|(:.*\n)+)", "", cell)
        *body, last = ast.parse(code).body
        exec(compile(ast.Module(body, []), page, "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), page, "eval"), names))
        else:
            exec(compile(ast.Module([last], []), page, "exec"), names)
    plt.close("all")
    told = [part.data for part in shown if isinstance(part, Markdown)]
    assert told and all(told), page
    if page == "scorecard.md":
        assert told[0] == claims.headline(ROWS) and claims.amendments_told() in told
        assert [claims.scorecard(kind, ROWS) in told for kind in "ABLH"] == [True] * 4


def test_the_committed_rows_were_made_by_committed_code():
    for row in ROWS:
        assert row["code"]["commit"] and row["code"]["dirty"] is False, row["experiment"]


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
