"""Weights of rows: a row of weight two is two rows, and certificates speak of the weighted."""

from functools import partial

import numpy as np
import pytest
import torch

from bitveil.batches import Batch
from bitveil.certificates import certify, least_gap
from bitveil.criteria import CRITERIA
from bitveil.estimators import InvariantEncoder
from bitveil.group_tables import GroupTables
from bitveil.measures import MEASURES, Measure
from bitveil.models import InvariantClassifier, InvariantRegressor
from bitveil.rows import Sample, check_weights
from bitveil.tables import joint_table, moment_table, neuron_tables
from bitveil.tasks import DecoderTask, explained, input_task, task_information
from bitveil.wide_codes import sampled_reading
from builders import leaning_rows as world
from builders import quick
from worlds import random_rows

encoder = partial(quick, epochs=6, batch_size=200)


def weighted(n=30, m=4, seed=0):
    """Rows with whole weights, some of them 0, and the same rows repeated as often."""

    logits, groups = random_rows(n, m, k=3, seed=seed)
    weights = torch.randint(4, (n,), generator=torch.Generator().manual_seed(seed))
    weights[:3] = 2  # every group has some

    return logits, groups, weights.double(), torch.arange(n).repeat_interleave(weights)


# Tables


@pytest.mark.parametrize("m", [1, 4, 7])
def test_a_weighted_table_is_that_of_repeated_rows(m):
    logits, groups, weights, rows = weighted(m=m)

    torch.testing.assert_close(
        joint_table(logits, groups, 3, weights=weights),
        joint_table(logits[rows], groups[rows], 3),
    )
    torch.testing.assert_close(
        neuron_tables(logits, groups, 3, weights=weights),
        neuron_tables(logits[rows], groups[rows], 3),
    )


@pytest.mark.parametrize("m", [3, 7])
def test_weighted_moments_are_those_of_repeated_rows(m, monkeypatch):
    logits, _, weights, rows = weighted(m=m)
    values = torch.randn(len(logits), 2, generator=torch.Generator().manual_seed(1)).double()
    expected = moment_table(logits[rows], values[rows])

    torch.testing.assert_close(moment_table(logits, weights[:, None] * values), expected)
    monkeypatch.setattr("bitveil.tables._MAX_LISTED", 0)  # by way of the halves
    torch.testing.assert_close(moment_table(logits, weights[:, None] * values), expected)


@pytest.mark.parametrize("m", [3, 7])
def test_the_gradient_of_weighted_tables_is_that_of_finite_differences(m, monkeypatch):
    logits, groups, _, _ = weighted(n=6, m=m)
    logits.requires_grad_()
    weights = torch.tensor([0.0, 0.5, 2.0, 1.0, 0.1, 3.0]).double()
    values = torch.randn(6, 2, generator=torch.Generator().manual_seed(1)).double()

    def tables(z):
        return (
            joint_table(z, groups, 3, weights=weights).square(),
            neuron_tables(z, groups, 3, weights=weights).square(),
            moment_table(z, values).square(),
        )

    assert torch.autograd.gradcheck(tables, logits)
    monkeypatch.setattr("bitveil.tables._MAX_LISTED", 0)
    assert torch.autograd.gradcheck(lambda z: moment_table(z, values).square(), logits)


def test_many_weighted_rows_in_many_chunks_are_as_in_one(monkeypatch):
    logits, groups, weights, _ = weighted(n=2000, m=8)
    logits.requires_grad_()
    found = []
    for kept, cached in ((2**22, 2**19), (0, 1)):
        monkeypatch.setattr("bitveil.tables._KEPT", kept)
        monkeypatch.setattr("bitveil.tables._CACHED", cached)
        table = joint_table(logits, groups, 3, weights=weights.double())
        found.append((table, *torch.autograd.grad(table.square().sum(), logits)))

    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("m", [1, 8])
