"""Where everything lies: one value, passed to whoever reads or writes files."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Places:
    """The folders of the project at `root`; `runs_dir`, from the root or absolute, is this
    machine's own."""

    root: Path = ROOT
    runs_dir: str | Path = "runs"

    @property
    def results(self) -> Path:
        """The recorded rows, which belong to the book."""
        return Path(self.root) / "book" / "results"

    @property
    def checkpoints(self) -> Path:
        """The recorded networks, which belong to the book."""
        return Path(self.root) / "book" / "checkpoints"

    @property
    def runs(self) -> Path:
        """What this machine made: rows, checkpoints, executed notebooks."""
        return Path(self.root) / self.runs_dir

    @property
    def trained(self) -> Path:
        """The networks that this machine trained."""
        return self.runs / "checkpoints"


# The places of this project.
HERE = Places()
