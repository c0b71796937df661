"""The held-out rows of an audit, and everything that is read from them."""

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from bitveil.audits.attacks import attack, repeated_draw_attack, search_attack
from bitveil.audits.families import FAMILIES
from bitveil.audits.meaning import Meaning, meaning
from bitveil.audits.probes import Probe, Split
from bitveil.audits.published import PublishedCodes
from bitveil.audits.record import Column, Made
from bitveil.audits.uses import Use, use
from bitveil.certificates.dilution import interval_at_share
from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import (
    BALANCED_ATTACK_ACCURACY,
    EQUALISED_ODDS_GAP,
    INFORMATION,
    PARITY_GAP,
    Quantity,
    gap_of,
)
from bitveil.certificates.upper import Certificate
from bitveil.columns.labels import MOST_VALUES, Labels, number_labels
from bitveil.criteria import Criterion, compares_within_strata
from bitveil.finite_samples import leave_one_out
from bitveil.frozen import row_digests
from bitveil.group_tables import GroupTables
from bitveil.information import BITS, mutual_information, neuron_information
from bitveil.rows import split_rows
from bitveil.steps import say_step
from bitveil.tables import neuron_tables, pair_groups

__all__ = [
    "FEW_ROWS",
    "VALUES_SEEN",
    "AuditSettings",
    "HeldOut",
    "Intervals",
    "attribute_names",
    "known",
]

_CERTAIN = 200.0  # a logit at which the draw is certain
VALUES_SEEN = 255  # values of a foreign column that trained attackers can distinguish
_BOOT = 200  # resamples of a bootstrap interval
FEW_ROWS = 20  # with fewer rows of a group no search and no repeated draws are tried


class AuditSettings(NamedTuple):
    """How rows are audited.

    Attributes:
        delta: The probability that each bound may be wrong.
        seed: The seed of draws, halves and attackers.
        thorough: Whether all attackers are tried.
        n_jobs: How many attackers are trained at once; None: one.
    """

    delta: float
    seed: int
    thorough: bool
    n_jobs: int | None


class Intervals(NamedTuple):
    """Both bounds on all that is certified.

    Attributes:
        parity: The bounds on the parity gap, with which attackers are compared.
        all: The bounds on every quantity, first on the gap of the criterion.
    """

    parity: Interval
    all: tuple[Interval, ...]


