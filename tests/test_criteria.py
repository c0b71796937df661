"""Criteria: groups compared within all rows, within each target, or within one of them."""

import math
from functools import partial

import numpy as np
import pytest
import torch

import brute
from bitveil.batches import Batch
from bitveil.certificates import UncertifiableError
from bitveil.criteria import CRITERIA
from bitveil.datasets import make_parity_trap, make_unequal_rates
from bitveil.estimators import InvariantEncoder
from bitveil.measures import MEASURES, Measure
from bitveil.models import load
from builders import quick
from worlds import random_rows

classifier = partial(quick, hidden=(16,), epochs=20, batch_size=500)


def unequal(n, seed=0):
    """Given the target the features tell nothing of the group: parity costs all, odds nothing."""

    data = make_unequal_rates(n, random_state=seed)
    s = data.sensitive["group"].to_numpy()

    return data.features.to_numpy(), data.target.to_numpy(), s


def leaning(n, seed=0, k=2, noise=0.3):
    """The first column tells of target and group, the second of the group, whatever the target.

    With more noise in the first the second is of more use.
    """

    rng = np.random.default_rng(seed)
    s = rng.integers(k, size=n)
    merit = rng.normal(size=n) + 0.8 * s
    X = np.column_stack([merit + noise * rng.normal(size=n), 1.5 * s + rng.normal(size=n)])

    return X, np.where(merit > 0.4 * (k - 1), "yes", "no"), s


def bits_told(theta, s):
    """The information of code and group in bits, by its definition."""

    prior = np.unique(s, return_counts=True)[1] / len(s)
    joint = prior[:, None] * brute.code_shares(theta, s)
    ratio = joint / (prior[:, None] * joint.sum(0))

    return (joint * np.log2(np.where(joint > 0, ratio, 1))).sum()


def within(theta, y, s, value):
    return brute.worst_gap(theta[y == value], s[y == value])


# What each criterion costs, where the answer is known


@pytest.fixture(scope="module")
def charged():
    """A classifier for each criterion, charged heavily, and a population to judge it by."""

    X, y, s = unequal(3000)
    return {
        criterion: classifier(criterion=criterion, strength=10.0).fit(X, y, sensitive_features=s)
        for criterion in CRITERIA
    }


def test_separation_costs_nothing_where_parity_costs_everything(charged):
    X, y, _ = unequal(20_000, seed=1)
    answers = make_unequal_rates(10, random_state=0).answers
    scores = {criterion: model.score(X, y) for criterion, model in charged.items()}

    assert scores["separation"] == pytest.approx(answers["odds_accuracy"], abs=0.03)
    assert scores["equal_opportunity"] == pytest.approx(answers["odds_accuracy"], abs=0.03)
    assert scores["independence"] < answers["parity_accuracy"] + 0.1


def test_what_is_charged_for_is_gone_and_what_is_not_is_there(charged):
    X, y, s = unequal(20_000, seed=1)
    theta = {criterion: model.probabilities(X) for criterion, model in charged.items()}
    odds = [within(theta["separation"], y, s, value) for value in (0, 1)]

    assert brute.worst_gap(theta["independence"], s) < 0.1
    assert max(odds) < 0.05
    assert (
        brute.worst_gap(theta["separation"], s) > 0.3
    )  # 0.6 times the informedness, which is kept


def test_opportunity_is_that_of_the_target_that_is_named():
    X, y, s = leaning(2000)
    inside = {}
    for positive in ("no", "yes", None):
        model = classifier(criterion="equal_opportunity", positive=positive, strength=10.0)
        theta = model.fit(X, y, sensitive_features=s).probabilities(X)
        inside[positive] = within(theta, y, s, "no"), within(theta, y, s, "yes")

    assert inside["no"][0] < 0.07
    assert inside["yes"][1] < 0.07
    assert inside[None] == inside["yes"]  # the last one
    assert inside["no"][1] > inside["yes"][1]
    assert inside["yes"][0] > inside["no"][0]


