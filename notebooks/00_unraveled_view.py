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
# # The unraveled view
#
# A residual network {cite:p}`he2015deep` adds to each module's input what the module makes of it. {cite:t}`veit2016residual` write, for an input $y_0$ and modules $i = 1, \dots, n$,
#
# $$ y_i = f_i(y_{i-1}) + y_{i-1}, $$ (eq-residual-module)
#
# where $f_i$ is the *residual*, some convolutions with batch normalisation {cite:p}`ioffe2015batch` and ReLU, and the bare $y_{i-1}$ is the *skip connection*. Put into itself twice, for three modules, the recursion unrolls into the paper's Equations 4 to 6:
#
# $$
# \begin{aligned}
# y_3 &= y_2 + f_3(y_2) \\
#     &= \left[y_1 + f_2(y_1)\right] + f_3\!\left(y_1 + f_2(y_1)\right) \\
#     &= \left[y_0 + f_1(y_0) + f_2(y_0 + f_1(y_0))\right] + f_3\!\left(y_0 + f_1(y_0) + f_2(y_0 + f_1(y_0))\right).
# \end{aligned}
# $$ (eq-unrolled)
#
# From the last line the paper reads off that there are many *paths* from input to output. At each module the data may enter the residual or take the skip connection, so a binary code $b \in \{0, 1\}^n$ names a path, there are $2^n$ of them, and the number of ones is the length of the path. This chapter draws them, and checks three statements:
#
# - **A1**: unrolling gives the same network, as a collection of $2^n$ paths. Is the network then a *sum* over its paths?
# - **A10**: deleting a module halves the number of paths; in a plain network, it leaves none.
# - **A11**: a highway network {cite:p}`srivastava2015highway` whose gates are all 0.5 is a residual network.
#
# These are questions of arithmetic. A small untrained network can answer them, in a few seconds and to the last digits of double precision.

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

import matplotlib.pyplot as plt
import torch
from torch import nn

from helpers import combinatorics, gradients, lesions, models
from helpers.network import HighwayModule, ResidualModule, ResidualNetwork
from study import data, notebook
from study.figures import drawings, state_sliders

# %% tags=["parameters"]
# Parameters of this chapter
n_modules: int = 3  # number of residual modules, 2 to 4 (more cannot be drawn)
code: str = "101"  # a path, one digit a module: 1 enters it, 0 skips it
deleted: int = 2  # number of the module to delete, 1 to n_modules
image: int = 0  # index of the digit that is the input, 0 to 63
seed: int = 0  # seed of the random weights

# %% tags=["remove-cell"]
chapter = notebook.begin(In, n_modules=(2, 4), deleted=(1, n_modules), image=(0, 63))  # noqa: F821

# %% [markdown]
# ## The picture
#
# {numref}`fig-unraveled` is the paper's Figure 1, drawn by code. At the top is Equation {eq}`eq-residual-module`: every module with its way around it. Below is the last line of Equation {eq}`eq-unrolled` as a tree. The boxes that carry the same label are one module with one set of weights, drawn once for every place in which it stands in the formula.

# %% mystnb={"figure": {"caption": "A residual network in both views (Figure 1 of the paper). (a) As it is usually drawn. (b) Unraveled: one branch for every path, labelled with its code, whose first digit belongs to f1. Circles are additions; boxes of one colour and label share their weights. Of two branches that meet, the upper one skipped the module, the lower one entered it.", "name": "fig-unraveled"}, "image": {"alt": "Two drawings of one residual network. Top: modules f1, f2, ... in a row, each with a skip connection over it and an addition after it. Bottom: the same network as a tree; from the input y0 one branch for every binary code, joined in pairs by additions, with copies of the modules on the lower branch of each pair."}}
figure, (top, bottom) = drawings.canvas(2, 2**n_modules)
drawings.chain(top, n_modules).set_title("(a) as it is usually drawn")
drawings.unraveled(bottom, n_modules).set_title("(b) unraveled")
plt.show()

# %% [markdown]
# ## One network, evaluated twice
#
# The network for this chapter is the beginning of a pre-activation ResNet {cite:p}`he2016identity`: its first convolution and its first modules, with random weights, in float64. Its head averages each channel. A batch of handwritten digits {cite:p}`alpaydin1998digits`, passed through it a few times, sets the running means and variances of batch normalisation, which then stay as they are; one of the digits is the input from here on.

