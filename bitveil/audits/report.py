"""The audit of a code on held-out rows: a record that prints well, goes to JSON and to a page."""

import hashlib
import json
import platform
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bitveil.audits.families import FAMILIES
from bitveil.audits.meaning import Meaning, follows, meaning
from bitveil.audits.probes import (
    Comparison,
    Probe,
    Split,
    Use,
    attack,
    repeated_draw_attack,
    search_attack,
    use,
    within,
)
from bitveil.audits.subject import Published, group_name
from bitveil.certificates.lower import (
    Interval,
    certain_attack,
    certain_gap,
    certain_information,
    certain_odds,
    certain_opportunity,
)
from bitveil.certificates.upper import (
    Certificate,
    certify_attack,
    certify_gap,
    certify_information,
    certify_odds,
    certify_opportunity,
)
from bitveil.columns.labels import Labels, as_frame, number_labels, printable
from bitveil.criteria import CRITERIA, Criterion
from bitveil.entropies import group_entropy
from bitveil.finite_samples import leave_one_out
from bitveil.frozen import row_digests
from bitveil.information import BITS, attack_accuracy, mutual_information, neuron_information
from bitveil.rows import split_rows
from bitveil.tables import neuron_tables, pair_groups
from bitveil.workers import one_thread

__all__ = ["SCHEMA", "Audit", "Column", "Made", "PathStep", "audit", "audit_table"]

SCHEMA = "bitveil.audit/1"
"""The version of the JSON: fields may be added to it, none change their meaning or go."""

_SAMPLED = 100_000  # rows of a table of counts that attackers are given
_CERTAIN = 200.0  # a logit of a bit that is drawn for certain
_MOST = 50  # values of an attribute or a target: more look like numbers or names
_SHOWN = 255  # values of a foreign column that trained attackers tell apart
_BOOT = 200  # resamples of a bootstrap interval
_FEW = 20  # rows of a group, below which no search and no repeated draws are tried
_LOOSE = "More codes than rows"  # how the note begins that is a warning as well
_WORST = "worst gap of any classifier on the codes"


@dataclass(frozen=True)
class Column:
    """What a code reveals of one of several sensitive columns, taken alone.

    Attributes:
        name: The column.
        groups: Its values.
        sizes: The number of rows of each.
        information_bits: The joint information of code and column.
        interval: The certain and the certified parity gap; delta is divided among the columns.
        attackers: Trained attackers of this column.
    """

    name: str
    groups: tuple[Any, ...]
    sizes: tuple[int, ...]
    information_bits: float
    interval: Interval
    attackers: tuple[Probe, ...]


@dataclass(frozen=True)
class PathStep:
    """One encoder of those that were trained for a goal, as the rows for selection see it.

    Attributes:
        gap: The gap of its codes.
        information_bits: What they tell of the target, in bits.
        score: The accuracy of the best classifier of its codes, where it is known.
        limit: The limit that it was trained for.
        certified: Whether the rows for certification passed it; None where none were asked.
    """

    gap: float
    information_bits: float
    score: float | None
    limit: float | None
    certified: bool | None


@dataclass(frozen=True)
class Made:
    """How an audit can be made again.

    Attributes:
        versions: The versions of Python and of the libraries that the numbers depend on.
        random_state: The seed of draws, halves and attackers.
        delta: The probability that each certificate may be wrong.
        attackers: Which attackers were asked for.
        checksum: SHA-256 of the contents of codes, groups and target, row by row in their order.
    """

    versions: dict[str, str]
    random_state: int
    delta: float
    attackers: str
    checksum: str


