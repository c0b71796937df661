r"""Mixtures: a coin chooses, for each row, which of several encoders encodes it.

Training finds encoders at some gaps and none in between, or worse ones. A mixture fills the space
between. It publishes the coin and the bits of the chosen encoder, and the coin does not depend on
the row. So the table of the mixture is the tables of the encoders side by side, each times its
share :math:`w_i`. Every reading that is a sum over codes is then exactly the mean by the shares:

- the total variation of two groups, :math:`\sum_i w_i TV_i`, the information :math:`I(T;S)`, the
  :math:`\chi^2`-information, and the accuracy of the best attacker;
- the accuracy of the best classifier of the codes for a target, and :math:`I(T;Y)`.

In the plane of gap and accuracy, the mixtures of two encoders lie on the line between them, and
the mixtures of many fill their convex hull. With more than two groups each pair has the mean of
its variations, so the largest of them is at most the mean of the largest.

**A share for a goal.** `bitveil.shares` finds the largest share of the more useful encoder with
which a mixture is certified, and proves that the choice needs no correction. Rows without names
share the coin and the draws of their content. The published map then jumps from share to share, so
it is certified as it is drawn: the shares 0, 0.05, 0.10, ... are tested in this order, up to the
first that fails. That needs no correction either (`certify_sequence`).

Another bound holds for all shares at once: the mean by the shares of the encoders' own bounds,
each at its part of :math:`\delta` (union bound, and convexity). Its slack is that of a smaller
:math:`\delta`, so `certify` at a share given in advance, and `largest_share`, are sharper.

Source:
    Robust Classification for Imprecise Environments (Provost, Fawcett, 2001),
    https://arxiv.org/abs/cs/0009007, for two classifiers and their ROC curve
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from bitveil.cautions import warn
from bitveil.certificates.upper import Certificate, certify
from bitveil.checks import check_number
from bitveil.codes import code_likelihood
from bitveil.columns.table import check_table
from bitveil.estimators import InvariantEncoder
from bitveil.frozen import (
    Hidden,
    Secret,
    check_key,
    frozen_uniforms,
    name_digests,
    row_digests,
)
from bitveil.group_tables import GroupTables
from bitveil.model_audits import check_new
from bitveil.quotes import quoted
from bitveil.repeats import check_ids
from bitveil.settings import LISTED
from bitveil.shares import largest_share, mixed_table, refused
from bitveil.tables import joint_table, observed_table

__all__ = ["Mixture"]

_COIN = 2**32 - 1  # the number of the coin's layer; no network is so deep

_TESTED = tuple(step / 20 for step in range(21))
"""The shares that are tested in turn where drawn codes are counted."""


class Mixture:
    """Several fitted encoders, and a coin that says for each row which of them encodes it.

    The coin of a row is drawn like its bits, from a keyed hash of its name or content, and frozen
    like them. The mixture publishes the coin, then the bits of the encoder that it chose, and
    zeros up to the widest code. The coin need not be hidden: it reveals nothing about the row, and
    without it nobody knows what the bits mean.

    Publish only the codes of the mixture. The codes of its encoders beside them would be a second
    draw of each row. If you fit one of the encoders again, the mixture changes. There is no
    `save`: save the encoders, and make the mixture again from them, in this order and with these
    shares. Without a `key` of its own it then has the same codes.

    Arguments:
        encoders: Two or more fitted encoders of the same columns and groups.
        shares: The probability of each, none below 0; they sum to 1.
        key: The secret key of the coin, 16 to 64 bytes. None: one that is derived from the keys of
            the encoders, and does not give them away.

    Attributes:
        encoders: The encoders.
        shares: Their shares.
        key: The secret key of the coin.
        n_bits: The number of bits of a code: of the coin and of the widest encoder.
        certificate_: The certificate, if `for_gap` made the mixture; None otherwise.

    Raises:
        ValueError: If there are fewer than two encoders, one is not fitted, leaves rows blank, or
            was fitted on other columns or groups, or the shares are not as described.

    Example:
        >>> from bitveil import Training
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 2))
        >>> y, s = (X[:, 0] > 0).astype(int), np.where(X[:, 1] > 0, "a", "b")
        >>> one, two = (
        ...     InvariantEncoder(m, features="raw", training=Training(hidden=(4,), epochs=2))
        ...     .fit(X, y, sensitive_features=s) for m in (1, 2)
        ... )
        >>> mixture = Mixture([one, two], [0.25, 0.75])
        >>> mixture.get_feature_names_out().tolist()
        ['coin0', 'bit0', 'bit1']
        >>> mixture.transform(X).shape
        (200, 3)
        >>> p = mixture.likelihoods(X[:1])  # two codes of the first, then four of the second
        >>> p.shape, p[0, :2].sum().round(6).item(), p[0, 2:].sum().round(6).item()
        ((1, 6), 0.25, 0.75)
    """

    key = Hidden()

    def __init__(
        self,
        encoders: Sequence[InvariantEncoder],
        shares: ArrayLike,
        *,
        key: bytes | None = None,
    ) -> None:
        self.encoders = _checked_encoders(encoders)
        self.shares = _checked_shares(shares, len(self.encoders))
        self.key = _derived_key(self.encoders) if key is None else key
        check_key(self.key)
        self._n_coins = (len(self.encoders) - 1).bit_length()
        self._widest = max(encoder.n_bits for encoder in self.encoders)
        self.n_bits = self._n_coins + self._widest
        self.certificate_: Certificate | None = None

    @classmethod
    def for_gap(
        cls,
        safe: InvariantEncoder,
        useful: InvariantEncoder,
        max_gap: float,
        X: ArrayLike | pd.DataFrame,
        *,
        sensitive_features: ArrayLike,
        delta: float = 0.05,
        ids: ArrayLike | None = None,
        key: bytes | None = None,
    ) -> Self:
        """The mixture with as much of the more useful encoder as the goal allows.

        Its `certificate_` says that the parity gap of every classifier is at most the goal, with
        probability 1 - delta over the held-out rows. The choice of the share needs no correction:
        see `bitveil.shares`.

        Arguments:
            safe: The encoder that leaks less. These rows must not decide which of the two that is:
                decide by the goals of their fits, or by their `path_`.
            useful: The encoder that leaks more.
            max_gap: The largest acceptable gap, above 0 and up to 1.
            X: Rows that were not used to fit, select or certify either of the encoders.
            sensitive_features: The attribute of these rows.
            delta: The probability that the certificate may be wrong.
            ids: A name for each row, if codes will be drawn by name. Without names drawn codes
                are counted, at twenty-one shares.
            key: The secret key of the coin: see `Mixture`.

        Raises:
            UncertifiableError: If not even the safe encoder meets the goal with these rows.
            ValueError: If the input is not as described, or rows were used in fitting.

        Warns:
            UserWarning: If contents cannot tell whether these rows are new.
        """

        mixture = cls([safe, useful], [1.0, 0.0], key=key)
        groups = mixture._groups(X, sensitive_features, ids)
        if ids is not None and mixture._widest <= LISTED:
            first, second = mixture._tables(X, groups, ids)
            share, certificate = largest_share(first, second, max_gap, delta=delta)
        else:
            share, certificate = mixture._largest_drawn(X, groups, ids, max_gap, delta)
        mixture.shares = np.array([1 - share, share])
        mixture.certificate_ = certificate

        return mixture

    def transform(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.uint8]:
        """Frozen coins and bits, with shape (n, n_bits): what may be published.

        Arguments:
            X: The table, with the columns that were fitted.
            ids: A name for each row, which alone then decides its draws, also of the coin.
        """

        bits = [self._padded(encoder.transform(X, ids=ids)) for encoder in self.encoders]
        coins = self._coins(X, ids)
        shifts = np.arange(self._n_coins - 1, -1, -1)
        tossed = (coins[:, None] >> shifts & 1).astype(np.uint8)

        return np.hstack([tossed, _chosen(bits, coins)])

    def predict(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[Any]:
        """The predictions of the models that the coins chose, if the encoders are models.

        They come from the published coins and bits alone, so the certificate covers them.

        Arguments:
            X: The table, with the columns that were fitted.
            ids: A name for each row, as for `transform`.
        """

        answers = [model.predict(X, ids=ids) for model in self._models()]

        return _chosen(answers, self._coins(X, ids))

    def likelihoods(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The probability of each code for each row, those of one encoder after the other.

        Do not publish them. With m_i bits of encoder i the shape is (n, sum of 2^m_i), ordered by
        the coin and then by the number of the code. Each row sums to 1.

        Raises:
            ValueError: If the codes of an encoder are too wide to be listed.
        """

        return np.hstack(
            [
                share * code_likelihood(logits).numpy()
                for share, logits in zip(self.shares, self._logits(X, ids), strict=True)
            ]
        )

    def certify(
        self,
        X: ArrayLike | pd.DataFrame,
        *,
        sensitive_features: ArrayLike,
        delta: float = 0.05,
        ids: ArrayLike | None = None,
    ) -> Certificate:
        """Certify the parity gap of every classifier of the mixture, from rows held out.

        These rows must not have chosen the shares; `for_gap` may choose them. For rows with names
        (`ids`) the certificate reads expected counts of coins and codes, otherwise drawn ones.

        Arguments:
            X: Rows that were not used to fit, select or certify any of the encoders.
            sensitive_features: The attribute of these rows.
            delta: The probability that the bound may be wrong.
            ids: A name for each row, if codes will be drawn by name.

        Raises:
            ValueError: If the input is not as described, a group has no rows, or rows were used in
                fitting.

        Warns:
            UserWarning: If contents cannot tell whether these rows are new.
        """

        groups = self._groups(X, sensitive_features, ids)
        if ids is None or self._widest > LISTED:
            drawn = GroupTables.of(self._drawn_table(X, groups, ids))
            return certify(drawn, delta=delta, draws="hard")

        mixed = mixed_table(self._tables(X, groups, ids), self.shares.tolist())

        return certify(GroupTables.of(mixed), delta=delta)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """The names of the coin's bits and of the code's."""

        names = [f"coin{j}" for j in range(self._n_coins)]
        names += [f"bit{j}" for j in range(self._widest)]

        return np.array(names, dtype=object)

    def _padded(self, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.pad(bits, ((0, 0), (0, self._widest - bits.shape[1])))

    def _coins(self, X: ArrayLike | pd.DataFrame, ids: ArrayLike | None) -> NDArray[np.intp]:
        """The number of each row's encoder. The encoders have already checked rows and names."""

        uniforms = frozen_uniforms(self._named(X, ids), 1, self.key, layer=_COIN)[:, 0]

        return np.searchsorted(self.shares.cumsum()[:-1], uniforms, side="right")

    def _named(self, X: ArrayLike | pd.DataFrame, ids: Any) -> NDArray[np.uint8]:
        """The bytes that decide the coin of each row: of its name, or of its content."""

        if ids is not None:
            return name_digests(ids, len(check_table(X)))
        table, kinds = check_table(X), self.encoders[0].schema_.kinds
        if kinds is not None and isinstance(table, pd.DataFrame):
            table = kinds.read(table)

        return row_digests(table)

    def _models(self) -> list[Any]:
        if silent := [
            type(each).__name__ for each in self.encoders if not hasattr(each, "decode")
        ]:
            raise AttributeError(
                f"Only models predict, and {silent[0]} does not: fit `InvariantClassifier` or "
                "`InvariantRegressor`, or a classifier on the codes."
            )

        return list(self.encoders)

    def _logits(self, X: ArrayLike | pd.DataFrame, ids: ArrayLike | None) -> list[Tensor]:
        """The logits of each encoder, if all codes can be listed."""

        if self._widest > LISTED:
            raise ValueError(f"Codes of up to {LISTED} bits can be listed, got {self._widest}.")

        return [torch.from_numpy(encoder.logits(X, ids=ids)) for encoder in self.encoders]

    def _groups(self, X: Any, sensitive_features: ArrayLike, ids: Any) -> Tensor:
        """The number of each row's group, for rows that no encoder was fitted on."""

        labels = self.encoders[0].sensitive_groups(sensitive_features)
        n = len(check_table(X))
        if len(labels) != n:
            raise ValueError(
                f"`sensitive_features` expects one value for each of the {n} rows, got "
                f"{len(labels)} values."
            )
        self._check_new(check_table(X), pd.Series(labels), ids)
        numbers = {group: number for number, group in enumerate(self._known)}

        return torch.tensor([numbers[label] for label in labels.tolist()], dtype=torch.int64)

    def _check_new(self, X: Any, groups: "pd.Series[Any]", ids: Any) -> None:
        """Refuse copies, and rows that one of the encoders was fitted on."""

        if ids is not None:
            check_ids(ids, len(groups))
        for encoder in self.encoders:
            table = encoder.schema_.read(X, encoder.coder_.features)
            if caution := check_new(encoder.used_, table, groups, None, ids):
                warn(caution)

    def _largest_drawn(
        self, X: Any, groups: Tensor, ids: Any, max_gap: float, delta: float
    ) -> tuple[float, Certificate]:
        """The largest of the tested shares at which drawn coins and codes are certified."""

        check_number("max_gap", max_gap, above=0, most=1)
        passed: tuple[float, Certificate] | None = None
        for share in _TESTED:
            self.shares = np.array([1 - share, share])
            table = self._drawn_table(X, groups, ids)
            certificate = certify(GroupTables.of(table), delta=delta, draws="hard")
            if certificate.bound > max_gap:
                if passed is None:
                    raise refused(max_gap, certificate)
                break
            passed = (share, replace(certificate, bound=float(max_gap)))
        assert passed is not None

        return passed

    @property
    def _known(self) -> list[Any]:
        return self.encoders[0].groups_.tolist()

    def _tables(self, X: Any, groups: Tensor, ids: ArrayLike | None) -> list[Tensor]:
        """The expected counts of each encoder over (group, code)."""

        return [joint_table(logits, groups, len(self._known)) for logits in self._logits(X, ids)]

    def _drawn_table(self, X: Any, groups: Tensor, ids: ArrayLike | None) -> Tensor:
        """The counts of drawn coins and bits, of those that occur."""

        packed = np.packbits(self.transform(X, ids=ids), axis=1)
        distinct, numbers = np.unique(packed, axis=0, return_inverse=True)
        codes = torch.from_numpy(numbers.ravel())

        return observed_table(codes, groups, len(self._known), len(distinct)).double()


def _chosen(values: Sequence[NDArray[Any]], coins: NDArray[np.intp]) -> NDArray[Any]:
    """The values of each row from the encoder that its coin chose."""

    return np.stack(values)[coins, np.arange(len(coins))]


def _derived_key(encoders: Sequence[InvariantEncoder]) -> Secret:
    """A key derived from those of the encoders, so that nobody has to keep another one."""

    digests = [hashlib.blake2b(encoder.coder_.key).digest() for encoder in encoders]

    return Secret(hashlib.blake2b(b"".join(digests), digest_size=32, person=b"mixture").digest())


def _checked_encoders(encoders: Sequence[InvariantEncoder]) -> list[InvariantEncoder]:
    """Fitted encoders, two or more, of the same columns and groups."""

    encoders = list(encoders)
    if len(encoders) < 2:
        raise ValueError(f"A mixture expects two encoders or more, got {len(encoders)}.")
    for encoder in encoders:
        if not isinstance(encoder, InvariantEncoder):
            raise ValueError(
                f"A mixture expects encoders of bitveil, got {type(encoder).__name__}."
            )
        check_is_fitted(encoder, "coder_")
        _check_no_blanks(encoder)
        _check_alike("columns", _columns(encoders[0]), _columns(encoder))
        groups, others = encoders[0].groups_.tolist(), encoder.groups_.tolist()
        _check_alike("groups", groups, others)

    return encoders


def _check_no_blanks(encoder: InvariantEncoder) -> None:
    """Refuse an encoder that leaves rows blank: a mixture has no column to say so."""

    if encoder.share_ < 1:
        raise ValueError(
            "A mixture expects encoders that give every row a code, got one that leaves "
            f"{1 - encoder.share_:.1%} of the rows blank. Fit it with `on_unmet='raise'`, or for "
            "a larger goal, or with a `strength`; `Mixture.for_gap` then certifies the mixture."
        )


def _columns(encoder: InvariantEncoder) -> Any:
    """The names of the columns, or their number where they have none."""

    return encoder.feature_names_in_ or encoder.n_features_in_


def _check_alike(what: str, first: Any, other: Any) -> None:
    if first != other:
        raise ValueError(
            f"The encoders of a mixture must be fitted on the same {what}, in the same order; got "
            f"{first} and {other}. Fit them on the same table."
        )


def _checked_shares(shares: ArrayLike, n: int) -> NDArray[np.float64]:
    found = np.asarray(shares)
    numbers = found.dtype.kind in "fiu" and found.shape == (n,)
    if not numbers or not (found >= 0).all() or not abs(found.sum() - 1) < 1e-6:
        raise ValueError(
            f"`shares` expects one number for each of the {n} encoders, none below 0, that sum to "
            f"1, got {quoted(shares)}."
        )

    return found / found.sum()
