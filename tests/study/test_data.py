"""Images: layouts, checksums, augmentation, and what is said when files are wrong."""

import hashlib
import pickle
import shutil
import warnings
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.datasets import CIFAR10

from study import data
from study.data import folders, image_files

BINARY = {**image_files.CIFAR10_TRAIN, **image_files.CIFAR10_TEST}
PICKLED = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]

# Digits.


def test_digits():
    """1,797 digits, every fifth for the test, as enlarged when this was written."""
    digits = data.load("digits")
    assert digits.name == "digits" and digits.channels == 1
    assert digits.classes == list("0123456789")
    for split, n in ((digits.train, 1437), (digits.test, 360)):
        assert split.images.shape == (n, 1, 16, 16) and split.images.dtype == torch.uint8
        assert split.labels.shape == (n,) and split.labels.dtype == torch.int64
    assert digits.train.checksum.startswith("e67868501f1a1705")
    assert digits.test.checksum.startswith("1a3f7e467b88fac4")


def test_digits_are_those_of_scikit_learn():
    """Enlarged twofold and averaged two by two: 1/8, 3/4, 1/8 of neighbours, but for rounding."""
    from sklearn.datasets import load_digits

    small = torch.from_numpy(load_digits().images[::5]).float()[:, None] * 255 / 16
    weights = torch.tensor([1 / 8, 3 / 4, 1 / 8])
    padded = F.pad(small, (1, 1, 1, 1), mode="replicate")
    expected = F.conv2d(padded, weights.outer(weights)[None, None])
    digits = data.load("digits")
    assert (F.avg_pool2d(digits.test.images.float(), 2) - expected).abs().max() <= 0.5 + 1e-3
    assert digits.test.labels.tolist() == load_digits().target[::5].tolist()


def test_no_image_is_in_both_splits():
    digits = data.load("digits")
    train, test = ({i.numpy().tobytes() for i in s.images} for s in (digits.train, digits.test))
    assert len(train) == 1437 and not train & test


# Splits.


def test_first():
    split = data.Split(torch.arange(12, dtype=torch.uint8).reshape(3, 1, 2, 2), torch.arange(3))
    assert split.first(2).images.shape == (2, 1, 2, 2)
    assert split.first(3).labels.tolist() == [0, 1, 2]
    for wrong in (0, -1, 4):
        with pytest.raises(ValueError, match=f"{wrong} images: expected 1 to 3"):
            split.first(wrong)


def test_the_checksum_covers_every_pixel_and_label():
    images, labels = torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1])
    pixel = images.clone()
    pixel[1, 0, 1, 1] = 1
    splits = [(images, labels), (pixel, labels), (images, torch.tensor([0, 2]))]
    assert len({data.Split(*s).checksum for s in splits}) == 3
    expected = hashlib.sha256(bytes(8) + bytes(8) + b"\1" + bytes(7)).hexdigest()
    assert data.Split(images, labels).checksum == expected


# Statistics and augmentation.


def made_up(images, pad=0, flip=False, statistics=None):
    """A data set of these training images."""
    split = data.Split(images, torch.zeros(len(images), dtype=torch.int64))
    return data.Dataset("made up", ["a"], pad, flip, lambda _: split, statistics)


def test_statistics(generator):
    images = torch.randint(256, (5, 3, 4, 6), generator=generator, dtype=torch.uint8)
    images[:, 1] //= 3
    mean, std = made_up(images).statistics
    pixels = images.double().transpose(0, 1).flatten(1) / 255
    assert mean == pytest.approx(pixels.mean(1).tolist(), rel=1e-12)
    assert std == pytest.approx(pixels.std(1, correction=0).tolist(), rel=1e-9)