class HeldOut:
    """The rows of an audit, and everything that is read from them."""

    def __init__(
        self,
        published: PublishedCodes,
        labels: Labels,
        target: Labels | None,
        settings: AuditSettings,
    ) -> None:
        self.published, self.labels, self.target = published, labels, target
        self.delta, self.seed, self.thorough, self.n_jobs = settings
        self.s, self.k = torch.from_numpy(labels.numbers), len(labels.values)
        self.sizes = _sizes(published, labels)

    def intervals(self, criterion: Criterion, positive: int) -> Intervals:
        """Both bounds on all that is certified, and first those on the gap of the criterion."""

        parity, attacks, bits = (
            self._interval(quantity, self.labels)
            for quantity in (PARITY_GAP, BALANCED_ATTACK_ACCURACY, INFORMATION)
        )
        leading = gap_of(criterion, positive)
        if leading != PARITY_GAP:
            return Intervals(parity, (self._within_targets(leading), parity, attacks, bits))
        others: tuple[Interval, ...] = ()
        if self.pairs_are_there:
            others = (self._within_targets(EQUALISED_ODDS_GAP),)

        return Intervals(parity, (parity, attacks, bits, *others))

    def attack(self, labels: Labels) -> tuple[Probe, ...]:
        """Trained attackers of a column."""

        split = _halved(self.published.seen(VALUES_SEEN), labels.numbers, self.seed)
        if not self.thorough:
            return tuple(attack(split, n_jobs=self.n_jobs))
        settings: dict[str, Any] = {"random_state": self.seed, "n_jobs": self.n_jobs}
        probes = attack(split, families=FAMILIES, n_boot=_BOOT, **settings)
        if np.bincount(labels.numbers).min() < FEW_ROWS:
            return tuple(probes)
        searched = search_attack(split, **settings)

        return (*probes, replace(searched, family=f"search: {searched.family}"))

    def repeated_draws(self) -> dict[str, Probe]:
        """What an attacker finds from several draws of each row, by what it saw."""

        few = np.bincount(self.labels.numbers).min() < FEW_ROWS
        if not self.thorough or self.published.logits is None or few:
            return {}

        return repeated_draw_attack(
            self.published.logits.numpy(),
            self.labels.numbers,
            share=self.published.share,
            random_state=self.seed,
            n_jobs=self.n_jobs,
        )

    def columns(self, sensitive_features: Any) -> tuple[Column, ...]:
        """Each of several sensitive columns alone. Delta is divided among them."""

        frame = pd.DataFrame(sensitive_features) if np.ndim(sensitive_features) == 2 else None
        if frame is None or len(frame.columns) < 2:
            return ()
        names = attribute_names(sensitive_features)
        found = []
        for name, (_, column) in zip(names, frame.items(), strict=True):
            labels = number_labels(name, column, len(self.s), most=MOST_VALUES)
            s, k = torch.from_numpy(labels.numbers), len(labels.values)
            table = self.published.tables(s, k).groups
            found.append(
                Column(
                    name,
                    tuple(labels.values.tolist()),
                    tuple(np.bincount(labels.numbers).tolist()),
                    mutual_information(table).item() * BITS,
                    self._interval(PARITY_GAP, labels, share=len(names)),
                    self.attack(labels),
                )
            )

        return tuple(found)

    def uses(self, certificates: Sequence[Certificate]) -> tuple[Use, ...]:
        """Classifiers of the target, scored on rows that they were not trained on."""

        if self.target is None or min(np.bincount(known(self.target))) < 2:
            return ()
        there = np.flatnonzero(self.target.numbers >= 0)
        seen, y = self.published.seen(VALUES_SEEN)[there], self.target.numbers[there]
        first, second = _halves(y, self.seed)
        split = Split(seen[first], y[first], seen[second], y[second])
        groups = self.labels.numbers[there][second]
        if not self.thorough:
            return tuple(use(split, groups))

        settings: dict[str, Any] = {
            "fairness": self.no_fairness is None,
            "certificates": certificates,
            "random_state": self.seed,
            "n_jobs": self.n_jobs,
        }
        others = [family for family in FAMILIES if family != "boosting"]

        return (
            *use(split, groups, families=["boosting"], n_boot=_BOOT, **settings),
            *use(split, groups, families=others, **settings),
        )

    def left_out(self) -> tuple[float | None, float | None]:
        """Information in bits and total variation, with each row judged by the others."""

        if self.published.logits is None or self.published.draws == "hard":
            return None, None
        nats, variation = leave_one_out(self.published.logits, self.s, self.k)
        coin = self.published.coin  # a blank adds nothing, and all the rest is this much of it

        return coin * nats * BITS, coin * variation

    def published_gap(self, quantity: Quantity) -> float:
        """The largest gap of any classifier on the codes of these rows, as they were drawn."""

        return quantity.measured(self._tables(quantity, self.published.as_drawn))

    def _tables(self, quantity: Quantity, published: PublishedCodes) -> GroupTables:
        """The tables that a quantity reads."""

        if self.target is None or not compares_within_strata(quantity.criterion):
            return published.tables(self.s, self.k)
        y = torch.from_numpy(self.target.numbers)

        return published.tables(self.s, self.k, y, len(self.target.values))

    def neuron_information(self) -> float | None:
        """The sum over single bits that the paper uses, in bits; None without bits."""

        published = self.published
        logits, blank = published.logits, published.blank
        if logits is None and not (published.are_bits and published.counts is None):
            return None
        if logits is None and blank is not None:  # it is one more value of each bit
            sets = [sorted((j, blank)) for j in published.code_parts]
            read = (published.tables(self.s, self.k, parts=parts).groups for parts in sets)
            return sum(mutual_information(table).item() for table in read) * BITS
        if logits is None:
            logits = torch.from_numpy(published.parts).double() * 2 * _CERTAIN - _CERTAIN
        tables = neuron_tables(logits, self.s, self.k)

        return published.coin * neuron_information(tables).item() * BITS

    def meaning(
        self, moved: NDArray[np.float64] | None = None, columns: Sequence[str] = ()
    ) -> Meaning:
        """What the parts mean, and which columns they follow."""

        say_step("reading what the codes mean")
        parts, blank = self.published.code_parts, self.published.blank
        if moved is not None and moved.shape[1] != len(parts):
            raise ValueError(
                f"`encode` must return the {len(parts)} parts of the code, got {moved.shape[1]}."
            )
        if moved is not None and blank is not None:  # the coin follows no column
            moved = np.insert(moved, blank, 0.0, axis=1)
        target = self.target
        complete = target is not None and (target.numbers >= 0).all()

        return meaning(
            self.published,
            self.labels.numbers,
            self.labels.values.tolist(),
            target.numbers if target is not None and complete else None,
            len(target.values) if target is not None and complete else 0,
            delta=self.delta,
            moved=moved,
            columns=columns,
        )

    def made(self, attackers: str) -> Made:
        """How to repeat the audit."""

        libraries = ("bitveil", "numpy", "scikit-learn", "torch")
        versions = {"python": platform.python_version()} | {n: version(n) for n in libraries}

        return Made(versions, self.seed, self.delta, attackers, self._checksum())

    def _interval(self, quantity: Quantity, labels: Labels, *, share: int = 1) -> Interval:
        """Both bounds on a quantity, at a share of delta."""

        groups, whole = torch.from_numpy(labels.numbers), self.published.undiluted
        halves = whole.halves(labels.numbers, self.seed)
        tables = [rows.tables(groups, len(labels.values)) for rows in (*halves, whole)]

        return self._bounds(quantity, tables, self.delta / share)

    def _within_targets(self, quantity: Quantity) -> Interval:
        """Both bounds on a quantity that compares groups among the rows of a target."""

        assert self.target is not None
        y, n = torch.from_numpy(self.target.numbers), len(self.target.values)
        pairs = pair_groups(torch.where(y < 0, n, y), self.s, self.k)
        whole = self.published.undiluted
        halves = whole.halves(pairs.numpy(), self.seed)
        tables = [rows.tables(self.s, self.k, y, n) for rows in (*halves, whole)]

        return self._bounds(quantity, tables, self.delta)

    def _bounds(self, quantity: Quantity, tables: list[GroupTables], delta: float) -> Interval:
        """Both bounds. Those from expected counts are of the code before its coins."""

        fixed, scored, whole = tables
        draws, share = self.published.certified_as, self.published.share

        return interval_at_share(
            fixed, scored, whole, quantity, delta=delta, draws=draws, share=share
        )

    @property
    def pairs_are_there(self) -> bool:
        """Whether each group has rows of each target in both halves."""

        return self.target is not None and int(self._pairs().min()) >= 2

    def _pairs(self) -> NDArray[np.int64]:
        """How many rows there are of each target and group."""

        assert self.target is not None
        there = self.target.numbers >= 0
        pairs = (self.target.numbers * self.k + self.labels.numbers)[there]

        return np.bincount(pairs, minlength=len(self.target.values) * self.k)

    @property
    def no_fairness(self) -> str | None:
        """Why there are no fairness metrics, or None if there are."""

        assert self.target is not None
        if len(self.target.values) != 2:
            return "they need a target of two values"
        if self._pairs().min() < FEW_ROWS:
            return f"a group has fewer than {FEW_ROWS} rows of one of the target's values"

        return "they need fairlearn" if find_spec("fairlearn") is None else None

    def _checksum(self) -> str:
        columns = [*self.published.content(), _content(self.labels)]
        if self.target is not None:
            columns.append(_content(self.target))
        if self.published.counts is not None:
            columns.append(pd.Series(self.published.counts))
        digests = row_digests(pd.concat(columns, axis=1, keys=range(len(columns))))

        return hashlib.sha256(digests.tobytes()).hexdigest()


