"""Predictions: fitted models of scikit-learn, and their stack, as nodes of a graph.

The nodes compute in double precision. Trees compare with the same thresholds as scikit-learn, so a
row ends in the same leaves. Sums round differently in the last digits.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from bitveil.exports.wires import Wire
from bitveil.posteriors import LEAST, Pool, Posterior

__all__ = ["posterior_wire", "prepared", "scaled"]

_SUM = 1  # the trees are added
_UP_TO = 0  # values up to the threshold of a node go left
_TENSORS = ("nodes_splits", "nodes_modes", "leaf_weights")  # the attributes with a type


def posterior_wire(posterior: Posterior, matrix: Wire) -> Wire:
    """The columns of `Posterior.columns`, for a matrix in double precision.

    Raises:
        ValueError: If one of the models is of another class than ours.
    """

    answers = [_answer_wire(model, matrix) for model in posterior.models]
    joined = _pooled(posterior.pool, answers)
    if posterior.kind == "numbers":
        return joined
    p = joined.columns(range(1, posterior.n_values)).limited(LEAST, 1 - LEAST)

    return matrix.graph.op("Log", p / (1.0 - p))


def _pooled(pool: Pool, answers: Sequence[Wire]) -> Wire:
    """One answer for each row: see `Pool.joined`."""

    graph, classes = answers[0].graph, len(pool.shifts) > 1
    logs = [graph.op("Log", p.limited(LEAST, 1.0)) if classes else p for p in answers]
    total = logs[0] * pool.weights[0] + pool.shifts
    for weight, each in zip(pool.weights[1:], logs[1:], strict=True):
        total = total + each * weight

    return graph.op("Softmax", total, axis=1) if classes else total


# Models


def _answer_wire(model: Any, x: Wire) -> Wire:
    """The probability of every class, with shape (n, K), or the number, with shape (n, 1)."""

    if type(model) is Pipeline:
        return _answer_wire(model[-1], prepared(model[:-1], x))
    if type(model) is LogisticRegression:
        return _as_probabilities(_linear_wire(model, x), len(model.coef_))
    if type(model) is Ridge:
        return _linear_wire(model, x)
    if type(model) is HistGradientBoostingClassifier:
        return _as_probabilities(_forest_wire(model, x), model.n_trees_per_iteration_)
    if type(model) is HistGradientBoostingRegressor and model.loss == "squared_error":
        return _forest_wire(model, x)

    raise _unknown(model)


def _unknown(model: Any) -> ValueError:
    return ValueError(
        f"`to_onnx` cannot write {model!r}, which makes posteriors. It knows LogisticRegression, "
        "Ridge, histogram boosting of classes or with squared error, SimpleImputer and "
        "StandardScaler. Fit with `posteriors=None`, or write the network alone: "
        "`bitveil.exports.to_onnx(model.coder_.encoder, ...)`."
    )


def _as_probabilities(sums: Wire, k: int) -> Wire:
    """The probabilities of the classes, from k sums: one for two classes, or one for each."""

    graph = sums.graph
    if k > 1:
        return graph.op("Softmax", sums, axis=1)
    p = graph.op("Sigmoid", sums)

    return graph.joined([1.0 - p, p])


def _linear_wire(model: Any, x: Wire) -> Wire:
    weights = np.atleast_2d(model.coef_).T.astype(x.dtype)

    return x @ weights + np.atleast_1d(model.intercept_).astype(x.dtype)


def prepared(steps: Pipeline, x: Wire) -> Wire:
    """What the steps of a pipeline make of columns: missing values are filled, columns scaled."""

    for _, step in steps.steps:
        if type(step) is SimpleImputer and _fills_all(step):
            x = _filled_wire(step, x)
        elif type(step) is StandardScaler:
            x = scaled(step, x)
        else:
            raise _unknown(step)

    return x


def _fills_all(step: SimpleImputer) -> bool:
    statistics = np.asarray(step.statistics_, dtype=np.float64)

    return bool(np.isnan(step.missing_values)) and not np.isnan(statistics).any()


def _filled_wire(step: SimpleImputer, x: Wire) -> Wire:
    """The columns without missing values, and others that say where they were."""

    missing = x.is_missing()
    filled = x.instead(missing, step.statistics_.astype(x.dtype))
    if not step.add_indicator or not len(step.indicator_.features_):
        return filled

    return x.graph.joined([filled, missing.columns(step.indicator_.features_).cast(x.dtype)])


def scaled(step: StandardScaler, x: Wire) -> Wire:
    """Columns in units of their spread, from their mean."""

    if step.with_mean:
        x = x - step.mean_.astype(x.dtype)

    return x / step.scale_.astype(x.dtype) if step.with_std else x


# Trees


def _forest_wire(model: Any, x: Wire) -> Wire:
    """The sums of the leaves of each row, with a column for each class or the number."""

    trees = [tree.nodes for iteration in model._predictors for tree in iteration]
    if any(nodes["is_categorical"].any() for nodes in trees):
        raise _unknown(model)
    k = model.n_trees_per_iteration_
    leaves = [int(nodes["is_leaf"].sum()) for nodes in trees]
    inner = [max(1, len(nodes) - n) for nodes, n in zip(trees, leaves, strict=True)]
    roots, firsts = (np.cumsum([0, *sizes[:-1]]) for sizes in (inner, leaves))
    parts = [_tree(*each) for each in zip(trees, roots, firsts, strict=True)]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    sums = x.graph.op(
        "TreeEnsemble",
        x,
        n_targets=k,
        aggregate_function=_SUM,
        tree_roots=roots.tolist(),
        leaf_targetids=np.repeat(np.arange(len(trees)) % k, leaves).tolist(),
        **{name: part if name in _TENSORS else part.tolist() for name, part in joined.items()},
    )

    return sums + np.ravel(model._baseline_prediction).astype(np.float64)


def _tree(nodes: NDArray[Any], n_inner: int, n_leaves: int) -> dict[str, NDArray[Any]]:
    """The attributes of a tree that follows so many inner nodes and so many leaves.

    A tree of one leaf gets a root with this leaf on both sides, because each tree needs a node.
    """

    if len(nodes) == 1:
        root = nodes.copy()
        root[["is_leaf", "left", "right", "feature_idx"]] = (0, 1, 1, 0)
        nodes = np.concatenate([root, nodes])
    leaf = nodes["is_leaf"].astype(bool)
    places = np.where(leaf, n_leaves + leaf.cumsum(), n_inner + (~leaf).cumsum()) - 1
    inner = nodes[~leaf]

    return {
        "nodes_featureids": inner["feature_idx"],
        "nodes_splits": inner["num_threshold"].astype(np.float64),
        "nodes_modes": np.full(len(inner), _UP_TO, dtype=np.uint8),
        "nodes_missing_value_tracks_true": inner["missing_go_to_left"].astype(np.int64),
        "nodes_truenodeids": places[inner["left"]],
        "nodes_trueleafs": leaf[inner["left"]].astype(np.int64),
        "nodes_falsenodeids": places[inner["right"]],
        "nodes_falseleafs": leaf[inner["right"]].astype(np.int64),
        "leaf_weights": nodes["value"][leaf].astype(np.float64),
    }
