import json
import sys
from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from bitveil.audits.attacks import attack, repeated_draw_attack, search_attack, within
from bitveil.audits.fairness import fairness_differences, parity_gap
from bitveil.audits.families import FAMILIES, Configuration, configuration, distinct, fit_family
from bitveil.audits.probes import Probe, Split
from bitveil.audits.uses import use
from bitveil.certificates import (
    BALANCED_ATTACK_ACCURACY,
    EQUAL_OPPORTUNITY_GAP,
    EQUALISED_ODDS_GAP,
    INFORMATION,
    PARITY_GAP,
    Certificate,
    certify,
    slack,
)
from bitveil.group_tables import GroupTables
from bitveil.tables import joint_table

every_family = pytest.mark.parametrize("family", FAMILIES)


def codes(n=2_000, m=4, lean=0.5, k=2, seed=0, wide=False):
    """Drawn bits that lean on the group, the groups, and the logits."""

    rng = np.random.default_rng(seed)
    s = rng.integers(0, k, n)
    logits = rng.normal(size=(n, 40 if wide else m)) + lean * rng.normal(size=(k, 1))[s]
    return (rng.random(logits.shape) < expit(logits)).astype(np.uint8), s, logits


def trap(n=2_000, extra=6, seed=0):
    """Eight bits, two of which are a parity trap."""

    bits = np.random.default_rng(seed).integers(0, 2, (n, 2 + extra)).astype(np.uint8)
    return bits, (bits[:, 1] ^ bits[:, 4]).astype(np.int64)


# --- What the families find.


@every_family
def test_only_a_linear_attacker_is_blind_to_a_parity_trap(family):
    (found,) = attack(Split.halves(*trap(), 0), families=[family])

    assert found.family == family
    assert found.auc < 0.6 if family == "linear" else found.auc > 0.95


@every_family
def test_learning_rows_by_heart_does_not_help(family):
    rng = np.random.default_rng(0)
    seen, labels = rng.normal(size=(600, 5)), rng.integers(0, 2, 600)

    (found,) = attack(Split.halves(seen, labels, 0), families=[family])
    assert 0.35 < found.auc < 0.65


@every_family
@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
def test_every_family_reads_a_leak_in_narrow_and_in_wide_codes(family, wide):
    bits, s, _ = codes(lean=1.0, wide=wide)

    (found,) = attack(Split.halves(bits, s, 0), families=[family])
    assert found.auc > 0.65


@every_family
def test_every_family_separates_more_than_two_labels(family):
    labels = np.arange(900) % 3
    bits = np.stack([labels == 1, labels == 2], 1).astype(int)

    (found,) = attack(Split.halves(bits, labels, 0), families=[family])
    assert (found.auc, found.accuracy, found.balanced_accuracy, found.gap) == (1, 1, 1, 1)


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match=r"`families` expects some of \['linear'.*got 'svm'"):
        attack(Split.halves(*trap(), 0), families=["svm"])


# --- Narrow codes: distinct rows with counts.


def test_a_linear_fit_of_counts_is_that_of_the_rows():
    bits, s, _ = codes()
    model = fit_family(Configuration("linear", {}), bits, s)
    plain = LogisticRegression(max_iter=1000).fit(StandardScaler().fit_transform(bits), s)

    assert model[-1].coef_ == pytest.approx(plain.coef_, rel=1e-3)


def test_a_forest_of_counts_is_that_of_the_rows():
    bits, s, _ = codes()
    rows = distinct(bits)[0]
    forest = fit_family(Configuration("forest", {}), bits, s)
    # As floats the same codes are a table like any other.
    plain = fit_family(Configuration("forest", {}), bits.astype(float), s)

    assert forest[-1].estimators_[0].tree_.n_node_samples[0] <= 2 * len(rows)
    assert plain[-1].estimators_[0].tree_.n_node_samples[0] == len(bits)
    assert forest.predict_proba(rows) == pytest.approx(plain.predict_proba(rows), abs=0.02)


@pytest.mark.parametrize("family", ["mlp", "boosting", "neighbours"])
def test_other_families_are_as_good_with_counts_as_with_rows(family):
    bits, s, _ = codes(n=6_000, lean=1.0)
    (narrow,) = attack(Split.halves(bits, s, 0), families=[family])
    (rows,) = attack(Split.halves(bits.astype(float), s, 0), families=[family])

    assert narrow.auc == pytest.approx(rows.auc, abs=0.02)


def test_fewer_rows_than_neighbours_are_enough():
    bits, s, _ = codes(n=40, lean=2.0)

    assert attack(Split.halves(bits, s, 0), families=["neighbours"])[0].sizes


