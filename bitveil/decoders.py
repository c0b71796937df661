"""Decoders: from published bits to answers for the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bitveil.batches import Batch, Rows
from bitveil.codes import code_index
from bitveil.columns.targets import Target
from bitveil.tables import moment_table

__all__ = ["Decoder", "class_counts", "target_tables"]


@dataclass(frozen=True)
class Decoder:
    """The best answers to published bits: from a network, or from tables of the fitted rows.

    Attributes:
        target: What was learned about the target.
        n_bits: The number of bits of a code.
        network: A network from bits to the logits of the classes and then the numbers, or None.
        tables: Where there is no network: see `target_tables`. Beside a network they hold, for
            target j, `"classes<j>"`, how often each class occurs, if rows may be blank.
        blanks: Whether rows may be blank. Then the bits have one column more, which is 1 where a
            row is blank, and the answer for such a row is the best constant.
    """

    target: Target
    n_bits: int
    network: nn.Module | None
    tables: dict[str, Tensor]
    blanks: bool = False

    def probabilities(self, bits: Any) -> list[NDArray[np.float64]]:
        """The probability of each class of each target, with shapes (n, classes).

        Raises:
            ValueError: If the bits are not as `transform` gives them.
        """

        bits, blank = self._checked(bits)
        if self.network is not None:
            parts = self._outputs(self.network, bits).split(list(self.target.n_labels), -1)
            answers = [part.softmax(-1).numpy() for part in parts]
        else:
            codes, targets = code_index(torch.from_numpy(bits)), range(len(self.target.classes))
            answers = [_shares(self.tables[f"target{j}"], codes) for j in targets]
        for j, answer in enumerate(answers):
            if blank.any():
                answer[blank] = self._constant(j)

        return answers

    def means(self, bits: Any) -> NDArray[np.float64]:
        """The mean of each target that is a number, with shape (n, targets).

        Raises:
            ValueError: If the bits are not as `transform` gives them.
        """

        bits, blank = self._checked(bits)
        if self.network is not None:
            standard = self._outputs(self.network, bits).numpy()
            standard[blank] = 0.0
        else:
            counted, sums = self.tables["counts"], self.tables["sums"]
            mean = sums.sum(1, keepdim=True) / counted.sum(1, keepdim=True)
            codes = code_index(torch.from_numpy(bits))
            standard = ((sums + mean) / (counted + 1))[:, codes].T.numpy()
            standard[blank] = mean.T.numpy()

        return standard * np.array(self.target.scales) + np.array(self.target.means)

    def _constant(self, j: int) -> NDArray[np.float64]:
        """The share of each class of a target: the best answer without a code."""

        known = self.tables.get(f"classes{j}")
        counts = self.tables[f"target{j}"].sum(1) if known is None else known

        return (counts / counts.sum()).numpy()

    @torch.no_grad()
    def _outputs(self, network: nn.Module, bits: NDArray[np.uint8]) -> Tensor:
        return network(torch.from_numpy(bits).double())

    def _checked(self, bits: Any) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The bits of the code, and which rows are blank."""

        bits, width = np.asarray(bits), self.n_bits + self.blanks
        if bits.ndim != 2 or bits.shape[1] != width or not np.isin(bits, (0, 1)).all():
            last = ", the last column 1 for blank rows" if self.blanks else ""
            raise ValueError(
                f"`bits` expects zeros and ones of shape (n, {width}), as `transform` gives "
                f"them{last}, got {bits.dtype} of shape {bits.shape}."
            )
        blank = bits[:, self.n_bits :].any(1)

        return bits[:, : self.n_bits].astype(np.uint8), blank


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


def class_counts(parts: Sequence[Rows]) -> dict[str, Tensor]:
    """How often each class of each target occurs among some rows, as `"classes<j>"`."""

    return {
        f"classes{j}": torch.stack([_class_counts(rows, j, n) for rows in parts]).sum(0)
        for j, n in enumerate(parts[0].n_labels)
        if n > 1
    }


def _class_counts(rows: Rows, j: int, n: int) -> Tensor:
    labels = rows.labels[:, j]
    weights = torch.ones(len(rows)) if rows.weights is None else rows.weights

    return torch.bincount(labels[labels >= 0], weights[labels >= 0].double(), minlength=n)


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
