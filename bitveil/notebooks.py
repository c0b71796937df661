"""What a notebook shows of a fitted estimator: what is certified, then scikit-learn's diagram."""

from typing import Any

from sklearn.utils import estimator_html_repr

from bitveil.audits.glance import glance, groups_with_sizes
from bitveil.audits.headlines import among_those, groups_compared, headline
from bitveil.audits.rounding import percent, points
from bitveil.audits.words import and_listed, rows_with_code
from bitveil.certificates.lower import Interval
from bitveil.certificates.upper import Certificate
from bitveil.columns.printing import printable
from bitveil.model_audits import opportunity_of

__all__ = ["NotebookMixin", "certified_sentence"]


class NotebookMixin:
    """An estimator that says in a notebook what was certified when it was fitted."""

    def _html_repr(self) -> str:
        """The HTML that scikit-learn shows, after a box about the fit if there was one."""

        shown = str(estimator_html_repr(self))

        return _fitted_glance(self) + shown if "coder_" in vars(self) else shown


def certified_sentence(model: Any, certificate: Certificate) -> str:
    """What a certificate of a fit says, in a sentence.

    Arguments:
        model: The fitted estimator, for the names of groups and target.
        certificate: Its certificate.
    """

    groups = model.groups_.tolist()
    if certificate.quantity.unit == "gap":
        interval = Interval(0.0, certificate)
        among = among_those(interval, _target_name(model), opportunity_of(model))
        return str(headline(interval, groups, among)[0])

    return (
        f"These codes reveal at most {certificate.bound:.4g} of {certificate.entropy or 1:.4g} "
        f"bits about {groups_compared(groups)} ({100 * (1 - certificate.delta):.6g} % certain)."
    )


def _fitted_glance(model: Any) -> str:
    certificate = model.certificate_
    sentence = "No goal was set, so nothing is certified."
    if certificate is not None:
        sentence = certified_sentence(model, certificate)
    facts = [
        ("codes", _code_words(model)),
        ("groups", _group_words(model)),
        *_price_words(model),
        *(("remark", remark) for remark in model.remarks_),
    ]
    names = [printable(name) for name in model.schema_.sensitive_names or () if name is not None]
    about = and_listed(names) or "the sensitive attribute"

    return glance(f"Codes that hide {about}", [sentence], facts)


def _code_words(model: Any) -> str:
    bits = f"{model.n_bits} bit" + "s" * (model.n_bits != 1)

    return bits if model.share_ == 1 else f"{bits}; {rows_with_code(model.share_)}"


def _group_words(model: Any) -> str:
    sizes = getattr(model, "group_sizes_", None)
    if sizes:
        return groups_with_sizes([*sizes], [*sizes.values()])

    return and_listed([printable(group) for group in model.groups_.tolist()])


def _price_words(model: Any) -> list[tuple[str, str]]:
    """What the codes and an unprotected model reach on held-out rows, if it is known."""

    price = getattr(model, "price_", None)
    if price is None:
        return []
    said = percent if price.measure == "accuracy" else "R² {:.3f}".format
    both = [
        f"{said(each.score)} (gap {points(each.gap)} points)"
        for each in (price.protected, price.unprotected)
    ]
    words = f"{both[0]} from the codes; {both[1]} without protection; on {price.rows}"

    return [(f"predicting {printable(_target_name(model))}", words)]


def _target_name(model: Any) -> Any:
    """The name of the first target, or what it is called without one."""

    names = model.schema_.target.names
    named = model.schema_.target_name if len(names) == 1 else next(iter(names), None)

    return "target" if named is None or named == 0 else named
