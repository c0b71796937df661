"""Release: bits that stay the same, and encoders on disk.

**Frozen draws.** A certificate speaks of one draw a row. Who can ask again averages the noise away
and learns the probabilities, which tell more. So the random numbers of a row are a keyed hash of
its id, or of its content where it has none: the same row under the same key has the same bits,
however often one asks, and another key gives others.

**On disk** an encoder is a folder: `encoder.json` (what it is, with checksums),
`weights.safetensors`, `features.skops` and `secret.key`. Loading executes nothing: tensors and
JSON cannot, and skops rebuilds a fixed list of types. The checksums find damage and careless
edits; they do not stop a forger who computes new ones.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "Parts",
    "Secret",
    "check_key",
    "check_place",
    "freeze",
    "frozen_uniforms",
    "load_parts",
    "row_digests",
    "save_parts",
    "staged",
]

FORMAT = 1
"""The version of the folder's layout: an encoder of another one is refused."""

_WORDS = 8  # uniform numbers of 64 bits in one BLAKE2b digest

_MIDNIGHT = re.compile(r"^(\d{4}-\d\d-\d\d)[ T]00:00:00(\.0+)?$")

_TRUSTED = [
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "skrub._apply_to_each_col.ApplyToEachCol",
    "skrub._check_input.CheckInputDataFrame",
    "skrub._clean_categories.CleanCategories",
    "skrub._clean_null_strings.CleanNullStrings",
    "skrub._dataframe._common.is_any_date",
    "skrub._dataframe._common.is_categorical",
    "skrub._dataframe._common.is_numeric",
    "skrub._datetime_encoder.DatetimeEncoder",
    "skrub._drop_uninformative.DropUninformative",
    "skrub._duration_to_float.DurationToFloat",
    "skrub._string_encoder.StringEncoder",
    "skrub._table_vectorizer.PassThrough",
    "skrub._table_vectorizer.ShortReprDict",
    "skrub._table_vectorizer.TableVectorizer",
    "skrub._table_vectorizer._created_by_predicate",
    "skrub._to_datetime.ToDatetime",
    "skrub._to_float.ToFloat",
    "skrub._to_str.ToStr",
    "skrub.selectors._base.All",
    "skrub.selectors._base.And",
    "skrub.selectors._base.Cols",
    "skrub.selectors._base.Filter",
    "skrub.selectors._base.Sub",
    "skrub.selectors._selectors._cardinality_below",
    "bitveil.features.Features",
]


def row_digests(X: pd.DataFrame | NDArray[Any]) -> NDArray[np.uint8]:
    """Sixteen bytes for each row's content, with shape (n, 16).

    Equal content gives equal bytes, whatever the type it is stored in: a column read from CSV as
    integers and from Parquet as floats counts as equal, and so do -0.0 and 0.0, and all kinds of
    missing values. The order of the columns counts. Arrays with more dimensions, as images, are
    taken as float64.

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


def freeze(theta: NDArray[np.float64], rows: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """The frozen bits of rows with the probabilities theta, with shape (n, m).

    A bit is 1 where its `frozen_uniforms` is less than its probability.

    Arguments:
        theta: The probability that each bit is 1, with shape (n, m).
        rows: Bytes that name each row, with shape (n, b): see `row_digests`.
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


class Parts(NamedTuple):
    """What an encoder consists of on disk.

    Attributes:
        manifest: What it is, as JSON can say it.
        weights: Its tensors, by name.
        features: The fitted preparation of its table.
        key: The secret key of its draws.
    """

    manifest: dict[str, Any]
    weights: dict[str, Tensor]
    features: Any
    key: bytes


