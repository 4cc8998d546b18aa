"""The check of a notebook's parameters, before any work: a mistyped `-p` must not go unnoticed.

A parameter means the same in every chapter, and what it may be is written here once; a chapter adds
what holds for itself alone.
"""

import ast
import difflib
from collections.abc import Mapping
from typing import Any

# A pair: the least and the largest number, None where there is no such limit; a list: the choices.
ALLOWED: dict[str, tuple | list] = {
    "depth": (8, 2000),
    "image_size": (16, 1024),
    "iterations": (-1, None),
    "highway_iterations": (-1, None),
    "plain_iterations": (-1, None),
    "seed": (0, 2**31),
    "first_seed": (0, 2**31),
    "n_seeds": (1, None),
    "n_active": (0, None),
    "n_images": (0, None),
    "n_images_random": (0, None),
    "n_images_sampled": (0, None),
    "n_gradients": (1, None),
    "n_samples": (1, None),
    "n_signed": (2, None),
    "n_statistics": (128, None),
    "n_draws": (1, None),
    "n_orders": (2, None),
    "max_deleted": (1, None),
    "survival": (0, 1),
    "shortcuts": ["subsample", "projection", "shared"],
    "plain_model": ["vgg15", "vgg15-plain"],
    "precision": ["auto", "float32", "bfloat16"],
}


class ParameterError(ValueError):
    """A parameter that the notebook does not have, or a value that it cannot take."""


def check(cells: list[str], **allowed: Any) -> dict[str, Any]:
    """The parameters of a notebook: what it declares, and what papermill injected instead.

    `cells`: the source of the cells run so far, oldest first (IPython's `In`).  The notebook's own
    cell begins with the comment "# Parameters of this chapter", papermill's with "# Parameters"
    alone.  `allowed`: as `ALLOWED`, for this notebook.  Raises ParameterError for an unknown name,
    a value whose type is not the default's, and one that is not allowed.
    """
    declared: dict[str, Any] = {}
    injected: dict[str, Any] = {}
    for cell in cells:
        first = cell.strip().split("\n")[0].strip()
        if first.startswith("# Parameters of this chapter"):
            declared = assignments(cell)
        elif first == "# Parameters":
            injected = assignments(cell)
    for name, value in injected.items():
        check_type(name, value, declared)
    given = declared | injected
    limits = ALLOWED | allowed
    for name, value in given.items():
        if name in limits:
            check_value(name, value, limits[name])
    return given


def check_type(name: str, value: Any, declared: Mapping[str, Any]) -> None:
    """ParameterError unless a notebook declares such a parameter, with a value of this type."""
    if name not in declared:
        close = difflib.get_close_matches(name, declared, 1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise ParameterError(
            f"unknown parameter {name!r}{hint} (this notebook has {', '.join(declared)})"
        )
    default = declared[name]
    # A whole number is a fine value where the default is a fraction.
    kinds = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        raise ParameterError(
            f"parameter {name!r} is {value!r}: expected {type(default).__name__}, "
            f"such as {default!r}"
        )


def check_value(name: str, value: Any, limit: tuple | list) -> None:
    """ParameterError unless a value is one of the choices, or within the range."""
    if isinstance(limit, list):
        if value not in limit:
            expected = ", ".join(map(repr, limit))
            raise ParameterError(f"parameter {name!r} is {value!r}: expected one of {expected}")
        return
    least, largest = limit
    if (least is None or value >= least) and (largest is None or value <= largest):
        return
    expected = f"{least} to {largest}"
    if largest is None:
        expected = f"at least {least}"
    raise ParameterError(f"parameter {name!r} is {value!r}: expected {expected}")


def assignments(cell: str) -> dict[str, Any]:
    """The names that a cell of plain assignments gives literal values to."""
    found = {}
    for statement in ast.parse(cell).body:
        if isinstance(statement, ast.Assign):
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name):
            found[target.id] = ast.literal_eval(value)
    return found