def test_moments_are_the_same_listed_and_by_way_of_halves_in_any_chunks(m, monkeypatch):
    logits = random_rows(2000, m, k=1)[0].requires_grad_()
    values = torch.randn(2000, 5, generator=torch.Generator().manual_seed(1)).double()
    found = []
    for listed, kept, cached in ((2**24, 0, 1), (0, 2**22, 2**19), (0, 0, 1)):
        monkeypatch.setattr("bitveil.tables._MAX_LISTED", listed)
        monkeypatch.setattr("bitveil.tables._KEPT", kept)
        monkeypatch.setattr("bitveil.tables._CACHED", cached)
        table = moment_table(logits, values)
        found.append((table, *torch.autograd.grad(table.square().sum(), logits)))

    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])


@pytest.mark.parametrize("prior", ["empirical", "uniform"])
def test_a_weighted_reading_by_drawing_is_that_of_repeated_rows(prior):
    logits, groups, weights, rows = weighted(n=200, m=3)
    found, expected = [], []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        one = sampled_reading(logits, groups, 3, weights=weights, prior=prior, generator=generator)
        found.append(one.value.item())
        many = sampled_reading(logits[rows], groups[rows], 3, prior=prior, generator=generator)
        expected.append(many.value.item())
    error = np.hypot(np.std(found), np.std(expected)) / 200**0.5

    assert np.mean(found) == pytest.approx(np.mean(expected), abs=4 * error)
    assert error < 0.02 * np.mean(found)


def test_the_gradient_of_a_weighted_reading_by_drawing_tends_to_the_exact_one():
    logits, groups, weights, _ = weighted(n=60, m=3)
    logits.requires_grad_()
    exact = Measure("mutual_information")(
        Batch.of_target(
            logits, groups * 0, groups, n_classes=1, n_groups=3, weights=weights.double()
        )
    )
    (expected,) = torch.autograd.grad(exact, logits)
    generator = torch.Generator().manual_seed(0)
    drawn = [
        torch.autograd.grad(
            sampled_reading(logits, groups, 3, weights=weights, generator=generator).value, logits
        )[0]
        for _ in range(400)
    ]
    error = torch.stack(drawn).std(0) / 20

    assert ((torch.stack(drawn).mean(0) - expected).abs() <= 5 * error + 1e-9).all()
    assert (expected[weights == 0] == 0).all()


# Terms