@dataclass(frozen=True)
class Audit:
    """What a code reveals of the groups of these rows.

    Exact for these rows: the informations, the total variation, and the best attacker, who knows
    them. Certified for new rows of the same kind: `certificate`, `certain_gap` and `intervals`.
    Found by training, and so a lower limit only: `attackers` and the downstream numbers.

    Attributes:
        n_rows: The number of held-out rows.
        n_bits: The number of bits of the code, or of its columns where other values are published.
        groups: The values of the sensitive attribute.
        sizes: The number of rows of each.
        information_bits: The joint information of code and group; too large in expectation.
        information_left_out_bits: The same with each row read by the others; too small.
        entropy_bits: The entropy of the groups: all there is to reveal.
        neuron_information_bits: The paper's sum over single bits, which is no bound.
        total_variation: The largest gap that a classifier of these rows can have; too large.
        total_variation_left_out: The same with each row read by the others; too small.
        certificate: What the audit leads with: the upper bound for new rows, on the parity gap
            or, by another criterion, on that of equal opportunity or equalised odds.
        certain_gap: A gap that some classifier certainly reaches on new rows, with the same one.
        attack_accuracy: The accuracy of the best attacker.
        balanced_attack_accuracy: Its balanced accuracy: one half (of two groups) is a guess.
        attackers: Trained attackers on drawn bits, half of the rows for training, half for scores.
        use_accuracy: The accuracy of boosting for the target on drawn bits, scored likewise.
        use_gap: The parity gap of its answers.
        counted: What was counted, and why: expected counts of rows that have names of their own,
            or codes as they were published.
        criterion: What the audit leads with.
        positive: The target that equal opportunity speaks of; None where it does not.
        goal: The gap that was to be kept, where there was one.
        sensitive: The names of the sensitive columns.
        target: The name of the target.
        intervals: Both sides of each certified quantity, what the audit leads with first: the
            parity gap, the balanced accuracy of attackers, the information, and with a target the
            gap of equalised odds.
        checks: Each attacker beside the certificate, which none may exceed but by chance.
        repeated_draws: What an attacker finds from several draws of each row, and from the logits:
            no certificate covers them. Only with all attackers.
        uses: Classifiers of the target on drawn codes.
        most_frequent_target: The share of the target's most frequent value: a use without codes.
        columns: Each of several sensitive columns alone.
        meaning: What the parts of the code mean.
        path: The encoders among which this one was chosen, where they are known.
        notes: What a reader must know about this audit.
        made: How it can be made again.
        schema: The version of the JSON.
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
    use_accuracy: float | None
    use_gap: float | None
    counted: str
    criterion: str
    positive: str | None
    goal: float | None
    sensitive: tuple[str, ...]
    target: str | None
    intervals: tuple[Interval, ...]
    checks: tuple[Comparison, ...]
    repeated_draws: dict[str, Probe]
    uses: tuple[Use, ...]
    most_frequent_target: float | None
    columns: tuple[Column, ...]
    meaning: Meaning
    path: tuple[PathStep, ...]
    notes: tuple[str, ...]
    made: Made
    schema: str = SCHEMA

    @property
    def broken(self) -> tuple[Comparison, ...]:
        """The attackers who exceed the certificate by more than chance."""

        return tuple(check for check in self.checks if not check.holds)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries."""

        found = asdict(self)
        found["certificate"]["gap"] = self.certificate.gap

        return found

    def to_json(self) -> str:
        """The same as JSON."""

        return json.dumps(self.to_dict(), default=str)

    def to_html(
        self,
        *,
        title: str | None = None,
        sources: Sequence[str] = (),
        small_cells: bool = False,
    ) -> str:
        """One page that a person can read: it opens offline, and nothing is loaded from anywhere.

        Arguments:
            title: A title; None: what was audited.
            sources: Where the rows came from, line by line, as files with their checksums.
            small_cells: Whether codes and patterns of fewer than 10 rows are listed with their
                group, which tells the group of single rows to whoever has the published codes.
        """

        from bitveil.audits.page import html_report

        return html_report({"": self}, title=title, sources=sources, small_cells=small_cells)

    def __str__(self) -> str:
        lines = [[printable(word, most=None) for word in line] for line in self._lines()]
        width = max(len(name) for name, _ in lines)

        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)

    def _lines(self) -> list[tuple[str, str]]:
        named = zip(map(group_name, self.groups), self.sizes, strict=True)
        groups = ("; " if self.columns else ", ").join(f"{group}: {n}" for group, n in named)
        lines = [
            ("held-out rows", f"{self.n_rows} ({groups}), codes of {self.n_bits} {self._unit()}"),
            ("joint information", f"{self._information()} of {self.entropy_bits:.3f} bits"),
            ("total variation", self._variation()),
            *self._certified(),
            (
                "best attacker",
                f"accuracy {self.attack_accuracy:.3f}, balanced "
                f"{self.balanced_attack_accuracy:.3f} (exact, for these rows)",
            ),
        ]
        if self.neuron_information_bits is not None:
            note = f"{self.neuron_information_bits:.4f} bits (the paper's; no bound)"
            lines.insert(2, ("sum over single bits", note))
        seen = f"on drawn {'bits' if self._are_bits() else 'codes'}"
        for probe in self.attackers:
            scores = f"AUC {probe.auc:.3f}, accuracy {probe.accuracy:.3f} ({seen})"
            lines.append((f"attacker: {probe.family}", scores))
        if self.use_accuracy is not None:
            scores = f"accuracy {self.use_accuracy:.3f}, parity gap {self.use_gap:.3f}"
            lines.append(("use: boosting", f"{scores} ({seen})"))
        lines.append(("counted", self.counted))
        if self.goal is not None:
            lines.append(("goal of the fit", self._kept(self.goal)))
        if self.broken:
            lines.insert(0, ("THE BOUND IS REFUTED", self._refutation()))

        return lines + list(self._more_lines())

    def _more_lines(self) -> Iterator[tuple[str, str]]:
        for column in self.columns:
            yield f"{printable(column.name)} alone", f"{column.interval}{self._doubt()}"
        for seen, probe in self.repeated_draws.items():
            covered = "" if seen == "1 draw" else " (not covered by the certificate)"
            yield f"attacker: {seen}", f"AUC {probe.auc:.3f}{covered}"
        if self.meaning.telling:
            yield "what tells most", str(self.meaning.telling)
        for pattern in self.meaning.patterns:
            yield "who stands out", str(pattern)
        for check in self.broken:
            yield "ABOVE THE CERTIFICATE", str(check)
        for note in self.notes:
            yield "note", note

    def _are_bits(self) -> bool:
        return all(part.ones is not None for part in self.meaning.parts)

    def _unit(self) -> str:
        return ("bit" if self._are_bits() else "column") + "s" * (self.n_bits != 1)

    def _information(self) -> str:
        if self.information_left_out_bits is None:
            return f"{self.information_bits:.4f} bits (of the drawn codes, too large)"
        return f"{max(0.0, self.information_left_out_bits):.4f} to {self.information_bits:.4f}"

    def _variation(self) -> str:
        if self.total_variation_left_out is None:
            return f"{self.total_variation:.4f} (of the drawn codes, too large)"
        return f"{max(0.0, self.total_variation_left_out):.4f} to {self.total_variation:.4f}"

    def _certified(self) -> Iterator[tuple[str, str]]:
        """Both sides of each certified gap, the one that the audit is about first."""

        for interval in self.intervals:
            certificate, worst = interval.certificate, _WORST
            if not certificate.quantity.endswith("gap"):
                continue
            if certificate.quantity == "equal opportunity gap":
                value = "the positive one" if self.positive is None else printable(self.positive)
                worst += f" among rows whose {printable(self.target)} is {value}"
            if certificate.quantity == "equalised odds gap":
                worst += f" among rows of the same {printable(self.target)}"
            yield (
                f"certified, δ = {certificate.delta:g}",
                f"{interval.least:.4f} ≤ {worst} ≤ {certificate.bound:.4f}{self._doubt()}",
            )

    def _kept(self, goal: float) -> str:
        """Whether the bound of this audit is within the goal too."""

        if self.certificate.bound <= goal:
            return f"gap ≤ {goal:g}: this audit certifies it too"
        return f"gap ≤ {goal:g}: this audit's rows alone do not certify it"

    def _doubt(self) -> str:
        return " (DOES NOT STAND: see the first line)" if self.broken else ""

    def _refutation(self) -> str:
        """By how much an attacker exceeds the bound, and what that means."""

        worst = max(self.broken, key=lambda check: check.excess)

        return (
            f"{worst.family} sets the groups apart by at least {worst.least:.4f} and the "
            f"certificate allows {worst.bound:.4f}: {worst.excess:.4f} too much. Chance does that "
            f"with probability ≤ {worst.delta:g}. Something is wrong: rows that were used in "
            "fitting, copies of rows, or codes that are not the certified ones"
        )


