"""One value tells where everything lies."""

from pathlib import Path

from study.places import ROOT, Places


def test_the_project_itself():
    places = Places()
    assert (ROOT / "pyproject.toml").is_file() and places.root == ROOT
    assert places.results == ROOT / "book" / "results" and places.results.is_dir()
    assert places.checkpoints == ROOT / "book" / "checkpoints" and places.checkpoints.is_dir()
    assert places.runs == ROOT / "runs" and places.trained == ROOT / "runs" / "checkpoints"


def test_another_project(tmp_path):
    places = Places(tmp_path, "mine")
    assert places.results == tmp_path / "book/results"
    assert places.trained == tmp_path / "mine/checkpoints"


def test_runs_may_lie_elsewhere(tmp_path):
    places = Places(Path("/project"), tmp_path)
    assert places.runs == tmp_path and places.checkpoints == Path("/project/book/checkpoints")
