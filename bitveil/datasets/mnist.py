"""MNIST, handwritten digits, and Biased-MNIST, whose background colours almost reveal them."""

__all__ = ["COLOURS", "BiasedMnist", "Mnist", "fetch_mnist", "make_biased_mnist"]

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from bitveil.datasets.files import DataFile, find, missing, stored, unpacked

# The mirror that torchvision uses too. The md5 is that of the unpacked content.
MNIST_ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist"
ORIGIN = (
    "from https://yann.lecun.com/exdb/mnist, or as torchvision stores it with "
    "`torchvision.datasets.MNIST(root, download=True)`"
)
RAW = "MNIST/raw"
"""The folder for the files inside torchvision's root folder."""

COLOURS = np.array(
    [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (225, 225, 0),
        (225, 0, 225),
        (0, 255, 255),
        (255, 128, 0),
        (255, 0, 128),
        (128, 0, 255),
        (128, 128, 128),
    ],
    dtype=np.uint8,
)
"""The background colour of each digit, in red, green and blue from 0 to 255."""


def _mnist_file(name: str, md5: str) -> DataFile:
    return DataFile(f"mnist/{name}.gz", md5, ORIGIN, f"{MNIST_ADDRESS}/{name}.gz")


TRAIN_IMAGES = _mnist_file("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb")
TRAIN_LABELS = _mnist_file("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624")
TEST_IMAGES = _mnist_file("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea")
TEST_LABELS = _mnist_file("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637")


class Mnist(NamedTuple):
    """Grey images from 0 (background) to 255, with shape (n, 28, 28), and their digits."""

    images: NDArray[np.uint8]
    digits: NDArray[np.int64]


class BiasedMnist(NamedTuple):
    """Coloured images, their digits and their colours.

    Attributes:
        images: Red, green and blue from 0 to 255, with shape (n, 3, height, width).
        digits: The digit of each image, from 0 to 9, with shape (n,).
        colours: The number of the background colour in `COLOURS`, with shape (n,).
    """

    images: NDArray[np.uint8]
    digits: NDArray[np.int64]
    colours: NDArray[np.int64]


def fetch_mnist(*, test: bool = False, root: str | os.PathLike[str] | None = None) -> Mnist:
    """Fetch MNIST: 60,000 images for training, or 10,000 for testing.

    The files do not come with bitveil. The loader looks in the folder `BITVEIL_DATA`, under
    `mnist` and under `MNIST/raw` (so that it may be a root folder of torchvision), then in the
    cache folder, and then downloads them. They may be packed with gzip or not. It checks their
    content.

    Source: Gradient-based learning applied to document recognition, Yann LeCun, Léon Bottou,
    Yoshua Bengio and Patrick Haffner, 1998, https://doi.org/10.1109/5.726791 (commonly taken to
    be CC BY-SA 3.0).

    Arguments:
        test: Whether to fetch the images for testing.
        root: A root folder of torchvision, with `MNIST/raw` in it. Looks only there.

    Raises:
        FileNotFoundError: If a file is missing and cannot be downloaded.
        ValueError: If a file is the wrong one.

    Example:
        >>> from bitveil.datasets.files import stored
        >>> if stored(TEST_IMAGES) and stored(TEST_LABELS):  # which this example does not download
        ...     assert fetch_mnist(test=True).images.shape == (10000, 28, 28)
    """

    images, labels = (TEST_IMAGES, TEST_LABELS) if test else (TRAIN_IMAGES, TRAIN_LABELS)
    found = [idx_array(unpacked(file, _mnist_path(file, root))) for file in (images, labels)]

    return Mnist(found[0], found[1].astype(np.int64))


