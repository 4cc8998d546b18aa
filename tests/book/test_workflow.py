"""The workflow: it runs the two commands of the README, on what is pinned."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / ".github/workflows/book.yml").read_text(encoding="utf8")
JOBS = yaml.safe_load(TEXT)["jobs"]


def test_actions_are_pinned_by_commit():
    """A tag can be moved to other code; the version behind a commit is in a comment."""
    used = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name) for name in used)
    assert len(re.findall(r"uses: \S+ # v\d+\.\d+\.\d+$", TEXT, re.M)) == len(used)


def test_several_pythons_the_oldest_among_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    oldest, *newer = JOBS["build"]["strategy"]["matrix"]["python"]
    assert newer and project["requires-python"] == f">={oldest}"
    (setup,) = [step for step in JOBS["build"]["steps"] if "setup-python" in step.get("uses", "")]
    assert setup["with"]["python-version"] == "${{ matrix.python }}"


def test_one_build_is_published():
    (upload,) = [step for step in JOBS["build"]["steps"] if "upload" in step.get("uses", "")]
    assert upload["if"] == f"matrix.python == '{JOBS['build']['strategy']['matrix']['python'][0]}'"


def test_what_is_run_is_what_a_user_runs():
    """`make book` and `make test`, whose summary comes last."""
    assert [step["run"] for step in JOBS["build"]["steps"] if "run" in step] == [".ci/run"]
    lines = (ROOT / ".ci/run").read_text(encoding="utf8").split("status=0\n")[1].splitlines()
    assert lines == ["make book || status=1", "make test || status=1", 'exit "$status"']


def test_nobody_may_write_unless_a_job_says_so():
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read"}
    assert "permissions" not in JOBS["build"]
