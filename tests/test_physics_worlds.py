"""The worlds of physics: what they say of themselves, against what their rows show."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import ks_2samp, kstest, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from bitveil.datasets import make_resonance_search, make_simulation_and_data

N = 40_000


def blind(X):
    hints = (X["momentum"] + X["opening"]) / 2
    return 1.2 * (X["isolation"] + X["substructure"]) + 4 / 3 * (X["asymmetry"] - hints)


def search(**settings):
    data = make_resonance_search(N, random_state=0, **settings)
    return data, data.features, data.target.to_numpy() == 1, data.sensitive["mass"].to_numpy()


def test_masses_are_as_told():
    _, _, signal, mass = search()

    def falling(m):
        return np.expm1(-(m - 60) / 40) / np.expm1(-2.5)

    assert kstest(mass[~signal], falling).pvalue > 1e-3
    assert kstest(mass[signal], norm(100, 5).cdf).pvalue > 1e-3


def test_background_that_the_blind_classifier_keeps_has_the_mass_of_all():
    data, X, signal, mass = search()
    score = blind(X)
    kept = score > np.quantile(score[~signal], 0.9)

    assert ks_2samp(mass[~signal & kept], mass[~signal & ~kept]).pvalue > 1e-3
    assert roc_auc_score(signal, score) == pytest.approx(data.answers["blind_auc"], abs=0.005)
    apart = (score[signal].mean() - score[~signal].mean()) / score[~signal].std()
    assert apart == pytest.approx(data.answers["blind_distance"], abs=0.05)


def test_the_best_linear_classifier_bends_the_spectrum():
    _, X, signal, mass = search()
    near = -((X["momentum"] + X["opening"]) ** 2)
    seen = X.assign(near=near)
    score = LinearDiscriminantAnalysis().fit(seen, signal).decision_function(seen)
    kept = score > np.quantile(score[~signal], 0.9)
    window = np.abs(mass - 100) < 10

    assert roc_auc_score(signal, score) > roc_auc_score(signal, blind(X))
    assert window[~signal & kept].mean() > 1.5 * window[~signal].mean()


def test_expected_events_and_significance():
    data, _, signal, mass = search(signal_fraction=0.05)
    answers, window = data.answers, np.abs(mass - 100) < 10

    for kind, name in ((signal, "signal"), (~signal, "background")):
        counted = (kind & window).sum()
        assert abs(counted - answers[name]) < 4 * np.sqrt(answers[name])
    few = make_resonance_search(10**6, signal_fraction=1e-4, random_state=0).answers
    s, b = few["signal"], few["background"]
    assert few["significance"] == pytest.approx(s / np.sqrt(b), rel=1e-3)
    passed = ndtr(ndtri(0.05) + few["blind_distance"])
    assert few["blind_significance"] > 0.999 * s * passed / np.sqrt(0.05 * b)
    none = make_resonance_search(10, signal_fraction=0, random_state=0).answers
    assert none["significance"] == none["blind_significance"] == 0


def test_data_are_rows_without_labels():
    hidden = make_simulation_and_data(N, random_state=3)
    told = make_simulation_and_data(N, labelled=True, random_state=3)
    data = hidden.sensitive["domain"] == "data"

    assert hidden.features.equals(told.features)
    assert hidden.target[data].isna().all()
    assert hidden.target[~data].equals(told.target[~data].astype(float))
    assert told.target.notna().all()


@pytest.mark.parametrize(("shift", "faded"), [(1.5, 0.0), (0.0, 1.0), (-1.0, 0.5), (0.0, -1.0)])
def test_accuracies_of_linear_rules(shift, faded):
    both = make_simulation_and_data(N, shift=shift, faded=faded, labelled=True, random_state=1)
    data = (both.sensitive["domain"] == "data").to_numpy()
    X, y = both.features.to_numpy(), both.target.to_numpy()

    def accuracy(columns, fitted_on, scored_on):
        rule = LinearDiscriminantAnalysis().fit(X[fitted_on][:, columns], y[fitted_on])
        return rule.score(X[scored_on][:, columns], y[scored_on])

    found = {
        "simulation_accuracy": accuracy([0, 1, 2, 3], ~data, ~data),
        "transferred_accuracy": accuracy([0, 1, 2, 3], ~data, data),
        "robust_accuracy": accuracy([0, 1], ~data, data),
        "data_accuracy": accuracy([0, 1, 2, 3], data, data),
    }
    assert found == pytest.approx(dict(both.answers), abs=0.015)


def test_domains_that_look_alike():
    both = make_simulation_and_data(N, shift=0, faded=-1, random_state=1)
    data = (both.sensitive["domain"] == "data").to_numpy()

    for column in both.features:
        values = both.features[column]
        assert ks_2samp(values[data], values[~data]).pvalue > 1e-3


@pytest.mark.parametrize("make", [make_resonance_search, make_simulation_and_data])
def test_seeds_and_bad_settings(make):
    assert make(50, random_state=4).features.equals(make(50, random_state=4).features)
    assert not make(50, random_state=4).features.equals(make(50, random_state=5).features)
    with pytest.raises(ValueError, match=f"`{make.__name__}` expects n from 1"):
        make(0)


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="expects signal_fraction from 0 to 1; got 2"):
        make_resonance_search(signal_fraction=2)
    with pytest.raises(ValueError, match="expects faded from -1 to 1; got 3"):
        make_simulation_and_data(faded=3)