# What is certified


@pytest.mark.parametrize(
    ("criterion", "quantity"),
    [
        ("independence", "parity gap"),
        ("separation", "equalised odds gap"),
        ("equal_opportunity", "equal opportunity gap"),
    ],
)
def test_a_certified_gap_holds_in_the_population(criterion, quantity):
    X, y, s = leaning(2000)
    settings = {"max_gap": 0.35, "epochs": 15}
    model = classifier(criterion=criterion, **settings)
    model.fit(X, y, sensitive_features=s, ids=range(2000))
    certificate, rows = model.certificate_, model.rows_["certify"]
    X_new, y_new, s_new = leaning(20_000, seed=1)
    theta, answers = model.probabilities(X_new), model.predict(X_new) == "yes"
    compared = {
        "independence": [np.full(20_000, True)],
        "separation": [y_new == "no", y_new == "yes"],
        "equal_opportunity": [y_new == "yes"],
    }[criterion]
    cells = np.array([[np.sum((y == v) & (s == g)) for g in (0, 1)] for v in ("no", "yes")])
    held_out = {
        "independence": cells.sum(0),
        "separation": cells.ravel(),
        "equal_opportunity": cells[1],
    }[criterion]

    assert certificate.quantity.name == quantity
    assert certificate.bound == 0.35
    assert certificate.sizes == pytest.approx(tuple(0.5 * held_out), abs=2)
    assert sum(certificate.sizes) <= len(rows)
    for part in compared:
        rates = [answers[part & (s_new == g)].mean() for g in (0, 1)]
        assert brute.worst_gap(theta[part], s_new[part]) <= 0.35
        assert abs(rates[1] - rates[0]) < 0.35
    assert model.score(X_new, y_new) > 0.6
    theta, y, s = model.probabilities(X[rows]), y[rows], s[rows]
    if criterion == "separation":
        inside = [within(theta, y, s, value) for value in ("no", "yes")]
        assert certificate.estimate == pytest.approx(max(inside))


def test_separation_is_split_within_groups_of_each_target():
    X, y, s = leaning(1000)
    model = classifier(criterion="separation", strength=1.0, epochs=1)
    rows = model.fit(X, y, sensitive_features=s).rows_
    for value in ("no", "yes"):
        for g in (0, 1):
            cell = (y == value) & (s == g)
            assert np.sum(cell[rows["fit"]]) == pytest.approx(5 / 7 * np.sum(cell), abs=1)


def test_a_group_without_rows_of_a_target_cannot_be_separated():
    X, y, s = leaning(600)
    y[(s == 1) & (y == "no")] = "yes"
    refused = classifier(criterion="separation", strength=1.0)

    with pytest.raises(ValueError, match=r"too few rows of \['1 \(of one target\)'\]"):
        refused.fit(X, y, sensitive_features=s)
    chance = classifier(criterion="equal_opportunity", strength=1.0, epochs=1)
    assert chance.fit(X, y, sensitive_features=s).certificate_ is None


@pytest.mark.parametrize(("k", "limit"), [(2, 0.3), (3, 0.7)])
def test_a_certified_information_holds_in_the_population(k, limit):
    X, y, s = leaning(2000, k=k)
    model = classifier(max_information=limit, epochs=15).fit(X, y, sensitive_features=s)
    X_new, y_new, s_new = leaning(20_000, seed=1, k=k)
    free = classifier(strength=0.0, epochs=15).fit(X, y, sensitive_features=s)

    assert model.certificate_.quantity.name == "information (bits)"
    assert model.certificate_.bound == limit
    assert model.certificate_.entropy == pytest.approx(math.log2(k), abs=0.01)
    assert bits_told(model.probabilities(X_new), s_new) <= limit
    assert model.score(X_new, y_new) > 0.6
    assert brute.worst_gap(free.probabilities(X_new), s_new) > brute.worst_gap(
        model.probabilities(X_new), s_new
    )


