"""Frozen: bits that stay the same, however often somebody asks for them.

A certificate is about one draw of each row. Anyone who can ask for more draws can average the
noise away and learn the probabilities, which reveal more. So the random numbers of a row are a
keyed hash of its id, or of its content if it has no id. The same row under the same key always has
the same bits, and another key gives other bits.
"""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.cells import MIDNIGHT, as_text, decimals
from bitveil.columns.names import read_names

__all__ = [
    "Hidden",
    "Secret",
    "check_key",
    "freeze",
    "frozen_uniforms",
    "name_digests",
    "row_digests",
]

_WORDS = 8  # one BLAKE2b digest holds this many uniform numbers of 64 bits


def row_digests(X: pd.DataFrame | NDArray[Any]) -> NDArray[np.uint8]:
    """Sixteen bytes for each row's content, with shape (n, 16).

    Equal values give equal bytes in every type that can store them: 30 and 30.0, -0.0 and 0.0, 0.1
    as float32 and as float64, one instant in two time zones, and all kinds of missing values. Text
    is never a number here: first read a table with its `bitveil.columns.kinds.Kinds`, which know
    what a column of text holds. The order of the columns matters. Arrays with more dimensions,
    such as images, are read as float64.

    Example:
        >>> a = row_digests(pd.DataFrame({"age": [30, 40], "job": ["clerk", None]}))
        >>> b = row_digests(pd.DataFrame({"age": [30.0, 40.0], "job": ["clerk", float("nan")]}))
        >>> bool((a == b).all()), bool((a[0] == a[1]).all())
        (True, False)
    """

    if not isinstance(X, pd.DataFrame) and X.ndim > 2:
        flat = np.ascontiguousarray(X.reshape(len(X), -1), dtype="<f8") + 0.0
        return _stack([_digest(row.tobytes()) for row in flat])

    columns = [X[name] for name in X] if isinstance(X, pd.DataFrame) else [*X.T]
    cells = np.hstack([_cell_digests(pd.Series(column)) for column in columns])

    return _stack([*map(_digest, _single_rows(cells))])


def name_digests(ids: Any, n: int) -> NDArray[np.uint8]:
    """Sixteen bytes for the name of each of n rows, with shape (n, 16).

    Names are text or whole numbers, and 7 and "7" are the same name.
    `bitveil.columns.names.read_names` refuses everything else.

    Example:
        >>> digests = name_digests([7, "7", "007"], 3)
        >>> bool((digests[0] == digests[1]).all()), bool((digests[0] == digests[2]).all())
        (True, False)
    """

    return _stack([_digest(b"name" + _text_bytes(name)) for name in read_names(ids, n)])


