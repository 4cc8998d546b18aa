"""What a chapter needs to begin and to end: parameters checked, folders found, rows kept and shown.

chapter = notebook.begin(In, n_images=(1, None))
network = chapter.trained(config, data)
row = chapter.keep(experiments.deletion(network, test))
chapter.sources(row)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from IPython.display import Markdown

from study import claims
from study.chapter_parameters import check
from study.data import Dataset
from study.experiments import Subject
from study.places import HERE, Places
from study.records import store
from study.text import summary
from study.training.recipes import TrainConfig


@dataclass(frozen=True)
class Chapter:
    """A notebook that runs: where everything lies, and the rows of the book."""

    places: Places
    recorded: list[dict]

    def trained(
        self, config: TrainConfig, data: Dataset, checkpoint: str = "", keep: Sequence[int] = ()
    ) -> Subject:
        """The network of a run: from a file, if one is named, from the book, or trained here;
        `keep`: see `Subject.trained`."""
        return Subject.trained(config, data, self.places, checkpoint, keep)

    def keep(self, *rows: dict) -> None:
        """Write rows to this machine's files, one an experiment; of a measurement that is there,
        the new row takes the place.  OSError where that cannot be done."""
        for row in rows:
            store.replace(self.places.runs / "results" / f"{row['experiment']}.jsonl", row)

    def find(self, experiment: str, *kinds: dict) -> list[dict]:
        """Of each kind of network a recorded row of an experiment, up to the first kind that has
        none (`claims.examples`)."""
        return claims.examples(self.recorded, experiment, *kinds or (claims.FULL,))

    def sources(self, *rows: dict) -> Markdown:
        """Where the numbers of these rows come from: recorded or measured here, by which code."""
        of_the_book = {id(row) for row in self.recorded}
        recorded = [row for row in rows if id(row) in of_the_book]
        here = [row for row in rows if id(row) not in of_the_book]
        return Markdown(claims.sources(recorded, here))

    def told(self, tell: Callable[[list[dict]], str]) -> Markdown:
        """The sentence that a function of `study.text.summary` makes of the recorded rows."""
        return Markdown(summary.told(tell(self.recorded)))

    def verdicts(self, *ids: str) -> Markdown:
        """What became of these claims, judged from the recorded rows."""
        return Markdown(claims.report(list(ids), self.recorded))


def begin(cells: list[str], **allowed: object) -> Chapter:
    """Check a chapter's parameters (`chapter_parameters.check`) and find its folders.

    `cells`: the source of the cells run so far (IPython's `In`).  Raises ParameterError.
    """
    given = check(cells, **allowed)
    places = Places(runs_dir=given.get("runs_dir", HERE.runs_dir))
    return Chapter(places, store.read(places.results))


def first_with(field: str, *rows: dict) -> dict:
    """The first of the rows whose value has an optional field, which early rows lack.

    ValueError if none has it.
    """
    for row in rows:
        if row["value"].get(field):
            return row
    raise ValueError(f"no row has {field!r}: expected one that was measured by the present code")


def values(*rows: dict) -> tuple:
    """The values of rows, which figures draw."""
    return tuple(row["value"] for row in rows)
