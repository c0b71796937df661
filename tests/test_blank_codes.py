"""Codes of which some rows stay blank: what is published, decoded, audited and said."""

import hashlib
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from audit_pages import Parsed
from bitveil.audits import audit, html_report, repeated_draw_attack
from bitveil.audits.meaning import meaning
from bitveil.audits.page.view import View
from bitveil.audits.published import PublishedCodes
from bitveil.audits.readings import Readings
from bitveil.certificates import UncertifiableError
from bitveil.coder import draw_names, shown_rows
from bitveil.codes import pack, unpack
from bitveil.mixtures import Mixture
from bitveil.models import InvariantRegressor, load
from builders import KEY, leaning_rows, quick
from worlds import audit_named, random_rows

SHARE = 0.3
GOAL = 0.05


def diluted(model, share=SHARE):
    """The same fitted model, which publishes a share of its codes."""

    model.coder_ = replace(model.coder_, share=share)
    model.decoder_ = replace(model.decoder_, blanks=share < 1)

    return model


def named_rows(n=800, seed=0):
    X, y, s = leaning_rows(n, seed=seed)

    return X, y, s, [f"{seed} {i}" for i in range(n)]


@pytest.fixture(scope="module")
def fitted():
    """A model whose goal is below the slack, so that a share of the rows stays blank."""

    X, y, s, ids = named_rows()

    return quick(n_bits=2, max_gap=GOAL, key=KEY).fit(X, y, sensitive_features=s, ids=ids)


@pytest.fixture(scope="module")
def new():
    return named_rows(1_000, seed=1)


# What is published


def test_a_goal_below_the_slack_is_met_by_leaving_rows_blank(fitted, new):
    X, _, _, ids = new
    codes = fitted.transform(X, ids=ids)

    assert fitted.certificate_.bound == GOAL
    assert 0 < fitted.share_ == fitted.certificate_.share < 1
    assert fitted.get_feature_names_out().tolist() == ["bit0", "bit1", "blank"]
    assert codes.shape == (1_000, 3)
    assert codes[:, 2].mean() == pytest.approx(1 - fitted.share_, abs=0.06)
    assert not codes[codes[:, 2] == 1, :2].any()
    X, y, s, ids = named_rows()
    model = quick(n_bits=2, max_gap=GOAL, on_unmet="raise")
    with pytest.raises(UncertifiableError, match=r"on_unmet='dilute'"):
        model.fit(X, y, sensitive_features=s, ids=ids)


def test_rows_that_are_shown_have_the_bits_that_they_have_without_blanks(new):
    X, y, s, ids = new
    model = quick(strength=0.5, key=KEY).fit(X, y, sensitive_features=s)
    whole, some = model.transform(X, ids=ids), diluted(model).transform(X, ids=ids)
    shown = some[:, -1] == 0

    np.testing.assert_array_equal(some[shown, :-1], whole[shown])
    assert not some[~shown, :-1].any()


def test_coins_are_frozen_by_name_and_nested_in_the_share(fitted, new):
    X, _, _, ids = new
    order = np.random.default_rng(0).permutation(len(X))
    codes = fitted.transform(X, ids=ids)
    names = draw_names(X, ids)
    shown = [shown_rows(names, KEY, share) for share in (0.1, 0.4, 0.8, 1.0)]

    np.testing.assert_array_equal(
        codes[order], fitted.transform(X[order], ids=[ids[i] for i in order])
    )
    assert all((more >= less).all() for less, more in pairwise(shown))
    assert shown[-1].all()
    assert (shown_rows(names, b"another key of sixteen bytes", 0.4) != shown[1]).any()


def test_rows_of_equal_content_share_their_coin(fitted):
    X = np.repeat([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], 50, axis=0)

    assert len(np.unique(fitted.transform(X), axis=0)) <= 3
    assert fitted.transform(X)[:, -1].reshape(3, 50).std(1).max() == 0


