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
# # Reordering modules
#
# Deleting a module removes paths. Putting modules in another order is stranger: it removes paths and
# puts in their place new ones that the network never saw in training, with a late transformation
# before an early one. The paper {cite}`veit2016residual` (Section 4.3) swaps random pairs of modules in
# a trained network, leaves out the downsampling modules, and swaps only what fits.
#
# How far an order is from the original is measured by Kendall's rank correlation
# {cite}`kendall1938new`: of all pairs of modules, the share that kept their order minus the share
# that lost it,
#
# $$ \tau = \frac{\text{pairs in order} - \text{pairs out of order}}{n (n - 1) / 2} $$ (eq-tau)
#
# It is 1 for the original order and falls as modules move. We take it over all $n$ positions.

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

import matplotlib.pyplot as plt
import numpy as np

from helpers import lesions
from helpers.models import resnet
from study import experiments, figures, notebook
from study.claims.lesions import tau_medians
from study.data import load
from study.figures import state_sliders
from study.training.recipes import reference

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH
model: str = "resnet"  # resnet, or resnet200 for images of 224 pixels
depth: int = 110  # layers of the resnet, 6m + 2; 110 layers are 54 modules
iterations: int = 0  # of training; 0: the book's own number for this data set; -1: the paper's
checkpoint: str = ""  # a trained network's file; empty: the book's, or train one
image_size: int = 224  # pixels, side of a folder's images
seed: int = 0  # of the weights, the training order and the orders below
n_images: int = 0  # test images; 0: all
n_orders: int = 130  # random orders, spread evenly over tau (recorded: 1000)
precision: str = "auto"  # auto, float32 or bfloat16
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
chapter = notebook.begin(In)  # noqa: F821

# %% [markdown]
# ## What fits where
#
# Modules with an identity skip connection give back the shape they take. Between two downsampling
# modules all shapes are the same, so any two modules there can change places. Such a run of modules
# is a stage. The paper's network has three:

# %%
network = resnet(110)
for number, stage in enumerate(lesions.stages(network), 1):
    print(f"stage {number}: modules {stage[0] + 1} to {stage[-1] + 1} can change places")
print(f"stay where they are: {[i + 1 for i in lesions.downsampling(network)]}")

# %% [markdown]
# Modules that stay within their stage keep most pairs in order, so $\tau$ falls slowly. It is lowest
# where each stage is turned around as a whole, and seven pairs in ten are still in order then:

# %%
print(f"tau with every stage reversed: {lesions.lowest_tau(network):.3f}")

# %% [markdown]
# The paper swaps random pairs, which leaves most orders near each other. Here the orders are spread
# evenly over $\tau$, from the original order to the reversed stages, and each is drawn uniformly from
# all orders of its $\tau$.

# %% [markdown]
# ## Error and disorder
#
# {numref}`fig-reordering` is the paper's Figure 5b, with the intact network at the left and disorder
# growing to the right. "Smooth" would be a rising band without a cliff. Where the dots spread widely
# at one $\tau$, it matters less how many pairs are out of order than which.

# %% mystnb={"image": {"alt": "Test error of reordered networks against Kendall's tau, one dot for each order, with a line through the medians of bins. The tau axis runs from 1, the original order, at the left to lower values at the right."}, "figure": {"name": "fig-reordering", "caption": "Test error of networks with modules in another order within their stages, against Kendall's tau of the order (the paper's Figure 5b). Recorded: 110 layers on CIFAR-10."}}
shown = chapter.find("reordering")
values = notebook.values(*shown)
tables = values and (values[0], *tau_medians(values[0]["tau"], values[0]["errors"]))
figures.one(figures.reordering, tables)
plt.show()

# %% [markdown]
# ### It runs here
#
# The same experiment on this machine, by default with a small network trained on digits. Every order
# is a view over the same weights, and all of them are tested together, as in {doc}`01_deletion`.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
config = reference(dataset, iterations, model=model, depth=depth, seed=seed)
subject = chapter.trained(config, data, checkpoint)
test = data.test.first(n_images or len(data.test.labels))
here = experiments.reordering(subject, test, n_orders, seed, precision)
chapter.keep(here)

# %%
value = here["value"]
edges, medians = tau_medians(value["tau"], value["errors"])
print(f"{n_orders} orders, tau down to {min(value['tau']):.3f}: intact error ~{100 * value['intact']:.1f} %,")
print(f"~{100 * np.median(value['errors']):.1f} % at the median, ~{100 * max(value['errors']):.1f} % at most")

# %% mystnb={"image": {"width": "60%", "alt": "The same plot for the small network of this machine."}, "figure": {"name": "fig-reordering-here", "caption": "As above, measured on this machine on the data set named there."}}
figures.one(figures.reordering, (value, edges, medians))
plt.show()

# %% tags=["remove-input"]
chapter.sources(*shown, here)

# %% [markdown]
# ## Order by order
#
# The slider goes from the original order to disorder. Of a dozen groups of orders with similar $\tau$ it
# shows the one whose error is in the middle: which module stands where, and where its error lies among
# all.

# %% tags=["hide-input"]
value = notebook.first_with("orders", *shown, here)["value"]
state_sliders.by_order(value, *tau_medians(value["tau"], value["errors"]))

# %% [markdown]
# ## Verdict
#
# By the rule that was fixed before any result was seen, applied to the recorded results: 110 layers on
# CIFAR-10.

# %% tags=["hide-input"]
chapter.verdicts("B8")

# %% [markdown]
# ## Try it
#
# ```
# mkdir -p runs
# papermill notebooks/02_reordering.ipynb runs/02.ipynb -p dataset cifar10 -p n_images 1000
# ```
