"""Copies of the notebooks for Colab, which opens a notebook alone: each first fetches the rest.

    python book/colab.py https://github.com/OWNER/NAME FOLDER

The workflow that publishes the book keeps them in the branch `colab`, where its buttons lead.  It
needs nothing but Python.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What Colab lacks, or has in a version too old for the sliders.
INSTALLED = ("ipywidgets", "safetensors")


def first_cell(address: str) -> dict:
    """The cell that fetches the repository at `address`, and installs what Colab lacks."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines()
    pins = [line for line in lines if line.partition("==")[0] in INSTALLED]
    folder = address.rstrip("/").rpartition("/")[2].removesuffix(".git")
    source = [
        "# Colab opens a notebook alone; this fetches the rest of the book.\n",
        f"!git clone --quiet --depth 1 {address}\n",
        f"%cd {folder}\n",
        f"%pip install --quiet {' '.join(pins)}",
    ]
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "fetch",
        "metadata": {},
        "outputs": [],
        "source": source,
    }


def write(address: str, folder: Path) -> None:
    """The notebooks, their outputs as they are stored, with that cell, into `folder`/notebooks."""
    first = first_cell(address)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf8"))
        notebook["cells"].insert(0, first)
        copy = folder / "notebooks" / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf8")


def main() -> int:
    """The command line."""
    if len(sys.argv) != 3:
        print("usage: python book/colab.py https://github.com/OWNER/NAME FOLDER", file=sys.stderr)
        return 2
    write(sys.argv[1], Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
