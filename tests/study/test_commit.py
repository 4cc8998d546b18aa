"""Which code made a result."""

import shutil
import subprocess

import pytest

from study.records import commit


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A project of two files of code, with nothing remembered."""
    folder = tmp_path / "helpers"
    folder.mkdir()
    (tmp_path / "study").mkdir()
    (tmp_path / "study/__init__.py").touch()
    (folder / "models.py").write_text('"""Docs."""\nWIDTH = 16\n\n\ndef f(x):\n    return x\n')
    (folder / "paths.py").write_text("N = 54\n")
    monkeypatch.setattr(commit, "ROOT", tmp_path)
    for remembered in (commit.digest, commit.code_version):
        remembered.cache_clear()
    yield folder
    for remembered in (commit.digest, commit.code_version):
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
        commit.code_version.cache_clear()
        return done.stdout.strip()

    return run


def digest(*rooms):
    commit.digest.cache_clear()
    return commit.digest(*rooms)


def test_comments_and_docstrings_do_not_count(house):
    before = digest("helpers.models")
    (house / "models.py").write_text(
        '"""Other docs."""\n# Why.\nWIDTH = 16\ndef f(x):\n    """It."""\n    return x\n'
    )
    assert digest("helpers.models") == before


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
    before = digest("helpers.models")
    (house / "models.py").write_text(changed)
    assert digest("helpers.models") != before


def test_strings_that_are_values_count(house):
    (house / "models.py").write_text('NAME = "a"\n')
    before = digest("helpers.models")
    (house / "models.py").write_text('NAME = "b"\n')
    assert digest("helpers.models") != before


def test_only_the_named_rooms_count(house):
    before, both = digest("helpers.models"), digest("helpers.models", "helpers.paths")
    (house / "paths.py").write_text("N = 3\n")
    assert digest("helpers.models") == before
    assert digest("helpers.models", "helpers.paths") != both


def test_the_real_rooms():
    assert len(commit.digest("helpers.models", "study.training.loop")) == 64
    assert commit.digest("study.training.loop") != commit.digest("study.data.__init__")


def test_commit_and_dirty_flag(house, git):
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    assert commit.code_version() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    git("status")
    (house.parent / "notes.md").write_text("rows and notebooks are not code")
    assert commit.code_version()["dirty"] is False
    git("status")
    (house / "paths.py").write_text("N = 3\n")
    assert commit.code_version()["dirty"] is True


def test_outside_a_checkout(house, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(house.parent.parent))
    monkeypatch.delenv("GIT_DIR", raising=False)
    assert commit.code_version() == {"commit": None, "dirty": None}


def test_without_git(house, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit.code_version() == {"commit": None, "dirty": None}


# Recording asks who made it.


def test_committed_code_may_record(house, git):
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    commit.require()
    git("status")
    (house / "paths.py").write_text("N = 3\n")
    for accept in (False, True):
        with pytest.raises(RuntimeError, match="helpers/ or study/ differs from its last commit"):
            commit.require(accept)


def test_without_git_nothing_is_recorded_unless_asked_for(house, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError) as caught:
        commit.require()
    message = str(caught.value)
    assert "the commit of this code is not known (git cannot be run: " in message
    assert "--unknown-commit" in message and "\n" not in message
    commit.require(accept_unknown=True)


def test_where_git_refuses_its_complaint_is_told(house, git, monkeypatch):
    """Here as it is for a checkout of another owner."""
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert commit.code_version() == {"commit": None, "dirty": None}
    with pytest.raises(RuntimeError, match="is not known .*dubious ownership"):
        commit.require()


def test_outside_a_checkout_nothing_is_recorded(house, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(house.parent.parent))
    monkeypatch.delenv("GIT_DIR", raising=False)
    with pytest.raises(RuntimeError, match="is not known .*not a git repository"):
        commit.require()