def test_codes_with_blanks_are_packed_like_others(fitted, new):
    codes = fitted.transform(new[0])

    np.testing.assert_array_equal(unpack(pack(codes), 3), codes)


# Decoding


@pytest.mark.parametrize("own_decoder", [False, True])
def test_a_blank_row_is_answered_by_the_shares_of_the_classes(own_decoder):
    X, y, s, _ = named_rows(300)
    settings = {"decoder": torch.nn.Linear(2, 2)} if own_decoder else {}
    model = quick(n_bits=2, max_gap=GOAL, **settings)
    y[:20] = 1  # classes of different sizes
    model.fit(X, y, sensitive_features=s, ids=range(300))
    assert model.share_ < 1
    known = np.concatenate([model.rows_["fit"], model.rows_["select"]])
    answers = model.decode(np.array([[0, 0, 1], [0, 0, 0]]))

    assert answers[0] == pytest.approx(np.bincount(y[known]) / len(known))
    assert answers[1] != pytest.approx(answers[0], abs=1e-6)
    blank = model.transform(X, ids=range(300))[:, -1] == 1
    assert set(model.predict(X, ids=range(300))[blank]) == {np.bincount(y[known]).argmax()}


def test_blank_rows_of_several_targets_and_of_numbers_get_the_best_constant():
    X, y, s, _ = named_rows(300)
    both = np.stack([y, 2 * y + (X[:, 1] > 1)], axis=1)
    model = diluted(quick(n_bits=2, strength=0.1).fit(X, both, sensitive_features=s))
    blank = np.array([[0, 0, 1]])
    known = np.concatenate([model.rows_["fit"], model.rows_["select"]])
    for j, answers in enumerate(model.decode(blank)):
        counts = np.unique(both[known, j], return_counts=True)[1]
        assert answers[0] == pytest.approx(counts / len(known))

    numbers = 100 + 7 * X[:, 0]
    model = quick(InvariantRegressor, 2, strength=0.1).fit(X, numbers, sensitive_features=s)
    known = np.concatenate([model.rows_["fit"], model.rows_["select"]])
    assert diluted(model).decode(blank) == pytest.approx([numbers[known].mean()])


@pytest.mark.parametrize("bits", [[[0, 1]], [[0, 0, 2]], [[0, 0, 0, 0]]])
def test_bits_without_the_column_of_blanks_are_refused(fitted, bits):
    with pytest.raises(ValueError, match=r"shape \(n, 3\).* the last column 1 for blank rows"):
        fitted.decode(np.array(bits))


# The audit


def test_drawn_codes_are_certified_as_they_were_drawn(new):
    X, y, s, _ = new
    model = diluted(quick(n_bits=2, strength=0.1, key=KEY).fit(X, y, sensitive_features=s), 0.5)
    X, y, s, _ = named_rows(1_000, seed=2)
    bits = model.transform(X)
    found, same = model.audit(X, y, sensitive_features=s), audit(bits, s, y, share=0.5)

    assert found.certificate == same.certificate
    assert found.certificate.draws == "hard"
    assert found.share == found.certificate.share == 0.5
    assert found.n_blank == bits[:, -1].sum()
    # Exact for these rows: half of the absolute differences of the shares of drawn codes.
    shares = [np.bincount(bits[s == g] @ [4, 2, 1], minlength=8) / (s == g).sum() for g in (0, 1)]
    gap = np.abs(shares[0] - shares[1]).sum() / 2
    assert found.published_gap == pytest.approx(gap) == pytest.approx(found.total_variation)


