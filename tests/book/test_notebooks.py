"""Every notebook by papermill, at its smallest; and what a runner's mistakes lead to."""

import itertools
import os
from pathlib import Path

import papermill
import pytest
import torch
from papermill.exceptions import PapermillExecutionError
from PIL import Image

from helpers import models
from study.records import store
from study.training import checkpoints

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
TINY = {"depth": 8, "iterations": 2}
SMALLEST = {
    "00_unraveled_view": {"n_modules": 2, "code": "01"},
    "01_deletion": TINY | {"n_images": 16, "n_draws": 2, "max_deleted": 2},
    "02_reordering": TINY | {"depth": 20, "n_images": 16, "n_orders": 12},
    "03_path_distribution": {"n_modules": 20, "n_active": 9},
    "04_path_gradients": TINY | {"n_images": 4, "n_samples": 3, "n_signed": 2, "at_image": True},
    "05_effective_paths": TINY | {"n_seeds": 3, "n_statistics": 128},
    "06_discussion": TINY | {"n_images": 16, "n_gradients": 2},
    "07_dynamics": TINY | {"n_images": 2, "n_statistics": 128},
    "what_decides": {"depths": [8, 14], "n_gradients": 2, "n_draws": 1},
    "your_own_network": {"n_images": 2, "image_size": 16},
}
# These pages judge no claim of the paper.
NO_VERDICTS = {"your_own_network"}
EXPERIMENTS = {
    "01_deletion": ["deletion", "deletion", "random_deletions"],
    "02_reordering": ["reordering"],
    "04_path_gradients": ["by_length", "by_length", "by_module", "sampled_norms", "signed_norms"],
    "05_effective_paths": ["test_time"] * 3 + ["training"] * 6,
    "06_discussion": ["by_length", "deletion", "deletion", "gates"],
    "07_dynamics": ["dynamics", "scaling"],
    "what_decides": ["start_of_training"] * 8,
}


def run(name, tmp_path, **more):
    """Run a notebook as `papermill` does, with its runs folder in `tmp_path`; its cells."""
    settings = SMALLEST[name] | more
    if name in EXPERIMENTS:
        settings = {"runs_dir": str(tmp_path / "runs")} | settings
    return papermill.execute_notebook(
        NOTEBOOKS / f"{name}.ipynb",
        tmp_path / "out.ipynb",
        settings,
        kernel_name="python3",
        cwd=ROOT,
        progress_bar=False,
    ).cells


def test_every_notebook_is_here():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SMALLEST)


@pytest.mark.parametrize("name", SMALLEST)
def test_tiny_run_leaves_figures_verdicts_and_rows(name, tmp_path):
    cells = run(name, tmp_path)
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    data = [output["data"] for output in outputs if "data" in output]
    assert sum("image/png" in d for d in data) == sum(
        "fig-" in str(cell.metadata.get("mystnb", "")) for cell in cells
    )
    judged = any("| the paper says |" in d.get("text/markdown", "") for d in data)
    assert judged is (name not in NO_VERDICTS)
    rows = store.read(tmp_path / "runs" / "results")
    assert sorted(row["experiment"] for row in rows) == EXPERIMENTS.get(name, [])
    assert all(row["config"].get("iterations", 2) == 2 for row in rows)


def test_a_mistyped_parameter_stops_the_run_at_once(tmp_path):
    with pytest.raises(PapermillExecutionError, match="unknown parameter 'n_image'.*'n_images'"):
        run("04_path_gradients", tmp_path, n_image=3)
    assert not (tmp_path / "runs").exists()


def test_a_parameter_of_another_type(tmp_path):
    with pytest.raises(PapermillExecutionError, match="'n_images' is 'many': expected int"):
        run("04_path_gradients", tmp_path, n_images="many")
    assert not (tmp_path / "runs").exists()


def test_unknown_dataset(tmp_path):
    with pytest.raises(PapermillExecutionError, match="dataset 'cifar': expected 'digits'"):
        run("04_path_gradients", tmp_path, dataset="cifar")
    assert not (tmp_path / "runs").exists()


def test_unwritable_runs_folder(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PapermillExecutionError, match="cannot be written.*choose another folder"):
        run("04_path_gradients", tmp_path, runs_dir=str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "in the way"


def test_cifar10(tmp_path, cifar_dir, monkeypatch):
    monkeypatch.setitem(os.environ, "DATA_DIR", str(cifar_dir))
    run("04_path_gradients", tmp_path, dataset="cifar10")
    assert {row["dataset"] for row in store.read(tmp_path / "runs" / "results")} == {"cifar10"}


def test_figure_4_from_a_folder_of_images_and_a_checkpoint(tmp_path):
    """ImageNet's network, 66 modules, on a folder; no training, no plain network."""
    draw = torch.Generator().manual_seed(0)
    for split, name in itertools.product(("train", "val"), ("cat", "dog")):
        (tmp_path / "images" / split / name).mkdir(parents=True)
        for i in range(2):
            pixels = torch.randint(256, (40, 48, 3), generator=draw, dtype=torch.uint8).numpy()
            Image.fromarray(pixels).save(tmp_path / "images" / split / name / f"{i}.png")
    network = models.build("resnet200", 0, classes=2)
    checkpoints.write(tmp_path / "own.safetensors", network.state_dict(), {})
    settings = {"model": "resnet200", "image_size": 32, "with_plain": False, "iterations": 0}
    settings["depth"] = 110  # The default: this network has one depth.
    files = {
        "dataset": f"folder:{tmp_path / 'images'}",
        "checkpoint": str(tmp_path / "own.safetensors"),
    }
    run("01_deletion", tmp_path, **settings | files | {"n_images": 4, "n_draws": 1})
    (deletion,), (several,) = (
        store.read(tmp_path / "runs" / "results", name) for name in ("deletion", "random_deletions")
    )
    assert len(deletion["value"]["errors"]) == 66 and deletion["value"]["classes"] == 2
    assert deletion["value"]["downsampling"] == [0, 3, 27, 63]
    assert several["value"]["deleted"] == [1, 2]
    assert not (tmp_path / "runs" / "checkpoints").exists()
