"""Device and precision."""

import pytest
import torch

from helpers import devices


@pytest.fixture
def machine(monkeypatch):
    """Pretends which accelerators there are."""

    def pretend(cuda=False, mps=False, bfloat16=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bfloat16)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bfloat16)

    return pretend


@pytest.mark.parametrize(
    "found, expected",
    [
        ({"cuda": True, "mps": True}, "cuda"),
        ({"cuda": True}, "cuda"),
        ({"mps": True}, "mps"),
        ({}, "cpu"),
    ],
)
def test_the_fastest_device(machine, found, expected):
    machine(**found)
    assert devices.find_device() == torch.device(expected)


@pytest.mark.parametrize("device", ["cpu", "cuda", torch.device("cuda", 0)])
@pytest.mark.parametrize("native", [True, False])
def test_auto_is_mixed_precision_where_it_is_fast(machine, device, native):
    machine(bfloat16=native)
    assert devices.has_fast_bfloat16(device) is native
    assert not devices.has_fast_bfloat16("mps")


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    "precision, mixed", [("float32", False), ("bfloat16", True), ("auto", None)]
)
def test_autocast(machine, precision, mixed, native):
    machine(bfloat16=native)
    layer = torch.nn.Linear(2, 2)
    with devices.autocast("cpu", precision):
        found = layer(torch.zeros(1, 2)).dtype
    expected = native if mixed is None else mixed
    assert found == (torch.bfloat16 if expected else torch.float32)


def test_another_word():
    with pytest.raises(ValueError, match="precision 'half': expected 'auto', 'float32' or 'bfl"):
        devices.autocast("cpu", "half")


@pytest.mark.parametrize("fast, meant", [(True, "bfloat16"), (False, "float32")])
def test_resolve(monkeypatch, fast, meant):
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda _: fast)
    assert devices.resolve("cpu", "auto") == meant
    assert devices.resolve("cpu", "float32") == "float32"
    assert devices.resolve("cpu", "bfloat16") == "bfloat16"
    with pytest.raises(ValueError, match="'float16'.*expected"):
        devices.resolve("cpu", "float16")


def test_describe(monkeypatch):
    monkeypatch.setattr(devices.platform, "machine", lambda: "riscv")
    for threads, expected in ((3, "cpu (riscv, 3 threads)"), (1, "cpu (riscv, 1 thread)")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert devices.describe("cpu") == expected
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Abacus 9")
    assert devices.describe(torch.device("cuda")) == "cuda (Abacus 9)"
