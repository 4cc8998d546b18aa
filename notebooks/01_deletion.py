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
# # Deleting modules
#
# Take a trained network, remove one of its layers, change nothing else, and test it. The layers of a
# plain network are its only road from input to output, so one expects ruin. Section 4 of the paper
# {cite}`veit2016residual` does this to a residual network and finds that hardly anything happens. Its
# reason: a module that computes
#
# $$ y_i = y_{i-1} + f_i(y_{i-1}) $$ (eq-module)
#
# turns into $y'_i = y_{i-1}$ when its residual is deleted. The skip connection stays, also where it
# downsamples. Of the $2^n$ paths through $n$ modules, the half that entered $f_i$ is gone. The other
# half remains, though the modules behind the gap now see another input than they were trained on. A
# plain network has one path, and loses it.
#
# Two experiments follow: one module at a time (Figure 3 of the paper), then many at random
# (Figure 5a).

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

import matplotlib.pyplot as plt
import numpy as np

from helpers import combinatorics
from study import claims, experiments, figures, notebook
from study.claims.lesions import costs
from study.data import load
from study.figures import state_sliders
from study.text import summary
from study.text.additivity import additivity
from study.training.recipes import reference

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH (ImageNet: with model resnet200)
model: str = "resnet"  # resnet, or resnet200 for images of 224 pixels
depth: int = 110  # layers of the resnet, 6m + 2; 110 layers are 54 modules
shortcuts: str = "subsample"  # at downsampling: subsample (no parameters), projection or shared
survival: float = 1.0  # in training, of the last module's residual (stochastic depth; 1: off)
iterations: int = 0  # of training; 0: the book's own number for this data set; -1: the paper's
checkpoint: str = ""  # a trained network's file; empty: the book's, or train one
with_plain: bool = True  # compare with VGG-15, trained first (Figure 3); False: Figure 4
plain_model: str = "vgg15"  # vgg15, or vgg15-plain without batch norm
plain_iterations: int = 0  # of its training; 0: as for the residual network
image_size: int = 224  # pixels, side of a folder's images
seed: int = 0  # of the weights, the training order and the draws below
n_images: int = 0  # test images; 0: all
n_images_random: int = 0  # test images for random deletions; 0: the same
max_deleted: int = 20  # the largest number of modules deleted at once
n_draws: int = 10  # orders in which modules are deleted (recorded: 200)
spare_downsampling: bool = False  # random deletions: leave the downsampling modules alone
precision: str = "auto"  # auto, float32 or bfloat16
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
chapter = notebook.begin(In)  # noqa: F821

# %% [markdown]
# ## One module at a time

# %% tags=["remove-input"]
chapter.told(summary.deletion)

# %% [markdown]
# {numref}`fig-deletion` is the paper's Figure 3. Three things to look for: does the plain network fall
# to chance wherever it is cut? Is the line of the residual network flat? And which modules stand out
# above it? The paper finds peaks at the modules that downsample, where the skip connection alone has
# to halve the image.
#
# Beside the residual network stands VGG-15 {cite}`simonyan2014vgg` with 128 channels in all its layers,
# so that shapes still fit when one is taken out. Its first convolution, which makes 128 channels out of
# the image, has to stay.

# %% mystnb={"image": {"alt": "Test error after deleting each single module of a residual network, dots near the intact error for most modules, and after deleting each layer of VGG-15, diamonds near chance level. Circles mark the downsampling modules."}, "figure": {"name": "fig-deletion", "caption": "Test error after one module of the residual network, or one layer of VGG-15, is deleted (the paper's Figure 3). Recorded: 110 layers on CIFAR-10."}}
shown = chapter.find("deletion", claims.FULL, claims.PLAIN)
figures.one(figures.deletion, notebook.values(*shown))
plt.show()

# %% [markdown]
# ### It runs here
#
# The same experiment on this machine. Unless told otherwise it takes two small networks that were
# trained on digits for a few minutes; they need not be as even as the paper's, and they decide no
# verdict. A deletion is a view: `lesions.delete` returns a new sequence of modules over the same
# weights, and `experiments.deletion` tests all of them together, computing once what they share.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
settings = {"model": model, "depth": depth, "shortcuts": shortcuts, "survival": survival}
resnet = chapter.trained(reference(dataset, iterations, seed=seed, **settings), data, checkpoint)
networks = [resnet]
if with_plain:
    plain = reference(dataset, plain_iterations or iterations, model=plain_model, seed=seed)
    networks.append(chapter.trained(plain, data))

# %% tags=["nbval-ignore-output"]
test = data.test.first(n_images or len(data.test.labels))
single = [experiments.deletion(network, test, precision) for network in networks]
chapter.keep(*single)

# %%
for network, found in zip(networks, single, strict=True):
    cost = costs([found])
    print(f"{network.config.model}: {len(cost)} deletions, tested on {len(test.labels)} images, cost")
    print(f"  ~{cost.min():.1f} to ~{cost.max():.1f} points, ~{np.median(cost):.1f} at the median")

