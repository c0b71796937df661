"""Verdicts: kept, broken or not shown, and how often they may be wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest

from audit_pages import Parsed
from bitveil.audits import audit, audit_table
from bitveil.audits.page import html_report
from bitveil.audits.verdicts import judge
from bitveil.certificates import certify, lower_bound
from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import QUANTITIES
from bitveil.group_tables import GroupTables


@pytest.fixture(scope="module")
def found():
    """Its parity gap is between about 0.05 and 0.14."""

    return audit_table([[600, 400], [500, 500]], ["f", "m"])


@pytest.fixture(scope="module")
def with_target():
    rng = np.random.default_rng(0)
    s, y = rng.integers(2, size=800), rng.integers(2, size=800)

    return audit(rng.integers(4, size=800), s, y, goal=0.2)


def test_a_limit_is_kept_broken_or_not_shown_by_where_it_lies(found):
    least, bound = found.certain_gap, found.certificate.bound
    outcomes = {
        limit: found.check(limit).outcome
        for limit in (bound + 1e-9, bound, bound - 1e-9, least, least - 1e-9)
    }

    assert list(outcomes.values()) == ["kept", "kept", "not shown", "not shown", "broken"]


def test_a_verdict_holds_the_interval_of_its_quantity(with_target):
    for interval in with_target.intervals:
        quantity, certificate = interval.certificate.quantity, interval.certificate
        verdict = with_target.check(0.9, quantity.name)

        assert (verdict.quantity, verdict.unit) == (quantity.name, quantity.unit)
        assert (verdict.least, verdict.bound) == (interval.least, certificate.bound)
        assert (verdict.delta, verdict.n_rows, verdict.draws) == (0.05, 800, "hard")


def test_a_quantity_is_named_as_python_names_it_or_as_it_is_printed(found):
    for name in ("information", "information (bits)", "INFORMATION"):
        assert found.check(0.5, name).unit == "bits"
    for name in ("balanced attack accuracy", "balanced_attack_accuracy"):
        assert found.check(0.9, name).unit == "accuracy"


def test_without_a_limit_the_goal_of_the_fit_counts(with_target):
    assert with_target.check().limit == 0.2
    assert with_target.check() == with_target.check(0.2, "parity_gap")


def test_a_refuted_bound_never_shows_that_a_limit_is_kept(found):
    """An attacker who separates the groups better than the certificate allows."""

    check = replace(found.checks[0], measured=0.9, holds=False)
    refuted = replace(found, checks=(check,))
    loose, tight = refuted.check(1.0), refuted.check(0.01)

    assert found.check(1.0).kept
    assert (loose.outcome, tight.outcome) == ("not shown", "broken")
    assert "the certificate allows" in loose.reason
    assert "The upper bound is refuted" in str(loose)
    assert "is at most" not in str(loose)
    assert "The upper bound is refuted" in str(tight)


def test_a_verdict_says_its_limit_its_bound_its_rows_and_its_probability(found):
    for limit, word in ((0.3, "Kept"), (0.1, "Not shown"), (0.01, "Broken")):
        said = str(found.check(limit))
        assert said.startswith(f"{word}: the largest parity gap of any rule that sees the codes")
        for part in (f"the limit is {limit}", "probability ≥ 0.95", "2,000 held-out rows"):
            assert part in said


def test_a_bound_is_never_rounded_to_the_other_side_of_the_limit(found):
    bound = found.certificate.bound
    for limit in (0.1, 0.138, bound - 1e-7):
        value = float(str(found.check(limit)).split(" and ")[1].split(",")[0])
        assert value > limit
    assert float(str(found.check(bound)).split("at most ")[1].split(",")[0]) <= bound


def test_a_verdict_goes_to_json(found):
    verdict = found.check(0.1)
    back = json.loads(verdict.to_json())

    assert back.pop("schema") == "bitveil.verdict/1"
    assert back.pop("unit") == "gap"
    assert back == vars(verdict)


@pytest.mark.parametrize("limit", [0, -0.1, 1.01, float("nan"), float("inf"), "0.1", None])
def test_a_limit_out_of_range_is_refused(found, limit):
    with pytest.raises(ValueError, match="limit"):
        found.check(limit)


@pytest.mark.parametrize(
    ("limit", "quantity", "message"),
    [
        (0.1, "odds", "`quantity` expects one of .*'parity_gap'.*got 'odds'"),
        (0.1, "equalised_odds_gap", "does not bound the equalised odds gap. It bounds"),
        (0.5, "balanced_attack_accuracy", r"above 0\.5 and up to 1, got 0\.5"),
        (0, "information", "a number of bits above 0, got 0"),
        (None, "information", "These codes were not fitted for a goal"),
    ],
)
def test_a_quantity_that_is_not_there_is_refused(found, limit, quantity, message):
    with pytest.raises(ValueError, match=message):
        found.check(limit, quantity)


def test_a_goal_is_no_limit_of_another_quantity(with_target):
    with pytest.raises(ValueError, match="goal of the fit is about the parity gap"):
        with_target.check(None, "information")


def test_a_page_says_a_goal_in_bits_and_a_goal_that_it_cannot_compare(found):
    bits = Parsed(html_report(replace(found, goal_bits=0.9))).words()
    apart = Parsed(html_report(replace(found, goal_apart="The goal is another."))).words()

    assert "Goal of the fit At most 0.9 bits: information about" in bits
    assert "No limit set The goal is another. You decide what is acceptable." in apart
    assert "Nothing was promised" not in apart


def test_every_quantity_can_be_judged():
    """In tables over (target, group, code), which bound all of them."""

    tables = GroupTables.of([[[600.0, 400], [500, 500]], [[300.0, 700], [400, 600]]])
    every = [Interval(lower_bound(tables, tables, q), certify(tables, q)) for q in QUANTITIES]
    for quantity in QUANTITIES:
        assert judge(every, 0.9, quantity.name).outcome == "kept"
        assert quantity.name in str(judge(every, 0.9, quantity.name)) or quantity.unit != "gap"


# The guarantee, from both sides


@pytest.fixture(scope="module")
def worlds():
    """The bounds of 200 samples of 200 rows from a population whose parity gap is 0.2."""

    rng = np.random.default_rng(0)
    made = []
    for _ in range(200):
        ones = rng.binomial(100, [0.4, 0.6], size=(2, 2)).astype(float)  # (half, group)
        halves = [GroupTables.of(np.stack([100 - n, n], 1).tolist()) for n in ones]
        whole = GroupTables.of(np.stack([200 - ones.sum(0), ones.sum(0)], 1).tolist())
        least = lower_bound(*halves, delta=0.1, draws="hard")
        made.append(Interval(least, certify(whole, delta=0.1, draws="hard"), 0.1))

    return made


def share_of(worlds, outcome, limit):
    return np.mean([judge([each], limit).outcome == outcome for each in worlds])


def test_a_verdict_is_wrong_at_most_as_often_as_it_says(worlds):
    assert share_of(worlds, "kept", 0.2 - 1e-9) <= 0.1 + 3 * (0.09 / 200) ** 0.5
    assert share_of(worlds, "broken", 0.2) <= 0.1 + 3 * (0.09 / 200) ** 0.5


def test_a_gate_that_compares_the_measured_value_would_be_wrong_more_often(worlds):
    plain = [each.certificate.estimate <= 0.2 - 1e-9 for each in worlds]

    assert np.mean(plain) > 0.4


def test_a_limit_far_from_the_truth_is_decided(worlds):
    assert share_of(worlds, "kept", 0.45) > 0.95
    assert share_of(worlds, "broken", 0.02) > 0.3
