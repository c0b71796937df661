"""Decoders: from published bits to answers for the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bitveil.batches import Batch
from bitveil.codes import code_index
from bitveil.columns.targets import Target
from bitveil.tables import moment_table

__all__ = ["Decoder", "target_tables"]


@dataclass(frozen=True)
class Decoder:
    """The best answers to published bits: from a network, or from tables of the fitted rows.

    Attributes:
        target: What was learned about the target.
        n_bits: The number of bits of a code.
        network: A network from bits to the logits of the classes and then the numbers, or None.
        tables: Where there is no network: see `target_tables`.
    """

    target: Target
    n_bits: int
    network: nn.Module | None
    tables: dict[str, Tensor]

    def probabilities(self, bits: Any) -> list[NDArray[np.float64]]:
        """The probability of each class of each target, with shapes (n, classes).

        Raises:
            ValueError: If the bits are not as `transform` gives them.
        """

        bits = self._checked(bits)
        if self.network is not None:
            parts = self._outputs(self.network, bits).split(list(self.target.n_labels), -1)
            return [part.softmax(-1).numpy() for part in parts]
        codes = code_index(torch.from_numpy(bits))

        return [_shares(self.tables[f"target{j}"], codes) for j in range(len(self.target.classes))]

    def means(self, bits: Any) -> NDArray[np.float64]:
        """The mean of each target that is a number, with shape (n, targets).

        Raises:
            ValueError: If the bits are not as `transform` gives them.
        """

        bits = self._checked(bits)
        if self.network is not None:
            standard = self._outputs(self.network, bits).numpy()
        else:
            counted, sums = self.tables["counts"], self.tables["sums"]
            mean = sums.sum(1, keepdim=True) / counted.sum(1, keepdim=True)
            codes = code_index(torch.from_numpy(bits))
            standard = ((sums + mean) / (counted + 1))[:, codes].T.numpy()

        return standard * np.array(self.target.scales) + np.array(self.target.means)

    @torch.no_grad()
    def _outputs(self, network: nn.Module, bits: NDArray[np.uint8]) -> Tensor:
        return network(torch.from_numpy(bits).double())

    def _checked(self, bits: Any) -> NDArray[np.uint8]:
        bits, m = np.asarray(bits), self.n_bits
        if bits.ndim != 2 or bits.shape[1] != m or not np.isin(bits, (0, 1)).all():
            raise ValueError(
                f"`bits` expects zeros and ones of shape (n, {m}), as `transform` gives them, "
                f"got {bits.dtype} of shape {bits.shape}."
            )

        return bits.astype(np.uint8)


def target_tables(batches: Sequence[Batch]) -> dict[str, Tensor]:
    """What the codes of some rows say about the targets.

    Returns:
        For target j with classes `"target<j>"`, its counts over (class, code); for targets that
        are numbers `"counts"`, how many rows get each code, and `"sums"`, the sums of their
        numbers, both with shape (numbers, codes).
    """

    targets = [sum(tables) for tables in zip(*(b.targets for b in batches), strict=True)]
    found: dict[str, Any] = {
        f"target{j}": table for j, table in enumerate(targets) if len(table) > 1
    }
    if batches[0].values is not None:
        counts, sums = zip(*map(_sums, batches), strict=True)
        found |= {"counts": sum(counts), "sums": sum(sums)}

    return found


def _sums(batch: Batch) -> tuple[Tensor, Tensor]:
    """How many rows get each code, and the sum of their numbers, with shape (d, c) each."""

    assert batch.values is not None
    values = batch.values.double()
    known = values.isfinite().double()
    if batch.weights is not None:
        known = known * batch.weights.double().unsqueeze(1)
    both = moment_table(batch.logits, torch.cat([known, known * values.nan_to_num()], 1))
    counted, sums = both.chunk(2)

    return counted, sums


def _shares(table: Tensor, codes: Tensor) -> NDArray[np.float64]:
    """The shares of the classes among the rows of each code; of all rows where it has none."""

    prior = table.sum(1, keepdim=True) / table.sum()
    counted = (table + prior)[:, codes]

    return (counted / counted.sum(0)).T.numpy()
