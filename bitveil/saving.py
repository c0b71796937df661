"""Saved: what of a fitted estimator is written into its folder, and how it is made anew."""

import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bitveil.certificates.upper import Certificate
from bitveil.columns.groups import Grouping
from bitveil.columns.kinds import KINDS, Kinds
from bitveil.columns.targets import Target
from bitveil.columns.values import read, said
from bitveil.folders import Parts, libraries
from bitveil.frozen import Secret
from bitveil.inspection import (
    Shapes,
    blaming,
    check_shapes,
    checked,
    convolution_shapes,
    fits,
    perceptron_shapes,
)
from bitveil.networks import Decoding, Encoding
from bitveil.repeats import UsedRows
from bitveil.search import Step

__all__ = ["manifest", "rehearse", "restore", "tensors"]

_ASIDE = ("key", "random_state", "after_epoch", "checkpoint", "encoder", "decoder")
"""Settings that are not written: secrets, and what is code."""

_SAID: Mapping[str, Any] = {
    "n_features_in_": int,
    "feature_names_in_": list[Any] | None,
    "target_name_": Any,
    "sensitive_names_": list[Any] | None,
    "n_outputs_": int,
    "shape_": tuple[int, ...],
}
"""Attributes that are written as JSON, and their types. Another one needs a line here."""

_UNCHECKED: Mapping[str, Any] = {
    "device": str,
    "precision": str,
    "n_jobs": int | None,
    "verbose": int | bool,
    "warm_start": bool,
}
"""Settings that an estimator does not look at before it uses them, and their types."""

_NEAR = 1e-4
"""How far logits may be from those that were saved: processors round differently."""


def manifest(model: Any) -> dict[str, Any]:
    """What a fitted estimator is, as JSON can say it; its networks and tables are `tensors`."""

    params = model.get_params(deep=False)

    return {
        "class": type(model).__name__,
        "params": {name: said(value) for name, value in params.items() if name not in _ASIDE},
        "own": {name: params[name] is not None for name in ("encoder", "decoder")},
        "attributes": {name: said(getattr(model, name)) for name in _SAID},
        "kinds": model.kinds_ and list(model.kinds_.kinds),
        "decodes": model.decoder_ is not None,
        "target": _fields(model.target_),
        "grouping": _fields(model.grouping_),
        "certificate": model.certificate_ and _fields(model.certificate_),
        "path": [_fields(step) for step in model.path_],
        "specimens": _frame_said(model.specimens_),
    }


def tensors(model: Any) -> dict[str, Tensor]:
    """The tensors of a fitted estimator, each under the name of what it belongs to."""

    decoder = {} if model.decoder_ is None else model.decoder_.state_dict()
    logits, bits = _tried(model, _again(model.specimens_))
    rows = model.specimens_
    array = {} if isinstance(rows, pd.DataFrame) else {"rows": torch.from_numpy(rows.copy())}
    kept = {**array, "logits": torch.from_numpy(logits), "bits": torch.from_numpy(bits)}

    return {
        **{f"used.{name}": torch.from_numpy(part) for name, part in _used(model.used_)},
        **{f"tables.{name}": table for name, table in model.tables_.items()},
        **{f"encoder.{name}": tensor for name, tensor in model.encoder_.state_dict().items()},
        **{f"decoder.{name}": tensor for name, tensor in decoder.items()},
        **{f"specimens.{name}": tensor for name, tensor in kept.items()},
    }


