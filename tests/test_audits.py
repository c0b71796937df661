import json
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import mutual_info_score
from sklearn.tree import DecisionTreeClassifier

from bitveil.audits import Audit, audit, audit_table, held_out, html_report
from bitveil.audits.attacks import attack
from bitveil.audits.fairness import parity_gap
from bitveil.audits.families import FAMILIES
from bitveil.audits.probes import Split
from bitveil.audits.uses import use
from bitveil.certificates import certify, slack
from bitveil.datasets import load_adult
from bitveil.information import BITS
from worlds import audit_named, noisy_copy, parity_trap


def rows_of(world, copies):
    return world.logits.repeat(copies, 1).numpy(), world.groups.repeat(copies).numpy()


def test_the_table_and_boosting_see_the_parity_trap_and_a_linear_attacker_does_not():
    found = audit_named(*rows_of(parity_trap(extra=3), 500))
    attackers = {probe.family: probe.auc for probe in found.attackers}

    assert found.information_bits == pytest.approx(1)
    assert found.neuron_information_bits == pytest.approx(0, abs=1e-12)
    assert found.attack_accuracy == pytest.approx(1)
    assert attackers["boosting"] > 0.99
    assert attackers["linear"] < 0.6


def test_a_noisy_copy_is_read_exactly_and_the_certificate_contains_it():
    logits, s = rows_of(noisy_copy(0.3, extra=2), 2_000)
    y = np.where(logits[:, 0] > 0, "yes", "no")
    found = audit_named(logits, np.array(["f", "m"])[s], y, delta=0.1)

    assert found.total_variation == pytest.approx(0.4)
    assert found.certain_gap <= 0.4 <= found.certificate.bound
    assert found.certificate.bound < 0.44
    assert found.balanced_attack_accuracy == pytest.approx(0.7)
    assert found.use_accuracy == pytest.approx(0.7, abs=0.04)
    assert found.groups == ("f", "m")


def test_drawn_bits_alone_are_audited_as_hard_codes():
    logits, s = rows_of(parity_trap(), 500)
    found = audit((logits > 0).astype(int), s)

    assert found.information_bits == pytest.approx(1)
    assert found.certificate.draws == "hard"
    assert found.total_variation_left_out is None
    assert "of the drawn codes" in str(found)


def test_two_ends_that_print_alike_are_one_number():
    found = audit_named(*rows_of(noisy_copy(0.3), 500))
    alike = replace(found, total_variation=0.40001, total_variation_left_out=0.4)
    apart = replace(found, total_variation=0.41, total_variation_left_out=0.4)

    assert "total variation       0.4000\n" in str(alike)
    assert "total variation       0.4000 to 0.4100\n" in str(apart)


def test_an_audit_goes_to_json_and_to_text():
    found = audit_named(*rows_of(noisy_copy(0.3), 500))
    back = json.loads(found.to_json())

    assert back["certificate"]["bound"] == found.certificate.bound
    assert back["attackers"][0]["family"] == "linear"
    for line in ("held-out rows", "joint information", "certified, δ = 0.05", "best attacker"):
        assert line in str(found)
    assert "expected counts, since every row has a name of its own" in str(found)


def test_several_sensitive_columns_are_one_attribute_of_tuples():
    logits, s = rows_of(parity_trap(), 500)
    table = pd.DataFrame({"sex": np.where(s, "f", "m"), "old": logits[:, 0] > 0})
    found = audit_named(logits, table)

    assert found.groups == (("f", False), ("f", True), ("m", False), ("m", True))
    assert found.information_bits == pytest.approx(2)


