"""The letters of the library, and the tensor types named after them.

`n` rows, `m` bits, `c = 2**m` codes, `k` groups: the values of a sensitive attribute, of a
target, or of pairs of them. The annotations are checked in the tests only.
"""

from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "Bits",
    "Groups",
    "Indices",
    "Likelihoods",
    "Logits",
    "NeuronTables",
    "Scalar",
    "Table",
    "Weights",
]

Logits = Float[Tensor, "n m"]
"""The logits of the probabilities that each bit of each row is 1."""

Bits = Float[Tensor, "n m"]
"""Drawn bits, as 0.0 and 1.0."""

Groups = Int[Tensor, "n"]
"""The group of each row, from 0 to k - 1."""

Indices = Int[Tensor, "n"]
"""The number of each row's code, from 0 to c - 1; the first bit is the most significant."""

Likelihoods = Float[Tensor, "n c"]
"""The probability of every code, given each row."""

Table = Float[Tensor, "*batch k c"]
"""Counts, expected or observed: how often each group meets each code."""

NeuronTables = Float[Tensor, "m k 2"]
"""One table of two columns for each bit."""

Weights = Float[Tensor, "n"]
"""How much each row counts."""

Scalar = Float[Tensor, ""]
"""One number that keeps its gradient."""
