"""Whole: a fitted encoder as one ONNX file, from the columns of a table to bits."""

import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from bitveil.coder import Coder, draw_names
from bitveil.columns.table import Table
from bitveil.exports.columns import ColumnInput, column_inputs, matrix_wire
from bitveil.exports.network import check_packages, network_program, try_file
from bitveil.exports.predictions import posterior_wire, prepared, scaled
from bitveil.exports.wires import OPERATORS, Graph, Wire
from bitveil.features import Features
from bitveil.layers import stochastic_layers
from bitveil.schema import Schema
from bitveil.staging import staged

__all__ = ["ExportMixin"]

_APART = 1e-6
_ARRAY = "X"
_TAKEN = ("", "uniforms", "probabilities", "bits")
_INSIDE = ("columns/", "network/")  # where the names of values inside a file begin


class ExportMixin:
    """What lets other programs make the codes of a fitted encoder."""

    schema_: Schema
    coder_: Coder
    specimens_: Table

    def to_onnx(self, path: str | os.PathLike[str], *, draws: bool = True) -> None:
        """Write the fitted encoder as one ONNX file, from the columns of a table to bits.

        The file has an input for each column that the encoder uses, with its name and shape (n,
        1): text, or numbers in double precision. The description of the file says what each holds.
        An encoder of an array or of images has one input, `X`. A last input, `uniforms`, takes the
        numbers of `uniforms`, with shape (n, m), or (n, m + 1) if rows may be blank.

        The outputs are `probabilities`, with shape (n, m), in double precision, and `bits`, which
        are the bits of `transform`. If rows may be blank, `bits` has the same last column, and the
        bits of blank rows are 0.

        The probabilities are those of `probabilities` up to 1e-6. Sums round differently in the
        last digits, so a row could get another code if it lies that close to the border between
        two cells. Before the file appears, onnxruntime runs it on rows that belong to nobody, and
        the two are compared.

        Arguments:
            path: The path of the file. An existing file is replaced.
            draws: Whether there are `uniforms` and `bits`. Never publish probabilities.

        Raises:
            ImportError: If onnx, onnxruntime or onnxscript is not installed, or torch is too old.
            ValueError: If a column or a model has no form in ONNX, the encoder has stochastic
                layers before the last, or onnxruntime cannot run the file.
        """

        check_is_fitted(self, "coder_")
        coder, schema = self.coder_, self.schema_
        if stochastic_layers(coder.encoder):
            raise ValueError(
                "`to_onnx` cannot write an encoder with stochastic layers before the last: its "
                "probabilities depend on draws. Leave those layers out."
            )
        check_packages()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # specimens belong to nobody and need no cautions
            rows = schema.read(self.specimens_, coder.features)
            names = draw_names(rows, None)
            expected = expit(coder.logits(rows, names))
            program, fed = _whole_program(coder, schema, rows, draws=draws)
        if draws:
            fed["uniforms"] = coder.uniforms(names)

        with staged(path, overwrite=True) as file:
            program.save(file)
            try_file(file, fed, expected, _APART)

    def uniforms(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The uniform numbers of rows: what the input `uniforms` of an ONNX file takes.

        There is one number for each bit, and a last one for the coin if rows may be blank. **They
        are as secret as the key**: a bit and its number together show on which side of that number
        the probability lies.

        Arguments:
            X: The table, with the columns that were fitted.
            ids: The names of the rows, if their codes are drawn by name: see `transform`.

        Returns:
            Numbers from 0 to below 1, with shape (n, m) or (n, m + 1).
        """

        check_is_fitted(self, "coder_")
        table = self.schema_.read(X, self.coder_.features)

        return self.coder_.uniforms(draw_names(table, ids))


def _whole_program(
    coder: Coder, schema: Schema, rows: Table, *, draws: bool
) -> tuple[Any, dict[str, NDArray[Any]]]:
    """The program, and what the inputs for the columns get for some rows."""

    graph = Graph()
    inputs = _inputs(coder.features, schema)
    features = _features_wire(graph, inputs, coder.features, schema, rows)
    before = len(graph.nodes)
    example = torch.from_numpy(coder.features.transform(rows)).double()
    program = network_program(coder.encoder, example)
    network = program.model.graph
    _rename(network)
    outputs = [Wire(graph, network.outputs[0], np.dtype(np.float64))]
    if draws:
        outputs.append(_bits(outputs[0], coder))
    network.insert_before(network[0], graph.nodes[:before])
    network.extend(graph.nodes[before:])
    graph.ir.convenience.replace_all_uses_with(network.inputs[0], features.value)
    network.inputs[:] = graph.inputs
    network.outputs[:] = [wire.value for wire in outputs]
    for constant in graph.constants:
        network.register_initializer(constant)
    network.opset_imports.update(OPERATORS)
    program.model.metadata_props.update({one.label: one.holds for one in inputs or ()})

    return program, _fed(inputs, rows)


def _rename(network: Any) -> None:
    """Give the values inside a network names that no column has."""

    inside = [value for node in network for value in node.outputs if not value.is_graph_output()]
    for value in [*network.initializers.values(), *inside]:
        value.name = f"network/{value.name}"


# From the columns to features


def _inputs(features: Features, schema: Schema) -> list[ColumnInput] | None:
    """The columns that the features use; None for an array."""

    if schema.kinds is None:
        return None
    inputs = column_inputs(features, schema.kinds)
    taken = [one.name for one in inputs if one.label in _TAKEN or one.label.startswith(_INSIDE)]
    if taken:
        raise ValueError(
            f"`to_onnx` cannot use the names of the columns {taken}: names are not empty, begin "
            f"with none of {list(_INSIDE)}, and are none of {list(_TAKEN[1:])}, which the file "
            "needs itself. Rename the columns before the fit."
        )

    return inputs


def _fed(inputs: list[ColumnInput] | None, rows: Table) -> dict[str, NDArray[Any]]:
    if inputs is None or not isinstance(rows, pd.DataFrame):
        return {_ARRAY: np.asarray(rows, dtype=np.float64)}

    return {one.label: one.fed(rows[one.name]) for one in inputs}


def _features_wire(
    graph: Graph,
    inputs: list[ColumnInput] | None,
    features: Features,
    schema: Schema,
    rows: Table,
) -> Wire:
    """The features that the network takes: see `Features.transform`."""

    if inputs is not None and schema.kinds is not None and isinstance(rows, pd.DataFrame):
        matrix = matrix_wire(graph, inputs, features, schema.kinds, rows)
    else:
        matrix = graph.input(_ARRAY, np.float64, schema.shape)
    if features.image_ is not None:
        mean, spread = features.image_
        made = (matrix - np.asarray(mean, np.float64)) / np.asarray(spread, np.float64)
    else:
        width = features.matrix(rows).shape[1]
        columns = graph.joined([*_feature_columns(features, matrix, width)])
        made = scaled(features.scaler_, columns)

    return made.cast(np.float32).cast(np.float64)


def _feature_columns(features: Features, matrix: Wire, width: int) -> Iterator[Wire]:
    """The posterior columns and the raw ones, of one type."""

    if features.posteriors_:
        filled = _without_gaps(features, matrix.cast(np.float64), width)
        yield from (posterior_wire(model, filled) for model in features.posteriors_)
    if features.raw_ is not None:
        raw = prepared(features.raw_, matrix)
        yield raw.cast(np.float64) if features.posteriors_ else raw


def _without_gaps(features: Features, matrix: Wire, width: int) -> Wire:
    """The matrix with 0 for the missing values of columns that have hardly any values."""

    if not len(features.sparse_):
        return matrix
    sparse = np.isin(np.arange(width), features.sparse_)
    missing = matrix.graph.op("And", matrix.is_missing(), sparse)

    return matrix.instead(missing, 0.0)


# From probabilities to bits


def _bits(probabilities: Wire, coder: Coder) -> Wire:
    """The bits, and where rows may be blank the column that says so."""

    graph, m = probabilities.graph, coder.n_bits
    dilutes = coder.share < 1
    uniforms = graph.input("uniforms", np.float64, (m + dilutes,))
    if dilutes:
        ones = uniforms.columns(range(m)).below(probabilities)
        shown = uniforms.columns([m]).below(coder.share)
        bits = graph.joined([graph.op("And", ones, shown), graph.op("Not", shown)])
    else:
        bits = uniforms.below(probabilities)
    bits = bits.cast(np.uint8)
    bits.value.name, bits.value.shape = "bits", graph.ir.Shape(["n", m + dilutes])
    bits.value.dtype = graph.ir.DataType.UINT8

    return bits
