# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training on the effective paths
#
# If long paths carry hardly any gradient, a network should train as well without them. Section 5 of
# the paper {cite}`veit2016residual` tries it: in every training step a random subset of modules is
# active, and all others are left out, forward and backward. With $m$ active modules the step sees
# $2^m$ paths, whose lengths are binomial around $m/2$. For 54 modules the paper takes $m = 23$, so
# that they centre at 11.5, among the effective paths ({doc}`03_path_distribution`). It reports 5.96%
# error for the network trained this way and 6.10% for the one trained on all modules, without a
# significant difference.
#
# It is a relative of stochastic depth {cite}`huang2016stochastic`, which drops modules independently
# and seldom the early ones. Here the number is fixed and every subset of that size is as likely.
#
# A test uses all modules. One that was active in a fraction $m/n$ of the steps is then present all
# the time, so its residual is multiplied by that fraction, as stochastic depth does. The paper leaves
# this open; both ways are shown below.

# %% tags=["remove-cell"]
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "helpers/__init__.py").is_file())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from helpers import batchnorm, sweep
from helpers.devices import find_device, resolve
from study import claims, figures, notebook
from study.claims.rows import matching
from study.claims.training import by_length_of_training, compared, welch
from study.data import load
from study.progress import Progress
from study.records import store
from study.text import summary
from study.training import checkpoints, loop
from study.training.recipes import reference

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH
depth: int = 20  # layers, 6m + 2; 20 layers are 9 modules, the paper's 110 are 54
n_active: int = 0  # modules active in a step; 0: the paper's share, 23 of 54
iterations: int = 440  # of training; 0: the book's own number for this data set; -1: the paper's
image_size: int = 224  # pixels, side of a folder's images
first_seed: int = 0  # of the first network
n_seeds: int = 3  # networks of each kind
n_statistics: int = 1280  # training images for batch norm's statistics, at least 128
precision: str = "auto"  # of the test: auto, float32 or bfloat16
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
notebook.check(In)  # noqa: F821

# %% [markdown]
# ## Two kinds of training
#
# Both kinds share everything else: recipe, initial weights, order of the images, and number of steps.
# A step on a part of the modules costs that part only, since the others are not computed. It also
# trains that part only: in the same number of steps each module gets $m/n$ of the updates, which a
# training as long as the paper's forgives more easily than the short one on this page.

# %%
data = load(dataset, image_size=image_size)
n = (depth - 2) // 2
m = n_active or round(n * 23 / 54)
seeds = range(first_seed, first_seed + n_seeds)
full = [reference(dataset, iterations, depth=depth, seed=seed) for seed in seeds]
part = [replace(config, active=m) for config in full]
print(f"{n} modules, {m} active in a step: 2^{m} of 2^{n} paths, mean length {m / 2:g}")
print(f"{full[0].iterations} steps of {full[0].batch_size} images, {len(full)} seeds each")

# %% tags=["nbval-ignore-output"]
folder, rows_file = root / runs_dir / "checkpoints", root / runs_dir / "results/05_effective.jsonl"
files = {
    config: loop.trained(config, data, folder, progress=Progress(config.label))[1]
    for config in full + part
}

# %% [markdown]
# ## The test
#
# All networks see the same test images, so that their mistakes can be compared image by image.

# %%
test = data.test.to(find_device())
images, labels = data.normalise(test.images), test.labels
live = []
for config, file in files.items():
    network = loop.load(config, data, file)
    (predicted,) = sweep.predictions([network], images, precision=precision)
    wrong = (predicted != labels.cpu()).nonzero().flatten().tolist()
    row = store.row(
        **loop.subject(config, data, file),
        experiment="training",
        data_checksum=test.checksum,
        config=asdict(config) | {"test_precision": resolve(images.device, precision)},
        seed=config.seed,
        seconds=checkpoints.read(file)[1]["seconds"],
        samples=len(labels),
        value={"error": len(wrong) / len(labels), "wrong": wrong, "modules": n},
    )
    live.append(row)

# %%
errors = np.array([row["value"]["error"] for row in live]).reshape(2, -1)
names = [f"all {n} modules", f"{m} of {n} modules"]
for name, values in zip(names, errors, strict=True):
    listed = ", ".join(f"~{100 * v:.2f}" for v in values)
    print(f"trained on {name}: {listed} % error, mean ~{100 * values.mean():.2f} %")