def restore(
    forms: Mapping[str, type[Any]],
    folder: Path,
    parts: Parts,
    encoder: nn.Module | None,
    decoder: nn.Module | None,
) -> Any:
    """Make the fitted estimator that was saved.

    Raises:
        ValueError: If the folder was changed, or a network of the person's own is missing, or is
            another one.
    """

    what, weights = parts.manifest, parts.weights
    with blaming(folder):
        model = _settled(forms, what)
        for name, kind in _SAID.items():
            setattr(model, name, _attribute(name, read(what["attributes"][name]), kind))
        model.used_ = _used_rows(_under("used", weights))
        model.kinds_ = _kinds(what["kinds"], model.feature_names_in_)
        model.target_, model.grouping_ = _target(what["target"]), _grouping(what["grouping"])
        model.certificate_ = what["certificate"] and _record(Certificate, what["certificate"])
        model.path_ = [_record(Step, step) for step in what["path"]]
        model.features_, model.key_ = parts.features, parts.key
        model.specimens_ = _rows(what["specimens"], weights)
        model.tables_ = _under("tables", weights)
        _check_whole(model, what)
    _check_own(folder, what["own"], encoder, decoder)
    _furnish(model, what, weights, folder, encoder, decoder)

    return model


def rehearse(model: Any, folder: Path, parts: Parts) -> None:
    """Try a loaded estimator on the specimens of its folder.

    Raises:
        ValueError: If they get other codes than when it was saved.
    """

    with blaming(folder):
        logits, bits = _tried(model, model.specimens_)
        kept = _under("specimens", parts.weights)
        was_logits, was_bits = kept["logits"].numpy(), kept["bits"].numpy()
        if was_logits.shape != logits.shape or was_bits.shape != bits.shape:
            raise ValueError("its specimens have codes of another shape")
        if not np.isfinite(logits).all():
            raise ValueError("its specimens get logits that are not finite")
        if hasattr(model, "predict"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as in `_tried`
                model.predict(model.specimens_)
    differ = int((bits != was_bits).sum())
    if not differ and np.allclose(logits, was_logits, rtol=_NEAR, atol=_NEAR):
        return
    was, now = parts.manifest["libraries"], libraries()
    off = f"{differ} of {bits.size} bits, and logits by up to {abs(logits - was_logits).max():.2g}"
    if was != now:
        raise ValueError(
            f"{folder} is not loaded: with {now} its specimens get other codes than with {was}, "
            f"which saved it; {off}. Install those versions, or fit the encoder anew."
        )
    own = " and ".join(f"`{name}`" for name, is_own in parts.manifest["own"].items() if is_own)
    cause = f"Either {own} is another network, or {folder}" if own else f"{folder}"
    raise ValueError(
        f"{cause} was changed after it was saved, and is not loaded: its specimens get other "
        f"codes; {off}."
    )


def _fields(record: Any) -> dict[str, Any]:
    return {name: said(value) for name, value in vars(record).items()}


def _record(form: Any, content: Any) -> Any:
    return checked(form, {name: read(value) for name, value in content.items()})


def _attribute(name: str, value: Any, kind: Any) -> Any:
    if not fits(value, kind):
        raise ValueError(f"`{name}` expects {kind}, got {value!r}")

    return value


def _settled(forms: Mapping[str, type[Any]], what: dict[str, Any]) -> Any:
    """An estimator with the saved settings, which it could be fitted with."""

    checked_bools = [*what["own"].values(), what["decodes"]]
    if set(what["own"]) != {"encoder", "decoder"} or not fits(checked_bools, list[bool]):
        raise ValueError("it does not say which networks it has")
    params = {name: read(value) for name, value in what["params"].items()}
    known = set(forms[what["class"]]().get_params(deep=False)) - set(_ASIDE)
    if set(params) != known:
        raise ValueError(f"it has other settings: {sorted(set(params) ^ known)[:5]}")
    for name, kind in _UNCHECKED.items():
        _attribute(name, params[name], kind)
    hash(params["positive"])
    model = forms[what["class"]](**params)
    model._check_settings()

    return model


def _target(content: Any) -> Target:
    target: Target = _record(Target, content)
    counted = {kind: target.kinds.count(kind) for kind in ("classes", "numbers")}
    good = (
        len(target.names) == len(target.kinds) == sum(counted.values())
        and len(target.classes) == counted["classes"]
        and len(target.means) == len(target.scales) == counted["numbers"]
        and len(target.edges) == len(target.kinds)
        and all(map(math.isfinite, target.means))
        and all(math.isfinite(scale) and scale > 0 for scale in target.scales)
    )
    if not good:
        raise ValueError("its target has columns of which it says too little or too much")
    for classes in target.classes:
        _check_distinct(classes)

    return target


def _grouping(content: Any) -> Grouping:
    grouping: Grouping = _record(Grouping, content)
    width = len(grouping.columns)
    if len(set(grouping.columns)) < width:
        raise ValueError("its grouping has columns of one name")
    if not width == len(grouping.edges) == len(grouping.textual) > 0:
        raise ValueError("its grouping has columns of which it says too little or too much")
    for cuts in grouping.edges:
        if cuts is not None and (np.diff(cuts) <= 0).any():
            raise ValueError(f"its grouping cuts at numbers that do not rise: {cuts[:5]}")
    _check_distinct(grouping.values)
    values = grouping.values.tolist()
    if width > 1 and not all(isinstance(v, tuple) and len(v) == width for v in values):
        raise ValueError("its groups have other columns than its grouping")

    return grouping


def _check_distinct(values: NDArray[Any]) -> None:
    if values.ndim != 1 or not 1 < len(values) == len(set(values.tolist())):
        raise ValueError("expected two or more different values of a target or an attribute")


def _check_whole(model: Any, what: dict[str, Any]) -> None:
    """Refuse attributes that do not belong together."""

    names, target = model.feature_names_in_, model.target_
    if model.n_features_in_ < 1 or (names is not None and len(names) != model.n_features_in_):
        raise ValueError("it has other names of columns than columns")
    if len(set(names or [])) < len(names or []):
        raise ValueError("it has columns of one name")
    hash(model.target_name_), hash(tuple(model.sensitive_names_ or [])), hash(target.names)
    if min(model.n_outputs_, *model.shape_) < 1 or model.n_bits > 2**16:
        raise ValueError("it has features, bits or outputs of a shape that cannot be")
    kinds = {"classes": {"classes"}, "numbers": {"numbers"}}.get(model._targets)
    if kinds is not None and set(target.kinds) != kinds:
        raise ValueError(f"a {type(model).__name__} has no target of {target.kinds}")
    outputs = sum(target.n_labels) + target.kinds.count("numbers")
    if kinds is not None and model.n_outputs_ != outputs:
        raise ValueError(f"it has {model.n_outputs_} outputs for {outputs} classes and numbers")
    if model.criterion == "equal_opportunity":
        model._positive  # noqa: B018  # says whether there is such a class
    _check_tables(model, needed=kinds is not None and not what["decodes"])


def _check_tables(model: Any, *, needed: bool) -> None:
    codes = 1 << model.n_bits
    numbers = model.target_.kinds.count("numbers")
    shapes: Shapes = {f"target{j}": (n, codes) for j, n in enumerate(model.target_.n_labels)}
    if numbers:
        shapes |= dict.fromkeys(("counts", "sums"), (numbers, codes))
    if not needed:
        shapes = {name: shapes.get(name, ()) for name in model.tables_}
    check_shapes("tables of the target", model.tables_, shapes)


def _check_own(
    folder: Path, own: dict[str, bool], encoder: nn.Module | None, decoder: nn.Module | None
) -> None:
    for name, given in (("encoder", encoder), ("decoder", decoder)):
        if own[name] and given is None:
            raise ValueError(
                f"The encoder in {folder} was fitted with its own {name}: give the network again, "
                f"as `load(directory, {name}=...)`. The weights are put into a copy."
            )
        if given is not None and not own[name]:
            raise ValueError(
                f"The encoder in {folder} was fitted without its own {name}: give none."
            )


def _furnish(
    model: Any,
    what: dict[str, Any],
    weights: dict[str, Tensor],
    folder: Path,
    encoder: nn.Module | None,
    decoder: nn.Module | None,
) -> None:
    """Make the networks, after a look at what they would be like."""

    hidden, n_bits, generator = tuple(model.hidden), int(model.n_bits), torch.Generator()
    if encoder is None:
        with blaming(folder):
            tabular = len(model.shape_) == 1
            expected = (
                perceptron_shapes(model.shape_[0], hidden, n_bits)
                if tabular
                else convolution_shapes(model.shape_, n_bits)
            )
            check_shapes("encoder", _under("encoder", weights), expected)
    if decoder is None and what["decodes"]:
        with blaming(folder):
            expected = perceptron_shapes(n_bits, hidden, model.n_outputs_)
            check_shapes("decoder", _under("decoder", weights), expected)
    network = Encoding(encoder, model.shape_, n_bits, hidden)(generator)
    model.encoder_ = _filled("encoder", network, weights)
    model.decoder_ = None
    if what["decodes"]:
        decoding = Decoding("target", True, decoder, n_bits, model.n_outputs_, hidden)
        model.decoder_ = _filled("decoder", decoding.decoder(generator), weights)


def _used(used: UsedRows) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """What is known of used rows, as whole numbers; safetensors has no unsigned ones."""

    yield "key", np.frombuffer(used.key, np.uint8).astype(np.int64)
    yield "contents", used.contents.view(np.int64).copy()
    yield "counts", used.counts
    if used.names is not None:
        yield "names", used.names.view(np.int64).copy()


def _used_rows(parts: dict[str, Tensor]) -> UsedRows:
    arrays = {name: part.numpy() for name, part in parts.items()}
    names = arrays["names"].view(np.uint64) if "names" in arrays else None

    if len(arrays["counts"]) != len(arrays["contents"]) or (arrays["counts"] < 1).any():
        raise ValueError("it has other contents of used rows than counts of them")

    return UsedRows(
        Secret(arrays["key"].astype(np.uint8).tobytes()),
        arrays["contents"].view(np.uint64),
        arrays["counts"],
        names,
    )


def _filled(name: str, network: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    network = network.double().eval()
    try:
        network.load_state_dict(_under(name, weights))
    except RuntimeError as error:
        raise ValueError(
            f"`{name}` is another network than the one that was saved: {error}"
        ) from error

    return network


def _kinds(content: Any, names: list[Any] | None) -> Kinds | None:
    if (content is None) != (names is None):
        raise ValueError("it has names of columns or kinds of columns, and not both")
    if content is None or names is None:
        return None
    if len(content) != len(names) or not set(content) <= set(KINDS):
        raise ValueError(f"it has other kinds of columns than {KINDS}")

    return Kinds(tuple(names), tuple(content))


def _under(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{name}."

    return {n.removeprefix(start): w for n, w in weights.items() if n.startswith(start)}


# Specimens


def _tried(model: Any, rows: Any) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The logits and the bits of specimens."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # specimens are nobody's, and need no cautions

        return np.ascontiguousarray(model.logits(rows)), model.transform(rows)


def _frame_said(rows: Any) -> Any:
    """The columns of a table of specimens; None of an array, which is a tensor."""

    if not isinstance(rows, pd.DataFrame):
        return None
    cells = [
        [None if pd.isna(v) else said(v) for v in rows.iloc[:, j]] for j in range(rows.shape[1])
    ]

    return {"columns": said(list(rows.columns)), "cells": cells}


def _rows(content: Any, weights: dict[str, Tensor]) -> Any:
    if content is None:
        return weights["specimens.rows"].numpy()
    cells, names = read(content["cells"]), read(content["columns"])

    return pd.DataFrame(dict(enumerate(map(pd.Series, cells)))).set_axis(names, axis=1)


def _again(rows: Any) -> Any:
    """Specimens as they will be read."""

    return _rows(_frame_said(rows), {}) if isinstance(rows, pd.DataFrame) else rows