def test_the_gap_of_this_table_is_exact_and_beside_the_certified_one(fitted, new):
    X, y, s, ids = new
    found = fitted.audit(X, y, sensitive_features=s, ids=ids)
    bits = fitted.transform(X, ids=ids)
    codes = bits @ [4, 2, 1]
    shares = [np.bincount(codes[s == g], minlength=8) / (s == g).sum() for g in (0, 1)]

    assert found.published_gap == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
    assert found.published_gap != pytest.approx(found.total_variation, abs=1e-6)
    said = str(found)
    assert f"exactly {found.published_gap:.4f} (as drawn; {found.total_variation:.4f} over" in said
    assert f"in the population ≤ {found.certificate.bound:.4f}, except with" in said

    by_target = audit(bits, s, y, criterion="separation", share=fitted.share_)
    gaps = []
    for target in (0, 1):
        rows = [np.bincount(codes[(s == g) & (y == target)], minlength=8) for g in (0, 1)]
        gaps.append(np.abs(rows[0] / rows[0].sum() - rows[1] / rows[1].sum()).sum() / 2)
    assert by_target.published_gap == pytest.approx(max(gaps))


def test_asking_again_is_attacked_with_blanks():
    s = np.arange(2_000) % 2
    found = repeated_draw_attack(2.0 * s[:, None] - 1, s, share=0.2, draws=(1, 50))
    whole = repeated_draw_attack(2.0 * s[:, None] - 1, s, draws=(1, 50))

    assert found["1 draw"].gap < 0.5 * whole["1 draw"].gap
    assert found["1 draw"].auc < found["50 draws"].auc


# What is said


def test_the_record_and_its_json_have_the_share(fitted, new):
    X, y, s, ids = new
    found = fitted.audit(X, y, sensitive_features=s, ids=ids)
    content = json.loads(found.to_json())

    assert content["schema"] == "bitveil.audit/1"
    assert content["share"] == content["certificate"]["share"] == fitted.share_
    assert content["n_blank"] == fitted.transform(X, ids=ids)[:, -1].sum()
    assert content["published_gap"] == found.published_gap
    assert content["n_bits"] == 2
    assert f"{100 * fitted.share_:.1f} % of the rows get a code, the others stay blank" in str(
        found
    )

    plain = audit(np.random.default_rng(0).integers(0, 2, (200, 2)), np.arange(200) % 2)
    assert (plain.share, plain.n_blank) == (1.0, 0)
    assert "blank" not in str(plain)


def test_patterns_do_not_count_blank_rows():
    rng = np.random.default_rng(0)
    s, bit = rng.integers(2, size=4_000), rng.integers(2, size=4_000)
    bit = np.where(rng.random(4_000) < 0.5, s, bit)
    blank = rng.random(4_000) < 0.7
    found = audit(np.stack([bit * ~blank, blank], axis=1).astype(int), s, share=0.3)
    zeros = next(p for p in found.meaning.patterns if (p.parts, p.values) == (("bit 0",), (0,)))

    assert zeros.rows == ((bit == 0) & ~blank).sum()
    assert found.meaning.n_patterns == 4
    assert found.meaning.revealing.parts == ("bit 0",)
    assert {cell.code for cell in found.meaning.cells} == {"0", "1", "blank"}


