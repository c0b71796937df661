"""Fingerprints: which fit a checkpoint belongs to."""

import hashlib

import numpy as np

from bitveil.frozen import row_digests
from bitveil.networks import network_digest
from bitveil.rows import Sample
from bitveil.settings import Settings

__all__ = ["fingerprint"]


def fingerprint(settings: Settings, sample: Sample) -> str:
    """A digest of the settings and rows of a fit, by which its checkpoints are known."""

    aside = {"key", "n_jobs", "training"}
    training_aside = {"after_epoch", "checkpoint", "verbose", "encoder", "decoder"}
    said = {name: value for name, value in vars(settings).items() if name not in aside}
    training = settings.training.get_params(deep=False)
    said |= {name: value for name, value in training.items() if name not in training_aside}
    content = hashlib.sha256(repr(sorted(said.items())).encode())
    for network in (settings.training.encoder, settings.training.decoder):
        content.update(network_digest(network))
    weights = np.zeros(0) if sample.weights is None else sample.weights
    for part in (row_digests(sample.table), sample.labels, sample.values, sample.s, weights):
        content.update(np.ascontiguousarray(part).tobytes())

    return content.hexdigest()
