"""Wires: a graph of ONNX, written as one writes formulas.

A `Wire` is a tensor of the graph. `(x - mean) / scale` adds two nodes to it. A number beside a
wire becomes a constant of the wire's type, and an array becomes a constant of its own type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["LABELS", "OPERATORS", "Graph", "Wire"]

LABELS = "ai.onnx.ml"
"""The domain of the operators for labels and trees. All others have the domain ""."""

OPERATORS: Mapping[str, int] = {"": 20, LABELS: 5}
"""The version of the operators of each domain. onnxruntime has all of them from 1.21 on."""

_PREFIX = "columns/"  # where the names of these nodes and constants begin

Operand: TypeAlias = "Wire | NDArray[Any] | float | Sequence[float]"


class Graph:
    """Inputs, constants and nodes of a graph that is being written.

    Attributes:
        inputs: The inputs, in the order in which they were added.

    Example:
        >>> graph = Graph()
        >>> x = graph.input("x", np.float64, (2,))
        >>> ((x - [1.0, 2.0]) / 3.0).dtype
        dtype('float64')
        >>> [node.op_type for node in graph.nodes]
        ['Sub', 'Div']
    """

    def __init__(self) -> None:
        self.ir: Any = import_module("onnx_ir")
        self.inputs: list[Any] = []
        self._tape: Any = import_module("onnx_ir.tape").Tape()

    @property
    def nodes(self) -> tuple[Any, ...]:
        """The nodes, each after those whose outputs it reads."""

        return tuple(self._tape.nodes)

    @property
    def constants(self) -> tuple[Any, ...]:
        """The constants that the nodes read."""

        return tuple(self._tape.initializers)

    def input(self, name: str, dtype: Any, shape: Sequence[int]) -> "Wire":
        """A new input for n rows.

        Arguments:
            name: Its name in the file.
            dtype: The type of its numbers; `object` for text.
            shape: The shape of one row.
        """

        ir, form = self.ir, self._form(np.dtype(dtype))
        value = ir.Value(name=name, type=ir.TensorType(form), shape=ir.Shape(["n", *shape]))
        self.inputs.append(value)

        return Wire(self, value, np.dtype(dtype))

    def constant(self, part: Operand, dtype: Any = None) -> "Wire":
        """A part as a wire: see the module.

        Arguments:
            part: A wire, an array or a number.
            dtype: The type of a number.
        """

        if isinstance(part, Wire):
            return part
        array = part if isinstance(part, np.ndarray) else np.asarray(part, dtype=dtype)
        tensor = self.ir.tensor(array, name=f"{_PREFIX}constant{len(self.constants)}")

        return Wire(self, self._tape.initializer(tensor), array.dtype)

    def op(
        self, name: str, first: "Wire", *more: Operand, dtype: Any = None, **attributes: Any
    ) -> "Wire":
        """The output of a new node.

        Arguments:
            name: The operator.
            first: Its first input.
            more: Its other inputs.
            dtype: The type of the output; None: that of the first input.
            attributes: Its attributes; arrays become tensors.
        """

        parts = [first, *(self.constant(part, first.dtype) for part in more)]
        domain = LABELS if name in ("LabelEncoder", "TreeEnsemble") else ""
        tensors = {n: self.ir.tensor(v) for n, v in attributes.items() if type(v) is np.ndarray}
        value = self._tape.op(
            name,
            [part.value for part in parts],
            attributes | tensors,
            domain=domain,
            name=f"{_PREFIX}{name}{len(self.nodes)}",
        )
        value.name = f"{_PREFIX}{len(self.nodes)}"

        return Wire(self, value, first.dtype if dtype is None else np.dtype(dtype))

    def joined(self, wires: Sequence["Wire"]) -> "Wire":
        """The columns of several wires side by side."""

        return self.op("Concat", *wires, axis=1) if len(wires) > 1 else wires[0]

    def _form(self, dtype: np.dtype[Any]) -> Any:
        forms = self.ir.DataType

        return forms.STRING if dtype.kind == "O" else forms.from_numpy(dtype)


@dataclass(frozen=True, eq=False)
class Wire:
    """A tensor of a graph.

    Attributes:
        graph: The graph.
        value: What onnx_ir knows of it.
        dtype: The type of its numbers; `object` for text.
    """

    graph: Graph = field(repr=False)
    value: Any = field(repr=False)
    dtype: np.dtype[Any]

    def __add__(self, other: Operand) -> "Wire":
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Operand) -> "Wire":
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: Operand) -> "Wire":
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Operand) -> "Wire":
        return self.graph.op("Div", self, other)

    def __mod__(self, other: Operand) -> "Wire":
        return self.graph.op("Mod", self, other)

    def __rsub__(self, other: float) -> "Wire":
        return self.graph.constant(other, self.dtype) - self

    def __matmul__(self, other: Operand) -> "Wire":
        return self.graph.op("MatMul", self, other)

    def below(self, other: Operand) -> "Wire":
        """Where the numbers are less than others."""

        return self.graph.op("Less", self, other, dtype=bool)

    def is_missing(self) -> "Wire":
        """Where the numbers are NaN."""

        return self.graph.op("IsNaN", self, dtype=bool)

    def instead(self, condition: "Wire", other: Operand) -> "Wire":
        """Other numbers where a condition holds."""

        chosen = self.graph.constant(other, self.dtype)

        return self.graph.op("Where", condition, chosen, self, dtype=self.dtype)

    def limited(self, low: float, high: float) -> "Wire":
        """The numbers, moved to the nearer end if they lie outside an interval."""

        return self.graph.op("Clip", self, low, high)

    def columns(self, places: Sequence[int] | NDArray[np.int64]) -> "Wire":
        """Some of the columns."""

        return self.graph.op("Gather", self, np.asarray(places, dtype=np.int64), axis=1)

    def cast(self, dtype: Any) -> "Wire":
        """The same numbers as another type."""

        form = self.graph._form(np.dtype(dtype))

        return self.graph.op("Cast", self, dtype=dtype, to=form.value)
