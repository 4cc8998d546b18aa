"""Rows of benchmarks as tables."""

import pytest

from study.records import store
from study.text import benchmarks
from tests.rows import examples


def row(name, value, **more):
    fields = dict.fromkeys(store.FIELDS, "x") | {"samples": 5, "seconds": 1.0, "seed": 0}
    fields |= {"experiment": name, "value": value, "config": {"repeats": 5, "threads": 2}}
    return store.row(**fields | more)


FAST = {"plain": 7722.0, "ours": 2.5, "goal": 1000, "note": "scaled"}
ROWS = [
    examples()["deletion"],
    row("bench exact", {"plain": 1.0, "ours": 2.0, "note": "an older run"}),
    row("bench exact", FAST),
    row("bench step", {"plain": 1.5, "ours": 0.5, "goal": 3.8, "limit": 4.25, "note": "batch 128"}),
    row("bench batches", {"plain": 0.1, "ours": 0.00066, "note": "no goal"}),
    row("bench exact cut", FAST | {"max_length": 30, "discarded": 2e-11}),
    row("bench exactness", {"float64 against autograd": 4e-16}),
    row("bench memory", {"peak_bytes": 1_322_000_000, "new_bytes": 408_000_000, "goal_bytes": 1}),
    row(
        "bench single deletions, mixed precision",
        FAST | {"points_intact": -0.02, "images_intact": 10000},
    ),
    row("bench growth with modules", [{"modules": 18, "plain": 2.0, "ours": 1.0}]),
]


def test_table():
    lines = benchmarks.table(ROWS).splitlines()
    assert len(lines) == 2 + 5
    assert lines[2] == ("| **exact**<br>scaled | 2.15 h → 2.5 s | **3,090x**<br>goal 1,000x, met |")
    assert lines[3] == (
        "| **step**<br>batch 128 | 1.5 s → 500 ms | **3x**<br>goal 3.8x, missed<br>limit 4.25x |"
    )
    assert lines[4] == "| **batches**<br>no goal | 100 ms → 0.66 ms | **152x** |"


def test_facts():
    text = benchmarks.facts(ROWS)
    assert "| sum over all lengths, float64 against autograd: relative distance | 4.0e-16 |" in text
    assert "| paths beyond 30 modules, together, relative to the whole | 2.0e-11 |" in text
    assert "| memory held by the exact method, 32 images | 0.41 GB |" in text
    assert "| memory of its whole process, 32 images | 1.32 GB |" in text
    assert "| bfloat16 moves the error, intact, 10,000 images | -0.020 points |" in text


def test_growth():
    assert benchmarks.growth(ROWS) == {"modules": [{"modules": 18, "plain": 2.0, "ours": 1.0}]}


def test_provenance():
    """A line for each commit, which names what was measured at it."""
    elsewhere = [row("bench step", FAST) | {"code": {"commit": "f" * 40, "dirty": False}}]
    first, second = benchmarks.provenance(ROWS + elsewhere).split("<br>")
    assert first.startswith("exact; batches; exact cut; exactness; memory")
    assert "5 repeats, 2 threads, torch " in first and "step" not in first
    assert second.startswith("step: 5 repeats") and "commit ffffffffff" in second


@pytest.mark.parametrize(
    "seconds, text",
    [(7722, "2.15 h"), (7199, "120 min"), (119, "119 s"), (1, "1 s"), (0.5, "500 ms")],
)
def test_duration(seconds, text):
    assert benchmarks.duration(seconds) == text


@pytest.mark.parametrize(
    "ratio, text",
    [(3058.4, "3,060"), (1.9, "1.9"), (20.16, "20.2"), (0.5504, "0.55"), (1e6, "1,000,000")],
)
def test_plainly(ratio, text):
    assert benchmarks.plainly(ratio) == text