def test_bits_in_an_array_are_bits_even_if_one_of_them_never_changes():
    found = audit(np.stack([np.arange(40) % 2, np.zeros(40)], 1), np.arange(40) // 20)

    assert [part.name for part in found.meaning.parts] == ["bit 0", "bit 1"]
    assert found.counted == "the codes as they were published"


def test_a_probe_is_scored_on_rows_that_it_was_not_trained_on():
    # Labels without any rule: learning them by heart does not help on other rows.
    rng = np.random.default_rng(0)
    seen, labels = rng.normal(size=(600, 5)), rng.integers(0, 2, 600)

    assert all(0.35 < probe.auc < 0.65 for probe in attack(Split.halves(seen, labels, 0)))


def test_probes_take_more_than_two_values():
    labels = np.arange(900) % 3
    bits = np.stack([labels == 1, labels == 2], 1).astype(int)

    assert all(probe.auc == 1 for probe in attack(Split.halves(bits, labels, 0)))
    (found,) = use(Split.halves(bits, labels, 0), np.zeros(450, dtype=np.int64))
    assert (found.probe.accuracy, found.gap) == (1, 0)


def test_parity_gap_is_the_largest_over_answers_and_groups():
    answers = np.array(["a", "a", "b", "b", "c", "c"])
    groups = np.array([0, 0, 0, 1, 1, 1])

    assert parity_gap(answers, groups) == pytest.approx(2 / 3)


# Anybody's codes


def adult(n=2_000):
    data = load_adult()
    some = np.random.default_rng(0).permutation(len(data.target))[:n]
    X = data.features.iloc[some].reset_index(drop=True)

    return X, data.target.iloc[some].reset_index(drop=True), data.sensitive["sex"].iloc[some]


def test_a_cluster_a_leaf_and_a_postcode_are_audited_as_what_they_are():
    X, y, sex = adult()
    numbers = X[["age", "education_num", "hours_per_week"]].to_numpy(float)
    cluster = KMeans(6, n_init=1, random_state=0).fit_predict(numbers)
    leaf = DecisionTreeClassifier(max_leaf_nodes=9, random_state=0).fit(numbers, y).apply(numbers)
    postcode = pd.Series(
        np.random.default_rng(0).integers(10_000, 10_040, len(y)), name="postcode"
    )

    for codes in (cluster, leaf, postcode, leaf.astype(str), pd.Categorical(leaf)):
        found = audit(codes, sex, y)
        table = pd.crosstab(np.asarray(sex), np.asarray(codes)).to_numpy()
        p = table / table.sum(1, keepdims=True)
        assert found.total_variation == pytest.approx(abs(p[0] - p[1]).sum() / 2)
        assert found.information_bits == pytest.approx(
            mutual_info_score(None, None, contingency=table) * BITS
        )
        assert found.certificate.draws == "hard"
        assert found.n_bits == 1
        assert found.meaning.n_cells == len(np.unique(codes))
        assert found.sensitive == ("sex",)
        assert "codes of 1 column" in str(found)


def test_several_columns_are_one_code():
    s = np.arange(400) % 2
    coin = np.repeat([0, 1], 200)
    found = audit(pd.DataFrame({"a": coin, "b": np.where(coin ^ s, "x", "y")}), s)

    assert found.information_bits == pytest.approx(1)
    assert found.meaning.revealing.parts == ("a", "b")
    assert found.n_bits == 2


def test_a_table_of_counts_is_audited_as_its_rows_are():
    s, codes = np.random.default_rng(0).integers(0, [2, 5], (900, 2)).T
    table = pd.crosstab(pd.Series(s, name="sex"), pd.Series(codes, name="leaf"))
    by_table, by_rows = audit_table(table), audit(codes, pd.Series(s, name="sex"))

    assert by_table.sizes == by_rows.sizes == tuple(np.bincount(s))
    assert by_table.total_variation == pytest.approx(by_rows.total_variation)
    assert by_table.certificate == by_rows.certificate
    assert by_table.sensitive == ("sex",)
    named = audit_table(table.to_numpy(), ["f", "m"], list("abcde"))
    assert named.groups == ("f", "m")
    assert {cell.code for cell in named.meaning.cells} == set("abcde")


def test_a_constant_code_reveals_nothing():
    found = audit(np.zeros(100), np.arange(100) % 2)

    assert found.information_bits == 0
    assert found.total_variation == 0
    assert found.meaning.revealing is None


def test_certificates_count_all_values_of_a_column_and_attackers_see_the_frequent_ones():
    s = np.arange(3_000) % 2
    found = audit(np.arange(3_000) // 12 * 2 + s, s)  # six rows a value, of one group

    assert found.total_variation == pytest.approx(1)
    assert any("255 most frequent values" in note for note in found.notes)


# Several sensitive columns


@pytest.fixture(scope="module")
def two():
    """A code that tells the sex of some and nothing of age."""

    rng = np.random.default_rng(0)
    sex, old = rng.choice(["f", "m"], 4_000), rng.random(4_000) < 0.4
    logits = np.stack([np.where(sex == "m", 1.0, -1.0), rng.normal(size=4_000)], 1)

    return audit_named(logits, pd.DataFrame({"sex": sex, "old": old}), delta=0.1)


def test_each_column_is_audited_alone_and_within_the_whole(two):
    sex, old = two.columns

    assert (sex.name, sex.groups, old.groups) == ("sex", ("f", "m"), (False, True))
    assert sex.interval.least > 0.2 > old.interval.certificate.bound
    assert sex.interval.certificate.delta == sex.interval.delta == 0.05  # a half of delta
    assert max(probe.auc for probe in sex.attackers) > 0.65
    assert max(probe.auc for probe in old.attackers) < 0.56
    # Coarser groups: each column's measured gap is no more than that of all groups.
    assert old.interval.certificate.estimate < sex.interval.certificate.estimate
    assert sex.interval.certificate.estimate <= two.total_variation + 1e-12
    assert "sex alone" in str(two)


def test_every_attacker_of_every_column_is_compared_with_its_certificate(two):
    assert len(two.checks) == len(two.attackers) + sum(len(c.attackers) for c in two.columns)
    assert two.broken == ()


def test_the_audit_reports_an_attacker_above_the_certificate(monkeypatch):
    """A certificate that is broken on purpose: half of what was measured."""

    def broken(*arguments, **settings):
        right = certify(*arguments, **settings)
        return replace(right, bound=right.estimate / 2)

    monkeypatch.setattr("bitveil.certificates.dilution.certify", broken)
    logits, s = rows_of(noisy_copy(0.2), 1_000)
    found = audit_named(logits, s)

    assert len(found.broken) == len(found.checks) == 2
    assert "ABOVE THE CERTIFICATE" in str(found)
    assert str(found).startswith("THE BOUND IS REFUTED")
    assert "The certified bound is refuted." in html_report(found)


def test_all_attackers_have_intervals_and_repeated_draws(monkeypatch):
    monkeypatch.setattr(held_out, "_BOOT", 20)
    logits, s = rows_of(noisy_copy(0.4, extra=1), 400)
    y = np.tile(["yes", "yes", "no", "no"], 200)
    found = audit_named(logits, s, y, attackers="all")

    families = [probe.family for probe in found.attackers]
    assert families[:-1] == list(FAMILIES)
    assert families[-1].startswith("search: ")
    assert all(probe.auc_interval for probe in found.attackers[:-1])
    aucs = [probe.auc for probe in found.repeated_draws.values()]
    assert list(found.repeated_draws) == ["1 draw", "5 draws", "50 draws", "logits"]
    assert aucs[0] < 0.7 < 0.99 < aucs[-1]
    assert {used.probe.family for used in found.uses} == set(FAMILIES)
    assert found.uses[0].probe.family == "boosting"
    assert found.use_accuracy == found.uses[0].probe.accuracy
    assert all(len(used.differences) == 3 for used in found.uses)
    assert found.broken == ()


def test_a_group_of_three_rows_can_be_audited():
    # One group of three rows, and a target with two: every half has some of each.
    s = np.array([0] * 3 + [1] * 97)
    y = np.array([0] * 2 + [1] * 98)
    found = audit_named(np.zeros((100, 1)), s, y, attackers="all")

    assert found.sizes == (3, 97)
    assert any("No search over attackers" in note for note in found.notes)
    assert any("Fairness metrics were left out: a group has" in note for note in found.notes)
    assert any("Equalised odds were not certified" in note for note in found.notes)


# JSON


def test_the_json_says_its_version_and_all_that_the_audit_has():
    logits, s = rows_of(noisy_copy(0.3, extra=1), 300)
    y = pd.Series(np.tile(["yes", "yes", "no"], 200), name="hired")
    found = audit_named(logits, pd.Series(s, name="sex"), y, encode=lambda X: X, X=logits)
    back = json.loads(found.to_json())

    assert back["schema"] == "bitveil.audit/1"
    assert set(back) == {field.name for field in fields(Audit)}
    assert [i["certificate"]["quantity"] for i in back["intervals"]] == [
        "parity gap",
        "balanced attack accuracy",
        "information (bits)",
        "equalised odds gap",
    ]
    assert back["meaning"]["revealing"]["parts"] == ["bit 0"]
    assert back["meaning"]["parts"][0]["follows"][0][0] == "column 0"
    assert (back["sensitive"], back["target"]) == (["sex"], "hired")
    assert back["made"]["random_state"] == 0


def test_the_truth_lies_between_both_bounds():
    logits, s = rows_of(noisy_copy(0.3), 2_000)
    found = audit_named(logits, s, s)
    truth = [0.4, 0.7, 1 + 0.3 * np.log2(0.3) + 0.7 * np.log2(0.7)]

    for value, interval in zip(truth, found.intervals, strict=False):
        assert interval.least <= value <= interval.certificate.bound


def test_the_checksum_is_of_the_content_and_of_nothing_else():
    s = pd.Series(["f", "m"] * 50, name="sex")
    codes = pd.Series(np.arange(100) % 3)
    first = audit(codes, s).made
    same = audit(codes.astype(float), s.to_numpy(), random_state=1).made
    other = audit(codes.where(codes.index > 0, 1), s).made

    assert first.checksum == same.checksum != other.checksum
    assert (first.random_state, same.random_state) == (0, 1)


def test_the_path_of_an_encoder_is_kept():
    class Step:
        limit, strength, information, measure, certified = 0.1, None, 0.5, 0.08, True

    class Newer(Step):
        gap, score = 0.07, 0.9

    logits, s = rows_of(noisy_copy(0.3), 100)
    old, new = audit_named(logits, s, path=[Step(), Newer()]).path

    assert (old.gap, old.score, old.certified) == (0.08, None, True)
    assert (new.gap, new.score) == (0.07, 0.9)
    assert old.information_bits == pytest.approx(0.5 * BITS)


# Counts, criteria and targets


def test_counts_of_a_hundred_million_rows_stay_counts():
    counts = np.array([[30_000_000, 19_000_000, 1_000_000], [29_000_000, 20_500_000, 500_000]])
    found = audit_table(counts, ["f", "m"], list("abc"))
    gap = np.abs(counts[0] / 5e7 - counts[1] / 5e7).sum() / 2

    assert found.n_rows == 100_000_000
    assert found.sizes == (50_000_000, 50_000_000)
    assert found.total_variation == pytest.approx(gap)
    assert found.certificate.bound == pytest.approx(
        gap + slack([50_000_000] * 2, 0.05, draws="hard")
    )
    assert found.certain_gap == pytest.approx(gap, abs=0.002)
    assert found.broken == ()
    assert any("a random 1000" in note or "random 99" in note for note in found.notes)


@pytest.mark.parametrize("seed", range(4))
def test_two_rows_of_a_group_in_a_table_of_counts_are_one_in_each_half(seed):
    found = audit_table([[300, 200], [1, 1]], ["many", "few"], random_state=seed)
    large = audit_table([[3 * 10**9, 2 * 10**9], [1, 1]], ["many", "few"], random_state=seed)

    assert sorted(found.sizes) == [2, 500]
    assert sorted(large.sizes) == [2, 5 * 10**9]


def test_a_rare_group_of_a_large_table_of_counts_keeps_its_rows():
    found = audit_table([[9_000_000, 990_000], [2, 8]], ["many", "few"])

    assert dict(zip(found.groups, found.sizes, strict=True)) == {"many": 9_990_000, "few": 10}
    assert len(found.attackers) == 2


@pytest.mark.parametrize(
    ("criterion", "quantity"),
    [
        ("independence", "parity gap"),
        ("separation", "equalised odds gap"),
        ("equal_opportunity", "equal opportunity gap"),
    ],
)
def test_the_gap_of_the_criterion_comes_first(criterion, quantity):
    logits, s = rows_of(noisy_copy(0.3), 2_000)
    y = np.where(np.arange(len(s)) // 2 % 3 == 0, "yes", "no")
    found = audit_named(logits, s, y, criterion=criterion, positive="yes", goal=0.5)

    assert found.certificate == found.intervals[0].certificate
    assert found.certificate.quantity.name == quantity
    assert found.certain_gap <= 0.4 <= found.certificate.bound
    assert [i.certificate.quantity.name for i in found.intervals].count("parity gap") == 1
    assert found.goal == 0.5
    assert found.positive == ("yes" if criterion == "equal_opportunity" else None)


def test_a_criterion_that_needs_a_target_says_so():
    with pytest.raises(ValueError, match=r"`criterion='separation'` compares .* give `y`"):
        audit(np.arange(8) % 2, [0, 1] * 4, criterion="separation")
    with pytest.raises(ValueError, match=r"`positive` expects one of \['a', 'b'\], got 'c'"):
        audit(
            np.arange(8) % 2,
            [0, 1] * 4,
            ["a", "a", "b", "b"] * 2,
            criterion="equal_opportunity",
            positive="c",
        )
    with pytest.raises(ValueError, match="`criterion` expects one of"):
        audit(np.arange(8) % 2, [0, 1] * 4, criterion="fairness")


def test_rows_without_a_target_count_for_the_attribute_alone():
    rng = np.random.default_rng(0)
    codes, s = rng.integers(4, size=400), rng.integers(2, size=400)
    y = pd.Series(np.where(rng.random(400) < 0.5, "yes", "no"), name="hired")
    y[rng.random(400) < 0.3] = None
    known = y.notna().to_numpy()
    found, without = audit(codes, s, y), audit(codes[known], s[known], y[known])

    assert found.n_rows == 400
    assert found.uses == without.uses
    assert found.certificate.sizes == tuple(np.bincount(s))
    odds = [a.intervals[-1].certificate for a in (found, without)]
    assert odds[0] == odds[1]
    assert any(f"{int((~known).sum())} rows have no target" in note for note in found.notes)
