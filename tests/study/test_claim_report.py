"""The verdicts in Markdown, and the amendments beside them."""

import re

import pytest
from markdown_it import MarkdownIt

from study import claims
from study.claims import amendments
from study.claims.claim import VERDICTS
from study.records import store
from study.text import benchmarks, open_settings, summary
from tests.claim_rows import controls, sampled, trained, vgg
from tests.rows import examples
from tests.study.test_claims import CASES
from tests.study.test_claims_needs import MAKE, compared, law, learned

ROWS = {
    str(sorted(r["config"].items())) + r["experiment"]: r
    for r in [
        *(r for claim in MAKE for r in MAKE[claim]()),
        *(r for claim in ("B2", "L1") for r in CASES[claim][0][1]),
        *compared(),
        *learned(),
        *law(),
    ]
}
EVERYTHING = [*ROWS.values(), *controls(ROWS.values())]


@pytest.mark.parametrize("kind", "ABLH")
@pytest.mark.parametrize("rows", [[], EVERYTHING], ids=["nothing", "everything"])
def test_the_scorecard_has_a_line_for_each_claim(kind, rows):
    head, line, *lines = claims.scorecard(kind, rows).split("\n")
    expected = [c for c in claims.LEDGER if c.startswith(kind)]
    assert [line.split("**")[1] for line in lines] == expected
    assert {text.count("|") for text in (head, line, *lines)} == {5}
    for claim, text in zip(expected, lines, strict=True):
        entry, found = claims.LEDGER[claim], claims.judge(claim, rows)
        says, paper, ours, verdict = (cell.strip() for cell in text.strip("|").split("|"))
        assert says.startswith(f"**{claim}** ({entry.where}): {entry.says}<br>*Rule")
        assert says.endswith(f"*: {entry.rule}")
        assert paper == entry.paper
        basis = found.basis()
        assert ours == (f"{found.ours}<br>*{basis}*" if basis else found.ours)
        role = "doc" if entry.figure.startswith("notebooks/") else "numref"
        why = f": {found.why}" if found.why else ""
        assert verdict == f"**{found.verdict}**{why}<br>{{{role}}}`{entry.figure}`"


def test_a_verdict_that_is_open_says_why():
    (line,) = (x for x in claims.scorecard("B", [trained(800)]).split("\n") if "**B1**" in x)
    assert "| 8.00%<br>*1 seed; the paper's recipe* |" in line
    assert "**undecided**: not tested at the paper's setting: test errors of up to 8.00%" in line
    told = claims.sentence(claims.judge("B1", [trained(800)]))
    assert told.startswith("**undecided** (not tested at") and told.endswith(
        "(1 seed; the paper's recipe)"
    )


def test_figures_are_pages_or_labels():
    for claim, entry in claims.LEDGER.items():
        assert entry.figure.startswith(("notebooks/", "fig-")), claim


def test_claims_are_counted_by_their_kind():
    """Never added up."""
    nothing = {
        "arithmetic": {"reproduced": 7, "reproduced with a correction": 5},
        "experiments": {"not run": 15},
        "related papers and our own": {"not run": 5},
    }
    none = dict.fromkeys(VERDICTS, 0)
    assert claims.counts([]) == {kind: none | found for kind, found in nothing.items()}
    assert claims.counts([vgg(8000)])["experiments"] == none | {"reproduced": 1, "not run": 14}
    assert claims.counts([trained(800)])["experiments"] == none | {"undecided": 1, "not run": 14}
    assert claims.counts([vgg(7999)])["experiments"]["not reproduced"] == 1
    assert claims.headline([vgg(8000)]) == (
        "Arithmetic, 12 claims: **7 reproduced, 5 reproduced with a correction**. "
        "Experiments, 15 claims: **1 reproduced, 14 not run**. "
        "Related papers and our own, 5 claims: **5 not run**."
    )


# Amendments.


def test_every_amendment_is_told():
    lines = claims.amendments_told().split("\n")
    assert [line.split(". ")[0] for line in lines] == [str(n) for n in amendments.AMENDMENTS]
    for line, amendment in zip(lines, amendments.AMENDMENTS.values(), strict=True):
        assert amendment.date in line and amendment.says in line and amendment.reason in line
        for claim, rule in amendment.before.items():
            assert claim in line and rule in line
        assert amendment.claims == () or amendment.claims[0] in line.split("*:")[0] + line


def test_a_rule_names_its_amendments():
    assert amendments.of("B12") == [1, 2, 6] and amendments.of("B3") == [1, 4, 5]
    assert amendments.of("B14") == [3] and amendments.of("A1") == []
    assert "<br>*Rule, amended (1, 2, 6)*: " in claims.scorecard("B", [])
    assert "amended" not in claims.scorecard("A", [])
    assert all(claim in claims.LEDGER for a in amendments.AMENDMENTS.values() for claim in a.claims)


def test_the_claims_of_amendment_1_are_those_that_need_the_quality():
    """`MAKE` has those that `test_claims_needs` finds undecided without it; B12 has tests apart."""
    assert set(amendments.TRAINED) == MAKE.keys() | {"B12"}