def test_normalise(generator):
    images = torch.randint(256, (6, 3, 4, 4), generator=generator, dtype=torch.uint8)
    images[:, 2] //= 2
    x = made_up(images).normalise(images)
    assert x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)
    pixels = x.transpose(0, 1).flatten(1)
    assert pixels.mean(1).abs().max() < 1e-5
    assert (pixels.std(1, correction=0) - 1).abs().max() < 1e-5
    given = made_up(images, statistics=((0.5,) * 3, (0.25,) * 3)).normalise(images)
    assert torch.allclose(given, (images.float() / 255 - 0.5) / 0.25, atol=1e-6)


@pytest.mark.parametrize("flip", [True, False])
def test_augment_crops_the_padded_image(generator, flip):
    """Each result is one of the crops found by brute force, and all crops occur alike."""
    pad, batch = 1, 1800
    x = torch.randn(1, 2, 4, 5, generator=generator).expand(batch, -1, -1, -1)
    x = x * torch.arange(1, batch + 1)[:, None, None, None]
    found = made_up(torch.empty(0), pad, flip).augment(x, generator)
    assert found.shape == x.shape and found.dtype == x.dtype
    seen = []
    for image, result in zip(x, found, strict=True):
        padded = torch.zeros(2, 6, 7)
        padded[:, 1:5, 1:6] = image
        crops = [padded[:, i : i + 4, j : j + 5] for i in range(3) for j in range(3)]
        crops += [crop.flip(2) for crop in crops] if flip else []
        (place,) = [n for n, crop in enumerate(crops) if torch.equal(crop, result)]
        seen.append(place)
    counts = torch.tensor(seen).bincount(minlength=9)
    assert len(counts) == (18 if flip else 9)
    expected = batch / len(counts)
    # Chi-square with 17 degrees of freedom: 99% of draws are below 33.4.
    assert ((counts - expected) ** 2 / expected).sum() < 33.4


@pytest.mark.usefixtures("no_global_draws")
def test_the_same_generator_gives_the_same_crops():
    x = torch.arange(8 * 64.0).reshape(8, 1, 8, 8)

    def crops(seed):
        return made_up(torch.empty(0), 2, True).augment(x, torch.Generator().manual_seed(seed))

    assert torch.equal(crops(1), crops(1))
    assert not torch.equal(crops(1), crops(2))


def test_digits_are_not_mirrored_and_cifar_is(cifar_like):
    assert (data.load("digits").pad, data.load("digits").flip) == (2, False)
    cifar = data.load("cifar10", cifar_like)
    assert (cifar.pad, cifar.flip) == (4, True)


# CIFAR-10, in miniature: two images a file, with checksums to match.


