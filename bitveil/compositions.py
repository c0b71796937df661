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
- for encoders that leave rows blank, since a blank covers all bits of its code at once;
- for more bits than can be listed.

A composition is fixed by the encoders. A third code of the same people makes another, wider one:
audit all of them together.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from bitveil.audits import Audit, audit
from bitveil.coder import draw_names
from bitveil.columns.table import Table, as_pandas
from bitveil.criteria import Criterion
from bitveil.estimators import InvariantEncoder
from bitveil.model_audits import audit_target, check_new, opportunity_of

__all__ = ["Composition", "compose"]


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

        read = [each.schema_.read(_own(each, X), each.coder_.features) for each in self.encoders]
        reader = self._reader(y)
        groups = reader.schema_.groups(sensitive_features, len(read[0]), bins=reader.bins)
        target = None if y is None else audit_target(reader, y, len(read[0]))
        cautions = [
            check_new(each.used_, table, groups, target, ids)
            for each, table in zip(self.encoders, read, strict=True)
        ]
        logits, codes = self._published(read, ids)
        soft = ids is not None and self.independent and self._whole
        as_fitted = target is not None and not reader.schema_.is_other_target(y)
        criterion = self._criterion if as_fitted else "independence"

        return audit(
            codes if self._whole else pd.DataFrame(codes, columns=self.get_feature_names_out()),
            groups,
            target,
            logits=logits if soft else None,
            ids=ids,
            criterion=criterion,
            positive=opportunity_of(reader) if criterion == reader.criterion else None,
            goal=goal,
            delta=delta,
            random_state=random_state,
            attackers=attackers,
            n_jobs=n_jobs,
            notes=[*dict.fromkeys(filter(None, cautions)), *self._notes(named=ids is not None)],
        )

    @property
    def _whole(self) -> bool:
        """Whether every row gets every code."""

        return all(each.share_ == 1 for each in self.encoders)

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
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """The logits and the published codes of all encoders, side by side."""

        logits, codes = [], []
        for each, table in zip(self.encoders, tables, strict=True):
            names = draw_names(table, ids)
            logits.append(each.coder_.logits(table, names))
            codes.append(each.coder_.published(logits[-1], names))

        return np.hstack(logits), np.hstack(codes)

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
                "Some encoders leave rows blank, so the codes were counted as they are drawn."
            )
        for number, each in enumerate(self.encoders):
            notes += [f"Code {number}: {remark}" for remark in each.remarks_]

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
