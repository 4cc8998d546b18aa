"""Which code made a result: its commit, and a hash of what it does."""

import ast
import hashlib
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("helpers", "study")


@cache
def code_version() -> dict:
    """The commit, and whether `helpers` or `study` differs from it; both None outside a git
    checkout."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Only the code counts: stored notebook outputs and new rows do not change what ran.
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--short", *CODE))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


@cache
def digest(*names: str) -> str:
    """SHA-256 of what modules such as "helpers.models" do: comments and docstrings do not count.

    With it a cache of trained weights is never older than the code that made it.
    """
    found = hashlib.sha256()
    for name in names:
        path = ROOT / f"{name.replace('.', '/')}.py"
        tree = ast.parse(path.read_text(encoding="utf8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                body[:] = [s for s in body if not is_docstring(s)]
        found.update(ast.dump(tree).encode())
    return found.hexdigest()


def is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is a bare string."""
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Expr) and isinstance(getattr(value, "value", None), str)
