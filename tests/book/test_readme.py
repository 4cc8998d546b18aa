"""README and CONTRIBUTING: what they offer runs as it is written."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md")


def blocks(page: str, kind: str) -> list[str]:
    """The code of one kind on a page."""
    text = (ROOT / page).read_text(encoding="utf8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)


def commands(page: str) -> list[str]:
    """Its commands, without their comments."""
    lines = "".join(blocks(page, "bash")).splitlines()
    return [line.partition("    #")[0].strip() for line in lines]


def test_the_python_of_the_readme_runs(tmp_path):
    """Its blocks in turn, somewhere else, as a researcher would."""
    code = "".join(blocks("README.md", "python"))
    check = (
        "whole = gradients.whole(network, images, labels)\n"
        "assert n == 8 and len(lengths) == 9 and len(errors) == 8 and norms.shape == (9, 100)\n"
        "distance = (lengths.sum(0) - whole).norm() / whole.norm()\n"
        "assert distance < 1e-5, distance\n"
        # On average over images, the square of the one path of length 0.
        "zero = gradients.norms(lengths[0]).square().mean()\n"
        "assert squares[0].isclose(zero, rtol=1e-5)\n"
    )
    command = [sys.executable, "-c", code + check]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_are_run_can_be_run(page):
    for name in {m for line in commands(page) for m in re.findall(r"python -m (\S+)", line)}:
        done = subprocess.run(
            [sys.executable, "-m", name, "--help"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_what_make_is_asked_for_is_there(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    targets = set(re.findall(r"^(\w+):", makefile, re.M))
    text = (ROOT / page).read_text(encoding="utf8")
    asked = {line.split()[1] for line in commands(page) if line.startswith("make ")}
    asked |= set(re.findall(r"`make (\w+)", text))
    assert asked and asked <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_is_there(page):
    text = (ROOT / page).read_text(encoding="utf8")
    words = {word for line in commands(page) for word in shlex.split(line)}
    named = set(re.findall(r"`([\w./-]+)`", text)) | words
    places = ("helpers/", "study/", "notebooks/", "tests/", "book/", ".github/")
    made = ("book/_build", "book/node_modules")  # By a build.
    for name in named:
        if name.startswith(places) and not name.startswith(made):
            assert (ROOT / name).exists(), name
    (tree,) = blocks("README.md", "text")
    for line in tree.splitlines():
        assert (ROOT / line.split()[0]).exists(), line


def test_links_within_the_readme_lead_to_a_heading():
    text = (ROOT / "README.md").read_text(encoding="utf8")
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)}
    links = set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert links and links <= headings


def test_the_hooks_before_a_commit_fetch_nothing():
    """And run what the environment has."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf8"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    for hook in hooks[0]["hooks"]:
        assert hook["language"] == "system"
        assert Path(sys.executable).with_name(Path(hook["entry"].split()[0]).name).is_file()