def test_a_certified_information_given_the_target_holds_in_the_population():
    X, y, s = unequal(2000)
    settings = {"max_information": 0.3, "criterion": "separation"}
    model = classifier(**settings).fit(X, y, sensitive_features=s)
    X, y, s = unequal(20_000, seed=1)
    theta = model.probabilities(X)

    assert model.certificate_.bound == 0.3
    assert max(bits_told(theta[y == v], s[y == v]) for v in (0, 1)) < 0.3
    assert model.score(X, y) > 0.7


def test_an_information_that_no_rows_could_certify_is_refused():
    X, y, s = leaning(600)

    with pytest.raises(UncertifiableError, match=r"`max_information=0\.01` is too small"):
        classifier(max_information=0.01, on_unmet="raise").fit(X, y, sensitive_features=s)


# Every measure, by every criterion


@pytest.fixture(scope="module")
def uncharged():
    """What all measures find of a code that is not charged, in the rows for selection."""

    X, y, s = leaning(800, noise=2.0)
    found = {}
    for criterion in CRITERIA[1:]:
        model = classifier(InvariantEncoder, criterion=criterion, strength=0.0, epochs=20)
        model.fit(X, y, sensitive_features=s)
        rows = model.rows_["select"]
        batch = Batch.of_target(
            torch.from_numpy(model.logits(X[rows])),
            torch.from_numpy((y[rows] == "yes").astype(int)),
            torch.from_numpy(s[rows]),
            n_classes=2,
            n_groups=2,
        )
        found |= {(name, criterion): Measure(name, criterion)(batch).item() for name in MEASURES}
    return found


@pytest.mark.parametrize("criterion", CRITERIA[1:])
@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_less_where_it_is_charged_for(uncharged, measure, criterion):
    X, y, s = leaning(800, noise=2.0)
    settings = {"measure": measure, "criterion": criterion, "strength": 10.0, "epochs": 20}
    model = classifier(InvariantEncoder, **settings).fit(X, y, sensitive_features=s)
    before = uncharged[measure, criterion]

    assert before > 0.005
    assert -1e-9 < model.path_[0].measure < 0.6 * before
    assert all(math.isfinite(epoch.loss) for epoch in model.history_.epochs)


@pytest.mark.parametrize(
    ("measure", "criterion"),
    [
        ("mutual_information", "separation"),
        ("maximal_correlation", "equal_opportunity"),
    ],
)
def test_a_gap_is_certified_by_way_of_any_measure(measure, criterion):
    X, y, s = leaning(1500)
    settings = {"measure": measure, "criterion": criterion, "max_gap": 0.4, "epochs": 12}
    model = classifier(**settings).fit(X, y, sensitive_features=s)
    X, y, s = leaning(20_000, seed=1)
    theta = model.probabilities(X)
    inside = (
        within(theta, y, s, "yes") if criterion != "independence" else brute.worst_gap(theta, s)
    )

    assert model.certificate_.bound == 0.4
    assert inside <= 0.4
    assert model.score(X, y) > 0.6


# Engines


@pytest.fixture(scope="module")
def trap():
    """Coin and coin-xor-group are both of use: kept together they are the group."""

    data = make_parity_trap(2000, random_state=0)
    X = data.features.to_numpy()

    return X, 2 * X[:, 0] + X[:, 1], data.sensitive["group"].to_numpy()


def test_single_bits_do_not_see_the_trap_and_the_whole_code_does(trap):
    X, y, s = trap
    found = {}
    cases = {
        "neuron": {"measure": "neuron_information"},
        "exact": {"measure": "mutual_information", "engine": "exact"},
        "auto": {"measure": "mutual_information", "engine": "auto"},
    }
    for name, settings in cases.items():
        model = classifier(n_bits=2, epochs=60, strength=10.0, **settings)
        model.fit(X, y, sensitive_features=s)
        found[name] = bits_told(model.probabilities(X), s), model.path_[0].measure

    assert found["neuron"][0] > 0.9  # of one bit, while the sum over bits says
    assert found["neuron"][1] < 0.01
    assert found["exact"][0] < 0.05
    assert found["auto"] == found["exact"]


