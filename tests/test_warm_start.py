"""Warm starts, the largest batch, and encoders that are trained at once."""

from functools import partial

import numpy as np
import pytest
import torch

from builders import assert_equal_fits, changed, quick
from builders import leaning_rows as world

encoder = partial(quick, epochs=6, batch_size=100)

# Warm starts


def test_a_warm_start_goes_on_from_the_weights_with_the_key():
    X, y, s = world()
    model = encoder(warm_start=True, random_state=None, strength=0.0, learning_rate=1e-9)
    first = model.fit(X, y, sensitive_features=s).logits(X), model.coder_.key
    second = model.fit(X, y, sensitive_features=s).logits(X), model.coder_.key
    cold = model.set_params(training__warm_start=False).fit(X, y, sensitive_features=s)

    assert second[1] == first[1]
    assert second[0] == pytest.approx(first[0], abs=0.3)  # the scaling is of other rows
    assert np.abs(cold.logits(X) - first[0]).max() > 0.3
    assert cold.coder_.key != first[1]


def test_a_warm_start_with_the_same_seed_and_no_learning_changes_nothing():
    X, y, s = world()
    model = encoder(warm_start=True, n_bits=20, learning_rate=1e-30)
    before = model.fit(X, y, sensitive_features=s).predict_proba(X)
    weights = model.coder_.encoder[0].weight.clone()
    model.fit(X, y, sensitive_features=s)

    torch.testing.assert_close(model.coder_.encoder[0].weight, weights, rtol=0, atol=1e-7)
    np.testing.assert_allclose(model.predict_proba(X), before, atol=1e-6)


def test_a_key_that_is_given_goes_before_the_one_of_the_fit_before():
    X, y, s = world()
    model = encoder(warm_start=True).fit(X, y, sensitive_features=s)
    model.set_params(key=b"another secret key").fit(X, y, sensitive_features=s)

    assert model.coder_.key == b"another secret key"


@pytest.mark.parametrize("settings", [{"n_bits": 4}, {"hidden": (9,)}, {"hidden": (8, 8)}])
def test_a_warm_start_from_another_shape_is_refused(settings):
    X, y, s = world()
    model = encoder(warm_start=True, strength=1.0).fit(X, y, sensitive_features=s)

    with pytest.raises(ValueError, match="`warm_start` expects a network of the same shape"):
        changed(model, **settings).fit(X, y, sensitive_features=s)


def test_a_warm_start_from_other_columns_is_refused():
    X, y, s = world()
    model = encoder(warm_start=True).fit(X, y, sensitive_features=s)

    with pytest.raises(ValueError, match="`warm_start` expects a network of the same shape"):
        model.fit(np.column_stack([X, X]), y, sensitive_features=s)


# Batches and jobs


def test_the_largest_batch_that_there_is_room_for_is_all_of_few_rows():
    X, y, s = world()
    auto, all_rows = (
        encoder(batch_size=size).fit(X, y, sensitive_features=s) for size in ("auto", 10_000)
    )

    assert_equal_fits(auto, all_rows, X)


def test_two_jobs_do_what_one_does():
    X, y, s = world(600)
    one, two = (
        encoder(max_gap=0.8, epochs=2, n_jobs=jobs).fit(X, y, sensitive_features=s)
        for jobs in (1, 2)
    )

    assert_equal_fits(two, one, X)


@pytest.mark.filterwarnings("ignore:There are more drawn codes")
def test_two_jobs_do_what_one_does_where_codes_are_drawn():
    X, y, s = world(600)
    goal = {"max_gap": 1.0, "epochs": 2, "n_bits": 17}
    one, two = (encoder(**goal, n_jobs=jobs).fit(X, y, sensitive_features=s) for jobs in (1, 2))

    assert_equal_fits(two, one, X)


def test_two_jobs_keep_their_checkpoints_apart(tmp_path):
    X, y, s = world(600)
    goal = {"max_gap": 0.8, "epochs": 2}
    two = encoder(**goal, n_jobs=2, checkpoint=tmp_path).fit(X, y, sensitive_features=s)
    one = encoder(**goal, checkpoint=tmp_path).fit(X, y, sensitive_features=s)

    assert len(list(tmp_path.glob("limit-*.pt"))) == 5
    assert_equal_fits(two, one, X)
