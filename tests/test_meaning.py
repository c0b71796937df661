"""What the bits mean: planted leaks are named, chance is not, and lower bounds hold."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit

from bitveil.audits import parts, patterns, readings
from bitveil.audits.follows import follows
from bitveil.audits.meaning import meaning
from bitveil.audits.published import PublishedCodes
from bitveil.audits.words import and_listed, group_name
from bitveil.blocks import block_information, information_given_others
from bitveil.information import BITS, mutual_information
from bitveil.tables import joint_table
from worlds import noisy_copy, random_rows

N = 16_000


def coins(m, n=N, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, n), rng.integers(0, 2, (n, m)), rng


def of(bits=None, s=None, *, logits=None, y=None, **more):
    named = None if logits is None else range(len(logits))
    published = PublishedCodes.of(bits, logits, named, seed=0)
    classes = 0 if y is None else int(y.max()) + 1
    return meaning(published, s, ["f", "m", "x"][: s.max() + 1], y, classes, **more)


# Planted leaks


@pytest.mark.parametrize("soft", [False, True], ids=["drawn", "logits"])
@pytest.mark.parametrize("places", [(2, 5), (0, 7), (6, 7)])
def test_a_parity_trap_inside_eight_bits_is_named(places, soft):
    s, bits, _ = coins(8)
    first, second = places
    bits[:, second] = bits[:, first] ^ s
    names = (f"bit {first}", f"bit {second}")
    found = of(None if soft else bits, s, logits=400.0 * bits - 200 if soft else None)

    assert found.revealing.parts == names
    assert found.revealing.information == pytest.approx(1, abs=1e-3)
    assert max(found.revealing.alone) < 1e-3
    assert found.revealing.complete
    # Each of its four values is one group for sure.
    assert {pattern.parts for pattern in found.patterns} == {names}
    assert sorted(pattern.values for pattern in found.patterns) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for pattern in found.patterns:
        assert pattern.group == ("m" if pattern.values[0] ^ pattern.values[1] else "f")
        assert pattern.posterior == 1
        assert 0.99 < pattern.certain < 1
        assert pattern.share == pytest.approx(0.25, abs=0.02)


def test_a_trap_of_three_bits_is_named():
    s, bits, _ = coins(7)
    bits[:, 4] = bits[:, 1] ^ bits[:, 6] ^ s
    found = of(bits, s)

    assert found.revealing.parts == ("bit 1", "bit 4", "bit 6")
    assert {pattern.parts for pattern in found.patterns} == {("bit 1", "bit 4", "bit 6")}


def test_a_trap_in_a_code_that_cannot_be_listed_is_named():
    s, bits, _ = coins(40, n=4_000)
    bits[:, 33] = bits[:, 9] ^ s
    found = of(bits, s)

    assert found.revealing.parts == ("bit 9", "bit 33")
    assert found.patterns[0].parts == ("bit 9", "bit 33")


def test_sets_that_cannot_all_be_examined_are_grown_one_by_one(monkeypatch):
    monkeypatch.setattr(parts, "_SETS", 5)
    s, bits, _ = coins(6)
    bits[:, 1], bits[:, 3] = (np.where(coins(1, seed=k)[1][:, 0], s, bits[:, k]) for k in (1, 3))
    found = of(bits, s)

    assert found.revealing.parts == ("bit 1", "bit 3")
    assert not found.revealing.complete


def test_a_bit_that_gives_away_one_row_in_a_hundred_is_named_with_its_rows():
    s, bits, rng = coins(8)
    given_away = rng.random(N) < 0.01
    bits[:, 7] = np.where(given_away, s, 0)
    found = of(bits, s)

    assert found.revealing.parts == ("bit 7",)
    (pattern,) = found.patterns
    assert (pattern.parts, pattern.values, pattern.group) == (("bit 7",), (1,), "m")
    assert pattern.rows == (given_away & (s == 1)).sum()
    assert pattern.posterior == 1
    assert pattern.certain > 0.75
    assert str(pattern).startswith(f"bit 7 = 1: {pattern.rows} rows (0.5%), 100.0% of them m")


def test_a_coin_that_is_sure_in_one_row_in_a_hundred_is_named_if_its_logits_are_known():
    s, bits, rng = coins(8)
    logits = rng.normal(size=(N, 8))
    sure = rng.random(N) < 0.01
    logits[:, 7] = np.where(sure, 400.0 * s - 200, 0)
    found = of(bits, s, logits=logits)

    assert found.parts[7].sure == pytest.approx(sure.mean())
    assert [(p.parts, p.values, p.sure) for p in found.patterns] == [
        (("bit 7",), (value,), True) for value in (0, 1)
    ]
    assert {p.rows for p in found.patterns} == {int((sure & (s == g)).sum()) for g in (0, 1)}
    assert "for sure" in str(found.patterns[0])
    # One draw does not show it: without logits there is nothing to find.
    assert of(PublishedCodes.of_named(logits, range(len(logits))).parts, s).patterns == ()


# Chance is not named


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_named_in_a_blind_code(seed):
    s, bits, rng = coins(6, n=2_000, seed=seed)
    for found in (of(bits, s), of(s=s, logits=rng.normal(size=(2_000, 6)))):
        assert found.revealing is None
        assert found.patterns == ()


@pytest.mark.parametrize("n_values", [3, 50, 3_000])
def test_a_column_that_is_independent_of_the_group_reveals_nothing(n_values):
    s, _, rng = coins(1)
    found = meaning(PublishedCodes.of_columns(rng.integers(0, n_values, N)), s, ["f", "m"])

    assert found.revealing is None
    assert found.patterns == ()
    assert found.parts[0].information < 0.006
    # Without a correction it would seem to reveal something.
    many = rng.integers(0, 3_000, N)
    plug_in = mutual_information(PublishedCodes.of_columns(many).tables(_t(s), 2).groups)
    assert plug_in * BITS > 0.1


def _t(s):
    return torch.from_numpy(s)


# What is certain


def shares_of_patterns(p, n, worlds, delta):
    """Tables of two groups whose codes have the distributions p: measured and certain shares."""

    rng = np.random.default_rng(0)
    for _ in range(worlds):
        counts = np.stack([rng.multinomial(size, q) for size, q in zip(n, p, strict=True)], 1)
        counts = counts[counts.sum(1) > 0]
        yield patterns._certain(counts, np.array(n), delta)


def violations(p, n, which, delta=0.1, worlds=1_000):
    """In how many worlds any pattern's share is really below what was said."""

    prior = np.array(n) / sum(n)
    truth = (prior[:, None] * p / (prior @ p)).T
    found = shares_of_patterns(p, n, worlds, delta)

    return np.mean([(said[which] > truth[: len(said[which])] + 1e-12).any() for said in found])