def test_the_certificate_sees_the_trap_that_single_bits_do_not_see(trap):
    X, y, s = trap
    trapped = {"n_bits": 2, "measure": "neuron_information", "epochs": 60}
    free = classifier(strength=10.0, **trapped).fit(X, y, sensitive_features=s)

    assert free.path_[0].measure < 0.01
    assert free.path_[0].gap > 0.9
    with pytest.raises(UncertifiableError, match=r"could not be certified.*measured 1\.0"):
        classifier(max_gap=0.3, on_unmet="raise", **trapped).fit(X, y, sensitive_features=s)


def test_drawing_finds_what_listing_finds():
    X, y, s = leaning(1000)
    scores, gaps = {}, {}
    for engine in ("exact", "sampled"):
        model = classifier(n_bits=4, engine=engine, strength=2.0).fit(X, y, sensitive_features=s)
        scores[engine], gaps[engine] = (
            model.score(X, y),
            brute.worst_gap(model.probabilities(X), s),
        )

    assert gaps["sampled"] < 0.15
    assert scores["sampled"] == pytest.approx(scores["exact"], abs=0.1)


@pytest.fixture(scope="module")
def wide():
    X, y, s = leaning(1500)

    return classifier(n_bits=40, strength=1.0, key=b"a key for the tests").fit(
        X, y, sensitive_features=s
    )


def test_wide_codes_have_a_network_as_decoder(wide):
    X, y, _ = leaning(4000, seed=1)
    bits, answers = wide.transform(X), wide.predict_proba(X)

    assert bits.shape == (4000, 40)
    assert wide.decoder_.network is not None
    assert wide.decoder_.tables == {}
    assert answers.sum(1) == pytest.approx(1)
    np.testing.assert_array_equal(wide.decode(bits), answers)
    assert wide.score(X, y) > 0.65


def test_wide_codes_are_saved_with_their_decoder(wide, tmp_path):
    X = leaning(200, seed=1)[0]
    wide.save(tmp_path / "wide")
    loaded = load(tmp_path / "wide")

    np.testing.assert_array_equal(loaded.transform(X), wide.transform(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), wide.predict_proba(X))


def test_wide_codes_are_charged_for():
    X, y, s = leaning(1500)
    told = []
    for strength in (0.0, 10.0):
        model = classifier(InvariantEncoder, n_bits=24, strength=strength, criterion="separation")
        told.append(model.fit(X, y, sensitive_features=s).path_[0].measure)

    assert told[1] < 0.5 * told[0]


def test_wide_codes_of_many_rows_are_refused_with_a_way_out():
    X, y, s = leaning(1000)

    with (
        pytest.warns(UserWarning, match="more drawn codes"),
        pytest.raises(
            UncertifiableError, match=r"for such codes: use fewer bits, bring more rows"
        ),
    ):
        classifier(n_bits=40, max_gap=0.9, epochs=2, on_unmet="raise").fit(
            X, y, sensitive_features=s
        )


def test_wide_codes_of_few_different_rows_are_certified_as_drawn():
    rng = np.random.default_rng(0)
    X, s = rng.integers(2, size=(1500, 2)), rng.choice(["a", "b"], 1500)
    fitted = classifier(n_bits=40, max_gap=0.4).fit(X, X[:, 0], sensitive_features=s)
    held_out = fitted.rows_["certify"]
    bits, of = fitted.transform(X[held_out]), s[held_out]
    distinct, codes = np.unique(bits, axis=0, return_inverse=True)
    counted = [np.bincount(codes.ravel()[of == g], minlength=4) for g in ("a", "b")]
    first, second = (counts / counts.sum() for counts in counted)

    assert len(distinct) <= 4
    assert fitted.certificate_.draws == "hard"
    assert fitted.certificate_.estimate == pytest.approx(np.abs(first - second).sum() / 2)
    assert fitted.score(X, X[:, 0]) > 0.9


