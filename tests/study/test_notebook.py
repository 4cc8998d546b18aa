"""A mistyped papermill parameter does not go unnoticed."""

import pytest

from study import notebook

DECLARED = """# Parameters of this chapter
dataset = "digits"  # what it is
n_images: int = 32
rate = 0.5
verbose = False
levels = [1, 2]
"""


def check(injected, declared=DECLARED):
    notebook.check(["", "import torch", declared, injected, "print(1 +"])


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
        "n_images = -1",
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
    with pytest.raises(notebook.ParameterError, match=reason) as caught:
        check("# Parameters\n" + line)
    assert "\n" not in str(caught.value)


def test_nothing_was_injected():
    notebook.check(["", DECLARED])
    notebook.check([])


def test_only_papermills_cell_counts():
    """A reader's own cell may assign what it likes, and its comment may begin like that."""
    check("other = 1")
    check("# Parameters are fun\nother = 1")


def test_a_value_error_to_the_caller():
    assert issubclass(notebook.ParameterError, ValueError)
