"""Estimators: an encoder, and models that see its codes only, as scikit-learn has them."""

import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from bitveil.audits import Audit, audit
from bitveil.audits.subject import check_ids
from bitveil.batches import Rows
from bitveil.cautions import warn
from bitveil.codes import code_index
from bitveil.columns.groups import Grouping
from bitveil.columns.kinds import Kinds
from bitveil.columns.labels import as_frame
from bitveil.columns.names import check_names
from bitveil.columns.table import Table, as_pandas, check_table
from bitveil.columns.targets import Kind, Target
from bitveil.features import Features
from bitveil.folders import Parts, check_mark, load_parts, save_parts
from bitveil.frozen import (
    Hidden,
    check_key,
    freeze,
    frozen_uniforms,
    name_digests,
    row_digests,
)
from bitveil.layers import drawing_from
from bitveil.networks import Decoding, Encoding, network_digest
from bitveil.objectives import CRITERIA, MEASURES, Criterion, DecoderTask, Engine, Measure
from bitveil.repeats import UsedRows, check_copies
from bitveil.rows import Sample, check_weights, conditions
from bitveil.saving import manifest, rehearse, restore, tensors
from bitveil.search import Candidate, Counts, Form, Goal, Trainer, certified, counts
from bitveil.specimens import specimens
from bitveil.tables import moment_table, observed_table
from bitveil.training import Epoch, batch_rows
from bitveil.workers import one_thread

__all__ = ["InvariantClassifier", "InvariantEncoder", "InvariantRegressor", "load"]

MAX_GROUPS = 50
"""More values of a sensitive attribute than this look like identifiers, not groups."""

LISTED = 16
"""Codes with more bits than this are drawn rather than listed, unless told otherwise."""

DRAWS = 1024
"""The most draws of a batch where codes are drawn."""