# --- Scores.


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
def test_scores_are_those_of_scikit_learn(k, wide):
    bits, s, _ = codes(k=k, lean=1.0, wide=wide)
    split = Split.halves(bits, s, 0)
    (found,) = attack(split, families=["linear"])
    posterior = fit_family(Configuration("linear", {}), split.seen, split.labels).predict_proba(
        split.scored
    )
    scores = posterior[:, 1] if k == 2 else posterior
    telling = (posterior / np.bincount(split.labels)).argmax(1)

    assert found.auc == pytest.approx(
        roc_auc_score(split.scored_labels, scores, multi_class="ovr"), rel=1e-9
    )
    assert found.accuracy == accuracy_score(split.scored_labels, posterior.argmax(1))
    assert found.balanced_accuracy == pytest.approx(
        balanced_accuracy_score(split.scored_labels, telling)
    )
    assert found.sizes == tuple(np.bincount(split.scored_labels))


def test_the_gap_of_two_labels_is_the_difference_of_the_rates():
    split = Split.halves(*codes(lean=1.0)[:2], 0)
    (found,) = attack(split, families=["linear"])
    posterior = fit_family(Configuration("linear", {}), split.seen, split.labels).predict_proba(
        split.scored
    )
    answers = (posterior / np.bincount(split.labels)).argmax(1)

    assert found.gap == pytest.approx(parity_gap(answers, split.scored_labels))


def test_a_rare_group_counts_as_much_as_a_frequent_one():
    # A bit that is the group, in one row of fifty: no guess of it beats "never" in accuracy.
    rng = np.random.default_rng(0)
    s = (rng.random(20_000) < 0.02).astype(int)
    bit = (rng.random(20_000) < np.where(s, 0.8, 0.2)).astype(int)
    (found,) = attack(Split.halves(bit[:, None], s, 0), families=["boosting"])

    assert found.accuracy > 0.97
    assert found.balanced_accuracy == pytest.approx(0.8, abs=0.03)


def test_intervals_are_as_wide_as_the_noise_and_come_from_the_seed():
    split = Split.halves(*codes(n=4_000)[:2], 0)
    (found,) = attack(split, families=["linear"], n_boot=400)
    (again,) = attack(split, families=["linear"], n_boot=400)
    (other,) = attack(split, families=["linear"], n_boot=400, random_state=1)
    low, high = found.accuracy_interval
    expected = 2 * 1.96 * np.sqrt(found.accuracy * (1 - found.accuracy) / 2_000)

    assert found == again
    assert found.auc_interval != other.auc_interval
    assert low < found.accuracy < high
    assert high - low == pytest.approx(expected, rel=0.2)
    assert found.auc_interval[0] < found.auc < found.auc_interval[1]


def test_an_interval_of_auc_contains_the_truth_about_as_often_as_it_claims():
    # The classifier answers by one bit, which is the group with probability 0.7: AUC 0.7.
    held = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        s = rng.integers(0, 2, 400)
        bit = s ^ (rng.random(400) < 0.3)
        split = Split(np.array([[0], [0], [1], [1]]), np.array([0, 0, 1, 1]), bit[:, None], s)
        low, high = attack(split, families=["linear"], n_boot=200)[0].auc_interval
        held.append(low <= 0.7 <= high)

    assert 0.88 <= np.mean(held) < 1


def test_a_label_that_training_lacks_is_never_guessed_right():
    split = Split(
        np.array([[0], [1]] * 20), np.array([0, 1] * 20), np.array([[0], [1], [1]]), np.arange(3)
    )
    (found,) = attack(split, families=["linear"])

    assert found.accuracy == pytest.approx(2 / 3)
    assert found.balanced_accuracy == pytest.approx(2 / 3)
    assert found.sizes == (1, 1, 1)


def test_probes_go_to_json():
    (found,) = attack(Split.halves(*codes()[:2], 0), families=["linear"], n_boot=5)

    assert json.loads(json.dumps(asdict(found)))["family"] == "linear"


# --- Searching, and drawing again.


def test_a_search_finds_what_the_quick_attackers_find():
    bits, s = trap(n=1_200)
    found = search_attack(Split.halves(bits, s, 0), n_configurations=8)

    assert found.auc > 0.95
    assert found.settings


def test_a_search_sees_nothing_of_the_rows_that_score_it():
    bits, s, _ = codes(n=1_200, lean=1.0)
    split = Split.halves(bits, s, 0)
    turned = Split(split.seen, split.labels, split.scored, 1 - split.scored_labels)
    found, other = (search_attack(one, n_configurations=6) for one in (split, turned))

    assert (found.family, found.settings) == (other.family, other.settings)
    assert found.auc == pytest.approx(1 - other.auc)