# %% mystnb={"image": {"alt": "Test errors of networks trained on all modules, left, and on a part of the modules, right; a dot for each seed, a line joining the two networks of a seed, and a bar at the mean."}, "figure": {"name": "fig-effective", "caption": "Test error after training on all modules and on a random part of them in each step (Section 5 of the paper). Above: recorded, 110 layers on CIFAR-10. Below: measured on this machine, on the data set named above."}}
recorded = store.read(root / "book/results")
groups, shown = compared(recorded, 23)
here = dict(zip(names, errors.tolist(), strict=True))
fig, axes = figures.both(figures.training_errors, (groups,) if groups else None, (here,))
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources(shown, live))

# %% tags=["remove-input"]
Markdown(summary.told(summary.training(recorded)))

# %% [markdown]
# ### Does a longer training close the gap?
#
# A module that takes part in a fraction $m/n$ of the steps is updated in that fraction of them. So the
# gap between the two kinds should shrink as training gets longer; and if the number of updates were
# all, a network trained on a part would be as good as one trained on all modules with as many updates
# of each. Recorded, 110 layers on CIFAR-10, every length of training that both kinds have:

# %% tags=["remove-input"]
Markdown(by_length_of_training(recorded, 23))

# %% [markdown]
# ## Is there a difference?
#
# Two tests, for two questions. Welch's t-test {cite}`welch1947generalization` compares the means over
# seeds: would other seeds show the same? McNemar's test {cite}`mcnemar1947note` compares two networks
# on the same images: of the images that only one of them gets right, does one get more?
#
# A large p-value is no proof of equality. With few seeds only a large difference could show, and
# where seeds spread widely not even that: then the rule for B12, which was fixed beforehand, may say
# "reproduced" beside a gap of many points, and the lines of McNemar's test are the ones to read.

# %%
print(f"Welch's t-test over seeds: p = ~{welch(*errors):.3g}")
print("Images that one network of a pair gets right:")
for where, mark, rows in (("recorded", "", shown), ("here", "~", live)):
    half = len(rows) // 2
    for all_modules, part_of_them in zip(rows[:half], rows[half:], strict=True):
        a, b = np.ones((2, all_modules["samples"]), dtype=bool)
        a[all_modules["value"]["wrong"]], b[part_of_them["value"]["wrong"]] = False, False
        counts = f"all {mark}{(a & ~b).sum()}, part {mark}{(b & ~a).sum()}"
        p = f"= {mark}{found:.2g}" if (found := sweep.mcnemar(a, b)) else "< 1e-300"
        print(f"{where}, seed {all_modules['seed']}: trained on {counts}; McNemar p {p}")

# %% [markdown]
# ## Does the scaling at test time matter?
#
# The same weights in four ways: residuals times $m/n$, or at full strength as they were in training;
# each with the batch norms' statistics from training, where a part of the modules was active, or
# with statistics measured anew on training images with all modules active.

# %% tags=["nbval-ignore-output"]
some = data.train.first(min(n_statistics, len(data.train.labels))).to(images.device)
for config, row in zip(part, live[n_seeds:], strict=True):
    begin = time.monotonic()
    nets = {
        "scaled": loop.load(config, data, files[config]),
        "unscaled": loop.load(replace(config, active=0), data, files[config]),
    }
    found = {}
    for name, net in nets.items():
        anew = batchnorm.with_statistics_of(net, data.normalise(some.images))
        for way, variant in ((name, net), (f"{name}, new statistics", anew)):
            (found[way],) = sweep.errors([variant], images, labels, precision=precision)
    seconds = time.monotonic() - begin
    live.append(row | {"experiment": "test_time", "value": found, "seconds": seconds})
    print(f"seed {config.seed}: " + ", ".join(f"{way} ~{100 * e:.2f} %" for way, e in found.items()))
store.append(rows_file, *live)

# %%
for row in matching(recorded, "test_time", **claims.FULL | {"active": 23}):
    ways = ", ".join(f"{way} {100 * error:.2f} %" for way, error in row["value"].items())
    print(f"recorded, {claims.rows.recipe(row)}, seed {row['seed']}: {ways}")

# %% [markdown]
# ## Verdicts
#
# *Recorded* is judged from the reference rows of this book, 110 layers on CIFAR-10; *here* from the
# rows above, where the rule is an indication and no more. B1 is a number about CIFAR-10 alone.

# %% tags=["hide-input"]
Markdown(claims.report(["A9", "B1", "B12"], recorded, live))

# %% [markdown]
# ## Try it
#
# On CIFAR-10, a short training of a shallower network; `-p depth 110` is the paper's:
#
# ```
# mkdir -p runs
# papermill notebooks/05_effective_paths.ipynb runs/05.ipynb -p dataset cifar10 -p depth 20 -p iterations 400
# ```