@one_thread()
def audit(
    codes: Any,
    sensitive_features: ArrayLike,
    y: ArrayLike | None = None,
    *,
    logits: ArrayLike | None = None,
    ids: Any = None,
    criterion: Criterion = "independence",
    positive: Any = None,
    goal: float | None = None,
    delta: float = 0.05,
    random_state: int = 0,
    attackers: Literal["quick", "all"] = "quick",
    n_jobs: int | None = None,
    encode: Callable[[Any], Any] | None = None,
    X: Any = None,
    path: Iterable[Any] = (),
    notes: Sequence[str] = (),
) -> Audit:
    """Audit codes that anybody made, on rows used neither in training nor in selection.

    Of an encoder of bitveil `model.audit(X, y, sensitive_features=...)` does all of this with the
    groups, bins and targets that it was fitted with.

    Codes are counted as they were published. Expected counts, which are less coarse, are read from
    `logits`, and only of rows that each have a name of their own: without names rows of equal
    content share a draw, and the published codes can tell more than their probabilities do.

    Arguments:
        codes: What was published: an array of bits with shape (n, m), or any discrete values, in
            one column or several that are published together, such as the number of a cluster or
            a postcode. None: drawn from the logits.
        sensitive_features: The sensitive attribute of each row, in one column or several.
        y: The target of each row, for the downstream classifier, or None. Where it is missing, a
            row counts for the attribute alone.
        logits: The logits of the bits, with shape (n, m), together with `ids`.
        ids: The name of each row, by which its code was drawn. None may stand twice.
        criterion: What the audit leads with: `"independence"` the parity gap, `"separation"` that
            of equalised odds, `"equal_opportunity"` that among rows whose target is `positive`.
        positive: The value of the target that is the opportunity; None: the last one.
        goal: The gap that was to be kept, to be printed beside the one that is certified.
        delta: The probability that the certificate may be wrong, and again that `certain_gap` may.
        random_state: The seed of the draws and of the halves for the attackers.
        attackers: `"quick"`: linear and boosting. `"all"`: all families with bootstrap intervals,
            a search over their settings, and repeated draws; takes minutes.
        n_jobs: How many attackers are trained at once; None: one.
        encode: The encoder as a function from rows to logits, or to discrete codes; with `X` it is
            found which columns each bit follows.
        X: The rows, as `encode` takes them.
        path: The encoders among which this one was chosen: `path_` of an estimator.
        notes: What else a reader must know.

    Raises:
        ValueError: If there are no codes, lengths differ, logits come without names, a name stands
            twice, a value is missing, there are fewer than two groups, or one of them has fewer
            than two rows.

    Warns:
        UserWarning: If there are more codes than rows: the bounds hold, and are loose.

    Example:
        >>> trap = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (500, 1))
        >>> found = audit(trap, trap[:, 0] ^ trap[:, 1])
        >>> round(found.information_bits, 3), round(found.neuron_information_bits, 3)
        (1.0, 0.0)
        >>> [(p.family, round(p.auc, 1)) for p in found.attackers]
        [('linear', 0.5), ('boosting', 1.0)]
        >>> print(found.meaning.telling)
        bit 0 and bit 1 together tell 1.0000 of 1.0000 bits; alone 0.0000 and 0.0000
    """
    _check_choice("attackers", attackers, ("quick", "all"))
    _check_choice("criterion", criterion, CRITERIA)
    published = Published.of(codes, logits, ids, seed=random_state)
    groups = number_labels("sensitive_features", sensitive_features, len(published), most=_MOST)
    target = None if y is None else _labels(y, len(published))
    settings = _Settings(delta, random_state, attackers == "all", n_jobs)
    rows = _Rows(published, groups, target, settings)
    asked = _Asked(criterion, _positive(criterion, positive, target), goal)
    moved = (None, ()) if encode is None or X is None else follows(encode, X, seed=random_state)

    return _audit(
        rows,
        rows,
        asked,
        columns=rows.columns(sensitive_features),
        sensitive=_names(sensitive_features),
        target_name=None if y is None else str(getattr(y, "name", None) or "target"),
        moved=moved,
        path=path,
        notes=notes,
        attackers=attackers,
    )


