"""Tasks: terms that are small where a code is useful for its targets, in nats."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bitveil.batches import Batch
from bitveil.codes import all_codes
from bitveil.entropies import bit_entropy, code_entropy, group_entropy
from bitveil.information import mutual_information
from bitveil.shapes import Scalar

__all__ = [
    "DecoderTask",
    "Term",
    "explained",
    "input_task",
    "task_accuracy",
    "task_column",
    "task_contents",
    "task_information",
    "task_usefulness",
]

Term = Callable[[Batch], Tensor]
"""A term of an objective: from a batch to one number that keeps its gradient."""

_SURE = 0.05
"""A column counts as if it had this entropy at least, in nats: 99 % of its rows are alike."""


def task_information(batch: Batch) -> Scalar:
    r"""The task `-I(T; Y)` in nats. It is exact and needs no decoder: the table is the best one.

    Several targets add up. For a number, the table gives the share :math:`R^2` of its variance
    that the best decoder explains. The task counts :math:`-\tfrac12 \log(1 - R^2)` nats for it,
    which is the least information that a Gaussian number with this share has.

    Example:
        >>> logits = torch.tensor([[-200.0], [200.0]])
        >>> y, s = torch.tensor([0, 1]), torch.tensor([0, 0])
        >>> task_information(Batch.of_target(logits, y, s, n_classes=2, n_groups=1))  # -log 2
        tensor(-0.6931)
        >>> v = torch.tensor([[1.0], [2.0], [5.0], [6.0]])
        >>> batch = Batch.of_target(logits.repeat_interleave(2, 0), y.repeat(2) * 0, s.repeat(2),
        ...     n_classes=1, n_groups=1, values=v)
        >>> task_information(batch)  # the variance is 4.25, given the bit 0.25: log(0.25/4.25)/2
        tensor(-1.4166)
    """

    information = _sum([mutual_information(table) for table in batch.targets], batch)
    if batch.values is None:
        return -information

    return (1 - explained(batch)).log().sum() / 2 - information


def task_accuracy(batch: Batch) -> Scalar:
    r"""The task `-accuracy`: that of the best classifier of the codes, on these rows.

    The accuracies of several targets add up. For a number, the share of its variance that the
    best decoder explains takes the place of the accuracy.

    Example:
        >>> logits = torch.tensor([[-200.0], [200.0], [200.0]])
        >>> y, s = torch.tensor([0, 1, 0]), torch.tensor([0, 0, 0])
        >>> task_accuracy(Batch.of_target(logits, y, s, n_classes=2, n_groups=1))  # two of three
        tensor(-0.6667)
    """

    accuracies = [
        table.amax(-2).sum() / table.sum().clamp_min(1e-12)
        for table in batch.targets
        if len(table) > 1
    ]
    right = _sum(accuracies, batch)

    return -right if batch.values is None else -right - explained(batch).sum()


def task_usefulness(batch: Batch) -> Scalar:
    """The mean of `task_accuracy` and `task_information`.

    Information alone spends a gap on telling sure rows apart, and accuracy alone may end in a
    code that says nothing.

    Example:
        >>> logits = torch.tensor([[-200.0], [200.0]])
        >>> y, s = torch.tensor([0, 1]), torch.tensor([0, 0])
        >>> batch = Batch.of_target(logits, y, s, n_classes=2, n_groups=1)
        >>> task_usefulness(batch)  # -(1 + log 2) / 2
        tensor(-0.8466)
    """

    return (task_accuracy(batch) + task_information(batch)) / 2


def explained(batch: Batch) -> Float[Tensor, " d"]:
    """The share of the variance of each number that the best decoder explains on these rows.

    Example:
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 0])
        >>> v = torch.tensor([[1.0], [2.0]])
        >>> explained(Batch.of_target(logits, y, y, n_classes=1, n_groups=1, values=v))
        tensor([1.0000])
    """

    values = batch.values
    if values is None:
        raise ValueError("`explained` expects a batch with numbers as targets, got none.")
    known = values.isfinite().to(values)
    if batch.weights is not None:
        known = known * batch.weights.to(values).unsqueeze(1)
    numbers = values.nan_to_num()
    alike = known[:, :1] if (known == known[:, :1]).all() else known  # one count serves all
    moments = batch.moments(torch.cat([alike, known * numbers], 1))
    counts, sums = moments.split([alike.shape[1], known.shape[1]])
    total, whole = known.sum(0).clamp_min(1e-12), (known * numbers).sum(0)
    spread = (known * numbers.square()).sum(0) - whole.square() / total
    between = (sums.square() / counts.clamp_min(1e-12)).sum(1) - whole.square() / total

    return (between / spread.clamp_min(1e-12)).clamp(0, 1 - 1e-6)


def input_task(batch: Batch) -> Scalar:
    """The task `-I(X; T)` in nats: the code should tell its row from others, without a target.

    Example:
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 0])
        >>> input_task(Batch.of_target(logits, y, y, n_classes=1, n_groups=1))  # -log 2
        tensor(-0.6931)
    """

    entropy, weights = bit_entropy(batch.logits).sum(-1), batch.weights
    noise = entropy.mean() if weights is None else (weights * entropy).sum() / weights.sum()

    return noise - code_entropy(batch.tables.groups)


def task_contents(batch: Batch) -> Scalar:
    r"""The task :math:`-\sum_j I(T; X_j) / H(X_j)`, for columns :math:`X_j` as targets.

    It counts the share of its entropy that the code tells of each column. In nats, columns with
    many classes would count more than all others, and a column of which nearly all rows have the
    same value hardly at all.

    Example:
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([[0, 0], [1, 1]])
        >>> s = torch.tensor([0, 0])
        >>> task_contents(Batch(logits, s, s, y, n_groups=1, n_strata=1, n_labels=(2, 2)))
        tensor(-2.)
    """

    shares = [mutual_information(t) / group_entropy(t).clamp_min(_SURE) for t in batch.targets]

    return -torch.stack(shares).sum()


def task_column(batch: Batch) -> Scalar:
    """The mean of `task_contents` over columns: a weight means about as much as for one target.

    Example:
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([[0, 0], [1, 1]])
        >>> s = torch.tensor([0, 0])
        >>> task_column(Batch(logits, s, s, y, n_groups=1, n_strata=1, n_labels=(2, 2)))
        tensor(-1.)
    """

    return task_contents(batch) / len(batch.n_labels)


class DecoderTask(nn.Module):
    """The loss of a decoder in nats, exactly over all codes, or at drawn bits.

    It adds the cross-entropy of each target with classes, and half the logarithm of the share of
    variance that the decoder leaves unexplained for each number.

    Arguments:
        decoder: A module from bits, with shape :math:`(\\dots, m)`, to the logits of all targets
            with classes in turn, followed by the numbers.
        exact: Whether to take the expectation over all :math:`2^m` codes, which has no gradient
            noise but needs targets with classes. Otherwise the decoder sees one draw of each row,
            with straight-through gradients.
        generator: The source of the draws.
        n_columns: By how many columns the sum is divided; 1: the targets add up.

    Example:
        >>> task = DecoderTask(nn.Linear(1, 2))
        >>> logits = torch.tensor([[-200.0], [200.0]])
        >>> y, s = torch.tensor([0, 1]), torch.tensor([0, 0])
        >>> task(Batch.of_target(logits, y, s, n_classes=2, n_groups=1)).item() > 0
        True
    """

    def __init__(
        self,
        decoder: nn.Module,
        *,
        exact: bool = True,
        generator: torch.Generator | None = None,
        n_columns: int = 1,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.n_columns = n_columns
        self.exact = exact
        self.generator = generator

    def forward(self, batch: Batch) -> Scalar:
        """The loss of the batch."""

        whole = self._over_codes(batch) if self.exact else self._at_draws(batch)

        return whole / self.n_columns

    @torch.no_grad()
    def score(self, batch: Batch) -> float | None:
        """The accuracy for the first target at drawn bits, or the share of variance explained."""

        output, labels = self._output(batch), batch.labels
        if labels.shape[1] and _by_target(output, batch)[0].shape[1] > 1:
            right = _by_target(output, batch)[0].argmax(1) == labels[:, 0]
            counted = _row_weights(output, batch) * (labels[:, 0] >= 0)
            return ((counted * right).sum() / counted.sum()).item()

        return None if batch.values is None else _explained(output, batch).mean().item()

    def _output(self, batch: Batch) -> Tensor:
        return batch.decoded(self.decoder, self.generator)

    def _over_codes(self, batch: Batch) -> Tensor:
        if batch.values is not None:
            raise ValueError(
                "`DecoderTask` takes the expectation over all codes for targets with classes, got "
                "numbers. Use `exact=False`, or `task_information`, whose decoder is the table."
            )
        codes = all_codes(batch.own.shape[1], like=batch.own)
        losses = [
            -(counts * output.log_softmax(-1).T).sum() / counts.sum().clamp_min(1e-12)
            for counts, output in zip(
                batch.targets, _by_target(self.decoder(codes), batch), strict=True
            )
        ]

        return torch.stack(losses).sum()

    def _at_draws(self, batch: Batch) -> Tensor:
        output = self._output(batch)
        weights, loss = _row_weights(output, batch), output.sum() * 0
        for column, of_label in zip(batch.labels.T, _by_target(output, batch), strict=True):
            each = F.cross_entropy(of_label, column, reduction="none", ignore_index=-1)
            counted = weights * (column >= 0)
            loss = loss + (counted * each).sum() / counted.sum().clamp_min(1e-12)
        if batch.values is None:
            return loss

        return loss + (1 - _explained(output, batch)).log().sum() / 2


def _sum(terms: list[Tensor], batch: Batch) -> Tensor:
    """The sum of the terms, with a gradient also where there are none."""

    return sum(terms[1:], terms[0]) if terms else batch.own.sum() * 0


def _explained(output: Tensor, batch: Batch) -> Tensor:
    """The share of the variance of each number that a decoder's output explains."""

    assert batch.values is not None
    known = batch.values.isfinite() * _row_weights(output, batch).unsqueeze(1)
    numbers, guesses = batch.values.nan_to_num(), output[:, -batch.values.shape[1] :]
    total = known.sum(0).clamp_min(1e-12)
    mean = (known * numbers).sum(0) / total
    left = (known * (numbers - guesses).square()).sum(0) / total
    spread = (known * (numbers - mean).square()).sum(0) / total

    return 1 - (left / spread.clamp_min(1e-12)).clamp_min(1e-6)


def _by_target(output: Tensor, batch: Batch) -> list[Tensor]:
    """The part of the output for each target with classes."""

    sizes = list(batch.n_labels)

    return list(output[..., : sum(sizes)].split(sizes, -1))


def _row_weights(output: Tensor, batch: Batch) -> Tensor:
    return torch.ones_like(output[:, 0]) if batch.weights is None else batch.weights
