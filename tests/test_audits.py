import json

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import audit
from bitveil.audits.probes import Split, attack, parity_gap, use
from worlds import noisy_copy, parity_trap


def rows_of(world, copies):
    return world.logits.repeat(copies, 1).numpy(), world.groups.repeat(copies).numpy()


def test_the_parity_trap_is_seen_by_the_table_and_by_boosting_but_not_by_a_linear_attacker():
    found = audit(*rows_of(parity_trap(extra=3), 500))
    attackers = {probe.family: probe.auc for probe in found.attackers}

    assert found.information_bits == pytest.approx(1)
    assert found.neuron_information_bits == pytest.approx(0, abs=1e-12)
    assert found.attack_accuracy == pytest.approx(1)
    assert attackers["boosting"] > 0.99
    assert attackers["linear"] < 0.6


def test_a_noisy_copy_is_read_exactly_and_the_certificate_contains_it():
    logits, s = rows_of(noisy_copy(0.3, extra=2), 2_000)
    y = np.where(logits[:, 0] > 0, "yes", "no")
    found = audit(logits, np.array(["f", "m"])[s], y, delta=0.1)

    assert found.total_variation == pytest.approx(0.4)
    assert found.certain_gap <= 0.4 <= found.certificate.gap
    assert found.certificate.gap < 0.44
    assert found.balanced_attack_accuracy == pytest.approx(0.7)
    assert found.use_accuracy == pytest.approx(0.7, abs=0.04)
    assert found.groups == ("f", "m")


def test_drawn_bits_alone_are_audited_as_hard_codes():
    logits, s = rows_of(parity_trap(), 500)
    found = audit(None, s, bits=(logits > 0).astype(int))

    assert found.information_bits == pytest.approx(1)
    assert found.certificate.draws == "hard"
    assert found.total_variation_left_out is None
    assert "of the drawn codes" in str(found)


def test_an_audit_goes_to_json_and_to_text():
    found = audit(*rows_of(noisy_copy(0.3), 500), shared_rows=3)
    back = json.loads(found.to_json())

    assert back["certificate"]["bound"] == found.certificate.gap
    assert back["attackers"][0]["family"] == "linear"
    for line in ("held-out rows", "joint information", "certified, δ = 0.05", "best attacker"):
        assert line in str(found)
    assert "3 (equal content, no id)" in str(found)


def test_several_sensitive_columns_are_one_attribute_of_tuples():
    logits, s = rows_of(parity_trap(), 500)
    table = pd.DataFrame({"sex": np.where(s, "f", "m"), "old": logits[:, 0] > 0})
    found = audit(logits, table)

    assert found.groups == (("f", False), ("f", True), ("m", False), ("m", True))
    assert found.information_bits == pytest.approx(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, [0, 1]), r"`logits` or `bits`, got neither"),
        ((np.zeros((2, 2)), [0]), r"`sensitive_features` expects one value for each of the 2"),
        ((np.zeros((2, 2)), [0, 0]), r"`sensitive_features` has one value only"),
        ((np.full((2, 2), np.nan), [0, 1]), r"finite `logits`, got NaN"),
        ((np.zeros((2, 2)), [0, None]), r"`sensitive_features` has 1 missing values"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        audit(*arguments)


def test_bits_that_are_no_bits_or_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`bits` as 0 and 1"):
        audit(None, [0, 1], bits=np.array([[0.5], [1]]))
    with pytest.raises(ValueError, match=r"same rows and bits, got shapes \(2, 1\) and \(3, 1\)"):
        audit(np.zeros((2, 1)), [0, 1, 1], bits=np.zeros((3, 1)))


def test_a_probe_is_scored_on_rows_that_it_was_not_trained_on():
    # Labels without any rule: what was learnt by heart is worth nothing on other rows.
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