class _Asked(NamedTuple):
    """What an audit leads with: the criterion, the number of the opportunity, and the goal."""

    criterion: Criterion
    positive: int | None
    goal: float | None


def _audit(
    whole: "_Rows",
    rows: "_Rows",
    asked: _Asked,
    *,
    columns: tuple[Column, ...] = (),
    sensitive: tuple[str, ...],
    target_name: str | None,
    moved: "tuple[NDArray[np.float64] | None, Sequence[str]]" = (None, ()),
    path: Iterable[Any] = (),
    notes: Sequence[str] = (),
    attackers: str,
) -> Audit:
    """The record: certificates and readings of all rows, attackers and meanings of single ones.

    Both are the same rows, except for a large table of counts, where the second is a sample.
    """

    groups, published = whole.groups, whole.published
    table = published.table(whole.s, whole.k)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There are more drawn codes")  # said once, below
        parity, intervals = whole.intervals(asked)
    gap = parity.certificate
    probes = rows.attack(rows.groups)
    uses = rows.uses([interval.certificate for interval in intervals])
    information, variation = whole.left_out()
    said = [*whole.notes(uses, asked), *notes]
    for note in said:
        if note.startswith(_LOOSE):
            warnings.warn(note, stacklevel=4)  # past the block of one thread
    target = whole.target

    return Audit(
        n_rows=len(published),
        n_bits=len(published.names),
        groups=tuple(groups.values.tolist()),
        sizes=gap.sizes,
        information_bits=mutual_information(table).item() * BITS,
        information_left_out_bits=information,
        entropy_bits=group_entropy(table).item() * BITS,
        neuron_information_bits=whole.neuron_information(),
        total_variation=gap.estimate,
        total_variation_left_out=variation,
        certificate=intervals[0].certificate,
        certain_gap=intervals[0].least,
        attack_accuracy=attack_accuracy(table).item(),
        balanced_attack_accuracy=attack_accuracy(table, prior="uniform").item(),
        attackers=probes,
        use_accuracy=next((u.probe.accuracy for u in uses if u.probe.family == "boosting"), None),
        use_gap=next((u.gap for u in uses if u.probe.family == "boosting"), None),
        counted=published.counted,
        criterion=asked.criterion,
        positive=None
        if asked.positive is None or target is None
        else str(target.values[asked.positive]),
        goal=asked.goal,
        sensitive=sensitive,
        target=target_name,
        intervals=intervals,
        checks=_checks([(gap, probes), *((c.interval.certificate, c.attackers) for c in columns)]),
        repeated_draws=rows.repeated_draws(),
        uses=uses,
        most_frequent_target=None if target is None else _most_frequent(target),
        columns=columns,
        meaning=rows.meaning(*moved),
        path=tuple(map(_path_step, path)),
        notes=tuple(said),
        made=whole.made(attackers),
    )


