"""Networks that others trained, read from their own formats."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from helpers import sweep
from study.data import load as load_data
from study.foreign import files, imagenet, postactivation, preactivation, tensor_bundle

CIFAR = {"preactivation": preactivation, "postactivation": postactivation}


@pytest.fixture(scope="session")
def foreign():
    """The folder named by FOREIGN_DIR."""
    folder = os.environ.get("FOREIGN_DIR")
    if not folder or not (Path(folder) / "cifar10-preact").is_dir():
        pytest.skip("needs the networks of others: set FOREIGN_DIR to a folder that holds them")
    return Path(folder)


# Files.


@pytest.fixture
def file(tmp_path):
    """A file of three bytes in a folder, and where it is."""
    source = files.Source("some", "owner/name", "c0ffee", "MIT")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # Of "abc".
    (tmp_path / "some").mkdir()
    (tmp_path / "some/a.bin").write_bytes(b"abc")
    return files.File(source, "deep/a.bin", sha256)


def test_a_file_in_a_folder(file, tmp_path):
    assert files.find(file, tmp_path) == tmp_path / "some/a.bin"
    assert file.address.endswith("/owner/name/c0ffee/deep/a.bin")


def test_the_folder_may_come_from_the_environment(file, tmp_path, monkeypatch):
    monkeypatch.setenv("FOREIGN_DIR", str(tmp_path))
    assert files.find(file) == tmp_path / "some/a.bin"


def test_a_file_that_is_not_there_or_another(file, tmp_path):
    (tmp_path / "some/a.bin").write_bytes(b"abd")
    with pytest.raises(files.ForeignFileError, match="a.bin has SHA-256 .*: fetch it again from"):
        files.find(file, tmp_path)
    (tmp_path / "some/a.bin").unlink()
    with pytest.raises(files.ForeignFileError, match="a.bin is missing: it is https://"):
        files.find(file, tmp_path)


def test_a_download_that_fails_says_what_to_do(file, tmp_path, monkeypatch):
    def refuse(*words, **options):
        raise OSError("no route")

    monkeypatch.delenv("FOREIGN_DIR", raising=False)
    monkeypatch.setattr(files.pooch, "retrieve", refuse)
    with pytest.raises(files.ForeignFileError, match="no route.*set FOREIGN_DIR to a folder that"):
        files.find(file)


# Tensor bundles.


def number(value):
    """A number of seven bits a byte, the lowest first."""
    raw = []
    while value > 127:
        raw.append(value & 127 | 128)
        value >>= 7
    return bytes([*raw, value])


def message(**by_field):
    """A protocol buffer of numbers and nested messages; fields are named f1, f2, ..."""
    found = b""
    for name, values in by_field.items():
        for value in values if isinstance(values, list) else [values]:
            tag = int(name[1:]) << 3
            if isinstance(value, bytes):
                found += number(tag | 2) + number(len(value)) + value
            else:
                found += number(tag) + number(value)
    return found


def block(entries):
    """A block of a sorted string table; keys share what they begin with.  Uncompressed."""
    found, before = b"", b""
    for key, value in entries:
        shared = len(os.path.commonprefix([key, before]))
        own = key[shared:]
        found += number(shared) + number(len(own)) + number(len(value)) + own + value
        before = key
    return found + bytes(4) + (1).to_bytes(4, "little")


def write_bundle(prefix, tensors, kind=0):
    """The bundle of some float32 tensors, in one shard."""
    data, entries = b"", [(b"", message(f1=1))]
    for name, tensor in sorted(tensors.items()):
        dims = [message(f1=size) for size in tensor.shape]
        about = message(f1=1, f2=message(f2=dims), f4=len(data), f5=tensor.nbytes)
        entries.append((name.encode(), about))
        data += tensor.tobytes()
    content = block(entries)
    index = block([(b"\xff", number(0) + number(len(content)))])
    raw = content + bytes([kind]) + bytes(4)
    handles = number(0) + number(0) + number(len(raw)) + number(len(index))
    raw += index + bytes(5) + handles.ljust(40, b"\0")
    raw += tensor_bundle.MAGIC.to_bytes(8, "little")
    Path(f"{prefix}.index").write_bytes(raw)
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)


@pytest.fixture
def tensors():
    """Tensors whose names begin alike, one of them without dimensions."""
    rng = np.random.default_rng(0)
    shapes = {"layer-1/kernel": (3, 3, 2, 200), "layer-1/bias": (200,), "layer-2/beta": ()}
    return {name: rng.random(shape, np.float32) for name, shape in shapes.items()}


def test_a_bundle(tmp_path, tensors):
    write_bundle(tmp_path / "net.tf", tensors)
    found = tensor_bundle.read(tmp_path / "net.tf")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].shape == tensor.shape and np.array_equal(found[name], tensor)


def test_a_bundle_that_is_none(tmp_path, tensors):
    prefix = tmp_path / "net.tf"
    with pytest.raises(FileNotFoundError):
        tensor_bundle.read(prefix)
    write_bundle(prefix, tensors, kind=1)
    with pytest.raises(tensor_bundle.BundleError, match="compressed"):
        tensor_bundle.read(prefix)
    write_bundle(prefix, tensors)
    (data,) = tmp_path.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(tensor_bundle.BundleError, match="ends before its tensors do"):
        tensor_bundle.read(prefix)
    Path(f"{prefix}.index").write_bytes(b"x" * 100)
    with pytest.raises(tensor_bundle.BundleError, match="no table"):
        tensor_bundle.read(prefix)


# Networks.


@pytest.mark.parametrize("depth", preactivation.DEPTHS)
def test_the_reader_finds_the_numbers_that_were_found_elsewhere(foreign, depth):
    """Beside each bundle the same numbers lie in another format, named by module."""
    network = preactivation.load(depth, foreign)
    expected = load_file(foreign / f"cifar10-preact/resnet{depth}.safetensors")
    own = {f"res.{i}": b.residual for i, b in enumerate(network.blocks)}
    own |= {f"skips.{i}": b.skip for i, b in enumerate(network.blocks)}
    found = {}
    for part, module in (own | {"stem": network.stem, "head": network.head}).items():
        # The original numbers its layers without the padding in front of strided convolutions.
        kept = [m for m in module if not isinstance(m, nn.ZeroPad2d)] if part[:3] == "res" else None
        module = nn.Sequential(*kept) if kept else module
        found |= {f"{part}.{name}": tensor for name, tensor in module.state_dict().items()}
    counted = [name for name in expected if name.endswith("num_batches_tracked")]
    assert found.keys() == expected.keys() and counted
    for name in expected.keys() - set(counted):
        assert torch.equal(found[name], expected[name]), name


@pytest.mark.parametrize("kind, known", [("preactivation", 0.0792), ("postactivation", 0.0827)])
def test_errors_are_those_that_were_measured(foreign, cifar_dir, kind, known):
    """On all test images; rounding may turn a few.  Padding on the wrong side costs two points."""
    test = load_data("cifar10", cifar_dir).test
    mean, std = (torch.tensor(s)[:, None, None] for s in (CIFAR[kind].MEAN, CIFAR[kind].STD))
    network = CIFAR[kind].load(20, foreign)
    (error,) = sweep.errors([network], (test.images / 255 - mean) / std, test.labels)
    assert error == pytest.approx(known, abs=5e-4)
    assert len(network.blocks) == 9 and not network.training


def test_batch_norm_is_that_of_keras():
    norms = [m for m in preactivation.build(20).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 19 and {norm.eps for norm in norms} == {1e-3}


@pytest.mark.parametrize("module", CIFAR.values(), ids=CIFAR)
def test_a_depth_that_there_is_not(module):
    with pytest.raises(ValueError, match="depth 110: expected one of 20, 32, 44, 56"):
        module.load(110)


def test_a_bundle_of_another_depth_is_refused(foreign):
    tensors = tensor_bundle.read(foreign / "cifar10-preact/cifar_resnet32_preactivated.tf")
    with pytest.raises(tensor_bundle.BundleError, match="65 layers: expected 41"):
        preactivation.fill(preactivation.build(20), tensors)


def test_a_quantised_weight_is_rows_of_a_codebook():
    """Two inputs of three taps: each code stands for the taps of one input."""
    layer = nn.Conv2d(2, 2, (1, 3), bias=False)
    book = torch.tensor([[1.0, 2, 3], [4, 5, 6]], dtype=torch.float16)
    model = nn.Sequential(layer, nn.BatchNorm2d(2))
    given = {
        "0.codes_matrix": torch.tensor([[0, 1], [1, 1]], dtype=torch.uint8),
        "0.codebook": book,
        "1.weight": torch.tensor([2.0, 3.0]),
        "1.bias": torch.tensor([0.5, 0.0]),
    }
    imagenet.decode(model, given)
    assert layer.weight[:, :, 0].tolist() == [[[1, 2, 3], [4, 5, 6]], [[4, 5, 6], [4, 5, 6]]]
    assert model[1].weight.tolist() == [2, 3] and model[1].eps == 0


def test_imagenet_networks_know_their_images(foreign):
    split = imagenet.images(foreign)
    assert split.images.shape == (1300, 3, 224, 224) and len(split.labels.unique()) == 725
    some = slice(0, 1300, 26)
    mean, std = (torch.tensor(s)[:, None, None] for s in (imagenet.MEAN, imagenet.STD))
    network = imagenet.load("resnet18", foreign)
    assert len(network.blocks) == 8
    images = (split.images[some] / 255 - mean) / std
    (error,) = sweep.errors([network], images, split.labels[some], batch_size=10)
    # 25.5% were measured on all; by chance it would be 99.9%.
    assert error < 0.5


def test_an_imagenet_network_that_there_is_not():
    with pytest.raises(ValueError, match="name 'resnet34': expected one of resnet18, resnet50"):
        imagenet.load("resnet34")