def batches(seed=0):
    """A batch with weights, and the same rows repeated."""

    logits, s, weights, rows = weighted(n=60, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(60) % 4 - 1  # some are not known
    labels = torch.randint(-1, 3, (60, 2), generator=generator)
    values = torch.randn(60, 2, generator=generator).double()
    values[::7] = torch.nan

    def batch(some, weights):
        return Batch(
            logits[some],
            s[some],
            y[some],
            labels[some],
            n_groups=3,
            n_strata=3,
            n_labels=(3, 3),
            values=values[some],
            weights=weights,
        )

    return batch(slice(None), weights.double()), batch(rows, None)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("reading", MEASURES)
def test_measures_of_weighted_rows_are_those_of_repeated_rows(reading, criterion):
    one, many = batches()
    measure = Measure(reading, criterion)

    assert measure(one).item() == pytest.approx(measure(many).item())


@pytest.mark.parametrize("term", [task_information, input_task, explained])
def test_tasks_of_weighted_rows_are_those_of_repeated_rows(term):
    one, many = batches()

    torch.testing.assert_close(term(one), term(many))


@pytest.mark.parametrize("lost", ["nothing", "the same rows", "others"])
def test_what_is_explained_of_a_number_does_not_depend_on_numbers_beside_it(lost):
    logits, s = random_rows(60, 4, k=1)
    values = torch.randn(60, 3, generator=torch.Generator().manual_seed(1)).double()
    if lost != "nothing":
        values[::7] = torch.nan
    if lost == "others":
        values[::5, 1] = torch.nan

    def of(some):
        return explained(Batch.of_target(logits, s, s, n_classes=1, n_groups=1, values=some))

    torch.testing.assert_close(of(values), torch.cat([of(one) for one in values.split(1, 1)]))


def test_the_loss_of_a_decoder_of_weighted_rows_is_that_of_repeated_rows():
    one, many = batches()
    one.own, many.own = 1000 * one.logits, 1000 * many.logits  # the same bits are drawn
    task = DecoderTask(torch.nn.Linear(4, 8).double(), exact=False)

    assert task(one).item() == pytest.approx(task(many).item())
    assert task.score(one) == pytest.approx(task.score(many))
    one.values = many.values = None
    exact = DecoderTask(torch.nn.Linear(4, 6).double())
    assert exact(one).item() == pytest.approx(exact(many).item())


# Estimators


def test_weights_of_one_are_none():
    X, y, s = world()
    none, ones, fives = (
        encoder(features="both").fit(X, y, sensitive_features=s, sample_weight=w)
        for w in (None, np.ones(400), [5] * 400)
    )

    np.testing.assert_array_equal(ones.transform(X), none.transform(X))
    np.testing.assert_allclose(ones.logits(X), none.logits(X), atol=1e-4)
    np.testing.assert_allclose(fives.logits(X), none.logits(X), atol=1e-4)


def test_rows_without_weight_move_nothing_but_who_is_where():
    X, y, s = world()
    weights = np.where(np.arange(400) % 4 == 0, 0.0, 1.0)
    noise = np.random.default_rng(5).integers(2, size=400)
    fits = [
        encoder(strength=0.5).fit(X, target, sensitive_features=s, sample_weight=weights)
        for target in (y, np.where(weights == 0, noise, y))
    ]

    np.testing.assert_array_equal(fits[0].logits(X), fits[1].logits(X))
    torch.testing.assert_close(fits[0].decoder_.tables, fits[1].decoder_.tables)


@pytest.mark.parametrize("cls", [InvariantClassifier, InvariantRegressor])
def test_tables_of_the_answers_count_weights(cls):
    X, y, s = world()
    y = y + 0.5 * X[:, 1] if cls is InvariantRegressor else y
    weights = np.random.default_rng(0).integers(1, 4, 400)
    model = encoder(cls).fit(X, y, sensitive_features=s, sample_weight=weights)
    rows = np.concatenate([model.rows_["fit"], model.rows_["select"]])
    counted = model.decoder_.tables["target0" if cls is InvariantClassifier else "counts"]
    each = weights.astype(float)
    for name in ("fit", "select"):  # each part is scaled to a mean of one
        each[model.rows_[name]] /= weights[model.rows_[name]].mean()

    assert counted.sum().item() == pytest.approx(len(rows), rel=1e-5)
    if cls is InvariantClassifier:
        share = each[rows][y[rows] == 1].sum()
        assert counted[1].sum().item() == pytest.approx(share, rel=1e-5)


def test_the_target_that_weighs_more_is_answered_more():
    X, y, s = world(1000)
    scores = []
    for heavy in (0, 1):
        weights = np.where(y == heavy, 20.0, 1.0)
        model = encoder(epochs=30).fit(X, y, sensitive_features=s, sample_weight=weights)
        scores.append(model.predict(X).mean())

    assert scores[0] < 0.3
    assert scores[1] > 0.7


def test_the_information_of_a_decoder_is_no_more_than_there_is_of_weighted_rows():
    X, y, s = world(1000)
    weights = np.where(y == 1, 20.0, 1.0)
    settings = {"decoder": torch.nn.Linear(3, 2), "strength": 0.0, "learning_rate": 0.1}
    model = encoder(epochs=30, **settings)
    model.fit(X, y, sensitive_features=s, sample_weight=weights)
    share = weights[y == 1].sum() / weights.sum()
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)

    assert 0 < model.path_[0].information < entropy
    assert model.path_[0].score > share - 0.03


# Certificates of the weighted population


def sample(s, weights=None, table=None):
    n = len(s)
    return Sample(
        np.zeros((n, 1)) if table is None else table,
        np.arange(n).reshape(-1, 1) % 2,
        np.empty((n, 0)),
        s,
        np.array(["a", "b"]),
        np.zeros(n, dtype=np.int64),
        1,
        weights,
        np.zeros((n, 16), dtype=np.uint8),
        None,
    )