# %%
digits = data.load("digits")
batch, labels = digits.normalise(digits.test.images[:64]), digits.test.labels[:64]
deep = models.build("resnet", seed, depth=6 * n_modules + 2, in_channels=1)
head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
network = ResidualNetwork(deep.stem, list(deep.blocks[:n_modules]), head).train()
with torch.no_grad():
    outputs = [network(batch) for _ in range(5)]
network.double().eval().requires_grad_(False)
x, label = batch[[image]].double(), labels[[image]]

# %% [markdown]
# First the usual way, module after module. Then the tree of {numref}`fig-unraveled`, from the left: begin with $2^n$ copies of $y_0$, and let each module join the branches in pairs, one that skips it and one that enters it. That is the last line of Equation {eq}`eq-unrolled`, with every repetition computed anew.

# %%
residuals = [block.residual for block in network.blocks]
ys = [network.stem(x)]
for block in network.blocks:
    ys.append(block(ys[-1]))
branches = [ys[0]] * combinatorics.count(n_modules)
for i, f in enumerate(residuals, 1):
    branches = [skip + f(enter) for skip, enter in zip(branches[::2], branches[1::2], strict=True)]
    print(f"copies of f{i}: {len(branches)}")
tree = branches[0]
print(f"tree equals chain, max difference < 1e-12: {bool((tree - ys[-1]).abs().max() < 1e-12)}")

# %% [markdown]
# So far the paper is right: the two are the same function, and every branch of the tree carries data. But a tree with $2^n$ leaves is not yet a sum of $2^n$ terms. Written as a sum, the last line of Equation {eq}`eq-unrolled` has only $n + 1$ of them, the input and the answer of each module,
#
# $$ y_n = y_0 + f_1(y_0) + f_2(y_1) + \dots + f_n(y_{n-1}), $$ (eq-additive-terms)
#
# and each of these modules answers to the *sum* of all the branches that reach it.

# %%
terms = [ys[0]] + [f(y) for f, y in zip(residuals, ys[:-1], strict=True)]
same = bool((sum(terms) - ys[-1]).abs().max() < 1e-12)
print(f"{len(terms)} terms add up to y{n_modules}, max difference < 1e-12: {same}")

# %% [markdown]
# ## Why the forward pass is no sum over paths
#
# Could the sum be taken further apart? Suppose that each path were a network of its own: path 101 would compute $f_3(f_1(y_0))$, path 011 would compute $f_3(f_2(y_0))$, and the residual network would add up all $2^n$ answers. For that we would have to pull the modules through the additions,
#
# $$ f_2(y_0 + f_1(y_0)) \stackrel{?}{=} f_2(y_0) + f_2(f_1(y_0)), $$ (eq-distribute)
#
# and this is the law of a *linear* map. A ReLU does not obey it: $\mathrm{ReLU}(1) + \mathrm{ReLU}(-1) = 1$, but $\mathrm{ReLU}(1 - 1) = 0$. Let us try it with three kinds of residual: the convolutions alone, which are linear; the convolutions with their ReLUs; and the full modules with batch normalisation.

# %%
relu_only = [nn.Sequential(*[g for g in f if not isinstance(g, nn.BatchNorm2d)]) for f in residuals]
linear = [nn.Sequential(*[g for g in f if isinstance(g, nn.Conv2d)]) for f in residuals]
for name, fs in {"linear": linear, "with ReLU": relu_only, "full": residuals}.items():
    whole, total = ys[0], torch.zeros_like(ys[0])
    for f in fs:
        whole = whole + f(whole)
    for path in combinatorics.every(n_modules).tolist():
        answer = ys[0]
        for f in [f for f, enters in zip(fs, path, strict=True) if enters]:
            answer = f(answer)
        total += answer
    off = float((total - whole).norm() / whole.norm())
    print(f"{name:9}  is the sum over {len(branches) * 2**n_modules} paths: {off < 1e-12}", end="")
    print(f"  (off by ~{100 * off:.0f}%)" if off > 1e-12 else "")

