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
# # Your own network
#
# The chapters before this one ask their questions of networks that this book defines and trains. They
# can be asked of any residual network. `unravel` takes a model as it is and returns it as a stem, a
# list of modules with a `skip` and a `residual` each, and a head: all that deletion, reordering and
# the gradients of paths need to know. The weights are shared, the model is not changed, and before it
# returns, `unravel` compares the two on images that you give it.
#
# It knows the ResNets {cite:p}`he2015deep` and VisionTransformers of torchvision, and takes any other
# model by a list of its parts. This page shows one of each. **Their weights are random**, since
# trained ones would have to be downloaded: the numbers below show what the tools give you, and say
# nothing about trained networks.

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

import matplotlib.pyplot as plt
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from helpers import combinatorics, gradients, lesions, sweep
from helpers.unravel import unravel
from study import figures, notebook
from study.data import load

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
model: str = "resnet18"  # a ResNet by its name in torchvision.models, such as resnet50
n_images: int = 32  # digits of the test set
image_size: int = 64  # pixels, side to which they are enlarged; a multiple of 4
seed: int = 0  # of all random weights

# %% tags=["remove-cell"]
chapter = notebook.begin(In, n_images=(1, None))  # noqa: F821

# %% [markdown]
# ## Some images
#
# Digits {cite:p}`alpaydin1998digits`, enlarged, with three equal channels, as ResNets for photographs
# expect them:

# %%
data = load("digits")
digits = data.test.first(n_images)
images, labels = data.normalise(digits.images).expand(-1, 3, -1, -1), digits.labels
images = F.interpolate(images, size=image_size, mode="bilinear")

# %% [markdown]
# ## Ten lines
#
# Build a model of torchvision and unravel it; delete each module in turn and ask how many predictions
# change; take the gradient apart by the length of its paths. The passes in train mode give batch
# normalisation the statistics of these images. A trained model needs none of that: with a network
# connection, `get_model(model, weights="DEFAULT").eval()` is one.

# %%
torch.manual_seed(seed)
resnet = torchvision.models.get_model(model).train()
with torch.no_grad():
    outputs = [resnet(images) for _ in range(5)]
network = unravel(resnet.eval(), images)
predicted = network(images).argmax(1)
views = [lesions.delete(network, [i]) for i in range(len(network.blocks))]
changed = sweep.errors(views, images, predicted)
by_length = gradients.by_length(network, images, labels)
shares = gradients.shares(by_length).tolist()

# %%
n, down = len(network.blocks), lesions.downsampling(network)
print(f"{n} modules, 2^{n} paths; a projection as skip connection: {[i + 1 for i in down]}")
print(f"same output, bit by bit: {torch.equal(network(images), resnet(images))}")
whole = gradients.whole(network, images, labels)
off = float((by_length.sum(0) - whole).norm() / whole.norm())
print(f"the lengths add up to the gradient, relative difference < 1e-4: {off < 1e-4}")
print(f"predictions that change: ~{100 * min(changed):.0f} to ~{100 * max(changed):.0f} %")
mean = sum(k * share for k, share in enumerate(shares))
print(f"length of a path, mean: {combinatorics.mean_length(n):g} by count, ~{mean:.2f} by gradient")

# %% mystnb={"image": {"alt": "Two panels. Top: a bar for each module, the percentage of predictions that change when it is deleted; bars are hatched where the skip connection is a projection. Bottom: for each path length, the share of all paths, a grey bar, beside the share of the gradient, a blue bar."}, "figure": {"name": "fig-own-network", "caption": "Two of the paper's questions, put to a ResNet of torchvision. (a) Predictions that change when one module is deleted. (b) The exact share of the gradient at the first module that comes along the paths of each length, beside their share by count. Random weights: an illustration of the tools. Live: computed on this machine."}}
fig, (top, bottom) = figures.canvas(3, 3)
bars = [100 * c for c in changed]
top.bar(range(1, n + 1), bars, color=figures.BLUE, label="_all modules")
style = {"color": figures.BLUE, "hatch": "///", "label": "its skip connection is a projection"}
top.bar([i + 1 for i in down], [bars[i] for i in down], **style)
top.set(title="(a)", xlabel="index of the deleted module", ylim=(0, 100))
top.set_ylabel("predictions changed (%)")
top.legend(loc="lower right", bbox_to_anchor=(1, 1))
pairs = {"of all paths": (combinatorics.length_shares(n), figures.GREY), "of the gradient": (shares, figures.BLUE)}
for side, (name, (values, color)) in zip((-0.2, 0.2), pairs.items(), strict=True):
    x, y = [k + side for k in range(n + 1)], [100 * share for share in values]
    bottom.bar(x, y, width=0.4, color=color, label=name)
