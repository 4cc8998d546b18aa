"""Checkpoints: whole or not at all, and refused when they do not fit."""

import hashlib
import random
from multiprocessing.pool import ThreadPool

import pytest
import safetensors.torch
import torch
from torch import nn

from study.training import checkpoints


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "a.safetensors"


def small():
    """A layer with odd shapes and a buffer."""
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    return network.to(memory_format=torch.channels_last)


def test_round_trip(path, generator):
    tensors = {
        "a": torch.randn(2, 3, 4, 5, generator=generator).to(memory_format=torch.channels_last),
        "b": torch.tensor(7),
        "c": torch.randn(3, generator=generator).half(),
        "d": torch.randn(4, 6, generator=generator).T,
    }
    about = {"config": {"seed": 1, "rate": 0.1}, "list": [1, "two", None]}
    checkpoints.write(path, tensors, about)
    found, said = checkpoints.read(path)
    assert said == about
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)


def test_layers_that_are_in_two_places(path):
    """Their tensors share memory, and come back under both names."""
    layer = nn.BatchNorm2d(2)
    checkpoints.write(path, nn.ModuleList([layer, layer]).state_dict(), {})
    tensors, _ = checkpoints.read(path)
    assert torch.equal(tensors["0.weight"], tensors["1.weight"]) and len(tensors) == 10
    checkpoints.fill(nn.ModuleList([layer, layer]), tensors, path)


def test_no_file(path):
    with pytest.raises(FileNotFoundError, match=f"{path}: there is no such file"):
        checkpoints.read(path)


def test_damaged_files(path):
    """Cut off anywhere, empty, or something else entirely."""
    checkpoints.write(path, small().state_dict(), {"config": {}})
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:9], whole[:3], b"", b"x" * 500):
        path.write_bytes(damaged)
        with pytest.raises(checkpoints.CheckpointError) as caught:
            checkpoints.read(path)
        message = str(caught.value)
        assert message.startswith(f"{path} is damaged") and "\n" not in message


def test_fill():
    source, target = small(), small()
    target[1].running_mean += 3
    checkpoints.fill(target, source.state_dict(), "a")
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor)
    assert target[0].weight is not source[0].weight


def test_half_precision_fills_a_float32_network():
    source, target = small(), small()
    halves = {n: t.half() if t.is_floating_point() else t for n, t in source.state_dict().items()}
    checkpoints.fill(target, halves, "a")
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, source[0].weight.half().float())
    assert target[1].num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize(
    "other, reason",
    [
        (nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4)), r"0.bias is \(4,\) there, \(3,\)"),
        (nn.Sequential(nn.Conv2d(2, 3, 1)), "1.bias is missing there"),
        (nn.Sequential(*small(), nn.Linear(1, 1)), "2.bias is .* there, missing in this network"),
    ],
)
def test_another_architecture(untouched, other, reason):
    network = small()
    with untouched(network), pytest.raises(checkpoints.CheckpointError, match=reason) as caught:
        checkpoints.fill(network, other.state_dict(), "a.safetensors")
    assert str(caught.value).startswith("a.safetensors holds another architecture: ")


# Which weights these are.


def test_the_digest_of_weights_by_hand():
    """Names in order; of each its name, type and shape, and its bytes, little end first."""
    tensors = {"b": torch.tensor([[1, 2]], dtype=torch.int16), "a": torch.tensor(1.5)}
    said = b'["a", "torch.float32", []]' + bytes([0, 0, 0xC0, 0x3F])
    said += b'["b", "torch.int16", [1, 2]]' + bytes([1, 0, 2, 0])
    assert checkpoints.weights_digest(tensors) == hashlib.sha256(said).hexdigest()


def test_equal_weights_have_one_digest(path, generator):
    """However long they took, in whatever order and layout they lie."""
    a, b = torch.randn(2, 3, 4, 5, generator=generator), torch.randn(6, generator=generator)
    expected = checkpoints.weights_digest({"a": a, "b": b})
    others = {"b": b, "a": a.to(memory_format=torch.channels_last)}
    assert checkpoints.weights_digest(others) == expected
    for seconds in (1.0, 2.0):
        checkpoints.write(path, others, {"seconds": seconds})
        assert checkpoints.digest(path) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.tensor([1.0, 2.0, -0.0])},
        {"b": torch.tensor([1.0, 2.0, 0.0])},
        {"a": torch.tensor([[1.0, 2.0, 0.0]])},
        {"a": torch.tensor([1.0, 2.0, 0.0]).double()},
        {"a": torch.tensor([1.0, 2.0, 0.0]).view(torch.int32)},
        {"a": torch.tensor([1.0, 2.0, 0.0]), "b": torch.empty(0)},
        {},
    ],
)
def test_other_weights_have_another_digest(other):
    """Value, name, shape, type: each counts alone."""
    weights = {"a": torch.tensor([1.0, 2.0, 0.0])}
    assert checkpoints.weights_digest(other) != checkpoints.weights_digest(weights)


# What must never pass for what was written.


def states_of(path):
    """A network's checkpoint, and a part of its length in two."""
    checkpoints.write(path, small().state_dict(), {"config": {"seed": 1}, "seconds": 12.5})
    return path.read_bytes()