# %% [markdown]
# With linear modules the sum over paths *is* the network. With nonlinear ones it is not, as soon as there are two modules. A residual network is therefore no ensemble in the literal sense, in which independent members are added up or averaged; the paper says as much itself ("not strict ensembles"). What it claims is that the network *behaves* like one when it is damaged, and that is a question for experiments: {doc}`01_deletion` and {doc}`02_reordering`.
#
# ## Why the gradient is
#
# The gradient is another matter. The derivative of a composition is a product of derivatives, and a derivative is a linear map, so that here we may multiply out. With $J_i$ the Jacobian of $f_i$ at $y_{i-1}$, and $\mathcal{L}$ the loss,
#
# $$ \frac{\partial \mathcal{L}}{\partial y_0} = \frac{\partial \mathcal{L}}{\partial y_n} (I + J_n) \cdots (I + J_1) = \sum_{b \in \{0,1\}^n} \frac{\partial \mathcal{L}}{\partial y_n} \prod_{i = n, \dots, 1} J_i^{\,b_i}, $$ (eq-path-sum)
#
# where $J_i^0 = I$. This holds for any modules that can be differentiated, as a ReLU can be everywhere but at zero: one term for each path, $2^n$ in all. We send the gradient back along each of them, through the residual where the code has a 1 and through the skip connection where it has a 0, and compare their sum with the gradient of ordinary backpropagation.

# %%
every = combinatorics.every(n_modules)
one_image = torch.zeros(len(every), dtype=torch.int64)
along = gradients.along_paths(network, x, label, every, rows=one_image)
whole = gradients.whole(network, x, label)[0]
error = float((along.sum(0) - whole).norm() / whole.norm())
print(f"{len(along)} paths add up to the gradient, relative difference < 1e-12: {error < 1e-12}")

# %% [markdown]
# The paths can also be collected by length. `gradients.by_length` finds those sums without visiting the paths, in a number of steps that grows as $n^2$ instead of $2^n$; {doc}`04_path_gradients` relies on it for the $2^{54}$ paths of a network of 110 layers. Here both ways can be compared.

# %%
by_length = gradients.by_length(network, x, label)[:, 0]
lengths = every.sum(1)
for k, (count, found) in enumerate(zip(combinatorics.counts_by_length(n_modules), by_length, strict=True)):
    error = float((along[lengths == k].sum(0) - found).norm() / whole.norm())
    print(f"length {k}: {count} of the paths, relative difference < 1e-12: {error < 1e-12}")

# %% [markdown]
# One caution goes with Equation {eq}`eq-path-sum`. Each $J_i$ is taken at $y_{i-1}$, the point to which *all* earlier modules together have led. The terms are the paths of one network; they are not the gradients of $2^n$ separate networks.
#
# ## A path by its code
#
# {numref}`fig-path` follows the path of the parameter `code` through both views. Below it is the path's share in the gradient: the part of it that points along the whole, $\langle g_b, g \rangle / \langle g, g \rangle$ with $g_b$ the term of path $b$ and $g$ the sum of all. Shares add up to 1, and one is negative where its path points against the whole.

# %% mystnb={"figure": {"caption": "One path in both views. The thick line enters a module where its code has a 1 and takes the skip connection where it has a 0; in (b) it begins at the branch that carries the code. A path of another code is drawn by changing one parameter.", "name": "fig-path"}, "image": {"alt": "The same two drawings of a residual network with one path drawn as a thick blue line from input to output: through the boxes of the modules that the code enters, around those that it skips. All else is thin and grey."}}
figure, (top, bottom) = drawings.canvas(2, 2**n_modules)
drawings.chain(top, n_modules, code).set_title(f"(a) path {code}")
drawings.unraveled(bottom, n_modules, code).set_title("(b) the same path, unraveled")
plt.show()

# %%
share = gradients.shares(along[:, None]).tolist()
chosen = combinatorics.from_code(code).tolist()
print(f"path {code}: length {sum(chosen)}, share ~{share[every.tolist().index(chosen)]:.4f}")
print(f"all {len(share)} shares add up to 1: {abs(sum(share) - 1) < 1e-12}")

# %% [markdown]
# The slider goes through all codes.

# %% tags=["hide-input"]
state_sliders.by_path(every.int().tolist(), share, start=code)

# %% [markdown]
# ## Deleting a module
#
# To delete module $d$ is to keep its skip connection and drop its residual: $y_d = y_{d-1}$, hence $J_d = 0$. In Equation {eq}`eq-path-sum` every term with $b_d = 1$ vanishes, and that is half of them. A plain network has a single path, the one through all its layers {cite:p}`simonyan2014vgg`, and that one goes through the deleted layer. (What is left in the layer's place is the identity, so that data still flows, but along a path that the network never had.) {numref}`fig-deleted` draws both, as Figure 2 of the paper does.