def test_a_search_is_the_same_with_the_same_seed():
    split = Split.halves(*codes(n=1_200)[:2], 0)
    first, again = (search_attack(split, n_configurations=4, random_state=3) for _ in range(2))

    assert first == again


def test_configurations_cover_all_families_and_can_be_made():
    rng = np.random.default_rng(0)
    drawn = [configuration(rng, n_columns=100) for _ in range(60)]

    assert {one.family for one in drawn} == set(FAMILIES)
    assert all(one.settings["degree"] == 1 for one in drawn if one.family == "linear")
    assert {configuration(rng, 8).settings.get("degree") for _ in range(60)} >= {1, 2}
    for one in drawn:
        one.make()


def test_frozen_draws_protect_from_repeated_draws():
    _, s, logits = codes(n=3_000, lean=0.0)
    logits = np.where(s[:, None], 0.15, -0.15) * np.ones(4)
    found = repeated_draw_attack(logits, s, draws=(1, 20, 400))
    certificate = certify(GroupTables.of(joint_table(*_tensors(logits, s), 2)))

    assert list(found) == ["1 draw", "20 draws", "400 draws", "logits"]
    auc = [probe.auc for probe in found.values()]
    assert auc == sorted(auc)
    assert auc[-1] == 1
    assert auc[0] < 0.62
    assert within(certificate, found["1 draw"]).holds
    assert not within(certificate, found["400 draws"]).holds


def _tensors(logits, s):
    import torch

    return torch.from_numpy(logits), torch.from_numpy(s)


# --- Beside the certificate.


@pytest.mark.parametrize("k", [2, 3])
def test_no_attacker_exceeds_its_certificate(k):
    for seed in range(4):
        bits, s, logits = codes(k=k, lean=0.4, seed=seed)
        table = GroupTables.of(joint_table(*_tensors(logits, s), k))
        probes = attack(Split.halves(bits, s, seed), families=FAMILIES)
        for certificate in (certify(table), certify(table, BALANCED_ATTACK_ACCURACY)):
            assert all(within(certificate, probe).holds for probe in probes)


def test_a_comparison_says_by_how_much():
    probe = Probe("mlp", 0.9, 0.9, 0.8, (500, 500))
    found = within(Certificate(0.52, 0.05, 0.4, (500, 500)), probe, delta=0.01)

    assert found.measured == pytest.approx(0.6)
    assert found.noise == pytest.approx(slack([500, 500], 0.01))
    assert found.delta == pytest.approx(0.06)
    assert found.holds
    assert str(found) == "mlp: 0.6000 - 0.0847 ≤ 0.5200, within the certificate"


def test_a_comparison_above_its_certificate_says_why_that_may_be():
    probe = Probe("mlp", 0.9, 0.9, 0.9, (5000, 5000))
    found = within(Certificate(0.5, 0.05, 0.4, (500, 500)), probe)

    assert not found.holds
    assert "> 0.5000, above the certificate. By chance with probability ≤ 0.1;" in str(found)


def test_the_noise_of_many_groups_is_that_of_their_mean():
    probe = Probe("mlp", 0.5, 0.5, 0.5, (100, 200, 300))
    noise = slack([100, 200, 300], 0.05)
    accuracy = Certificate(0.6, 0.05, 0.5, (100, 200, 300), quantity=BALANCED_ATTACK_ACCURACY)

    assert within(accuracy, probe).noise == pytest.approx(noise / 3)
    assert within(Certificate(0.6, 0.05, 0.5, (100, 200, 300)), probe).noise == pytest.approx(
        noise / 2
    )
    assert probe.gap == pytest.approx(0.25)


def test_a_probe_and_an_information_cannot_be_compared():
    _, s, logits = codes()
    certificate = certify(GroupTables.of(joint_table(*_tensors(logits, s), 2)), INFORMATION)

    with pytest.raises(ValueError, match=r"certificate of information does not bound answers"):
        within(certificate, Probe("mlp", 0.5, 0.5, 0.5, (10, 10)))
    with pytest.raises(ValueError, match=r"all \(10,\) scored rows have one"):
        within(Certificate(0.5, 0.05, 0.4, (5, 5)), Probe("mlp", 1, 0.5, 1, (10,)))


# --- Use.


def test_use_says_how_good_and_how_fair_each_family_is():
    bits, s, _ = codes(n=4_000)
    y = bits[:, 0].astype(np.int64)
    split, groups = Split.halves(bits, y, 0), Split.halves(bits, s, 0).scored_labels
    found = use(split, groups, families=["linear", "boosting"])

    assert [one.probe.family for one in found] == ["linear", "boosting"]
    for one in found:
        assert one.probe.accuracy == 1
        assert one.gap == pytest.approx(parity_gap(split.scored[:, 0], groups))
        assert one.differences == ()


