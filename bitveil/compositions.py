r"""Compositions: several codes of the same people are one wider code.

Whoever sees two codes of one person sees a code of both together, and what it reveals does not
follow from what each reveals. **The parity trap:** let C be a fair coin, :math:`T_1 = C` and
:math:`T_2 = C \oplus S`. Each alone is independent of S, and both together tell S outright. So
from two certificates nothing follows about the pair: gaps of 0 and 0 are compatible with 1. (Only
if the codes were independent given the *group*, and not just given the row, could the gaps be
added.)

The pair can be certified as what it is. Given a row, the draws of two encoders with different keys
are independent, so the logits of both, side by side, are the logits of the wider code, and its
expected counts are exact. Where that is not so, the codes are counted as they are drawn:

- for rows without names, as everywhere;
- for encoders with one key, since their bits come from the same random numbers;
- for more bits than can be listed.

**Blanks.** An encoder that leaves rows blank has one code more, the blank, and the coins of
encoders with different keys are independent too. So expected counts are exact with blanks as well,
and `Composition.certify` takes them. With the probability :math:`\prod_i (1 - \lambda_i)` a row
shows nothing at all, so the codes of any two rows are within a total variation of one minus that,
and the slack is smaller by this factor. An audit counts such codes as they are drawn, and quotes
this certificate.

A composition is fixed by the encoders. A third code of the same people makes another, wider one:
audit all of them together.
"""

import math
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from bitveil.audits import Audit, audit
from bitveil.certificates import Certificate, certify, gap_of
from bitveil.coder import draw_names
from bitveil.codes import code_likelihood
from bitveil.columns.table import Table, as_pandas
from bitveil.criteria import Criterion, compares_within_strata, has_opportunity
from bitveil.estimators import InvariantEncoder
from bitveil.group_tables import GroupTables
from bitveil.model_audits import audit_target, check_new, opportunity_of
from bitveil.repeats import check_ids

__all__ = ["Composition", "compose"]


_CELLS_AT_ONCE = 2**22
"""So many numbers are in memory at once while expected counts are added up."""

_LISTED_AT_MOST = 2**20
"""More codes than this are counted as they are drawn."""


class _Read(NamedTuple):
    """Rows as the encoders read them."""

    reader: InvariantEncoder
    target: Any
    cautions: list[str | None]
    criterion: Criterion
    logits: list[NDArray[np.float64]]
    codes: NDArray[np.uint8]