def freeze(theta: NDArray[np.float64], rows: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """The frozen bits of rows with the probabilities theta, with shape (n, m).

    A bit is 1 where its uniform number is less than its probability: see `frozen_uniforms`.

    Arguments:
        theta: The probability that each bit is 1, with shape (n, m).
        rows: Bytes that name each row, with shape (n, b): see `name_digests` and `row_digests`.
        key: The secret key, 16 to 64 bytes.

    Example:
        >>> rows = np.arange(4, dtype=np.uint8).reshape(-1, 1)
        >>> once = freeze(np.full((4, 8), 0.5), rows, b"0123456789abcdef")
        >>> again = freeze(np.full((4, 8), 0.5), rows, b"0123456789abcdef")
        >>> bool((once == again).all())
        True
    """

    return (frozen_uniforms(rows, theta.shape[1], key) < theta).astype(np.uint8)


def frozen_uniforms(
    rows: NDArray[np.uint8], m: int, key: bytes, *, layer: int = 0
) -> NDArray[np.float64]:
    """The uniform numbers of rows under a key, from 0 to below 1, with shape (n, m).

    They are multiples of 2**-53. To draw the same bits elsewhere, you need these numbers. They are
    as secret as the key: a bit with its uniform number shows on which side of that number the
    probability lies, which is more than the bit alone shows.

    Arguments:
        rows: Bytes that name each row, with shape (n, b): see `row_digests`.
        m: The number of bits.
        key: The secret key, 16 to 64 bytes.
        layer: 0 for the code itself, 1 and more for the stochastic layers before it.

    Example:
        >>> rows = np.arange(4, dtype=np.uint8).reshape(-1, 1)
        >>> uniforms = frozen_uniforms(rows, 8, b"0123456789abcdef")
        >>> uniforms.shape, bool((uniforms < 1).all())
        ((4, 8), True)
    """

    check_key(key)
    blocks = -(-m // _WORDS)
    first = layer << 32
    salts = [block.to_bytes(8, "little") for block in range(first, first + blocks)]
    digests = [
        hashlib.blake2b(row, key=key, salt=salt).digest()
        for row in _single_rows(rows)
        for salt in salts
    ]
    words = np.frombuffer(b"".join(digests), dtype="<u8").reshape(len(rows), blocks * _WORDS)

    return (words[:, :m] >> 11).astype(np.float64) * 2.0**-53


def check_key(key: bytes) -> None:
    """Refuse a key that is too short to be secret, or too long for the hash."""

    if not 16 <= len(key) <= 64:
        raise ValueError(
            f"The secret key has 16 to 64 bytes, got {len(key)}. Make one: "
            "`secrets.token_bytes(32)`."
        )


class Secret(bytes):
    """Bytes that are never shown when they, or an object that holds them, are printed.

    Example:
        >>> key = Secret(b"0123456789abcdef")
        >>> key, key == b"0123456789abcdef"
        ('secret', True)
    """

    def __repr__(self) -> str:
        return repr("secret")

    __str__ = __repr__


class Hidden:
    """An attribute that stores bytes as a `Secret`: printing its owner never shows them."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, form: type | None = None) -> Any:
        if owner is None:
            return self
        if self.name not in vars(owner):
            raise AttributeError(f"{type(owner).__name__} has no `{self.name}` yet.")
        return vars(owner)[self.name]

    def __set__(self, owner: Any, value: Any) -> None:
        vars(owner)[self.name] = Secret(value) if type(value) is bytes else value


def _single_rows(rows: NDArray[np.uint8]) -> Iterator[bytes]:
    """The bytes of each row."""

    whole, (n, width) = rows.tobytes(), rows.shape

    return (whole[i * width : (i + 1) * width] for i in range(n))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _stack(digests: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 16)


def _cell_digests(column: "pd.Series[Any]") -> NDArray[np.uint8]:
    """Sixteen bytes for each cell; each different value is hashed once."""

    if column.dtype.kind == "f" and getattr(column.dtype, "itemsize", 8) < 8:
        column = pd.Series(decimals(column.to_numpy(np.float32, na_value=np.nan)))
    codes, values = pd.factorize(column)
    digests = [_digest(_canonical(value)) for value in values]
    digests.append(_digest(b"missing"))  # factorize gives missing values the code -1

    return _stack(digests)[codes]


def _canonical(value: object) -> bytes:
    """The bytes of a value: as a float64 if that is exact, otherwise as text."""

    if isinstance(value, bool | int | float | np.number | np.bool_ | Decimal):
        number = _exact_double(value)
        if number is not None:
            return b"number" + number.tobytes()

    return b"text" + _text_bytes(MIDNIGHT.sub(r"\1", as_text(value)))


def _text_bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _exact_double(value: Any) -> np.float64 | None:
    """The value in double precision, with 0.0 for -0.0; None if that is not exact."""

    if isinstance(value, np.float16 | np.float32):  # the decimals in a file: 0.1 is 0.1
        return np.float64(str(value)) + 0.0
    if isinstance(value, np.integer):
        value = int(value)  # numpy compares integers with floats as floats
    if isinstance(value, Decimal) and value != value.to_integral_value():
        return np.float64(float(value))
    try:
        number = float(value)
    except OverflowError:
        return None

    return np.float64(number + 0.0) if number == value else None
