"""Frozen: bits that stay the same, however often one asks.

A certificate speaks of one draw a row. Who can ask again averages the noise away and learns the
probabilities, which tell more. So the random numbers of a row are a keyed hash of its id, or of
its content where it has none: the same row under the same key has the same bits, and another key
gives others.
"""

import hashlib
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

_WORDS = 8  # uniform numbers of 64 bits in one BLAKE2b digest


def row_digests(X: pd.DataFrame | NDArray[Any]) -> NDArray[np.uint8]:
    """Sixteen bytes for each row's content, with shape (n, 16).

    Equal values give equal bytes, whatever the type they are stored in: 30 and 30.0, -0.0 and 0.0,
    0.1 as float32 and as float64, one instant in two time zones, and all kinds of missing values.
    Text is no number here: read a table with its `bitveil.columns.kinds.Kinds` first, which know
    what a column of text holds. The order of the columns counts. Arrays with more dimensions,
    such as images, are taken as float64.

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
    cells = np.hstack([_cells(pd.Series(column)) for column in columns])

    return _stack([_digest(row.tobytes()) for row in cells])


def name_digests(ids: Any, n: int) -> NDArray[np.uint8]:
    """Sixteen bytes for the name of each of n rows, with shape (n, 16).

    Names are text or whole numbers, and 7 and "7" are the same name:
    `bitveil.columns.names.read_names` says what is refused.

    Example:
        >>> digests = name_digests([7, "7", "007"], 3)
        >>> bool((digests[0] == digests[1]).all()), bool((digests[0] == digests[2]).all())
        (True, False)
    """

    return _stack([_digest(b"name" + _bytes(name)) for name in read_names(ids, n)])


def freeze(theta: NDArray[np.float64], rows: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """The frozen bits of rows with the probabilities theta, with shape (n, m).

    A bit is 1 where its `frozen_uniforms` is less than its probability.

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
    """The uniform numbers of rows under a key, from 0 to less than 1, with shape (n, m).

    Multiples of 2**-53. Whoever runs an encoder elsewhere needs them to draw the same bits. They
    are as secret as the key: beside a bit, its uniform number says on which side of it the
    probability lies, which is more than the bit says.

    Arguments:
        rows: Bytes that name each row, with shape (n, b): see `row_digests`.
        m: The number of bits.
        key: The secret key, 16 to 64 bytes.
        layer: 0 for the code itself, and from 1 on for the stochastic layers before it.

    Example:
        >>> rows = np.arange(4, dtype=np.uint8).reshape(-1, 1)
        >>> uniforms = frozen_uniforms(rows, 8, b"0123456789abcdef")
        >>> uniforms.shape, bool((uniforms < 1).all())
        ((4, 8), True)
    """

    check_key(key)
    blocks = -(-m // _WORDS)
    first = layer << 32
    digests = [
        b"".join(
            hashlib.blake2b(row.tobytes(), key=key, salt=block.to_bytes(8, "little")).digest()
            for block in range(first, first + blocks)
        )
        for row in rows
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
    """Bytes that are not shown by whatever prints them, be it what holds them.

    Example:
        >>> key = Secret(b"0123456789abcdef")
        >>> key, key == b"0123456789abcdef"
        ('secret', True)
    """

    def __repr__(self) -> str:
        return repr("secret")

    __str__ = __repr__


class Hidden:
    """An attribute whose bytes are a `Secret`: neither it nor `vars` of its owner shows them."""

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


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _stack(digests: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 16)


def _cells(column: "pd.Series[Any]") -> NDArray[np.uint8]:
    """Sixteen bytes for each cell; each different value is hashed once."""

    if column.dtype.kind == "f" and getattr(column.dtype, "itemsize", 8) < 8:
        column = pd.Series(decimals(column.to_numpy(np.float32, na_value=np.nan)))
    codes, values = pd.factorize(column)
    digests = [_digest(_canonical(value)) for value in values]
    digests.append(_digest(b"missing"))  # factorize gives missing values the code -1

    return _stack(digests)[codes]


def _canonical(value: object) -> bytes:
    """The bytes of a value: what float64 can hold as that, everything else as text."""

    if isinstance(value, bool | int | float | np.number | np.bool_ | Decimal):
        number = _number(value)
        if number is not None:
            return b"number" + number.tobytes()

    return b"text" + _bytes(MIDNIGHT.sub(r"\1", as_text(value)))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _number(value: Any) -> np.float64 | None:
    """The value in double precision, if that is exact; -0.0 is 0.0."""

    if isinstance(value, np.float16 | np.float32):  # as a file would have it, where 0.1 is 0.1
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
