"""The audit of a code on held-out rows: one record that prints well and goes to JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bitveil.audits.attacker import certain_gap
from bitveil.audits.certificates import Certificate, certify_gap
from bitveil.audits.probes import Probe, Split, attack, use
from bitveil.codes import check_logits, draw
from bitveil.finite import leave_one_out
from bitveil.information import (
    BITS,
    attack_accuracy,
    group_entropy,
    mutual_information,
    neuron_information,
)
from bitveil.labels import number_labels
from bitveil.tables import joint_table, neuron_tables, observed_table

__all__ = ["Audit", "audit"]


@dataclass(frozen=True)
class Audit:
    """What a code reveals of the groups of these rows.

    Exact for these rows: the informations, the total variation, and the best attacker, who knows
    them. Certified for new rows of the same kind: `certificate` and `certain_gap`. Found by
    training, and so a lower limit only: `attackers` and the downstream numbers.

    Attributes:
        n_rows: The number of held-out rows.
        n_bits: The number of bits of the code.
        groups: The values of the sensitive attribute.
        sizes: The number of rows of each.
        information_bits: The joint information of code and group; too large in expectation.
        information_left_out_bits: The same with each row read by the others; too small.
        entropy_bits: The entropy of the groups: all there is to reveal.
        neuron_information_bits: The paper's sum over single bits, which is no bound.
        total_variation: The largest gap that a classifier of these rows can have; too large.
        total_variation_left_out: The same with each row read by the others; too small.
        certificate: The upper bound for new rows, and with which probability.
        certain_gap: A gap that some classifier certainly reaches on new rows, with the same one.
        attack_accuracy: The accuracy of the best attacker.
        balanced_attack_accuracy: Its balanced accuracy: one half (of two groups) is a guess.
        attackers: Trained attackers on drawn bits, half of the rows for training, half for scores.
        use_accuracy: The accuracy of boosting for the target on drawn bits, scored likewise.
        use_gap: The parity gap of its answers.
        shared_rows: How many rows have the content of another row and no id of their own. They
            share its frozen draw; None where it was not looked for.
    """

    n_rows: int
    n_bits: int
    groups: tuple[Any, ...]
    sizes: tuple[int, ...]
    information_bits: float
    information_left_out_bits: float | None
    entropy_bits: float
    neuron_information_bits: float | None
    total_variation: float
    total_variation_left_out: float | None
    certificate: Certificate
    certain_gap: float
    attack_accuracy: float
    balanced_attack_accuracy: float
    attackers: tuple[Probe, ...]
    use_accuracy: float | None = None
    use_gap: float | None = None
    shared_rows: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries."""

        return asdict(self)

    def to_json(self) -> str:
        """The same as JSON."""

        return json.dumps(self.to_dict(), default=str)

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self._lines())
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        groups = ", ".join(f"{g}: {n}" for g, n in zip(self.groups, self.sizes, strict=True))
        lines = [
            ("held-out rows", f"{self.n_rows} ({groups}), codes of {self.n_bits} bits"),
            ("joint information", f"{self._information()} of {self.entropy_bits:.3f} bits"),
            ("total variation", self._variation()),
            (f"certified, δ = {self.certificate.delta:g}", self._certified()),
            (
                "best attacker",
                f"accuracy {self.attack_accuracy:.3f}, balanced "
                f"{self.balanced_attack_accuracy:.3f} (exact, for these rows)",
            ),
        ]
        if self.neuron_information_bits is not None:
            note = f"{self.neuron_information_bits:.4f} bits (the paper's; no bound)"
            lines.insert(2, ("sum over single bits", note))
        for probe in self.attackers:
            scores = f"AUC {probe.auc:.3f}, accuracy {probe.accuracy:.3f} (on drawn bits)"
            lines.append((f"attacker: {probe.family}", scores))
        if self.use_accuracy is not None:
            scores = f"accuracy {self.use_accuracy:.3f}, parity gap {self.use_gap:.3f}"
            lines.append(("use: boosting", f"{scores} (on drawn bits)"))
        if self.shared_rows:
            lines.append(("rows that share a draw", f"{self.shared_rows} (equal content, no id)"))

        return lines

    def _information(self) -> str:
        if self.information_left_out_bits is None:
            return f"{self.information_bits:.4f} bits (of the drawn codes, too large)"
        return f"{max(0.0, self.information_left_out_bits):.4f} to {self.information_bits:.4f}"

    def _variation(self) -> str:
        if self.total_variation_left_out is None:
            return f"{self.total_variation:.4f} (of the drawn codes, too large)"
        return f"{max(0.0, self.total_variation_left_out):.4f} to {self.total_variation:.4f}"

    def _certified(self) -> str:
        return (
            f"{self.certain_gap:.4f} ≤ worst gap of any classifier on the codes "
            f"≤ {self.certificate.gap:.4f}"
        )


