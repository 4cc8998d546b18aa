"""A mistyped papermill parameter, or one that makes no sense, does not go unnoticed."""

from pathlib import Path

import nbformat
import pytest

from helpers import combinatorics
from study import chapter_parameters, notebook
from study.chapter_parameters import ALLOWED, ParameterError

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

DECLARED = """# Parameters of this chapter
dataset = "digits"  # what it is
n_images: int = 32
rate = 0.5
verbose = False
levels = [1, 2]
"""


def check(injected, declared=DECLARED, **allowed):
    return chapter_parameters.check(
        ["", "import torch", declared, injected, "print(1 +"], **allowed
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        'dataset = "cifar10"',
        "n_images = 64",
        "rate = 0.25",
        "rate = 1",
        "verbose = True",
        "levels = [3]",
        "n_images = 0",
        'dataset = "a"\nn_images = 1',
    ],
)
def test_a_parameter_that_is_there(line):
    check("# Parameters\n" + line)


@pytest.mark.parametrize(
    "line, reason",
    [
        ("n_image = 64", "unknown parameter 'n_image', did you mean 'n_images'"),
        ("zzz = 64", r"unknown parameter 'zzz' \(this notebook has dataset, n_images, rate"),
        ('n_images = "64"', "'n_images' is '64': expected int, such as 32"),
        ("n_images = 6.5", "'n_images' is 6.5: expected int"),
        ("n_images = True", "'n_images' is True: expected int"),
        ("rate = True", "'rate' is True: expected float"),
        ("verbose = 1", "'verbose' is 1: expected bool"),
        ("dataset = 3", "'dataset' is 3: expected str"),
        ('levels = "1"', "'levels' is '1': expected list"),
        ('dataset = "a"\nn_image = 1', "unknown parameter 'n_image'"),
    ],
)
def test_a_parameter_that_is_not(line, reason):
    with pytest.raises(ParameterError, match=reason) as caught:
        check("# Parameters\n" + line)
    assert "\n" not in str(caught.value)


def test_what_is_given_is_what_papermill_injected_or_else_the_default():
    given = check('# Parameters\nn_images = 4\ndataset = "a"')
    assert given == {
        "dataset": "a",
        "n_images": 4,
        "rate": 0.5,
        "verbose": False,
        "levels": [1, 2],
    }


def test_nothing_was_injected():
    chapter_parameters.check(["", DECLARED])
    chapter_parameters.check([])


def test_only_papermills_cell_counts():
    """A reader's own cell may assign what it likes, and its comment may begin like that."""
    check("other = 1")
    check("# Parameters are fun\nother = 1")


def test_a_value_error_to_the_caller():
    assert issubclass(ParameterError, ValueError)


@pytest.mark.parametrize(
    "allowed, line, reason",
    [
        ({}, "n_images = -1", "'n_images' is -1: expected at least 0$"),
        ({"n_images": (1, None)}, "n_images = 0", "'n_images' is 0: expected at least 1$"),
        ({"n_images": (1, 40)}, "n_images = 41", "'n_images' is 41: expected 1 to 40$"),
        ({"rate": (0, 1)}, "rate = 1.5", "'rate' is 1.5: expected 0 to 1$"),
        ({"dataset": ["a", "b"]}, 'dataset = "c"', "'dataset' is 'c': expected one of 'a', 'b'$"),
    ],
)
def test_a_value_that_is_not_allowed(allowed, line, reason):
    with pytest.raises(ParameterError, match=reason):
        check("# Parameters\n" + line, **allowed)


@pytest.mark.parametrize("value", [1, 40])
def test_the_ends_of_a_range_are_allowed(value):
    assert check(f"# Parameters\nn_images = {value}", n_images=(1, 40))["n_images"] == value


def test_what_a_reader_types_into_the_cell_is_checked_as_well():
    with pytest.raises(ParameterError, match="'n_draws' is 0: expected at least 1"):
        chapter_parameters.check(["# Parameters of this chapter\nn_draws = 0"])


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_number_of_a_chapter_has_a_range(path):
    """In the table of all chapters, or where the chapter begins; and its default lies in it."""
    cells = nbformat.read(path, as_version=4).cells
    (declared,) = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
    (begins,) = [c.source for c in cells if "notebook.begin(In" in c.source]
    given = chapter_parameters.check([declared])
    for name, value in given.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert name in ALLOWED or name in begins, name


def begin(name, **given):
    """Run the cell in which a chapter begins, with these parameters instead of its own."""
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    (declared,) = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
    (begins,) = [c.source for c in cells if "notebook.begin(In" in c.source]
    lines = [f"{parameter} = {value!r}" for parameter, value in given.items()]
    injected = "\n".join(["# Parameters", *lines])
    names = {"notebook": notebook, "combinatorics": combinatorics, "In": [declared, injected]}
    for cell in (declared, injected, begins):
        exec(cell, names)


@pytest.mark.parametrize(
    "name, given, reason",
    [
        ("00_unraveled_view", {"n_modules": 5}, "'n_modules' is 5: expected 2 to 4"),
        ("00_unraveled_view", {"deleted": 4}, "'deleted' is 4: expected 1 to 3"),
        ("01_deletion", {"n_draws": 0}, "'n_draws' is 0: expected at least 1"),
        ("01_deletion", {"max_deleted": 0}, "'max_deleted' is 0: expected at least 1"),
        ("01_deletion", {"iterations": -2}, "'iterations' is -2: expected at least -1"),
        ("01_deletion", {"shortcuts": "none"}, "'none': expected one of 'subsample', 'proj"),
        ("02_reordering", {"n_orders": 1}, "'n_orders' is 1: expected at least 2"),
        ("03_path_distribution", {"n_modules": 0}, "'n_modules' is 0: expected 1 to 500"),
        ("03_path_distribution", {"n_modules": 5000}, "'n_modules' is 5000: expected 1 to 500"),
        ("03_path_distribution", {"shortest": 18}, "'shortest' is 18: expected 0 to 17"),
        ("03_path_distribution", {"longest": 55}, "'longest' is 55: expected 0 to 54"),
        ("03_path_distribution", {"n_active": 55}, "'n_active' is 55: expected 1 to 54"),
        ("04_path_gradients", {"n_images": 0}, "'n_images' is 0: expected at least 1"),
        ("04_path_gradients", {"n_signed": 1}, "'n_signed' is 1: expected at least 2"),
        ("05_effective_paths", {"n_active": 10}, "'n_active' is 10: expected 0 to 9"),
        ("05_effective_paths", {"n_statistics": 127}, "is 127: expected at least 128"),
        ("06_discussion", {"survival": 1.5}, "'survival' is 1.5: expected 0 to 1"),
        ("07_dynamics", {"n_images": 0}, "'n_images' is 0: expected at least 1"),
        ("your_own_network", {"image_size": 8}, "'image_size' is 8: expected 16 to 1024"),
    ],
)
def test_a_chapter_refuses_what_makes_no_sense_before_any_work(name, given, reason):
    with pytest.raises(ParameterError, match=reason):
        begin(name, **given)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_chapter_begins_with_its_own_parameters(path):
    begin(path.stem)
