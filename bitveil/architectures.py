"""Architectures: which encoder a fit trains, cells or a network, and what reads its bits."""

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bitveil.batches import Rows, batch_rows
from bitveil.cells import PosteriorColumns
from bitveil.coder import frozen_layers
from bitveil.decoders import Decoder, class_counts, target_tables
from bitveil.features import Features
from bitveil.goals import Goal
from bitveil.measures import Measure
from bitveil.networks import Decoding, Encoding
from bitveil.processes import is_first
from bitveil.rows import Sample
from bitveil.schema import Schema
from bitveil.settings import LISTED, Settings
from bitveil.tasks import DecoderTask
from bitveil.trainers import Candidate, CellTrainer, Trainer
from bitveil.training import Training

__all__ = ["Start", "decoder_of", "decoding_for", "trainer_for"]

DRAWS = 1024
"""The most draws of a batch where codes are drawn."""


@dataclass(frozen=True)
class Start:
    """The networks and the key that a fit starts from: those of the fit before."""

    encoder: nn.Module | None = None
    decoder: nn.Module | None = None
    key: bytes | None = None


def trainer_for(
    settings: Settings,
    schema: Schema,
    features: Features,
    rows: Rows,
    start: Start,
    seed: int,
    held_out: float,
) -> Trainer | CellTrainer:
    """How encoders are trained for these rows: as cells where these can be best, or networks.

    `held_out` is how many rows certify for each row to fit and to select.
    """

    positive = settings.positive_number(schema.target)
    measure = Measure(
        settings.measure, settings.criterion, settings.engine, settings.prior, positive, DRAWS
    )
    training = copy(settings.training)
    # Progress bars of several processes would overlap.
    if settings.n_jobs not in (None, 1) or not is_first():
        training.set_params(verbose=0)
    goal = settings.goal(schema.target)
    if goal is not None and _has_cells(settings, schema, features, goal, measure):
        columns = _posterior_columns(schema, features)
        certified = replace(measure, reading=goal.reading, prior="empirical")
        term = settings.target_term
        return CellTrainer(columns, settings.n_bits, term, certified, training, seed, held_out)

    return _network_trainer(settings, schema, measure, training, rows, start, seed)


def _has_cells(
    settings: Settings, schema: Schema, features: Features, goal: Goal, measure: Measure
) -> bool:
    """Whether the encoder sees nothing but posteriors, and may be of any form.

    Cells of any number of groups are charged for what is certified, where a person asked for it
    or for what is the same of two groups.
    """

    own = settings.training.encoder is not None or settings.training.decoder is not None
    serves = settings.serves(schema.target) and goal.is_limited_by(measure, k=2)

    return features.kind == "posterior" and serves and settings.listed and not own


def _posterior_columns(schema: Schema, features: Features) -> PosteriorColumns:
    scaler = features.scaler_

    return PosteriorColumns(
        features.blocks_, len(schema.target.kinds), scaler.mean_, scaler.scale_
    )


def _network_trainer(
    settings: Settings,
    schema: Schema,
    measure: Measure,
    training: Training,
    rows: Rows,
    start: Start,
    seed: int,
) -> Trainer:
    hidden, shape = tuple(training.hidden), tuple(rows.x.shape[1:])
    encoding = Encoding(settings.training.encoder, shape, settings.n_bits, hidden, start.encoder)
    if settings.training.encoder is not None:
        encoding.check(rows.x[:2])
    listed_bits = min(settings.n_bits, LISTED)
    most = batch_rows(listed_bits, rows.n_strata * rows.n_groups << listed_bits)
    batch_size = most if training.batch_size == "auto" else training.batch_size
    if settings.certifies:
        batch_size = training.limited_batch(len(rows), batch_size)
    decoding = decoding_for(settings, schema, rows, start)
    if training.decoder is not None:
        decoding.check()
    gap = _gap(settings, measure, rows.n_groups)
    epochs = training.n_epochs(len(rows), batch_size)
    scored = decoding.task != "columns"

    return Trainer(encoding, decoding, measure, gap, training, epochs, batch_size, seed, scored)


def _gap(settings: Settings, measure: Measure, n_groups: int) -> Measure:
    """The measure that orders encoders: the one through which the goal is certified."""

    overlap = settings.max_information is not None and settings.listed and n_groups > 2

    return replace(
        measure,
        reading="doeblin_complement" if overlap else "total_variation",
        engine="exact" if settings.listed else "sampled",
        prior="empirical",
    )


def decoding_for(settings: Settings, schema: Schema, rows: Rows, start: Start) -> Decoding:
    """How bits are read in training: through their table where it tells all, or by a network."""

    numbers = 0 if rows.values is None else rows.values.shape[1]
    training, task = settings.training, settings.task_for(schema.target, schema.shape)

    return Decoding(
        task,
        training.decoder is not None or not settings.listed,
        training.decoder,
        settings.n_bits,
        sum(rows.n_labels) + numbers,
        tuple(training.hidden),
        settings.listed and not numbers,
        start.decoder,
        settings.term_for(schema.target, schema.shape),
        len(rows.n_labels) if task == "columns" and not settings.certifies else 1,
    )


def decoder_of(
    settings: Settings,
    schema: Schema,
    sample: Sample,
    chosen: Candidate,
    parts: dict[str, Rows],
    rows: dict[str, NDArray[np.int64]],
    key: bytes,
    share: float,
) -> Decoder:
    """The decoder that was trained along, or the tables of the rows to fit and to select."""

    known = [name for name in ("fit", "select") if name in parts]
    network = chosen.task.decoder if isinstance(chosen.task, DecoderTask) else None
    tables: dict[str, Tensor] = {}
    if network is None and settings.serves(schema.target):
        batches = []
        for name in known:
            names = sample.named[rows[name]]
            with frozen_layers(chosen.encoder, names, key), torch.no_grad():
                doubled = replace(parts[name], x=parts[name].x.double())
                batches.append(doubled.batch(chosen.encoder))
        tables = target_tables(batches)
    elif settings.serves(schema.target) and share < 1:
        tables = class_counts([parts[name] for name in known])

    return Decoder(schema.target, settings.n_bits, network, tables, share < 1)