def test_rows_to_certify_are_thinned_in_proportion_and_others_are_not():
    rng = np.random.RandomState(0)
    s, weights = np.arange(20_000) % 2, np.tile([4.0, 1.0, 2.0, 0.0], 5000)
    rows = sample(s, weights).split("independence", 0, rng, certify=True)
    kept = weights[rows["certify"]]
    expected = {4.0: 1500, 2.0: 750, 1.0: 375, 0.0: 0}

    assert len(rows["fit"]) == 10_000
    assert len(rows["select"]) == 4000
    for weight, count in expected.items():
        assert np.sum(kept == weight) == pytest.approx(count, abs=100)


def test_a_certificate_holds_for_the_weighted_population_and_without_thinning_it_would_not():
    # The first column of X is the code. Heavy rows of group 1 have it, light ones do not: without
    # weights the gap is 0, in the weighted population it is 0.8 - 0.2.
    wrong = {"thinned": 0, "all": 0}
    for seed in range(100):
        rng = np.random.RandomState(seed)
        s, bit = rng.randint(2, size=2000), rng.randint(2, size=2000)
        weights = np.where(bit == s, 4.0, 1.0)
        given = sample(s, weights)
        certify = given.split("independence", 0, rng, certify=True)["certify"]
        every = sample(s).split("independence", 0, rng, certify=True)["certify"]
        for name, rows in (("thinned", certify), ("all", every)):
            share = [bit[rows][s[rows] == g].mean() for g in (0, 1)]
            noise = least_gap(np.bincount(s[rows]).tolist(), 0.1)
            wrong[name] += abs(share[1] - share[0]) + noise < 0.6

    assert wrong["thinned"] <= 20  # 10 are allowed, and three standard deviations
    assert wrong["all"] == 100


def test_the_estimator_certifies_the_weighted_population():
    X, y, s = world(3000)
    weights = np.where((X[:, 0] > 0.25) == (s == 1), 5.0, 1.0)
    model = encoder(max_gap=0.5, epochs=15).fit(X, y, sensitive_features=s, sample_weight=weights)
    rows = model.rows_["certify"]
    fresh, _, group = world(20_000, seed=1)
    weights = np.where((fresh[:, 0] > 0.25) == (group == 1), 5.0, 1.0)
    codes = model.transform(fresh) @ [8, 4, 2, 1][-len(model.get_feature_names_out()) :]
    shares = [np.bincount(codes[group == g], weights[group == g], 16) for g in (0, 1)]
    first, second = (share / share.sum() for share in shares)

    assert len(rows) < 0.5 * 3000 * 0.8
    assert model.certificate_.sizes == tuple(np.bincount(s[rows]))
    assert np.abs(first - second).sum() / 2 <= 0.5


def test_weights_above_all_others_are_said_to_be_cut():
    rng = np.random.RandomState(0)
    s, weights = np.arange(1000) % 2, np.ones(1000)
    others = sample(s, weights).split("independence", 0, np.random.RandomState(0), certify=True)
    weights[others["certify"][:7]] = 100.0

    with pytest.warns(UserWarning, match=r"7 of 500 rows .* as the heaviest of those \(1\)"):
        rows = sample(s, weights).split("independence", 0, rng, certify=True)
    assert len(rows["certify"]) == 500  # all weigh as much as the heaviest now


def test_the_warning_of_weights_that_are_cut_names_the_line_that_fits():
    X, y, s = world(600)
    weights = np.ones(600)
    plain = encoder(max_gap=0.9, epochs=1).fit(X, y, sensitive_features=s)
    weights[plain.rows_["certify"][0]] = 9.0

    with pytest.warns(UserWarning, match="1 of 300 rows") as caught:
        encoder(max_gap=0.9, epochs=1).fit(X, y, sensitive_features=s, sample_weight=weights)
    assert caught[0].filename == __file__


