"""Audits: of codes that anybody made, or of a table of counts."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bitveil.audits.attacks import Comparison, within
from bitveil.audits.follows import follows
from bitveil.audits.held_out import AuditSettings, HeldOut, attribute_names, known
from bitveil.audits.notes import loose_bounds, notes_on
from bitveil.audits.probes import Probe
from bitveil.audits.published import PublishedCodes
from bitveil.audits.record import Audit, Column, PathStep
from bitveil.certificates.quantities import gap_of
from bitveil.certificates.upper import Certificate
from bitveil.columns.labels import MOST_VALUES, Labels, as_frame, number_labels
from bitveil.criteria import CRITERIA, Criterion, compares_within_strata
from bitveil.entropies import group_entropy
from bitveil.information import BITS, attack_accuracy, mutual_information
from bitveil.quotes import quoted
from bitveil.steps import OnStep, listening, say_step
from bitveil.workers import one_thread

__all__ = ["audit", "audit_table"]

_Moved: TypeAlias = "tuple[NDArray[np.float64] | None, Sequence[str]]"

_SAMPLED = 100_000  # the rows of a table of counts that attackers see


@one_thread()
def audit(
    codes: Any,
    sensitive_features: ArrayLike,
    y: ArrayLike | None = None,
    *,
    logits: ArrayLike | None = None,
    ids: Any = None,
    share: float = 1.0,
    certain: bool = False,
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
    progress: OnStep | None = None,
) -> Audit:
    """Audit codes that anybody made, on rows used neither in training nor in selection.

    For an encoder of bitveil, `model.audit(X, y, sensitive_features=...)` does all of this with
    the groups, bins and targets of the fit.

    Codes are counted as they were published. Expected counts, which are less coarse, come from
    `logits`, and only for rows that each have a name of their own. Without names, rows of equal
    content share a draw, and the published codes can reveal more than their probabilities do.

    Arguments:
        codes: What was published: an array of bits with shape (n, m), or any discrete values, in
            one column or in several that are published together, such as the number of a cluster
            or a postcode. None: they are drawn from the logits.
        sensitive_features: The sensitive attribute of each row, in one column or several.
        y: The target of each row, for classifiers of it, or None. A row whose target is missing
            counts only for the sensitive attribute.
        logits: The logits of the bits, with shape (n, m), together with `ids`.
        ids: The name of each row, by which its code was drawn. No two rows may have the same.
        share: The probability that a row gets a code. Below 1 the bits have one column more, which
            is 1 where a row is blank. In a DataFrame a column "blank" is read as such a column.
        certain: Whether the encoder of the `logits` gives every row one code for certain, and will
            give new rows one too. Certificates then have the smaller slack of drawn codes: see
            `bitveil.audits.published`. Say it of the encoder only, and not because the logits of
            these rows look so.
        criterion: Whose gap comes first: with `"independence"` the parity gap, with `"separation"`
            that of equalised odds, with `"equal_opportunity"` that among rows whose target is
            `positive`.
        positive: The value of the target that is the opportunity; None: the last one.
        goal: The gap that the codes had to keep to, printed beside the certified one.
        delta: The probability that the certificate may be wrong; the same for `certain_gap`.
        random_state: The seed of the draws and of the halves for the attackers.
        attackers: `"quick"`: linear and boosting. `"all"`: all families with bootstrap intervals,
            a search over their settings, and repeated draws. That takes minutes.
        n_jobs: How many attackers are trained at once; None: one.
        encode: The encoder as a function from rows to logits, or to discrete codes. With `X` the
            audit finds which columns each bit follows.
        X: The rows, as `encode` takes them.
        path: The encoders among which this one was chosen: `path_` of an estimator.
        notes: What else a reader must know.
        progress: Called with what is being done, and 0: see `bitveil.steps`.

    Raises:
        ValueError: If there are no codes, lengths differ, logits come without names, two rows have
            the same name, a value is missing, the share is no probability, `certain` logits leave
            a bit to chance, there are fewer than two groups, or one of them has fewer than two
            rows.

    Warns:
        UserWarning: If there are more codes than rows: the bounds hold, but they are loose.

    Example:
        >>> trap = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (500, 1))
        >>> found = audit(trap, trap[:, 0] ^ trap[:, 1])
        >>> round(found.information_bits, 3), round(found.neuron_information_bits, 3)
        (1.0, 0.0)
        >>> [(p.family, round(p.auc, 1)) for p in found.attackers]
        [('linear', 0.5), ('boosting', 1.0)]
        >>> print(found.meaning.revealing)
        bit 0 and bit 1 together reveal 1.0000 of 1.0000 bits; alone 0.0000 and 0.0000
    """
    _check_choice("attackers", attackers, ("quick", "all"))
    _check_choice("criterion", criterion, CRITERIA)
    published = PublishedCodes.of(
        codes, logits, ids, seed=random_state, share=share, certain=certain
    )
    groups = number_labels(
        "sensitive_features", sensitive_features, len(published), most=MOST_VALUES
    )
    target = None if y is None else _labels(y, len(published))
    settings = AuditSettings(delta, random_state, attackers == "all", n_jobs)
    rows = HeldOut(published, groups, target, settings)
    asked = _Asked(criterion, _positive(criterion, positive, target), goal)
    with listening(progress):
        moved: _Moved = (None, ())
        if encode is not None and X is not None:
            say_step("finding the columns that the codes follow")
            moved = follows(encode, X, seed=random_state)

        return _audit(
            rows,
            rows,
            asked,
            columns=rows.columns(sensitive_features),
            sensitive=attribute_names(sensitive_features),
            target_name=None if y is None else str(getattr(y, "name", None) or "target"),
            moved=moved,
            path=path,
            notes=notes,
            attackers=attackers,
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
    progress: OnStep | None = None,
) -> Audit:
    """Audit a code from a table of counts: how many rows of each group have each code.

    Arguments:
        table: The counts, whole numbers with shape (k, c). A DataFrame has the groups as index and
            the codes as columns.
        groups: The groups; None: those of the DataFrame, or numbers.
        codes: The codes; None: those of the DataFrame, or numbers.
        delta: The probability that the certificate may be wrong.
        random_state: The seed of the halves, of the sample of rows and of the attackers.
        attackers: `"quick"` or `"all"`, as for `audit`. From more than 100,000 rows they get a
            sample.
        n_jobs: How many attackers are trained at once; None: one.
        progress: Called with what is being done, and 0: see `bitveil.steps`.

    Raises:
        ValueError: If the counts are not whole numbers from 0 on, a group has no rows, or the
            names do not fit.

    Example:
        >>> found = audit_table([[600, 400], [500, 500]], ["f", "m"])
        >>> found.sizes, round(found.total_variation, 3), round(found.certificate.bound, 4)
        ((1000, 1000), 0.1, 0.1381)
    """

    _check_choice("attackers", attackers, ("quick", "all"))
    frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(np.atleast_2d(table))
    names = list(frame.index) if groups is None else list(groups)
    values = list(frame.columns) if codes is None else list(codes)
    published, s = PublishedCodes.of_counts(_checked_counts(frame, names, values), values)
    settings = AuditSettings(delta, random_state, attackers == "all", n_jobs)
    labels = number_labels("groups", pd.Series(pd.Index(names)[s]), len(s), most=MOST_VALUES)
    whole = HeldOut(published, labels, None, settings)
    single, t = published.sampled(labels.numbers, _SAMPLED, random_state)
    rows = HeldOut(single, Labels(labels.values, t), None, settings)
    name = frame.index.name

    with listening(progress):
        return _audit(
            whole,
            rows,
            _Asked("independence", None, None),
            sensitive=() if name is None else (str(name),),
            target_name=None,
            notes=_notes_on_sample(published, single),
            attackers=attackers,
        )


def _checked_counts(
    frame: pd.DataFrame, names: Sequence[Any], values: Sequence[Any]
) -> NDArray[np.int64]:
    """The counts as whole numbers, with a name for each group and each code."""

    counts = frame.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if not (counts >= 0).all() or (counts != np.round(counts)).any() or counts.max() >= 2**53:
        raise ValueError(
            "`audit_table` expects how many rows of each group have each code, whole numbers from "
            "0 to 2^53. For expected counts use `certify`."
        )
    if (len(names), len(values)) != counts.shape:
        raise ValueError(
            f"`audit_table` expects a name for each of {counts.shape[0]} groups and "
            f"{counts.shape[1]} codes, got {len(names)} and {len(values)}."
        )
    if empty := [name for name, size in zip(names, counts.sum(1), strict=True) if not size]:
        raise ValueError(
            f"`audit_table`: the groups {quoted(empty)} have no rows. Leave them out."
        )

    return counts.astype(np.int64)


class _Asked(NamedTuple):
    """What comes first: the criterion, the number of the positive target, and the goal."""

    criterion: Criterion
    positive: int | None
    goal: float | None


def _audit(
    whole: HeldOut,
    rows: HeldOut,
    asked: _Asked,
    *,
    columns: tuple[Column, ...] = (),
    sensitive: tuple[str, ...],
    target_name: str | None,
    moved: _Moved = (None, ()),
    path: Iterable[Any] = (),
    notes: Sequence[str] = (),
    attackers: str,
) -> Audit:
    """The record of an audit: certificates are read from the whole, attackers see single rows.

    Both are the same rows, except for a large table of counts, of which the rows are a sample.
    """

    say_step("counting codes")
    groups, published = whole.labels, whole.published
    table = published.tables(whole.s, whole.k).groups
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There are more drawn codes")  # said once, below
        parity, intervals = whole.intervals(asked.criterion, asked.positive or 0)
    gap = parity.certificate
    probes = rows.attack(rows.labels)
    uses = rows.uses([interval.certificate for interval in intervals])
    information, variation = whole.left_out()
    if loose := loose_bounds(whole):
        warnings.warn(loose, stacklevel=4)  # past the block of one thread
    target = whole.target

    return Audit(
        n_rows=len(published),
        n_bits=len(published.code_parts),
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
        share=published.share,
        n_blank=int((~published.shown).sum()),
        published_gap=whole.published_gap(intervals[0].certificate.quantity),
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
        notes=(*notes_on(whole, uses, asked.criterion), *notes),
        made=whole.made(attackers),
        target_values=() if target is None else tuple(target.values.tolist()),
    )


def _notes_on_sample(published: PublishedCodes, single: PublishedCodes) -> list[str]:
    if len(single) == len(published):
        return []
    return [
        f"Attackers and the meaning of codes are based on a random {len(single)} of the "
        f"{len(published)} rows, with more of the rare groups. Certificates count all rows."
    ]


def _labels(y: Any, n: int) -> Labels:
    """The values of the target and the number of each row's value, -1 where it is missing."""

    frame = as_frame("y", y, n)
    known = frame.notna().all(axis=1).to_numpy()
    values, numbers = number_labels("y", frame[known], int(known.sum()), most=MOST_VALUES)
    of_all = np.full(n, -1, dtype=np.int64)
    of_all[known] = numbers

    return Labels(values, of_all)


