"""The examples in docstrings run, and what a researcher calls has one."""

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import helpers

MODULES = sorted(path.stem for path in Path(helpers.__file__).parent.glob("[!_]*.py"))

# What only the functions with examples use: checks, and parts of networks.  An example of
# resnet200, with 64 million weights, would take seconds.
NO_EXAMPLE = {
    "models": {"basic_residual", "bottleneck_residual", "cifar_shapes", "classifier"}
    | {"initialise", "pre_activation", "resnet200", "shortcut"},
    "combinatorics": {"check_band", "check_length"},
    "network": {"HighwayModule", "PlainLayer", "ResidualNetwork", "SharedPreActivation"},
    "bfloat16": {"Autocast", "fuses"},
    "sweep": {"Node", "check_batches", "check_sweep", "laid_out", "largest"},
    "stages": {"compatible", "kind_of", "layers_of", "shapes_kept", "skip_of"},
    "lesions": {"check_at_least", "not_spared"},
    "indices": {"whole_number", "whole_numbers"},
    "devices": set(),
    "eval_mode": set(),
    "orders": set(),
}


def own(module):
    """What a module defines itself: names, and functions or classes."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = import_module(f"helpers.{name}")
    result = doctest.testmod(module)
    assert not result.failed, f"{result.failed} of {result.attempted} examples in {name}"
    if name in NO_EXAMPLE:
        # Not inspect.getdoc(): PyTorch's own examples would be found.
        without = {n for n, thing in own(module).items() if ">>>" not in (thing.__doc__ or "")}
        assert without == NO_EXAMPLE[name]
