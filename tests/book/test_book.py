"""The book as a whole: its table of contents, its links, and what every notebook must be."""

import re
from pathlib import Path
from statistics import median

import jupytext
import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LINKS = {
    "_config.yml": "../_config.yml",
    "_toc.yml": "../_toc.yml",
    "notebooks": "../notebooks",
}


def entries(part) -> list[str]:
    """Every file that a part of the table of contents names, in order."""
    if isinstance(part, list):
        return [name for item in part for name in entries(item)]
    if isinstance(part, dict):
        own = [part[key] for key in ("root", "file") if key in part]
        return own + [name for value in part.values() for name in entries(value)]
    return []


TOC = entries(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8")))
CHAPTERS = [name for name in TOC if name.startswith("notebooks/")]


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request):
    """The path of each notebook in the table of contents, without its ending."""
    return ROOT / request.param


def cells(chapter: Path) -> list:
    """The cells of a notebook as stored."""
    return nbformat.read(chapter.with_suffix(".ipynb"), as_version=4).cells


def code_cells(chapter: Path) -> list:
    """The code cells that hold something."""
    return [c for c in cells(chapter) if c.cell_type == "code" and c.source.strip()]


def test_every_entry_of_the_table_of_contents_exists():
    assert TOC[0] == "intro"
    for name in TOC:
        pages = [ROOT / "book" / f"{name}{ending}" for ending in (".md", ".ipynb")]
        assert sum(page.is_file() for page in pages) == 1, name


def test_every_notebook_is_in_the_table_of_contents():
    there = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert there == set(CHAPTERS)


@pytest.mark.parametrize("name", LINKS)
def test_links_are_relative(name):
    link = ROOT / "book" / name
    assert link.is_symlink(), "on Windows, clone with core.symlinks=true"
    assert link.readlink() == Path(LINKS[name])


def test_every_cell_was_run_without_error(chapter):
    for cell in code_cells(chapter):
        assert cell.execution_count, f"never run:\n{cell.source}"
        assert all(o.output_type != "error" for o in cell.outputs), f"failed:\n{cell.source}"


def test_pictures_behind_sliders_are_not_stored(chapter):
    assert "widgets" not in nbformat.read(chapter.with_suffix(".ipynb"), as_version=4).metadata


def test_code_cells_are_short(chapter):
    lengths = [len(cell.source.splitlines()) for cell in code_cells(chapter)]
    assert max(lengths) <= 25
    assert median(lengths) <= 8


# What names a line of bookkeeping: finding the project, folders and files, rows and their
# provenance, timing and progress, words in a picture's place.  Which recorded result is shown
# (`chapter.find`) is the argument; the cell of parameters is the runner's, and is left out.
BOOKKEEPING = re.compile(
    r"\b(find_spec|begin|keep|sources|sys|Path|root|runs_dir|places|rows?|store|provenance|time"
    r"|monotonic|seconds|progress|Progress|asdict|checksum|alt|says|picture)\b"
)


def bookkeeping(sources: list[str]) -> float:
    """The share of lines of bookkeeping in the lines of code; what stands in quotes is not code."""
    lines = [line.partition("  # ")[0] for source in sources for line in source.splitlines()]
    code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    bare = [re.sub(r"""(["']).*?\1""", "", line) for line in code]
    return sum(bool(BOOKKEEPING.search(line)) for line in bare) / len(code)


def test_a_chapter_is_hardly_bookkeeping(chapter):
    """By the same measure it was a third of them before experiments were functions."""
    told = [c for c in code_cells(chapter) if "parameters" not in c.metadata.get("tags", [])]
    assert bookkeeping([cell.source for cell in told]) <= 0.15


@pytest.mark.parametrize(
    "source, share",
    [
        ("begin = time.monotonic()\nx = 1", 0.5),
        ("row = store.row(\n    seconds=1,\n    value=2,\n)", 0.5),
        ("# rows\n\nprint('rows')  # rows\nx = 1", 0),
        ("alt = f'{x}'", 1),
        ("deletion = experiments.deletion(network, test)\nchapter.keep(deletion)", 0.5),
    ],
)
def test_what_counts_as_bookkeeping(source, share):
    assert bookkeeping([source]) == share


def test_notebooks_search_for_nothing_and_change_no_path(chapter):
    for cell in code_cells(chapter):
        assert not re.search(r"\bsys\b|\bPath\b|__init__", cell.source), cell.source


def test_notebooks_define_nothing(chapter):
    for cell in code_cells(chapter):
        assert not re.search(r"^\s*(async\s+def|def|class)\s", cell.source, re.M), cell.source


def test_one_cell_of_parameters(chapter):
    tagged = [c for c in code_cells(chapter) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1


def test_every_picture_has_a_caption_and_a_text_in_its_place(chapter):
    for cell in code_cells(chapter):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if any(kind.startswith("image/") for kind in kinds):
            about = cell.metadata.get("mystnb", {})
            assert about.get("image", {}).get("alt"), f"no alt text:\n{cell.source}"
            figure = about.get("figure", {})
            assert figure.get("name") and figure.get("caption"), f"no caption:\n{cell.source}"


def test_the_two_halves_of_a_notebook_are_equal(chapter):
    def essence(all_cells):
        kept = ("tags", "mystnb")
        return [
            (c.cell_type, c.source, {k: c.metadata[k] for k in kept if k in c.metadata})
            for c in all_cells
        ]

    script = jupytext.read(chapter.with_suffix(".py"), fmt="py:percent")
    assert essence(cells(chapter)) == essence(script.cells), "jupytext --sync brings them together"