class Composition:
    """The codes of several encoders, side by side, as one code: see `compose`.

    Attributes:
        encoders: The encoders.
        n_bits: The number of bits of all codes together.
        independent: Whether the draws of the encoders are independent given the row, because each
            has a key of its own.
    """

    def __init__(self, encoders: Sequence[InvariantEncoder]) -> None:
        self.encoders = [*encoders]
        _check_encoders(self.encoders)
        self.n_bits = sum(each.coder_.n_bits for each in self.encoders)
        keys = {bytes(each.coder_.key) for each in self.encoders}
        self.independent = len(keys) == len(self.encoders)

    def __repr__(self) -> str:
        return f"Composition({len(self.encoders)} encoders, {self.n_bits} bits)"

    def get_feature_names_out(self) -> NDArray[Any]:
        """The names of the published columns, each with the number of its encoder."""

        return np.array(
            [
                f"code{number} {name}"
                for number, each in enumerate(self.encoders)
                for name in each.coder_.columns
            ],
            dtype=object,
        )

    def transform(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.uint8]:
        """The frozen codes of all encoders, side by side, with one column for each bit and blank.

        Arguments:
            X: The table. A DataFrame has the columns of all encoders; each reads its own.
            ids: A name for each row, as for `InvariantEncoder.transform`.
        """

        return np.hstack([each.transform(_own(each, X), ids=ids) for each in self.encoders])

    def logits(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The logits of all bits, with shape (n, n_bits). Do not publish them."""

        return np.hstack([each.logits(_own(each, X), ids=ids) for each in self.encoders])

    def audit(
        self,
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike | None = None,
        *,
        sensitive_features: ArrayLike,
        ids: ArrayLike | None = None,
        goal: float | None = None,
        delta: float = 0.05,
        random_state: int = 0,
        attackers: Literal["quick", "all"] = "quick",
        n_jobs: int | None = None,
    ) -> Audit:
        """Audit all codes together, on rows that no encoder was fitted on.

        Groups, bins and the criterion are those of the fits. The parity gap is audited if they
        have different criteria.

        Arguments:
            X: New rows. A DataFrame has the columns of all encoders; each reads its own.
            y: Their target, or None. It may be the target of any of the encoders.
            sensitive_features: The attribute of these rows, as in `fit`.
            ids: A name for each row, if codes are drawn by name. No name may occur twice.
            goal: The gap that all codes together have to keep to, or None.
            delta: The probability that the certificate may be wrong.
            random_state: The seed of the halves and of the attackers.
            attackers: `"quick"` or `"all"`: see `bitveil.audits.audit`.
            n_jobs: How many attackers are trained at once; None: one.

        Raises:
            ValueError: If rows were used in a fit, are copies of each other, or are not as
                described.
        """

        read = self._read(X, y, sensitive_features, ids)
        groups = read.reader.schema_.groups(
            sensitive_features, len(read.codes), bins=read.reader.bins
        )
        named = ids is not None
        expected = self._are_expected(named) and self._whole
        other = read.reader.schema_.is_other_attribute(sensitive_features)
        notes = [*dict.fromkeys(filter(None, read.cautions)), *self._notes(named=named)]
        several = (
            compares_within_strata(read.criterion) and len(read.reader.schema_.target.kinds) > 1
        )
        if named and self.independent and not (self._whole or other or several):
            quoted = self._certificate(read, y, sensitive_features, named, delta)
            notes.append(f"With expected counts, blanks included: {quoted}.")

        return audit(
            read.codes
            if self._whole
            else pd.DataFrame(read.codes, columns=self.get_feature_names_out()),
            groups,
            read.target,
            logits=np.hstack(read.logits) if expected else None,
            ids=ids,
            certain=expected and self._certain,
            criterion=read.criterion,
            positive=opportunity_of(read.reader) if has_opportunity(read.criterion) else None,
            goal=goal,
            delta=delta,
            random_state=random_state,
            attackers=attackers,
            n_jobs=n_jobs,
            notes=notes,
        )

    def certify(
        self,
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike | None = None,
        *,
        sensitive_features: ArrayLike,
        ids: ArrayLike | None = None,
        delta: float = 0.05,
    ) -> Certificate:
        """The certificate of all codes together, with exact counts of blanks where they are known.

        It is about the gap of the criterion, or the parity gap if the encoders have different
        criteria or there is no `y`.

        Arguments:
            X: As for `audit`, like the other arguments.
            y: The target of these rows, or None.
            sensitive_features: The fitted attribute of these rows.
            ids: A name for each row, or None.
            delta: The probability that the certificate may be wrong.

        Raises:
            ValueError: As for `audit`, or if the attribute is another one than the fitted.
        """

        read = self._read(X, y, sensitive_features, ids)

        return self._certificate(read, y, sensitive_features, ids is not None, delta)

    def _certificate(
        self, read: "_Read", y: Any, sensitive_features: Any, named: bool, delta: float
    ) -> Certificate:
        schema = read.reader.schema_
        groups = torch.from_numpy(
            schema.grouping.numbers("sensitive_features", sensitive_features)
        )
        strata, n_strata = torch.full_like(groups, -1), 0
        if compares_within_strata(read.criterion):
            if len(schema.target.kinds) > 1:
                raise ValueError(
                    f"`certify` compares groups within one target ({read.criterion!r}), and the "
                    f"encoder has {len(schema.target.kinds)}. Use `audit`, or leave out `y`."
                )
            missing = read.reader.missing_target
            numbers = schema.target.numbers(y, len(groups), missing=missing)
            strata = torch.from_numpy(np.ascontiguousarray(numbers[:, 0]))
            n_strata = len(schema.target.cut_values[0])
        cells = (strata, groups, n_strata, len(schema.grouping.values))
        positive = read.reader.settings().positive_number(schema.target)
        quantity = gap_of(read.criterion, positive)
        if not self._are_expected(named):
            numbers = np.unique(read.codes, axis=0, return_inverse=True)[1].ravel()
            drawn = GroupTables.observed(
                torch.from_numpy(numbers), *cells, c=int(numbers.max()) + 1
            )
            return certify(drawn, quantity, delta=delta, draws="hard")
        spread = 1 - math.prod(1 - each.share_ for each in self.encoders)

        counts = self._expected(read.logits, *cells)
        draws = "certain" if self._whole and self._certain else "soft"  # a blank is left to chance

        return certify(counts, quantity, delta=delta, draws=draws, dobrushin=spread)

    def _expected(
        self, logits: Sequence[NDArray[np.float64]], strata: Tensor, groups: Tensor, *sizes: int
    ) -> GroupTables:
        """The expected counts of the wide codes, of which each part may be blank."""

        step = max(1, _CELLS_AT_ONCE // self._n_codes)
        parts = []
        for start in range(0, len(groups), step):
            rows = slice(start, start + step)
            chances = torch.ones(len(groups[rows]), 1, dtype=torch.float64)
            for each, known in zip(self.encoders, logits, strict=True):
                own = _chances(torch.from_numpy(known[rows]).double(), each.share_)
                chances = (chances[:, :, None] * own[:, None, :]).flatten(1)
            parts.append(GroupTables.assigned(chances, strata[rows], groups[rows], *sizes))

        return reduce(operator.add, parts)

    @property
    def _n_codes(self) -> int:
        """How many codes there are, blanks included."""

        return math.prod(2**each.coder_.n_bits + (each.share_ < 1) for each in self.encoders)

    def _are_expected(self, named: bool) -> bool:
        """Whether expected counts are exact, and can be listed."""

        return named and self.independent and self._n_codes <= _LISTED_AT_MOST

    def _read(self, X: Any, y: Any, sensitive_features: Any, ids: Any) -> "_Read":
        """The rows as the encoders read them, after a check that they are new."""

        tables = [each.schema_.read(_own(each, X), each.coder_.features) for each in self.encoders]
        reader, n = self._reader(y), len(tables[0])
        groups = reader.schema_.groups(sensitive_features, n, bins=reader.bins)
        target = None if y is None else audit_target(reader, y, n)
        cautions = [
            check_new(each.used_, table, groups, target, ids)
            for each, table in zip(self.encoders, tables, strict=True)
        ]
        if ids is not None:
            check_ids(ids, n)
        as_fitted = target is not None and not reader.schema_.is_other_target(y)
        logits, codes = self._published(tables, ids)

        return _Read(
            reader,
            target,
            cautions,
            self._criterion if as_fitted else "independence",
            logits,
            codes,
        )

    @property
    def _whole(self) -> bool:
        """Whether every row gets every code."""

        return all(each.share_ == 1 for each in self.encoders)

    @property
    def _certain(self) -> bool:
        """Whether each encoder has one code for every row, for certain, where it is not blank."""

        return all(each.coder_.certain for each in self.encoders)

    @property
    def _criterion(self) -> Criterion:
        criteria = {(each.criterion, opportunity_of(each)) for each in self.encoders}

        return self.encoders[0].criterion if len(criteria) == 1 else "independence"

    def _reader(self, y: Any) -> InvariantEncoder:
        """The encoder that was fitted on this target, or else the first."""

        own = (
            each
            for each in self.encoders
            if each.schema_.target.kinds and not each.schema_.is_other_target(y)
        )

        return self.encoders[0] if y is None else next(own, self.encoders[0])

    def _published(
        self, tables: Sequence[Table], ids: Any
    ) -> tuple[list[NDArray[np.float64]], NDArray[np.uint8]]:
        """The logits of each encoder, and the published codes of all, side by side."""

        logits, codes = [], []
        for each, table in zip(self.encoders, tables, strict=True):
            names = draw_names(table, ids)
            logits.append(each.coder_.logits(table, names))
            codes.append(each.coder_.published(logits[-1], names))

        return logits, np.hstack(codes)

    def _notes(self, *, named: bool) -> list[str]:
        """What a reader of an audit must know."""

        bits = " + ".join(str(each.coder_.n_bits) for each in self.encoders)
        notes = [
            f"This audit is about {len(self.encoders)} codes of the same people together, of "
            f"{bits} bits. Their single certificates say nothing about all of them together."
        ]
        if named and not self.independent:
            notes.append(
                "Some encoders have the same key, so their draws depend on each other: the codes "
                "were counted as they are drawn. Fit with different keys, and expected counts can "
                "be used."
            )
        if named and not self._whole:
            notes.append(
                "Some encoders leave rows blank, so this audit counts the codes as they are drawn."
            )
        for number, each in enumerate(self.encoders):  # as the columns are numbered
            notes += [f"Of code{number}: {remark}" for remark in each.remarks_]

        return notes


def compose(encoders: Sequence[InvariantEncoder]) -> Composition:
    """Several codes of the same people as one wider code, which can be audited.

    Arguments:
        encoders: Two or more fitted encoders for the same sensitive attribute, with the same
            groups. They may read other columns, and have other targets.

    Raises:
        ValueError: If there are fewer than two, an encoder occurs twice, or their groups differ.

    Example:
        >>> from bitveil import Training
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(400, 2))
        >>> s = np.where(X[:, 1] > 0, "a", "b")
        >>> one, two = (
        ...     InvariantEncoder(m, features="raw", training=Training(hidden=(4,), epochs=2))
        ...     .fit(X[:200], X[:200, j] > 0, sensitive_features=s[:200])
        ...     for j, m in enumerate((1, 2))
        ... )
        >>> both = compose([one, two])
        >>> both.transform(X[200:]).shape
        (200, 3)
        >>> both.audit(X[200:], sensitive_features=s[200:], ids=range(200)).counted
        'expected counts, since every row has a name of its own'
    """

    return Composition(encoders)


def _chances(logits: Tensor, share: float) -> Tensor:
    """The probability of each code of one encoder, and last of the blank where there is one."""

    codes = share * code_likelihood(logits)
    blank = torch.full((len(codes), 1), 1 - share, dtype=codes.dtype)

    return codes if share == 1 else torch.cat([codes, blank], 1)


def _check_encoders(encoders: Sequence[Any]) -> None:
    if len(encoders) < 2:
        raise ValueError(f"`compose` expects two encoders or more, got {len(encoders)}.")
    for number, each in enumerate(encoders):
        if not isinstance(each, InvariantEncoder):
            raise ValueError(
                f"`compose` expects fitted encoders, got {type(each).__name__} as number {number}."
            )
        check_is_fitted(each, "coder_")
    kinds = {(each.coder_.digest, str(each.feature_names_in_)) for each in encoders}
    if len(kinds) < len(encoders):
        raise ValueError("`compose` got an encoder twice. The same code twice reveals no more.")
    first = encoders[0].schema_
    for number, each in enumerate(encoders[1:], 1):
        other = each.schema_
        said = [(each.grouping.values.tolist(), each.grouping.edges) for each in (first, other)]
        names = [first.sensitive_names, other.sensitive_names]
        if said[0] != said[1] or (None not in names and names[0] != names[1]):
            raise ValueError(
                "`compose` expects encoders for the same sensitive attribute and groups, got "
                f"{_groups_in_words(first)} for number 0 and {_groups_in_words(other)} for "
                f"number {number}."
            )


def _groups_in_words(schema: Any) -> str:
    groups = schema.grouping.values.tolist()
    about = "" if schema.sensitive_names is None else f"{schema.sensitive_names} with "

    return f"{about}the groups {groups[:6]}"


def _own(encoder: InvariantEncoder, X: Any) -> Any:
    """The columns of the table that an encoder reads."""

    table, names = as_pandas(X), encoder.feature_names_in_
    if not isinstance(table, pd.DataFrame) or names is None:
        return X
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"`X` lacks columns that an encoder was fitted on: {missing[:5]}.")

    return table[names]
