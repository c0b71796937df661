"""Saved statements: what a fit said about itself, from and to the manifest of its folder."""

from typing import Any

import numpy as np

from bitveil.audits.prices import Answers, Price
from bitveil.certificates.upper import Certificate
from bitveil.columns.values import from_json
from bitveil.inspection import checked_record
from bitveil.saved_schema import typed
from bitveil.schema import Schema
from bitveil.tries import Tries

__all__ = ["saved_certificate", "saved_price", "saved_sizes", "saved_tries", "tries_as_json"]


def _first_try(certificate: Certificate | None) -> Tries:
    return Tries() if certificate is None else Tries(1, certificate.delta)


def tries_as_json(model: Any) -> dict[str, Any]:
    """How often a goal was tried, if it was more than once: folders of one try have no entry."""

    once = model.tries_ == _first_try(model.certificate_)

    return {} if once else {"tries": vars(model.tries_)}


def saved_tries(what: dict[str, Any], certificate: Certificate | None) -> Tries:
    """How often a goal was tried on the rows of a fit."""

    if "tries" not in what:
        return _first_try(certificate)
    tries: Tries = checked_record(Tries, what["tries"])
    if tries.number < 1 or not 0 < tries.spent <= 1:
        raise ValueError(f"it has {tries}")

    return tries


def saved_certificate(content: Any) -> Certificate:
    """The certificate, checked field by field."""

    found = Certificate.from_dict({name: from_json(value) for name, value in content.items()})

    return checked_record(Certificate, vars(found))


def saved_price(content: Any) -> Price | None:
    """What protection costs; None where the fit did not measure it, or an older one saved it."""

    if content is None:
        return None
    both = ("unprotected", "protected")
    fields = content | {name: checked_record(Answers, content[name]) for name in both}
    price: Price = checked_record(Price, fields)
    numbers = [*vars(price.unprotected).values(), *vars(price.protected).values()]
    if not np.isfinite([*numbers, price.constant, price.error]).all():
        raise ValueError("it has a price that is not finite")

    return price


def saved_sizes(schema: Schema, content: Any) -> dict[Any, int] | None:
    """How many rows each group has; None if an older fit saved it."""

    sizes, groups = typed("group_sizes", content, list[int] | None), schema.grouping.values
    if sizes is None:
        return None
    if len(sizes) != len(groups) or min(sizes) < 0:
        raise ValueError("it has other groups than sizes of groups")

    return dict(zip(groups.tolist(), sizes, strict=True))