# %% mystnb={"figure": {"caption": "Deleting a module (Figure 2 of the paper). (a) In a residual network the half of the paths that enter the module is gone (dotted), the other half still connects input and output. (b) A plain network has one path, and it is cut.", "name": "fig-deleted"}, "image": {"alt": "Top: the unraveled residual network with every copy of one module crossed out; the half of the branches that lead into it is dotted and grey, the other half is intact. Bottom: a plain chain of modules without skip connections; one is crossed out and the whole chain is dotted and grey."}}
figure, (top, bottom) = drawings.canvas(2**n_modules, 1.25)
drawings.unraveled(top, n_modules, deleted=deleted - 1).set_title("(a) residual network")
drawings.feed_forward(bottom, n_modules, deleted=deleted - 1).set_title("(b) plain network")
plt.show()

# %% [markdown]
# Now by enumeration: delete the module, send the gradient back along all $2^n$ paths, and count those on which any arrives.

# %%
lesioned = lesions.delete(network, [deleted - 1])
still = gradients.norms(gradients.along_paths(lesioned, x, label, every, rows=one_image)) > 0
plain = every[every.all(dim=1)]
print(f"residual network: {len(every)} paths before, {int(still.sum())} after")
print(f"exactly those that skip module {deleted}: {torch.equal(still, ~every[:, deleted - 1])}")
print(f"plain network: {len(plain)} path before, {int((~plain[:, deleted - 1]).sum())} after")

# %% [markdown]
# Counting is all that A10 is about. The paths that remain do not carry what they carried before, because everything after the gap now receives another input. By how much that matters in a trained network is what {doc}`01_deletion` measures.
#
# ## Highway networks with every gate at one half
#
# A highway network weighs its two branches by a gate $t$ that depends on the input (Equation 3 of the paper),
#
# $$ y_{i+1} = f_{i+1}(y_i)\, t_{i+1}(y_i) + y_i \left(1 - t_{i+1}(y_i)\right). $$ (eq-highway)
#
# The paper calls it equivalent to a residual network when $t = 0.5$. Then each module halves what a residual module would return, so look at $z_i = 2^i y_i$ instead, where the halves cancel:
#
# $$ z_{i+1} = z_i + 2^i f_{i+1}\!\left(z_i / 2^i\right). $$ (eq-highway-scaled)
#
# This is a residual network, for any $f$, and its modules are $2^i f_{i+1}(\cdot / 2^i)$. They are the *same* modules only if a factor passes through $f$ unchanged, that is if $f(cx) = c f(x)$ for positive $c$. Convolutions without bias, and ReLUs, let it pass. Batch normalisation does not, since it subtracts a mean and divides by a deviation that do not scale along. A gate of exactly one half is a sigmoid after a convolution whose weights and bias are zero.

# %%
gate = nn.Sequential(nn.Conv2d(ys[0].shape[1], 1, kernel_size=1), nn.Sigmoid()).double()
for p in gate.requires_grad_(False).parameters():
    nn.init.zeros_(p)
print(f"the gate is 0.5 everywhere: {bool((gate(ys[0]) == 0.5).all())}")

# %% [markdown]
# Three networks from the same weights: the highway network, its output multiplied by $2^n$; the recursion of Equation {eq}`eq-highway-scaled`; and the residual network with the modules as they are. The first two should agree always, the third only without batch normalisation.

# %%
for name, fs in {"without batch norm": relu_only, "batch norm first": residuals}.items():
    highway, residual = ys[0], ys[0]
    z = ys[0]
    for i, f in enumerate(fs):
        highway = HighwayModule(f, gate)(highway)
        residual = ResidualModule(nn.Identity(), f)(residual)
        z = z + 2**i * f(z / 2**i)
    off = [float((v - 2**n_modules * highway).norm() / v.norm()) for v in (z, residual)]
    print(f"{name}, the recursion for z holds: {off[0] < 1e-12}")
    print(f"{name}, the same residual network: {off[1] < 1e-12}", end="")
    print(f" (off by ~{100 * off[1]:.0f}%)" if off[1] > 1e-12 else "")

# %% [markdown]
# The paper's statement stands up to scale, and with modules rescaled to match. Its own modules begin with batch normalisation, and for those a highway network at one half and a residual network with the same weights compute different things.
#
# ## Verdicts

# %% tags=["hide-input"]
chapter.verdicts("A1", "A10", "A11")

# %% [markdown]
# ## Try it
#
# Another path, another lesion (`-r` keeps the code a string of digits, `-p` would read it as a number):
#
# ```bash
# mkdir -p runs
# papermill notebooks/00_unraveled_view.ipynb runs/00.ipynb -p n_modules 4 -r code 0110 -p deleted 3
# ```