bottom.set(title="(b)", xlabel="path length (modules)", ylabel="share (%)")
bottom.set_xticks(range(0, n + 1, max(1, n // 8)))
bottom.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
plt.show()

# %% [markdown]
# {numref}`fig-own-network` answers for this network two questions of the paper: how much each module
# matters, and which paths carry the gradient. Everything else in `helpers` takes such a network as
# well: many deletions at once ({doc}`01_deletion`), another order of the modules
# ({doc}`02_reordering`), sampled and signed paths ({doc}`04_path_gradients`).
#
# ## Where the ReLU goes
#
# A block of these ResNets has a ReLU *behind* its addition, on what both routes bring:
#
# $$ x_i = \mathrm{ReLU}\!\left(s_i(x_{i-1}) + f_i(x_{i-1})\right), $$ (eq-post-activation)
#
# where $s_i$ is the identity or a projection. That is not the paper's $y_i = y_{i-1} + f_i(y_{i-1})$.
# But let $z_i$ be the sum *before* that ReLU. Then
#
# $$ z_i = s_i\!\left(\mathrm{ReLU}(z_{i-1})\right) + f_i\!\left(\mathrm{ReLU}(z_{i-1})\right), $$ (eq-rebracketed)
#
# a skip connection plus a residual, each beginning with the ReLU of the block before. The network
# computes what it did; only the brackets are set elsewhere. A deleted module leaves the ReLU, as it
# does in the model when the last layer of the block's residual is set to zero, and the gradient of a
# path that skips the module still goes through its mask.

# %%
print(network.blocks[1])

# %% [markdown]
# ## A VisionTransformer
#
# Each layer of a VisionTransformer is two residual modules: attention, then an MLP. Its activations are
# tokens, $(B, T, D)$ in place of $(B, C, H, W)$, and nothing else changes. torchvision starts the
# last layer with zeros, which would let no gradient pass; so it gets random weights too.

# %%
vit = torchvision.models.VisionTransformer(
    image_size, patch_size=image_size // 4, num_layers=6, num_heads=4, hidden_dim=64, mlp_dim=128
)
nn.init.normal_(vit.heads.head.weight, std=0.02)
transformer = unravel(vit.eval(), images)
at_image = gradients.by_length(transformer, images, labels, at_image=True)
vit_shares = gradients.shares(at_image).tolist()

# %%
print(f"{len(transformer.blocks)} modules")
print(f"no gradient reaches the image along length 0: {not at_image[0].any()}")
print(f"length 1, from attention alone: ~{100 * vit_shares[1]:.1f} % of the gradient")

# %% [markdown]
# The second line holds for every VisionTransformer, trained or not: only the class token is
# classified, and only attention carries anything from the patches to it. A path around all attention
# modules never meets the image.
#
# ## A list of your own
#
# Any other model is unravelled by its parts. If its `forward` says `x = x + block(x)`, the blocks are
# the residuals, and the identity is their skip connection:
#
# ```python
# network = unravel(model, images, stem=model.embed, modules=list(model.blocks), head=model.head)
# ```
#
# Where the skip connection is another, a module is a pair. The RegNets of torchvision, for example,
# have a ReLU behind the addition again, and a projection where the shape changes:

# %%
regnet = torchvision.models.get_model("regnet_x_400mf").train()
with torch.no_grad():
    outputs = [regnet(images) for _ in range(5)]
blocks = [block for stage in regnet.trunk_output for block in stage]
skips = [nn.ReLU() if b.proj is None else nn.Sequential(nn.ReLU(), b.proj) for b in blocks]
modules = [(skip, nn.Sequential(nn.ReLU(), b.f)) for skip, b in zip(skips, blocks, strict=True)]
parts = {"stem": regnet.stem, "modules": modules}
head = nn.Sequential(nn.ReLU(), regnet.avgpool, nn.Flatten(), regnet.fc)
third = unravel(regnet.eval(), images, **parts, head=head)
regnet_shares = gradients.shares(gradients.by_length(third, images, labels)).tolist()

# %% [markdown]
# A list that does not make up the model is found out at once. Here the last ReLU is forgotten:

# %% tags=["nbval-ignore-output"]
try:
    unravel(regnet, images, **parts, head=head[1:])
except ValueError as error:
    print(error)

# %% [markdown]
# {numref}`fig-own-three` shows the three side by side. Even with random weights they differ in the
# length of the paths that carry gradient.

# %% mystnb={"image": {"alt": "Share of the gradient against path length as a fraction of all modules, a hump for each of the three networks of this page. A dotted line at one half marks the length of most paths."}, "figure": {"name": "fig-own-three", "caption": "The share of the gradient by path length in all three networks, at the first module (VisionTransformer: at the image). Most paths are at the dotted line. Random weights: an illustration of the tools. Live: computed on this machine."}}
fig, (ax,) = figures.canvas()
found = {model: shares, "VisionTransformer": vit_shares, "regnet_x_400mf": regnet_shares}
styles = [(figures.BLUE, "o"), (figures.ORANGE, "^"), (figures.GREEN, "s")]
ax.axvline(0.5, ymax=0.6, color=figures.GREY, lw=1, ls=":")
for (name, values), (color, marker) in zip(found.items(), styles, strict=True):
    last = len(values) - 1
    x, y = [k / last for k in range(last + 1)], [100 * share for share in values]
    ax.plot(x, y, color=color, marker=marker, ms=3, label=f"{name}, {last} modules")
ax.set(xlabel="path length / number of modules", ylabel="share of the gradient (%)")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# ## Try it
#
# Another of torchvision's ResNets, which may take a minute:
#
# ```bash
# mkdir -p runs
# papermill notebooks/your_own_network.ipynb runs/own.ipynb -p model resnet50 -p n_images 8
# ```
