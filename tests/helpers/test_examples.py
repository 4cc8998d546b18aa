"""The examples in the instrument's docstrings run, and show what is shown."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import helpers

MODULES = sorted(path.stem for path in Path(helpers.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(import_module(f"helpers.{name}"))
    assert not found.failed, f"{found.failed} of {found.attempted} examples in helpers/{name}.py"
