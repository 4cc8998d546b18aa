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
# # How the paths change in training
#
# The paper looks at networks that are trained. {cite:t}`littwin2016loss` analyse what happens on the
# way, with the tools of spin glasses, and arrive at a moving picture: at the start the ensemble of
# paths sits mostly below half the network's depth, training makes it deeper and deeper, and the force
# behind that is the scaling that batch normalisation introduces. They measured no gradients of
# paths. Here they are measured, exactly and by length ({doc}`04_path_gradients`), at several times of
# a training run.
#
# Three rules, for three of their statements, were fixed before the runs: the *mean length*
# $\sum_k k\, \text{share}_k$ says how deep the ensemble is, with every path and every cancellation
# counted.

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

import matplotlib.pyplot as plt
import numpy as np

from helpers import combinatorics
from study import claims, experiments, figures, notebook
from study.claims.dynamics import mean_length
from study.claims.gradients import effective
from study.data import load
from study.figures import state_sliders
from study.text import summary
from study.training.recipes import milestones, reference

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH
depth: int = 56  # layers of the resnet, 6m + 2; 56 layers are 27 modules, the paper's 110 are 54
iterations: int = 0  # of training; 0: the book's own number for this data set; -1: the paper's
image_size: int = 224  # pixels, side of a folder's images
seed: int = 0  # of the weights, the training order and the images below
n_images: int = 32  # training images for the gradients, drawn at random
n_statistics: int = 1280  # training images for batch norm's statistics, at least 128
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
chapter = notebook.begin(In, n_images=(1, None))  # noqa: F821
band = combinatorics.EFFECTIVE

# %% [markdown]
# ## How much gradient comes from each length, and when

# %% tags=["remove-input"]
chapter.told(summary.dynamics)

# %% [markdown]
# {numref}`fig-dynamics` answers the question that the paper could not ask: it is the exact version of
# its Figure 6c, at several times. The weights are kept at the start, at doublings of the iteration up
# to a quarter of the run, and then at every eighth of it. Early and late need not look alike, and a
# share may be negative.
#
# Batch norm needs care. In test mode it uses running statistics, which in the first iterations have
# not arrived at what the weights make of the images. So the statistics are measured anew for each
# set of weights, on other training images than those whose gradients are taken.

# %% mystnb={"image": {"alt": "Exact share of the gradient by path length, six curves from light, before training, to dark, at its end, which show how the lengths that carry gradient move in training."}, "figure": {"name": "fig-dynamics", "caption": "The exact share of the gradient by path length at six times of a training run. Recorded: 54 modules, CIFAR-10."}}
runs = claims.runs(chapter.recorded, "dynamics", **claims.FULL)
courses = notebook.values(*runs)
tables = courses and (courses[0]["iterations"], courses[0]["shares"])
figures.one(figures.dynamics, tables, height=4)
plt.show()

# %%
for course in courses[:1]:
    print(f"iteration, loss, mean length, share of {band[0]} to {band[-1]} modules")
    for t, loss, s in zip(course["iterations"], course["loss"], np.array(course["shares"]), strict=True):
        inside = 100 * effective(np.arange(len(s)), s)
        print(f"{t:6,} {loss:6.2f} {mean_length(s):6.2f} {inside:7.1f} %")

# %% [markdown]
# The slider goes through all the times. Beside the exact share stands the norm of each length's
# gradient, as a part of the sum of these norms: it counts what a length sends back without asking
# whether other lengths send the opposite.

# %% tags=["hide-input"]
state_sliders.by_iteration(courses[0], band) if courses else None

# %% mystnb={"image": {"alt": "Mean path length of the gradient against the training iteration, a line with a dot for each time, and thin ones for other seeds, below a dotted line at half the number of modules."}, "figure": {"name": "fig-mean-length", "caption": "The mean path length of the gradient, by exact share, over a training run; thin lines are other seeds. Recorded: 54 modules, CIFAR-10."}}
means = [mean_length(course["shares"]) for course in courses]
n = len(courses[0]["shares"][0]) - 1 if courses else 0
figures.one(figures.mean_length, courses and (courses[0]["iterations"], means[0], n, means[1:]))
plt.show()