def make_biased_mnist(
    rho: float,
    *,
    images: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    test: bool = False,
    root: str | os.PathLike[str] | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> BiasedMnist:
    """Colour the background of digits. A share rho of each digit gets the digit's own colour.

    The others are spread evenly over the nine other colours. Chance decides which images they are.
    Every pixel that is not 0 becomes white. With rho near 1 the colour predicts the digit better
    than a small network reads it, and only a few images contradict it: of 60,000, 599 at 0.99 and
    180 at 0.997. With rho = 0.1 the colour reveals nothing: use that for testing.

    Source: Learning De-biased Representations with Biased Representations, Hyojin Bahng, Sanghyuk
    Chun, Sangdoo Yun, Jaegul Choo and Seong Joon Oh, 2020, https://arxiv.org/abs/1910.02806

    Arguments:
        rho: The share of each digit that has the digit's colour, from 0 to 1.
        images: Grey images, with shape (n, height, width). None: those of `fetch_mnist`.
        labels: Their digits, from 0 to 9, with shape (n,).
        test: Whether to fetch the images for testing.
        root: The root folder: see `fetch_mnist`.
        random_state: The seed for the colours of the images.

    Raises:
        FileNotFoundError: If no images are given and a file of MNIST is missing.
        ValueError: If rho is not from 0 to 1, or images and labels do not fit together.

    Example:
        >>> digits = np.repeat([3, 7], 100)
        >>> biased = make_biased_mnist(
        ...     0.91, images=np.zeros((200, 1, 1)), labels=digits, random_state=0)
        >>> np.bincount(biased.colours[digits == 3])  # 91 in yellow, one of each other colour
        array([ 1,  1,  1, 91,  1,  1,  1,  1,  1,  1])
        >>> biased.images[biased.colours == 3][0].ravel()
        array([225, 225,   0], dtype=uint8)
    """

    if not isinstance(rho, int | float | np.number) or not 0 <= rho <= 1:
        raise ValueError(
            f"`rho` expects the share of each digit in its own colour, from 0 to 1, got {rho!r}."
        )
    if (images is None) != (labels is None):
        raise ValueError(
            "`make_biased_mnist` expects images and labels together, or neither, to fetch MNIST, "
            f"got only {'labels' if images is None else 'images'}."
        )
    grey = fetch_mnist(test=test, root=root) if images is None else _given_file(images, labels)
    colours = _coloured(grey.digits, float(rho), check_random_state(random_state))
    background = COLOURS[colours][:, :, None, None]

    return BiasedMnist(
        np.where(grey.images[:, None] > 0, np.uint8(255), background), grey.digits, colours
    )


def idx_array(content: bytes) -> NDArray[np.uint8]:
    r"""The array in a file of the idx format: its shape in big-endian numbers, then its bytes.

    Raises:
        ValueError: If the content has another format, or is not as long as it states.

    Example:
        >>> idx_array(b"\0\0\x08\x01" + b"\0\0\0\x03" + b"\5\6\7")
        array([5, 6, 7], dtype=uint8)
    """

    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError(
            "`idx_array` expects an idx file of unsigned bytes, which starts with 00 00 08, got "
            f"{content[:4].hex(' ')!r}. Get the file again."
        )
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], ">i4").tolist())
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(
            f"`idx_array` expects as many bytes as the shape {shape} needs, got {values.size}. "
            "The file is cut off or too long. Get it again."
        )

    return values.reshape(shape)


def _mnist_path(file: DataFile, root: str | os.PathLike[str] | None) -> Path:
    """The path of a file, in a root folder of torchvision or among the other data files."""

    raw = replace(file, name=file.name.replace("mnist", RAW, 1))
    if root is None:
        return stored(file) or stored(raw) or find(file)
    places = [Path(root) / name for name in (raw.name.removesuffix(".gz"), raw.name)]
    for place in places:
        if place.is_file():
            return place

    raise FileNotFoundError(
        f"`root` expects a root folder of torchvision, with {raw.name} in it, packed or not, but "
        f"{root} has no such file. {missing(file)}"
    )


def _given_file(images: ArrayLike, labels: ArrayLike | None) -> Mnist:
    grey, digits = np.asarray(images), np.asarray(labels)
    if grey.ndim != 3 or digits.shape != grey.shape[:1]:
        raise ValueError(
            "`make_biased_mnist` expects grey images of shape (n, height, width) and n labels, "
            f"got shapes {grey.shape} and {digits.shape}."
        )
    if not np.isfinite(grey).all():
        raise ValueError("`images` expects numbers, 0 for the background, got NaN or infinity.")
    whole = digits.dtype.kind in "iu" and digits.size
    if not whole or digits.min() < 0 or digits.max() >= len(COLOURS):
        raise ValueError(
            "`labels` expects at least one digit, all whole numbers from 0 to 9, got "
            f"{digits.dtype} {np.unique(digits)[:20]}."
        )

    return Mnist(grey, digits.astype(np.int64))


def _coloured(
    digits: NDArray[np.int64], rho: float, rng: np.random.RandomState
) -> NDArray[np.int64]:
    """The colour of each digit. The remainder of an even spread gets random colours."""

    colours = np.empty_like(digits)
    for digit in np.unique(digits):
        rows = rng.permutation(np.flatnonzero(digits == digit))
        own = round(rho * len(rows))
        others = rng.permutation(np.delete(np.arange(len(COLOURS)), digit))
        colours[rows[:own]] = digit
        colours[rows[own:]] = np.resize(others, len(rows) - own)

    return colours
