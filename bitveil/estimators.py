"""Estimators: an encoder, and a classifier that sees its codes only, as scikit-learn has them."""

import inspect
import os
import re
import secrets
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from bitveil.audits.certificates import Certificate
from bitveil.codes import code_index
from bitveil.features import Features, Kind, Table, check_table
from bitveil.labels import number_labels, split_rows
from bitveil.layers import table_encoder
from bitveil.objectives import MEASURES, Weighted, task_information
from bitveil.release import Parts, check_key, freeze, load_parts, row_digests, save_parts
from bitveil.tables import observed_table
from bitveil.training import Rows
from bitveil.wishes import Candidate, Step, Trainer, certified, room, table_over_targets

__all__ = ["InvariantClassifier", "InvariantEncoder", "load"]

SPLIT = (0.5, 0.2, 0.3)
"""The shares of rows to fit, to select, and, where a gap is wished for, to certify."""

MAX_GROUPS = 50
"""More values of a sensitive attribute or a target than this look like numbers, not groups."""

_SHARED = 0.01  # with more rows than this sharing their content, drawn codes are certified


class InvariantEncoder(TransformerMixin, BaseEstimator):
    """A code of a few bits a row, useful for a target, that tells little of an attribute.

    The wish is said in one of three ways. `max_gap=0.10` holds rows back and fits a code whose
    parity gap, whatever classifier sees it, is certified to be at most 0.10 with probability
    1 - delta over those rows, or raises an error that says what would be possible. `strength=1.0`
    charges the measure at that weight, `gamma=0.5` in the form of the paper; neither certifies.

    `transform` gives frozen draws: the same row has the same bits every time.

    Arguments:
        n_bits: The number of bits.
        max_gap: The largest parity gap that can be lived with, from 0 to 1.
        delta: The probability that the certificate may be wrong.
        strength: The weight of the measure; 1.0 where no wish is given.
        gamma: The paper's weight: `(1 - gamma) * task + gamma * measure`.
        measure: What the code is charged for: one of `bitveil.objectives.MEASURES`. A gap can
            only be certified with `"total_variation"`.
        features: `"posterior"` (log-odds of boosted trees for target and attribute), `"raw"`
            columns, or `"both"`. For other targets than this one, raw columns keep more.
        hidden: The widths of the hidden layers.
        epochs: The most passes over the rows; None: 80, or more where so few rows make fewer than
            160 steps of them.
        batch_size: The most rows of a batch. Small batches make every code look leaky.
        learning_rate: The highest learning rate of the one-cycle schedule.
        patience: The epochs to wait for a better one; None: all.
        device: `"cpu"`, `"cuda"`, or another accelerator's name.
        key: The secret key of the draws, 16 to 64 bytes. None: a fresh one, from the operating
            system's randomness without a `random_state`, and from that with one. Who can guess
            the seed can then guess the draws: for publishing give a key or no seed.
        random_state: The seed of splits, weights and order of rows.
        verbose: 1 shows the progress.

    Attributes:
        certificate_: The certificate, or None where no gap was wished for.
        path_: Every encoder that was trained, as a list of `Step`.
        history_: The training of the chosen one.
        classes_: The values of the target.
        groups_: The values of the sensitive attribute; tuples where there are several columns.
        features_: The fitted preparation of the table.
        encoder_: The network from features to logits.
        key_: The secret key.
        rows_: The numbers of the rows for `"fit"`, `"select"` and `"certify"`.
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

    def __init__(
        self,
        n_bits: int = 6,
        *,
        max_gap: float | None = None,
        delta: float = 0.05,
        strength: float | None = None,
        gamma: float | None = None,
        measure: str = "total_variation",
        features: Kind = "posterior",
        hidden: Sequence[int] = (64, 64),
        epochs: int | None = None,
        batch_size: int = 8192,
        learning_rate: float = 0.01,
        patience: int | None = None,
        device: str = "cpu",
        key: bytes | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_bits = n_bits
        self.max_gap = max_gap
        self.delta = delta
        self.strength = strength
        self.gamma = gamma
        self.measure = measure
        self.features = features
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.device = device
        self.key = key
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike,
        *,
        sensitive_features: ArrayLike,
        ids: ArrayLike | None = None,
    ) -> Self:
        """Fit a code of the rows that is useful for y and tells little of the attribute.

        Arguments:
            X: The table, with shape (n, columns): a DataFrame, or numbers. The sensitive attribute
                should not be among its columns.
            y: The target: one of a few values for each row.
            sensitive_features: The attribute, in one column, or several that are taken together.
            ids: A name for each row, if codes will be drawn by name: see `transform`.

        Raises:
            UncertifiableError: If no code meets `max_gap` with the rows that are there.
            ValueError: If the input is not as described, or no clear wish is given.
        """

        self._check_settings()
        self._forget()
        table = check_table(X)
        y_labels = number_labels("y", y, len(table), most=MAX_GROUPS)
        s_labels = number_labels(
            "sensitive_features", sensitive_features, len(table), most=MAX_GROUPS
        )
        self.classes_, self.groups_ = y_labels.values, s_labels.values
        self.n_features_in_, self.feature_names_in_ = table.shape[1], _names(table)
        self.target_name_, self.sensitive_names_ = _name(y), _names(sensitive_features)
        rng = _generator(self.random_state)

        self.rows_ = self._split(s_labels.numbers, rng)
        seed = int(rng.randint(2**31))
        drawn = secrets.token_bytes(32) if self.random_state is None else rng.bytes(32)
        self.key_ = drawn if self.key is None else self.key
        parts = self._parts(table, y_labels.numbers, s_labels.numbers, seed)
        named = row_digests(table if ids is None else _column(ids, len(table)))
        chosen = self._chosen(named, parts, seed)
        self.encoder_, self.history_ = chosen.encoder, chosen.history
        counts = [table_over_targets(self.encoder_, parts[name]) for name in ("fit", "select")]
        self.class_table_ = torch.stack(counts).sum((0, 2))

        return self

    def transform(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.uint8]:
        """Frozen bits, with shape (n, m): what may be published.

        The same row has the same bits however often one asks. `bitveil.codes.pack` makes eight of
        them a byte.

        Arguments:
            X: The table, with the columns that were fitted.
            ids: A name for each row; it alone then decides the draw. Without one the content of
                the row does, so that rows of equal content share a draw: see `shared_rows`.
        """

        return self._bits(X, ids)

    def probabilities(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.float64]:
        """The probability that each bit is 1, with shape (n, m).

        Not for publishing: they tell more than a draw, and no certificate covers them.
        """

        return expit(self.logits(X))

    def logits(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.float64]:
        """The logits of `probabilities`, for audits. Not for publishing either."""

        return self._logits(self._conform(X))

    def thresholded(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.uint8]:
        """The more likely value of each bit, with shape (n, m).

        These are other codes than the drawn ones, and the certificate does not cover them. Audit
        them as what they are: `audit(None, s, bits=encoder.thresholded(X))`.
        """

        return (self.probabilities(X) >= 0.5).astype(np.uint8)

    def shared_rows(self, X: ArrayLike | pd.DataFrame) -> int:
        """How many rows have the same content as another, and without an id share its draw."""

        return _shared(row_digests(self._conform(X)))

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return str(super().__repr__(N_CHAR_MAX)).replace(repr(self.key), "'secret'")

    def _get_params_html(self, *args: Any, **rest: Any) -> Any:
        """The settings for a notebook, without the key."""

        shown = super()._get_params_html(*args, **rest)
        if self.key is not None:
            shown["key"] = "secret"

        return shown

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """The names of the bits."""

        return np.array([f"bit{j}" for j in range(self.n_bits)], dtype=object)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the fitted encoder, its secret key included, as a folder for `bitveil.load`."""

        check_is_fitted(self, "encoder_")
        manifest = {
            "class": type(self).__name__,
            "params": {**self.get_params(), "key": None, "random_state": None},
            "n_features_in": self.n_features_in_,
            "n_inputs": self.encoder_[0].in_features,
            "feature_names_in": self.feature_names_in_,
            "target_name": self.target_name_,
            "sensitive_names": self.sensitive_names_,
            "classes": self.classes_.tolist(),
            "groups": self.groups_.tolist(),
            "certificate": self.certificate_ and asdict(self.certificate_),
            "path": [asdict(step) for step in self.path_],
        }
        weights = {"class_table": self.class_table_, **self.encoder_.state_dict()}
        save_parts(directory, Parts(manifest, weights, self.features_, self.key_))

    def _forget(self) -> None:
        """A fit that fails leaves no encoder, and no half of one."""

        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)

    def _check_settings(self) -> None:
        for name in ("n_bits", "epochs", "batch_size"):
            value = getattr(self, name)
            if name == "epochs" and value is None:
                continue
            if not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"`{name}` expects a whole number from 1 on, got {value!r}.")
        if self.key is not None:
            check_key(self.key)
        if not 0 < self.delta < 1:
            raise ValueError(f"`delta` expects a probability between 0 and 1, got {self.delta}.")
        self._check_wish()

    def _check_wish(self) -> None:
        wishes = {"max_gap": self.max_gap, "strength": self.strength, "gamma": self.gamma}
        given = [name for name, value in wishes.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"Say one wish, not several: got {' and '.join(given)}.")
        if self.measure not in MEASURES:
            raise ValueError(f"`measure` expects one of {list(MEASURES)}, got {self.measure!r}.")
        if self.strength is not None and not 0 <= self.strength < np.inf:
            raise ValueError(f"`strength` expects a number from 0 on, got {self.strength}.")
        if self.max_gap is None:
            return
        if not 0 < self.max_gap <= 1:
            raise ValueError(f"`max_gap` expects a number from 0 to 1, got {self.max_gap}.")
        if self.measure != "total_variation":
            raise ValueError(
                "`max_gap` is certified through the total variation, got "
                f"`measure={self.measure!r}`. Leave `measure` out, or use `strength`."
            )

    def _split(
        self, s: NDArray[np.int64], rng: np.random.RandomState
    ) -> dict[str, NDArray[np.int64]]:
        """The numbers of the rows for each use."""

        names = ("fit", "select") if self.max_gap is None else ("fit", "select", "certify")
        shares = tuple(share / sum(SPLIT[: len(names)]) for share in SPLIT[: len(names)])
        rows = dict(zip(names, split_rows(s, shares, rng), strict=True))
        for name, chosen in rows.items():
            counts = np.bincount(s[chosen], minlength=len(self.groups_))
            if not counts.all():
                missing = [self.groups_[g] for g in np.flatnonzero(counts == 0)]
                raise ValueError(
                    f"`sensitive_features`: too few rows of {missing} to have some of them in the "
                    f"rows to {name}. Join rare groups, or bring more of their rows."
                )
        if self.max_gap is not None:  # refuse what cannot be met before anything is trained
            room(self.max_gap, np.bincount(s[rows["certify"]]).tolist(), self.delta)

        return rows

    def _weighted(self) -> Weighted:
        measure = MEASURES[self.measure]
        if self.gamma is not None:
            return Weighted.gamma(task_information, measure, self.gamma)

        return Weighted(
            task_information, measure, strength=1.0 if self.strength is None else self.strength
        )

    def _parts(
        self, table: Table, y: NDArray[np.int64], s: NDArray[np.int64], seed: int
    ) -> dict[str, Rows]:
        """Fit the features, and encode the rows of each use; those to fit on out of fold."""

        self.features_ = Features(self.features, random_state=seed)
        parts = {}
        for name, chosen in self.rows_.items():
            some = _take(table, chosen)
            x = (
                self.features_.fit_transform(some, y[chosen], s[chosen])
                if name == "fit"
                else self.features_.transform(some)
            )
            parts[name] = Rows(
                torch.from_numpy(x),
                torch.from_numpy(y[chosen]),
                torch.from_numpy(s[chosen]),
                n_classes=len(self.classes_),
                n_groups=len(self.groups_),
            )

        return parts

    def _chosen(self, named: NDArray[np.uint8], parts: dict[str, Rows], seed: int) -> Candidate:
        """Train for the wish; sets the certificate and the path."""

        trainer = Trainer(
            self.n_bits,
            self.hidden,
            _epochs(self.epochs, len(parts["fit"]), self.batch_size),
            self.batch_size,
            self.learning_rate,
            self.patience,
            self.device,
            seed,
            self.verbose,
        )
        if self.max_gap is None:
            chosen = trainer(self._weighted(), parts["fit"], parts["select"])
            self.certificate_, self.path_ = None, [chosen.step]
            return chosen

        # Whether rows share draws must not be read off the rows for certification.
        others = np.concatenate([self.rows_["fit"], self.rows_["select"]])
        shared = _shared(named[others])
        draws = "hard" if shared > _SHARED * len(others) else "soft"
        chosen, self.certificate_, self.path_ = certified(
            trainer,
            MEASURES[self.measure],
            parts["fit"],
            parts["select"],
            lambda encoder: self._held_out_table(encoder, parts["certify"], named, draws),
            max_gap=self.max_gap,
            delta=self.delta,
            sizes=torch.bincount(parts["certify"].s).tolist(),
            draws=draws,
        )

        return chosen

    def _held_out_table(
        self, encoder: nn.Module, rows: Rows, named: NDArray[np.uint8], draws: str
    ) -> Tensor:
        """The counts over (group, code) of the rows for certification."""

        if draws == "soft":
            return table_over_targets(encoder, rows).sum(0)
        with torch.no_grad():
            theta = encoder(rows.x.double()).sigmoid().numpy()
        bits = freeze(theta, named[self.rows_["certify"]], self.key_)
        numbers = code_index(torch.from_numpy(bits))

        return observed_table(numbers, rows.s, rows.n_groups, 2**self.n_bits).double()

    def _conform(self, X: ArrayLike | pd.DataFrame) -> Table:
        """The rows as a table with the columns that were fitted, in their order."""

        check_is_fitted(self, "encoder_")
        table = check_table(X)
        names = self.feature_names_in_
        if names is not None and isinstance(table, pd.DataFrame):
            missing = [name for name in names if name not in table]
            unknown = [name for name in table if name not in names]
            if missing or unknown:
                raise ValueError(
                    "Expected the columns that the encoder was fitted on; missing are "
                    f"{missing}, unknown are {unknown}."
                )
            if unseen := self.features_.unseen(table):
                _warn(f"Values that were not fitted count as none of the known ones: {unseen}.")
            return table[names]
        if (names is None) == isinstance(table, pd.DataFrame):
            raise ValueError(
                "Expected a table of the kind that the encoder was fitted on, "
                f"{'numbers' if names is None else 'a DataFrame'}, got {type(X).__name__}."
            )
        if table.shape[1] != self.n_features_in_:
            raise ValueError(
                f"Expected {self.n_features_in_} columns, as fitted, got {table.shape[1]}."
            )

        return table

    def _bits(self, X: ArrayLike | pd.DataFrame, ids: ArrayLike | None) -> NDArray[np.uint8]:
        table = self._conform(X)
        named = row_digests(table if ids is None else _column(ids, len(table)))

        return freeze(expit(self._logits(table)), named, self.key_)

    def _logits(self, table: Table) -> NDArray[np.float64]:
        if not len(table):
            return np.zeros((0, self.n_bits))
        features = torch.from_numpy(self.features_.transform(table)).double()
        with torch.no_grad():
            return self.encoder_(features).numpy()


