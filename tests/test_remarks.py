"""Remarks: a fit says where its codes are of no use, why, and what would help."""

import numpy as np
import pytest

from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier, load
from builders import KEY, build, leaning_rows


def fitted(X, y, s, **settings):
    model = build(InvariantClassifier, 2, random_state=0, key=KEY, **settings)

    return model.fit(X, y, sensitive_features=s, ids=range(len(X)))


@pytest.fixture(scope="module")
def model():
    """An encoder of noise. The tests only read it."""

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 3)), (rng.random(600) < 0.3).astype(int)

    return fitted(X, y, rng.integers(2, size=600), max_gap=0.2)


def test_columns_without_signal_are_named_as_the_reason(model):
    assert any("hardly predict the target: log-loss" in said for said in model.remarks_)
    assert any("no answer from them clearly beats a constant" in said for said in model.remarks_)
    assert any("Other columns or more rows" in said for said in model.remarks_)
    assert all(f"# {said}" in repr(model) for said in model.remarks_)


def test_an_audit_repeats_the_remarks(model):
    rng = np.random.default_rng(1)
    found = model.audit(
        rng.normal(size=(400, 3)),
        rng.integers(2, size=400),
        sensitive_features=rng.integers(2, size=400),
        ids=range(1000, 1400),
    )

    assert set(model.remarks_) <= set(found.notes)


def test_remarks_are_saved(model, tmp_path):
    model.save(tmp_path / "encoder")

    assert load(tmp_path / "encoder").remarks_ == model.remarks_


def test_blanks_are_explained():
    X, y, s = leaning_rows(600)
    model = fitted(X, y, s, max_gap=0.03, features="raw", epochs=5)
    (said,) = (said for said in model.remarks_ if "stay blank" in said)

    assert said.startswith(f"A code is published for {model.share_:.1%} of the rows")
    assert "300 held-out rows certify" in said
    assert "the goal is 0.03" in said


def test_a_drawn_certificate_says_nothing_about_the_whole_code():
    X, y, s = leaning_rows(3000)
    model = build(InvariantClassifier, 2, random_state=0, features="raw", epochs=5, max_gap=0.05)
    (said,) = (
        said for said in model.fit(X, y, sensitive_features=s).remarks_ if "stay blank" in said
    )

    assert model.certificate_.draws == "hard"
    assert "whole code" not in said
    assert "at this share" in said
    assert "`ids`" in said


def test_useful_codes_need_no_remark():
    X, y, s = leaning_rows(3000, noise=0.1)
    model = build(InvariantEncoder, 2, strength=0.0, random_state=0, features="raw", epochs=30)

    assert model.fit(X, y, sensitive_features=s).remarks_ == ()
    assert "#" not in repr(model)
