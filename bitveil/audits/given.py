"""What an audit is given: bits or columns, which are checked, and the values numbered."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from bitveil.codes import draw
from bitveil.repeats import check_ids

__all__ = [
    "BLANK",
    "blank_column",
    "check_bits",
    "check_blanks",
    "check_certain",
    "check_given",
    "check_row_names",
    "check_same_rows",
    "drawn_bits",
    "look_like_bits",
    "numbered_columns",
]

BLANK = "blank"
"""The name of the part that is 1 where a row is blank. The other parts of such a row are 0."""

_NO_CHANCE = 53 * math.log(2)  # from here on the other bit is less likely than 2^-53


def look_like_bits(codes: Any) -> bool:
    """Whether this is an array of bits: zeros and ones in several columns."""

    if isinstance(codes, pd.DataFrame | pd.Series) or np.ndim(codes) != 2:
        return False
    found = np.asarray(codes)

    return found.dtype.kind in "biuf" and found.size > 0 and bool(np.isin(found, (0, 1)).all())


def check_bits(drawn: NDArray[Any]) -> None:
    """Refuse what is no array of zeros and ones."""

    if drawn.ndim != 2 or not drawn.shape[1] or not np.isin(drawn, (0, 1)).all():
        raise ValueError(
            "`audit` expects bits as 0 and 1 with shape (n, m), got "
            f"{drawn.dtype} of shape {drawn.shape}."
        )


def check_blanks(drawn: NDArray[Any]) -> None:
    """Refuse a last column that does not say which rows are blank."""

    if drawn.shape[1] < 2 or drawn[drawn[:, -1] == 1, :-1].any():
        raise ValueError(
            "With a `share` below 1, `audit` expects codes whose last column is 1 where a row is "
            "blank and its bits are 0, as `transform` gives them."
        )


def check_given(codes: Any, logits: Any, *, certain: bool) -> None:
    """Refuse an audit of nothing, and a claim about logits that are not there."""

    if logits is None and codes is None:
        raise ValueError("`audit` expects `codes`, or `logits` with `ids`, got neither.")
    if certain and logits is None:
        raise ValueError(
            "`certain=True` is about expected counts, so it needs `logits` with `ids`. Leave it "
            "out: codes that are counted as they were published have the same slack without it."
        )


def check_row_names(ids: Any, n: int) -> None:
    """Refuse logits of rows without names, and names that repeat."""

    if ids is None:
        raise ValueError(
            "`audit` counts what `logits` say only where every row has a name of its own, "
            "which also decides its draw: give `ids`. For rows without names give the "
            "published bits as `codes`. `model.audit(X, ...)` makes this choice itself."
        )
    check_ids(ids, n)


def check_same_rows(theta: Tensor, parts: NDArray[np.int64], share: float) -> None:
    """Refuse logits and codes whose shapes differ."""

    if parts.shape != (len(theta), theta.shape[1] + (share < 1)):
        blanks = ", with one column more for blank rows" if share < 1 else ""
        raise ValueError(
            f"`audit` expects `logits` and `codes` of the same rows and bits{blanks}, got "
            f"shapes {tuple(theta.shape)} and {parts.shape}."
        )


def check_certain(theta: Tensor, parts: NDArray[np.int64], shown: NDArray[np.bool_]) -> None:
    """Refuse codes that chance decides, or that are not those of the logits."""

    if unsure := int((theta.abs() < _NO_CHANCE).any(1).sum()):
        raise ValueError(
            f"`certain=True` expects logits of {_NO_CHANCE:.0f} or more, above or below 0, which "
            f"leave no bit to chance, got {unsure} of {len(theta)} rows with others. Leave it out "
            "for this encoder."
        )
    bits = (theta > 0).numpy()
    if other := int((parts[shown, : bits.shape[1]] != bits[shown]).any(1).sum()):
        raise ValueError(
            f"`certain=True` expects the codes of the logits, got {other} rows with other codes. "
            "Give the logits of the encoder that made them."
        )


def drawn_bits(theta: Tensor, share: float, seed: int) -> NDArray[Any]:
    """Bits, and coins if only a share of the rows get a code."""

    generator = torch.Generator().manual_seed(seed)
    bits = draw(theta, generator=generator).numpy()
    if share == 1:
        return bits
    shown = (torch.rand(len(theta), 1, generator=generator) < share).numpy()

    return np.hstack([bits * shown, ~shown])


def numbered_columns(
    codes: Any,
) -> tuple[tuple[str, ...], NDArray[np.int64], tuple[tuple[Any, ...], ...]]:
    """The name of each column, the number of the value in each of its rows, and the values.

    Raises:
        ValueError: If values are missing, or are not in columns.
    """

    if np.ndim(codes) not in (1, 2):
        raise ValueError(
            "`codes` expects a column of values, or a table of several columns, got "
            f"{type(codes).__name__} with {np.ndim(codes)} dimensions."
        )
    frame = pd.DataFrame(codes) if np.ndim(codes) == 2 else pd.Series(codes).to_frame()
    missing = int(frame.isna().any(axis=1).sum())
    if missing:
        raise ValueError(
            f"`codes` has {missing} rows with missing values. Leave those rows out, or give "
            "them a value of their own, such as 'unknown', if that is what is published."
        )
    named = isinstance(codes, pd.DataFrame) or getattr(codes, "name", None) is not None
    names = [str(name) if named else f"column {j}" for j, name in enumerate(frame)]
    numbered = [_numbered(column) for _, column in frame.items()]
    parts = np.stack([numbers for numbers, _ in numbered], axis=1)

    return (
        ("code",) if names == ["column 0"] else tuple(names),
        parts,
        tuple(values for _, values in numbered),
    )


def blank_column(
    names: Sequence[str], parts: NDArray[np.int64], values: Sequence[tuple[Any, ...]]
) -> int | None:
    """The column that says which rows are blank, as `bitveil encode` writes it, if there is one.

    It has the name "blank", is 0 or 1, and all other columns are alike where it is 1.
    """

    if BLANK not in names or len(names) < 2:
        return None
    place = list(names).index(BLANK)
    others = np.delete(parts, place, axis=1)[parts[:, place] == 1]

    return place if values[place] == (0, 1) and len(np.unique(others, axis=0)) == 1 else None


def _numbered(column: "pd.Series[Any]") -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """The number of each value: in order if the values have one, otherwise as they come."""

    try:
        numbers, values = pd.factorize(column, sort=True)
    except TypeError:
        numbers, values = pd.factorize(column)

    return numbers.astype(np.int64), tuple(pd.Index(values).tolist())
