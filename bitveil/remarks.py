"""Remarks: what a person must know about a fit, in sentences.

A code can be of no use for its target, or leave many rows blank. Then a fit says so, says why, and
says what would help.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from bitveil.audits.prices import Price
from bitveil.certificates.planning import groups_in_the_way, least_gap_within
from bitveil.certificates.upper import Certificate, share_of_rows
from bitveil.posteriors import PosteriorScore
from bitveil.quotes import quoted
from bitveil.schema import Schema
from bitveil.trainers import Step

__all__ = ["remarks", "small_groups"]

_MANY_BLANK = 0.5
"""If fewer rows than this get a code, the slack is named as the reason."""

_FEW_HELD_OUT = 30
"""A group of fewer held-out rows is named, even if there is only one other group."""

_MOST_SMALL = 5
"""The most small groups that a remark names."""

_WITHOUT_GOAL = "A smaller weight, more epochs or more bits may help."

_LITTLE = 1e-3
"""A code that is better than a constant by less is of no use: in accuracy, in variance, or, where
there is no score, in the task."""


def remarks(
    schema: Schema,
    scores: tuple[PosteriorScore, ...],
    step: Step,
    certificate: Certificate | None,
    price: Price | None = None,
    *,
    draws: str = "soft",
) -> tuple[str, ...]:
    """What a person must know about a fit.

    Arguments:
        schema: What was learned about the columns.
        scores: How good the posteriors of each label are; none where there are no posteriors.
        step: The encoder that was chosen.
        certificate: The certificate, or None where there is none.
        price: What protection costs, or None where it was not measured.
        draws: What was certified: `"soft"` (expected), `"hard"` (drawn) or `"certain"` codes.
    """

    said = [*_on_posteriors(schema, scores)]
    if certificate is not None and certificate.share < 1:
        said.append(_on_blanks(certificate))
        said += _on_small_groups(schema, certificate, draws)
    hopeless = bool(schema.target.names and scores) and not scores[0].helps
    if step.score is None and step.usefulness < _LITTLE:
        said.append(_on_contents(certificate))
    elif step.score is not None and (hopeless or step.score - (step.constant or 0.0) < _LITTLE):
        said.append(_on_use(schema, scores, certificate))
    elif price is not None and price.caution:
        said.append(price.caution)

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
    start = f"A code is published for {share_of_rows(share)}, and the others stay blank. "
    help_ = "More rows or a larger goal mean fewer blanks."
    if certificate.draws == "hard":  # the bound of drawn codes is not in proportion to the share
        return (
            f"{start}{rows} held-out rows certify the goal of {limit:g} for the codes that are "
            f"drawn at this share. {help_} Expected codes are counted of rows with names (`ids`) "
            "and up to 16 bits, which may help too."
        )

    return (
        f"{start}{rows} held-out rows certify {limit / share:.4g} for the whole code, and the "
        f"goal is {limit:g}. {help_}"
    )


def _on_small_groups(schema: Schema, certificate: Certificate, draws: str) -> Iterator[str]:
    """Which groups are so small that they decide what can be certified."""

    groups, sizes = schema.grouping.values.tolist(), certificate.sizes
    cells = [sizes[i : i + len(groups)] for i in range(0, len(sizes), len(groups))]
    said = small_groups(groups, cells, certificate.bound, certificate.delta, draws)
    if said is not None and certificate.entropy is None:
        yield said


def small_groups(
    groups: Sequence[Any], cells: Sequence[Sequence[int]], goal: float, delta: float, draws: str
) -> str | None:
    """Which groups are too small for a gap, and what to do; None if no groups stand out.

    Arguments:
        groups: The values of the groups.
        cells: The number of held-out rows of each target and group. One target: all rows.
        goal: The gap that is to be certified.
        delta: The probability that the certificate may be wrong.
        draws: What is counted: `"soft"` (expected), `"hard"` (drawn) or `"certain"` codes.

    Example:
        >>> print(small_groups(["a", "b", "c"], [[900, 700, 6]], 0.1, 0.05, "soft"))
        The group 'c' (6 held-out rows) is too small: if every row gets a code, no gap...
    """

    found = groups_in_the_way(cells, delta, draws=draws, goal=goal)
    least = least_gap_within(cells, delta, draws=draws)
    fewest = [min(sizes) for sizes in zip(*cells, strict=True)]
    if least <= goal or not (found or min(fewest) < _FEW_HELD_OUT):
        return None
    small = found or [fewest.index(min(fewest))]
    named = [f"{quoted(groups[g])} ({fewest[g]} held-out rows)" for g in small[:_MOST_SMALL]]
    more = [f"{len(small) - _MOST_SMALL} more"] if len(small) > _MOST_SMALL else []
    start = f"The group{'s' if found[1:] else ''} {', '.join([*named, *more])}"
    them = "them" if found[1:] else "it"
    kept = [[n for g, n in enumerate(sizes) if g not in found] for sizes in cells]
    without = ""
    if found:
        without = (
            f", and none below {least_gap_within(kept, delta, draws=draws):.3f} without {them}"
        )

    return (
        f"{start} {'are' if found[1:] else 'is'} too small: if every row gets a code, no gap "
        f"below {least:.3f} can be certified with {them}{without}. Join small groups "
        "(`join_rare`), leave their rows out, or bring more of them."
    )


def _on_contents(certificate: Certificate | None) -> str:
    """That the codes say nothing about the table, and what would help."""

    start = "The codes say next to nothing about the columns. "
    if certificate is None:
        return start + _WITHOUT_GOAL

    return start + "More rows or a larger goal may help."


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

    return start + _WITHOUT_GOAL


def _quoted(name: object) -> str:
    return "the target" if name is None or name == 0 else repr(str(name))