@pytest.mark.parametrize("n", [(300, 300), (40, 800)])
@pytest.mark.parametrize("lean", [0.0, 0.8, 0.98])
def test_the_lower_bounds_of_all_patterns_hold_at_once_except_with_probability_delta(n, lean):
    even = np.full(8, 1 / 8)
    p = np.stack([even, (1 - lean) * even + lean * np.eye(8)[0]])

    assert violations(p, n, which=1) <= 0.1


def test_a_measured_share_would_not_be_certain():
    p = np.full((2, 8), 1 / 8)

    assert violations(p, (300, 300), which=0) > 0.9


def test_a_pattern_of_all_rows_is_as_frequent_as_its_group():
    posterior, certain = patterns._certain(np.array([[30, 60]]), np.array([30, 60]), 0.05)

    np.testing.assert_allclose(posterior, [[1 / 3, 2 / 3]])
    assert (certain <= posterior).all()


# Readings


@pytest.mark.parametrize("k", [2, 3])
def test_expected_counts_are_read_as_blocks_reads_them(k):
    logits, s = random_rows(n=400, m=5, k=k)
    found = of(s=s.numpy(), logits=logits.numpy())

    alone = block_information(logits, s, k, [[j] for j in range(5)]) * BITS
    beyond = information_given_others(logits, s, k) * BITS
    np.testing.assert_allclose([part.information for part in found.parts], alone, atol=1e-12)
    np.testing.assert_allclose([part.given_others for part in found.parts], beyond, atol=1e-12)
    for part, theta in zip(found.parts, logits.sigmoid().T, strict=True):
        np.testing.assert_allclose(part.ones, [theta[s == g].mean() for g in range(k)])


def test_the_target_is_read_as_the_group_is():
    logits, s = random_rows(n=400, m=3, k=2)
    y = (s.numpy() + np.arange(400)) % 2
    found = of(s=s.numpy(), logits=logits.numpy(), y=y)
    other = of(s=y, logits=logits.numpy())

    for part, turned in zip(found.parts, other.parts, strict=True):
        assert part.target_information == pytest.approx(turned.information)
        assert part.target_given_others == pytest.approx(turned.given_others)
        assert part.target_ones == pytest.approx(turned.ones)


@pytest.mark.parametrize("n_values", [4, 200], ids=["many rows a code", "few"])
def test_the_information_of_drawn_codes_by_chance_is_subtracted(n_values):
    rng = np.random.default_rng(0)
    read, plug_in = [], []
    for _ in range(60):
        s, codes = rng.integers(0, 2, 1_000), rng.integers(0, n_values, 1_000)
        one = readings.Readings(PublishedCodes.of_columns(codes), _t(s), 2)
        plug_in.append(mutual_information(one.whole).item())
        read.append(plug_in[-1] - readings._information_by_chance(one.whole))

    error = 4 * np.std(read) * (1 / 60 + 1 / 30) ** 0.5  # 60 worlds, 30 tables
    assert abs(np.mean(read)) < error
    assert np.mean(plug_in) > error


