"""Saving: what a fitted estimator writes into its folder, and how it is restored from there."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bitveil.cells import Cells
from bitveil.coder import Coder
from bitveil.columns.targets import Target
from bitveil.columns.values import from_json, to_json
from bitveil.decoders import Decoder
from bitveil.fitting import Fitted
from bitveil.folders import Parts, libraries
from bitveil.frozen import Secret
from bitveil.inspection import (
    Shapes,
    blaming,
    cell_shapes,
    check_shapes,
    convolution_shapes,
    fits,
    perceptron_shapes,
)
from bitveil.networks import Decoding, Encoding
from bitveil.repeats import UsedRows
from bitveil.saved_schema import SCHEMA_PARTS, read_record, read_schema, typed
from bitveil.saved_statements import (
    saved_certificate,
    saved_price,
    saved_sizes,
    saved_tries,
    tries_as_json,
)
from bitveil.schema import Schema
from bitveil.trainers import Step
from bitveil.training import History, Training

__all__ = ["manifest", "rehearse", "restore", "tensors"]

_ASIDE = ("key", "random_state", "training")
"""Settings that are not written here: secrets, code, and the training."""

_TRAINING_ASIDE = ("after_epoch", "checkpoint", "encoder", "decoder")
"""Settings of the training that are not written: code, and a folder of this machine."""

_UNCHECKED: Mapping[str, Any] = {
    "device": str,
    "precision": str,
    "verbose": int | bool,
    "warm_start": bool,
}
"""Settings of the training that are checked only when they are used, and their types."""

_NEAR = 1e-4
"""How far logits may be from those that were saved: processors round differently."""


def manifest(model: Any) -> dict[str, Any]:
    """What a fitted estimator is, in JSON; its networks and tables are `tensors`."""

    params, schema = model.get_params(deep=False), model.schema_
    if not isinstance(params["posteriors"], str):  # fitted models are among the features
        params["posteriors"] = None
    settings = model.settings()
    training = settings.training.get_params(deep=False)
    own = {"encoder": settings.training.encoder, "decoder": settings.training.decoder}

    return {
        "class": type(model).__name__,
        "params": {n: to_json(value) for n, value in params.items() if n not in _ASIDE},
        "training": {
            n: to_json(value) for n, value in training.items() if n not in _TRAINING_ASIDE
        },
        "own": {name: network is not None for name, network in own.items()},
        "schema": {name: to_json(getattr(schema, name)) for name in SCHEMA_PARTS},
        "features_shape": to_json(model.coder_.shape),
        "n_outputs": model.n_outputs_,
        "cells": _n_cells(model.coder_.encoder),
        "share": model.coder_.share,
        "remarks": list(model.remarks_),
        "price": model.price_ and asdict(model.price_),
        "group_sizes": model.group_sizes_ and list(model.group_sizes_.values()),
        "kinds": schema.kinds and list(schema.kinds.kinds),
        "decodes": model.decoder_.network is not None,
        "target": _fields(schema.target),
        "grouping": _fields(schema.grouping),
        "certificate": model.certificate_ and _as_json_fields(model.certificate_.to_dict()),
        "path": [_fields(step) for step in model.path_],
        "specimens": _frame_as_json(model.specimens_),
    } | tries_as_json(model)


def tensors(model: Any) -> dict[str, Tensor]:
    """The tensors of a fitted estimator, each named after the part that it belongs to."""

    network = model.decoder_.network
    decoder = {} if network is None else network.state_dict()
    encoder = model.coder_.encoder.state_dict()
    logits, bits = _tried(model, _again(model.specimens_))
    rows = model.specimens_
    array = {} if isinstance(rows, pd.DataFrame) else {"rows": torch.from_numpy(rows.copy())}
    kept = {**array, "logits": torch.from_numpy(logits), "bits": torch.from_numpy(bits)}

    return {
        **{f"used.{name}": torch.from_numpy(part) for name, part in _used(model.used_)},
        **{f"tables.{name}": table for name, table in model.decoder_.tables.items()},
        **{f"encoder.{name}": tensor for name, tensor in encoder.items()},
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
    """Restore the fitted estimator that was saved.

    Raises:
        ValueError: If the folder was changed, or the user's own network is missing or is another
            one.
    """

    what, weights = parts.manifest, parts.weights
    with blaming(folder):
        model = _settled(forms, what)
        schema = read_schema(what)
        n_outputs = typed("n_outputs", what["n_outputs"], int)
        remarks = tuple(typed("remarks", what["remarks"], list[str]))
        price = saved_price(what.get("price"))
        sizes = saved_sizes(schema, what.get("group_sizes"))
        share = typed("share", what["share"], float)
        if not 0 <= share <= 1:
            raise ValueError(f"it has a share of {share}")
        shape = typed("features", from_json(what["features_shape"]), tuple[int, ...])
        tables = _under("tables", weights)
        certificate = what["certificate"] and saved_certificate(what["certificate"])
        path = [read_record(Step, step) for step in what["path"]]
        tries = saved_tries(what, certificate)
        used, rows = _used_rows(_under("used", weights)), _rows(what["specimens"], weights)
        _check_whole(model, schema, (*shape, n_outputs), tables, needed=not what["decodes"])
    _check_own(folder, what["own"], encoder, decoder)
    networks = _networks(model, what, shape, n_outputs, weights, folder, encoder, decoder)
    n_bits = int(model.n_bits)
    model.adopt(
        Fitted(
            schema,
            Coder(parts.features, networks[0], parts.key, n_bits, shape, share),
            Decoder(schema.target, n_bits, networks[1], tables, share < 1),
            certificate,
            path,
            History(),
            {},
            used,
            rows,
            n_outputs,
            remarks,
            price,
            sizes,
            tries,
        )
    )

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
            f"which saved it; {off}. Install those versions, or fit the encoder again."
        )
    own = " and ".join(f"`{name}`" for name, is_own in parts.manifest["own"].items() if is_own)
    cause = f"Either {own} is another network, or {folder}" if own else f"{folder}"
    raise ValueError(
        f"{cause} was changed after it was saved, and is not loaded: its specimens get other "
        f"codes; {off}."
    )


def _fields(record: Any) -> dict[str, Any]:
    return _as_json_fields(vars(record))


def _as_json_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_json(value) for name, value in fields.items()}


def _settled(forms: Mapping[str, type[Any]], what: dict[str, Any]) -> Any:
    """An unfitted estimator with the saved settings, which must be valid."""

    checked_bools = [*what["own"].values(), what["decodes"]]
    if set(what["own"]) != {"encoder", "decoder"} or not fits(checked_bools, list[bool]):
        raise ValueError("it does not say which networks it has")
    model, training = forms[what["class"]](), Training()
    params = _given(model, what["params"], _ASIDE)
    trained = _given(training, what["training"], _TRAINING_ASIDE)
    for name, kind in _UNCHECKED.items():
        typed(name, trained[name], kind)
    typed("n_jobs", params["n_jobs"], int | None)
    hash(params["positive"])
    model.set_params(**params, training=training.set_params(**trained))
    model.settings()  # which checks them

    return model


def _given(form: Any, content: dict[str, Any], aside: Sequence[str]) -> dict[str, Any]:
    params = {name: from_json(value) for name, value in content.items()}
    known = set(form.get_params(deep=False)) - set(aside)
    if set(params) != known:
        raise ValueError(f"it has other settings: {sorted(set(params) ^ known)[:5]}")

    return params


def _check_whole(
    model: Any,
    schema: Schema,
    sizes: tuple[int, ...],
    tables: dict[str, Tensor],
    *,
    needed: bool,
) -> None:
    """Refuse parts that do not belong together.

    Arguments:
        model: The estimator with its settings.
        schema: Its schema.
        sizes: The shape of a row's features, and the number of outputs of a decoding network.
        tables: The tables of the target.
        needed: Whether tables of the whole target are needed.
    """

    names, target = schema.feature_names, schema.target
    if names is not None and (len(names),) != schema.shape:
        raise ValueError("it has more or fewer names of columns than columns")
    if len(set(names or [])) < len(names or []):
        raise ValueError("it has two columns of the same name")
    hash(schema.target_name), hash(tuple(schema.sensitive_names or [])), hash(target.names)
    if (
        len(sizes) < 2
        or not schema.shape
        or min(*sizes, *schema.shape) < 1
        or model.n_bits > 2**16
    ):
        raise ValueError("it has features, bits or outputs of a shape that cannot be")
    targets = model.settings().targets
    kinds = {"classes": {"classes"}, "numbers": {"numbers"}}.get(targets)
    if kinds is not None and set(target.kinds) != kinds:
        raise ValueError(f"a {type(model).__name__} has no target of {target.kinds}")
    outputs = sum(target.n_labels) + target.kinds.count("numbers")
    if kinds is not None and sizes[-1] != outputs:
        raise ValueError(f"it has {sizes[-1]} outputs for {outputs} classes and numbers")
    model.settings().positive_number(target)  # an error where there is no such class
    _check_tables(model.n_bits, target, tables, needed=kinds is not None and needed)


def _check_tables(n_bits: int, target: Target, tables: dict[str, Tensor], *, needed: bool) -> None:
    codes, numbers = 1 << n_bits, target.kinds.count("numbers")
    shapes: Shapes = {f"target{j}": (n, codes) for j, n in enumerate(target.n_labels)}
    if not needed:
        shapes |= {f"classes{j}": (n,) for j, n in enumerate(target.n_labels)}
    if numbers:
        shapes |= dict.fromkeys(("counts", "sums"), (numbers, codes))
    if not needed:
        shapes = {name: shapes.get(name, ()) for name in tables}
    check_shapes("tables of the target", tables, shapes)


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


def _networks(
    model: Any,
    what: dict[str, Any],
    shape: tuple[int, ...],
    n_outputs: int,
    weights: dict[str, Tensor],
    folder: Path,
    encoder: nn.Module | None,
    decoder: nn.Module | None,
) -> tuple[nn.Module, nn.Module | None]:
    """Make encoder and decoder, after their weights have the expected shapes."""

    hidden = tuple(model.settings().training.hidden)
    n_bits, generator = int(model.n_bits), torch.Generator()
    with blaming(folder):
        cells, decodes = typed("cells", what["cells"], int | None), what["decodes"]
    if encoder is None:
        with blaming(folder):
            expected = (
                cell_shapes(shape[0], cells, n_bits)
                if cells is not None
                else perceptron_shapes(shape[0], hidden, n_bits)
                if len(shape) == 1
                else convolution_shapes(shape, n_bits)
            )
            check_shapes("encoder", _under("encoder", weights), expected)
    if decoder is None and decodes:
        with blaming(folder):
            expected = perceptron_shapes(n_bits, hidden, n_outputs)
            check_shapes("decoder", _under("decoder", weights), expected)
    network = (
        Encoding(encoder, shape, n_bits, hidden)(generator)
        if cells is None
        else Cells(shape[0], n_bits, cells)
    )
    filled = _filled("encoder", network, weights)
    if not decodes:
        return filled, None
    decoding = Decoding("target", True, decoder, n_bits, n_outputs, hidden)

    return filled, _filled("decoder", decoding.decoder(generator), weights)


def _n_cells(encoder: nn.Module) -> int | None:
    """How many cells an encoder has; None for other networks."""

    return len(encoder.bias) if isinstance(encoder, Cells) else None


def _used(used: UsedRows) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """The digests of used rows, as signed numbers: safetensors has no unsigned ones."""

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


def _under(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{name}."

    return {n.removeprefix(start): w for n, w in weights.items() if n.startswith(start)}


# Specimens


def _tried(model: Any, rows: Any) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The logits and the bits of specimens."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # specimens are nobody's rows and need no cautions

        return np.ascontiguousarray(model.logits(rows)), model.transform(rows)


def _frame_as_json(rows: Any) -> Any:
    """The columns of a table of specimens; None for an array, which is saved as a tensor."""

    if not isinstance(rows, pd.DataFrame):
        return None
    cells = [
        [None if pd.isna(v) else to_json(v) for v in rows.iloc[:, j]] for j in range(rows.shape[1])
    ]

    return {"columns": to_json(list(rows.columns)), "cells": cells}


def _rows(content: Any, weights: dict[str, Tensor]) -> Any:
    if content is None:
        return weights["specimens.rows"].numpy()
    cells, names = from_json(content["cells"]), from_json(content["columns"])

    return pd.DataFrame(dict(enumerate(map(pd.Series, cells)))).set_axis(names, axis=1)


def _again(rows: Any) -> Any:
    """Specimens as `load` will read them."""

    return _rows(_frame_as_json(rows), {}) if isinstance(rows, pd.DataFrame) else rows
