"""Precision, autocast, inference and gradient mode: neutral inside, afterwards as found."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from helpers import by_module, combinatorics, gradients, signed
from helpers.exactness import exactly, finite
from helpers.network import ResidualModule, ResidualNetwork


def engines(network, images, labels):
    """Every engine's answer, from the same seed."""
    generator = torch.Generator().manual_seed(0)
    paths = combinatorics.every(4)[: len(images)]
    return [
        gradients.whole(network, images, labels, at_image=True),
        gradients.by_length(network, images, labels, at_image=True),
        gradients.along_paths(network, images, labels, paths, at_image=True),
        gradients.sampled_norms(network, images, labels, [1, 3], 3, generator, at_image=True),
        signed.mean_squares(network, images, labels, 3, generator, at_image=True)[0],
        by_module.module_shares(network, images, labels, at_image=True)[0],
    ]


def settings():
    """What each kind of operation may round, as it holds now."""
    gpu, cpu = torch.backends, torch.backends.mkldnn
    every = (gpu, gpu.cudnn, gpu.cudnn.conv, gpu.cudnn.rnn, gpu.cuda.matmul)
    return [part.fp32_precision for part in (*every, cpu.conv, cpu.rnn, cpu.matmul)]


@pytest.fixture
def put_back():
    """Whatever a test sets, PyTorch's own settings hold again."""
    yield
    gpu, cpu = torch.backends, torch.backends.mkldnn
    for part in (gpu, gpu.cudnn, gpu.cuda.matmul, cpu.conv, cpu.rnn, cpu.matmul):
        part.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    for part in (gpu.cuda.matmul, cpu.matmul):
        part.fp32_precision = "none"
    gpu.cudnn.allow_tf32 = True


STATES = {
    "as PyTorch starts": lambda gpu: None,
    "all": lambda gpu: setattr(gpu, "fp32_precision", "tf32"),
    "cuda": lambda gpu: setattr(gpu.cudnn, "fp32_precision", "tf32"),
    "products alone": lambda gpu: setattr(gpu.mkldnn.matmul, "fp32_precision", "bf16"),
    "one against all": lambda gpu: (
        setattr(gpu, "fp32_precision", "tf32"),
        setattr(gpu.cuda.matmul, "fp32_precision", "ieee"),
    ),
    "the older words": lambda gpu: torch.set_float32_matmul_precision("medium"),
}


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("later", ["ieee", "tf32", "none"])
@pytest.mark.parametrize("state", STATES)
def test_a_later_setting_takes_effect_as_it_would_have(state, later):
    """Everything that follows a global setting follows it still."""
    STATES[state](torch.backends)
    before = settings()
    torch.backends.fp32_precision, kept = later, torch.backends.fp32_precision
    expected = settings()
    torch.backends.fp32_precision = kept
    with exactly(nn.Identity()):
        assert settings()[2:] == ["ieee"] * 6
    assert settings() == before
    torch.backends.fp32_precision = later
    assert settings() == expected


def around(name):
    """A context that a caller may have opened."""
    return {
        "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        "no gradients": torch.no_grad,
        "inference": torch.inference_mode,
        "nothing": nullcontext,
    }[name]()


def modes():
    return (
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    )


NESTED = [("autocast", "inference"), ("inference", "autocast"), ("no gradients", "autocast"),
          ("autocast", "no gradients"), ("inference", "no gradients")]  # fmt: skip


@pytest.mark.parametrize("outer, inner", NESTED)
def test_whatever_the_caller_has_opened(four, images, labels, outer, inner):
    """The answers are those without it, bit for bit, and the caller's modes are as they were."""
    network, images = four.float(), images.float()
    expected, before = engines(network, images, labels), modes()
    with around(outer), around(inner):
        opened = modes()
        found = engines(network, images, labels)
        # Made in inference mode, as a data loader's may be.
        made_there = engines(network, images * 1, labels * 1)
        assert modes() == opened != before
    assert modes() == before
    for answers in (found, made_there):
        assert all(map(torch.equal, answers, expected))
        assert not any(answer.requires_grad for answer in answers)


