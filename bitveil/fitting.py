"""Fitting: columns, rows, trained encoders, a certificate, and the record of them all."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from bitveil.architectures import Start, decoder_of, decoding_for, trainer_for
from bitveil.audits.prices import Price
from bitveil.batches import Rows
from bitveil.certificates.compared import UncertifiableError
from bitveil.certificates.upper import Certificate
from bitveil.coder import Coder, count_codes
from bitveil.columns.contents import Contents, column_classes
from bitveil.columns.table import Table
from bitveil.decoders import Decoder
from bitveil.features import Features, folds_for
from bitveil.fingerprints import fingerprint
from bitveil.folders import check_mark
from bitveil.frozen import Secret, name_digests, row_digests
from bitveil.goals import Goal
from bitveil.group_tables import GroupTables
from bitveil.leaks import leaks, look_alikes, warned
from bitveil.pricing import fit_price
from bitveil.processes import check_same_work, is_first, is_launched
from bitveil.quotes import quoted
from bitveil.remarks import remarks, small_groups
from bitveil.repeats import UsedRows, check_ids
from bitveil.rows import Sample, check_weights, conditions
from bitveil.schema import Schema
from bitveil.search import search
from bitveil.settings import Settings
from bitveil.specimens import specimens
from bitveil.spills import Spill
from bitveil.trainers import CellTrainer, Step
from bitveil.training import History
from bitveil.tries import Before, Tries, counting, next_try

__all__ = ["Fitted", "fit_encoder"]


@dataclass(frozen=True)
class Fitted:
    """A fitted encoder, and what is known about it.

    Attributes:
        schema: How tables, targets and sensitive attributes are read.
        coder: From a table to bits.
        decoder: From bits to answers; without network and tables where there is no target.
        certificate: The certificate, or None where no goal had to be certified.
        path: Every encoder that was trained.
        history: The training of the chosen one.
        rows: The numbers of the rows for `"fit"`, `"select"` and `"certify"`.
        used: Digests of these rows.
        specimens: Rows that belong to nobody, for `load` to try.
        n_outputs: How many logits and numbers a decoding network has.
        remarks: What a person must know about the fit, in sentences.
        price: What protection costs, or None where it was not measured.
        group_sizes: How many rows each group has; None if an older folder does not say.
        tries: How often a goal was tried on the same rows: see `bitveil.tries`.
    """

    schema: Schema
    coder: Coder
    decoder: Decoder
    certificate: Certificate | None
    path: list[Step]
    history: History
    rows: dict[str, NDArray[np.int64]]
    used: UsedRows
    specimens: Table
    n_outputs: int
    remarks: tuple[str, ...]
    price: Price | None = None
    group_sizes: dict[Any, int] | None = None
    tries: Tries = Tries()  # noqa: RUF009 - it cannot be changed


def fit_encoder(
    settings: Settings,
    X: Any,
    y: Any,
    sensitive_features: Any,
    *,
    sample_weight: Any = None,
    ids: Any = None,
    start: Start | None = None,
    others: Callable[[Schema, Features], Spill] | None = None,
    before: Before | None = None,
) -> Fitted:
    """Fit an encoder: the whole way from a person's columns to a certificate.

    Arguments:
        settings: What to fit.
        X: The table, with shape (n, columns), or images.
        y: The target, or None.
        sensitive_features: The sensitive attribute.
        sample_weight: How much each row counts, or None.
        ids: A name for each row, or None.
        start: Networks and key to start from, or None.
        others: Prepares other rows, all of which certify. None: some of the given rows do.
        before: The fit before, if this is not the first try of a goal; None: none.

    Raises:
        UncertifiableError: If no code meets the goal with these rows.
        ValueError: If settings or input are not as described, or rows are copies of each other.
    """

    settings.check()
    settings.check_target(y)
    _check_seed(settings)

    # From columns to numbered rows, and a part of the rows for each use.
    schema, sample = _read(settings, X, y, sensitive_features, sample_weight, ids)
    _check_same_fit(settings, sample)
    rng = _generator(settings.random_state)
    positive = settings.positive_number(schema.target)
    said = warned(look_alikes(schema, sample))
    own = settings.certifies and others is None
    rows = sample.split(settings.criterion, positive, rng, certify=own)
    seed = int(rng.randint(2**31))
    known = np.sort(np.concatenate([rows["fit"], rows["select"]]))
    said += warned(leaks(schema, sample, known, seed))
    start = start or Start()
    key = _key(settings, start, rng)

    # Refuse what cannot be met before anything is trained.
    goal = settings.goal(schema.target)
    tries, on_tries = (Tries() if before is None else before.tries), None
    draws = "certain" if settings.listed and sample.names is not None else "hard"
    if goal is not None:
        sample.check_copies()
        tries, on_tries = next_try(before, sample.contents, sample.names, goal.delta)
        goal = replace(goal, delta=tries.level(goal.delta))
        if own:
            _check_possible(settings, schema, goal, sample.sizes(rows["certify"]), draws)
    if settings.training.checkpoint is not None and is_first():
        check_mark(Path(settings.training.checkpoint), fingerprint(settings, sample))

    # From rows to trained encoders, and from those to the one that is certified.
    features, parts = _features(settings, schema, sample, rows, seed)
    n_outputs = decoding_for(settings, schema, parts["fit"], start).n_outputs
    held_out_share = len(rows["certify"]) / len(known) if own else 1.0
    trainer = trainer_for(settings, schema, features, parts["fit"], start, seed, held_out_share)
    if draws == "certain" and not isinstance(trainer, CellTrainer):
        draws = "soft"
        if goal is not None and own:  # their slack is larger
            _check_possible(settings, schema, goal, sample.sizes(rows["certify"]), draws)
    share, sizes = 1.0, None
    if goal is None:
        chosen = trainer(settings.weight, parts["fit"], parts["select"])
        certificate, path = None, [chosen.step]
    else:
        names = {use: sample.named[numbers] for use, numbers in rows.items()}
        count = {
            use: partial(count_codes, rows=parts[use], names=names[use], key=key) for use in rows
        }
        if others is None:
            sizes, held_out = sample.sizes(rows["certify"]), count["certify"]
        else:
            spill = others(schema, features)
            sizes, held_out = spill.sizes, partial(spill.count, key=key)
            _check_possible(settings, schema, goal, sizes, draws)
        seen = sample.by_weight(rows["select"], rng)
        drawn = partial(
            count_codes,
            rows=parts["select"][torch.from_numpy(np.searchsorted(rows["select"], seen))],
            names=sample.named[seen],
            key=key,
            draws="hard",
        )
        with counting(tries):
            chosen, certificate, path = search(
                trainer,
                goal,
                parts["fit"],
                parts["select"],
                partial(held_out, draws=draws),
                rows=sizes,
                draws=draws,
                drawn=drawn,
                dilute=settings.on_unmet == "dilute",
                n_jobs=settings.n_jobs if settings.training.devices == 1 else 1,
            )
        share = certificate.share
    shape = tuple(parts["fit"].x.shape[1:])
    coder = Coder(features, chosen.encoder, key, settings.n_bits, shape, share)
    decoder = partial(
        decoder_of, settings, schema, sample, chosen, rows=rows, key=key, share=share
    )
    answering = decoder(parts)
    price = fit_price(
        settings,
        schema.target,
        sample,
        coder,
        lambda: answering if "certify" in parts else decoder({"fit": parts["fit"]}),
        parts,
        rows,
    )

    return Fitted(
        schema,
        coder,
        answering,
        certificate,
        path,
        chosen.history,
        rows,
        UsedRows.of(sample.contents, sample.names, secrets.token_bytes(32)),
        schema.again(specimens(sample.table, features)),
        n_outputs,
        (
            *said,
            *remarks(schema, features.scores_, chosen.step, certificate, price, draws=draws),
            *filter(None, [on_tries]),
        ),
        price,
        sample.group_sizes(None if own else sizes),
        tries,
    )


def _check_possible(
    settings: Settings, schema: Schema, goal: Goal, rows: GroupTables, draws: str
) -> None:
    """Refuse a goal that these rows cannot certify, if no row may stay blank."""

    if settings.on_unmet != "raise":
        return
    try:
        goal.check_possible(rows, draws=draws)
    except UncertifiableError as error:
        cells = rows.compared_rows(goal.criterion, goal.positive).tolist()
        groups = schema.grouping.values.tolist()
        said = small_groups(groups, cells, goal.limit, goal.delta, draws)
        if goal.quantity != "gap" or said is None:
            raise
        raise UncertifiableError(f"{error} {said}") from error


def _check_seed(settings: Settings) -> None:
    """Refuse a fit that every process would do with other random numbers."""

    seed = settings.random_state
    if settings.training.devices > 1 and is_launched() and not isinstance(seed, int | np.integer):
        raise ValueError(
            "A fit in several processes (`devices` above 1, under a launcher) needs a whole "
            f"number as `random_state`, so that all do the same, got {quoted(seed)}."
        )


def _check_same_fit(settings: Settings, sample: Sample) -> None:
    """Refuse processes that fit other rows, settings or keys."""

    training = settings.training
    if training.devices > 1 and is_launched():
        names = np.zeros(0) if sample.names is None else sample.names
        said = hashlib.sha256(fingerprint(settings, sample).encode() + (settings.key or b""))
        said.update(np.ascontiguousarray(names).tobytes())
        check_same_work(training.devices, training.device, said.digest())


def _read(
    settings: Settings, X: Any, y: Any, sensitive_features: Any, sample_weight: Any, ids: Any
) -> tuple[Schema, Sample]:
    """Check and number what was given."""

    schema, table, labels, values, groups = Schema.fit(
        X,
        y,
        sensitive_features,
        targets=settings.targets,
        bins=settings.bins,
        missing_target=settings.missing_target,
        missing_sensitive=settings.missing_sensitive,
    )
    weights = check_weights(sample_weight, len(table))
    strata = conditions(labels, values, settings.criterion, settings.bins)
    names = None if ids is None else name_digests(ids, len(table))
    if ids is not None:
        check_ids(ids, len(table))
    known = schema.grouping.values

    return schema, Sample(
        table, labels, values, groups, known, *strata, weights, row_digests(table), names
    )


def _key(settings: Settings, start: Start, rng: np.random.RandomState) -> bytes:
    """The key of the draws: the given one, that of the fit before, or a new one."""

    drawn = secrets.token_bytes(32) if settings.random_state is None else rng.bytes(32)
    if settings.key is not None:
        return Secret(settings.key)

    return Secret(drawn if start.key is None else start.key)


def _features(
    settings: Settings,
    schema: Schema,
    sample: Sample,
    rows: dict[str, NDArray[np.int64]],
    seed: int,
) -> tuple[Features, dict[str, Rows]]:
    """Fit the features, and prepare the rows of each use.

    The rows to fit and to select teach the features together, and get posteriors that are out of
    fold: no row teaches the models that predict it.
    """

    task = settings.task_for(schema.target, schema.shape)
    kind = _feature_kind(settings, task, sample.table)
    known = np.sort(np.concatenate([rows["fit"], rows["select"]]))
    features = Features(
        kind,
        posteriors=settings.posteriors,
        folds=folds_for(len(known)),
        random_state=seed,
        n_jobs=settings.n_jobs,
    )
    table = _take(sample.table, known)
    contents = column_classes(table) if task == "columns" else None
    fitted = features.fit_transform(
        table,
        *sample.posteriors(settings.criterion, known),
        sample_weight=None if sample.weights is None else sample.weights[known],
    )
    parts = {}
    for name, numbers in rows.items():
        if name == "certify":
            x = features.transform(_take(sample.table, numbers))
        else:
            x = fitted[np.searchsorted(known, numbers)]
        parts[name] = sample.rows(
            numbers,
            torch.from_numpy(x),
            targets=task == "target",
            weighted=name != "certify",  # the rows for certification are thinned instead
        )
        if contents is not None and name != "certify":  # those rows teach nothing
            parts[name] = _with_contents(parts[name], contents, np.searchsorted(known, numbers))
        if task == "reconstruction":
            parts[name] = _reconstructed(parts[name], features)

    return features, parts


def _feature_kind(
    settings: Settings, task: str, table: Table
) -> Literal["posterior", "raw", "both"]:
    if settings.features == "posterior" and task in ("columns", "reconstruction"):
        raise ValueError(
            f"A code for the table itself (`task={quoted(task)}`) needs raw features, got "
            "`features='posterior'`. Use 'both' or 'raw'."
        )
    if settings.features != "auto":
        return settings.features
    if settings.training.encoder is not None or np.ndim(table) > 2:
        return "raw"

    return "posterior" if task == "target" else "both"


def _with_contents(rows: Rows, contents: Contents, places: NDArray[np.int64]) -> Rows:
    """The same rows with the columns of their table as targets."""

    labels = torch.from_numpy(contents.labels[places])

    return replace(rows, labels=labels, n_labels=contents.n_labels)


def _reconstructed(rows: Rows, features: Features) -> Rows:
    """The same rows with their raw features, which stand last, as targets."""

    return replace(rows, values=rows.x.flatten(1)[:, -features.n_raw_ :])


def _generator(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    """scikit-learn's generator; without a seed a new one, from the system's randomness."""

    return np.random.RandomState() if random_state is None else check_random_state(random_state)


def _take(table: Table, rows: NDArray[np.int64]) -> Table:
    return table.iloc[rows] if isinstance(table, pd.DataFrame) else table[rows]