class InvariantEncoder(TransformerMixin, BaseEstimator):
    """A code of a few bits a row, useful for a target, that tells little of an attribute.

    The goal is said in one of four ways. `max_gap=0.10` holds rows back and fits a code whose gap,
    whatever classifier sees it, is certified to be at most 0.10 with probability 1 - delta over
    those rows, or raises an error that says what would be possible; `max_information=0.05` does so
    for the bits that the code tells of the attribute. `strength=1.0` charges the measure at that
    weight, `gamma=0.5` in the form of the paper; neither certifies.

    `transform` gives frozen draws: the same row has the same bits every time.

    Targets are classes (few values), numbers (fractions, or more than 50 values), several columns
    of either, or none: then as much of the table as possible is kept. A sensitive attribute is one
    column or several, which are taken together; a column of numbers with more than 20 values is
    cut at quantiles into `bins` groups.

    Arguments:
        n_bits: The number of bits. Up to 16 the codes are listed, and all is exact.
        max_gap: The largest gap that can be lived with, from 0 to 1.
        max_information: The most bits that the code may tell of the attribute.
        delta: The probability that the certificate may be wrong.
        strength: The weight of the measure; 1.0 where no goal is given.
        gamma: The paper's weight: `(1 - gamma) * task + gamma * measure`.
        criterion: `"independence"` (demographic parity), `"separation"` (equalised odds: groups
            are compared within each target; within `bins` bins of one that is a number), or
            `"equal_opportunity"` (within the target `positive`).
        positive: The value of the target that is the opportunity; None: the last one.
        measure: What the code is charged for in training: one of `bitveil.objectives.MEASURES`.
        engine: `"exact"` reads the table of the whole code, `"neuron"` sums over single bits (the
            paper's way, no bound on the whole), `"sampled"` draws codes. `"auto"`: exact up to 16
            bits, then sampled.
        prior: `"empirical"` or `"uniform"` weights of the groups, where the measure has any: with
            rare groups the first makes every information small, whatever they lose.
        task: `"target"`; `"reconstruction"` (the raw features as targets, where there is none), or
            `"information"` (the code tells its row from others). `"auto"`: the first, or the
            second without a target.
        features: `"posterior"` (what boosted trees say of target and attribute), `"raw"` columns,
            or `"both"`. For other targets than this one, raw columns keep more. `"auto"`:
            posterior with a target, both without; raw for images and for networks of your own.
        encoder: A network of your own, from features to n_bits logits, which is copied. None: a
            multi-layer perceptron for tables, a small convolutional network for images (arrays
            with shape (n, height, width) or (n, channels, height, width)). `StochasticBinary`
            layers in it are charged for too.
        decoder: A network of your own from bits to the logits of the classes and then the numbers,
            trained along. None: the table is the decoder, beyond 16 bits a perceptron.
        hidden: The widths of the hidden layers of a perceptron.
        epochs: The most passes over the rows; None: 80, or more where so few rows make fewer than
            160 steps of them.
        batch_size: The most rows of a batch. Small batches make every code look leaky. `"auto"`:
            as many as 1 GiB holds.
        balanced: Whether rows are taken so that, within each target, all groups are as frequent in
            every batch: for rare groups that carry all the evidence. Reports and certificates are
            of the rows as they are.
        learning_rate: The highest learning rate of the one-cycle schedule.
        patience: The epochs to wait for a better one; None: all.
        warm_start: Whether to start from the network of the fit before, with its key. Not with a
            goal for a certificate: rows that certify must not have been seen.
        bins: Into how many groups a sensitive attribute of numbers is cut.
        missing_sensitive: `"error"`, or `"group"`: missing values are a group of their own.
        missing_target: `"error"`, or `"unlabelled"`: rows without target count for the attribute.
        device: `"cpu"`, `"cuda"`, or another accelerator's name.
        precision: The numbers of the network in training, as Fabric names them.
        n_jobs: How many cores are used, as joblib counts; None: one, -1: all. Folds of posterior
            features and, for a certificate, encoders are trained at once. It changes no number.
        checkpoint: A folder for the state of training after every epoch. A fit that was
            interrupted, started again in the same way, goes on from there and ends the same.
            Needs a `random_state`. Remove the folder when the fit is done.
        after_epoch: Called with each `bitveil.training.Epoch`, for logging.
        key: The secret key of the draws, 16 to 64 bytes. None: a fresh one, from the operating
            system's randomness without a `random_state`, and from that with one. Who can guess
            the seed can then guess the draws: for publishing give a key or no seed.
        random_state: The seed of splits, weights and order of rows. The same seed gives the same
            bits on the same machine, whatever its number of threads.
        verbose: 1 shows the progress.

    Attributes:
        certificate_: The certificate, or None where none was asked for.
        path_: Every encoder that was trained, as a list of `Step`: see `bitveil.plots`.
        history_: The training of the chosen one.
        classes_: The values of the target; a list of them where there are several targets.
        groups_: The values of the sensitive attribute; tuples where there are several columns.
        grouping_: How rows are put into groups: `sensitive_groups` does it for others.
        target_: What was learned of the target.
        kinds_: What each column of the table holds, by which other tables are read; None for an
            array.
        features_: The fitted preparation of the table.
        encoder_: The network from features to logits.
        decoder_: The network from bits to targets, or None where the table is the decoder.
        key_: The secret key, which is not shown when it is printed.
        specimens_: Rows that nobody is, for `load` to try: see `bitveil.specimens`.
        rows_: The numbers of the rows for `"fit"`, `"select"` and `"certify"`.
        used_: Digests of the rows that were used, under a key of their own: see `used_rows`.
        n_features_in_: The number of columns.
        feature_names_in_: Their names, where they have any.
        target_name_: The name of the target, where it has one.
        sensitive_names_: The names of the sensitive columns, where they have any.

    Source:
        Invariant Representations with Stochastically Quantized Neural Networks (Cerrato, Köppel,
        Esposito, Kramer, 2023), https://arxiv.org/abs/2208.02656

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(400, 3))
        >>> y, s = (X[:, 0] > 0).astype(int), np.where(X[:, 1] > 0, "a", "b")
        >>> encoder = InvariantEncoder(n_bits=2, epochs=2, random_state=0)
        >>> encoder.fit(X, y, sensitive_features=s).transform(X[:2]).shape
        (2, 2)
    """

    _targets: Kind = "auto"

    key = Hidden()
    key_ = Hidden()

    def __init__(
        self,
        n_bits: int = 6,
        *,
        max_gap: float | None = None,
        max_information: float | None = None,
        delta: float = 0.05,
        strength: float | None = None,
        gamma: float | None = None,
        criterion: Criterion = "independence",
        positive: Any = None,
        measure: str = "total_variation",
        engine: Engine | Literal["auto"] = "auto",
        prior: Literal["empirical", "uniform"] = "empirical",
        task: Literal["auto", "target", "reconstruction", "information"] = "auto",
        features: Literal["auto", "posterior", "raw", "both"] = "auto",
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        hidden: Sequence[int] = (64, 64),
        epochs: int | None = None,
        batch_size: int | Literal["auto"] = 8192,
        balanced: bool = False,
        learning_rate: float = 0.01,
        patience: int | None = None,
        warm_start: bool = False,
        bins: int = 5,
        missing_sensitive: Literal["error", "group"] = "error",
        missing_target: Literal["error", "unlabelled"] = "error",
        device: str = "cpu",
        precision: str = "32-true",
        n_jobs: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        after_epoch: Callable[[Epoch], None] | None = None,
        key: bytes | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_bits = n_bits
        self.max_gap = max_gap
        self.max_information = max_information
        self.delta = delta
        self.strength = strength
        self.gamma = gamma
        self.criterion = criterion
        self.positive = positive
        self.measure = measure
        self.engine = engine
        self.prior = prior
        self.task = task
        self.features = features
        self.encoder = encoder
        self.decoder = decoder
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.balanced = balanced
        self.learning_rate = learning_rate
        self.patience = patience
        self.warm_start = warm_start
        self.bins = bins
        self.missing_sensitive = missing_sensitive
        self.missing_target = missing_target
        self.device = device
        self.precision = precision
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.after_epoch = after_epoch
        self.key = key
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike | None = None,
        *,
        sensitive_features: ArrayLike,
        sample_weight: ArrayLike | None = None,
        ids: ArrayLike | None = None,
    ) -> Self:
        """Fit a code of the rows that is useful for y and tells little of the attribute.

        Arguments:
            X: The table, with shape (n, columns): a DataFrame, or numbers, also as a sparse
                matrix; or images. The sensitive attribute should not be among its columns.
            y: The target, in one column or several, or None.
            sensitive_features: The attribute, in one column, or several that are taken together.
            sample_weight: How much each row counts, in every term. A certificate then speaks of
                the weighted population: the rows to certify are thinned in proportion to their
                weights, and weights above the largest of the other rows count as that one.
            ids: A name for each row, such as a person's number; no two rows may have the same.
                Give it where codes will be drawn by name (see `transform`): then expected counts
                are certified. Without names the codes are counted as they are drawn, which takes
                more rows, since rows of equal content share a draw.

        Raises:
            UncertifiableError: If no code meets the goal with the rows that are there.
            ValueError: If the input is not as described, no clear goal is given, or rows are
                copies of each other.
        """

        self._check_settings()
        before = vars(self).copy() if self.warm_start and hasattr(self, "encoder_") else {}
        self._forget()
        try:
            with one_thread():
                self._learn(self._sample(X, y, sensitive_features, sample_weight, ids), before)
        except BaseException:
            self._forget()
            raise

        return self

    def transform(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.uint8]:
        """Frozen bits, with shape (n, m): what may be published.

        The same row has the same bits however often one asks. `bitveil.codes.pack` makes eight of
        them a byte.

        Arguments:
            X: The table, with the columns that were fitted.
            ids: A name for each row, text or a whole number; it alone then decides the draw.
                Without one the content of the row does, so that rows of equal content share a
                draw: see `shared_rows`.

        Without `ids`, a service that answers whoever asks is not safe. A person who changes a
        number by a billionth asks for another row and gets another draw, and the average of some
        hundred answers gives the probabilities away. Publish with `ids`.

        Raises:
            ValueError: If a column is missing or holds another kind of value than the fitted one.
        """

        return self._bits(X, ids)

    def probabilities(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The probability that each bit is 1, with shape (n, m).

        Not for publishing: they tell more than a draw, and no certificate covers them. Names
        matter only where the network has stochastic layers before the last.
        """

        return expit(self.logits(X, ids=ids))

    def logits(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The logits of `probabilities`, for audits. Not for publishing either."""

        table = self._conform(X)

        return self._logits(table, _named(table, ids))

    def thresholded(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.uint8]:
        """The more likely value of each bit, with shape (n, m).

        These are other codes than the drawn ones, and the certificate does not cover them. Audit
        them as what they are: `audit(encoder.thresholded(X), s)`.
        """

        return (self.probabilities(X) >= 0.5).astype(np.uint8)

    def audit(
        self,
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike | None = None,
        *,
        sensitive_features: ArrayLike,
        ids: ArrayLike | None = None,
        delta: float | None = None,
        random_state: int = 0,
        attackers: Literal["quick", "all"] = "quick",
        n_jobs: int | None = None,
    ) -> Audit:
        """Audit the codes that rows get, by rows that were not used in fitting.

        Groups, bins, targets, the criterion and the goal are those of the fit. What is counted is
        what is published: of rows with names (`ids`) expected counts, otherwise drawn codes.

        Arguments:
            X: New rows, with the columns that were fitted.
            y: Their target, as in `fit`, for classifiers of the codes and for equalised odds; or
                None. Numbers are cut at quantiles of the fitted rows.
            sensitive_features: The attribute of these rows, as in `fit`.
            ids: A name for each row, where its code is drawn by name. None may stand twice.
            delta: The probability that the certificate may be wrong; None: as fitted.
            random_state: The seed of the halves and of the attackers.
            attackers: `"quick"` or `"all"`, which takes minutes: see `bitveil.audits.audit`.
            n_jobs: How many attackers are trained at once; None: as in fitting.

        Raises:
            ValueError: If rows were used in fitting, are copies of each other, or are not as
                described.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> X = rng.normal(size=(800, 2))
            >>> y, s = (X[:, 0] > 0).astype(int), np.where(X[:, 1] > 0, "a", "b")
            >>> model = InvariantClassifier(n_bits=2, features="raw", epochs=2, random_state=0)
            >>> fitted = model.fit(X[:400], y[:400], sensitive_features=s[:400])
            >>> new = {"sensitive_features": s[400:], "ids": range(400)}
            >>> fitted.audit(X[400:], y[400:], **new).counted
            'expected counts, since every row has a name of its own'
            >>> fitted.audit(X[:400], y[:400], sensitive_features=s[:400])
            Traceback (most recent call last):
            ValueError: 400 of 400 rows have the content of rows that the encoder was fitted on...
        """

        table = self._conform(X)
        groups = self._as_groups(sensitive_features, len(table))
        target = None if y is None else self._as_target(y, len(table))
        as_fitted = not self._is_other(_names(y), [*self.target_.names])
        caution = self._check_new(table, groups, target, ids)
        named = _named(table, ids)
        logits = self._logits(table, named)
        thorough = attackers == "all"

        return audit(
            freeze(expit(logits), named, self.key_),
            groups,
            target,
            logits=None if ids is None else logits,
            ids=ids,
            criterion="independence" if target is None or not as_fitted else self.criterion,
            positive=self._opportunity if as_fitted else None,
            goal=None if self._is_other(_names(groups), self.sensitive_names_) else self.max_gap,
            delta=self.delta if delta is None else delta,
            random_state=random_state,
            attackers=attackers,
            n_jobs=self.n_jobs if n_jobs is None else n_jobs,
            encode=self.logits if thorough else None,
            X=self._again(table) if thorough else None,
            path=self.path_,
            notes=self._notes(target, caution),
        )

    def check_new(
        self,
        X: ArrayLike | pd.DataFrame,
        sensitive_features: ArrayLike,
        y: ArrayLike | None = None,
        *,
        ids: ArrayLike | None = None,
    ) -> str | None:
        """Refuse rows that were used in fitting, and rows that are copies of each other.

        Arguments:
            X: The rows.
            sensitive_features: Their attribute: rows of equal content that never disagree in it
                look like copies.
            y: Their target, or None.
            ids: Their names, or None.

        Returns:
            What a reader must watch for where contents cannot tell, or None.

        Raises:
            ValueError: If there are such rows.
        """

        return self._check_new(self._conform(X), sensitive_features, y, ids)

    def _check_new(self, table: Table, sensitive_features: Any, y: Any, ids: Any) -> str | None:
        """The same of rows that were read already."""

        contents = row_digests(table)
        names = None if ids is None else name_digests(ids, len(contents))
        if names is None:
            labels = [part for part in (sensitive_features, y) if part is not None]
            check_copies(contents, *(_factors(part, len(contents)) for part in labels))

        return self.used_.check(contents, names)

    def shared_rows(self, X: ArrayLike | pd.DataFrame) -> int:
        """How many rows have the same content as another, and without an id share its draw."""

        return _shared(row_digests(self._conform(X)))

    def used_rows(self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None) -> int:
        """How many rows were used in fitting, by their ids or, without any, by their contents.

        An audit of them says too little of what others reveal, and `audit` refuses them. Contents
        may also be equal by chance.
        """

        table = self._conform(X)
        names = None if ids is None else name_digests(ids, len(table))

        return self.used_.overlap(row_digests(table), names)

    def sensitive_groups(self, sensitive_features: ArrayLike) -> NDArray[Any]:
        """The groups of other rows, in the values of `groups_`: numbers are cut as when fitting.

        Raises:
            ValueError: If there are groups that were not fitted.
        """

        check_is_fitted(self, "encoder_")

        return self.grouping_.labels("sensitive_features", sensitive_features)

    @property
    def groups_(self) -> NDArray[Any]:
        """The values of the sensitive attribute; tuples where there are several columns."""

        check_is_fitted(self, "grouping_")

        return self.grouping_.values

    @property
    def classes_(self) -> Any:
        """The values of the target; a list of them where there are several targets."""

        if "target_" not in vars(self) or not self.target_.classes:
            raise AttributeError("There are no `classes_` before a fit with classes as target.")
        return [*self.target_.classes] if len(self.target_.kinds) > 1 else self.target_.classes[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = tags.input_tags.categorical = True
        tags.target_tags.multi_output = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = []

        return tags

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """The names of the bits."""

        check_is_fitted(self, "encoder_")

        return np.array([f"bit{j}" for j in range(self.n_bits)], dtype=object)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the fitted encoder, its secret key included, as a folder for `bitveil.load`.

        Of a network of your own the weights are written, not the code: give it to `load` again.
        Beside it stand some rows that nobody is, with the bits that they get: see
        `bitveil.specimens`.

        Raises:
            FileExistsError: If there is something at that place already.

        Warns:
            UserWarning: If the key of the draws follows from a `random_state`. For publishing fit
                without one, or with a `key=secrets.token_bytes(32)`.
        """

        check_is_fitted(self, "encoder_")
        if self.random_state is not None and self.key_ != self.key:
            warn(
                f"The key of the draws follows from `random_state={self.random_state!r}`: whoever "
                "guesses that can undo the noise. Before you publish codes, fit without it."
            )
        save_parts(directory, Parts(manifest(self), tensors(self), self.features_, self.key_))

    def _learn(self, sample: Sample, before: dict[str, Any]) -> None:
        """Split the rows, train on some, certify by others; sets what is learned."""

        rng = _generator(self.random_state)
        self.rows_ = sample.split(self.criterion, self._positive, rng, certify=self._certifies)
        seed = int(rng.randint(2**31))
        drawn = secrets.token_bytes(32) if self.random_state is None else rng.bytes(32)
        self.key_ = before.get("key_", drawn) if self.key is None else self.key
        goal = self._goal()
        if goal is not None:  # refuse what cannot be met before anything is trained
            sample.check_copies()
            goal.room(sample.sizes(self.rows_["certify"]))
        if self.checkpoint is not None:
            self._mark(Path(self.checkpoint), sample)
        parts = self._parts(sample, seed)
        self.specimens_ = self._again(specimens(sample.table, self.features_))
        chosen = self._chosen(self._trainer(parts["fit"], before, seed), goal, sample, parts)
        self.encoder_, self.history_ = chosen.encoder, chosen.history
        self.decoder_ = chosen.task.decoder if isinstance(chosen.task, DecoderTask) else None
        self.tables_ = self._tables(sample, parts) if self.decoder_ is None else {}
        self.used_ = UsedRows.of(sample.contents, sample.names, secrets.token_bytes(32))

    def _forget(self) -> None:
        """A fit that fails leaves no encoder, and no half of one."""

        for name in [name for name in vars(self) if name.endswith("_")]:
            self.__dict__.pop(name)

    def _check_settings(self) -> None:
        for name in ("n_bits", "epochs", "batch_size", "bins"):
            value = getattr(self, name)
            if (name, value) in (("epochs", None), ("batch_size", "auto")):
                continue
            if not isinstance(value, int | np.integer) or value < 1 + (name == "bins"):
                least = 2 if name == "bins" else 1
                raise ValueError(
                    f"`{name}` expects a whole number from {least} on, got {value!r}."
                )
        if self.patience is not None and not _real(self.patience) >= 1:
            raise ValueError(
                f"`patience` expects a whole number from 1 on, or None, got {self.patience!r}."
            )
        if self.n_jobs is not None and (
            not isinstance(self.n_jobs, int | np.integer) or self.n_jobs == 0
        ):
            raise ValueError(
                f"`n_jobs` expects how many cores to use, -1 for all, got {self.n_jobs!r}."
            )
        if self.key is not None:
            if not isinstance(self.key, bytes):
                raise ValueError(f"`key` expects 16 to 64 bytes, got {type(self.key).__name__}.")
            check_key(self.key)
        if not 0 < _real(self.delta) < 1:
            raise ValueError(f"`delta` expects a probability between 0 and 1, got {self.delta!r}.")
        if not 0 < _real(self.learning_rate) < np.inf:
            raise ValueError(
                f"`learning_rate` expects a number above 0, got {self.learning_rate!r}."
            )
        widths = self.hidden if np.iterable(self.hidden) else [None]
        if not all(isinstance(width, int | np.integer) and width > 0 for width in widths):
            raise ValueError(
                "`hidden` expects the widths of layers, whole numbers from 1 on, as (64, 64), got "
                f"{self.hidden!r}."
            )
        _check_choice("criterion", self.criterion, CRITERIA)
        _check_choice("measure", self.measure, list(MEASURES))
        _check_choice("engine", self.engine, ("auto", "exact", "neuron", "sampled"))
        _check_choice("prior", self.prior, ("empirical", "uniform"))
        _check_choice("task", self.task, ("auto", "target", "reconstruction", "information"))
        _check_choice("features", self.features, ("auto", "posterior", "raw", "both"))
        _check_choice("missing_sensitive", self.missing_sensitive, ("error", "group"))
        _check_choice("missing_target", self.missing_target, ("error", "unlabelled"))
        if not isinstance(self.balanced, bool | np.bool_):
            raise ValueError(f"`balanced` expects True or False, got {self.balanced!r}.")
        self._check_goal()

    def _check_goal(self) -> None:
        names = ("max_gap", "max_information", "strength", "gamma")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"Say one goal, not several: got {' and '.join(given)}.")
        if self.strength is not None and not 0 <= _real(self.strength) < np.inf:
            raise ValueError(f"`strength` expects a number from 0 on, got {self.strength!r}.")
        if self.gamma is not None and not 0 <= _real(self.gamma) <= 1:
            raise ValueError(f"`gamma` expects a number from 0 to 1, got {self.gamma!r}.")
        if self.max_gap is not None and not 0 < _real(self.max_gap) <= 1:
            raise ValueError(f"`max_gap` expects a number from 0 to 1, got {self.max_gap!r}.")
        if self.max_information is not None and not 0 < _real(self.max_information) < np.inf:
            raise ValueError(
                "`max_information` expects a number of bits above 0, got "
                f"{self.max_information!r}."
            )
        if self.warm_start and self._certifies:
            raise ValueError(
                "`warm_start` starts from an encoder that may have seen the rows to certify: fit "
                f"anew with `{given[0]}`, or use `strength`."
            )
        if self.checkpoint is not None and not isinstance(self.random_state, int | np.integer):
            raise ValueError(
                "`checkpoint` needs a whole number as `random_state`: without one the fit cannot "
                f"be started again in the same way, got {self.random_state!r}."
            )

    @property
    def _certifies(self) -> bool:
        return self.max_gap is not None or self.max_information is not None

    def _sample(
        self, X: Any, y: Any, sensitive_features: Any, sample_weight: Any, ids: Any
    ) -> Sample:
        """Check and number what was given; sets the attributes that tell of it."""

        table = check_table(X)
        self.kinds_: Kinds | None = None
        if isinstance(table, pd.DataFrame):
            self.kinds_ = Kinds.fit(table)
            table = self.kinds_.read(table)
        if len(table) < 2:
            raise ValueError(
                f"Found array with {len(table)} sample(s) (shape={table.shape}) while a minimum "
                "of 2 is required, some to fit and some to select: n_samples = "
                f"{len(table)}."
            )
        self._check_target(y)
        self.n_features_in_, self.feature_names_in_ = table.shape[1], _names(table)
        self.target_name_, self.sensitive_names_ = _name(y), _names(sensitive_features)
        check_names("X", self.feature_names_in_ or [])
        self.target_, labels, values = Target.fit(
            y, len(table), kind=self._targets, missing=self.missing_target, bins=self.bins
        )
        self.grouping_, s = Grouping.fit(
            "sensitive_features",
            sensitive_features,
            n=len(table),
            bins=self.bins,
            missing=self.missing_sensitive,
            most=MAX_GROUPS,
        )
        weights = check_weights(sample_weight, len(table))
        within = conditions(labels, values, self.criterion, self.bins)

        names = None if ids is None else name_digests(ids, len(table))
        if ids is not None:
            check_ids(ids, len(table))

        return Sample(
            table, labels, values, s, self.groups_, *within, weights, row_digests(table), names
        )

    def _check_target(self, y: Any) -> None:
        if y is None and self._targets != "auto":
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. "
                "Without a target use `InvariantEncoder`."
            )
        if self._targets != "auto" and self.task not in ("auto", "target"):
            raise ValueError(
                f"{type(self).__name__} answers for its target, got `task={self.task!r}`. For "
                "codes without answers use `InvariantEncoder`."
            )
        if y is None and (self.criterion != "independence" or self.task == "target"):
            raise ValueError(
                f"`criterion={self.criterion!r}` and `task={self.task!r}` need a target, got "
                "`y=None`."
            )

    @property
    def _positive(self) -> int:
        """The number of the target that is the opportunity."""

        if self.criterion != "equal_opportunity":
            return 0
        if len(self.target_.kinds) != 1 or not self.target_.classes:
            raise ValueError(
                "`criterion='equal_opportunity'` needs one target with classes, got "
                f"{list(self.target_.kinds)}."
            )
        classes = self.target_.classes[0].tolist()
        if self.positive is not None and self.positive not in classes:
            raise ValueError(f"`positive` expects one of {classes}, got {self.positive!r}.")

        return len(classes) - 1 if self.positive is None else classes.index(self.positive)

    def _goal(self) -> Goal | None:
        if not self._certifies:
            return None
        gap = self.max_gap is not None
        limit = self.max_gap if self.max_gap is not None else self.max_information
        assert limit is not None

        return Goal(
            limit, "gap" if gap else "information", self.criterion, self.delta, self._positive
        )

    def _parts(self, sample: Sample, seed: int) -> dict[str, Rows]:
        """Fit the features, and encode the rows of each use; those to fit on out of fold."""

        self.features_ = Features(
            self._features(sample.table), random_state=seed, n_jobs=self.n_jobs
        )
        parts = {}
        for name, chosen in self.rows_.items():
            some = _take(sample.table, chosen)
            if name == "fit":
                labels = sample.posteriors(self.criterion, chosen)
                weights = None if sample.weights is None else sample.weights[chosen]
                x = self.features_.fit_transform(some, *labels, sample_weight=weights)
            else:
                x = self.features_.transform(some)
            parts[name] = sample.rows(
                chosen,
                torch.from_numpy(x),
                targets=self._task == "target",
                weighted=name != "certify",  # those are thinned instead
            )
            if self._task == "reconstruction":
                parts[name] = self._reconstructed(parts[name])

        return parts

    def _features(self, table: Table) -> Literal["posterior", "raw", "both"]:
        if self.features != "auto":
            return self.features
        if self.encoder is not None or np.ndim(table) > 2:
            return "raw"
        return "posterior" if self._task == "target" else "both"

    @property
    def _task(self) -> str:
        if self.task != "auto":
            return self.task
        return "target" if self.target_.kinds else "reconstruction"

    def _reconstructed(self, rows: Rows) -> Rows:
        """With the raw features, which stand last, as targets."""

        if not self.features_.n_raw_:
            raise ValueError(
                "A reconstruction needs raw features to reconstruct, got `features='posterior'`. "
                "Say 'both' or 'raw'."
            )
        return replace(rows, values=rows.x.flatten(1)[:, -self.features_.n_raw_ :])

    def _trainer(self, fit: Rows, before: dict[str, Any], seed: int) -> Trainer:
        self.shape_ = tuple(fit.x.shape[1:])
        encoding = Encoding(
            self.encoder, self.shape_, self.n_bits, tuple(self.hidden), before.get("encoder_")
        )
        if self.encoder is not None:
            encoding.check(fit.x[:2])
        cells = fit.n_classes * fit.n_groups << min(self.n_bits, LISTED)
        room = batch_rows(min(self.n_bits, LISTED), cells)
        batch_size = room if self.batch_size == "auto" else self.batch_size
        decoding = self._decoding(fit, before)
        if self.decoder is not None:
            decoding.check()
        measure = Measure(
            self.measure, self.criterion, self._engine, self.prior, self._positive, DRAWS
        )

        return Trainer(
            encoding,
            decoding,
            measure,
            self._gap(measure, fit.n_groups),
            _epochs(self.epochs, len(fit), batch_size),
            batch_size,
            self.learning_rate,
            self.patience,
            self.device,
            self.precision,
            seed,
            self.verbose if self.n_jobs in (None, 1) else 0,
            self.after_epoch,
            None if self.checkpoint is None else Path(self.checkpoint),
            self.balanced,
        )

    def _gap(self, measure: Measure, n_groups: int) -> Measure:
        """What encoders are ordered by: what the goal is certified through."""

        overlap = self.max_information is not None and self._listed and n_groups > 2

        return replace(
            measure,
            reading="doeblin_complement" if overlap else "total_variation",
            engine="exact" if self._listed else "sampled",
            prior="empirical",
        )

    def _decoding(self, fit: Rows, before: dict[str, Any]) -> Decoding:
        labels = [fit.n_classes] if fit.labels is None else list(fit.n_labels)
        numbers = 0 if fit.values is None else fit.values.shape[1]
        self.n_outputs_ = sum(labels) + numbers

        return Decoding(
            self._task,
            self.decoder is not None or not self._listed,
            self.decoder,
            self.n_bits,
            self.n_outputs_,
            tuple(self.hidden),
            self._listed and not numbers,
            before.get("decoder_"),
        )

    @property
    def _listed(self) -> bool:
        """Whether all codes are listed, and the table is the decoder."""

        return self.n_bits <= LISTED or self.engine == "exact"

    @property
    def _engine(self) -> Engine:
        if self.engine == "auto":
            return "exact" if self._listed else "sampled"
        return self.engine

    def _mark(self, folder: Path, sample: Sample) -> None:
        """Mark a checkpoint folder as that of this fit; refuse one of another."""

        aside = {"key", "after_epoch", "checkpoint", "verbose", "n_jobs", "encoder", "decoder"}
        settings = {n: v for n, v in self.get_params(deep=False).items() if n not in aside}
        content = hashlib.sha256(repr(sorted(settings.items())).encode())
        for network in (self.encoder, self.decoder):
            content.update(network_digest(network))
        weights = np.zeros(0) if sample.weights is None else sample.weights
        for part in (row_digests(sample.table), sample.labels, sample.values, sample.s, weights):
            content.update(np.ascontiguousarray(part).tobytes())
        check_mark(folder, content.hexdigest())

    def _chosen(
        self, trainer: Trainer, goal: Goal | None, sample: Sample, parts: dict[str, Rows]
    ) -> Candidate:
        """Train for the goal; sets the certificate and the path."""

        fit, select = parts["fit"], parts["select"]
        if goal is None:
            chosen = trainer(self._weighted(), fit, select)
            self.certificate_, self.path_ = None, [chosen.step]
            return chosen

        draws = "soft" if self._listed and sample.names is not None else "hard"
        named = {name: sample.named[rows] for name, rows in self.rows_.items()}
        chosen, self.certificate_, self.path_ = certified(
            trainer,
            goal,
            fit,
            select,
            partial(self._counted, parts["certify"], named["certify"], draws),
            sizes=sample.sizes(self.rows_["certify"]),
            draws=draws,
            drawn=partial(self._counted, select, named["select"], "hard"),
            n_jobs=self.n_jobs,
        )

        return chosen

    def _weighted(self) -> Form:
        if self.gamma is not None:
            return Form.weighted(self.gamma, 1 - self.gamma)

        return Form.weighted(1.0 if self.strength is None else self.strength)

    def _counted(
        self, rows: Rows, named: NDArray[np.uint8], draws: str, encoder: nn.Module
    ) -> Counts:
        """The counts of rows: expected where draws are soft, of the published codes otherwise."""

        with self._drawn(encoder, named):
            if draws == "soft":
                return counts(encoder, rows)
            with torch.no_grad():
                theta = encoder(rows.x.double()).sigmoid().numpy()
        bits = freeze(theta, named, self.key_)
        distinct, numbers = np.unique(np.packbits(bits, axis=1), axis=0, return_inverse=True)
        codes = torch.from_numpy(numbers.ravel())
        y = torch.where(rows.y < 0, rows.n_classes, rows.y)
        pairs, n = y * rows.n_groups + rows.s, rows.n_classes + 1
        table = observed_table(codes, pairs, n * rows.n_groups, len(distinct)).double()
        cells = table.view(n, rows.n_groups, -1)

        return Counts(cells[:-1], cells.sum(0))

    def _drawn(self, encoder: nn.Module, named: NDArray[np.uint8]) -> AbstractContextManager[None]:
        """Stochastic layers before the last draw frozen numbers too."""

        return drawing_from(
            encoder,
            lambda layer: (
                lambda shape: torch.from_numpy(
                    frozen_uniforms(named, shape[1], self.key_, layer=layer + 1)
                )
            ),
        )

    def _tables(self, sample: Sample, parts: dict[str, Rows]) -> dict[str, Tensor]:
        """What the table knows of the targets: counts of classes, and means of numbers."""

        if self._task != "target":
            return {}
        batches = []
        for name in ("fit", "select"):
            with self._drawn(self.encoder_, sample.named[self.rows_[name]]), torch.no_grad():
                rows = replace(parts[name], x=parts[name].x.double())
                batches.append(rows.batch(self.encoder_))
        targets = [sum(tables) for tables in zip(*(b.targets for b in batches), strict=True)]
        found = {f"target{j}": table for j, table in enumerate(targets) if len(table) > 1}
        if batches[0].values is not None:
            sums = [_sums(batch) for batch in batches]
            found["counts"], found["sums"] = (sum(part) for part in zip(*sums, strict=True))

        return found

    def _again(self, read: Table) -> Table:
        """Rows that were read by their kinds, so that they can be read again."""

        return self.kinds_.again(read) if self.kinds_ and isinstance(read, pd.DataFrame) else read

    def _as_groups(self, sensitive_features: Any, n: int) -> "pd.DataFrame | pd.Series[Any]":
        """The attribute of other rows, with its columns cut as when fitting.

        Columns of other names are another attribute, which is taken as it is.
        """

        names, fitted = _names(sensitive_features), self.sensitive_names_
        if self._is_other(names, fitted):
            grouping, _ = Grouping.fit(
                "sensitive_features", sensitive_features, n=n, bins=self.bins, missing="error"
            )
        else:
            as_frame("sensitive_features", sensitive_features, n)
            grouping, names = self.grouping_, fitted
        cut = grouping.cut("sensitive_features", sensitive_features)
        if len(cut.columns) > 1:
            return cut.set_axis(names or [f"column {j}" for j in range(len(cut.columns))], axis=1)
        name = names[0] if names else None

        return cut.iloc[:, 0].rename(name)

    def _as_target(self, y: Any, n: int) -> "pd.DataFrame | pd.Series[Any]":
        """The target of other rows as classes: numbers in the bins of the fitted rows.

        A column of another name is another target, which is taken as it is.
        """

        if not self.target_.kinds or self._is_other(_names(y), [*self.target_.names]):
            target, _, _ = Target.fit(y, n, missing=self.missing_target, bins=self.bins)
        else:
            target = self.target_
        cut = target.cut(y, n, missing=self.missing_target)
        if len(cut.columns) > 1 and self.criterion != "independence":
            return cut
        name = _name(y)

        return cut.iloc[:, 0].rename(self.target_name_ if name is None else name)

    def _is_other(self, names: list[Any] | None, fitted: list[Any] | None) -> bool:
        """Whether both have names, and these differ."""

        def real(names: list[Any] | None) -> set[Any]:
            return {name for name in names or [] if name is not None and name != 0}

        return bool(real(names) and real(fitted)) and real(names) != real(fitted)

    @property
    def _opportunity(self) -> Any:
        """The value of the target that is the opportunity."""

        if self.criterion != "equal_opportunity":
            return None
        return self.target_.classes[0].tolist()[self._positive]

    def _notes(self, target: Any, caution: str | None) -> list[str]:
        """What a reader of an audit must know about the fit."""

        notes = [] if caution is None else [caution]
        if target is None and self.criterion != "independence":
            notes.append(
                f"The encoder was fitted by the criterion {self.criterion!r}, which needs the "
                "target: without `y` the parity gap is certified."
            )
        if target is not None and np.ndim(target) == 1 and len(self.target_.kinds) > 1:
            notes.append(f"Of {len(self.target_.kinds)} targets the first one is used here.")
        if target is not None and any(edges is not None for edges in self.target_.edges):
            notes.append(
                f"Targets of numbers were cut at quantiles of the fitted rows into {self.bins} "
                "bins: uses and gaps within targets are of these bins."
            )

        return notes

    def _conform(self, X: ArrayLike | pd.DataFrame) -> Table:
        """The rows as a table with the columns that were fitted, read as they were."""

        check_is_fitted(self, "encoder_")
        table = check_table(X)
        kinds = self.kinds_
        if kinds is not None and isinstance(table, pd.DataFrame):
            missing = [name for name in kinds.names if name not in table]
            unknown = [name for name in table if name not in kinds.names]
            if missing or unknown:
                raise ValueError(
                    "Expected the columns that the encoder was fitted on; missing are "
                    f"{missing}, unknown are {unknown}."
                )
            if left_out := kinds.left_out(table):
                warn(f"Columns without a value when they were fitted are left out: {left_out}.")
            read = kinds.read(table)
            if unseen := self.features_.unseen(read):
                warn(f"Values that were not fitted count as none of the known ones: {unseen}.")
            return read
        if (kinds is None) == isinstance(table, pd.DataFrame):
            raise ValueError(
                "Expected a table of the kind that the encoder was fitted on, "
                f"{'numbers' if kinds is None else 'a DataFrame'}, got {type(X).__name__}."
            )
        image = self.features_.image_ is not None
        if image != (np.ndim(table) > 2) or (image and table.shape[1:] != self.shape_):
            expected = f"images of shape {self.shape_}" if image else "a table of two dimensions"
            raise ValueError(f"Expected {expected}, as fitted, got an array of {table.shape}.")
        if table.shape[1] != self.n_features_in_:
            raise ValueError(
                f"Expected {self.n_features_in_} columns, as fitted, got {table.shape[1]}. X has "
                f"{table.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )

        return table

    def _bits(self, X: ArrayLike | pd.DataFrame, ids: ArrayLike | None) -> NDArray[np.uint8]:
        table = self._conform(X)
        named = _named(table, ids)

        return freeze(expit(self._logits(table, named)), named, self.key_)

    def _logits(self, table: Table, named: NDArray[np.uint8]) -> NDArray[np.float64]:
        if not len(table):
            return np.zeros((0, self.n_bits))
        with one_thread(), self._drawn(self.encoder_, named), torch.no_grad():
            features = torch.from_numpy(self.features_.transform(table)).double()
            return self.encoder_(features).numpy()

    def _outputs(self, bits: NDArray[np.uint8]) -> Tensor:
        """The decoder's outputs for published bits."""

        assert self.decoder_ is not None
        with torch.no_grad():
            return self.decoder_(torch.from_numpy(bits).double())


class InvariantClassifier(ClassifierMixin, InvariantEncoder):
    """An `InvariantEncoder` with the best classifier of its codes.

    The classifier is the table: the codes' counts over the target in the rows for fitting and for
    selecting; beyond 16 bits, and where a decoder is given, a network trained along. It sees the
    published bits and nothing else, so the certificate covers its answers.

    Arguments:
        See `InvariantEncoder`.

    Attributes:
        tables_: The expected counts over (target, code), for each target.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(4000, 2))
        >>> y, s = (X[:, 0] > 0).astype(int), np.where(X[:, 1] > 0, "a", "b")
        >>> model = InvariantClassifier(max_gap=0.2, n_bits=2, epochs=40, random_state=0)
        >>> model.fit(X, y, sensitive_features=s).score(X, y) > 0.9
        True
        >>> model.certificate_.gap
        0.2
    """

    _targets: Kind = "classes"

    def predict_proba(self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None) -> Any:
        """The probability of each class given the published bits, with shape (n, classes).

        With several targets a list of them, one for each.
        """

        return self.decode(self._bits(X, ids))

    def decode(self, bits: NDArray[np.uint8]) -> Any:
        """The probability of each class for published bits, with shape (n, classes).

        All that someone needs to use the codes for this target: no row, no key, no encoder. With
        several targets a list of them, one for each.
        """

        check_is_fitted(self, "encoder_")
        bits = _checked_bits(bits, self.n_bits)
        if self.decoder_ is not None:
            parts = self._outputs(bits).split(list(self.target_.n_labels), -1)
            answers = [part.softmax(-1).numpy() for part in parts]
        else:
            codes = code_index(torch.from_numpy(bits))
            tables = [self.tables_[f"target{j}"] for j in range(len(self.target_.classes))]
            answers = [_shares(table, codes) for table in tables]

        return answers if len(self.target_.kinds) > 1 else answers[0]

    def predict(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[Any]:
        """The most probable class given the published bits, with shape (n,).

        With several targets shape (n, targets).
        """

        answers = self.predict_proba(X, ids=ids)
        if len(self.target_.kinds) == 1:
            return self.target_.classes[0][answers.argmax(1)]
        columns = [
            classes[of_target.argmax(1)]
            for classes, of_target in zip(self.target_.classes, answers, strict=True)
        ]

        return np.stack(columns, axis=1)


class InvariantRegressor(RegressorMixin, InvariantEncoder):
    """An `InvariantEncoder` with the best regression on its codes.

    The regression is the table: the mean target of each code in the rows for fitting and for
    selecting; beyond 16 bits, and where a decoder is given, a network trained along. It sees the
    published bits and nothing else: a certified gap bounds by how much the mean answer of two
    groups can differ, as a share of the range of the answers.

    Arguments:
        See `InvariantEncoder`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(4000, 2))
        >>> y, s = X[:, 0] + 0.1 * X[:, 1], np.where(X[:, 1] > 0, "a", "b")
        >>> model = InvariantRegressor(n_bits=4, features="raw", random_state=0)
        >>> model.fit(X, y, sensitive_features=s).score(X, y) > 0.8
        True
    """

    _targets: Kind = "numbers"

    def decode(self, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The mean target for published bits, with shape (n,), or (n, targets)."""

        check_is_fitted(self, "encoder_")
        bits = _checked_bits(bits, self.n_bits)
        if self.decoder_ is not None:
            standard = self._outputs(bits).numpy()
        else:
            codes = code_index(torch.from_numpy(bits))
            counted, sums = self.tables_["counts"], self.tables_["sums"]
            mean = sums.sum(1, keepdim=True) / counted.sum(1, keepdim=True)
            standard = ((sums + mean) / (counted + 1))[:, codes].T.numpy()
        answers = standard * np.array(self.target_.scales) + np.array(self.target_.means)

        return answers[:, 0] if len(self.target_.kinds) == 1 else answers

    def predict(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The mean target given the published bits, with shape (n,), or (n, targets)."""

        return self.decode(self._bits(X, ids))


def load(
    directory: str | os.PathLike[str],
    *,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    accept_versions: bool = False,
) -> InvariantEncoder:
    """Load an encoder that `save` wrote; it gives the same bits. Nothing is executed.

    The folder keeps some rows that nobody is, with the bits that they got. An encoder that gives
    them others is not loaded.

    Arguments:
        directory: The folder.
        encoder: The network, where it is one of your own, for its weights to be put into.
        decoder: The decoder, where it is one of your own.
        accept_versions: Whether to load what was saved with other versions of scikit-learn,
            skrub or torch, if with the installed ones those rows get the same bits.

    Raises:
        FileNotFoundError: If it is no folder of an encoder, or a file is missing.
        ValueError: If a file was changed, other versions wrote it, a network is missing or is
            another one, or bits differ.
    """

    parts, folder = load_parts(directory, accept_versions=accept_versions), Path(directory)
    forms = (InvariantEncoder, InvariantClassifier, InvariantRegressor)
    model = restore({form.__name__: form for form in forms}, folder, parts, encoder, decoder)
    rehearse(model, folder, parts)

    return model


def _check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"`{name}` expects one of {list(known)}, got {value!r}.")


def _real(value: Any) -> float:
    """The value where it is a number; otherwise NaN, which lies in no range."""

    return float(value) if isinstance(value, Real) else np.nan


def _checked_bits(bits: Any, n_bits: int) -> NDArray[np.uint8]:
    bits = np.asarray(bits)
    if bits.ndim != 2 or bits.shape[1] != n_bits or not np.isin(bits, (0, 1)).all():
        raise ValueError(
            f"`bits` expects zeros and ones of shape (n, {n_bits}), as `transform` gives them, "
            f"got {bits.dtype} of shape {bits.shape}."
        )

    return bits.astype(np.uint8)


def _sums(batch: Any) -> tuple[Tensor, Tensor]:
    """How many rows get each code, and the sum of their numbers, with shape (d, c) each."""

    values = batch.values.double()
    known = values.isfinite().double()
    if batch.weights is not None:
        known = known * batch.weights.double().unsqueeze(1)
    both = moment_table(batch.logits, torch.cat([known, known * values.nan_to_num()], 1))
    counted, sums = both.chunk(2)

    return counted, sums


def _shares(table: Tensor, codes: Tensor) -> NDArray[np.float64]:
    """The shares of the classes among the rows of each code, and of all where it has none."""

    prior = table.sum(1, keepdim=True) / table.sum()
    counted = (table + prior)[:, codes]

    return (counted / counted.sum(0)).T.numpy()


def _named(table: Table, ids: Any) -> NDArray[np.uint8]:
    """The bytes that decide the draw of each row: of its name, or of its content."""

    return row_digests(table) if ids is None else name_digests(ids, len(table))


def _factors(columns: Any, n: int) -> NDArray[np.int64]:
    """The number of each value in its column, -1 where it is missing."""

    frame = as_frame("labels", columns, n)

    return np.stack([pd.factorize(column)[0] for _, column in frame.items()], 1)


def _shared(digests: NDArray[np.uint8]) -> int:
    """How many rows have the digest of another row."""

    counts = np.unique(digests, axis=0, return_counts=True)[1]

    return int(counts[counts > 1].sum())


def _generator(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    """scikit-learn's `check_random_state`, but for None: its own, from the system's randomness."""

    return np.random.RandomState() if random_state is None else check_random_state(random_state)


def _epochs(epochs: int | None, n: int, batch_size: int) -> int:
    """As many passes as were asked for; otherwise 80, and no fewer than 160 steps."""

    return epochs or max(80, -(-160 // -(-n // batch_size)))


def _name(column: Any) -> Any:
    column = as_pandas(column)

    return column.name if isinstance(column, pd.Series) else None


def _names(table: Any) -> list[Any] | None:
    table = as_pandas(table)
    if isinstance(table, pd.Series):
        return [table.name]
    return list(table.columns) if isinstance(table, pd.DataFrame) else None


def _take(table: Table, rows: NDArray[np.int64]) -> Table:
    return table.iloc[rows] if isinstance(table, pd.DataFrame) else table[rows]
