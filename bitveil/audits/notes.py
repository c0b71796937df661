"""Notes of an audit: what a reader must know about its rows and codes."""

from collections.abc import Iterator, Sequence

from bitveil.audits.held_out import FEW_ROWS, VALUES_SEEN, HeldOut
from bitveil.audits.uses import Use
from bitveil.criteria import Criterion, compares_within_strata

__all__ = ["loose_bounds", "notes_on"]


def notes_on(rows: HeldOut, uses: Sequence[Use], criterion: Criterion) -> Iterator[str]:
    """The notes, each a sentence or two."""

    published, fewest = rows.published, min(rows.sizes)
    if published.logits is not None and published.draws == "hard":
        yield (
            f"There are too many codes of {len(published.code_parts)} bits to list. They were "
            "counted as drawn, which is coarser than expected counts."
        )
    if loose := loose_bounds(rows):
        yield loose
    if rows.thorough and fewest < FEW_ROWS:
        yield (
            "No search over attackers and no repeated draws were tried: they need at least "
            f"{FEW_ROWS} rows of each group, and one group has {fewest}."
        )
    if max(map(len, published.values)) > VALUES_SEEN:
        yield (
            f"Trained attackers distinguish the {VALUES_SEEN} most frequent values of a column "
            "and see the others as one. Certificates count all of them."
        )
    if rows.target is not None:
        yield from _notes_on_target(rows, uses, criterion)


def loose_bounds(rows: HeldOut) -> str | None:
    """The note that there are more codes than rows, if there are."""

    published, expected = rows.published, rows.published.draws == "soft"
    n_codes = 2 ** len(published.code_parts) if expected else published.n_distinct
    n_rows = len(published) if expected else min(rows.sizes)
    if n_codes <= n_rows:
        return None
    of = ": {} codes, {} rows" if expected else " of the smallest group: {} codes, {} rows"

    return (
        f"More codes than rows{of.format(n_codes, n_rows)}. The bounds hold, but they are loose: "
        "bring more rows, or fewer codes."
    )


def _notes_on_target(rows: HeldOut, uses: Sequence[Use], criterion: Criterion) -> Iterator[str]:
    assert rows.target is not None
    if unknown := int((rows.target.numbers < 0).sum()):
        yield f"{unknown} rows have no target. They count only for the sensitive attribute."
    if not compares_within_strata(criterion) and not rows.pairs_are_there:
        yield (
            "Equalised odds were not certified: a group has fewer than two rows of one of the "
            "target's values."
        )
    if not uses:
        yield "Use was not scored: one of the target's values has fewer than two rows."
    if rows.thorough and (missing := rows.no_fairness):
        yield f"Fairness metrics were left out: {missing}."
