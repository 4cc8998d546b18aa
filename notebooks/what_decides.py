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
# # What decides how long the paths are?
#
# Before a network has learned anything, its gradient already takes short paths. The architecture does
# that by itself. This chapter asks what in it does: depth, batch norm, the kind of shortcut, the size
# of the residuals. What training adds is the question of {doc}`07_dynamics`.
#
# ## Before training: paths grow like a logarithm
#
# Every pre-activation module normalises what it gets, so its residual $f_i$ puts out values of one
# size, whatever comes in. The sum $y_i = y_{i-1} + f_i(y_{i-1})$ therefore grows: after $i$ modules of a
# stage its variance is that of about $i$ residuals. Seen from above, the residual of module $i$ is one
# part in about $i$ of the sum, and the gradient divides in about that proportion {cite}`de2020batch`. So
# the share of the gradient that enters module $i$ falls like $1 / i$, and the mean path length, which
# is the sum of these shares, grows like $\log n$, where the mean of all paths is $n/2$.
#
# That the shares add up to the mean length is exact. Every path of length $k$ enters $k$ modules, so that with
# $g$ the whole gradient, $G_k$ its part along paths of length $k$, and $g_i$ its part through module $i$,
#
# $$ \sum_k k \, \frac{\langle G_k, g \rangle}{\langle g, g \rangle} = \sum_i \frac{\langle g_i, g \rangle}{\langle g, g \rangle} $$ (eq-modules)
#
# The right side takes one pass down the network and one up, whatever the number of paths. That is why
# a thousand layers can be measured here.

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

import matplotlib.pyplot as plt

from helpers import gradients
from helpers.by_module import module_shares
from study import experiments, figures, notebook
from study.data import load
from study.experiments import Untrained, drawn
from study.text import start

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH
depths: list = [20, 56, 110]  # layers, 6m + 2; recorded: 20 to 998
scaled: float = 0.1  # the factor on residuals, in networks that have one
n_gradients: int = 8  # training images whose gradients are taken
n_statistics: int = 128  # training images for batch norm's statistics, at least 128
n_draws: int = 2  # of the weights (recorded: 3)
seed: int = 0  # of the images and of the first draw
runs_dir: str = "runs"  # where rows go, from the root

# %% tags=["remove-cell"]
chapter = notebook.begin(In, scaled=(0, 1))  # noqa: F821

# %% mystnb={"image": {"alt": "Mean path length of the gradient before training against the number of modules, on a logarithmic axis. With batch norm the lines are almost straight: the mean grows like a logarithm, and more slowly with 1x1 projections or with small residuals. Without a normaliser it grows in proportion to the number of modules."}, "figure": {"name": "fig-start", "caption": "Mean path length of the gradient before training against depth; small dots are draws of the weights. Recorded: pre-activation networks, images of CIFAR-10."}}
recorded = start.untrained(chapter.recorded)
figures.one(figures.start_of_training, (start.lines(recorded),) if recorded else None)
plt.show()

# %% tags=["remove-input"]
chapter.told(start.growth)

# %% [markdown]
# Three things change the law.
#
# **The shortcut.** At the start of a stage a parameter-free shortcut makes new channels out of zeros. In
# them the sum is small again, and the count begins anew: the shares in {numref}`fig-start-modules` fall
# three times, once a stage. A 1x1 projection mixes the old channels into the new ones, and the count
# goes on.
#
# **The size of the residuals.** With a factor $a$ on every residual it takes $1/a^2$ modules to add as
# much to the sum. Each module is a smaller part of it, and the paths get shorter. On channels that
# a shortcut makes out of zeros the factor has no hold: they hold nothing but residuals, whose size batch
# norm then evens out.
#
# **The normaliser.** Without one a residual grows with what comes in, so that every module has about the
# same share and the mean length is a fixed part of $n$. Short paths at the start are the work of
# normalisation; Littwin and Wolf {cite}`littwin2016loss` say the same of the whole course of training.

# %% mystnb={"image": {"alt": "Share of the gradient that enters each module of an untrained network. With parameter-free shortcuts, above, the shares fall three times, beginning near one at the first module of each stage; with 1x1 projections, below, they fall once."}, "figure": {"name": "fig-start-modules", "caption": "The share of the gradient that enters each module before training, mean over draws of the weights: parameter-free shortcuts above, 1x1 projections below. Recorded: 54 modules, images of CIFAR-10."}}
fig, axes = figures.canvas(2.4, 2.4)
for ax, table in zip(axes, start.shares(recorded, depth=110), strict=True):
    figures.fill(ax, figures.module_shares, table)
plt.show()

# %% [markdown]
# ## What training adds: how far the start has decayed
#
# Weight decay takes the random start out of a network at the rate of learning rate times weight decay.
# With momentum 0.9 the start is left with $e^{-10 D}$, where $D$ is the sum of that product over all
# iterations. The paper's recipe has $D = 0.334$ and keeps 3.5% of the start. A short training with the
# same weight decay keeps most of it, so that its network is no scale model of the paper's, whatever its
# test error. The recipe of this book's study chooses the weight decay so that $D$ is the paper's.
#
# That is a claim too, H1 below: networks trained for the same number of iterations, with $D$ from 0.03 to
# 1, should be the more robust, and their paths the shorter, the larger $D$ is.

# %% tags=["hide-input"]
chapter.verdicts("H1")

# %% [markdown]
# ## It runs here
#
# Untrained networks on this machine, by default with a few images of digits.

# %%
data = load(dataset)
images = drawn(data.train, n_gradients, seed)
calibration = drawn(data.train, n_statistics, seed, skip=n_gradients)
kinds = [{}, {"shortcuts": "projection"}, {"scaling": scaled}]
networks = [Untrained(depth, **kind) for kind in kinds for depth in depths]
networks += [Untrained(depth, normaliser="none") for depth in depths if depth <= 110]
measured = [
    experiments.start_of_training(network, data, images, calibration, n_draws, seed)
    for network in networks
]
chapter.keep(*measured)

# %%
for name, line in start.lines(measured).items():
    means = ", ".join(f"~{sum(line[n]) / n_draws:.1f} of {n}" for n in line)
    print(f"{name}: {means} modules")

# %% [markdown]
# And {eq}`eq-modules` for the first of them: the mean length from the exact gradient of all paths of
# each length, and from the shares of the modules.

# %%
network = networks[0].build(seed, data, calibration)
x, labels = data.normalise(images.images), images.labels
by_length = gradients.shares(gradients.by_length(network, x, labels))
by_module, _ = module_shares(network, x, labels)
mean = sum(k * float(share) for k, share in enumerate(by_length))
print(f"{len(by_module)} modules: ~{mean:.4f} by length, ~{float(by_module.sum()):.4f} by module")

# %% tags=["remove-input"]
chapter.sources(*recorded, *measured)

# %% [markdown]
# ## Try it
#
# Other depths, and smaller residuals:
#
# ```
# mkdir -p runs
# papermill notebooks/what_decides.ipynb runs/what_decides.ipynb -p scaled 0.01 -y "depths: [32, 56]"
# ```