def test_blanks_that_tell_the_group_stand_out():
    """Rows without names may share their coins, and then blanks can say something."""

    s = np.arange(2_000) % 2
    codes = np.stack([np.arange(2_000) // 2 % 2 * (1 - s), s], axis=1)
    published = PublishedCodes.of_bits(codes, share=0.5)
    found = meaning(published, s, ["f", "m"])
    readings = Readings(published, torch.from_numpy(s), 2)

    assert any((p.parts, p.values) == (("blank",), (1,)) for p in found.patterns)
    assert readings([0]) == pytest.approx(1, abs=0.01)  # a row that shows no bit is blank


def test_columns_of_codes_are_read_with_their_blanks(fitted, new):
    X, _, s, ids = new
    codes = pd.DataFrame(fitted.transform(X, ids=ids), columns=fitted.get_feature_names_out())
    found = audit(codes, s)

    assert found.share == pytest.approx(1 - codes["blank"].mean())
    assert found.n_bits == 2
    assert found.total_variation == audit(codes.to_numpy(), s).total_variation
    # A column of that name which says something else is a column like others.
    other = audit(codes.assign(blank=np.arange(1_000) // 2 % 2, bit0=np.arange(1_000) % 2), s)
    assert (other.share, other.n_bits) == (1.0, 3)


def test_pages_say_how_many_rows_get_a_code(fitted, new):
    X, y, s, ids = new
    some = fitted.audit(X, y, sensitive_features=s, ids=ids)
    whole = audit_named(fitted.logits(X, ids=ids), s, y)
    said = f"{100 * fitted.share_:.1f} % of the rows get a code, the others stay blank"
    alone = Parsed(html_report(some)).words()
    both = Parsed(html_report({"some": some, "all": whole})).words()

    assert f"a code of 2 bits. {said}" in alone
    assert f"{some.n_blank:,} of these 1,000 rows are blank" in alone
    assert f"exactly {100 * some.published_gap:.1f} points as drawn" in alone
    assert f"a code of 2 bits; {said}" in both
    assert "stay blank" not in Parsed(html_report(whole)).words()
    pattern = replace(_pattern(s), parts=("blank",), values=(1,))
    assert View("a0", "", some).match(pattern) is None
    assert View("a0", "", some).match(_pattern(s)) == '[[0, "0"]]'


def _pattern(s):
    bit = 1 - s[:, None]

    return meaning(PublishedCodes.of_bits(np.hstack([bit, bit])), s, [0, 1]).patterns[0]


# The command line


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, seed in (("people", 0), ("new", 1)):
        X, y, s, ids = named_rows(seed=seed)
        table = pd.DataFrame(X, columns=["skill", "height"])
        table = table.assign(person=ids, hired=y, sex=np.where(s, "m", "f"))
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    monkeypatch.chdir(tmp_path)

    return tmp_path


def test_the_command_line_fits_encodes_and_audits_with_blanks(bitveil, place):
    roles = ("--target", "hired", "--sensitive", "sex", "--id", "person", "--bits", "2")
    code, out, _ = bitveil("fit", "people.csv", *roles, "-o", "one", "--max-gap", GOAL, "--json")
    model, said = load("one"), json.loads(out)
    assert code == 0
    assert 0 < said["share"] == model.share_ < 1
    assert said["slack"] == pytest.approx(0.1039, abs=0.02)

    code, out, _ = bitveil("fit", "people.csv", *roles, "-o", "two", "--max-gap", GOAL)
    words = " ".join(out.split())
    assert code == 0
    assert "% of the rows, and the others stay blank" in words
    assert "which these rows add to what is measured" in words
    code, _, err = bitveil(
        "fit", "people.csv", *roles, "-o", "three", "--max-gap", GOAL, "--on-unmet", "raise"
    )
    assert code == 2
    assert "--on-unmet dilute" in err

    code, out, _ = bitveil("encode", "one", "new.csv", "--id", "person", "-o", "codes.csv")
    codes = pd.read_csv("codes.csv")
    assert code == 0
    assert codes.columns.tolist() == ["person", "bit0", "bit1", "blank"]
    assert (
        out
        == f"800 codes of 2 bits in codes.csv; {codes['blank'].sum()} of these rows are blank\n"
    )

    rows = ("new.csv", "--id", "person")
    code, out, _ = bitveil("audit", "one", *rows, "--against", "two", "--json")
    audits = json.loads(out)["audits"]
    assert code == 0
    assert audits["one"]["share"] == model.share_
    assert audits["one"]["n_blank"] == codes["blank"].sum()
    code, out, _ = bitveil("audit", "--codes", "codes.csv", *rows, "--sensitive", "sex", "--json")
    assert code == 0
    assert json.loads(out)["share"] == pytest.approx(1 - codes["blank"].mean())
    assert json.loads(out)["published_gap"] == pytest.approx(audits["one"]["published_gap"])


# Saving, mixing, mistakes


def test_a_model_with_blanks_is_saved_and_loaded(fitted, new, tmp_path):
    X, _, _, ids = new
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")

    assert again.share_ == fitted.share_
    assert again.certificate_ == fitted.certificate_
    np.testing.assert_array_equal(again.transform(X, ids=ids), fitted.transform(X, ids=ids))
    np.testing.assert_array_equal(again.decode([[0, 0, 1]]), fitted.decode([[0, 0, 1]]))


@pytest.mark.parametrize("share", [0.0, 1.5, True, "half", None])
def test_a_saved_share_that_cannot_be_is_refused(fitted, tmp_path, share):
    fitted.save(tmp_path / "model")
    file = tmp_path / "model" / "encoder.json"
    content = json.loads(file.read_text()) | {"share": share}
    del content["checksum"]
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps(content | {"checksum": checksum}))
    with pytest.raises(ValueError, match="changed after it was saved"):
        load(tmp_path / "model")


def test_a_mixture_refuses_an_encoder_that_leaves_rows_blank(fitted):
    X, y, s, _ = named_rows()
    other = quick(n_bits=2, strength=0.1).fit(X, y, sensitive_features=s)

    with pytest.raises(ValueError, match=r"every row a code, .* Fit it with `on_unmet='raise'`"):
        Mixture([other, fitted], [0.5, 0.5])


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "half", None])
def test_a_share_that_is_no_probability_is_refused(unchecked, share):
    logits, groups = random_rows(40, 2, 2)
    with pytest.raises(ValueError, match="`share` expects a number from 0 to 1"):
        audit_named(logits, groups.numpy(), share=share)


def test_codes_that_do_not_fit_the_share_are_refused():
    logits, groups = random_rows(40, 2, 2)
    bits = np.random.default_rng(0).integers(0, 2, (40, 3))
    bits[bits[:, 2] == 1, :2] = 0
    for share, codes in ((1.0, bits), (0.5, bits[:, [0, 2]])):
        with pytest.raises(ValueError, match="of the same rows and bits"):
            audit(codes, groups.numpy(), logits=logits, ids=range(40), share=share)
    for codes in (np.ones((40, 2)), np.ones((40, 1))):
        with pytest.raises(ValueError, match="last column is 1 where a row is blank"):
            audit(codes, groups.numpy(), share=0.5)


# Nothing is published


def test_few_rows_without_names_publish_nothing_and_say_so(tmp_path, new):
    X, y, s, _ = named_rows(60)
    model = quick(n_bits=2, max_gap=0.001, key=KEY).fit(X, y, sensitive_features=s)
    new_x, new_y, new_s, _ = new

    assert model.share_ == model.certificate_.bound == 0
    assert "No code is published" in model.remarks_[0]
    assert "With names" in model.remarks_[0]
    model.save(tmp_path / "encoder")
    again = load(tmp_path / "encoder")
    codes = again.transform(new_x)
    assert (codes == [0, 0, 1]).all()
    np.testing.assert_array_equal(again.predict(new_x), model.predict(new_x))
    assert len(np.unique(model.predict(new_x))) == 1
    found = again.audit(new_x, new_y, sensitive_features=new_s)
    assert found.certificate.bound == found.certain_gap == found.published_gap == 0
    assert found.n_blank == len(new_x)
    assert "no row gets a code" in str(found)
    assert "this audit certifies it too" in str(found)
    page = html_report({"codes": found})
    assert "no row gets a code" in page


def test_rows_with_names_audit_an_encoder_that_publishes_nothing(new):
    X, y, s, _ = new
    model = diluted(quick(n_bits=2, strength=0.5, key=KEY).fit(X, y, sensitive_features=s), 0.0)
    others, targets, groups, names = named_rows(600, seed=2)
    found = model.audit(others, targets, sensitive_features=groups, ids=names, attackers="all")

    assert found.certificate.bound == found.certain_gap == found.information_bits == 0
    assert all(probe.auc == pytest.approx(0.5) for probe in found.attackers)
