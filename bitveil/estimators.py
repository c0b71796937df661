"""Estimators: scikit-learn's interface to an encoder, and to models that predict from its bits."""

import os
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from bitveil.architectures import Start
from bitveil.cautions import warn
from bitveil.coder import draw_names
from bitveil.columns.table import Table
from bitveil.columns.targets import Kind
from bitveil.criteria import Criterion
from bitveil.exports import ExportMixin
from bitveil.fitting import Fitted, fit_encoder
from bitveil.folders import Parts, save_parts
from bitveil.frozen import Hidden
from bitveil.model_audits import AuditMixin
from bitveil.notebooks import NotebookMixin
from bitveil.quotes import quoted
from bitveil.samples import SAMPLE, FitRoles, fit_source
from bitveil.saving import manifest, tensors
from bitveil.settings import Settings, TaskName
from bitveil.sources import open_source
from bitveil.steps import OnStep, listening, say_step
from bitveil.training import Training
from bitveil.tries import before_of
from bitveil.workers import one_thread

__all__ = ["InvariantEncoder"]


class InvariantEncoder(AuditMixin, ExportMixin, NotebookMixin, TransformerMixin, BaseEstimator):
    """A code of a few bits for each row, useful for a target, that hides a sensitive attribute.

    Set one goal. `max_gap=0.10` holds rows back and fits a code whose gap, whatever classifier
    sees it, is certified to be at most 0.10 with probability 1 - delta over those rows.
    `max_information=0.05` does the same for bits of information about the attribute. If the rows
    held back are too few to certify a useful code for every row, a coin leaves some rows blank,
    and `share_` says how many get a code. `strength` sets a weight, and certifies
    nothing.

    `transform` gives frozen draws: the same row gets the same bits every time.

    Targets are classes (few values), numbers (fractions, or more than 50 values), several columns
    of either, or none. A sensitive attribute is one column, or several that are taken together;
    a column of numbers with more than 20 values is cut at quantiles into `bins` groups.

    Arguments:
        n_bits: *The code.* The number of bits. Up to 16 all codes are listed, and all is exact.
            Cells use few of them, two for a target with two classes; the others stay 0.
        features: What the encoder sees: `"posterior"` (predictions of target and attribute),
            `"raw"` columns, or `"both"`. For a goal, posteriors are cut into cells, which are the
            best codes for one target, and of `training` they read `verbose` and `after_epoch`
            only; everything else trains a network. Raw columns keep more for
            other targets than this one. `"auto"`: posterior with a target, both without; raw for
            images and for a network of your own.
        posteriors: Which models predict target and attribute: None for a stack of ours, which
            cross-validation chooses; `"boosting"` for one boosting model; or any classifier with
            scikit-learn's manners.
        task: What the code is useful for: `"target"`; `"columns"`, each column of the table;
            `"reconstruction"` of the raw features; or `"information"` (the code tells its row from
            others). `"auto"`: the target, or without one the columns, and of images a
            reconstruction. Useful for a target means half accuracy and half
            information where there is a goal, and information where there is a weight;
            `"target_accuracy"` and `"target_information"` choose one of them.
        max_gap: *The goal.* The largest acceptable gap, from 0 to 1.
        max_information: The most bits of information about the attribute that are acceptable.
        delta: The probability that the certificate may be wrong.
        on_unmet: What happens if a useful code for every row cannot be certified: `"dilute"`
            leaves some rows blank, `"raise"` raises an error that says what is possible.
        strength: The weight of the measure; 1.0 where no goal is set. The paper's gamma is a
            strength of gamma / (1 - gamma).
        criterion: *What is compared.* `"independence"` (demographic parity), `"separation"`
            (equalised odds: groups are compared within each target, or within `bins` bins of a
            target that is a number), or `"equal_opportunity"` (within the target `positive`).
        positive: The value of the target that is the opportunity; None: the last one.
        measure: What the code is charged for in training: one of `bitveil.measures.MEASURES`.
        prior: `"empirical"` or `"uniform"` weights of the groups, where the measure has any. With
            rare groups the first makes every information small, however much the codes leak.
        bins: *The columns.* How many groups a sensitive attribute of numbers is cut into.
        missing_sensitive: `"error"`, or `"group"`: missing values are a group of their own.
        missing_target: `"error"`, or `"unlabelled"`: rows without target count for the attribute
            only.
        training: *The machine.* How the network is trained: a `bitveil.training.Training`. None:
            its defaults. `set_params(training__epochs=20)` sets a part of it.
        n_jobs: How many cores are used, as joblib counts; None: one, -1: all. Folds of posterior
            features and, for a goal, encoders are trained at once. It changes no number.
        key: The secret key of the draws, 16 to 64 bytes. None: a new one, from the operating
            system's randomness, or from `random_state` where that is given. Whoever can guess the
            seed can then guess the draws: to publish, give a key or no seed.
        random_state: The seed of splits, weights and order of rows. The same seed gives the same
            bits on the same machine, whatever its number of cores.

    Attributes:
        certificate_: The certificate, or None where no goal was certified.
        path_: Every encoder that was trained, as a list of `Step`: see `bitveil.plots`.
        history_: The training of the chosen one.
        classes_: The values of the target; a list of them where there are several targets.
        groups_: The values of the sensitive attribute; tuples where there are several columns.
        schema_: How tables, targets and attributes are read: see `bitveil.schema`.
        coder_: From a table to bits: the features, the network `coder_.encoder`, and the secret
            key, which is not shown when it is printed. See `bitveil.coder`.
        decoder_: From bits to answers: see `bitveil.decoders`.
        specimens_: Rows that belong to nobody, for `load` to try: see `bitveil.specimens`.
        rows_: The numbers of the rows for `"fit"`, `"select"` and `"certify"`.
        share_: The probability that a row gets a code. The other rows stay blank.
        used_: Digests of the rows that were used, under a key of their own: see `used_rows`.
        n_outputs_: How many logits and numbers a decoding network has.
        remarks_: What you must know about the fit, in sentences: which columns tell the sensitive
            attribute, whether the columns predict the target at all, how many rows stay blank,
            whether the codes are of use.
        price_: What the codes reach for the first target, beside the posteriors, which see all
            columns: an `audits.Price`. It is measured on the rows to certify, or else to select.
            None without posterior features or target; then an audit measures it.
        group_sizes_: How many rows each of `groups_` has, as a dictionary.
        tries_: How often a goal was tried on these rows, as far as `fit` was told.
        n_features_in_: The number of columns.
        feature_names_in_: Their names, where they have any.

    Source:
        Invariant Representations with Stochastically Quantized Neural Networks (Cerrato, Köppel,
        Esposito, Kramer, 2023), https://arxiv.org/abs/2208.02656

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(400, 3))
        >>> y = (X[:, 0] > 0).astype(int)
        >>> s = np.where(X[:, 1] + rng.normal(size=400) > 0, "a", "b")
        >>> encoder = InvariantEncoder(n_bits=2, training=Training(epochs=2), random_state=0)
        >>> encoder.fit(X, y, sensitive_features=s).transform(X[:2]).shape
        (2, 2)
    """

    _targets: Kind = "auto"

    key = Hidden()

    def __init__(
        self,
        n_bits: int = 4,
        *,
        features: Literal["auto", "posterior", "raw", "both"] = "auto",
        posteriors: Any = None,
        task: TaskName = "auto",
        max_gap: float | None = None,
        max_information: float | None = None,
        delta: float = 0.05,
        on_unmet: Literal["dilute", "raise"] = "dilute",
        strength: float | None = None,
        criterion: Criterion = "independence",
        positive: Any = None,
        measure: str = "total_variation",
        prior: Literal["empirical", "uniform"] = "empirical",
        bins: int = 5,
        missing_sensitive: Literal["error", "group"] = "error",
        missing_target: Literal["error", "unlabelled"] = "error",
        training: Training | None = None,
        n_jobs: int | None = None,
        key: bytes | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_bits = n_bits
        self.features = features
        self.posteriors = posteriors
        self.task = task
        self.max_gap = max_gap
        self.max_information = max_information
        self.delta = delta
        self.on_unmet = on_unmet
        self.strength = strength
        self.criterion = criterion
        self.positive = positive
        self.measure = measure
        self.prior = prior
        self.bins = bins
        self.missing_sensitive = missing_sensitive
        self.missing_target = missing_target
        self.training = training
        self.n_jobs = n_jobs
        self.key = key
        self.random_state = random_state

    def set_params(self, **params: Any) -> Self:
        """Set parameters; `training__epochs` and the like set parts of `training`."""

        if self.training is None and any(name.startswith("training__") for name in params):
            self.training = Training()

        return super().set_params(**params)

    def fit(
        self,
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike | None = None,
        *,
        sensitive_features: ArrayLike,
        sample_weight: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        after: Any = None,
        progress: OnStep | None = None,
    ) -> Self:
        """Fit a code that is useful for y and hides the sensitive attribute.

        Arguments:
            X: The table, with shape (n, columns): a DataFrame, or numbers, also as a sparse
                matrix; or images. The sensitive attribute should not be among its columns.
            y: The target, in one column or several, or None.
            sensitive_features: The attribute, in one column, or several that are taken together;
                or a `bitveil.columns.attribute.Attribute`, which joins rare groups.
            sample_weight: How much each row counts, in every term. A certificate then describes
                the weighted population: the rows for certification are thinned in proportion to
                their weights, and weights above the largest of the other rows count as that one.
            ids: A name for each row, such as a person's number; no two rows may have the same.
                Give names if codes will be drawn by name (see `transform`): then expected counts
                are certified. Without names the codes are counted as they are drawn, which takes
                more rows, since rows of equal content share a draw.
            after: The fitted encoder of the try before, if you try again on the same rows because
                you did not like it; or how many tries there were. Each try takes a smaller part of
                delta: see `bitveil.tries`. None: this is the first.
            progress: Called with what is being done, and 0: see `bitveil.steps`.

        Raises:
            UncertifiableError: If no code meets the goal with these rows, and `on_unmet` asks for
                an error.
            ValueError: If the input is not as described, no clear goal is set, or rows are copies
                of each other.
        """

        settings = self.settings()
        before = before_of(after, settings.delta)
        start = self._start() if settings.training.warm_start else None
        self._forget()
        settings.check_target(y, type(self).__name__)
        with one_thread(), listening(progress):
            fitted = fit_encoder(
                settings,
                X,
                y,
                sensitive_features,
                sample_weight=sample_weight,
                ids=ids,
                start=start,
                before=before,
            )
        self.adopt(fitted)

        return self

    def fit_source(
        self,
        data: Any,
        *,
        target: str | Sequence[str] | None = None,
        sensitive: str | Sequence[str],
        features: Sequence[str] | None = None,
        ids: str | None = None,
        most: int = SAMPLE,
        join_rare: int = 0,
        cut_numbers: bool = False,
        progress: OnStep | None = None,
        after: Any = None,
    ) -> Self:
        """Fit on a sample of data of any size, and certify on all other rows.

        If there are no more rows than the sample takes, this is `fit`. Otherwise about `most` rows
        are drawn at random within each group, to fit and to select on. All others are streamed
        into the certificate. `remarks_` says how many they are. Weights are not known here.

        Arguments:
            data: Files, a folder, a pattern, or a table that can be read several times: see
                `bitveil.sources.open_source`.
            target: The column or the columns of the target; None: none.
            sensitive: The column or the columns of the sensitive attribute.
            features: What the encoder sees; None: all other columns.
            ids: The column that names each row, or None.
            most: About how many rows are fitted and selected on.
            join_rare: Groups of fewer rows are joined into one, if all rows are fitted on; 0:
                none. See `bitveil.columns.attribute`.
            cut_numbers: Whether sensitive numbers of few values are cut into bins, too.
            progress: Called with what is being done, and how many rows of it are done.
            after: The try before, as for `fit`.

        Raises:
            UncertifiableError: If no code meets the goal with these rows, and `on_unmet` asks for
                an error.
            ValueError: If there is no goal to certify but a sample to take, or the input is not as
                described.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> rows = pd.DataFrame(rng.normal(size=(6000, 2)), columns=["a", "b"])
            >>> leaning = rows["b"] + rng.normal(size=6000) > 0
            >>> rows = rows.assign(hired=rows["a"] > 0, sex=np.where(leaning, "f", "m"))
            >>> model = InvariantEncoder(2, max_gap=0.1, random_state=0)
            >>> _ = model.fit_source(rows, target="hired", sensitive="sex", most=2000)
            >>> print(model.remarks_[-1])
            2000 of 6000 rows, drawn at random within each group, were fitted and selected on...
        """

        source = open_source(data)
        roles = replace(
            FitRoles.of(source, sensitive, target, features, ids),
            join_rare=join_rare,
            cut_numbers=cut_numbers,
        )
        settings = self.settings()
        before = before_of(after, settings.delta)
        self._forget()
        with one_thread(), listening(progress):
            self.adopt(
                fit_source(settings, source, roles, most=most, progress=say_step, before=before)
            )

        return self

    def transform(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.uint8]:
        """Frozen bits, with shape (n, m): what may be published.

        The same row gets the same bits however often you ask. `bitveil.codes.pack` packs eight of
        them into a byte. If `share_` is below 1 there is one column more, which is 1 where a row
        is blank. The bits of a blank row are 0 and say nothing.

        Arguments:
            X: The table, with the columns that were fitted.
            ids: A name for each row, text or a whole number, which alone decides the draw. Without
                names the content of a row decides it, so that rows of equal content share a draw:
                see `shared_rows`.

        Without `ids`, a service that answers everybody is not safe: whoever changes a number by a
        billionth gets another draw, and a hundred answers give the probabilities away.

        Raises:
            ValueError: If a column is missing or holds another kind of value than the fitted one.
        """

        table = self._read(X)

        return self.coder_.bits(table, draw_names(table, ids))

    def probabilities(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The probability that each bit is 1, with shape (n, m).

        Do not publish them: they leak more than a draw, and no certificate covers them. Names
        matter only where the network has stochastic layers before the last.
        """

        return expit(self.logits(X, ids=ids))

    def logits(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The logits of `probabilities`, for audits. Do not publish them either."""

        table = self._read(X)

        return self.coder_.logits(table, draw_names(table, ids))

    def thresholded(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.uint8]:
        """The more likely value of each bit, with shape (n, m).

        These are other codes than the drawn ones, and the certificate does not cover them. Audit
        them as published codes: `audit(encoder.thresholded(X), s)`.
        """

        return (self.probabilities(X) >= 0.5).astype(np.uint8)

    def sensitive_groups(self, sensitive_features: ArrayLike) -> NDArray[Any]:
        """The groups of other rows, in the values of `groups_`: numbers are cut as when fitting.

        Raises:
            ValueError: If there are groups that were not fitted.
        """

        check_is_fitted(self, "coder_")

        return self.schema_.grouping.labels("sensitive_features", sensitive_features)

    @property
    def groups_(self) -> NDArray[Any]:
        """The values of the sensitive attribute; tuples where there are several columns."""

        check_is_fitted(self, "coder_")

        return self.schema_.grouping.values

    @property
    def classes_(self) -> Any:
        """The values of the target; a list of them where there are several targets."""

        target = self.schema_.target if "schema_" in vars(self) else None
        if target is None or not target.classes:
            raise AttributeError("There are no `classes_` before a fit with classes as target.")

        return [*target.classes] if len(target.kinds) > 1 else target.classes[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = tags.input_tags.categorical = True
        tags.target_tags.multi_output = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = []

        return tags

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """The names of the published columns: the bits, and a last one if rows may be blank."""

        check_is_fitted(self, "coder_")

        return np.array(self.coder_.columns, dtype=object)

    @property
    def share_(self) -> float:
        """The probability that a row gets a code. The other rows stay blank."""

        check_is_fitted(self, "coder_")

        return self.coder_.share

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the fitted encoder, its secret key included, as a folder for `bitveil.load`.

        For a network of your own the weights are written, but not its code: give it to `load`
        again. Of `posteriors` of your own the fitted models are written, and not the setting. The
        folder also holds some rows that belong to nobody, with the bits that they get: see
        `bitveil.specimens`.

        Raises:
            FileExistsError: If there is something at that place already.

        Warns:
            UserWarning: If the key of the draws follows from a `random_state`. To publish, fit
                without one, or with a `key=secrets.token_bytes(32)`.
        """

        check_is_fitted(self, "coder_")
        if self.random_state is not None and self.coder_.key != self.key:
            warn(
                f"The key of the draws follows from `random_state={quoted(self.random_state)}`: "
                "whoever "
                "guesses that can undo the noise. Before you publish codes, fit without it."
            )
        parts = Parts(manifest(self), tensors(self), self.coder_.features, self.coder_.key)
        save_parts(directory, parts)

    def settings(self) -> Settings:
        """The parameters as settings of a fit: see `bitveil.fitting`, which needs no estimator."""

        given = self.get_params(deep=False)
        given["training"] = Training() if self.training is None else self.training

        settings = Settings(**given, targets=self._targets)
        settings.check()

        return settings

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """The settings, and after a fit what must be known about it."""

        said = "".join(f"\n# {remark}" for remark in vars(self).get("remarks_", ()))

        return super().__repr__(N_CHAR_MAX) + said

    def _start(self) -> Start:
        """The networks and the key of the fit before, where there was one."""

        if not hasattr(self, "coder_"):
            return Start()
        return Start(self.coder_.encoder, self.decoder_.network, self.coder_.key)

    def adopt(self, fitted: Fitted) -> None:
        """Take over what a fit found, or what a saved folder held."""

        for field in fields(fitted):
            setattr(self, f"{field.name}_", getattr(fitted, field.name))
        self.n_features_in_ = fitted.schema.shape[0]
        self.feature_names_in_ = fitted.schema.feature_names

    def _forget(self) -> None:
        """Remove the fit before: a fit that fails leaves no encoder."""

        for name in [name for name in vars(self) if name.endswith("_")]:
            self.__dict__.pop(name)

    def _read(self, X: ArrayLike | pd.DataFrame) -> Table:
        check_is_fitted(self, "coder_")

        return self.schema_.read(X, self.coder_.features)
