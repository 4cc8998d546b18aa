"""A mistyped papermill parameter, or one that makes no sense, does not go unnoticed."""

from pathlib import Path

import nbformat
import pytest

from study import chapter_parameters
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