@one_thread()
def audit_table(
    table: ArrayLike | pd.DataFrame,
    groups: Sequence[Any] | None = None,
    codes: Sequence[Any] | None = None,
    *,
    delta: float = 0.05,
    random_state: int = 0,
    attackers: Literal["quick", "all"] = "quick",
    n_jobs: int | None = None,
) -> Audit:
    """Audit a code from a table of counts: how many rows of each group got each code.

    Arguments:
        table: The counts, whole numbers with shape (k, c). A DataFrame has the groups as index and
            the codes as columns.
        groups: The groups; None: those of the DataFrame, or numbers.
        codes: The codes; None: those of the DataFrame, or numbers.
        delta: The probability that the certificate may be wrong.
        random_state: The seed of the halves, of the sample of rows and of the attackers.
        attackers: `"quick"` or `"all"`, as for `audit`. Of more than 100,000 rows they are given
            a sample.
        n_jobs: How many attackers are trained at once; None: one.

    Raises:
        ValueError: If the counts are not whole numbers from 0 on, a group has no rows, or the
            names do not fit.

    Example:
        >>> found = audit_table([[600, 400], [500, 500]], ["f", "m"])
        >>> found.sizes, round(found.total_variation, 3), round(found.certificate.gap, 4)
        ((1000, 1000), 0.1, 0.1547)
    """

    _check_choice("attackers", attackers, ("quick", "all"))
    frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(np.atleast_2d(table))
    counts = frame.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if not (counts >= 0).all() or (counts != np.round(counts)).any() or counts.max() >= 2**53:
        raise ValueError(
            "`audit_table` expects how many rows of each group got each code, whole numbers from "
            "0 to 2^53. Expected counts are certified by `certify_gap`."
        )
    names = list(frame.index) if groups is None else list(groups)
    values = list(frame.columns) if codes is None else list(codes)
    if (len(names), len(values)) != counts.shape:
        raise ValueError(
            f"`audit_table` expects a name for each of {counts.shape[0]} groups and "
            f"{counts.shape[1]} codes, got {len(names)} and {len(values)}."
        )
    if empty := [name for name, size in zip(names, counts.sum(1), strict=True) if not size]:
        raise ValueError(f"`audit_table`: the groups {empty} have no rows. Leave them out.")
    published, s = Published.of_counts(counts.astype(np.int64), values)
    settings = _Settings(delta, random_state, attackers == "all", n_jobs)
    labels = number_labels("groups", pd.Series(pd.Index(names)[s]), len(s), most=_MOST)
    whole = _Rows(published, labels, None, settings)
    single, t = published.sampled(labels.numbers, _SAMPLED, random_state)
    rows = _Rows(single, Labels(labels.values, t), None, settings)
    name = frame.index.name

    return _audit(
        whole,
        rows,
        _Asked("independence", None, None),
        sensitive=() if name is None else (str(name),),
        target_name=None,
        notes=_notes_on_sample(published, single),
        attackers=attackers,
    )


def _notes_on_sample(published: Published, single: Published) -> list[str]:
    if len(single) == len(published):
        return []
    return [
        f"Attackers were trained, and the meaning of codes was read, on a random {len(single)} of "
        f"the {len(published)} rows, with more of the rare groups. Certificates count all rows."
    ]


def _labels(y: Any, n: int) -> Labels:
    """The target's values and each row's number, -1 where it is missing."""

    frame = as_frame("y", y, n)
    known = frame.notna().all(axis=1).to_numpy()
    values, numbers = number_labels("y", frame[known], int(known.sum()), most=_MOST)
    of_all = np.full(n, -1, dtype=np.int64)
    of_all[known] = numbers

    return Labels(values, of_all)


