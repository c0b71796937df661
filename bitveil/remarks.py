"""Remarks: what a person must know about a fit, in sentences.

A code can be of no use for its target, or leave many rows blank. Then a fit says so, says why, and
says what would help.
"""

from collections.abc import Iterator

from bitveil.certificates.upper import Certificate
from bitveil.posteriors import PosteriorScore
from bitveil.schema import Schema
from bitveil.trainers import Step

__all__ = ["remarks"]

_MANY_BLANK = 0.5
"""If fewer rows than this get a code, the slack is named as the reason."""

_LITTLE = 1e-3
"""A code that is better than a constant by less is of no use: in accuracy, or in variance."""


def remarks(
    schema: Schema,
    scores: tuple[PosteriorScore, ...],
    step: Step,
    certificate: Certificate | None,
) -> tuple[str, ...]:
    """What a person must know about a fit.

    Arguments:
        schema: What was learned about the columns.
        scores: How good the posteriors of each label are; none where there are no posteriors.
        step: The encoder that was chosen.
        certificate: The certificate, or None where there is none.
    """

    said = [*_on_posteriors(schema, scores)]
    if certificate is not None and certificate.share < 1:
        said.append(_on_blanks(certificate))
    gained = step.score is not None and step.score - (step.constant or 0.0) >= _LITTLE
    hopeless = bool(schema.target.names and scores) and not scores[0].helps
    if step.score is not None and (hopeless or not gained):
        said.append(_on_use(schema, scores, certificate))

    return tuple(said)


def _on_posteriors(schema: Schema, scores: tuple[PosteriorScore, ...]) -> Iterator[str]:
    names = [*map(_quoted, schema.target.names), "the sensitive attribute"]
    for score in scores[: len(names)]:
        if not score.helps:
            yield f"The columns hardly predict {names[score.label]}: {score}."


def _on_blanks(certificate: Certificate) -> str:
    """How many rows stay blank, and what would help."""

    limit, share, rows = certificate.bound, certificate.share, sum(certificate.sizes)
    if share == 0:
        return (
            f"No code is published, and every row stays blank: {rows} held-out rows are too few "
            "to certify the goal for any share of the drawn codes. They are counted because rows "
            "have no names of their own (`ids`) or the bits are too many to list. With names and "
            "up to 16 bits every goal can be met. Otherwise choose a larger goal, or bring more "
            "rows."
        )
    start = f"A code is published for {share:.0%} of the rows, and the others stay blank. "
    help_ = "More rows or a larger goal mean fewer blanks."
    if certificate.draws == "hard":  # the bound of drawn codes is not in proportion to the share
        return (
            f"{start}{rows} held-out rows certify the goal of {limit:g} for the codes that are "
            f"drawn at this share. {help_} Names (`ids`) may help too."
        )

    return (
        f"{start}{rows} held-out rows certify {limit / share:.4f} for the whole code, and the "
        f"goal is {limit:g}. {help_}"
    )


def _on_use(
    schema: Schema, scores: tuple[PosteriorScore, ...], certificate: Certificate | None
) -> str:
    """That the codes are of no use for the first target, why, and what would help."""

    name = _quoted(schema.target.names[0]) if schema.target.names else "the columns"
    start = (
        f"The codes say next to nothing about {name}: no answer from them clearly beats a "
        "constant. "
    )
    if scores and not scores[0].helps:
        return start + f"The columns hardly predict {name}. Other columns or more rows may help."
    if certificate is not None and certificate.share < _MANY_BLANK:
        return start + (
            f"The goal is small beside the slack of {sum(certificate.sizes)} held-out rows. More "
            "rows or a larger goal may help."
        )
    if certificate is not None:
        return start + (
            f"What the columns say about {name} reveals more of the sensitive attribute than the "
            "goal allows, or the target is too rare. A larger goal may help."
        )

    return start + "A smaller weight, more epochs or more bits may help."


def _quoted(name: object) -> str:
    return "the target" if name is None or name == 0 else repr(str(name))