def save_parts(directory: str | os.PathLike[str], parts: Parts) -> None:
    """Write a folder that `load_parts` reads; all of it, or nothing.

    Raises:
        FileExistsError: If there is something at that place already.
    """

    import skops.io
    from safetensors.torch import save

    contents = {
        "weights.safetensors": save(parts.weights),
        "features.skops": skops.io.dumps(parts.features),
        "secret.key": parts.key,
    }
    manifest = {
        "format": FORMAT,
        "libraries": _libraries(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        **parts.manifest,
    }
    manifest["checksum"] = _checksum(manifest)
    contents["encoder.json"] = json.dumps(manifest, indent=2, default=_plain).encode()

    with staged(directory) as folder:
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        (folder / "secret.key").chmod(0o600)


def load_parts(directory: str | os.PathLike[str]) -> Parts:
    """Read a folder that `save_parts` wrote. Nothing in it is executed.

    Raises:
        FileNotFoundError: If it is no folder of an encoder.
        ValueError: If a file was changed, or another version wrote it.
    """

    import skops.io
    from safetensors.torch import load

    folder = Path(directory)
    manifest = _manifest(folder)
    contents = {name: _content(folder, name, sha) for name, sha in manifest["files"].items()}
    strange = set(skops.io.get_untrusted_types(data=contents["features.skops"])) - set(_TRUSTED)
    if strange:
        raise ValueError(
            f"{folder} holds types that no bitveil encoder has, and is not loaded: "
            f"{sorted(strange)}."
        )

    return Parts(
        manifest,
        load(contents["weights.safetensors"]),
        skops.io.loads(contents["features.skops"], trusted=_TRUSTED),
        contents["secret.key"],
    )


def check_place(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a place that nothing can be written to, before there is something to write.

    Raises:
        FileExistsError: If there is something that is not to be overwritten.
        FileNotFoundError: If there is no folder around it.
    """

    if target.is_dir() or (target.exists() and not overwrite):
        raise FileExistsError(
            f"{target} exists already and is not overwritten. Name another place, or remove it."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent} is no folder to write into. Make it first.")


@contextmanager
def staged(target: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A path to write to that becomes `target` at the end, or vanishes where something fails.

    Raises:
        FileExistsError: If there is something at `target` that is not to be overwritten.
    """

    target = Path(target)
    check_place(target, overwrite=overwrite)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bitveil-") as scratch:
        yield Path(scratch) / target.name
        os.replace(Path(scratch) / target.name, target)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "encoder.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no saved encoder: it has no encoder.json.")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it is not JSON ({error}).") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(
            f"{path} was not written by this version of bitveil, which reads format {FORMAT}. "
            "Fit and save the encoder anew, or install the version that wrote it."
        )
    if manifest.pop("checksum", None) != _checksum(manifest):
        raise ValueError(f"{path} was changed after it was saved, and is not loaded.")
    if manifest["libraries"] != _libraries():
        raise ValueError(
            f"{folder} was saved with {manifest['libraries']}; installed are {_libraries()}. "
            "Its bits could differ: install those versions, or fit the encoder anew."
        )

    return manifest


def _content(folder: Path, name: str, sha: str) -> bytes:
    if name != Path(name).name or not (folder / name).is_file():
        raise FileNotFoundError(f"{folder} is incomplete: {name} is missing.")
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha:
        raise ValueError(f"{folder / name} was changed after it was saved, and is not loaded.")

    return content


def _libraries() -> dict[str, str]:
    """The versions on which the bits of a saved encoder depend."""

    return {name: version(name) for name in ("scikit-learn", "skrub")}


def _checksum(manifest: Mapping[str, Any]) -> str:
    content = json.dumps(manifest, sort_keys=True, default=_plain)

    return hashlib.sha256(content.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """What JSON has no word for: numpy's numbers and arrays, and dates."""

    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    raise TypeError(f"An encoder with {type(value).__name__} {value!r} in it cannot be saved.")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _stack(digests: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 16)


def _cells(column: "pd.Series[Any]") -> NDArray[np.uint8]:
    """Sixteen bytes for each cell; each different value is hashed once."""

    codes, values = pd.factorize(column)
    digests = [_digest(_canonical(value)) for value in values]
    digests.append(_digest(b"missing"))  # factorize gives missing values the code -1

    return _stack(digests)[codes]


def _canonical(value: object) -> bytes:
    """The bytes of a value: what float64 can hold as that, everything else as text.

    A time of midnight is left out of dates, as CSV files do.
    """

    if isinstance(value, bool | int | float | np.number | np.bool_):
        number = _number(value)
        if number is not None:
            return b"number" + number.tobytes()

    return b"text" + _MIDNIGHT.sub(r"\1", str(value)).encode()


def _number(value: Any) -> np.float64 | None:
    """The value in double precision, if that is exact; -0.0 is 0.0."""

    if isinstance(value, np.float16 | np.float32):
        return np.float64(str(value)) + 0.0  # as a file would have it, where 0.1 is 0.1
    try:
        number = float(value)
    except OverflowError:
        return None

    return np.float64(number + 0.0) if number == value else None
