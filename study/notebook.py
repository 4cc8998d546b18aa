"""The check of a notebook's parameters: a mistyped `-p` name must not go unnoticed."""

import ast
import difflib


class ParameterError(ValueError):
    """A parameter that the notebook does not have, or a value of another type."""


def check(cells: list[str]) -> None:
    """Compare what papermill injected with what the notebook declares.

    `cells`: the source of the cells run so far, oldest first (IPython's `In`).  The notebook's own
    cell begins with the comment "# Parameters of this chapter", papermill's with "# Parameters"
    alone.  Raises ParameterError for an unknown name, or a value whose type is not the default's.
    """
    declared: dict[str, object] = {}
    injected: dict[str, object] = {}
    for cell in cells:
        first = cell.strip().split("\n")[0].strip()
        if first.startswith("# Parameters of this chapter"):
            declared = assignments(cell)
        elif first == "# Parameters":
            injected = assignments(cell)
    for name, value in injected.items():
        if name not in declared:
            close = difflib.get_close_matches(name, declared, 1)
            hint = f", did you mean {close[0]!r}?" if close else ""
            raise ParameterError(
                f"unknown parameter {name!r}{hint} (this notebook has {', '.join(declared)})"
            )
        default = declared[name]
        # A whole number is a fine value where the default is a fraction.
        allowed = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(value, allowed) or isinstance(value, bool) != isinstance(default, bool):
            raise ParameterError(
                f"parameter {name!r} is {value!r}: expected {type(default).__name__}, "
                f"such as {default!r}"
            )


def assignments(cell: str) -> dict[str, object]:
    """The names that a cell of plain assignments gives literal values to."""
    found = {}
    for statement in ast.parse(cell).body:
        if isinstance(statement, ast.Assign):
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign):
            target, value = statement.target, statement.value
        else:
            continue
        found[target.id] = ast.literal_eval(value)
    return found