def test_sizes_are_numbers_of_rows_and_not_weights():
    given = sample(np.array([0, 1, 1, 0, 1]), np.array([9.0, 1, 1, 1, 1]))
    sizes = given.sizes(np.arange(4))

    assert sizes.rows.sum(0).tolist() == [2, 2]
    assert sizes.groups.flatten().tolist() == [2, 2]


# Weights that are none


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones(5), r"each of the 400 rows, got shape \(5,\)"),
        (np.ones((400, 1)), r"got shape \(400, 1\)"),
        (np.r_[np.ones(399), -1], r"from 0 on .* from -1\.0"),
        (np.r_[np.ones(399), np.nan], "finite weight"),
        (np.r_[np.ones(399), np.inf], "finite weight"),
        (np.zeros(400), "some weight above 0"),
        (2.0, r"got shape \(\)"),
        (["heavy"] * 400, "`sample_weight` expects numbers, got"),
    ],
)
def test_weights_that_are_none_are_refused(weights, words):
    X, y, s = world()

    with pytest.raises(ValueError, match=words):
        encoder().fit(X, y, sensitive_features=s, sample_weight=weights)


def test_a_part_whose_rows_have_no_weight_is_refused():
    X, y, s = world()
    rows = encoder(epochs=1).fit(X, y, sensitive_features=s).rows_
    weights = np.ones(400)
    weights[rows["select"]] = 0

    with pytest.raises(ValueError, match="`sample_weight` is 0 for all of the rows to select"):
        encoder().fit(X, y, sensitive_features=s, sample_weight=weights)


def test_a_group_without_weight_in_the_rows_to_fit_is_refused():
    X, y, s = world()

    with pytest.raises(ValueError, match=r"`sample_weight`.* \[1\] weigh 0.* rows to fit"):
        encoder(InvariantEncoder).fit(
            X, y, sensitive_features=s, sample_weight=(s == 0).astype(float)
        )


def test_a_target_of_one_class_in_the_rows_with_weight_is_refused():
    X, y, s = world()

    with pytest.raises(ValueError, match="one class only in the rows whose `sample_weight`"):
        encoder().fit(X, y, sensitive_features=s, sample_weight=y)


def test_checked_weights_are_numbers():
    assert check_weights(None, 3) is None
    assert check_weights([1, 2, 0], 3).dtype == np.float64


def test_certificates_refuse_weighted_tables(tmp_path):
    """Their slack would be that of rows that all count alike."""

    logits, groups, weights, _ = weighted()
    strata = torch.zeros_like(groups)
    tables = GroupTables.expected(logits, strata, groups, 1, 3, weights=weights)
    plain = GroupTables.expected(logits, strata, groups, 1, 3)

    for each in (tables, tables + plain, tables.diluted(0.5), tables.without_codes()):
        with pytest.raises(ValueError, match="tables that count rows, got weighted ones"):
            certify(each)
    with pytest.raises(ValueError, match="`save` expects tables that count rows"):
        tables.save(tmp_path / "tables")
    assert certify(plain).sizes == tuple(plain.rows.sum(0).tolist())


def test_rows_by_weight_are_a_sample_of_the_weighted_population():
    n = 4000
    s, weights = np.arange(n) % 2, np.where(np.arange(n) < n // 2, 0.1, 1.0)
    rows, columns = np.arange(0, n, 2), np.zeros((n, 1))
    parts = (None, columns, columns[:, :0], s, np.arange(2), np.zeros(n, int), 1)
    of = partial(Sample, *parts, contents=None, names=None)
    kept = of(weights=weights).by_weight(rows, np.random.RandomState(0))

    assert (kept >= n // 2).mean() == pytest.approx(10 / 11, abs=0.02)
    assert set(rows) > set(kept)
    assert of(weights=None).by_weight(rows, np.random.RandomState(0)) is rows
    alone = of(weights=np.where(s == 0, 1e-9, 1.0))
    assert len(alone.by_weight(np.arange(n), np.random.RandomState(0))) == n  # a group was gone
