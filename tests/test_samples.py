"""A fit on a sample of the rows: who is in it, and that all others certify."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bitveil.certificates import UncertifiableError, certify
from bitveil.coder import count_codes
from bitveil.columns.fitted import fitted_numbers
from bitveil.columns.groups import Grouping
from bitveil.columns.targets import Target
from bitveil.models import InvariantClassifier, InvariantEncoder, InvariantRegressor, load
from bitveil.sources import open_source
from bitveil.spills import Spill, SpilledRows
from bitveil.stream_audits import audit_source
from bitveil.streams import tables_of
from builders import KEY, quick

ROLES = {"target": "hired", "sensitive": "sex", "ids": "person"}


def rows_of(n=4000, seed=0, start=0):
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], n)
    skill = rng.normal(size=n) + 0.3 * (sex == "m")
    job = np.where(skill + rng.normal(size=n) > 0, "clerk", "cook")

    return pd.DataFrame(
        {
            "person": np.arange(start, start + n),
            "skill": skill,
            "job": job,
            "sex": sex,
            "hired": (skill + 0.5 * rng.normal(size=n) > 0.2).astype(int),
        }
    )


def model_of(cls=InvariantClassifier, n_bits=2, **settings):
    return quick(cls, n_bits, **{"max_gap": 0.1} | settings)


@pytest.fixture(scope="module")
def rows():
    return rows_of()


@pytest.fixture(scope="module")
def fitted(rows):
    return model_of(key=KEY).fit_source(rows, **ROLES, most=1500)


def test_the_certificate_is_that_of_all_rows_outside_the_sample(rows, fitted):
    certificate = fitted.certificate_
    outside = rows.iloc[fitted.rows_["certify"]]
    counted = tables_of(outside, fitted, ids="person")

    assert sum(certificate.sizes) == len(outside) == 2501
    assert counted.rows.sum(0).tolist() == list(certificate.sizes)
    whole = certify(counted)
    assert certificate.estimate == pytest.approx(whole.estimate * certificate.share, rel=1e-9)


def test_each_row_has_one_use_and_groups_keep_their_shares(rows, fitted):
    parts = fitted.rows_
    together = np.concatenate(list(parts.values()))

    assert sorted(together.tolist()) == list(range(len(rows)))
    sample = rows.iloc[np.concatenate([parts["fit"], parts["select"]])]
    share = pd.crosstab(sample["sex"], sample["hired"]) / pd.crosstab(rows["sex"], rows["hired"])
    assert np.allclose(share, 1500 / 4000, atol=0.01)
    assert "1499 of 4000 rows" in fitted.remarks_[-1]


def test_a_sample_of_all_rows_is_an_ordinary_fit(rows, tmp_path):
    rows.to_csv(tmp_path / "people.csv", index=False)
    one = model_of(key=KEY).fit_source(tmp_path / "people.csv", **ROLES)
    two = model_of(key=KEY).fit(
        rows[["skill", "job"]],
        rows["hired"],
        sensitive_features=rows["sex"],
        ids=rows["person"],
    )

    assert one.certificate_ == two.certificate_
    assert (one.transform(rows[["skill", "job"]]) == two.transform(rows[["skill", "job"]])).all()


def test_files_of_any_kind_give_the_same_encoder(rows, tmp_path):
    """The sample is drawn by the number of a row, so the parts of the data do not matter."""

    parquet, csv = tmp_path / "parquet", tmp_path / "csv"
    parquet.mkdir()
    csv.mkdir()
    for part, some in enumerate((rows[:1700], rows[1700:])):
        some.to_csv(csv / f"{part}.csv", index=False)
        some.to_parquet(parquet / f"{part}.parquet", row_group_size=600)
    X = rows[["skill", "job"]]
    bits = [
        model_of(key=KEY).fit_source(data, **ROLES, most=1000).transform(X)
        for data in (rows, parquet, csv)
    ]

    assert (bits[0] == bits[1]).all()
    assert (bits[0] == bits[2]).all()


def test_rows_without_names_are_certified_as_they_are_drawn(rows):
    named = rows.drop(columns="person")
    model = model_of(key=KEY).fit_source(named, target="hired", sensitive="sex", most=1500)

    assert model.certificate_.draws == "hard"
    assert sum(model.certificate_.sizes) in (2500, 2501)


@pytest.mark.parametrize("criterion", ["separation", "equal_opportunity"])
def test_groups_are_compared_within_the_target(rows, criterion):
    model = model_of(key=KEY, criterion=criterion, max_gap=0.2)
    model.fit_source(rows, **ROLES, most=1500)
    within = rows.iloc[model.rows_["certify"]]
    if criterion == "equal_opportunity":
        within = within[within["hired"] == 1]

    assert sum(model.certificate_.sizes) == len(within)


def test_a_number_as_target_is_cut_where_the_sample_was(rows):
    paid = rows.assign(hired=rows["skill"] * 10.25)
    for criterion in ("independence", "separation"):
        model = model_of(InvariantRegressor, key=KEY, criterion=criterion, max_gap=0.3, bins=2)
        model.fit_source(paid, **ROLES, most=1500)
        assert sum(model.certificate_.sizes) in (2500, 2501)


def test_a_saved_encoder_is_the_same(rows, fitted, tmp_path):
    fitted.save(tmp_path / "encoder")
    X = rows[["skill", "job"]]

    assert (load(tmp_path / "encoder").transform(X) == fitted.transform(X)).all()


def test_the_rows_that_certify_are_spilled_and_counted_like_rows_in_memory(tmp_path):
    import torch
    from torch import nn

    from bitveil.batches import Rows

    rng = np.random.default_rng(0)
    x, s = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(2, size=50)
    names = rng.integers(256, size=(50, 16)).astype(np.uint8)
    torch.manual_seed(0)
    encoder = nn.Linear(3, 3).double()
    spill = Spill(tmp_path, 1, 2, n_bits=3, listed=True)
    for part in (slice(20), slice(20, 50)):
        spill.add(SpilledRows(x[part], s[part], np.zeros(len(s[part]), np.int64), names[part]))
    strata = torch.zeros(50, dtype=torch.int64)
    rows = Rows(torch.from_numpy(x), torch.from_numpy(s), strata, strata[:, None], 2, 1, (1,))
    whole = {"rows": rows, "names": names, "key": KEY}

    soft = spill.count(encoder, key=KEY, draws="soft")
    assert torch.allclose(soft.known, count_codes(encoder, **whole, draws="soft").known)
    for share in (1.0, 0.4):
        hard = spill.count(encoder, share, key=KEY, draws="hard").known
        other = count_codes(encoder, share, **whole, draws="hard").known
        found = hard[..., hard.sum((0, 1)) > 0]
        assert sorted(found.flatten(0, 1).T.tolist()) == sorted(
            other[..., other.sum((0, 1)) > 0].flatten(0, 1).T.tolist()
        )
        if share < 1:
            assert (hard[..., -1] == other[..., -1]).all()
            assert hard[..., -1].sum() > 0


# Bad input


def test_a_sample_without_a_goal_is_refused(rows):
    model = model_of(max_gap=None, strength=1.0)
    with pytest.raises(ValueError, match="set a goal"):
        model.fit_source(rows, **ROLES, most=1500)


def test_a_stream_cannot_be_read_again(rows):
    reader = pa.Table.from_pandas(rows).to_reader(max_chunksize=500)
    with pytest.raises(ValueError, match="only once"):
        model_of().fit_source(reader, **ROLES, most=1500)


def test_repeated_names_are_refused_wherever_they_are(rows):
    twice = pd.concat([rows, rows[-1:]])
    with pytest.raises(ValueError, match=r"name of an earlier row|have an id"):
        model_of().fit_source(twice, **ROLES, most=1500)


def test_copies_without_names_are_refused(rows):
    copied = pd.concat([rows.drop(columns="person")] * 2)
    with pytest.raises(ValueError, match=r"content of rows|repeat another row"):
        model_of().fit_source(copied, target="hired", sensitive="sex", most=2000)


def test_several_targets_within_which_groups_are_compared_need_memory(rows):
    with pytest.raises(ValueError, match="fit into memory"):
        model_of(InvariantEncoder, criterion="separation").fit_source(
            rows, target=["hired", "job"], sensitive="sex", ids="person", most=1500
        )


def test_a_column_has_one_role_and_is_there(rows):
    with pytest.raises(ValueError, match="one role"):
        model_of().fit_source(rows, target="sex", sensitive="sex")
    with pytest.raises(ValueError, match="Did you mean 'hired'"):
        model_of().fit_source(rows, target="hird", sensitive="sex")


def test_a_goal_that_needs_blanks_is_refused_on_request(rows):
    with pytest.raises(UncertifiableError, match="too small for these rows"):
        model_of(max_gap=0.01, on_unmet="raise").fit_source(rows, **ROLES, most=3600)


def test_a_value_of_another_kind_outside_the_sample_is_refused(rows, tmp_path):
    late = rows.astype({"skill": object})
    late.loc[len(late) - 1, "skill"] = "high"
    late.to_csv(tmp_path / "late.csv", index=False)
    model = model_of(random_state=3)
    with pytest.raises(ValueError, match="skill"):
        model.fit_source(tmp_path / "late.csv", **ROLES, most=500)


# Values of other types


@pytest.mark.parametrize(
    "stored", [["1", "0", "1"], [1.0, 0.0, 1.0], [True, False, True], ["1.0", "0", "true"]]
)
def test_fitted_whole_numbers_are_known_in_every_type(stored):
    assert fitted_numbers("s", pd.Series(stored), [0, 1]).tolist() == [1, 0, 1]


def test_texts_that_differ_stay_apart():
    assert fitted_numbers("s", pd.Series(["007", "7"]), ["7", "007"]).tolist() == [1, 0]


def test_missing_values_are_an_error_a_group_or_unlabelled():
    column = pd.Series(["f", None])
    with pytest.raises(ValueError, match="1 missing"):
        fitted_numbers("s", column, ["f", "m"])
    assert fitted_numbers("s", column, ["f", "missing"], missing="missing").tolist() == [0, 1]
    assert fitted_numbers("y", column, ["f", "m"], optional=True).tolist() == [0, -1]


def test_groups_of_several_columns_have_the_numbers_of_the_fit():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(18, 90, 400), "sex": rng.choice(["f", "m"], 400)})
    grouping, numbers = Grouping.fit("s", frame, bins=3, missing="error")

    assert (grouping.numbers("s", frame) == numbers).all()
    assert (grouping.numbers("s", frame.astype(str)[["sex", "age"]]) == numbers).all()
    with pytest.raises(ValueError, match="not fitted"):
        grouping.numbers("s", frame.assign(sex="x"))


def test_a_group_of_missing_values_is_known_from_files(tmp_path):
    frame = pd.DataFrame({"level": [1.0, 2.0, None, 1.0] * 5})
    grouping, numbers = Grouping.fit("s", frame, bins=2, missing="group")
    frame.to_csv(tmp_path / "s.csv", index=False)
    frame.to_parquet(tmp_path / "s.parquet")
    for file in ("s.csv", "s.parquet"):
        batch = next(open_source(tmp_path / file).batches(["level"]))
        read = batch.to_pandas(types_mapper=pd.ArrowDtype)
        assert (grouping.numbers("s", read) == numbers).all()


def test_targets_have_the_numbers_of_the_fit():
    y = pd.DataFrame({"hired": [0, 1, 1, 0], "pay": [1.5, 2.5, 9.25, 4.5]})
    target, labels, _ = Target.fit(y, 4, bins=2)

    assert target.numbers(y.astype(str), 4)[:, 0].tolist() == labels[:, 0].tolist()
    assert target.numbers(y, 4)[:, 1].tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="not fitted"):
        target.numbers(y.assign(hired=3), 4)


# Audits


def test_an_audit_of_many_rows_has_the_numbers_of_all_of_them(fitted):
    new = rows_of(3000, seed=1, start=10**6)
    some = audit_source(fitted, new, ids="person", most=800)
    whole = fitted.audit(
        new[["skill", "job"]], new["hired"], sensitive_features=new["sex"], ids=new["person"]
    )

    for name in (
        "n_rows sizes n_blank groups share criterion counted sensitive target goal entropy_bits "
        "information_bits neuron_information_bits total_variation attack_accuracy published_gap "
        "balanced_attack_accuracy most_frequent_target"
    ).split():
        one, other = getattr(some, name), getattr(whole, name)
        assert one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other), name
    assert some.certificate.bound == pytest.approx(whole.certificate.bound, rel=1e-9)
    names = [each.certificate.quantity.name for each in whole.intervals]
    assert [each.certificate.quantity.name for each in some.intervals] == names
    for one, other in zip(some.intervals, whole.intervals, strict=True):
        assert one.certificate.bound == pytest.approx(other.certificate.bound, rel=1e-9)
    assert "random 847 of the 3000 rows" in some.notes[-1]
    assert "847 of the 3000" in str(some)


def test_an_audit_of_drawn_codes_counts_what_is_published(rows):
    model = model_of(key=KEY, max_gap=0.03).fit(
        rows[["skill", "job"]], rows["hired"], sensitive_features=rows["sex"]
    )
    new = rows_of(3000, seed=1).drop(columns="person")
    some = audit_source(model, new, most=800)
    whole = model.audit(new[["skill", "job"]], new["hired"], sensitive_features=new["sex"])

    assert model.share_ < 1
    for name in "n_blank information_bits neuron_information_bits published_gap".split():
        assert getattr(some, name) == pytest.approx(getattr(whole, name), rel=1e-9), name
    assert some.certificate.bound == pytest.approx(whole.certificate.bound, rel=1e-9)


def test_few_rows_are_audited_whole(fitted, tmp_path):
    new = rows_of(500, seed=1, start=10**6)
    pq.write_table(pa.Table.from_pandas(new), tmp_path / "new.parquet")
    found = audit_source(fitted, tmp_path / "new.parquet", ids="person")
    other = fitted.audit(
        new[["skill", "job"]], new["hired"], sensitive_features=new["sex"], ids=new["person"]
    )

    assert found.to_json() == other.to_json()


def test_used_rows_and_other_attributes_are_refused(rows, fitted):
    sample = rows.iloc[fitted.rows_["fit"]]
    with pytest.raises(ValueError, match="fitted on"):
        audit_source(fitted, sample, ids="person", most=300)
    with pytest.raises(ValueError, match="fitted `sensitive`"):
        audit_source(fitted, rows_of(seed=1), sensitive="job", ids="person")