@pytest.fixture
def cifar_like(tmp_path, monkeypatch):
    """A folder that holds both layouts of the same twelve images."""
    draw = np.random.default_rng(0)
    sums, md5 = {}, {}
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / CIFAR10.base_folder).mkdir()
    for name, pickled in zip(BINARY, PICKLED, strict=True):
        labels = draw.integers(10, size=2, dtype=np.uint8)
        pixels = draw.integers(256, size=(2, 3072), dtype=np.uint8)
        raw = np.concatenate([labels[:, None], pixels], axis=1).tobytes()
        (tmp_path / "cifar-10-batches-bin" / name).write_bytes(raw)
        sums[name] = hashlib.sha1(raw).hexdigest()
        raw = pickle.dumps({"data": pixels, "labels": labels.tolist()})
        (tmp_path / CIFAR10.base_folder / pickled).write_bytes(raw)
        md5[pickled] = hashlib.md5(raw).hexdigest()
    raw = pickle.dumps({"label_names": ["a"] * 10})
    (tmp_path / CIFAR10.base_folder / "batches.meta").write_bytes(raw)
    meta = {**CIFAR10.meta, "md5": hashlib.md5(raw).hexdigest()}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    monkeypatch.setattr(CIFAR10, "train_list", [[n, md5[n]] for n in PICKLED[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(image_files, "CIFAR10_TRAIN", {n: sums[n] for n in list(BINARY)[:5]})
    monkeypatch.setattr(image_files, "CIFAR10_TEST", {"test_batch.bin": sums["test_batch.bin"]})
    monkeypatch.setattr(image_files, "CIFAR10_BYTES", 2 * 3073)
    return tmp_path


def only(root, layout):
    """Leave one layout of the two."""
    other = {"bin": "py", "py": "bin"}[layout]
    shutil.rmtree(root / f"cifar-10-batches-{other}")
    return root


def test_binary_records(cifar_like):
    """A label byte, then red, green and blue, row by row."""
    cifar = data.load("cifar10", only(cifar_like, "bin"))
    raw = (cifar_like / "cifar-10-batches-bin" / "data_batch_2.bin").read_bytes()
    assert cifar.train.labels[2] == raw[0]
    assert cifar.train.images[2, 0, 0, :3].tolist() == list(raw[1:4])
    assert cifar.train.images[2, 1, 0, 0] == raw[1 + 1024]
    assert cifar.train.images[2, 2, 31, 31] == raw[3072]
    assert cifar.train.images.shape == (10, 3, 32, 32) and cifar.test.images.shape[0] == 2
    assert cifar.classes[3] == "cat" and len(cifar.classes) == 10


def test_the_pickled_layout_holds_the_same(cifar_like, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "data"
    shutil.copytree(cifar_like, copy)
    binary = data.load("cifar10", only(cifar_like, "bin"))
    pickled = data.load("cifar10", only(copy, "py"))
    assert binary.train.checksum == pickled.train.checksum
    assert binary.test.checksum == pickled.test.checksum
    assert pickled.train.images.dtype == torch.uint8


def test_the_folder_comes_from_the_environment(cifar_like, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(cifar_like))
    assert len(data.load("cifar10").test.labels) == 2


def one_line(problem):
    """The message, which must be one line."""
    assert "\n" not in str(problem.value)
    return str(problem.value)


def read_all(root):
    """Both splits, the test first, as a chapter that trains nothing reads them."""
    cifar = data.load("cifar10", root)
    return cifar.test, cifar.train


@pytest.mark.parametrize("layout, names", [("bin", list(BINARY)), ("py", PICKLED)])
@pytest.mark.parametrize("wrong", ["missing", "truncated", "damaged"])
def test_a_wrong_file_is_named(cifar_like, layout, names, wrong):
    folder = only(cifar_like, layout) / f"cifar-10-batches-{layout}"
    for name in (names[2], names[-1]):
        path, whole = folder / name, (folder / name).read_bytes()
        if wrong == "missing":
            path.unlink()
        elif wrong == "truncated":
            path.write_bytes(whole[:-1])
        else:
            path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(data.DataError) as caught:
            read_all(cifar_like)
        assert str(path) in one_line(caught)
        path.write_bytes(whole)
    assert read_all(cifar_like)


def test_a_short_binary_file_is_told_by_its_length(cifar_like):
    path = only(cifar_like, "bin") / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:3073])
    with pytest.raises(data.DataError, match="has 3073 bytes, not 6146"):
        read_all(cifar_like)


@pytest.mark.parametrize("wrong", ["missing", "damaged"])
def test_a_wrong_batches_meta(cifar_like, wrong):
    """torchvision also asks for this file, though nothing here needs it."""
    path = only(cifar_like, "py") / CIFAR10.base_folder / "batches.meta"
    path.unlink() if wrong == "missing" else path.write_bytes(b"no pickle")
    with pytest.raises(data.DataError, match="batches.meta"):
        read_all(cifar_like)


def test_no_network(tmp_path, monkeypatch, capsys):
    def unreachable(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(data.DataError) as caught:
        data.load("cifar10", tmp_path)
    message = one_line(caught)
    assert "no route to host" in message and str(tmp_path) in message
    assert "set DATA_DIR to a folder that holds cifar-10-batches-bin" in message
    assert list(tmp_path.iterdir()) == []


def fake_download(source, finishes=True):
    """Stands for torchvision's download: copies the pickled layout, or breaks off half-way."""

    def download(self):
        folder = Path(self.root) / CIFAR10.base_folder
        folder.mkdir()
        for path in sorted(source.iterdir())[: None if finishes else 3]:
            shutil.copy(path, folder)
        if not finishes:
            raise ConnectionResetError("connection reset by peer")

    return download


def test_a_download_is_kept(cifar_like, tmp_path_factory, monkeypatch):
    """It is made once, and nothing else is left in the folder, which is made if need be."""
    root = tmp_path_factory.mktemp("new") / "data"
    download = fake_download(cifar_like / CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "download", download)
    found = data.load("cifar10", root)
    assert [path.name for path in root.iterdir()] == [CIFAR10.base_folder]
    monkeypatch.setattr(CIFAR10, "download", None)
    again = data.load("cifar10", root)
    expected = data.load("cifar10", only(cifar_like, "bin"))
    assert found.train.checksum == again.train.checksum == expected.train.checksum


def test_half_a_download_is_thrown_away(cifar_like, tmp_path_factory, monkeypatch):
    root = tmp_path_factory.mktemp("new")
    download = fake_download(cifar_like / CIFAR10.base_folder, finishes=False)
    monkeypatch.setattr(CIFAR10, "download", download)
    with pytest.raises(data.DataError, match="connection reset by peer") as caught:
        data.load("cifar10", root)
    error = caught.value
    assert error.__suppress_context__ and error.__cause__ is None, "one error, not three"
    assert list(root.iterdir()) == []


# CIFAR-10 itself, where it is.


def test_cifar10(cifar_dir):
    cifar = data.load("cifar10", cifar_dir)
    for split, n in ((cifar.train, 50_000), (cifar.test, 10_000)):
        assert split.images.shape == (n, 3, 32, 32)
        assert split.labels.bincount().tolist() == [n // 10] * 10
    # A frog and two trucks; a cat and two ships.
    assert [cifar.classes[i] for i in cifar.train.labels[:3]] == ["frog", "truck", "truck"]
    assert [cifar.classes[i] for i in cifar.test.labels[:3]] == ["cat", "ship", "ship"]
    mean, std = cifar.statistics
    assert mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-5)
    assert std == pytest.approx((0.2470, 0.2435, 0.2616), abs=5e-5)
    x = cifar.normalise(cifar.train.images[:256])
    assert x.mean(dim=(0, 2, 3)).abs().max() < 0.2
    assert (x.std(dim=(0, 2, 3)) - 1).abs().max() < 0.1


# Folders of images.


@pytest.fixture
def folder(tmp_path):
    """Two classes of one colour each; sides and modes of the files differ."""
    for split, n in (("train", 3), ("val", 2)):
        for colour in ("blue", "red"):
            (tmp_path / split / colour).mkdir(parents=True)
            for i in range(n):
                image = Image.new("RGB", (40 + 9 * i, 30 + 5 * i), colour)
                image.save(tmp_path / split / colour / f"{i}.png")
    Image.new("L", (50, 50), 100).save(tmp_path / "train" / "red" / "grey.png")
    return tmp_path


@pytest.mark.parametrize("name", ["val", "test"])
def test_folder(folder, name):
    (folder / "val").rename(folder / name)
    found = data.load(f"folder:{folder}", image_size=24)
    assert found.classes == ["blue", "red"] and found.channels == 3
    assert found.train.images.shape == (7, 3, 24, 24) and found.train.images.dtype == torch.uint8
    assert found.test.images.shape == (4, 3, 24, 24)
    assert found.train.labels.tolist() == [0] * 3 + [1] * 4
    assert found.test.labels.tolist() == [0, 0, 1, 1]
    colours = {tuple(i.flatten(1).unique(dim=1).flatten().tolist()) for i in found.test.images}
    assert colours == {(0, 0, 255), (255, 0, 0)}
    assert found.train.images[-1].unique().tolist() == [100]
    assert found.pad == 3 and found.flip
    assert found.statistics[0] == (0.485, 0.456, 0.406)


def test_a_folder_is_resized_then_cropped_at_the_centre(folder):
    """A black image with a white frame: the crop, 7/8 of the side, leaves the frame out."""
    image = Image.new("L", (320, 320), 255)
    image.paste(0, (10, 10, 310, 310))
    image.save(folder / "val" / "blue" / "0.png")
    found = data.load(f"folder:{folder}", image_size=56)
    assert found.test.images[0].max() == 0
    assert found.test.images.shape[-1] == 56


def test_folders_that_are_not_there(tmp_path, folder):
    with pytest.raises(data.DataError, match=r"expected the folders train/ and test/"):
        data.load(f"folder:{tmp_path / 'nowhere'}")
    shutil.rmtree(folder / "val")
    with pytest.raises(data.DataError, match=r"expected the folders train/ and test/"):
        data.load(f"folder:{folder}")


def test_a_folder_without_training_images(folder):
    """It is for networks that were trained elsewhere, whose classes it cannot know: it warns."""
    shutil.rmtree(folder / "train")
    with pytest.warns(UserWarning, match="neither train/ nor classes.txt, so the 2 folders of val"):
        found = data.load(f"folder:{folder}", image_size=8)
    assert found.test.labels.tolist() == [0, 0, 1, 1] and found.channels == 3
    with pytest.raises(data.DataError, match=rf"^{folder}: expected the folder train/ in it"):
        _ = found.train


def test_the_order_of_the_classes(folder):
    """A list decides it, also for classes that this test has no images of."""
    shutil.rmtree(folder / "train")
    (folder / "classes.txt").write_text("red\n\n green \nblue\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = data.load(f"folder:{folder}", image_size=8)
    assert found.classes == ["red", "green", "blue"]
    by_label = dict(zip(found.test.labels.tolist(), found.test.images[:, :, 0, 0], strict=True))
    assert {label: pixel.tolist() for label, pixel in by_label.items()} == {
        0: [255, 0, 0],
        2: [0, 0, 255],
    }


def test_a_list_of_other_classes(folder):
    (folder / "classes.txt").write_text("red\n")
    with pytest.raises(data.DataError, match=r"train does not hold .*\(too many: blue; lacking: -"):
        data.load(f"folder:{folder}")
    (folder / "classes.txt").write_text("red\nblue\nred\n")
    with pytest.raises(data.DataError, match="classes.txt holds 'red' twice"):
        data.load(f"folder:{folder}")


@pytest.mark.parametrize("split", ["train", "val"])
def test_splits_of_other_classes(folder, split):
    """Numbered by the folders that are there, labels of one split would not be those of another."""
    (folder / split / "red").rename(folder / split / "rouge")
    more, less = ("rouge", "red") if split == "val" else ("red", "rouge")
    with pytest.raises(data.DataError) as caught:
        data.load(f"folder:{folder}")
    assert one_line(caught) == (
        f"{folder / 'val'} does not hold the classes of train/ (too many: {more}; "
        f"lacking: {less}): list all of them, one a line, in the order of their labels, in "
        f"{folder / 'classes.txt'}"
    )


def test_a_class_that_is_lacking_in_the_test(folder):
    shutil.rmtree(folder / "val" / "red")
    with pytest.raises(data.DataError, match=r"too many: -; lacking: red"):
        data.load(f"folder:{folder}")


def test_an_empty_class_is_named(folder):
    """Also one with nothing but files of another kind; a hidden folder is no class."""
    (folder / "train" / ".cache").mkdir()
    for split in ("train", "val"):
        (folder / split / "green").mkdir()
    (folder / "train" / "green" / "notes.txt").touch()
    found = data.load(f"folder:{folder}", image_size=8)
    assert found.classes == ["blue", "green", "red"]
    for split in ("train", "val"):
        place = folder / split / "green"
        with pytest.raises(data.DataError, match=f"^{place}: expected images in it"):
            _ = found.train if split == "train" else found.test


# What an image holds, and what would be lost.


LEVELS = np.array([[0, 128, 257, 385, 386, 32896, 65000, 65535]] * 8, dtype=np.uint16)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_become_eight(tmp_path, name, order):
    """The nearest of 256 levels, 257 apart; both orders of bytes."""
    if name == "a.png" or order == "<":
        image = Image.fromarray(LEVELS)
    else:
        image = Image.frombytes("I;16B", (8, 8), LEVELS.astype(">u2").tobytes())
    image.save(tmp_path / name)
    with Image.open(tmp_path / name) as saved:
        assert saved.mode.startswith("I;16")
    found = np.asarray(folders.open_image(tmp_path / name))
    assert found.shape == (8, 8, 3) and found.dtype == np.uint8
    assert found[3, :, 0].tolist() == [0, 0, 1, 1, 2, 128, 253, 255]
    assert (found == found[..., :1]).all()


def test_sixteen_bits_in_a_folder(folder):
    """Read as what they are: a grey of 20,000 is 78, and was all white."""
    grey = np.full((40, 40), 20_000, dtype=np.uint16)
    Image.fromarray(grey).save(folder / "val" / "red" / "0.png")
    found = data.load(f"folder:{folder}", image_size=8)
    assert found.test.images[2].unique().tolist() == [78]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_of_no_known_range(tmp_path, kind):
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((8, 8), 0.5).astype(kind)).save(path)
    with pytest.raises(data.DataError, match=f"^{path} holds numbers of 32 bits"):
        folders.open_image(path)


def transparent(mode):
    """A red image with one transparent pixel, in a mode that can hold it."""
    image = Image.new("RGBA", (8, 8), "red")
    image.putpixel((0, 0), (255, 0, 0, 254))
    if mode == "P":
        palette = Image.new("P", (8, 8), 1)
        palette.putpalette([0, 0, 0, 255, 0, 0])
        palette.putpixel((0, 0), 0)
        palette.info["transparency"] = 0
        return palette
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_have_no_colour(tmp_path, mode):
    path = tmp_path / "a.png"
    transparent(mode).save(path)
    with pytest.raises(data.DataError, match=f"^{path} has transparent pixels: save it on a"):
        folders.open_image(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
@pytest.mark.parametrize("colour", ["white", "black"])
def test_images_that_lose_nothing(tmp_path, mode, colour):
    """An opaque channel of opacity among them."""
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), colour).convert(mode).save(path)
    expected = {"white": 255, "black": 0}[colour]
    assert np.unique(np.asarray(folders.open_image(path))).tolist() == [expected]


def test_four_inks(tmp_path):
    """As some photographs of ImageNet have them."""
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    found = np.asarray(folders.open_image(tmp_path / "a.jpg")).reshape(-1, 3)
    assert (found[:, 0] > 250).all() and (found[:, 1:] < 5).all()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_images(folder, split):
    shutil.rmtree(folder / split)
    (folder / split).mkdir()
    with pytest.raises(data.DataError) as caught:
        _ = data.load(f"folder:{folder}", image_size=8).train
    assert str(folder / split) in one_line(caught)


def test_a_damaged_image_is_named(folder):
    path = folder / "train" / "red" / "0.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(data.DataError) as caught:
        _ = data.load(f"folder:{folder}", image_size=8).train
    assert str(path) in one_line(caught)


@pytest.mark.parametrize("name", ["mnist", "", "CIFAR10", "folder"])
def test_an_unknown_name(name):
    with pytest.raises(ValueError, match=f"dataset '{name}': expected 'digits', 'cifar10' or"):
        data.load(name)
