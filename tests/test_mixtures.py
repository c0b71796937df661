"""Mixtures: every reading is the mean by the shares, coins know nothing, goals are kept to."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

import brute
from bitveil.certificates import certify
from bitveil.codes import code_likelihood
from bitveil.estimators import InvariantEncoder
from bitveil.group_tables import GroupTables
from bitveil.mixtures import Mixture
from bitveil.models import InvariantClassifier, load
from bitveil.shares import largest_share, mixed_table
from mixed_encoders import linear, one_epoch, pair, people, table_of

# --- The laws.


def pairs_of(reading):
    return lambda counts: [
        reading(counts[[i, j]]) for i in range(len(counts)) for j in range(i + 1, len(counts))
    ]


READINGS = {
    "variation of each pair": pairs_of(brute.total_variation),
    "information": brute.mutual_information,
    "chi-square information": brute.chi_square_information,
    "attack": brute.attack_accuracy,
}


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", READINGS)
def test_a_reading_of_the_mixture_is_the_mean_by_the_shares(name, share, k):
    X, _, s = people(k=k, seed=1)
    mixed = table_of(Mixture(pair(k), [1 - share, share]).likelihoods(X), s)
    tables = [table_of(code_likelihood(torch.from_numpy(e.logits(X))).numpy(), s) for e in pair(k)]
    first, second = (np.asarray(READINGS[name](table)) for table in tables)

    expected = (1 - share) * first + share * second
    np.testing.assert_allclose(READINGS[name](mixed), expected, atol=1e-12)


def test_so_are_information_and_accuracy_for_the_target():
    X, y, _ = people(seed=1)
    mixture = Mixture(pair(), [0.25, 0.75])
    mixed = table_of(mixture.likelihoods(X), y)
    parts = [table_of(code_likelihood(torch.from_numpy(e.logits(X))).numpy(), y) for e in pair()]

    for reading in (brute.attack_accuracy, brute.mutual_information):
        assert reading(mixed) == pytest.approx(0.25 * reading(parts[0]) + 0.75 * reading(parts[1]))


def test_the_largest_gap_of_three_groups_is_at_most_the_mean():
    # The first code tells groups 0 and 1 apart, the second 1 and 2: the coin halves both.
    first = torch.tensor([[0.0, 4.0], [4.0, 0.0], [2.0, 2.0]])
    second = torch.tensor([[2.0, 2.0], [4.0, 0.0], [0.0, 4.0]])
    estimates = [
        certify(GroupTables.of(table)).estimate
        for table in (first, second, mixed_table([first, second], [0.5, 0.5]))
    ]

    assert estimates == [1.0, 1.0, 0.75]


def test_a_mixture_lies_above_the_dent_of_a_front():
    # b agrees with the target in three rows of five and says the group; a is the target.
    rng = np.random.default_rng(0)
    n = 3000
    a, s = rng.choice([-1.0, 1.0], n), rng.integers(2, size=n)
    a = np.where(rng.random(n) < 0.3, 2.0 * s - 1, a)
    b = np.where(rng.random(n) < 0.6, a, -a)
    b = np.where(rng.random(n) < 0.1, 2.0 * s - 1, b)
    rows = np.column_stack([a, b]), (a > 0).astype(int), s
    none, dent, whole = (linear([w], rows) for w in ([0.0, 0], [0, 50.0], [50.0, 0]))

    def front(mixture):
        likelihoods = mixture.likelihoods(rows[0])
        gap = brute.total_variation(table_of(likelihoods, s))
        return gap, brute.attack_accuracy(table_of(likelihoods, rows[1]))

    (gap, accuracy), (most, best) = (front(Mixture([none, e], [0, 1])) for e in (dent, whole))
    found = front(Mixture([none, whole], [1 - gap / most, gap / most]))

    assert 0 < gap < most
    assert best == 1
    assert found[0] == pytest.approx(gap)
    assert found[1] > accuracy + 0.05


# --- Coins and bits.


def test_bits_are_those_of_the_encoder_that_the_coin_chose():
    X, _, _ = people(seed=2)
    encoders = [*pair(), linear([[1, 1]], people())]
    mixture = Mixture(encoders, [0.2, 0.3, 0.5])
    bits = mixture.transform(X)
    coins = 2 * bits[:, 0] + bits[:, 1]

    assert mixture.get_feature_names_out().tolist() == ["coin0", "coin1", "bit0", "bit1", "bit2"]
    assert bits.shape == (len(X), mixture.n_bits) == (len(X), 5)
    assert bits.dtype == np.uint8
    for number, encoder in enumerate(encoders):
        chosen, m = coins == number, encoder.n_bits
        np.testing.assert_array_equal(bits[chosen, 2 : 2 + m], encoder.transform(X)[chosen])
        assert not bits[chosen, 2 + m :].any()


def test_drawn_codes_are_as_frequent_as_the_likelihoods_say():
    X, _, _ = people(8000, seed=3)
    mixture = Mixture(pair(), [0.6, 0.4])
    bits = mixture.transform(X)
    codes = np.where(bits[:, 0] == 0, bits[:, 1:3] @ [2, 1], 4 + bits[:, 1:] @ [4, 2, 1])
    expected = mixture.likelihoods(X)
    spread = np.sqrt((expected * (1 - expected)).sum(0))

    assert np.abs(np.bincount(codes, minlength=12) - expected.sum(0) <= 4 * spread).all()


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_coins_are_independent_of_group_and_bits(share):
    X, _, s = people(8000, seed=4)
    first, _ = pair()
    same = linear(
        [[4, 1], [1, 4], [2, -2]], people(), key=first.coder_.key
    )  # shares the bits' draws
    coins = Mixture([first, same], [1 - share, share], key=first.coder_.key).transform(X)[:, 0]

    for part in (s == 0, s == 1, first.transform(X)[:, 0] == 1, same.transform(X)[:, 2] == 0):
        n = part.sum()
        assert abs(coins[part].mean() - share) < 4 * math.sqrt(share * (1 - share) / n)


def test_a_row_has_its_coin_wherever_it_stands_and_whenever_it_is_asked_for():
    X, _, _ = people(seed=5)
    bits = Mixture(pair(), [0.5, 0.5]).transform(X)
    order = np.random.default_rng(0).permutation(len(X))

    np.testing.assert_array_equal(Mixture(pair(), [0.5, 0.5]).transform(X[order]), bits[order])
    np.testing.assert_array_equal(Mixture(pair(), [0.5, 0.5]).transform(X[7:8]), bits[7:8])
    assert Mixture(pair(), [0.5, 0.5]).transform(X[:0]).shape == (0, 4)


def test_another_key_tosses_other_coins_and_draws_the_same_bits():
    X, _, _ = people(seed=5)
    one, other = (Mixture(pair(), [0.5, 0.5], key=key * 4) for key in (b"abcd", b"efgh"))
    first, second = one.transform(X), other.transform(X)
    alike = first[:, 0] == second[:, 0]

    assert 0.4 < alike.mean() < 0.6
    np.testing.assert_array_equal(first[alike], second[alike])
    assert repr(one.key) == "'secret'"


def test_names_decide_the_draws_where_there_are_any():
    X, _, _ = people(40)
    ids = np.arange(3000)
    alike = np.repeat(X[:1], 3000, axis=0)
    mixture = Mixture(pair(), [0.5, 0.5])

    assert len(np.unique(mixture.transform(alike), axis=0)) == 1
    assert mixture.transform(alike, ids=ids)[:, 0].mean() == pytest.approx(0.5, abs=0.04)
    np.testing.assert_array_equal(
        mixture.transform(alike[:9], ids=pd.Series(ids[:9], index=ids[:9] + 5)),
        mixture.transform(alike, ids=ids)[:9],
    )


def test_a_frame_may_have_its_columns_in_any_order():
    X, y, s = people(300)
    frame = pd.DataFrame(X, columns=["a", "b"])
    encoders = [linear(w, (frame, y, s)) for w in ([[1, 0]], [[0, 9]])]
    mixture = Mixture(encoders, [0.5, 0.5])

    np.testing.assert_array_equal(mixture.transform(frame[["b", "a"]]), mixture.transform(frame))


def test_answers_are_those_of_the_model_that_the_coin_chose():
    X, y, s = people()
    models = [linear(w, (X, y, s), cls=InvariantClassifier) for w in ([[0.1, 0]], [[9, 0]])]
    mixture = Mixture(models, [0.5, 0.5])
    coins = mixture.transform(X)[:, 0]

    for number, model in enumerate(models):
        np.testing.assert_array_equal(
            mixture.predict(X)[coins == number], model.predict(X)[coins == number]
        )
    with pytest.raises(AttributeError, match="Only models predict, and InvariantEncoder does not"):
        Mixture(pair(), [0.5, 0.5]).predict(X)


def test_a_mixture_is_made_anew_from_saved_encoders(tmp_path):
    X, y, s = people(200)
    encoders = [
        one_epoch(InvariantEncoder, m, key=bytes(16 + m)).fit(X, y, sensitive_features=s)
        for m in (1, 2)
    ]
    bits = Mixture(encoders, [0.3, 0.7]).transform(X)
    for number, encoder in enumerate(encoders):
        encoder.save(tmp_path / str(number))
    again = Mixture([load(tmp_path / "0"), load(tmp_path / "1")], [0.3, 0.7])

    np.testing.assert_array_equal(again.transform(X), bits)


# --- What is refused.


def other_columns():
    X, y, s = people(200)
    return one_epoch(InvariantEncoder, 2).fit(np.c_[X, X], y, sensitive_features=s)


def named_columns():
    X, y, s = people(200)
    return one_epoch(InvariantEncoder, 2).fit(
        pd.DataFrame(X, columns=["a", "b"]), y, sensitive_features=s
    )


BAD = {
    "one encoder": (lambda e: (e[:1], [1.0]), "two encoders or more, got 1"),
    "none": (lambda e: ([], []), "two encoders or more, got 0"),
    "no encoder": (lambda e: ([e[0], "b"], [0.5, 0.5]), "encoders of bitveil, got str"),
    "other columns": (lambda e: ([e[0], other_columns()], [0.5, 0.5]), "same columns.*2 and 4"),
    "names": (lambda e: ([e[0], named_columns()], [0.5, 0.5]), r"got 2 and \['a', 'b'\]"),
    "other groups": (
        lambda e: ([e[0], pair(3)[0]], [0.5, 0.5]),
        r"groups.*\[0, 1\] and \[0, 1, 2",
    ),
    "shares above 1": (lambda e: (e, [0.5, 0.6]), "sum to 1, got"),
    "shares below 1": (lambda e: (e, [0.5, 0.4]), "sum to 1, got"),
    "a negative share": (lambda e: (e, [1.5, -0.5]), "none below 0"),
    "NaN": (lambda e: (e, [np.nan, 1.0]), "none below 0"),
    "three shares": (lambda e: (e, [0.5, 0.2, 0.3]), "each of the 2 encoders"),
    "a text": (lambda e: (e, ["a", "b"]), "each of the 2 encoders"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mixture_that_is_none_is_refused(name):
    arguments, message = BAD[name]

    with pytest.raises(ValueError, match=message):
        Mixture(*arguments(list(pair())))


def test_encoders_are_fitted_before_and_keys_are_long():
    with pytest.raises(NotFittedError):
        Mixture([pair()[0], InvariantEncoder(2)], [0.5, 0.5])
    with pytest.raises(ValueError, match="16 to 64 bytes, got 5"):
        Mixture(pair(), [0.5, 0.5], key=b"short")


def test_rows_and_groups_belong_together():
    X, _, s = people(100, seed=8)
    mixture = Mixture(pair(), [0.5, 0.5])

    with pytest.raises(ValueError, match="each of the 100 rows, got 99 values"):
        mixture.certify(X, sensitive_features=s[1:])
    with pytest.raises(ValueError, match=r"groups that were not fitted: \[7\]"):
        mixture.certify(X, sensitive_features=np.r_[s[1:], 7])
    with pytest.raises(ValueError, match="held-out rows of each of at least two"):
        mixture.certify(X, sensitive_features=0 * s)
    with pytest.raises(ValueError, match="Expected 2 columns"):
        mixture.certify(X[:, :1], sensitive_features=s)


@pytest.mark.parametrize("goal", [0.0, -1.0, 1.1, np.nan, "wide"])
def test_a_goal_is_a_gap(goal):
    X, _, s = people(100, seed=8)

    with pytest.raises(ValueError, match="`max_gap` expects a number above 0 and up to 1"):
        Mixture.for_gap(*pair(), goal, X, sensitive_features=s)


def test_tables_of_a_mixture_are_of_the_same_rows():
    with pytest.raises(ValueError, match="must count the same rows"):
        mixed_table([torch.ones(2, 2), torch.ones(3, 2)], [0.5, 0.5])
    with pytest.raises(ValueError, match="must count the same rows"):
        largest_share(torch.ones(2, 2), torch.ones(2, 3), 0.5)


def test_copies_and_rows_that_an_encoder_was_fitted_on_are_refused():
    X, _, s = people(100, seed=8)
    mixture = Mixture(pair(), [0.5, 0.5])

    for certified in (mixture.certify, lambda X, **kw: Mixture.for_gap(*pair(), 0.9, X, **kw)):
        with pytest.raises(ValueError, match="100 of 200 rows repeat another row in everything"):
            certified(np.r_[X, X], sensitive_features=np.r_[s, s])
        with pytest.raises(ValueError, match="`ids` gives 100 of 200 rows the name of an"):
            certified(np.r_[X, X], sensitive_features=np.r_[s, s], ids=np.arange(200) % 100)
        with pytest.raises(ValueError, match="1200 of 1200 rows have the content of rows that"):
            certified(people()[0], sensitive_features=people()[2])


def test_rows_that_share_a_coin_are_counted_as_they_are_drawn():
    # Forty contents: nobody knows from them whether the rows are new, and that is said.
    rng = np.random.default_rng(0)
    contents = rng.integers(40, size=2400)
    X, s = rng.normal(size=(40, 2))[contents], rng.integers(2, size=2400)
    y = (X[:, 0] > 0).astype(int)
    rows = X[:1200], y[:1200], s[:1200]
    mixture = Mixture([linear([[1, 0]], rows), linear([[0, 9.0]], rows)], [0.5, 0.5])
    with pytest.warns(UserWarning, match="repeat too often to show whether the rows are new"):
        found = mixture.certify(X[1200:], sensitive_features=s[1200:])
    bits, groups = mixture.transform(X[1200:]) @ [2, 1], s[1200:]
    rates = np.array([np.bincount(bits[groups == g], minlength=4) for g in (0, 1)])
    shares = rates / rates.sum(1, keepdims=True)

    assert found.draws == "hard"
    assert found.estimate == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)


def test_wide_codes_are_certified_as_drawn():
    rows = people(300)
    wide = [linear([[1, 0]] * m, rows) for m in (1, 20)]
    mixture = Mixture(wide, [0.5, 0.5])
    new, _, s = people(300, seed=1)

    with pytest.raises(ValueError, match=r"up to 16 bits can be listed, got 20"):
        mixture.likelihoods(rows[0])
    with pytest.warns(UserWarning, match="more drawn codes"):
        found = mixture.certify(new, sensitive_features=s, ids=range(300))
    assert found.draws == "hard"
