"""Audits of rows of any number: certificates count all of them, attackers see a sample."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from bitveil.audits import Audit, Price
from bitveil.audits.words import unseen_targets
from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import EQUALISED_ODDS_GAP
from bitveil.codes import all_codes
from bitveil.criteria import compares_within_strata
from bitveil.estimators import InvariantEncoder
from bitveil.group_tables import GroupTables
from bitveil.information import BITS, attack_accuracy, mutual_information
from bitveil.samples import FitRoles, one_or_several, read_sample, sampled_rows
from bitveil.sources import open_source
from bitveil.steps import OnStep, say_step
from bitveil.streams import Roles, count, feature_names
from bitveil.tallies import Tally
from bitveil.workers import one_thread

__all__ = ["audit_source"]

_SHOWN = 100_000  # the rows that attackers see


@one_thread()
def audit_source(
    model: InvariantEncoder,
    data: Any,
    *,
    sensitive: Sequence[str] | str | None = None,
    target: Sequence[str] | str | None = None,
    ids: str | None = None,
    delta: float | None = None,
    random_state: int = 0,
    attackers: Literal["quick", "all"] = "quick",
    n_jobs: int | None = None,
    most: int = _SHOWN,
    after_batch: Callable[[int], None] | None = None,
    progress: OnStep | None = None,
) -> Audit:
    """Audit the codes of rows that need not fit into memory.

    Certificates and all exact numbers are those of all rows. Attackers, uses and the meaning of
    codes come from a sample that is drawn at random within groups and targets. Up to `most` rows
    are audited whole, by `model.audit`.

    Arguments:
        model: A fitted encoder.
        data: New rows that can be read twice: see `bitveil.sources.open_source`.
        sensitive: The sensitive columns; None: the fitted ones.
        target: The target; None: the fitted one, if the data have it.
        ids: The column that names each row, or None.
        delta: The probability that the certificate may be wrong; None: as fitted.
        random_state: The seed of the sample, of the halves and of the attackers.
        attackers: `"quick"` or `"all"`, which takes minutes.
        n_jobs: How many attackers are trained at once; None: as in fitting.
        most: About how many rows attackers see.
        after_batch: Called with the number of rows of each batch that is counted.
        progress: Called with what is being done, and how many rows of it are done.

    Raises:
        ValueError: If rows were used in fitting, are copies of each other, or are not as
            described.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from bitveil import Training
        >>> rng = np.random.default_rng(0)
        >>> rows = pd.DataFrame(rng.normal(size=(3000, 2)), columns=["a", "b"])
        >>> rows = rows.assign(y=rows["a"] > 0, s=rows["b"] > 0, id=range(3000))
        >>> old, new = rows[:1000], rows[1000:]
        >>> model = InvariantEncoder(
        ...     2, features="raw", training=Training(epochs=2), random_state=0)
        >>> _ = model.fit(old[["a", "b"]], old["y"], sensitive_features=old["s"])
        >>> found = audit_source(model, new, ids="id", most=500)
        >>> found.n_rows, found.certificate.sizes == found.sizes, found.notes[-1][:60]
        (2000, True, 'Attackers, uses and the meaning of codes come from a random ')
    """

    source, say = open_source(data), progress or say_step
    roles = Roles.of(model, source.columns, sensitive=sensitive, target=target, ids=ids)
    source.require(roles.columns(model))
    within = [*roles.sensitive, *roles.targets]
    chosen = sampled_rows(source, within, most, random_state, say)
    columns = FitRoles(tuple(feature_names(model)), roles.sensitive, roles.targets, ids)
    sample = read_sample(source, columns, None if chosen.all() else chosen, say)
    found = model.audit(
        sample[list(columns.features)],
        one_or_several(sample, roles.targets),
        sensitive_features=one_or_several(sample, roles.sensitive),
        ids=None if ids is None else sample[ids],
        delta=delta,
        random_state=random_state,
        attackers=attackers,
        n_jobs=n_jobs,
        progress=progress,
    )
    if chosen.all():
        return found
    tally, caution = count(
        source,
        model,
        sensitive=roles.sensitive,
        target=roles.targets,
        ids=ids,
        drawn=True,
        after_batch=_both(after_batch, say),
    )

    return _of_all(found, tally, caution, model.delta if delta is None else delta)


def _both(after_batch: Callable[[int], None] | None, progress: OnStep) -> Callable[[int], None]:
    """Say the rows of a batch to both."""

    def both(n_rows: int) -> None:
        progress("counting the codes of all rows", n_rows)
        if after_batch is not None:
            after_batch(n_rows)

    return both


def _of_all(sample: Audit, tally: Tally, caution: str | None, delta: float) -> Audit:
    """The audit of a sample with the numbers of all rows, as far as tables give them."""

    intervals, table = _all_intervals(tally, delta), _with_blank(tally)
    published = tally.tables if tally.drawn is None else tally.drawn
    leading = intervals[0].certificate
    note = (
        f"Attackers, uses and the meaning of codes come from a random {sample.n_rows} of the "
        f"{tally.n_rows} rows, with more of the rare groups; so do bounds on single columns and "
        "the price of protection. All other numbers count all rows."
    )

    rows = tally.tables.rows[:-1].sum(1).tolist()
    unseen = unseen_targets(tally.counted.target, tally.counted.targets, rows)

    return replace(
        sample,
        n_rows=tally.n_rows,
        sizes=tuple(tally.tables.rows.sum(0).tolist()),
        information_bits=tally.information_bits,
        information_left_out_bits=None,
        entropy_bits=tally.entropy_bits,
        neuron_information_bits=_neuron_information(tally),
        total_variation=tally.total_variation,
        total_variation_left_out=None,
        certificate=leading,
        certain_gap=intervals[0].least,
        attack_accuracy=attack_accuracy(table).item(),
        balanced_attack_accuracy=attack_accuracy(table, prior="uniform").item(),
        n_blank=_blanks(published, tally.counted.share),
        published_gap=leading.quantity.measured(published),
        price=_price_of_sample(sample.price, tally.n_rows),
        most_frequent_target=_frequent_target(tally),
        intervals=intervals,
        notes=(*sample.notes, *filter(None, (caution, unseen)), note),
    )


def _price_of_sample(price: Price | None, n_rows: int) -> Price | None:
    """The price with words for its rows."""

    chosen = f"chosen at random from {n_rows}, with more of the rare groups"

    return None if price is None else replace(price, rows=f"{price.rows}, {chosen}")


def _all_intervals(tally: Tally, delta: float) -> tuple[Interval, ...]:
    """Both bounds on all that an audit certifies, first on the gap of the criterion."""

    found = tally.intervals(delta)
    if compares_within_strata(tally.counted.criterion) or not tally.counted.targets:
        return found
    pairs = torch.stack([tally.fixed.rows[:-1], tally.scored.rows[:-1]])

    return (*found, tally.interval(EQUALISED_ODDS_GAP, delta)) if pairs.min() >= 1 else found


def _with_blank(tally: Tally) -> Tensor:
    """The counts over (group, code) with the blanks that the coins of expected counts make."""

    share = tally.counted.share
    whole = tally.tables if tally.coin == 1 else tally.tables.diluted(share)

    return whole.groups


def _neuron_information(tally: Tally) -> float | None:
    """The sum over single bits that the paper uses, in bits; None where codes are not listed."""

    tables, m = tally.tables, tally.counted.n_bits
    if tables.codes is not None:
        return None
    codes = all_codes(m).double()
    listed, blank = tables.groups[:, : 2**m], tables.groups[:, 2**m :]
    ones = (listed @ codes).T.unsqueeze(-1)
    zeros = (listed @ (1 - codes)).T.unsqueeze(-1)
    parts = [zeros, ones, *([blank.expand(m, *blank.shape)] if blank.shape[1] else [])]

    return tally.coin * mutual_information(torch.cat(parts, -1)).sum().item() * BITS


def _blanks(published: GroupTables, share: float) -> int:
    """How many rows are blank. The blank is the last of the published codes."""

    return 0 if share == 1 else int(published.groups[:, -1].sum().round())


def _frequent_target(tally: Tally) -> float | None:
    """The share of the most frequent target, among rows whose target is known."""

    sizes = tally.tables.rows[:-1].sum(1).double()

    return (sizes.max() / sizes.sum()).item() if tally.counted.targets else None
