"""Tries: without a correction, somebody who tries until it passes is wrong too often."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from bitveil import fitting
from bitveil.certificates import UncertifiableError, certify, slack
from bitveil.certificates.sequence import nth_delta
from bitveil.estimators import InvariantEncoder
from bitveil.group_tables import GroupTables
from bitveil.models import load
from bitveil.repeats import UsedRows
from bitveil.tries import Before, Tries, before_of, next_try
from builders import KEY, fit_words, leaning_rows, quick

DELTA, ROWS, MOST, RUNS = 0.05, 500, 20, 2000
GAP = 0.2

# Somebody who tries until it passes


@pytest.fixture(scope="module")
def measured():
    """The gaps of twenty codes on the same rows, in many histories. All are truly at 0.2."""

    rates = [0.5 + GAP / 2, 0.5 - GAP / 2]
    counts = np.random.default_rng(0).binomial(ROWS, rates, (RUNS, MOST, 2))

    return abs(counts[..., 0] - counts[..., 1]) / ROWS


def wrong(measured, levels):
    """In how many histories a code passes for a goal just below what it really has."""

    noise = [slack([ROWS, ROWS], level, draws="hard") for level in levels]

    return int((measured + noise < GAP).any(1).sum())


def test_who_tries_until_it_passes_is_wrong_too_often_without_a_correction(measured):
    assert wrong(measured, [DELTA] * MOST) > binom.isf(1e-6, RUNS, 5 * DELTA)


def test_with_the_correction_no_more_is_wrong_than_was_spent(measured):
    tries, levels = Tries(), []
    for _ in range(MOST):
        tries = tries.then(DELTA)
        levels.append(tries.level(DELTA))

    assert tries.spent == pytest.approx(sum(levels))
    assert tries.spent < (2 - 6 / np.pi**2) * DELTA < 1.4 * DELTA
    assert wrong(measured, levels) <= binom.isf(1e-6, RUNS, tries.spent)
    assert wrong(measured, [4 * DELTA, *levels[1:]]) > binom.isf(1e-6, RUNS, tries.spent)


def test_the_certificate_is_the_one_that_was_simulated():
    table = GroupTables.of([[300, 200], [200, 300]])
    level = Tries(2).level(DELTA)
    bound = certify(table, delta=level, draws="hard").bound

    assert level == nth_delta(DELTA, 2)
    assert bound == pytest.approx(0.2 + slack([500, 500], level, draws="hard"))


# Which try it is


def digests(numbers):
    return np.array(numbers, dtype="<u8").reshape(-1, 1).view(np.uint8)


def used(numbers, named):
    rows = digests(numbers)

    return UsedRows.of(rows, rows if named else None, KEY)


@pytest.mark.parametrize("named", [False, True])
def test_it_is_the_next_try_whatever_rows_the_fit_before_used(named):
    """Fits before that one may have used these rows: A, B, A, B would never count otherwise."""

    before = Before(Tries(2, 0.06), used(range(300), named))
    names = (lambda rows: rows) if named else (lambda rows: None)
    for numbers, other in ((range(300), False), (range(200, 500), False), (range(300, 600), True)):
        rows = digests(numbers)
        tries, remark = next_try(before, rows, names(rows), DELTA)
        assert tries == Tries(3, 0.06 + nth_delta(DELTA, 3))
        assert "try 3" in remark
        assert ("used other rows" in remark) == other


def test_one_name_that_occurs_again_is_enough():
    before = Before(Tries(1, DELTA), used(range(300), True))
    rows = digests(range(299, 600))

    assert next_try(before, rows, rows, DELTA)[0].number == 2


def test_contents_that_cannot_tell_count_as_the_same_rows():
    """Two columns of yes and no: every sample has the same four contents."""

    rng = np.random.default_rng(0)
    before = Before(Tries(1, DELTA), used(rng.integers(4, size=300), False))

    assert next_try(before, digests(rng.integers(4, size=300)), None, DELTA)[0].number == 2


def test_a_fit_without_a_goal_is_no_try():
    before = Before(Tries(), used(range(9), True))
    rows = digests(range(9))

    assert next_try(before, rows, rows, DELTA)[0] == Tries(1, DELTA)
    assert next_try(None, rows, rows, DELTA) == (Tries(1, DELTA), None)


def test_a_number_is_taken_at_its_word():
    before = before_of(3, DELTA)

    assert before.tries.number == 3
    assert next_try(before, digests([1]), None, DELTA)[0].number == 4


@pytest.mark.parametrize("after", [0, -1, True, "encoder", quick(), 1.5])
def test_what_is_no_earlier_try_is_refused(after):
    with pytest.raises(ValueError, match="`after` expects the fitted encoder"):
        before_of(after, DELTA)


# Fits


@pytest.fixture(scope="module")
def chain():
    """A fit, another on the same rows, and a third on others; without a goal a fourth."""

    X, y, s = leaning_rows(500)
    rows, ids = {"sensitive_features": s}, range(500)
    first = quick(max_gap=0.6, key=KEY).fit(X, y, **rows, ids=ids)
    second = quick(max_gap=0.7, key=KEY).fit(X, y, **rows, ids=ids, after=first)
    third = quick(max_gap=0.7, key=KEY).fit(X, y, **rows, ids=range(500, 1000), after=second)
    fourth = quick(strength=1.0, key=KEY).fit(X, y, **rows, ids=ids, after=second)

    return first, second, third, fourth


def test_fits_count_their_tries(chain):
    first, second, third, fourth = chain

    assert [model.tries_.number for model in chain] == [1, 2, 3, 2]
    assert first.tries_ == Tries(1, DELTA)
    assert first.certificate_.delta == DELTA
    assert second.certificate_.delta == nth_delta(DELTA, 2)
    assert third.certificate_.delta == nth_delta(DELTA, 3)
    assert second.tries_.spent == DELTA + nth_delta(DELTA, 2)
    assert "try 2 of a goal on the same rows" in second.remarks_[-1]
    assert "≥ 0.9424" in repr(second)
    assert "fit without `after`" in third.remarks_[-1]
    assert not any("try" in remark for remark in (*first.remarks_, *fourth.remarks_))


def test_the_same_model_can_be_fitted_again_after_itself_and_starts_anew_without():
    X, y, s = leaning_rows(500)
    model = quick(max_gap=0.7, key=KEY).fit(X, y, sensitive_features=s)

    assert model.fit(X, y, sensitive_features=s, after=model).tries_.number == 2
    assert model.fit(X, y, sensitive_features=s).tries_.number == 1


def test_tries_travel_with_the_folder_and_folders_of_one_try_are_as_before(chain, tmp_path):
    for number, model in enumerate(chain[:2]):
        model.save(tmp_path / str(number))
        manifest = json.loads((tmp_path / str(number) / "encoder.json").read_text())
        assert load(tmp_path / str(number)).tries_ == model.tries_
        assert ("tries" in manifest) == (number == 1)


@pytest.mark.parametrize("tries", [{"number": 0, "spent": 0.1}, {"number": 2}, 7, None])
def test_a_folder_with_tries_that_cannot_be_is_refused(chain, tmp_path, tries):
    from test_tampering import forge

    chain[1].save(tmp_path / "encoder")
    manifest = json.loads((tmp_path / "encoder" / "encoder.json").read_text())
    forge(tmp_path / "encoder", manifest | {"tries": tries})
    with pytest.raises(ValueError, match="encoder"):
        load(tmp_path / "encoder")


def test_a_goal_that_was_not_met_says_how_to_count_it(monkeypatch):
    def refuse(*_, **__):
        raise UncertifiableError("It could not be.")

    monkeypatch.setattr(fitting, "search", refuse)
    X, y, s = leaning_rows(500)
    said = r"^It could not be\. If you try again on these rows, say so: `after=3`\.$"
    with pytest.raises(UncertifiableError, match=said):
        quick(max_gap=0.7).fit(X, y, sensitive_features=s, ids=range(500), after=2)


def test_a_sample_of_a_source_counts_its_tries():
    X, y, s = leaning_rows(900)
    table = pd.DataFrame(X, columns=["a", "b"]).assign(y=y, s=s, who=[f"w{i}" for i in range(900)])
    roles = {"target": "y", "sensitive": "s", "ids": "who", "most": 400}
    first = quick(InvariantEncoder, max_gap=0.6, key=KEY).fit_source(table, **roles)
    second = quick(InvariantEncoder, max_gap=0.6, key=KEY, random_state=1)
    second.fit_source(table, **roles, after=first)

    assert (first.tries_.number, second.tries_.number) == (1, 2)
    assert second.certificate_.delta == nth_delta(DELTA, 2)


def test_the_command_line_counts_them(bitveil, place):
    def fit(output, *more):
        return bitveil(*fit_words("people.csv", output, "--max-gap", "0.9", *more))

    assert fit("one")[0] == 0
    code, out, _ = fit("two", "--after", "one", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["tries"] == 2
    assert found["delta"] == nth_delta(DELTA, 2)
    assert "try 2" in found["remarks"][-1]
    for after, said in (("nothing", "not a saved encoder"), ("0", "--after expects")):
        code, out, err = fit("four", "--after", after)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
