"""Shapes: the letters of the library, and the tensor types that use them.

There are `n` rows, `m` bits, `c = 2**m` codes and `k` groups, which are the values of a sensitive
attribute, of a target, or of both together. Only the tests check these annotations.
"""

from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "Bits",
    "Counts",
    "Groups",
    "Indices",
    "Likelihoods",
    "Logits",
    "NeuronTables",
    "Scalar",
    "Weights",
]

Logits = Float[Tensor, "n m"]
"""The logit of the probability that each bit of each row is 1."""

Bits = Float[Tensor, "n m"]
"""Drawn bits, 0.0 or 1.0."""

Groups = Int[Tensor, "n"]
"""The group of each row, from 0 to k - 1."""

Indices = Int[Tensor, "n"]
"""The number of each row's code, from 0 to c - 1; the first bit is the most significant."""

Likelihoods = Float[Tensor, "n c"]
"""The probability of every code, given each row."""

Counts = Float[Tensor, "*batch k c"]
"""Expected or observed counts: how many rows of each group have each code."""

NeuronTables = Float[Tensor, "m k 2"]
"""One table of two columns for each bit."""

Weights = Float[Tensor, "n"]
"""The weight of each row."""

Scalar = Float[Tensor, ""]
"""One number that keeps its gradient."""