# %% mystnb={"image": {"width": "60%", "alt": "The same plot for the small networks of this machine."}, "figure": {"name": "fig-deletion-here", "caption": "As above, measured on this machine on the data set named there."}}
chance = 1 - 1 / len(data.classes)
figures.one(figures.deletion, notebook.values(*single), chance=chance)
plt.show()

# %% tags=["remove-input"]
chapter.sources(*shown, *single)

# %% [markdown]
# ## Many modules at random

# %% tags=["remove-input"]
chapter.told(summary.random_deletions)

# %% [markdown]
# An ensemble that loses members gets worse little by little. If the paths of a residual network are
# an ensemble, its error should rise smoothly with the number of modules deleted. Each deletion takes
# away half of the remaining paths: after $k$ of them $2^{n-k}$ are left. A draw is an order in which
# modules are removed, downsampling modules among them, and its first $k$ are the ones deleted.
#
# Each dot of {numref}`fig-random-deletions` is one draw. The paper reports an error "around 0.2" at ten
# deletions, and a smooth rise. The spread of the dots says how much it matters which modules go: a
# median can be smooth while single choices are ruinous.

# %% mystnb={"image": {"alt": "Test error against the number of randomly deleted modules: a dot for each draw, the median as a line that rises, and a band from the 10th to the 90th percentile."}, "figure": {"name": "fig-random-deletions", "caption": "Test error when several modules are deleted at random (the paper's Figure 5a). Recorded: 110 layers on CIFAR-10, on a part of the test images."}}
shown = chapter.find("random_deletions")
figures.one(figures.random_deletions, notebook.values(*shown))
plt.show()

# %% [markdown]
# ### It runs here

# %% tags=["nbval-ignore-output"]
few = data.test.first(n_images_random or len(test.labels))
several = experiments.random_deletions(
    resnet, few, max_deleted, n_draws, seed, spare_downsampling, precision
)
chapter.keep(several)

# %%
for k, errors in list(zip(several["value"]["deleted"], several["value"]["errors"], strict=True))[4::5]:
    print(f"{k:2} of {len(resnet.network.blocks)} deleted: median error ~{100 * np.median(errors):.1f} %")

# %% mystnb={"image": {"width": "60%", "alt": "The same plot for the small network of this machine."}, "figure": {"name": "fig-random-deletions-here", "caption": "As above, measured on this machine on the data set named there."}}
figures.one(figures.random_deletions, notebook.values(several))
plt.show()

# %% tags=["remove-input"]
chapter.sources(*shown, several)

# %% [markdown]
# ## Deletion by deletion
#
# The slider takes one order of removal, the one whose errors lie nearest to the medians, and follows
# it module by module: which modules are gone, the share of the paths of each length that remains
# (Eq 8, {doc}`03_path_distribution`), and the error among those of all draws.

# %% tags=["hide-input"]
told = notebook.first_with("orders", *shown, several)
alone = single[0] if told is several else chapter.find("deletion")[0]
n, largest = len(alone["value"]["errors"]), len(told["value"]["deleted"])
left = [combinatorics.remaining(n, k) for k in range(largest + 1)]
state_sliders.by_deletion(told["value"], left, combinatorics.EFFECTIVE)

# %% [markdown]
# ## Do deletions add up?
#
# If modules did not depend on each other, the error of a draw would follow from what its modules cost
# one by one. Over the draws of each number, the correlation of the two is 1 where the error grows in
# proportion with the sum of the single costs. Much of it comes from the few modules that cost more than
# 10 points alone, so it is given for the draws without one as well, if there are ten. The last number
# says how far the mean error of these draws lies above the intact network's plus the sum.

# %% tags=["nbval-ignore-output"]
print(additivity(alone["value"], told["value"]))

# %% [markdown]
# ## Verdicts
#
# The rules were fixed before any result was seen, and are applied to the recorded results: 110 layers
# on CIFAR-10. A5 and A10 are arithmetic.

# %% tags=["hide-input"]
chapter.verdicts("A5", "A10", "B2", "B3", "B4", "B5", "B6", "B7", "B15")

# %% [markdown]
# ## Try it
#
# On CIFAR-10 the residual network comes with the book; VGG-15 is trained first, which takes a while
# without a GPU and resumes if it is stopped. On ImageNet (the paper's Figure 4), with a checkpoint of
# your own, as many images as fit into memory:
#
# ```
# mkdir -p runs
# papermill notebooks/01_deletion.ipynb runs/01.ipynb -p dataset cifar10 -p n_images 1000
# papermill notebooks/01_deletion.ipynb runs/01.ipynb -p dataset folder:/data/imagenet \
#     -p model resnet200 -p checkpoint resnet200.safetensors -p with_plain False -p n_images 2000
# ```
