"""Audits of certain codes certify what the fit does on the same rows, and only of certain codes.

A certain code is a function of the row alone (`bitveil.cells`). `bitveil.certificates` proves that
its expected counts have the slack of drawn codes.
"""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import brute
from bitveil.audits import audit
from bitveil.certificates import attackers, certify, gap_of, slack, upper
from bitveil.coder import draw_names, shown_rows
from bitveil.compositions import compose
from bitveil.group_tables import GroupTables
from bitveil.models import InvariantClassifier
from bitveil.stream_audits import audit_source
from bitveil.streams import count
from bitveil.tallies import Counted, Tally
from builders import KEY, leaning_rows, quick

DELTA = 0.1
GOAL = 0.06
SHARE = 0.6
SURE = 50.0


def frame_of(n, seed=0):
    X, y, s = leaning_rows(n, seed=seed)

    return pd.DataFrame(X, columns=["a", "b"]).assign(y=y, s=s, id=np.arange(n) + 10**6 * seed)


def fitted(model, rows):
    return model.fit(rows[["a", "b"]], rows["y"], sensitive_features=rows["s"], ids=rows["id"])


def audited(model, rows, ids=True):
    return model.audit(
        rows[["a", "b"]],
        rows["y"],
        sensitive_features=rows["s"],
        ids=rows["id"] if ids else None,
    )


@pytest.fixture(scope="module")
def cells():
    """Cells that a goal leaves blank in some rows, and the rows that certified them.

    The model has forgotten which rows it has seen, so that these can be audited once more.
    """

    rows = frame_of(700)
    settings = {"posteriors": LogisticRegression(), "random_state": 0, "key": KEY}
    model = fitted(InvariantClassifier(2, max_gap=GOAL, **settings), rows)
    used = model.used_
    model.used_ = replace(used, names=used.names[:0], contents=used.contents[:0])

    return model, rows.iloc[model.rows_["certify"]].reset_index(drop=True)


@pytest.fixture(scope="module")
def network():
    """A network, whose logits are multiplied until no row of ours is left to chance."""

    model = fitted(quick(n_bits=2, key=KEY), frame_of(300))
    sure = torch.nn.Sequential(model.coder_.encoder, _Times(1e6))
    model.coder_ = replace(model.coder_, encoder=sure)

    return model


class _Times(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def table_of(model, rows):
    """The counts of the codes without blanks, one for each row, by hand."""

    codes = (model.logits(rows[["a", "b"]]) > 0) @ [2, 1]
    return np.stack([np.bincount(codes[rows["s"] == g], minlength=4) for g in (0, 1)])


# --- The audit and the fit.


def test_the_rows_that_certified_a_fit_certify_the_same_in_an_audit(cells):
    model, rows = cells
    found = audited(model, rows).certificate
    fit = model.certificate_

    assert model.coder_.certain
    assert model.share_ < 1
    assert found.bound == pytest.approx(fit.bound, abs=1e-12) == GOAL
    assert found.estimate == pytest.approx(fit.estimate, abs=1e-12)
    assert (found.sizes, found.share, found.draws) == (fit.sizes, fit.share, "soft")
    by_hand = brute.total_variation(table_of(model, rows))
    whole = by_hand + slack(fit.sizes, 0.05, draws="certain")
    assert found.bound == pytest.approx(model.share_ * whole, abs=1e-12)


def test_files_of_any_number_of_rows_certify_the_same(cells, tmp_path):
    model, rows = cells
    about = {"sensitive": "s", "target": "y", "ids": "id"}
    some = audit_source(model, rows, **about, most=100)
    tally, _ = count(rows, model, **about)
    tally.save(tmp_path / "rows.counts")
    again = Tally.load(tmp_path / "rows.counts")

    assert some.n_rows == len(rows)
    assert some.certificate.bound == pytest.approx(GOAL, abs=1e-12)
    assert tally.counted.certain
    assert (tally.counted.draws, again.counted) == ("soft", tally.counted)
    for one, other in zip(again.intervals(), audited(model, rows).intervals, strict=False):
        assert one.certificate.bound == pytest.approx(other.certificate.bound, abs=1e-12)


@pytest.mark.parametrize("criterion", ["independence", "separation", "equal_opportunity"])
def test_every_quantity_has_the_certificate_of_certain_codes(criterion):
    rng = np.random.default_rng(0)
    bits, s, y = rng.integers(2, size=(3, 800))
    about = {"logits": SURE * (2.0 * bits[:, None] - 1), "ids": range(800)}
    found = audit(None, s, y, criterion=criterion, certain=True, **about)
    loose = audit(None, s, y, criterion=criterion, **about)
    tables = GroupTables.observed(*map(torch.from_numpy, (bits, y, s)), 2, 2, c=2)
    by_hand = certify(tables, gap_of(criterion, 1), draws="certain")

    assert found.certificate == replace(by_hand, estimate=found.certificate.estimate)
    for one, other in zip(found.intervals, loose.intervals, strict=True):
        assert one.certificate.bound < other.certificate.bound
        assert one.least >= other.least


# --- Both bounds of what is published, with blanks, from both sides.


def interval_of(fixed, scored, **counted):
    """Both bounds on the parity gap, from the counts of two halves over (group, code)."""

    about = Counted("", 1, 1.0, "soft", "independence", 0, ("f", "m"), (), (), None)
    halves = (GroupTables.of(each.astype(float)) for each in (fixed, scored))

    return Tally(replace(about, **counted), *halves).interval(delta=DELTA)


def errors(worlds=200, n=80):
    """How often the upper and the lower bound are wrong, for a gap of 0.3 before the coins."""

    rng, truth = np.random.default_rng(3), SHARE * 0.3
    ones = rng.binomial(n, [0.35, 0.65], (worlds, 2, 2))  # of halves and groups
    found = [
        interval_of(*np.stack([n - each, each], -1), certain=True, share=SHARE) for each in ones
    ]
    upper, lower = ([each.certificate.bound for each in found], [each.least for each in found])

    return np.mean(truth > np.array(upper)), np.mean(truth < np.array(lower))


def test_bounds_of_published_codes_hold_and_half_of_the_slack_is_caught(monkeypatch):
    noise = 3 * math.sqrt(DELTA * (1 - DELTA) / 200)
    assert max(errors()) <= DELTA + noise

    half = lambda *args, **settings: slack(*args, **settings) / 2  # noqa: E731
    monkeypatch.setattr(upper, "slack", half)
    monkeypatch.setattr(attackers, "slack", half)
    assert min(errors()) > DELTA + noise


# --- Where codes are not certain, or their coins are shared.


def test_shared_coins_are_counted_as_drawn_since_the_bound_of_certain_codes_would_fail():
    """Both groups have the same codes, but other contents. The coins of contents tell them apart,
    though the expected counts of code and coin do not."""

    rng, code = np.random.default_rng(5), np.arange(12) % 2
    tilt = np.where(np.arange(12) < 6, 1.0, 4.0)
    p = np.stack([tilt, tilt[::-1]]) / tilt.sum()
    names = draw_names(np.arange(12)[:, None], None)
    right, wrong = [], []
    for number in range(10):
        shown = shown_rows(names, bytes([number]) * 16, 0.5)
        published, whole = np.eye(3)[np.where(shown, code, 2)], np.eye(2)[code]
        truth = brute.total_variation(p @ published)
        for rows in rng.multinomial(300, p, (10, 2, 2)):  # of contents, in halves and groups
            drawn = interval_of(*rows @ published, draws="hard", share=0.5)
            expected = interval_of(*rows @ whole, certain=True, share=0.5)
            right.append(truth > drawn.certificate.bound)
            wrong.append(truth > expected.certificate.bound)

    assert np.mean(right) <= DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / 100)
    assert np.mean(wrong) > 0.5


