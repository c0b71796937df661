"""Builders: estimators from flat settings, of which some belong to the training."""

import inspect

from bitveil.training import Training

_TRAINING = set(inspect.signature(Training).parameters)


def build(cls, *n_bits, **settings):
    """An unfitted estimator; the settings of the training go where they belong."""

    training = {name: settings.pop(name) for name in list(settings) if name in _TRAINING}
    if training:
        settings["training"] = Training(**training)

    return cls(*n_bits, **settings)
