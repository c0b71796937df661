"""The price of protection: what is printed is what other libraries find on the same rows."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score

from bitveil import load, pricing
from bitveil.audits import Answers, Price, audit, audit_table
from bitveil.audits.prices import Measured, gap_of_answers
from bitveil.cli.scores import scores_of, scores_of_table
from bitveil.columns.bins import bin_numbers
from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier, InvariantRegressor
from bitveil.stream_audits import audit_source
from builders import KEY, quick

FAST = {"features": "posterior", "posteriors": LogisticRegression(), "key": KEY, "epochs": 20}


def gap_by_hand(answers, groups, strata=None):
    """The largest difference between groups in the rate of an answer, written out."""

    strata = np.zeros(len(answers)) if strata is None else strata
    rates = [
        [np.mean(answers[(groups == g) & (strata == y)] == a) for g in np.unique(groups)]
        for y in np.unique(strata)
        for a in np.unique(answers)
    ]

    return max(max(each) - min(each) for each in rates)


def rows_with_noise(n=1200, seed=0):
    """A target that one column tells in nine rows of ten, and a group that leans on it."""

    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = (X[:, 0] > 0) ^ (rng.random(n) < 0.1)
    s = np.where(X[:, 0] + 2 * rng.normal(size=n) > 0, "a", "b")

    return X, y.astype(int), s


@pytest.fixture(scope="module")
def rows():
    return rows_with_noise()


@pytest.fixture(scope="module")
def certified(rows):
    X, y, s = rows

    settings = FAST | {"features": "both", "max_gap": 0.3, "epochs": 3}

    return quick(InvariantClassifier, 2, **settings).fit(X, y, sensitive_features=s)


# The record


def test_scores_and_gaps_are_those_of_other_libraries():
    rng = np.random.default_rng(0)
    y, free, code, s = rng.integers(3, size=(4, 300))
    weights = rng.random(300)
    known = Measured(y, None, s, y, "separation", 0)
    found = known.price(free, code, rows="300 rows", source="chance")

    assert found.unprotected.score == pytest.approx(accuracy_score(y, free))
    assert found.protected.gap == pytest.approx(gap_by_hand(code, s, y))
    assert found.constant == pytest.approx(np.bincount(y).max() / 300)
    assert "among rows of the same target" in str(found)

    found = Measured(y, None, s, y, "independence", 0, weights).price(
        free, code, rows="", source=""
    )
    assert found.protected.score == pytest.approx(accuracy_score(y, code, sample_weight=weights))
    rates = [np.average(free == a, weights=weights * (s == g)) for a in range(3) for g in range(3)]
    assert found.unprotected.gap == pytest.approx(np.ptp(np.reshape(rates, (3, 3)), axis=1).max())


def test_equal_opportunity_compares_the_rows_of_one_target():
    rng = np.random.default_rng(1)
    y, answers, s = rng.integers(2, size=(3, 200))

    found = gap_of_answers(answers, s, y, criterion="equal_opportunity", positive=1)
    assert found == pytest.approx(gap_by_hand(answers[y == 1], s[y == 1]))
    assert gap_of_answers(answers, s, 0 * y, criterion="equal_opportunity", positive=1) == 0


def test_numbers_are_scored_by_r2_and_compared_by_bins():
    rng = np.random.default_rng(2)
    y, weights, s = rng.normal(size=200), rng.random(200), rng.integers(2, size=200)
    free, code = y + rng.normal(size=200), np.zeros(200)
    found = Measured(y, (-0.5, 0.5), s, s, "independence", 0, weights).price(
        free, code, rows="200 rows", source="noise"
    )

    assert found.measure == "R²"
    assert found.unprotected.score == pytest.approx(r2_score(y, free, sample_weight=weights))
    assert found.constant == 0
    assert found.is_constant
    assert "the mean alone reaches 0.000" in found.caution


@pytest.mark.parametrize(
    ("code", "constant", "error", "useless"),
    [(0.80, 0.76, 0.01, False), (0.765, 0.76, 0.01, True), (0.7605, 0.76, 0.0, True)],
)
def test_no_better_than_a_constant_means_by_a_standard_error(code, constant, error, useless):
    price = Price("accuracy", Answers(0.9, 0.2), Answers(code, 0), constant, "9 rows", "", error)

    assert price.is_constant == useless
    assert (price.caution is not None) == useless
    if useless:
        unsure = code - constant > 0.001
        assert price.caution.startswith(
            "These rows do not show" if unsure else "The code is of no"
        )
        assert ("within one standard error (0.010)" in price.caution) == unsure
    assert price.cost == pytest.approx(0.9 - code)


def test_the_standard_error_is_that_of_fresh_rows():
    rng = np.random.default_rng(3)
    gains, errors = [], []
    for _ in range(300):
        y = (rng.random(400) < 0.3).astype(np.int64)
        code = np.where(rng.random(400) < 0.8, y, 1 - y)
        found = Measured(y, None, y, y, "independence", 0).price(y, code, rows="", source="")
        gains.append(found.protected.score - found.constant)
        errors.append(found.error)

    assert np.mean(errors) == pytest.approx(np.std(gains), rel=0.15)


def test_rows_of_one_target_have_no_price():
    ones = np.ones(9, dtype=np.int64)

    assert (
        Measured(ones, None, ones, ones, "independence", 0).price(ones, ones, rows="", source="")
        is None
    )


# In a fit


def test_a_fit_measures_on_the_rows_that_certify(certified, rows):
    X, y, s = rows
    held_out = certified.rows_["certify"]
    answers, price = certified.predict(X[held_out]), certified.price_

    assert price.rows == f"{len(held_out)} rows to certify"
    assert price.protected.score == pytest.approx(np.mean(answers == y[held_out]))
    assert price.protected.gap == pytest.approx(gap_by_hand(answers, s[held_out]))
    assert price.constant == pytest.approx(np.bincount(y[held_out]).max() / len(held_out))


def test_the_command_line_takes_the_first_score_from_the_price(rows):
    X, y, s = rows
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(hired=y, paid=X[:, 1] > 0)
    model = quick(InvariantEncoder, 2)
    model.fit(table[["a", "b", "c"]], table[["hired", "paid"]], sensitive_features=s)
    model.price_ = Price("accuracy", Answers(0.9, 0.2), Answers(0.123, 0), 0.1, "", "")
    first, second = scores_of_table(model, table, ["hired", "paid"], None)
    selected = table.iloc[model.rows_["select"]]

    assert (first.target, first.value, first.constant) == ("hired", 0.123, 0.1)
    assert second == scores_of(model, selected, ["hired", "paid"], None, "select")[1]
    assert scores_of_table(model, table, ["hired"], None) == [first]


def test_the_posteriors_reach_what_the_world_allows(certified):
    n = len(certified.rows_["certify"])

    assert abs(certified.price_.unprotected.score - 0.9) < 4 * np.sqrt(0.09 / n)
    assert certified.price_.source.startswith("the posteriors that the encoder sees (")
    assert certified.group_sizes_.keys() == {"a", "b"}
    assert sum(certified.group_sizes_.values()) == 1200


def test_without_a_goal_the_rows_to_select_judge_what_they_did_not_teach(rows):
    X, y, s = rows
    model = quick(InvariantClassifier, 2, strength=0.1, **FAST).fit(X, y, sensitive_features=s)

    assert model.price_.rows == (
        f"{len(model.rows_['select'])} rows to select, which also chose the encoder"
    )
    fit = model.rows_["fit"]
    codes, table = model.transform(X), {}
    for code in np.unique(codes, axis=0):
        table[tuple(code)] = np.bincount(y[fit][(codes[fit] == code).all(1)], minlength=2).argmax()
    select = model.rows_["select"]
    right = [table[tuple(codes[row])] == y[row] for row in select]
    assert model.price_.protected.score == pytest.approx(np.mean(right), abs=0.02)


def test_numbers_have_a_price_too():
    X, _, s = rows_with_noise(800)
    y = 10 * X[:, 0] + np.random.default_rng(4).normal(size=800) / 3
    model = quick(
        InvariantRegressor,
        3,
        strength=0.1,
        **FAST | {"posteriors": (LogisticRegression(), LinearRegression())},
    ).fit(X, y, sensitive_features=s)

    assert model.price_.measure == "R²"
    assert model.price_.unprotected.score > 0.99
    new = rows_with_noise(400, seed=1)
    truth, answers = 10 * new[0][:, 0], model.predict(new[0])
    found = model.audit(new[0], truth, sensitive_features=new[2]).price
    assert found.protected.score == pytest.approx(r2_score(truth, answers))
    edges = model.schema_.target.edges[0]
    assert found.protected.gap == pytest.approx(gap_by_hand(bin_numbers(answers, edges), new[2]))
    assert "cut into bins" in str(found)


def test_a_fit_on_raw_columns_leaves_the_price_to_the_audit(rows):
    X, y, s = rows
    model = quick(InvariantClassifier, 2, key=KEY).fit(X, y, sensitive_features=s)
    new = rows_with_noise(1000, seed=1)
    found = model.audit(new[0], new[1], sensitive_features=new[2]).price

    assert model.price_ is None
    assert found.rows == "500 new rows"
    assert found.source == "boosting on the columns, trained on 500 other rows"
    assert 0.8 < found.unprotected.score < 0.95


def test_a_code_of_no_use_is_called_so():
    rng = np.random.default_rng(5)
    X, y, s = rng.normal(size=(600, 2)), rng.integers(2, size=600) * (rng.random(600) < 0.5), "ab"
    s = np.tile(list(s), 300)
    model = quick(InvariantClassifier, 2, strength=0.1, **FAST).fit(X, y, sensitive_features=s)
    found = model.audit(X + 0.01, y, sensitive_features=s)

    assert found.price.is_constant
    assert found.price.caution in found.notes
    assert model.remarks_


# In an audit


def test_an_audit_measures_on_its_own_rows(certified):
    X, y, s = rows_with_noise(600, seed=1)
    found = certified.audit(X, y, sensitive_features=s)
    answers = certified.predict(X)

    assert found.price.rows == "600 new rows"
    assert found.price.protected == Answers(
        pytest.approx(np.mean(answers == y)), pytest.approx(gap_by_hand(answers, s))
    )
    assert f"price of protection   {found.price}" in str(found)
    assert json.loads(found.to_json())["price"]["protected"]["score"] == (
        found.price.protected.score
    )


def test_other_targets_and_none(certified):
    X, y, s = rows_with_noise(600, seed=1)
    other = pd.Series(X[:, 1] > 0, name="other")
    fitted = quick(InvariantClassifier, 2, strength=0.1, **FAST)
    fitted.fit(X, pd.Series(y, name="hired"), sensitive_features=s)
    new = rows_with_noise(500, seed=2)
    found = fitted.audit(new[0], other[:500], sensitive_features=new[2])

    assert certified.audit(X, sensitive_features=s).price is None
    assert found.price.source.startswith("boosting on the columns, trained on 250")


@pytest.mark.parametrize(
    "form",
    [
        lambda y: pd.Categorical(np.where(y == 1, "yes", "no")),
        lambda y: y == 1,
        lambda y: np.where(y == 1, pd.Timestamp("2020-01-01"), pd.Timestamp("2021-01-01")),
        lambda y: np.where(np.arange(len(y)) == 3, "once", np.where(y == 1, "yes", "no")),
    ],
    ids=["categories", "truths", "dates", "rare"],
)
def test_any_form_of_a_target_has_a_price(form):
    X, y, s = rows_with_noise(200)
    model = quick(InvariantClassifier, 2, key=KEY).fit(X, form(y), sensitive_features=s)
    X, y, s = rows_with_noise(200, seed=1)
    found = model.audit(X, form(y), sensitive_features=s)

    assert found.price.rows in ("99 new rows", "100 new rows", "101 new rows")


def test_images_and_wide_tables_have_a_reason_instead(monkeypatch):
    rng = np.random.default_rng(6)
    X, y, s = rng.random((80, 4, 4)), np.tile([0, 1], 40), np.tile([0, 0, 1, 1], 20)
    model = quick(InvariantClassifier, 2, key=KEY).fit(X[:40], y[:40], sensitive_features=s[:40])
    found = model.audit(X[40:], y[40:], sensitive_features=s[40:])

    assert found.price is None
    assert "no model without protection is trained on images" in found.notes[-1]

    flat = X.reshape(80, 16)
    model.fit(flat[:40], y[:40], sensitive_features=s[:40])
    monkeypatch.setattr(pricing, "_WORK", 100)
    found = model.audit(flat[40:], y[40:], sensitive_features=s[40:])
    assert "boosting on so many columns would take too long" in found.notes[-1]


def test_somebody_elses_codes_have_no_price():
    bits = np.tile([[0, 1], [1, 0]], (50, 1))

    assert audit(bits, np.arange(100) % 2, bits[:, 0]).price is None
    assert audit_table([[60, 40], [50, 50]]).price is None


def test_rows_without_a_target_do_not_count(rows):
    X, y, s = rows
    known = np.where(np.arange(1200) % 3 == 0, None, y)
    model = quick(InvariantClassifier, 2, strength=0.1, missing_target="unlabelled", **FAST).fit(
        X, known, sensitive_features=s
    )

    select = model.rows_["select"]
    n = sum(known[row] is not None for row in select)
    assert model.price_.rows.startswith(f"{n} rows to select")
    new = rows_with_noise(300, seed=1)
    some = np.where(np.arange(300) % 3 == 0, None, new[1])
    found = model.audit(new[0], some, sensitive_features=new[2])
    assert found.price.rows == "200 new rows"


def test_a_code_that_is_no_answer_to_its_target_is_used_by_boosting(rows):
    X, y, s = rows
    model = quick(InvariantEncoder, 3, task="information", **FAST | {"features": "both"}).fit(
        X, y, sensitive_features=s
    )
    X, y, s = rows_with_noise(600, seed=1)
    found = model.audit(X, y, sensitive_features=s)

    assert model.price_ is None
    assert found.price.rows == "300 new rows"
    assert found.price.source.startswith("the posteriors")


def test_a_sample_of_many_rows_says_of_how_many(certified):
    X, y, s = rows_with_noise(3000, seed=3)
    model = quick(InvariantClassifier, 2, strength=0.1, **FAST)
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y, s=s)
    old, new = table[:600], table[600:]
    model.fit(old[["a", "b", "c"]], old["y"], sensitive_features=old["s"])
    found = audit_source(model, new, most=500)

    assert found.n_rows == 2400
    assert found.price.rows == (
        "800 new rows, chosen at random from 2400, with more of the rare groups"
    )


# On disk, and on the command line


def test_prices_and_sizes_are_saved(certified, tmp_path):
    certified.save(tmp_path / "encoder")
    again = load(tmp_path / "encoder")

    assert again.price_ == certified.price_
    assert again.group_sizes_ == certified.group_sizes_


def test_older_folders_have_neither(certified, tmp_path, monkeypatch):
    from bitveil import estimators

    whole = estimators.manifest
    monkeypatch.setattr(
        estimators,
        "manifest",
        lambda model: {k: v for k, v in whole(model).items() if k not in ("price", "group_sizes")},
    )
    certified.save(tmp_path / "encoder")
    again = load(tmp_path / "encoder")

    assert (again.price_, again.group_sizes_) == (None, None)
    again.save(tmp_path / "again")


@pytest.mark.parametrize(
    "forged",
    [{"price": {"measure": "luck"}}, {"group_sizes": [1]}, {"price": 3}],
)
def test_forged_prices_are_refused(certified, tmp_path, monkeypatch, forged):
    from bitveil import estimators

    whole = estimators.manifest
    monkeypatch.setattr(estimators, "manifest", lambda model: whole(model) | forged)
    certified.save(tmp_path / "encoder")

    with pytest.raises(ValueError, match="is not loaded"):
        load(tmp_path / "encoder")
