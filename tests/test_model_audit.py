"""The audit of an encoder takes groups, bins, targets, criterion and goal from the fit."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import audit
from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier, InvariantRegressor, load
from builders import quick

two_bits = partial(quick, n_bits=2, hidden=(4,), epochs=2)


def people(n=600, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    return X.assign(
        age=rng.integers(18, 80, n),
        sex=np.where(X["a"] + rng.normal(size=n) > 0, "f", "m"),
        hired=np.where(X["b"] + rng.normal(size=n) > 0, "yes", "no"),
        pay=X["b"] + rng.normal(size=n),
    )


FEATURES = ["a", "b", "c"]


def fitted(cls=InvariantClassifier, target="hired", sensitive="sex", **settings):
    table = people()
    y = None if target is None else table[target]
    return two_bits(cls, **settings).fit(table[FEATURES], y, sensitive_features=table[sensitive])


def audited(model, target="hired", sensitive="sex", seed=1, **settings):
    table = people(seed=seed)
    y = None if target is None else table[target]
    return model.audit(table[FEATURES], y, sensitive_features=table[sensitive], **settings)


def test_it_is_the_audit_of_the_published_codes():
    model, table = fitted(), people(seed=1)
    X, rest = table[FEATURES], (table["sex"], table["hired"])
    named = audited(model, ids=range(600))
    by_hand = audit(
        model.transform(X, ids=range(600)),
        *rest,
        logits=model.logits(X, ids=range(600)),
        ids=range(600),
    )

    assert audited(model).certificate == audit(model.transform(X), *rest).certificate
    assert named.certificate == by_hand.certificate
    assert named.attackers == by_hand.attackers
    assert (named.sensitive, named.target) == (("sex",), "hired")


@pytest.mark.parametrize(
    ("criterion", "quantity"),
    [
        ("independence", "parity gap"),
        ("separation", "equalised odds gap"),
        ("equal_opportunity", "equal opportunity gap"),
    ],
)
def test_the_gap_of_the_fitted_criterion_comes_first(criterion, quantity, tmp_path):
    model = fitted(criterion=criterion, positive="no", key=b"k" * 16)
    model.save(tmp_path / "model")
    for each in (model, load(tmp_path / "model")):
        found = audited(each)
        assert found.certificate.quantity.name == quantity
        assert found.positive == ("no" if criterion == "equal_opportunity" else None)
    without = audited(model, target=None)
    assert without.certificate.quantity.name == "parity gap"
    said = any("needs the target" in note for note in without.notes)
    assert said == (criterion != "independence")


def test_goal_and_delta_are_those_of_the_fit():
    found = audited(fitted(max_gap=0.9, delta=0.1))

    assert (found.goal, found.certificate.delta) == (0.9, 0.1)
    assert audited(fitted(), delta=0.2).certificate.delta == 0.2
    assert audited(fitted()).goal is None


def test_a_goal_of_a_criterion_is_no_goal_of_another():
    """Without the target an audit certifies the parity gap, which nobody limited."""

    model = fitted(max_gap=0.9, criterion="separation")

    without = audited(model, target=None)

    assert audited(model).goal == 0.9
    assert without.goal is None
    with pytest.raises(ValueError, match="the equalised odds gap, which needs the target of the"):
        without.check()


def test_a_goal_in_bits_is_judged_as_bits():
    found = audited(fitted(max_information=0.5))
    interval = next(i for i in found.intervals if i.certificate.quantity.unit == "bits")

    assert (found.goal, found.goal_bits, found.goal_apart) == (None, 0.5, None)
    assert (found.check().limit, found.check().bound) == (0.5, interval.certificate.bound)
    assert found.check() == found.check(0.5, "information") == found.check(None, "information")
    assert f"information ≤ 0.5 bits: th{'is' if found.check().kept else 'e rows'}" in str(found)
    assert f"{found.check().outcome.capitalize()}: at most 0.5 bits promised." in (
        found._repr_html_()
    )
    with pytest.raises(ValueError, match=r"about the information\. Give a number as `limit` for"):
        found.check(None, "parity_gap")


def test_a_goal_in_bits_within_targets_is_named_and_not_compared():
    """The audit bounds the information among all rows, which may be smaller."""

    found = audited(fitted(max_information=0.5, criterion="separation"))

    assert (found.goal, found.goal_bits) == (None, None)
    with pytest.raises(ValueError, match=r"information among rows of the same target\. An audit"):
        found.check()
    assert found.check(0.9, "information").limit == 0.9


@pytest.mark.parametrize("cls", [InvariantRegressor, InvariantEncoder])
def test_a_target_of_numbers_is_cut_as_when_fitting(cls):
    model = fitted(cls, target="pay", bins=3)
    found = audited(model, target="pay")
    edges = np.quantile(people()["pay"], [1 / 3, 2 / 3])
    bins = np.searchsorted(edges, people(seed=1)["pay"], side="right")

    assert found.most_frequent_target == pytest.approx(np.bincount(bins).max() / 600)
    assert len(found.intervals[-1].certificate.sizes) == 2 * 3
    assert any("cut at quantiles of the fitted rows into 3 bins" in note for note in found.notes)


def test_a_sensitive_column_of_numbers_is_cut_as_when_fitting():
    model = fitted(sensitive="age", bins=2)

    assert audited(model, sensitive="age").groups == tuple(model.groups_.tolist())


def test_columns_of_other_names_are_another_attribute_and_another_target():
    model = fitted(max_gap=0.9)
    found = audited(model, target="pay", sensitive="age")

    assert found.sensitive == ("age",)
    assert len(found.groups) == 5
    assert found.target == "pay"
    assert found.goal is None  # that was for another attribute
    with pytest.raises(ValueError, match=r"the parity gap for another sensitive attribute\. Give"):
        found.check()


def test_missing_targets_are_allowed_where_they_were_in_fitting():
    table = people(seed=1)
    table.loc[:99, "hired"] = None
    rows = table[FEATURES], table["hired"]
    with pytest.raises(ValueError, match="missing values in 100 rows"):
        fitted().audit(*rows, sensitive_features=table["sex"])
    found = fitted(missing_target="unlabelled").audit(*rows, sensitive_features=table["sex"])

    assert any("100 rows have no target" in note for note in found.notes)


def test_a_table_without_rows_is_refused():
    model, none = fitted(), people()[:0]
    with pytest.raises(ValueError, match="`X` has no rows"):
        model.audit(none[FEATURES], none["hired"], sensitive_features=none["sex"])


def test_an_audit_says_which_targets_no_row_has():
    known, table = people(), people(seed=1)
    for each in (known, table):
        each["grade"] = pd.cut(each["b"], [-9, -0.5, 0.5, 9], labels=["low", "mid", "high"])
        each["grade"] = each["grade"].astype(str)
    model = two_bits(InvariantClassifier)
    model.fit(known[FEATURES], known["grade"], sensitive_features=known["sex"])
    whole, some = (
        model.audit(each[FEATURES], each["grade"], sensitive_features=each["sex"])
        for each in (table, table[table["grade"] != "mid"])
    )

    said = "No row has grade mid. Bounds on gaps among rows of the same grade say nothing"
    assert any(said in note for note in some.notes)
    assert not any("No row has" in note for note in whole.notes)


def test_values_that_were_not_fitted_are_named():
    table = people(seed=1)
    with pytest.raises(ValueError, match=r"`y` has values that were not fitted: \['perhaps'\]"):
        fitted().audit(
            table[FEATURES],
            table["hired"].replace("no", "perhaps"),
            sensitive_features=table["sex"],
        )
    with pytest.raises(ValueError, match=r"groups that were not fitted: \['x'\]"):
        fitted().audit(table[FEATURES], sensitive_features=table["sex"].replace("f", "x"))
    with pytest.raises(ValueError, match="one value for each of the 600 rows, got 599"):
        fitted().audit(table[FEATURES], sensitive_features=table["sex"][1:])
    with pytest.raises(ValueError, match="`y` expects 1 columns, as fitted, got 2"):
        fitted().audit(
            table[FEATURES], table[["a", "b"]].to_numpy(), sensitive_features=table["sex"]
        )


def test_an_encoder_without_a_target_is_audited_for_any():
    assert audited(fitted(InvariantEncoder, target=None)).target == "hired"


def test_used_rows_are_refused_by_name_and_by_content():
    table = people()
    X, y, s = table[FEATURES], table["hired"], table["sex"]
    named = two_bits().fit(X, y, sensitive_features=s, ids=range(600))

    with pytest.raises(ValueError, match="600 of 600 rows have the content of rows"):
        fitted().audit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match="600 of 600 rows have the content of rows"):
        named.audit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match="10 of 600 rows have an id that the encoder was fitted"):
        audited(named, ids=np.arange(600) + 590)
    assert audited(named, ids=np.arange(600) + 600).n_rows == 600
    assert named.used_rows(X, ids=range(600)) == named.used_rows(X) == 600
