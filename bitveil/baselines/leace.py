"""Linear erasure: nothing linear is left of the groups, and as much as can be of the rest."""

__all__ = ["LinearErasure"]

import warnings
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.inputs import check_columns, check_table, one_hot


@dataclass(eq=False, kw_only=True)
class LinearErasure:
    """LEACE: the smallest change of the features after which no linear probe finds the groups.

    The eraser is that of the package `concept-erasure`, by EleutherAI, which one of the paper's
    authors wrote, with its defaults; groups are given to it as one column each. Nothing but the
    checks is ours. It promises nothing of what is not linear.

    Source:
        LEACE: Perfect Linear Concept Erasure in Closed Form (Belrose, Schneider-Joseph, Ravfogel,
        Cotterell, Raff, Biderman, 2023), https://arxiv.org/abs/2306.03819

    Arguments:
        random_state: Not used, it is a closed form; taken so that all are called alike.

    Example:
        >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> erased = LinearErasure().fit(X, [0, 1, 0, 1], sensitive_features=[0, 0, 1, 1])
        >>> erased.transform(X).round(2)[:, 0]  # the column that is the group
        array([0.5, 0.5, 0.5, 0.5])
    """

    random_state: int | np.random.RandomState | None = None
    _width: int | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Find the eraser.

        Arguments:
            X: The features, with shape (n, d).
            y: The target, with shape (n,): checked, and not used.
            sensitive_features: The groups, with shape (n,).

        Raises:
            ImportError: If concept-erasure is not installed.
            ValueError: If the input is not as described.
        """

        table = check_table(X, y, sensitive_features=sensitive_features)
        groups = one_hot(table.s, len(table.groups))
        self.eraser_ = _eraser(torch.from_numpy(table.X), torch.from_numpy(groups))
        self._width = table.X.shape[1]

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The features without the groups, with shape (n, d)."""

        features = check_columns(X, self._width)

        return np.asarray(self.eraser_(torch.from_numpy(features)).numpy())


def _eraser(x: torch.Tensor, groups: torch.Tensor) -> Any:
    try:
        with warnings.catch_warnings():
            # It compiles functions with torch.jit.script, which torch says is deprecated.
            warnings.simplefilter("ignore")
            from concept_erasure import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
                LeaceEraser,
            )
    except ImportError as missing:
        raise ImportError(
            "`LinearErasure` needs concept-erasure: `pip install concept-erasure`."
        ) from missing

    return LeaceEraser.fit(x, groups)
