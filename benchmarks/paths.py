"""Gradients by path: exact, sampled, signed."""

from copy import deepcopy
from pathlib import Path

import torch

from benchmarks import plain
from benchmarks.subject import Subject
from benchmarks.timing import alternately
from helpers import combinatorics, gradients
from helpers.linearised import Linearised
from helpers.losses import SCALE
from helpers.signed import mean_squares

IMAGES, PATHS, SAMPLES, EACH = 32, 1000, 20_000, 500


def protocol(subject: Subject, images, labels, lengths: list[int], generator):
    """One path of each of `lengths`, plain: the sample from which a protocol is scaled."""
    n = len(subject.network.blocks)
    chosen = [combinatorics.sample(n, k, 1, generator)[0] for k in lengths]
    return lambda: [plain.path_gradient(subject.network, images, labels, p) for p in chosen]


def exact(subject: Subject, repeats: int) -> dict[str, dict]:
    """All lengths, and lengths cut, against 1,000 sampled paths for each length."""
    images, labels = subject.images(IMAGES)
    n, generator = len(subject.network.blocks), torch.Generator().manual_seed(0)
    lengths = list(range(1, n + 1, max(1, n // 9)))
    few = gradients.by_length(subject.network, images[:2], labels[:2])
    longest = gradients.sufficient_length(few, 1e-10)
    seconds = alternately(
        repeats,
        plain=protocol(subject, images, labels, lengths, generator),
        all=lambda: gradients.by_length(subject.network, images, labels),
        pilot=lambda: gradients.by_length(subject.network, images[:2], labels[:2]),
        cut=lambda: gradients.by_length(subject.network, images, labels, longest),
    )
    protocol_seconds = seconds["plain"] / len(lengths) * n * PATHS
    scaled = f"plain: {len(lengths)} paths measured, scaled to {n} lengths x {PATHS} paths"
    cut = gradients.by_length(subject.network, images, labels, longest)
    discarded = float(cut[-1].norm() / cut.sum(0).norm())
    return {
        "exact": {"plain": protocol_seconds, "ours": seconds["all"], "goal": 1000, "note": scaled},
        "exact cut": {
            "plain": protocol_seconds,
            "ours": seconds["cut"] + seconds["pilot"],
            "goal": 2500,
            "max_length": longest,
            "discarded": discarded,
            "note": f"{scaled}; ours with the two images that choose the length",
        },
    }


def exactness(subject: Subject, repeats: int) -> dict[str, dict]:
    """How far the sum over all lengths is from the whole gradient."""
    images, labels = subject.images(IMAGES)
    at = Linearised(subject.network, images, labels)
    whole = at.g
    for stay, enter in reversed(at.modules):
        whole = stay(whole) + enter(whole)
    found = gradients.by_length(subject.network, images, labels).sum(0)
    twin = deepcopy(subject.network).double()
    few = images[:4].double(), labels[:4]
    exact = gradients.whole(twin, *few)
    in_float64 = gradients.whole(twin, images.double(), labels)
    in_float32 = gradients.whole(subject.network, images, labels)
    found = {
        "float64 against autograd": distance(gradients.by_length(twin, *few).sum(0), exact),
        "float32 against one pass over the same masks": distance(found, whole.double() / SCALE),
        "float32 against autograd in float32": distance(found, in_float32),
        "float32 against autograd in float64": distance(found, in_float64),
    }
    return {"exactness": found}


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The relative distance of two tensors."""
    return float((found - expected).norm() / expected.norm())


def memory(subject: Subject, repeats: int) -> dict[str, dict]:
    """Resident memory at the peak of `by_length`, and how much of that is new.  Linux only."""
    images, labels = subject.images(IMAGES)
    # Writing a 5 there sets the peak back to what is held now.
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    gradients.by_length(subject.network, images, labels)
    peak = status("VmHWM")
    return {"memory": {"peak_bytes": peak, "new_bytes": peak - before, "goal_bytes": 1_500_000_000}}


def status(field: str) -> int:
    """A size that Linux keeps about this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def sampled(subject: Subject, repeats: int) -> dict[str, dict]:
    """Random paths of lengths 1 to 20: plain, for one image or a batch of them at a time."""
    images, labels = subject.images(IMAGES)
    lengths, samples = range(1, min(20, len(subject.network.blocks)) + 1), EACH
    generator = torch.Generator().manual_seed(0)
    one = protocol(subject, images[:1], labels[:1], list(lengths), generator)
    batch = protocol(subject, images, labels, list(lengths), generator)
    seconds = alternately(
        repeats,
        one=one,
        batch=batch,
        ours=lambda: gradients.sampled_norms(
            subject.network, images, labels, lengths, samples, generator
        ),
    )
    passes = len(lengths)
    per_path = {"one": passes, "batch": passes, "ours": passes * samples}
    one, batch, ours = (seconds[name] / count for name, count in per_path.items())
    note = "seconds a path; plain: one image a pass, the fastest way to one path"
    wide = f"seconds a path; plain: the paper's way, a batch of {IMAGES} images follows one path"
    same = f"seconds an image and path; plain: a batch of {IMAGES} images follows one path"
    return {
        "sampled paths": {"plain": one, "ours": ours, "goal": 20, "note": note},
        "sampled paths, by batches": {"plain": batch, "ours": ours, "note": wide},
        "sampled paths, each image counted": {
            "plain": batch / IMAGES,
            "ours": ours,
            "note": same,
        },
    }


def signed(subject: Subject, repeats: int, length: int = 10) -> dict[str, dict]:
    """The time to the same standard error of the RMS path norm at one length.

    Signed passes tell about every length up to it at once.  What a sampled path tells is less than
    its time suggests: a few paths of a few images carry most of the mean square, so that even the
    error of thousands of samples is underestimated.
    """
    images, labels = subject.images(IMAGES)
    generator, network = torch.Generator().manual_seed(0), subject.network
    length = min(length, len(network.blocks) // 2)
    asked = network, images, labels
    squares, error = mean_squares(*asked, 4, generator, length)
    ours = float(error[length] / squares[length]) / 2
    norms = gradients.sampled_norms(*asked, [length], SAMPLES, generator)[0]
    one = float((norms**2).std() / (norms**2).mean()) / 2
    needed = (one / ours) ** 2
    seconds = alternately(
        repeats,
        plain=protocol(subject, images[:1], labels[:1], [length] * 20, generator),
        sampled=lambda: gradients.sampled_norms(*asked, [length], PATHS, generator),
        signed=lambda: mean_squares(*asked, 4, generator, length),
    )
    what = f"to a relative standard error of {ours:.2g} of the RMS at length {length}"
    about = {"ours": seconds["signed"], "paths_needed": needed, "relative_error": ours}
    return {
        "signed estimator": about
        | {
            "plain": seconds["plain"] / 20 * needed,
            "goal": 20,
            "note": f"{what}; plain: 20 paths measured, scaled to the {needed:,.0f} it takes",
        },
        "signed estimator against our sampled paths": about
        | {"plain": seconds["sampled"] / PATHS * needed, "note": f"{what}; scaled likewise"},
    }
