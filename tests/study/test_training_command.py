"""The command line of training."""

import subprocess
import sys

import pytest
from PIL import Image

from study import commands
from study.places import ROOT
from study.training import checkpoints, command, loop
from study.training.recipes import TrainConfig
from tests.runs import interrupt_at


def run_command(monkeypatch, *words):
    """What `python -m study.training` returns, run here."""
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    return command.main()


def test_the_command_line(folder, monkeypatch, capsys):
    words = ["--dataset", "digits", "--depth", 8, "--iterations", 2, "--batch-size", 16]
    assert run_command(monkeypatch, *words, "--active", 2, "--folder", folder) == 0
    (path,) = folder.iterdir()
    assert capsys.readouterr().out.strip() == str(path)
    about = checkpoints.read(path)[1]
    expected = TrainConfig(dataset="digits", depth=8, iterations=2, batch_size=16, active=2)
    assert TrainConfig(**about["config"]) == expected


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--dataset", "mnist"], "dataset 'mnist'"),
        (["--dataset", "folder:/nowhere"], "/nowhere: expected the folders"),
        (["--depth", 9], "depth 9"),
        (["--active", 99], "active modules 99"),
        (["--recipe", "adam"], "recipe 'adam'"),
        (["--precision", "float8"], "precision 'float8'"),
        (["--learning-rate", -1], "learning rate"),
        (["--learning-rate", 1e30, "--iterations", 6], "training diverged"),
    ],
)
def test_a_wrong_option_is_one_line(folder, monkeypatch, capfd, words, reason):
    common = ["--dataset", "digits", "--depth", 8, "--batch-size", 16, "--folder", folder]
    assert run_command(monkeypatch, *common, *words) == 1
    out, error = capfd.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1
    assert reason in error
    assert not folder.exists() or reason == "training diverged", "nothing is left behind"


def test_a_folder_that_is_a_file(tmp_path, monkeypatch, capfd):
    (tmp_path / "runs").write_text("not a folder")
    words = ["--dataset", "digits", "--depth", 8, "--folder", tmp_path / "runs"]
    assert run_command(monkeypatch, *words) == 1
    _, error = capfd.readouterr()
    assert f"{tmp_path / 'runs'}" in error and error.count("\n") == 1
    assert "choose another folder" in error


def test_a_corrupt_checkpoint(folder, monkeypatch, capfd):
    words = ["--dataset", "digits", "--depth", 8, "--iterations", 1, "--batch-size", 16]
    assert run_command(monkeypatch, *words, "--folder", folder) == 0
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    capfd.readouterr()
    assert run_command(monkeypatch, *words, "--folder", folder) == 1
    _, error = capfd.readouterr()
    assert f"{path} is damaged" in error and error.count("\n") == 1


def test_interrupted(folder, monkeypatch, capfd):
    monkeypatch.setattr(loop, "step", lambda *_: interrupt_at(0)(0, 0, 0))
    words = ["--dataset", "digits", "--depth", 8, "--folder", folder]
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    assert commands.run("study.training.command", "the same command goes on from here") == 130
    assert capfd.readouterr().err == "interrupted: the same command goes on from here\n"


def test_help():
    """As typed; it names every setting."""
    done = subprocess.run(
        [sys.executable, "-m", "study.training", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == ""
    for name in TrainConfig.__dataclass_fields__:
        assert "--" + name.replace("_", "-") in done.stdout


BARE = """
import runpy, sys

ABSENT = ("sklearn scipy matplotlib IPython ipywidgets ipykernel papermill nbformat nbclient "
             "jupytext jupyter_book sphinx pandas tqdm requests yaml pytest").split()
sys.modules.update(dict.fromkeys(ABSENT))  # None stands for a module that is not there.
sys.argv = ["training"] + sys.argv[1:]
runpy.run_module("study.training", run_name="__main__")
"""


def test_a_machine_with_little_installed(tmp_path):
    """Torch, torchvision, numpy, safetensors, filelock: a run on a folder of images, as typed."""
    for place in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "images" / place).mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / place / "0.png")
    words = ["--depth", 8, "--iterations", 2, "--batch-size", 2, "--folder", tmp_path / "runs"]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            BARE,
            "--dataset",
            f"folder:{tmp_path / 'images'}",
            *map(str, words),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "runs").iterdir()
    assert done.stdout.strip() == str(path) and done.stderr == ""
