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
    """The commit, and whether `helpers` or `study` differs from it; both None where git does not
    tell."""
    try:
        # Only the code counts: stored notebook outputs and new rows do not change what ran.
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--short", *CODE))}
    except OSError:
        return {"commit": None, "dirty": None}


def require(accept_unknown: bool = False) -> None:
    """RuntimeError unless the code is as it was committed, or, if that is accepted, nobody knows:
    a recorded row must say what made it."""
    version = code_version()
    if version["dirty"]:
        raise RuntimeError(
            "helpers/ or study/ differs from its last commit: commit it, then run again"
        )
    if version["commit"] is None and not accept_unknown:
        raise RuntimeError(
            f"the commit of this code is not known ({reason()}): record from a git checkout of "
            "your own, or accept rows that do not say what made them by --unknown-commit"
        )


def reason() -> str:
    """Why git does not tell the commit; "" if it does."""
    try:
        git("rev-parse", "HEAD")
    except OSError as problem:
        return str(problem)
    return ""


def git(*words: str) -> str:
    """What git says about this project; OSError, with the first line of its complaint, if it
    refuses or is not there."""
    command = ["git", "-C", str(ROOT), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as problem:
        raise OSError(f"git cannot be run: {problem.strerror}") from problem
    if done.returncode:
        raise OSError((done.stderr.strip() or "git failed").splitlines()[0])
    return done.stdout.strip()


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
