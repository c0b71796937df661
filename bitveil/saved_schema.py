"""Saved schemas: how a table, its target and its groups are read again from a saved folder."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitveil.columns.groups import Grouping
from bitveil.columns.kinds import KINDS, Kinds
from bitveil.columns.rare import joined_value
from bitveil.columns.targets import Target
from bitveil.columns.values import from_json
from bitveil.inspection import checked_record, fits
from bitveil.quotes import quoted
from bitveil.schema import Schema

__all__ = ["SCHEMA_PARTS", "read_record", "read_schema", "typed"]

SCHEMA_PARTS: Mapping[str, Any] = {
    "shape": tuple[int, ...],
    "feature_names": list[Any] | None,
    "target_name": Any,
    "sensitive_names": list[Any] | None,
}
"""The parts of the schema that are written as JSON, with their types. A new part needs a line."""


def read_schema(what: dict[str, Any]) -> Schema:
    """The schema in a manifest.

    Raises:
        ValueError: If its parts do not belong together.
    """

    kept = {name: from_json(what["schema"][name]) for name in SCHEMA_PARTS}
    for name, kind in SCHEMA_PARTS.items():
        typed(name, kept[name], kind)
    target, grouping = _target_of(what["target"]), _grouping(what["grouping"])
    kinds = _kinds(what["kinds"], kept["feature_names"])

    return Schema(**kept, kinds=kinds, target=target, grouping=grouping)


def _target_of(content: Any) -> Target:
    target: Target = read_record(Target, content)
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
        raise ValueError("it says too little or too much about the columns of its target")
    for classes in target.classes:
        _check_distinct(classes)

    return target


def _grouping(content: Any) -> Grouping:
    grouping: Grouping = read_record(Grouping, content)
    width = len(grouping.columns)
    if len(set(grouping.columns)) < width:
        raise ValueError("its grouping has two columns of the same name")
    if not width == len(grouping.edges) == len(grouping.textual) > 0:
        raise ValueError("it says too little or too much about the columns of its grouping")
    for cuts in grouping.edges:
        if cuts is not None and (np.diff(cuts) <= 0).any():
            raise ValueError(f"its grouping cuts at numbers that do not rise: {cuts[:5]}")
    _check_distinct(grouping.values)
    values = grouping.values.tolist()
    if width > 1 and not all(isinstance(v, tuple) and len(v) == width for v in values):
        raise ValueError("its groups have other columns than its grouping")
    _check_joined(grouping.joined, values, width)

    return grouping


def _check_joined(joined: tuple[Any, ...], values: list[Any], width: int) -> None:
    """Refuse joined groups that do not belong to the groups."""

    parts = [value if width > 1 else (value,) for value in joined]
    texts = all(
        isinstance(part, tuple) and len(part) == width and all(type(v) is str for v in part)
        for part in parts
    )
    one = values.count(joined_value(width)) == 1
    if joined and not (texts and one and len(set(joined)) == len({*joined} - {*values})):
        raise ValueError("its joined groups do not belong to its grouping")


def _check_distinct(values: NDArray[Any]) -> None:
    if values.ndim != 1 or not 1 < len(values) == len(set(values.tolist())):
        raise ValueError("expected two or more different values of a target or an attribute")


def _kinds(content: Any, names: list[Any] | None) -> Kinds | None:
    if (content is None) != (names is None):
        raise ValueError("it has only one of names and kinds of columns")
    if content is None or names is None:
        return None
    if len(content) != len(names) or not set(content) <= set(KINDS):
        raise ValueError(f"it has other kinds of columns than {KINDS}")

    return Kinds(tuple(names), tuple(content))


def read_record(form: Any, content: Any) -> Any:
    """A record of this dataclass from its fields in JSON."""

    return checked_record(form, {name: from_json(value) for name, value in content.items()})


def typed(name: str, value: Any, kind: Any) -> Any:
    """The value, if it has the type of this annotation.

    Raises:
        ValueError: If it has another type.
    """

    if not fits(value, kind):
        raise ValueError(f"`{name}` expects {kind}, got {quoted(value)}")

    return value