@pytest.mark.parametrize("inner", ["autocast", "no gradients", "inference"])
def test_exactly_around_and_within(four, images, labels, inner):
    """In the other order: what is opened inside ends inside."""
    expected = gradients.by_length(four, images, labels)
    with exactly(four):
        before = modes()
        assert before == (False, False, False)
        with around(inner):
            assert torch.equal(gradients.by_length(four, images, labels), expected)
        assert modes() == before
    assert modes() == (False, True, False)


def test_after_an_error_in_the_callers_progress(four, images, labels, generator):
    """Also while the error is still being handled."""
    before, found = modes(), settings()

    def fail(*counts):
        raise KeyError("as asked")

    try:
        gradients.sampled_norms(four, images, labels, [2], 5, generator, progress=fail)
    except KeyError:
        assert (modes(), settings()) == (before, found)
    else:
        raise AssertionError("the error was swallowed")


def test_weights_made_in_inference_mode(new_network, images, labels):
    with torch.inference_mode():
        network = new_network()
    with pytest.raises(ValueError, match="weights made in inference mode .* deepcopy"):
        gradients.whole(network, images, labels)


# float16, bfloat16, and what is not finite.


def test_float16_is_refused(four, images, labels):
    """2^80 times a loss is beyond its range."""
    network, images = four.half(), images.half()
    for ask in (
        lambda: gradients.whole(network, images, labels),
        lambda: gradients.by_length(network, images, labels),
        lambda: signed.mean_squares(network, images, labels, 2, torch.Generator()),
        lambda: by_module.module_shares(network, images, labels),
    ):
        with pytest.raises(
            TypeError, match=r"float16: too narrow .* by .float\(\) or .bfloat16\(\)"
        ):
            ask()


def test_bfloat16_is_right_but_for_its_rounding(four, images, labels):
    exact = gradients.by_length(four, images, labels)
    found = gradients.by_length(four.bfloat16(), images.bfloat16(), labels)
    assert (found - exact).norm() / exact.norm() < 0.1
    assert (found[1] - exact[2]).norm() / exact[2].norm() > 0.3


@pytest.mark.parametrize("wrong", ["nan", "inf"])
@pytest.mark.parametrize("place", ["weight", "image"])
def test_what_is_not_finite_is_refused(four, images, labels, wrong, place, generator):
    if place == "weight":
        four.blocks[1].residual[2].weight.data[0, 0, 0, 0] = float(wrong)
    else:
        images[3, 0, 2, 2] = float(wrong)
    rows = torch.full((4,), 3)
    for ask in (
        lambda: gradients.whole(four, images, labels),
        lambda: gradients.by_length(four, images, labels),
        lambda: gradients.along_paths(four, images, labels, combinatorics.every(4)[-4:], rows=rows),
        lambda: gradients.sampled_norms(four, images, labels, [3, 4], 40, generator),
        lambda: signed.mean_squares(four, images, labels, 2, generator),
        lambda: by_module.module_shares(four, images, labels),
    ):
        with pytest.raises(ArithmeticError, match="a gradient is not finite"):
            ask()


def test_overflow_in_float32_is_refused():
    """A factor of 1e15 in each of four modules."""
    blocks = [ResidualModule(nn.Identity(), nn.Conv2d(1, 1, 1, bias=False)) for _ in range(4)]
    for block in blocks:
        block.residual.weight.data.fill_(1e15)
    network = ResidualNetwork(nn.Identity(), blocks, nn.Flatten()).eval()
    x, labels = torch.tensor([[1e-30, 2e-30]])[:, None, None], torch.tensor([0])
    with pytest.raises(ArithmeticError, match=r"Where float32 overflows, take network.double"):
        gradients.by_length(network, x, labels)
    assert gradients.by_length(network.double(), x.double(), labels).isfinite().all()


def test_finite():
    values = torch.tensor([1e38, 1e38, -3.0])
    assert finite(values) is values
    for wrong in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ArithmeticError):
            finite(torch.tensor([1.0, wrong]))