def _positive(criterion: Criterion, positive: Any, target: Labels | None) -> int | None:
    """The number of the target that is the opportunity, where one is asked for."""

    if criterion == "independence":
        return None
    if target is None:
        raise ValueError(f"`criterion={criterion!r}` compares rows of one target: give `y`.")
    values = target.values.tolist()
    if criterion == "separation":
        return None
    if positive is not None and positive not in values:
        raise ValueError(f"`positive` expects one of {values}, got {positive!r}.")

    return len(values) - 1 if positive is None else values.index(positive)


def _check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"`{name}` expects one of {list(known)}, got {value!r}.")


class _Settings(NamedTuple):
    """How rows are audited."""

    delta: float
    seed: int
    thorough: bool
    n_jobs: int | None


class _Rows:
    """The rows under audit, and everything that is made of them."""

    def __init__(
        self, published: Published, groups: Labels, target: Labels | None, settings: _Settings
    ) -> None:
        self.published, self.groups, self.target = published, groups, target
        self.delta, self.seed, self.thorough, self.n_jobs = settings
        self.s, self.k = torch.from_numpy(groups.numbers), len(groups.values)
        self.sizes = _sizes(published, groups)

    def intervals(self, asked: _Asked) -> tuple[Interval, tuple[Interval, ...]]:
        """Both sides of the parity gap, and of all that is certified: what is asked for first."""

        parity = self._interval(self.s, self.k, certain_gap, certify_gap)
        others = [
            self._interval(self.s, self.k, certain_attack, certify_attack),
            self._interval(self.s, self.k, certain_information, certify_information),
        ]
        leading = None
        if asked.criterion == "equal_opportunity":
            assert asked.positive is not None
            leading = self._opportunity(asked.positive)
        elif self.target is not None and (
            asked.criterion == "separation" or self._pairs_are_there()
        ):
            odds = self._odds()
            if asked.criterion == "separation":
                leading = odds
            else:
                others.append(odds)

        return parity, (parity, *others) if leading is None else (leading, parity, *others)

    def attack(self, labels: Labels) -> tuple[Probe, ...]:
        """Trained attackers of a column."""

        split = _split(self.published.seen(_SHOWN), labels.numbers, self.seed)
        if not self.thorough:
            return tuple(attack(split, n_jobs=self.n_jobs))
        settings: dict[str, Any] = {"random_state": self.seed, "n_jobs": self.n_jobs}
        probes = attack(split, families=FAMILIES, n_boot=_BOOT, **settings)
        if np.bincount(labels.numbers).min() < _FEW:
            return tuple(probes)
        searched = search_attack(split, **settings)

        return (*probes, replace(searched, family=f"search: {searched.family}"))

    def repeated_draws(self) -> dict[str, Probe]:
        few = np.bincount(self.groups.numbers).min() < _FEW
        if not self.thorough or self.published.logits is None or few:
            return {}

        return repeated_draw_attack(
            self.published.logits.numpy(),
            self.groups.numbers,
            random_state=self.seed,
            n_jobs=self.n_jobs,
        )

    def columns(self, sensitive_features: Any) -> tuple[Column, ...]:
        """Each of several sensitive columns alone; delta is divided among them."""

        frame = pd.DataFrame(sensitive_features) if np.ndim(sensitive_features) == 2 else None
        if frame is None or len(frame.columns) < 2:
            return ()
        names = _names(sensitive_features)
        found = []
        for name, (_, column) in zip(names, frame.items(), strict=True):
            labels = number_labels(name, column, len(self.s), most=_MOST)
            s, k = torch.from_numpy(labels.numbers), len(labels.values)
            table = self.published.table(s, k)
            found.append(
                Column(
                    name,
                    tuple(labels.values.tolist()),
                    tuple(np.bincount(labels.numbers).tolist()),
                    mutual_information(table).item() * BITS,
                    self._interval(s, k, certain_gap, certify_gap, share=len(names)),
                    self.attack(labels),
                )
            )

        return tuple(found)

    def uses(self, certificates: Sequence[Certificate]) -> tuple[Use, ...]:
        """Classifiers of the target on codes that they were not trained on."""

        if self.target is None or min(np.bincount(_known(self.target))) < 2:
            return ()
        known = np.flatnonzero(self.target.numbers >= 0)
        seen, y = self.published.seen(_SHOWN)[known], self.target.numbers[known]
        first, second = _halves(y, self.seed)
        split = Split(seen[first], y[first], seen[second], y[second])
        groups = self.groups.numbers[known][second]
        if not self.thorough:
            return tuple(use(split, groups))

        settings: dict[str, Any] = {
            "fairness": self._fairness() is None,
            "certificates": certificates,
            "random_state": self.seed,
            "n_jobs": self.n_jobs,
        }
        others = [family for family in FAMILIES if family != "boosting"]

        return (
            *use(split, groups, families=["boosting"], n_boot=_BOOT, **settings),
            *use(split, groups, families=others, **settings),
        )

    def left_out(self) -> tuple[float | None, float | None]:
        """Information in bits and total variation, each row read by the others."""

        if self.published.logits is None or self.published.draws == "hard":
            return None, None
        nats, variation = leave_one_out(self.published.logits, self.s, self.k)

        return nats * BITS, variation

    def neuron_information(self) -> float | None:
        """The paper's sum over single bits, in bits; None where the code is not of bits."""

        logits, parts = self.published.logits, self.published.parts
        if logits is None and not (self.published.are_bits and self.published.counts is None):
            return None
        if logits is None:
            logits = torch.from_numpy(parts).double() * 2 * _CERTAIN - _CERTAIN
        tables = neuron_tables(logits, self.s, self.k)

        return neuron_information(tables).item() * BITS

    def meaning(
        self, moved: NDArray[np.float64] | None = None, columns: Sequence[str] = ()
    ) -> Meaning:
        """What the parts mean, and which columns move them."""

        if moved is not None and moved.shape[1] != len(self.published.names):
            raise ValueError(
                f"`encode` expects to make the {len(self.published.names)} parts of the code, got "
                f"{moved.shape[1]}."
            )
        target = self.target
        complete = target is not None and (target.numbers >= 0).all()

        return meaning(
            self.published,
            self.groups.numbers,
            self.groups.values.tolist(),
            target.numbers if target is not None and complete else None,
            len(target.values) if target is not None and complete else 0,
            delta=self.delta,
            moved=moved,
            columns=columns,
        )

    def notes(self, uses: tuple[Use, ...], asked: _Asked) -> list[str]:
        """What a reader must know."""

        published, fewest = self.published, min(self.sizes)
        notes = []
        if published.logits is not None and published.draws == "hard":
            notes.append(
                f"Codes of {len(published.names)} bits are too many to be listed: they were "
                "counted as drawn, which is coarser than expected counts."
            )
        n_codes = 2 ** len(published.names) if published.draws == "soft" else published.n_distinct
        if n_codes > (len(published) if published.draws == "soft" else fewest):
            rows = (
                f": {n_codes} codes, {len(published)} rows"
                if published.draws == "soft"
                else f" of the smallest group: {n_codes} codes, {fewest} rows"
            )
            notes.append(
                f"{_LOOSE}{rows}. The bounds hold, and are loose: bring more rows, or fewer codes."
            )
        if self.thorough and fewest < _FEW:
            notes.append(
                "No search over attackers and no repeated draws were tried: they take at least "
                f"{_FEW} rows of each group, and one has {fewest}."
            )
        if max(map(len, published.values)) > _SHOWN:
            notes.append(
                f"Trained attackers tell the {_SHOWN} most frequent values of a column apart and "
                "take the others as one; certificates count all of them."
            )
        if self.target is not None:
            notes += self._notes_on_target(uses, asked)

        return notes

    def made(self, attackers: str) -> Made:
        libraries = ("bitveil", "numpy", "scikit-learn", "torch")
        versions = {"python": platform.python_version()} | {n: version(n) for n in libraries}

        return Made(versions, self.seed, self.delta, attackers, self._checksum())

    def _interval(
        self,
        groups: Tensor,
        k: int,
        certain: Callable[..., float],
        certify: Callable[..., Certificate],
        *,
        share: int = 1,
    ) -> Interval:
        delta, draws = self.delta / share, self.published.draws
        halves = [
            half.table(groups, k) for half in self.published.halves(groups.numpy(), self.seed)
        ]
        whole = self.published.table(groups, k)

        return Interval(
            certain(*halves, delta=delta), certify(whole, delta=delta, draws=draws), delta
        )

    def _odds(self) -> Interval:
        """The gap of equalised odds, from the table over pairs of target and group."""

        return self._within_targets(
            certain_odds,
            certify_odds,
        )

    def _opportunity(self, positive: int) -> Interval:
        """The gap among the rows of one target."""

        return self._within_targets(
            lambda a, b, delta: certain_opportunity(a, b, positive, delta=delta),
            lambda table, **settings: certify_opportunity(table, positive, **settings),
        )

    def _within_targets(
        self, certain: Callable[..., float], certify: Callable[..., Certificate]
    ) -> Interval:
        """Both sides of what compares groups among the rows of a target. Rows without one are a
        target more, which is left out again."""

        assert self.target is not None
        classes, y = len(self.target.values), torch.from_numpy(self.target.numbers)
        pairs = pair_groups(torch.where(y < 0, classes, y), self.s, self.k)

        def cells(table: Tensor) -> Tensor:
            return table.view(classes + 1, self.k, -1)[:classes]

        return self._interval(
            pairs,
            (classes + 1) * self.k,
            lambda a, b, delta: certain(cells(a), cells(b), delta=delta),
            lambda table, **settings: certify(cells(table), **settings),
        )

    def _pairs_are_there(self) -> bool:
        """Whether each group has rows of each target, on both halves."""

        return self._fewest_of_a_pair() >= 2

    def _fewest_of_a_pair(self) -> int:
        """The fewest rows that a group has of one of the target's values."""

        assert self.target is not None
        return int(self._pairs().min())

    def _pairs(self) -> NDArray[np.int64]:
        """How many rows there are of each target and group."""

        assert self.target is not None
        known = self.target.numbers >= 0
        pairs = (self.target.numbers * self.k + self.groups.numbers)[known]

        return np.bincount(pairs, minlength=len(self.target.values) * self.k)

    def _fairness(self) -> str | None:
        """Why there can be no fairness metrics, or None."""

        assert self.target is not None
        if len(self.target.values) != 2:
            return "they are made for targets of two values"
        if self._pairs().min() < _FEW:
            return f"a group has fewer than {_FEW} rows of one of the target's values"

        return "they need fairlearn" if find_spec("fairlearn") is None else None

    def _notes_on_target(self, uses: tuple[Use, ...], asked: _Asked) -> Iterator[str]:
        assert self.target is not None
        if unknown := int((self.target.numbers < 0).sum()):
            yield f"{unknown} rows have no target. They count for the attribute alone."
        if asked.criterion == "independence" and not self._pairs_are_there():
            yield (
                "Equalised odds are not certified: a group has fewer than two rows of one of the "
                "target's values."
            )
        if not uses:
            yield "Use is not scored: one of the target's values has fewer than two rows."
        if self.thorough and (missing := self._fairness()):
            yield f"Fairness metrics were left out: {missing}."

    def _checksum(self) -> str:
        columns = [*self.published.content(), _content(self.groups)]
        if self.target is not None:
            columns.append(_content(self.target))
        if self.published.counts is not None:
            columns.append(pd.Series(self.published.counts))
        digests = row_digests(pd.concat(columns, axis=1, keys=range(len(columns))))

        return hashlib.sha256(digests.tobytes()).hexdigest()