def test_codes_that_reveal_most_come_first_and_add_up():
    logits, s = random_rows(n=60, m=4, k=3)
    found = of(s=s.numpy(), logits=logits.numpy())
    table = joint_table(logits, s, 3)
    leaks = [cell.leak for cell in found.cells]

    assert leaks == sorted(leaks, reverse=True)
    assert found.n_cells == 16
    for cell in found.cells:
        column = table[:, int(cell.code, 2)]
        assert cell.rows == pytest.approx(column.sum().item())
        assert cell.shares == pytest.approx((column / table.sum(1)).tolist())
    kept = [int(cell.code, 2) for cell in found.cells]
    assert (table.sum(0)[kept] >= 0.5).all()
    everything = of(np.array([[0], [0], [1], [1], [1], [0]]), np.array([0, 0, 0, 1, 1, 1]))
    whole = mutual_information(torch.tensor([[2.0, 1], [1, 2]])) * BITS
    assert sum(cell.leak for cell in everything.cells) == pytest.approx(whole.item())


def test_codes_of_columns_are_named_by_their_values():
    table = pd.DataFrame({"plz": [10, 20] * 40, "kind": pd.Categorical(["b", "a"] * 40)})
    found = meaning(PublishedCodes.of_columns(table), np.array([0, 1] * 40), ["f", "m"])

    assert {cell.code for cell in found.cells} == {"10, b", "20, a"}
    assert [part.name for part in found.parts] == ["plz", "kind"]
    assert all(part.ones is None for part in found.parts)
    assert found.parts[0].given_others == pytest.approx(0, abs=1e-9)  # each says all
    assert len(found.revealing.parts) == 1


def test_all_ways_number_parts_of_many_values_alike():
    rng = np.random.default_rng(0)
    narrow = PublishedCodes.of_columns(rng.integers(0, 4, (300, 3)))
    middle = PublishedCodes.of_columns(rng.integers(0, 99, (300, 4)))
    wide = PublishedCodes.of_columns(rng.integers(0, 99, (300, 12)))  # 99**12 codes
    for published in (narrow, middle, wide):
        parts = list(range(len(published.names)))
        numbers, codes = published.numbers(parts)
        np.testing.assert_array_equal(codes[numbers], published.parts)
        assert len(np.unique(codes, axis=0)) == len(codes) == published.n_distinct


# Columns that bits follow


def encoder(X):
    """Bit 0 is the first column's sign, bit 1 a coin, bit 2 leans on the second."""

    X = np.asarray(X, dtype=float)
    return np.stack([400 * np.sign(X[:, 0]), 0 * X[:, 0], logit(0.5 + 0.1 * np.sign(X[:, 1]))], 1)


@pytest.mark.parametrize("kind", [np.asarray, lambda X: pd.DataFrame(X, columns=["a", 7, "c"])])
def test_bits_follow_the_columns_that_they_are_made_of(kind):
    X = np.random.default_rng(0).normal(size=(3_000, 3))
    moved, columns = follows(encoder, kind(X))

    assert columns == (
        ["column 0", "column 1", "column 2"] if kind is np.asarray else ["a", "7", "c"]
    )
    assert moved.shape == (3, 3)
    assert moved[0, 0] == pytest.approx(0.5, abs=0.05)  # half of the rows get another sign
    assert moved[1, 2] == pytest.approx(0.1, abs=0.01)  # from 0.4 to 0.6, in half of them
    moved[0, 0] = moved[1, 2] = 0
    assert (moved == 0).all()


def test_discrete_codes_follow_columns_of_any_type():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "job": pd.Categorical(rng.choice(["cook", "smith"], 500)),
            "since": np.datetime64("2020-01-01")
            + rng.integers(0, 9, 500) * np.timedelta64(1, "D"),
            "planet": "earth",
        },
        index=rng.permutation(500),
    )
    before = X.copy()
    moved, _ = follows(lambda rows: (rows["job"] == "cook").to_numpy(), X)

    np.testing.assert_allclose(moved.ravel(), [0.5, 0, 0], atol=0.07)
    pd.testing.assert_frame_equal(X, before)


def test_the_map_names_first_the_columns_that_are_followed_most():
    X = np.random.default_rng(0).normal(size=(500, 3))
    moved, columns = follows(encoder, X)
    found = of(s=(X[:, 2] > 0).astype(int), logits=encoder(X), moved=moved, columns=columns)

    assert found.parts[0].follows[0][0] == "column 0"
    assert found.parts[2].follows[0][0] == "column 1"


# Words


def test_parts_are_said_in_words():
    logits = noisy_copy(0.1, extra=1).logits.repeat(200, 1).numpy()
    found = of(s=np.tile([0, 1], 200), logits=logits)

    assert str(found.revealing) == "bit 0 reveals 0.5310 of 0.5310 bits"
    assert group_name(("f", 40)) == "f, 40"
    assert and_listed(["a"]) == "a"
    assert and_listed(["a", "b"]) == "a and b"
