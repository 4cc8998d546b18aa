"""The experiments of the study: a network and images in, a row out.

Each function measures one thing and returns one row, with the time that it took and everything
that names the network and the images inside.  It writes nothing, draws from a generator of its own
that follows from `seed`, and leaves the network as it was; an exception leaves no row.

`progress` is called with the work done and all of it; by default a line on standard error tells of
work that takes longer.
"""

from study.experiments.course import dynamics, scaling
from study.experiments.gradients import by_length, by_module, sampled_norms, signed_norms
from study.experiments.lesions import deletion, random_deletions, reordering
from study.experiments.networks import gate_without_loss, gates, test_time, training
from study.experiments.start import Untrained, start_of_training
from study.experiments.subject import Subject, drawn

__all__ = [
    "Subject",
    "Untrained",
    "by_length",
    "by_module",
    "deletion",
    "drawn",
    "dynamics",
    "gate_without_loss",
    "gates",
    "random_deletions",
    "reordering",
    "sampled_norms",
    "scaling",
    "signed_norms",
    "start_of_training",
    "test_time",
    "training",
]
