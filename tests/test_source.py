"""Which code made a result."""

import shutil
import subprocess

import pytest

from helpers import source


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A helpers folder of two files, with nothing remembered."""
    folder = tmp_path / "helpers"
    folder.mkdir()
    (folder / "models.py").write_text('"""Docs."""\nWIDTH = 16\n\n\ndef f(x):\n    return x\n')
    (folder / "paths.py").write_text("N = 54\n")
    monkeypatch.setattr(source, "HELPERS", folder)
    for remembered in (source.digest, source.code_version):
        remembered.cache_clear()
    yield folder
    for remembered in (source.digest, source.code_version):
        remembered.cache_clear()


@pytest.fixture
def git(house):
    """Runs git at the root of the house."""
    if not shutil.which("git"):
        pytest.skip("needs git on the PATH")

    def run(*words):
        settings = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(house.parent), *settings, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        source.code_version.cache_clear()
        return done.stdout.strip()

    return run


def digest(*rooms):
    source.digest.cache_clear()
    return source.digest(*rooms)


def test_comments_and_docstrings_do_not_count(house):
    before = digest("models")
    (house / "models.py").write_text(
        '"""Other docs."""\n# Why.\nWIDTH = 16\ndef f(x):\n    """It."""\n    return x\n'
    )
    assert digest("models") == before


@pytest.mark.parametrize(
    "changed",
    [
        "WIDTH = 32\n\n\ndef f(x):\n    return x\n",
        "WIDTH = 16\n\n\ndef f(x):\n    return -x\n",
        "WIDTH = 16\n\n\ndef g(x):\n    return x\n",
        'WIDTH = 16\nNAME = "a"\n\n\ndef f(x):\n    return x\n',
        "WIDTH = 16\n",
    ],
)
def test_what_the_code_does_counts(house, changed):
    before = digest("models")
    (house / "models.py").write_text(changed)
    assert digest("models") != before


def test_strings_that_are_values_count(house):
    (house / "models.py").write_text('NAME = "a"\n')
    before = digest("models")
    (house / "models.py").write_text('NAME = "b"\n')
    assert digest("models") != before


def test_only_the_named_rooms_count(house):
    before, both = digest("models"), digest("models", "paths")
    (house / "paths.py").write_text("N = 3\n")
    assert digest("models") == before
    assert digest("models", "paths") != both


def test_the_real_rooms():
    assert len(source.digest("architectures", "training")) == 64
    assert source.digest("training") != source.digest("data")


def test_commit_and_dirty_flag(house, git):
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    assert source.code_version() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    git("status")
    (house.parent / "notes.md").write_text("rows and notebooks are not code")
    assert source.code_version()["dirty"] is False
    git("status")
    (house / "paths.py").write_text("N = 3\n")
    assert source.code_version()["dirty"] is True


def test_outside_a_checkout(house, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(house.parent.parent))
    monkeypatch.delenv("GIT_DIR", raising=False)
    assert source.code_version() == {"commit": None, "dirty": None}


def test_without_git(house, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert source.code_version() == {"commit": None, "dirty": None}