# Live and recorded.


def test_the_basis_names_samples_and_recipe():
    assert claims.judge("B2", [vgg(9000)]).basis() == "13 layers, 1 network; the paper's recipe"
    both = [sampled(lambda k: 0.25**k), examples()["by_length"]]
    assert claims.judge("A4", []).basis() == ""
    assert claims.sentence(claims.judge("A4", [])) == "**reproduced**: 0.4537%"
    assert claims.judge("B9", both).basis().endswith("1000 paths each; the paper's recipe")


def test_sources_say_where_the_numbers_come_from():
    a, b, c = list(examples().values())[:3]
    opening, lines, closing = claims.sources([a, None, b], [c]).split("\n\n")
    assert lines.split("<br>") == [
        f"Recorded: {store.provenance(a)}",
        f"Recorded: {store.provenance(b)}",
        claims.live(f"Here: {store.provenance(c)}"),
    ]
    # Folded away, but what is inside can be told without unfolding it.
    said = "Where these numbers come from: 2 rows recorded, 1 row live"
    assert (opening, closing) == (f"<details><summary>{said}</summary>", "</details>")
    assert "1 row recorded</summary>" in claims.sources([a], [])
    assert claims.sources([None], []) == ""


def test_a_report_has_a_line_for_each_claim():
    head, line, a4, b2 = claims.report(["A4", "B2"], [vgg(9000)]).split("\n")
    assert {text.count("|") for text in (head, line, a4, b2)} == {3}
    assert "**A4** (S5)" in a4 and "| **reproduced**: 0.4537% |" in a4
    assert "**B2** (" in b2 and "*Rule*: every layer" in b2
    assert "| **reproduced**: the least error after a deletion is 90.0% (13 layers" in b2


def test_live_text_is_marked():
    assert claims.live("it") == '<span class="live">it</span>'


# Names that bite.

NAME = "<img src=x onerror=alert(1)> | **a** [b](javascript:c) `d` {doc}`e`"


def named(r):
    """A row that bears the name wherever a name may stand."""
    config = r["config"] | dict.fromkeys(("shortcuts", "recipe", "note"), NAME)
    if r["config"].get("recipe") == "paper":
        config |= {"dataset": NAME}
    names = {"dataset": NAME, "model": NAME, "device": NAME, "checkpoint": NAME}
    return r | names | {"config": config, "data_checksum": NAME}


def markdown(rows):
    """All that this project's functions make of rows in Markdown, by name."""
    for kind in "ABLH":
        yield f"scorecard {kind}", claims.scorecard(kind, rows)
    yield "report", claims.report(list(claims.LEDGER), rows)
    yield "headline", claims.headline(rows)
    yield "sources", claims.sources(rows, rows)
    yield "training", claims.ledger.training.by_length_of_training(rows, 23)
    for tell in ("length_of_training", "robustness", "vgg", "gradient", "spared", "test_time"):
        yield tell, getattr(open_settings, tell)(rows)
    yield "shortcuts", open_settings.shortcuts(rows, NAME)
    for tell in ("deletion", "random_deletions", "norms", "gradient", "training", "dynamics"):
        yield f"summary {tell}", summary.judged(getattr(summary, tell), ["B3", "B9"], rows)
    for tell in ("table", "facts", "provenance"):
        yield f"benchmarks {tell}", getattr(benchmarks, tell)(rows)


def biting(rows):
    """Rows in which names of data sets, settings, benchmarks and notes bite; on CIFAR-10 too."""
    for r in rows:
        if r["experiment"].startswith("bench"):
            value = r["value"]
            if isinstance(value, dict):
                value = value | {"note": NAME}
            yield r | {"experiment": f"{r['experiment']} {NAME}", "value": value}
            continue
        yield named(r)
        for names in ({}, {"recipe": NAME}, {"recipe": NAME, "shortcuts": NAME}):
            yield r | {"model": NAME, "config": r["config"] | names}
        if r["experiment"] == "test_time":
            yield r | {"value": {NAME: 0.5}, "config": r["config"] | {"active": 23}}


def test_names_do_nothing_in_any_markdown():
    """Of the name nothing is left that Markdown or HTML could take for its own."""
    rows = list(biting([*EVERYTHING, *examples().values()]))
    rows.append(
        examples()["bench exact"]
        | {"experiment": "bench exactness", "value": {NAME: 0.1}, "versions": {"torch": NAME}}
    )
    seen = set()
    for name, text in markdown(rows):
        assert "<img" not in text and "](javascript" not in text and "`d`" not in text, name
        if "onerror" in text:
            seen.add(name)
        shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
        tags = set(re.findall(r"<\s*([a-z]+)", shown))
        assert not tags & {"img", "script", "a"}, name
    assert {"sources", "length_of_training", "benchmarks table", "benchmarks provenance"} <= seen
    assert {"benchmarks facts", "shortcuts", "robustness", "test_time"} <= seen