class InvariantClassifier(ClassifierMixin, InvariantEncoder):
    """An `InvariantEncoder` with the best classifier of its codes.

    The classifier is the table: the codes' counts over the target in the rows for fitting and for
    selecting. It sees the published bits and nothing else, so the certificate covers its answers.

    Arguments:
        See `InvariantEncoder`.

    Attributes:
        class_table_: The expected counts over (target, code), with shape (classes, 2^m).

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

    def predict_proba(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The probability of each class given the published bits, with shape (n, classes)."""

        return self.decode(self._bits(X, ids))

    def decode(self, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The probability of each class for published bits, with shape (n, classes).

        All that someone needs to use the codes for this target: no row, no key, no encoder.
        """

        check_is_fitted(self, "encoder_")
        codes = code_index(torch.from_numpy(bits))
        prior = self.class_table_.sum(1, keepdim=True) / self.class_table_.sum()
        counts = (self.class_table_ + prior)[:, codes]

        return (counts / counts.sum(0)).T.numpy()

    def predict(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[Any]:
        """The most probable class given the published bits, with shape (n,)."""

        answers = self.predict_proba(X, ids=ids).argmax(1)

        return self.classes_[answers]


def load(directory: str | os.PathLike[str]) -> InvariantEncoder:
    """Load an encoder that `save` wrote; it gives the same bits. Nothing is executed.

    Raises:
        FileNotFoundError: If it is no folder of an encoder.
        ValueError: If a file was changed, or another version wrote it.
    """

    parts = load_parts(directory)
    manifest = parts.manifest
    classes = {"InvariantEncoder": InvariantEncoder, "InvariantClassifier": InvariantClassifier}
    model = classes[manifest["class"]](**manifest["params"])
    model.n_features_in_ = manifest["n_features_in"]
    model.feature_names_in_ = manifest["feature_names_in"]
    model.target_name_ = manifest["target_name"]
    model.sensitive_names_ = manifest["sensitive_names"]
    model.classes_ = _values(manifest["classes"])
    model.groups_ = _values(manifest["groups"])
    certificate = manifest["certificate"]
    if certificate is not None:
        certificate["sizes"] = tuple(certificate["sizes"])
    model.certificate_ = None if certificate is None else Certificate(**certificate)
    model.path_ = [Step(**step) for step in manifest["path"]]
    model.features_, model.key_ = parts.features, parts.key
    model.class_table_ = parts.weights.pop("class_table")
    model.encoder_ = table_encoder(
        manifest["n_inputs"], model.n_bits, model.hidden, generator=torch.Generator()
    ).double()
    model.encoder_.load_state_dict(parts.weights)

    return model


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


def _warn(message: str) -> None:
    """Warn at the line that called the estimator, however many wrappers lie between."""

    frame, level = inspect.currentframe(), 1
    while frame is not None and re.match(r"(bitveil|sklearn)\b", frame.f_globals["__name__"]):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def _name(column: Any) -> Any:
    return column.name if isinstance(column, pd.Series) else None


def _names(table: Any) -> list[Any] | None:
    if isinstance(table, pd.Series):
        return [table.name]
    return list(table.columns) if isinstance(table, pd.DataFrame) else None


def _take(table: Table, rows: NDArray[np.int64]) -> Table:
    return table.iloc[rows] if isinstance(table, pd.DataFrame) else table[rows]


def _column(ids: ArrayLike, n: int) -> pd.DataFrame:
    """The ids of rows as a table of one column."""

    if np.ndim(ids) != 1:
        raise ValueError(f"`ids` expects one name a row, got {np.ndim(ids)} dimensions.")
    column = pd.Series(ids).reset_index(drop=True)
    if len(column) != n or column.isna().any():
        raise ValueError(
            f"`ids` expects a name for each of the {n} rows, got {len(column)} values, "
            f"{int(column.isna().sum())} of them missing."
        )

    return column.to_frame()


def _values(values: list[Any]) -> NDArray[Any]:
    """Labels as they were before JSON, which makes lists of tuples and knows no dates."""

    if not isinstance(values[0], str | list | dict):
        return np.array(values)
    array = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        parts = [
            datetime.fromisoformat(part["datetime"]) if isinstance(part, dict) else part
            for part in (value if isinstance(value, list) else [value])
        ]
        array[number] = tuple(parts) if isinstance(value, list) else parts[0]

    return array
