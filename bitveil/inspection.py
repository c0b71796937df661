"""Inspection: checks of what was read from a saved encoder, before it is used.

Anybody who can write to a folder can change its files. So everything that is read from them is
checked as if a stranger had sent it: types and shapes, and above all the numbers that compiled
code uses as places in memory without a check, such as the children of a node of a tree.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from bitveil.quotes import quoted

__all__ = [
    "Shapes",
    "blaming",
    "cell_shapes",
    "check_archive",
    "check_fitted_features",
    "check_shapes",
    "checked_record",
    "convolution_shapes",
    "fits",
    "perceptron_shapes",
]

Form = TypeVar("Form")

Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""The shapes of tensors, by their names."""


@contextmanager
def blaming(folder: Path) -> Iterator[None]:
    """Turn every error inside into one error that names the folder.

    Raises:
        ValueError: Instead of any other error.
    """

    try:
        yield
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(
            f"{folder} was changed after it was saved, or is damaged, and is not loaded "
            f"({kind}{_short(error)}). Copy the folder again, or fit and save the encoder again."
        ) from error


def _short(error: Exception, most: int = 300) -> str:
    text = " ".join(str(error).split())

    return text if len(text) <= most else text[:most] + " …"


def checked_record(form: Callable[..., Form], content: Any) -> Form:
    """A record of this dataclass with these values, each of the type in its annotation.

    Raises:
        ValueError: If a field is missing, unknown, or of another type.

    Example:
        >>> from dataclasses import make_dataclass
        >>> Step = make_dataclass("Step", [("limit", float | None), ("gap", float)])
        >>> checked_record(Step, {"limit": None, "gap": 0.2})
        Step(limit=None, gap=0.2)
        >>> checked_record(Step, {"limit": None, "gap": "0.2"})
        Traceback (most recent call last):
        ...
        ValueError: `gap` of a Step expects float, got '0.2'.
    """

    if not isinstance(content, dict):
        raise ValueError(f"Expected the fields of a {form.__name__}, got {quoted(content)}.")
    hints = get_type_hints(form)
    for name, value in content.items():
        if name in hints and not fits(value, hints[name]):
            kind = getattr(hints[name], "__name__", hints[name])
            raise ValueError(f"`{name}` of a {form.__name__} expects {kind}, got {quoted(value)}.")
    if unknown := sorted(set(content) - {field.name for field in fields(form)}):  # type: ignore[arg-type]
        raise ValueError(f"A {form.__name__} has no {unknown}.")

    return form(**content)


def fits(value: Any, kind: Any) -> bool:
    """Whether a value has the type of an annotation; whole numbers are floats too.

    Example:
        >>> fits((1, 2.5), tuple[float, ...]), fits(True, int), fits(None, int | None)
        (True, False, True)
    """

    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin in (tuple, list):
        return type(value) is origin and all(fits(each, parts[0]) for each in value)
    if origin is dict:
        pairs = value.items() if isinstance(value, dict) else [(None, None)]
        return all(fits(k, parts[0]) and fits(v, parts[1]) for k, v in pairs)
    if kind is None or kind is NoneType:
        return value is None
    if kind in (int, float):
        return type(value) in (int, kind)

    return isinstance(value, origin or kind)


# Tensors


def perceptron_shapes(inputs: int, hidden: Sequence[int], outputs: int) -> Shapes:
    """The shapes of the weights of `table_encoder`, without making one.

    Example:
        >>> perceptron_shapes(5, [8], 2)
        {'0.weight': (8, 5), '0.bias': (8,), '2.weight': (2, 8), '2.bias': (2,)}
    """

    shapes: Shapes = {}
    for layer, (before, after) in enumerate(pairwise([inputs, *hidden, outputs])):
        shapes[f"{2 * layer}.weight"] = (after, before)
        shapes[f"{2 * layer}.bias"] = (after,)

    return shapes


def cell_shapes(inputs: int, cells: int, n_bits: int) -> Shapes:
    """The shapes of the weights of `cells.Cells`, without making one.

    Raises:
        ValueError: If there are more cells than codes, or none.

    Example:
        >>> cell_shapes(2, 4, 2)["weight"]
        (4, 2)
    """

    if not 1 <= cells <= 2 ** min(n_bits, 16):
        raise ValueError(f"it has {cells} cells for codes of {n_bits} bits")

    return {
        "weight": (cells, inputs),
        "bias": (cells,),
        **dict.fromkeys(("mean", "scale", "odds"), (inputs,)),
    }


