"""MNIST files and the colours of Biased-MNIST: small files made here, and the recipe's shares."""

import gzip
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from bitveil.datasets import fetch_mnist, make_biased_mnist, mnist
from bitveil.datasets.files import cache, stored
from bitveil.datasets.mnist import COLOURS, idx_array

IMAGES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
DIGITS = np.array([3, 1, 4, 1, 5], dtype=np.uint8)
FILES = (mnist.TRAIN_IMAGES, mnist.TRAIN_LABELS, mnist.TEST_IMAGES, mnist.TEST_LABELS)


def packed(array):
    sizes = np.array(array.shape, dtype=">i4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A small MNIST in place of the real one: its files' contents, none of them stored yet."""

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BITVEIL_DATA", str(tmp_path))
    contents = {}
    for name, array in (("IMAGES", IMAGES), ("LABELS", DIGITS)):
        content = packed(array)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        file = replace(getattr(mnist, f"TRAIN_{name}"), md5=md5, address=None)
        monkeypatch.setattr(mnist, f"TRAIN_{name}", file)
        contents[file.name.removeprefix("mnist/").removesuffix(".gz")] = content

    return contents


def put(folder, contents, pack):
    folder.mkdir(parents=True)
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if pack else name)
        path.write_bytes(gzip.compress(content) if pack else content)


def same(found):
    return np.array_equal(found.images, IMAGES) and np.array_equal(found.digits, DIGITS)


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw"])
def test_found_in_the_data_folder(small, tmp_path, folder, pack):
    put(tmp_path / folder, small, pack)

    assert same(fetch_mnist())


def test_found_in_the_cache_folder(small):
    put(cache() / "mnist", small, pack=True)

    assert same(fetch_mnist())


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "unpacked"])
def test_found_in_a_root_folder_of_torchvision(small, tmp_path, pack):
    put(tmp_path / "root" / "MNIST" / "raw", small, pack)

    assert same(fetch_mnist(root=tmp_path / "root"))
    assert make_biased_mnist(1, root=tmp_path / "root").colours.tolist() == DIGITS.tolist()


def test_a_root_folder_is_looked_in_alone(small, tmp_path):
    put(tmp_path / "mnist", small, pack=True)

    with pytest.raises(FileNotFoundError, match="`root` expects a root folder of torchvision"):
        fetch_mnist(root=tmp_path / "root")


@pytest.mark.usefixtures("small")
def test_missing_files():
    with pytest.raises(FileNotFoundError, match="does not come with bitveil"):
        fetch_mnist()


def test_other_files_are_refused(small, tmp_path):
    put(tmp_path / "mnist", {name: content + b"0" for name, content in small.items()}, pack=True)

    with pytest.raises(ValueError, match="expects content with md5"):
        fetch_mnist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed(DIGITS)[:-1], "as many bytes as the shape"),
        (packed(DIGITS) + b"0", "as many bytes as the shape"),
        (b"<html>", "starts with 00 00 08"),
        (b"", "starts with 00 00 08"),
        (b"\0\0\x08\x03", "starts with 00 00 08"),
    ],
    ids=["cut off", "longer", "page", "empty", "no shape"],
)
def test_what_is_no_idx_file(content, message):
    with pytest.raises(ValueError, match=message):
        idx_array(content)


def test_the_files_have_an_address_and_a_digest():
    assert all(file.address.startswith("https://") for file in FILES)
    assert all(len(bytes.fromhex(file.md5)) == 16 for file in FILES)


# Colours


def grey(per_digit, seed=0):
    rng = np.random.default_rng(seed)
    digits = rng.permutation(np.repeat(np.arange(10), per_digit))
    return rng.integers(2, size=(len(digits), 2, 3)) * 90, digits


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.55, 0.9, 0.99, 1.0])
def test_each_digit_has_its_share_of_each_colour(rho):
    images, digits = grey(200)
    biased = make_biased_mnist(rho, images=images, labels=digits, random_state=0)
    table = np.zeros((10, 10), dtype=int)
    np.add.at(table, (biased.digits, biased.colours), 1)
    own = np.diag(table)
    others = table[~np.eye(10, dtype=bool)].reshape(10, 9)

    assert (own == round(200 * rho)).all()
    assert (table.sum(1) == 200).all()
    assert (np.ptp(others, axis=1) <= 1).all()


def test_pixels_are_white_or_the_colour():
    images, digits = grey(20)
    biased = make_biased_mnist(0.5, images=images, labels=digits, random_state=0)
    pixels = biased.images.transpose(0, 2, 3, 1)

    assert biased.images.shape == (200, 3, 2, 3)
    assert biased.images.dtype == np.uint8
    assert (pixels[images > 0] == 255).all()
    assert all((pixels[i][images[i] == 0] == COLOURS[biased.colours[i]]).all() for i in range(200))


def test_the_seed_decides_which_image_gets_which_colour():
    images, digits = grey(50)
    first, again, other = (
        make_biased_mnist(0.5, images=images, labels=digits, random_state=seed).colours
        for seed in (0, 0, 1)
    )

    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rho": 1.1}, "`rho` expects the share"),
        ({"rho": float("nan")}, "`rho` expects the share"),
        ({"rho": "most"}, "`rho` expects the share"),
        ({"labels": None}, "got only images"),
        ({"images": None}, "got only labels"),
        ({"images": np.zeros((2, 3))}, "grey images of shape"),
        ({"labels": np.zeros(3, dtype=int)}, "and n labels"),
        ({"labels": np.array([0, 10])}, "from 0 to 9"),
        ({"labels": np.array([-1, 1])}, "from 0 to 9"),
        ({"labels": np.array([0.0, 1.0])}, "whole numbers"),
        ({"images": np.full((2, 1, 1), np.nan)}, "got NaN"),
    ],
)
def test_what_cannot_be_coloured(changed, message):
    given = {"rho": 0.5, "images": np.zeros((2, 1, 1)), "labels": np.array([0, 1])}

    with pytest.raises(ValueError, match=message):
        make_biased_mnist(**(given | changed))


def test_the_real_files():
    if not all(stored(file) for file in FILES):
        pytest.skip("the files of MNIST are not in BITVEIL_DATA or the cache folder")
    test = fetch_mnist(test=True)
    biased = make_biased_mnist(0.99, random_state=0)

    assert test.images.shape == (10_000, 28, 28)
    assert np.bincount(biased.digits).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    assert (biased.colours != biased.digits).sum() == 599  # 1 % of each digit, rounded