# %% tags=["remove-input"]
chapter.sources(*runs)

# %% [markdown]
# ## Is it the scales of batch norm?
#
# If the scales that batch norm learns drive the change, they should bring it about alone. So they are
# exchanged between the first and the last weights of the run: the first weights with the last scales,
# and the last weights with the first scales, which are all one. The statistics are measured anew for
# both. How much of the way from the first to the last mean length do the scales alone cover? The
# rule takes the mean of the two answers: scales put on the first weights, and taken off the last.
#
# As a control, one more network has the first weights and the last stem, a single convolution. And
# scales that hardly moved could not have driven anything, so their mean magnitude, $\gamma$, which
# begins at 1, stands beside the answer where it is recorded.

# %% mystnb={"image": {"alt": "Exact share of the gradient by path length for the first weights, the last weights, the first weights with the last scales of batch norm, and the last weights with the first scales."}, "figure": {"name": "fig-scaling", "caption": "The exact share of the gradient by path length before and after training, and with the scales of batch norm exchanged between the two. Recorded: 54 modules, CIFAR-10."}}
exchanged = chapter.find("scaling")
figures.one(figures.exchanged_scales, [value["shares"] for value in notebook.values(*exchanged)], height=4)
plt.show()

# %%
for value in notebook.values(*exchanged):
    print("mean length: " + ", ".join(f"{name} {value[name]:.2f}" for name in value["shares"]))
for course in courses[:1]:
    print(f"gamma at the end: {course['gamma'][-1]:.2f}" if course.get("gamma") else "gamma: not recorded yet")

# %% tags=["remove-input"]
chapter.sources(*exchanged)

# %% [markdown]
# ## It runs here
#
# One run on this machine, looked at again and again, by default on digits. It decides no verdict.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
config = reference(dataset, iterations, depth=depth, seed=seed)
times = milestones(config.iterations)
subject = chapter.trained(config, data, keep=times)
few = experiments.drawn(data.train, n_images, seed)
others = experiments.drawn(data.train, n_statistics, seed, skip=n_images)
course = experiments.dynamics(subject, times, few, others, seed)
scaling = experiments.scaling(subject, few, others, seed)
chapter.keep(course, scaling)

# %%
here, parts = notebook.values(course, scaling)
means = mean_length(here["shares"])
print(f"mean length ~{means[0]:.2f} before training, ~{means[-1]:.2f} after {times[-1]} iterations")
print(f"gamma ~{here['gamma'][-1]:.2f}; " + ", ".join(f"{name} ~{parts[name]:.2f}" for name in parts["shares"]))

# %% mystnb={"image": {"width": "60%", "alt": "The mean path length of the gradient against the training iteration, for the small network of this machine."}, "figure": {"name": "fig-mean-length-here", "caption": "The mean path length of the gradient over the run of this machine, on the data set named above."}}
figures.one(figures.mean_length, (times, means, len(here["shares"][0]) - 1))
plt.show()

# %% tags=["remove-input"]
chapter.sources(course, scaling)

# %% [markdown]
# ## Verdicts
#
# By rules that were fixed before any result was seen, applied to the recorded results: 110 layers on
# CIFAR-10. The analysis of Littwin and Wolf is about weights of members of an ensemble in a simplified
# model; these verdicts are about the gradient of trained networks, which that model stands for.

# %% tags=["hide-input"]
chapter.verdicts("L1", "L2", "L3")

# %% [markdown]
# ## Try it
#
# Another depth:
#
# ```
# mkdir -p runs
# papermill notebooks/07_dynamics.ipynb runs/07.ipynb -p depth 20 -p iterations 440
# ```