def _sizes(published: PublishedCodes, groups: Labels) -> list[int]:
    """The number of rows of each group, which must be at least two."""

    sizes = np.bincount(groups.numbers, published.counts)
    if sizes.min() < 2:
        rare = [groups.values[g] for g in np.flatnonzero(sizes < 2)]
        raise ValueError(
            "An audit judges the rows of each group by other rows of that group and expects at "
            f"least two of each, got one of {rare}. Leave rare groups out, or join them."
        )

    return [int(size) for size in sizes]


def known(target: Labels) -> NDArray[np.int64]:
    """The numbers of the rows whose target is known."""

    return target.numbers[target.numbers >= 0]


def _halves(labels: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Half of the rows of each label, and the other half."""

    return split_rows(labels, (0.5, 0.5), np.random.RandomState(seed))


def _halved(seen: NDArray[Any], labels: NDArray[np.int64], seed: int) -> Split:
    first, second = _halves(labels, seed)

    return Split(seen[first], labels[first], seen[second], labels[second])


def attribute_names(sensitive_features: Any) -> tuple[str, ...]:
    """The names of the sensitive columns, if they have any."""

    if np.ndim(sensitive_features) == 2:
        frame = pd.DataFrame(sensitive_features)
        named = isinstance(sensitive_features, pd.DataFrame)
        return tuple(str(name) if named else f"column {name}" for name in frame)
    name = getattr(sensitive_features, "name", None)

    return () if name is None else (str(name),)


def _content(labels: Labels) -> "pd.Series[Any]":
    """The label of each row, as text."""

    values = np.array([*map(str, labels.values), None], dtype=object)

    return pd.Series(values[labels.numbers])  # the last where a label is missing
