"""What a chapter begins and ends with."""

import pytest

from study import claims, notebook
from study.chapter_parameters import ParameterError
from study.notebook import Chapter
from study.places import Places
from study.records import store
from study.text import summary
from tests import rows

CELLS = ["", "# Parameters of this chapter\nn_draws: int = 3\nruns_dir: str = 'mine'"]


@pytest.fixture
def examples():
    """A row of each experiment."""
    return rows.examples()


@pytest.fixture
def chapter(tmp_path, examples):
    """A chapter of a project that has recorded one deletion."""
    return Chapter(Places(tmp_path), [examples["deletion"]])


def test_a_chapter_begins_with_the_rows_of_the_book_and_its_own_folder():
    chapter = notebook.begin(CELLS)
    assert chapter.places == Places(runs_dir="mine")
    assert chapter.recorded == store.read(Places().results)


def test_a_chapter_does_not_begin_with_parameters_that_make_no_sense():
    with pytest.raises(ParameterError, match="'n_draws' is 3: expected 4 to 9"):
        notebook.begin(CELLS, n_draws=(4, 9))


def test_rows_are_kept_by_experiment_and_measured_again_replaced(chapter, examples):
    names = ("deletion", "gates")
    chapter.keep(*(examples[name] for name in names))
    again = examples["gates"] | {"seconds": 1.5}
    chapter.keep(again)
    folder = chapter.places.runs / "results"
    assert sorted(path.name for path in folder.iterdir()) == ["deletion.jsonl", "gates.jsonl"]
    assert store.read(folder, "gates") == [again]
    assert store.read(folder, "deletion") == [examples["deletion"]]


def test_recorded_rows_are_found_by_the_kind_of_network(chapter, examples):
    assert chapter.find("deletion") == [examples["deletion"]]
    assert chapter.find("deletion", claims.FULL, claims.PLAIN) == [examples["deletion"]]
    assert chapter.find("deletion", claims.PLAIN, claims.FULL) == chapter.find("gates") == []


def test_sources_tell_recorded_rows_from_those_measured_here(chapter, examples):
    """Even two that hold the same."""
    recorded, here = examples["deletion"], dict(examples["deletion"])
    text = chapter.sources(recorded, here).data
    assert "1 row recorded, 1 row live" in text
    assert text == claims.sources([recorded], [here])
    assert chapter.sources(here).data == claims.sources([], [here])


def test_sentences_and_verdicts_are_made_from_the_recorded_rows(chapter, examples):
    assert chapter.told(summary.norms).data == "Not recorded yet."
    assert chapter.told(lambda found: f"{len(found)} row").data == "**Recorded.** 1 row"
    assert chapter.verdicts("A4", "B3").data == claims.report(["A4", "B3"], chapter.recorded)


def test_values_are_what_figures_draw(examples):
    pair = examples["deletion"], examples["gates"]
    assert notebook.values(*pair) == (pair[0]["value"], pair[1]["value"])
    assert notebook.values() == ()


def test_the_first_row_that_has_an_optional_field(examples):
    new = examples["random_deletions"]
    early = new | {"value": {k: v for k, v in new["value"].items() if k != "orders"}}
    none = new | {"value": new["value"] | {"orders": None}}
    assert notebook.first_with("orders", early, none, new, dict(new)) is new
    with pytest.raises(ValueError, match="no row has 'orders': expected one"):
        notebook.first_with("orders", early, none)