def refused(path, raw):
    """Whether bytes are refused by an error of one line that names their file."""
    path.write_bytes(raw)
    try:
        checkpoints.read(path)
    except checkpoints.CheckpointError as problem:
        assert str(path) in str(problem) and "\n" not in str(problem)
        return True
    return False


def flipped(path, count=None):
    """The bits of a small file whose flip passes for the file: of its header, its description, its
    sums and its tensors; all bits, or so many drawn at random."""
    whole, passed = states_of(path), []
    assert not refused(path, whole)
    bits = range(8 * len(whole))
    for bit in random.Random(0).sample(bits, count) if count else bits:
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        if not refused(path, bytes(raw)):
            passed.append(bit)
    return passed


def test_a_flipped_bit_is_noticed(path):
    assert flipped(path, 200) == []


@pytest.mark.slow
def test_any_flipped_bit_is_noticed(path):
    assert flipped(path) == []


def mutated(raw, draw):
    """Bytes with something done to them that disks, copies and editors do."""
    a, b = sorted(draw.randrange(len(raw)) for _ in range(2))
    kind = draw.randrange(8)
    if kind == 0:
        return raw[:a]
    if kind == 1:
        return raw[:a] + raw[b:]
    if kind == 2:
        return raw[:a] + bytes(b - a) + raw[b:]
    if kind == 3:
        return raw[:a] + draw.randbytes(b - a) + raw[b:]
    if kind == 4:
        return raw + draw.randbytes(1 + a)
    if kind == 5:
        return raw[b:] + raw[:b]
    if kind == 6:
        return raw[:a] + raw[a:b][::-1] + raw[b:]
    digits = [i for i, byte in enumerate(raw[:1500]) if chr(byte).isdigit()]
    at = draw.choice(digits)
    return raw[:at] + str(draw.randrange(10)).encode() + raw[at + 1 :]


def campaign(path, seeds):
    """The mutations that pass for the file, by their seed."""
    whole, passed = states_of(path), []
    for seed in seeds:
        raw = mutated(whole, random.Random(seed))
        if raw != whole and not refused(path, raw):
            passed.append(seed)
    return passed


def test_mutations_are_refused(path):
    assert campaign(path, range(40)) == []


@pytest.mark.slow
def test_many_mutations_are_refused(path):
    assert campaign(path, range(40, 5000)) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.float64])
def test_weights_that_are_not_finite(path, value, kind):
    tensors = small().state_dict()
    tensors["0.weight"] = tensors["0.weight"].to(kind)
    tensors["0.weight"][1, 1] = value
    checkpoints.write(path, tensors, {})
    expected = f"^{path}: 0.weight is not finite, so no network can use it$"
    with pytest.raises(checkpoints.CheckpointError, match=expected):
        checkpoints.read(path)


@pytest.mark.parametrize("lacks", ["about", "weights", "about_sum"])
def test_a_file_that_cannot_be_verified(path, lacks):
    """Such as one that another program wrote; it is told what to do."""
    states_of(path)
    tensors, metadata = checkpoints.parse(path.read_bytes(), path)
    del metadata[lacks]
    path.write_bytes(safetensors.torch.save(tensors, metadata))
    expected = f"does not say which weights .* `python -m study.training.older {path}` adds that$"
    with pytest.raises(checkpoints.CheckpointError, match=expected):
        checkpoints.read(path)


def test_files_of_another_kind(path):
    """They are good files, and not called damaged."""
    path.parent.mkdir()
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(checkpoints.CheckpointError, match="pointer of Git LFS: .*git lfs pull"):
        checkpoints.read(path)
    for old in (False, True):
        torch.save(small().state_dict(), path, _use_new_zipfile_serialization=not old)
        with pytest.raises(checkpoints.CheckpointError, match="a file of torch.save, not of safe"):
            checkpoints.read(path)


def test_a_folder_in_the_place_of_a_checkpoint(path):
    path.mkdir(parents=True)
    with pytest.raises(OSError, match=rf"^{path} cannot be read \(Is a directory\)$"):
        checkpoints.read(path)


def test_readers_against_a_writer(path):
    """Every reader gets one of the two states, whole."""
    states = [{"a": torch.full((200, 200), float(i)), "b": torch.tensor(i)} for i in (0, 1)]
    checkpoints.write(path, states[0], {"i": 0})

    def write():
        for k in range(60):
            checkpoints.write(path, states[k % 2], {"i": k % 2})

    with ThreadPool(1) as pool:
        written, seen = pool.apply_async(write), []
        while not written.ready():
            tensors, about = checkpoints.read(path)
            seen.append((about["i"], int(tensors["b"]), *tensors["a"].unique().tolist()))
        written.get()
    assert set(seen) <= {(0, 0, 0.0), (1, 1, 1.0)} and len(seen) > 1


def test_a_file_is_opened_once(path, monkeypatch):
    """Between two openings it could be replaced."""
    states_of(path)
    opened, read_bytes = [], type(path).read_bytes
    monkeypatch.setattr(type(path), "read_bytes", lambda p: opened.append(p) or read_bytes(p))
    checkpoints.read(path)
    assert opened == [path]