def test_differences_have_the_certified_bounds_beside_them():
    pytest.importorskip("fairlearn")
    bits, s, logits = codes(n=4_000, lean=1.0)
    y = bits[:, 0].astype(np.int64)
    table = GroupTables.of(joint_table(*_tensors(logits, 2 * y + s), 4).view(2, 2, -1))
    gaps = (PARITY_GAP, EQUAL_OPPORTUNITY_GAP, EQUALISED_ODDS_GAP)
    certificates = [certify(table, gap) for gap in gaps]
    split, groups = Split.halves(bits, y, 0), Split.halves(bits, s, 0).scored_labels
    (found,) = use(split, groups, fairness=True, certificates=certificates, n_boot=20)
    by_name = {one.metric: one for one in found.differences}

    assert by_name["selection rate"].value == pytest.approx(found.gap)
    assert by_name["selection rate"].bound == certificates[0].bound
    assert by_name["true positive rate"].bound == min(c.bound for c in certificates[1:])
    assert by_name["false positive rate"].bound == certificates[2].bound
    low, high = by_name["selection rate"].interval
    assert low < found.gap < high


def test_differences_are_those_of_fairlearn_on_the_rows():
    metrics = pytest.importorskip("fairlearn.metrics")
    rng = np.random.default_rng(0)
    groups = rng.choice(["a", "b", "c"], 3_000, p=[0.5, 0.3, 0.2])
    labels = rng.random(3_000) < np.where(groups == "a", 0.6, 0.4)
    answers = rng.random(3_000) < np.where(labels, 0.7, 0.3) + 0.1 * (groups == "b")
    rates = {
        "selection rate": metrics.selection_rate,
        "true positive rate": metrics.true_positive_rate,
        "false positive rate": metrics.false_positive_rate,
    }
    frame = metrics.MetricFrame(
        metrics=rates, y_true=labels, y_pred=answers, sensitive_features=groups
    )

    for found in fairness_differences(answers, labels, groups, n_boot=0):
        assert found.value == pytest.approx(frame.difference()[found.metric])
        assert found.interval is None
        assert found.bound is None


def test_intervals_of_differences_are_those_of_rows_drawn_anew():
    pytest.importorskip("fairlearn")
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 2, 2_000)
    labels, answers = rng.random((2, 2_000)) < 0.4 + 0.2 * groups
    drawn = []
    for _ in range(500):
        rows = rng.integers(0, 2_000, 2_000)
        means = [answers[rows][groups[rows] == g].mean() for g in (0, 1)]
        drawn.append(abs(means[0] - means[1]))

    found = fairness_differences(answers, labels, groups, n_boot=100)[0]
    assert found.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


def test_a_rate_of_no_rows_is_none():
    pytest.importorskip("fairlearn")
    # Group 1 has no positives, and group 0 has two: their rates have no difference.
    found = fairness_differences([1, 0, 1, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0], n_boot=10)
    by_name = {one.metric: one for one in found}

    assert by_name["true positive rate"].value is by_name["true positive rate"].interval is None
    assert by_name["false positive rate"].value == 0.5
    assert fairness_differences([1], [1], [0], n_boot=2)[0].value == 0


def test_everything_else_works_without_fairlearn(monkeypatch):
    monkeypatch.setitem(sys.modules, "fairlearn", None)
    bits, s, _ = codes()
    split = Split.halves(bits, s, 0)

    assert use(split, split.scored_labels)[0].probe.accuracy > 0
    with pytest.raises(ImportError, match=r"pip install fairlearn"):
        use(split, split.scored_labels, fairness=True)


# --- Bad input.


def test_rows_and_labels_that_do_not_fit_are_refused():
    bits, s, _ = codes(n=20)

    with pytest.raises(ValueError, match=r"got 20 rows and 19 labels"):
        Split.halves(bits, s[1:], 0)
    with pytest.raises(ValueError, match=r"got 10 rows and 20 labels"):
        Split(bits, s, bits[:10], s)
    with pytest.raises(ValueError, match=r"got 0 rows and 0 labels"):
        Split(bits, s, bits[:0], s[:0])
    with pytest.raises(ValueError, match=r"got 10 rows and 20 labels"):
        use(Split.halves(bits, s, 0), s)
    with pytest.raises(ValueError, match=r"got 3, 2 and 3 of them"):
        fairness_differences([1, 0, 1], [1, 0], [0, 1, 1])


@every_family
def test_a_probe_of_one_label_is_refused(family):
    bits, s, _ = codes(n=20)

    with pytest.raises(ValueError, match=r"separates labels, but all rows for training have"):
        attack(Split.halves(bits, 0 * s, 0), families=[family])
