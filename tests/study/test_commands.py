"""Ctrl-C is one line, whenever it comes."""

import os
import signal
import subprocess
import sys

import pytest

from study import commands
from study.places import ROOT

WHILE_IMPORTED = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
while True:
    pass
"""
WHILE_RUNNING = """
def main():
    raise KeyboardInterrupt
"""


@pytest.mark.parametrize("code", [WHILE_IMPORTED, WHILE_RUNNING])
def test_interrupted(tmp_path, code):
    (tmp_path / "victim.py").write_text(code)
    run = "import sys; from study import commands; sys.exit(commands.run('victim', 'come again'))"
    done = subprocess.run(
        [sys.executable, "-c", run],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted: come again\n")


def test_what_main_returns(tmp_path, monkeypatch):
    (tmp_path / "fine.py").write_text("def main():\n    return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    assert commands.run("fine", "") == 7
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("module", ["study.training", "study.reference"])
def test_nothing_slow_is_imported_outside(module):
    """The part that no command can guard is short."""
    name = f"{module}.__main__" if module == "study.training" else module
    code = f"import sys; import {name}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
