"""The commands that the pages offer: each would be taken by papermill and by its notebook."""

import re
import shlex
from pathlib import Path

import pytest
from papermill.cli import _resolve_type
from papermill.cli import papermill as command_line
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from study import chapter_parameters

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.py"))
PAGES = [*CHAPTERS, ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]


def commands(page: Path) -> list[str]:
    """The lines of the command blocks of a page, continued ones joined."""
    text = page.read_text(encoding="utf8")
    if page.suffix == ".py":
        text = re.sub(r"^# ?", "", text, flags=re.M)
    blocks = re.findall(r"^```(.*?)\n(.*?)^```$", text, re.M | re.S)
    shell = "".join(block for kind, block in blocks if kind in ("", "bash"))
    joined = shell.replace("\\\n", " ")
    return [line.partition("    #")[0].strip() for line in joined.splitlines() if line.strip()]


def runs(page: Path) -> list[list[str]]:
    """The words behind `papermill` of the commands that run a notebook."""
    words = [shlex.split(line) for line in commands(page)]
    return [line[1:] for line in words if line[0] == "papermill" and "--help-notebook" not in line]


RUNS = [(page.name, words) for page in PAGES for words in runs(page)]


def injected(words: list[str]) -> list[str]:
    """The cell that the notebook declares its parameters in, and the one papermill adds to it."""
    with command_line.make_context("papermill", list(words)) as context:
        given = context.params
    settings = {name: _resolve_type(value) for name, value in given["parameters"]}
    settings |= dict(given["parameters_raw"])
    notebook = load_notebook_node(str(ROOT / given["notebook_path"]))
    with_cell = parameterize_notebook(notebook, settings, language="python")
    kinds = ("parameters", "injected-parameters")
    return [
        c.source for kind in kinds for c in with_cell.cells if kind in c.metadata.get("tags", [])
    ]


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_every_chapter_ends_with_commands_for_itself(page):
    last = page.read_text(encoding="utf8").rpartition("# ## ")[2]
    assert last.startswith("Try it\n")
    assert commands(page)[0] == "mkdir -p runs"
    assert runs(page) and {words[0] for words in runs(page)} == {f"notebooks/{page.stem}.ipynb"}
    assert all(Path(words[1]).parent == Path("runs") for words in runs(page))


@pytest.mark.parametrize("page, words", RUNS, ids=lambda value: str(value)[:60])
def test_the_notebook_takes_every_parameter(page, words):
    declared, given = injected(words)
    chapter_parameters.check([declared, given])
    assert chapter_parameters.assignments(given), "nothing is tried"


@pytest.mark.parametrize(
    "words, reason",
    [
        ("-p n_image 3", "unknown parameter 'n_image'"),
        ("-p n_images many", "'n_images' is 'many': expected int"),
        ("-r n_images 3", "'n_images' is '3': expected int"),
    ],
)
def test_a_command_that_would_fail_is_seen(words, reason):
    command = ["notebooks/04_path_gradients.ipynb", "runs/04.ipynb", *shlex.split(words)]
    with pytest.raises(chapter_parameters.ParameterError, match=reason):
        chapter_parameters.check(injected(command))


def test_a_folder_to_which_nothing_can_be_written_is_made_first():
    """papermill does not make the folder of its output."""
    for page in PAGES:
        lines = commands(page)
        first = next((i for i, line in enumerate(lines) if " runs/" in line), None)
        assert first is None or "mkdir -p runs" in lines[:first], page.name
