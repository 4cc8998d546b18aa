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
# and seldom the early ones. Here the number is fixed, and every subset of that size is as likely.
#
# A test uses all modules. One that was active in a fraction $m/n$ of the steps is then present all
# the time, so its residual is multiplied by that fraction, as stochastic depth does. The paper leaves
# this open; both ways are shown below.

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from helpers import combinatorics
from study import claims, experiments, figures, notebook
from study.claims.rows import matching
from study.claims.training import by_length_of_training, compared, welch
from study.data import load
from study.text import summary
from study.text.paired import paired
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
chapter = notebook.begin(In, n_active=(0, (depth - 2) // 2))  # noqa: F821

# %% [markdown]
# ## Two kinds of training

# %% tags=["remove-input"]
chapter.told(summary.training)

# %% [markdown]
# Both kinds share everything else: recipe, initial weights, order of the images, and number of steps.
# A step on a part of the modules costs that part only, since the others are not computed. It also
# trains that part only: in the same number of steps each module gets $m/n$ of the updates, which a
# training as long as the paper's forgives more easily than a short one.

# %% mystnb={"image": {"alt": "Test errors of networks trained on all modules, left, and on a part of the modules, right; a dot for each seed, a line joining the two networks of a seed, and a bar at the mean."}, "figure": {"name": "fig-effective", "caption": "Test error after training on all modules and on a random part of them in each step (Section 5 of the paper). Recorded: 110 layers on CIFAR-10."}}
groups, shown = compared(chapter.recorded, 23)
figures.one(figures.training_errors, (groups,) if groups else None)
plt.show()

# %% [markdown]
# ### Does a longer training close the gap?
#
# A module that takes part in a fraction $m/n$ of the steps is updated in that fraction of them. So the
# gap between the two kinds should shrink as training gets longer; and if the number of updates were
# all, a network trained on a part would be as good as one trained on all modules with as many updates
# of each. Recorded, 110 layers on CIFAR-10, every length of training that both kinds have:

# %% tags=["remove-input"]
Markdown(by_length_of_training(chapter.recorded, 23))

# %% [markdown]
# ## Is there a difference?
#
# Two tests, for two questions. Welch's t-test {cite}`welch1947generalization` compares the means over
# seeds: would other seeds show the same? McNemar's test {cite}`mcnemar1947note` compares two networks
# on the same images: of the images that only one of them gets right, does one get more?
#
# A large p-value is no proof of equality. With few seeds only a large difference could show, and
# where seeds spread widely not even that; then the lines of McNemar's test are the ones to read.

# %%
if groups:
    print(f"Welch's t-test over seeds: p = {welch(*np.array(list(groups.values()))):.3g}")
    print("Images that one network of a pair gets right, and the other does not:")
    print(paired(shown))

# %% tags=["remove-input"]
chapter.sources(*shown)

# %% [markdown]
# ## Does the scaling at test time matter?
#
# The same weights in four ways: residuals times $m/n$, or at full strength as they were in training;
# each with the batch norms' statistics from training, where a part of the modules was active, or
# with statistics measured anew on training images with all modules active.

# %%
for found in matching(chapter.recorded, "test_time", **claims.FULL | {"active": 23}):
    ways = ", ".join(f"{way} {100 * error:.2f} %" for way, error in found["value"].items())
    print(f"{claims.recipe(found)}, seed {found['seed']}: {ways}")

# %% [markdown]
# ## It runs here
#
# The same on this machine, by default with shallow networks on digits. All of them see the same test
# images. They decide no verdict.

# %%
data = load(dataset, image_size=image_size)
n = (depth - 2) // 2
m = n_active or round(n * 23 / 54)
seeds = range(first_seed, first_seed + n_seeds)
full = [reference(dataset, iterations, depth=depth, seed=seed) for seed in seeds]
part = [replace(config, active=m) for config in full]
print(f"{n} modules, {m} active in a step: 2^{m} of 2^{n} paths, mean length {combinatorics.mean_length(m):g}")
print(f"{full[0].iterations} steps of {full[0].batch_size} images, {len(full)} seeds each")

# %% tags=["nbval-ignore-output"]
networks = [chapter.trained(config, data) for config in full + part]
trained = [experiments.training(network, data.test, precision) for network in networks]
few = data.train.first(min(n_statistics, len(data.train.labels)))
scaled = [experiments.test_time(network, data.test, few, precision) for network in networks[n_seeds:]]
chapter.keep(*trained, *scaled)

# %%
errors = 100 * np.reshape([value["error"] for value in notebook.values(*trained)], (2, -1))
for name, values in zip((f"all {n}", f"{m} of {n}"), errors, strict=True):
    listed = ", ".join(f"~{value:.2f}" for value in values)
    print(f"trained on {name} modules: {listed} % error, mean ~{values.mean():.2f} %")
unscaled = 100 * np.mean([value["unscaled"] for value in notebook.values(*scaled)])
print(f"the latter with residuals at full strength: mean ~{unscaled:.2f} %")

# %% tags=["remove-input"]
chapter.sources(*trained, *scaled)

# %% [markdown]
# ## Verdicts
#
# By rules that were fixed before any result was seen, applied to the recorded results: 110 layers on
# CIFAR-10. B1 is a number about CIFAR-10 alone.

# %% tags=["hide-input"]
chapter.verdicts("A9", "B1", "B12")

# %% [markdown]
# ## Try it
#
# On CIFAR-10, a short training of a shallower network; `-p depth 110` is the paper's:
#
# ```
# mkdir -p runs
# papermill notebooks/05_effective_paths.ipynb runs/05.ipynb -p dataset cifar10 -p depth 20 -p iterations 400
# ```