def _sizes(published: Published, groups: Labels) -> list[int]:
    """The number of rows of each group: at least two, or there is no audit."""

    sizes = np.bincount(groups.numbers, published.counts)
    if sizes.min() < 2:
        rare = [groups.values[g] for g in np.flatnonzero(sizes < 2)]
        raise ValueError(
            "An audit judges rows of each group by others of the same and expects at least two of "
            f"each, got one of {rare}. Leave rare groups out, or join them."
        )

    return [int(size) for size in sizes]


def _known(target: Labels) -> NDArray[np.int64]:
    return target.numbers[target.numbers >= 0]


def _halves(labels: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Half of the rows of each label, and the other half."""

    return split_rows(labels, (0.5, 0.5), np.random.RandomState(seed))


def _split(seen: NDArray[Any], labels: NDArray[np.int64], seed: int) -> Split:
    first, second = _halves(labels, seed)

    return Split(seen[first], labels[first], seen[second], labels[second])


def _checks(
    certified: Sequence[tuple[Certificate, tuple[Probe, ...]]],
) -> tuple[Comparison, ...]:
    """Each attacker beside the certificate of what it attacks; delta is divided among them."""

    return tuple(
        within(certificate, probe, delta=certificate.delta / len(probes))
        for certificate, probes in certified
        for probe in probes
    )


def _most_frequent(target: Labels) -> float:
    return float(np.bincount(_known(target)).max() / len(_known(target)))


def _names(sensitive_features: Any) -> tuple[str, ...]:
    """The names of the sensitive columns, or none."""

    if np.ndim(sensitive_features) == 2:
        frame = pd.DataFrame(sensitive_features)
        named = isinstance(sensitive_features, pd.DataFrame)
        return tuple(str(name) if named else f"column {name}" for name in frame)
    name = getattr(sensitive_features, "name", None)

    return () if name is None else (str(name),)


def _path_step(step: Any) -> PathStep:
    return PathStep(
        float(getattr(step, "gap", step.measure)),
        float(step.information) * BITS,
        getattr(step, "score", None),
        step.limit,
        step.certified,
    )


def _content(labels: Labels) -> "pd.Series[Any]":
    """The label of each row, as text."""

    values = np.array([*map(str, labels.values), None], dtype=object)

    return pd.Series(values[labels.numbers])  # the last where a label is missing