def audit(
    logits: ArrayLike | None,
    sensitive_features: ArrayLike,
    y: ArrayLike | None = None,
    *,
    bits: ArrayLike | None = None,
    delta: float = 0.05,
    shared_rows: int | None = None,
    random_state: int = 0,
) -> Audit:
    """Audit a code on rows that were used neither in training nor in selection.

    From logits the tables are exact expected counts; without them, from `bits` alone, the drawn
    codes are counted, which is coarser: for foreign codes, and where many rows share a draw.

    Arguments:
        logits: The logits of the code, with shape (n, m), or None.
        sensitive_features: The sensitive attribute of each row, in one column or several.
        y: The target of each row, for the downstream classifier, or None.
        bits: The published bits, with shape (n, m); drawn from the logits where there are none.
        delta: The probability that the certificate may be wrong, and again that `certain_gap` may.
        shared_rows: How many rows share a frozen draw with another, to be reported.
        random_state: The seed of the draws and of the halves for the attackers.

    Raises:
        ValueError: If neither logits nor bits are given, lengths differ, or there are fewer than
            two groups.

    Example:
        >>> trap = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (500, 1))
        >>> found = audit(400.0 * trap - 200, trap[:, 0] ^ trap[:, 1])
        >>> round(found.information_bits, 3), round(found.neuron_information_bits, 3)
        (1.0, 0.0)
        >>> [(p.family, round(p.auc, 1)) for p in found.attackers]
        [('linear', 0.5), ('boosting', 1.0)]
    """

    theta, drawn = _codes(logits, bits, random_state)
    groups, s = number_labels("sensitive_features", sensitive_features, len(drawn))
    seen = _Codes(theta, drawn, s, len(groups))
    table = seen.table()
    certificate = certify_gap(table, delta=delta, draws="hard" if theta is None else "soft")
    information, variation = seen.left_out()
    accuracy, gap = _used(drawn, y, s, random_state)

    return Audit(
        n_rows=len(drawn),
        n_bits=drawn.shape[1],
        groups=tuple(groups.tolist()),
        sizes=certificate.sizes,
        information_bits=mutual_information(table).item() * BITS,
        information_left_out_bits=information,
        entropy_bits=group_entropy(table).item() * BITS,
        neuron_information_bits=seen.neuron_information(),
        total_variation=certificate.estimate,
        total_variation_left_out=variation,
        certificate=certificate,
        certain_gap=seen.certain_gap(delta, random_state),
        attack_accuracy=attack_accuracy(table).item(),
        balanced_attack_accuracy=attack_accuracy(table, prior="uniform").item(),
        attackers=tuple(attack(Split.halves(drawn, s, random_state))),
        use_accuracy=accuracy,
        use_gap=gap,
        shared_rows=shared_rows,
    )


class _Codes:
    """The codes of some rows: soft where their logits are known, hard otherwise."""

    def __init__(
        self, theta: Tensor | None, drawn: NDArray[np.uint8], s: NDArray[np.int64], k: int
    ) -> None:
        self.logits, self.s, self.k = theta, torch.from_numpy(s), k
        distinct, numbers = np.unique(drawn, axis=0, return_inverse=True)
        self.numbers, self.n_distinct = torch.from_numpy(numbers.ravel()), len(distinct)

    def table(self, rows: Tensor | slice = slice(None)) -> Tensor:
        if self.logits is not None:
            return joint_table(self.logits[rows], self.s[rows], self.k)
        return observed_table(self.numbers[rows], self.s[rows], self.k, self.n_distinct).double()

    def left_out(self) -> tuple[float | None, float | None]:
        if self.logits is None:
            return None, None
        nats, variation = leave_one_out(self.logits, self.s, self.k)
        return nats * BITS, variation

    def neuron_information(self) -> float | None:
        if self.logits is None:
            return None
        return neuron_information(neuron_tables(self.logits, self.s, self.k)).item() * BITS

    def certain_gap(self, delta: float, seed: int) -> float:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(self.s)))
        fixed, scored = (self.table(half) for half in order.tensor_split(2))

        return certain_gap(fixed, scored, delta=delta)


def _codes(
    logits: ArrayLike | None, bits: ArrayLike | None, seed: int
) -> tuple[Tensor | None, NDArray[np.uint8]]:
    """The logits, where there are any, and the bits, drawn where none were given."""

    if logits is None and bits is None:
        raise ValueError("`audit` expects `logits` or `bits`, got neither.")
    theta = None if logits is None else torch.as_tensor(np.asarray(logits), dtype=torch.float64)
    if theta is not None:
        check_logits("audit", theta)
    if bits is None:
        assert theta is not None
        bits = draw(theta, generator=torch.Generator().manual_seed(seed)).numpy()
    drawn = np.asarray(bits)
    if drawn.ndim != 2 or not np.isin(drawn, (0, 1)).all():
        raise ValueError(
            "`audit` expects `bits` as 0 and 1 with shape (n, m), got "
            f"{drawn.dtype} of shape {drawn.shape}."
        )
    if theta is not None and theta.shape != drawn.shape:
        raise ValueError(
            "`audit` expects `logits` and `bits` of the same rows and bits, got shapes "
            f"{tuple(theta.shape)} and {drawn.shape}."
        )

    return theta, drawn.astype(np.uint8)


def _used(
    drawn: NDArray[np.uint8], y: ArrayLike | None, s: NDArray[np.int64], seed: int
) -> tuple[float | None, float | None]:
    """Accuracy and parity gap of a classifier of the target, on codes it was not trained on."""

    if y is None:
        return None, None
    target = number_labels("y", y, len(drawn)).numbers
    split = Split.halves(drawn, target, seed)
    (found,) = use(split, Split.halves(drawn, s, seed).scored_labels)

    return found.probe.accuracy, found.gap
