"""Do the tests of the claims notice when a rule changes?  A command, not a test:

    python tests/mutants.py                     study/claims, against the tests of the claims
    python tests/mutants.py study/decay.py tests/study/test_decay.py
    python tests/mutants.py --every 3           one change in three

Each number and each comparison of the rules is changed by one step, one at a time, in a copy of the
project; the tests must fail.  Those that survive are listed.  Two seconds a mutant.
"""

import argparse
import ast
import importlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RULES = sorted((ROOT / "study/claims").glob("*.py"))
# What words and tables look like is no rule.
RULES = [path for path in RULES if path.stem not in ("__init__", "report", "amendments", "words")]
# Those that notice most come first; the first failure ends a run.
TESTS = [
    ROOT / f"tests/study/test_{name}.py"
    for name in ("claims", "claims_needs", "claim_numbers", "claim_selection")
]
STEPS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
# What is slow to import and knows nothing of the rules.
HEAVY = ("torch", "scipy.stats", "matplotlib.pyplot", "markdown_it", "helpers.models")
HEAVY += ("study.figures", "study.training.recipes")
# Without plugins, configuration and rewritten assertions, which take longer than the tests.
BARE = "-qx -c /dev/null --rootdir . --noconftest --assert=plain".split()
BARE += "-p no:cacheprovider -p no:nbval".split()
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


def steps_of(number: float) -> list[float]:
    """A number, one step of its last digit up and down: 0.95 is 0.94 and 0.96, 10 is 9 and 11."""
    if isinstance(number, int):
        return [number - 1, number + 1]
    digits = len(repr(number).partition(".")[2])
    return [round(number + sign * 10**-digits, digits) for sign in (-1, 1)]


def told(tree: ast.AST) -> set[int]:
    """The nodes that only make text: the parts of f-strings, and what rounding keeps."""
    found: set[int] = set()
    for node in ast.walk(tree):
        rounds = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("round")
        if isinstance(node, ast.JoinedStr):
            found.update(map(id, ast.walk(node)))
        if rounds or (
            isinstance(node, ast.Call) and ast.unparse(node.func) in ("middle", "percent")
        ):
            found.update(id(a) for a in (*node.args, *(k.value for k in node.keywords)))
    return found


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """The line of each change, what it is, and the source with it."""
    tree = ast.parse(source)
    text = told(tree)
    for node in ast.walk(tree):
        if id(node) in text:
            continue
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            value = node.value
            for step in steps_of(value):
                node.value = step
                yield node.lineno, f"{value} -> {step}", ast.unparse(tree)
            node.value = value
        elif isinstance(node, ast.Compare):
            for i, before in enumerate(node.ops):
                for kind in STEPS.get(type(before), ()):
                    node.ops[i] = kind()
                    yield node.lineno, f"{SIGNS[type(before)]} -> {SIGNS[kind]}", ast.unparse(tree)
                node.ops[i] = before


def fork(tests: list[str]) -> bool:
    """Whether the tests pass, run in a child that imports the claims anew and the rest not."""
    child = os.fork()
    if not child:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            signal.alarm(120)  # A change may make a loop endless.
            os._exit(int(pytest.main([*BARE, *tests])))
    return os.waitpid(child, 0)[1] == 0


def main() -> int:
    """The command line: rules and tests, any number of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="rules and tests; none: the claims'")
    parser.add_argument("--every", type=int, default=1, help="try one change in so many")
    options = parser.parse_args()
    named = [path.resolve() for path in options.paths]
    rules = [path for path in named if "tests" not in path.parts] or RULES
    tests = [path for path in named if "tests" in path.parts] or TESTS
    tried, survived = 0, []
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place)
        for name in ("helpers", "study", "tests", "pyproject.toml"):
            kind = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            kind(ROOT / name, copy / name)
        os.chdir(copy)
        sys.path = [place, *(entry for entry in sys.path if entry not in ("", str(ROOT)))]
        sys.dont_write_bytecode = True
        for name in HEAVY:
            importlib.import_module(name)
        where = [str(path.relative_to(ROOT)) for path in tests]
        if not fork(where):
            print("the tests fail without any change: mend them first")
            return 2
        for path in rules:
            target, source = copy / path.relative_to(ROOT), path.read_text(encoding="utf8")
            for line, change, text in islice(mutants(source), 0, None, options.every):
                target.write_text(text, encoding="utf8")
                tried += 1
                if not fork(where):
                    continue
                survived.append(f"{path.relative_to(ROOT)}:{line}: {change}")
                print(f"survived: {survived[-1]}", flush=True)
            target.write_text(source, encoding="utf8")
            print(f"{path.name}: {tried} tried so far, {len(survived)} survived", flush=True)
    return int(bool(survived))


if __name__ == "__main__":
    sys.exit(main())