# Noise


def blind_batch(seed=0, n=400, y_known=True):
    """Codes that depend on the target and not on the group, which leans on the target."""

    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (n,), generator=generator)
    s = (torch.rand(n, generator=generator) < 0.2 + 0.3 * y).long()
    logits = 3 * torch.randn(n, 4, generator=generator, dtype=torch.float64) + y.unsqueeze(1)
    known = y if y_known else torch.where(torch.rand(n, generator=generator) < 0.3, -1, y)

    return Batch.of_target(logits, known, s, n_classes=3, n_groups=2)


@pytest.mark.parametrize("reading", MEASURES)
def test_noise_is_what_a_code_shows_that_tells_nothing(reading):
    measure = Measure(reading, "separation")
    batches = [blind_batch(seed) for seed in range(20)]
    found = np.array([measure(batch).item() for batch in batches])
    noise = np.array([measure.noise(batch, times=2).item() for batch in batches])
    error = np.hypot(found.std(), noise.std()) / 20**0.5

    assert noise.mean() > 0
    assert found.mean() == pytest.approx(noise.mean(), abs=4 * error)


def test_noise_within_targets_is_not_that_of_all_rows():
    batches = [blind_batch(seed, n=1500) for seed in range(5)]
    parity, odds = Measure(), Measure(criterion="separation")

    assert all(parity(b) > 2 * parity.noise(b) for b in batches)  # the code tells of y, y of s
    assert all(odds(b) < 2 * odds.noise(b) for b in batches)


@pytest.mark.parametrize("y_known", [True, False])
def test_shuffling_keeps_how_many_rows_each_group_has_of_each_target(y_known):
    batch = blind_batch(y_known=y_known)
    shuffled = batch.shuffled("separation", torch.Generator().manual_seed(1))

    def counted(some):
        pairs = 2 * (some.strata + 1) + some.s
        return torch.bincount(pairs, minlength=8)

    assert torch.equal(counted(shuffled), counted(batch))
    assert torch.equal(shuffled.strata, batch.strata)
    assert not torch.equal(shuffled.s, batch.s)
    assert shuffled.logits is batch.logits


def test_shuffling_moves_every_row_of_a_target_alike():
    batch = blind_batch(n=60)
    generator = torch.Generator().manual_seed(0)
    moved = torch.stack([batch.shuffled("separation", generator).s.double() for _ in range(4000)])
    for y in range(3):
        rows = batch.strata == y
        assert moved[:, rows].mean(0) == pytest.approx(
            batch.s[rows].double().mean().expand(int(rows.sum())), abs=0.045
        )  # 5 standard deviations


def test_an_average_over_targets_weighs_them_by_their_rows():
    logits, s = random_rows(300, m=3, k=2)
    y = torch.arange(300) % 5 // 4  # one fifth
    batch = Batch.of_target(logits, y, s, n_classes=2, n_groups=2)
    each = [
        Measure("mutual_information")(
            Batch.of_target(logits[y == v], s[y == v], s[y == v], n_classes=2, n_groups=2)
        ).item()
        for v in (0, 1)
    ]

    assert Measure("mutual_information", "separation")(batch).item() == pytest.approx(
        0.8 * each[0] + 0.2 * each[1]
    )
    assert Measure("mutual_information", "equal_opportunity")(batch).item() == pytest.approx(
        each[1]
    )


@pytest.mark.parametrize("reading", sorted(MEASURES))
def test_a_batch_without_a_known_target_reveals_nothing_within_targets(reading):
    """It was 0 / 0 for means over targets, and one such batch spoilt a training."""

    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    unknown, s = torch.full((6,), -1), torch.arange(6) % 2
    batch = Batch.of_target(logits, unknown, s, n_classes=2, n_groups=2)
    value = Measure(reading, "separation")(batch)
    value.backward()

    assert value.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad.isfinite().all()
