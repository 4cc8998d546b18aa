"""Where the files of others come from: a folder, or their public places by checksum.

Nothing of theirs is part of this project.  FOREIGN_DIR names a folder that holds the files, in a
folder a source; without it they are downloaded to runs/foreign when they are first asked for.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pooch

from study.data import ROOT

FOLDER = ROOT / "runs" / "foreign"


class ForeignFileError(RuntimeError):
    """A file of others that is missing or not the one that was measured."""


@dataclass(frozen=True)
class Source:
    """A public repository at a commit, its licence, and the folder that its files are in here."""

    folder: str
    repository: str
    commit: str
    licence: str


@dataclass(frozen=True)
class File:
    """A file of a source: its path there, and the SHA-256 of its content."""

    source: Source
    path: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def address(self) -> str:
        """Where it can be downloaded."""
        place = f"{self.source.repository}/{self.source.commit}/{self.path}"
        return f"https://raw.githubusercontent.com/{place}"


def find(file: File, folder: Path | None = None) -> Path:
    """The file on this machine, its content checked; downloaded where no folder is given.

    `folder`: holds a folder a source; None: $FOREIGN_DIR, else runs/foreign.  Raises
    ForeignFileError for a file that is missing, cannot be downloaded, or has another content.
    """
    given = folder or os.environ.get("FOREIGN_DIR")
    path = Path(given or FOLDER) / file.source.folder / file.name
    if given:
        return checked(file, path)
    try:
        pooch.retrieve(file.address, f"sha256:{file.sha256}", file.name, path.parent)
    except (OSError, ValueError) as problem:
        raise ForeignFileError(
            f"{file.address} could not be downloaded ({problem}): set FOREIGN_DIR to a folder that "
            f"holds {file.source.folder}/{file.name}"
        ) from None
    return path


def checked(file: File, path: Path) -> Path:
    """The path of a file that is there already and has the right content."""
    if not path.is_file():
        raise ForeignFileError(f"{path} is missing: it is {file.address}")
    if (found := pooch.file_hash(str(path))) != file.sha256:
        raise ForeignFileError(
            f"{path} has SHA-256 {found}, not {file.sha256}: fetch it again from {file.address}"
        )
    return path