def _positive(criterion: Criterion, positive: Any, target: Labels | None) -> int | None:
    """The number of the positive target, for a criterion that needs it."""

    if not compares_within_strata(criterion):
        return None
    if target is None:
        raise ValueError(f"`criterion={quoted(criterion)}` compares rows of one target: give `y`.")
    values = target.values.tolist()
    if gap_of(criterion).positive is None:
        return None
    if positive is not None and positive not in values:
        raise ValueError(f"`positive` expects one of {quoted(values)}, got {quoted(positive)}.")

    return len(values) - 1 if positive is None else values.index(positive)


def _checks(
    certified: Sequence[tuple[Certificate, tuple[Probe, ...]]],
) -> tuple[Comparison, ...]:
    """Each attacker beside the certificate of what it attacks. Delta is divided among them."""

    return tuple(
        within(certificate, probe, delta=certificate.delta / len(probes))
        for certificate, probes in certified
        for probe in probes
    )


def _most_frequent(target: Labels) -> float:
    return float(np.bincount(known(target)).max() / len(known(target)))


def _path_step(step: Any) -> PathStep:
    return PathStep(
        float(getattr(step, "gap", step.measure)),
        float(step.information) * BITS,
        getattr(step, "score", None),
        step.limit,
        step.certified,
    )


def _check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"`{name}` expects one of {list(known)}, got {quoted(value)}.")
