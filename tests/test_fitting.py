"""A fit without the estimator: the same bits, certificate and predictions from its parts."""

import numpy as np
import pytest

from bitveil.coder import draw_names
from bitveil.estimators import InvariantEncoder
from bitveil.fitting import fit_encoder
from bitveil.settings import Settings
from bitveil.training import Training
from builders import leaning_rows, quick

TRAINING = Training(hidden=(8,), epochs=3)


@pytest.mark.parametrize("ids", [None, range(400)])
def test_a_fit_needs_no_estimator(ids):
    X, y, s = leaning_rows()
    settings = {"features": "raw", "max_gap": 0.9, "random_state": 0}
    fitted = fit_encoder(
        Settings(3, training=TRAINING, targets="classes", **settings), X, y, s, ids=ids
    )
    model = quick(**settings).fit(X, y, sensitive_features=s, ids=ids)

    table = fitted.schema.read(X, fitted.coder.features)
    bits = fitted.coder.bits(table, draw_names(table, ids))
    np.testing.assert_array_equal(bits, model.transform(X, ids=ids))
    assert fitted.certificate == model.certificate_
    assert fitted.path == model.path_
    (probabilities,) = fitted.decoder.probabilities(bits)
    np.testing.assert_array_equal(probabilities, model.decode(bits))


def test_settings_that_no_fit_can_have_are_refused_without_the_estimator_too():
    X, y, s = leaning_rows()
    with pytest.raises(ValueError, match="`n_bits` expects a whole number from 1 on, got 0"):
        fit_encoder(Settings(0), X, y, s)
    with pytest.raises(ValueError, match="need a target"):
        fit_encoder(Settings(criterion="separation"), X, None, s)


def test_settings_do_not_show_the_key():
    key = b"a secret of sixteen bytes"

    assert key.decode() not in repr(Settings(key=key))
    assert key.decode() not in repr(InvariantEncoder(key=key).settings())
