"""Saved: what of a fitted estimator is written into its folder, and how it is made anew."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bitveil.audits.certificates import Certificate
from bitveil.frozen import Secret
from bitveil.kinds import Kinds
from bitveil.labels import Grouping
from bitveil.networks import Decoding, Encoding
from bitveil.repeats import UsedRows
from bitveil.targets import Target
from bitveil.wishes import Step

__all__ = ["manifest", "restore", "tensors"]

_ASIDE = ("key", "random_state", "after_epoch", "checkpoint", "encoder", "decoder")
"""Settings that are not written: secrets, and what is code."""

_PLAIN = ("n_features_in_", "feature_names_in_", "target_name_", "sensitive_names_", "n_outputs_")
"""Attributes that JSON can say as they are."""


def manifest(model: Any) -> dict[str, Any]:
    """What a fitted estimator is, as JSON can say it; its networks and tables are `tensors`."""

    params = model.get_params(deep=False)
    target, grouping = model.target_, model.grouping_

    return {
        "class": type(model).__name__,
        "params": {name: None if name in _ASIDE else value for name, value in params.items()},
        "own": {name: params[name] is not None for name in ("encoder", "decoder")},
        "attributes": {name: getattr(model, name) for name in _PLAIN},
        "kinds": model.kinds_ and list(model.kinds_.kinds),
        "shape": list(model.shape_),
        "decodes": model.decoder_ is not None,
        "target": {**asdict(target), "classes": [c.tolist() for c in target.classes]},
        "grouping": {**asdict(grouping), "values": grouping.values.tolist()},
        "certificate": model.certificate_ and asdict(model.certificate_),
        "path": [asdict(step) for step in model.path_],
    }


def tensors(model: Any) -> dict[str, Tensor]:
    """The tensors of a fitted estimator, each under the name of what it belongs to."""

    decoder = {} if model.decoder_ is None else model.decoder_.state_dict()

    return {
        **{f"used.{name}": torch.from_numpy(part) for name, part in _used(model.used_)},
        **{f"tables.{name}": table for name, table in model.tables_.items()},
        **{f"encoder.{name}": tensor for name, tensor in model.encoder_.state_dict().items()},
        **{f"decoder.{name}": tensor for name, tensor in decoder.items()},
    }


def restore(
    model: Any,
    said: dict[str, Any],
    weights: dict[str, Tensor],
    encoder: nn.Module | None,
    decoder: nn.Module | None,
) -> None:
    """Make an estimator with the saved settings the fitted one that was saved.

    Raises:
        ValueError: If a network of the person's own is missing, or is another one.
    """

    for name, given in (("encoder", encoder), ("decoder", decoder)):
        if said["own"][name] and given is None:
            raise ValueError(
                f"This encoder was fitted with its own {name}: give the network again, as "
                f"`load(directory, {name}=...)`. The weights are put into a copy."
            )
        if given is not None and not said["own"][name]:
            raise ValueError(f"This encoder was fitted without its own {name}: give none.")
    for name, value in said["attributes"].items():
        setattr(model, name, value)
    model.kinds_ = said["kinds"] and Kinds(tuple(model.feature_names_in_), tuple(said["kinds"]))
    model.shape_ = tuple(said["shape"])
    model.target_, model.grouping_ = _target(said["target"]), _grouping(said["grouping"])
    model.certificate_ = said["certificate"] and _certificate(said["certificate"])
    model.path_ = [Step(**step) for step in said["path"]]
    model.used_ = _used_rows(_under("used", weights))
    model.tables_ = _under("tables", weights)
    hidden = tuple(model.hidden)
    model.encoder_ = Encoding(encoder, model.shape_, model.n_bits, hidden)(torch.Generator())
    _fill("encoder", model.encoder_.double().eval(), weights)
    model.decoder_ = None
    if said["decodes"]:
        decoding = Decoding("target", True, decoder, model.n_bits, model.n_outputs_, hidden)
        model.decoder_ = decoding.decoder(torch.Generator()).double().eval()
        _fill("decoder", model.decoder_, weights)


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

    return UsedRows(
        Secret(arrays["key"].astype(np.uint8).tobytes()),
        arrays["contents"].view(np.uint64),
        arrays["counts"],
        names,
    )


def _fill(name: str, network: nn.Module, weights: dict[str, Tensor]) -> None:
    try:
        network.load_state_dict(_under(name, weights))
    except RuntimeError as error:
        raise ValueError(
            f"`{name}` is another network than the one that was saved: {error}"
        ) from error


def _under(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{name}."

    return {n.removeprefix(start): w for n, w in weights.items() if n.startswith(start)}


def _target(said: dict[str, Any]) -> Target:
    parts = {name: tuple(part) for name, part in said.items() if name not in ("classes", "edges")}
    edges = tuple(None if cuts is None else tuple(cuts) for cuts in said["edges"])

    return Target(
        **parts, edges=edges, classes=tuple(_values(classes) for classes in said["classes"])
    )


def _grouping(said: dict[str, Any]) -> Grouping:
    edges = tuple(None if cuts is None else tuple(cuts) for cuts in said["edges"])

    return Grouping(tuple(said["columns"]), edges, tuple(said["textual"]), _values(said["values"]))


def _certificate(said: dict[str, Any]) -> Certificate:
    return Certificate(**{**said, "sizes": tuple(said["sizes"])})


def _values(values: list[Any]) -> NDArray[Any]:
    """Labels as they were before JSON, which makes lists of tuples and knows no dates."""

    if not isinstance(values[0], str | list | dict):
        return np.array(values)
    array = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        parts = [
            datetime.fromisoformat(part["datetime"]) if isinstance(part, dict) else part
            for part in (value if isinstance(value, list) else [value])
        ]
        array[number] = tuple(parts) if isinstance(value, list) else parts[0]

    return array