def convolution_shapes(shape: Sequence[int], outputs: int) -> Shapes:
    """The shapes of the weights of `conv_encoder`, without making one.

    Example:
        >>> convolution_shapes((28, 28), 10)["8.weight"]  # 32 channels of 7 by 7
        (10, 1568)
    """

    first, height, width = (1, *shape) if len(shape) == 2 else shape
    layer = 1 if len(shape) == 2 else 0
    shapes: Shapes = {}
    for before, after in pairwise([first, 16, 32]):
        shapes[f"{layer}.weight"] = (after, before, 3, 3)
        shapes[f"{layer}.bias"] = (after,)
        layer, height, width = layer + 3, max(1, height // 2), max(1, width // 2)

    return shapes | {
        f"{layer + 1}.weight": (outputs, 32 * height * width),
        f"{layer + 1}.bias": (outputs,),
    }


def check_shapes(what: str, weights: Mapping[str, Tensor], expected: Shapes) -> None:
    """Refuse tensors with other names or shapes, or with numbers that are not finite."""

    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    if found != expected:
        differ = sorted(set(found.items()) ^ set(expected.items()))[:5]
        raise ValueError(f"the {what} has other tensors than expected: {differ}")
    if not all(
        weight.is_floating_point() and bool(weight.isfinite().all()) for weight in weights.values()
    ):
        raise ValueError(f"the {what} has numbers that are not finite")


# Features


def check_archive(content: bytes, trusted: list[str]) -> None:
    """Refuse an archive of features with compressed parts, unknown parts or foreign types.

    Uncompressed parts cannot be larger than the file that holds them.

    Raises:
        ValueError: If it has any of these.
    """

    import skops.io

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("features.skops has compressed parts, which bitveil does not write")
        if sum(part.file_size for part in parts) > len(content):
            raise ValueError("features.skops has parts that are larger than the file")
        names = [part.filename for part in parts]
        strange = [n for n in names if n != "schema.json" and not n.endswith(".npy")]
        if len(set(names)) < len(names) or strange:
            raise ValueError(f"features.skops has parts that no encoder has: {strange[:5]}")
        schema = json.loads(archive.read("schema.json"))
    foreign = {*skops.io.get_untrusted_types(data=content), *_estimators(schema)} - set(trusted)
    if foreign:
        raise ValueError(
            f"features.skops holds types that no bitveil encoder has: {sorted(foreign)}"
        )


def _estimators(schema: Any) -> Iterator[str]:
    """The types of scikit-learn in an archive. skops trusts all, also those that read memory."""

    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            name = f"{part.get('__module__')}.{part.get('__class__')}"
            left += part.values()
            if name.startswith("sklearn."):
                yield name
        elif isinstance(part, list):
            left += part


def check_fitted_features(features: Any) -> None:
    """Refuse fitted features that would read foreign memory, or never finish.

    Raises:
        ValueError: If the nodes of a tree form no tree, or a vocabulary does not number its words.
    """

    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.feature_extraction.text import CountVectorizer

    from bitveil.features import Features
    from bitveil.posteriors import PosteriorScore

    if not isinstance(features, Features):
        raise ValueError(f"features.skops holds a {type(features).__name__}")
    for part in _everything_in(features):
        if isinstance(part, BaseHistGradientBoosting):
            _check_boosting(part)
        elif isinstance(part, TreePredictor):
            _check_tree(part)
        elif isinstance(part, CountVectorizer):
            _check_vocabulary(vars(part).get("vocabulary_"))
        elif isinstance(part, PosteriorScore):
            checked_record(PosteriorScore, vars(part))
        elif sparse.issparse(part):
            raise ValueError("features.skops holds a sparse matrix")


def _everything_in(whole: Any) -> Iterator[Any]:
    """The object and everything inside it, each once."""

    left, seen = [whole], set()
    while left:
        part = left.pop()
        if isinstance(part, str | bytes | int | float | None) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            left += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            left += list(part)
        elif isinstance(part, np.ndarray) and part.dtype.kind == "O":
            left += part.ravel().tolist()
        elif not isinstance(part, type | np.ndarray):
            left += list(getattr(part, "__dict__", {}).values())


def _check_boosting(model: Any) -> None:
    """Refuse trees that split other columns, or rounds of unequal size."""

    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    if "_predictors" not in vars(model):  # it is not fitted
        return
    columns, each = vars(model).get("n_features_in_"), vars(model).get("n_trees_per_iteration_")
    rounds = vars(model).get("_predictors")
    if not fits(columns, int) or not fits(each, int) or not fits(rounds, list[list[Any]]):
        raise ValueError("a boosting model lacks its trees, or the number of its columns")
    assert rounds is not None
    for trees in rounds:
        if len(trees) != each or not all(isinstance(tree, TreePredictor) for tree in trees):
            raise ValueError("a boosting model has another number of trees than it says")
        for tree in trees:
            _check_tree(tree, columns)


def _check_tree(tree: Any, columns: int | None = None) -> None:
    """Refuse nodes whose children do not come after them, so that every walk ends."""

    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes = vars(tree).get("nodes")
    if not isinstance(nodes, np.ndarray) or nodes.dtype != PREDICTOR_RECORD_DTYPE:
        raise ValueError("a tree has nodes of another type")
    if nodes.ndim != 1 or not len(nodes) or not nodes.flags.c_contiguous:
        raise ValueError(f"a tree has nodes of shape {nodes.shape}")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    for side in ("left", "right"):
        children = nodes[side][inner].astype(np.int64)
        if (children <= inner).any() or (children >= len(nodes)).any():
            raise ValueError("a tree has a node whose child does not come after it")
    split = nodes["feature_idx"][inner]
    if (split < 0).any() or (columns is not None and (split >= columns).any()):
        raise ValueError("a tree splits a column that does not exist")
    if nodes["is_categorical"].any():
        raise ValueError("a tree splits by categories, which no encoder's tree does")
    if not np.isfinite(nodes["value"]).all():
        raise ValueError("a tree has values that are not finite")
    for name in ("binned_left_cat_bitsets", "raw_left_cat_bitsets"):
        bits = vars(tree).get(name)
        if not isinstance(bits, np.ndarray) or bits.dtype != np.uint32 or bits.shape[1:] != (8,):
            raise ValueError(f"a tree has no valid `{name}`")


def _check_vocabulary(words: Any) -> None:
    """Refuse words whose places are not the numbers of columns, each once."""

    if not isinstance(words, dict) or not all(isinstance(word, str) for word in words):
        raise ValueError("a text reader has no vocabulary")
    places: NDArray[Any] = np.array(list(words.values()))
    if places.dtype.kind not in "iu" or not np.array_equal(np.sort(places), np.arange(len(words))):
        raise ValueError("a vocabulary has words without their own place")