def test_without_names_an_encoder_of_certain_codes_is_audited_as_drawn(cells):
    model, rows = cells
    found = audited(model, rows, ids=False)
    by_hand = audit(model.transform(rows[["a", "b"]]), rows["s"], share=model.share_)

    assert found.certificate.draws == "hard"
    assert found.certificate.bound == pytest.approx(by_hand.certificate.bound)


def test_a_network_is_not_certain_whatever_these_rows_show(network):
    rows = frame_of(500, seed=1)
    counts = GroupTables.of(table_of(network, rows).astype(float))
    found = audited(network, rows).certificate
    tally, _ = count(rows, network, sensitive="s", target="y", ids="id")

    assert np.abs(network.logits(rows[["a", "b"]])).min() > 40
    assert not tally.counted.certain
    for each in (found, tally.interval().certificate):
        assert each.bound == pytest.approx(certify(counts).bound)
        assert each.bound > certify(counts, draws="certain").bound


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_two_certain_codes_are_certain_together_unless_rows_are_blank(cells, share):
    model, rows = cells
    one, two = deepcopy(model), deepcopy(model)
    one.coder_ = replace(model.coder_, share=1.0)
    two.coder_ = replace(model.coder_, key=b"another key of sixteen bytes", share=share)
    about = {"sensitive_features": rows["s"], "ids": rows["id"]}
    found = compose([one, two]).certify(rows[["a", "b"]], **about)
    draws = "certain" if share == 1 else "soft"

    assert found.estimate == pytest.approx(brute.total_variation(table_of(model, rows)))
    assert found.bound == pytest.approx(found.estimate + slack(found.sizes, 0.05, draws=draws))
    if share == 1:
        audit = compose([one, two]).audit(rows[["a", "b"]], **about)
        assert audit.certificate.bound == pytest.approx(found.bound)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"logits": [[50.0], [20.0]] * 9}, r"leave no bit to chance, got 9 of 18 rows"),
        (
            {"logits": [[50.0], [-50.0]] * 9, "codes": [[1], [1]] * 9},
            "got 9 rows with other codes",
        ),
        ({"codes": [[1], [0]] * 9}, "it needs `logits` with `ids`"),
    ],
)
def test_codes_that_are_not_certain_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        audit(given.pop("codes", None), [0, 0, 1] * 6, ids=range(18), certain=True, **given)


@pytest.mark.parametrize(("draws", "counts"), [("hard", 30.0), ("soft", 30.5)])
def test_a_file_of_counts_that_claims_too_much_is_refused(draws, counts, tmp_path):
    counted = Counted("", 1, 1.0, draws, "independence", 0, ("f", "m"), (), (), None, certain=True)
    half = GroupTables.of([[counts, 60 - counts], [20.0, 40.0]])
    Tally(counted, half, GroupTables.of([[20.0, 40.0]] * 2)).save(tmp_path / "rows.counts")

    with pytest.raises(ValueError, match="its codes are not certain, as it says"):
        Tally.load(tmp_path / "rows.counts")


def test_certain_and_other_counts_do_not_add_up():
    counted = Counted("", 1, 1.0, "soft", "independence", 0, ("f", "m"), (), (), None)
    half = GroupTables.of([[20.0, 40.0]] * 2)

    with pytest.raises(ValueError, match="They differ in `certain`: True and False"):
        Tally(replace(counted, certain=True), half, half) + Tally(counted, half, half)
