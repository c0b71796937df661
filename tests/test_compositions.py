"""Compositions: the joint table is that of both codes, and single certificates do not add up."""

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2_contingency

from bitveil.audits import audit
from bitveil.certificates import slack
from bitveil.compositions import compose
from bitveil.estimators import InvariantEncoder
from bitveil.mixtures import Mixture
from builders import KEY, quick, table_of

OTHER = b"another key for the tests"
N = 1200


class Told(torch.nn.Module):
    """An encoder whose logits are its columns, as they were before they were scaled."""

    def __init__(self, scaler):
        super().__init__()
        self.register_buffer("scale", torch.tensor(scaler.scale_))
        self.register_buffer("mean", torch.tensor(scaler.mean_))

    def forward(self, x):
        return x * self.scale + self.mean


def told(logits, s, key=KEY, share=1.0):
    """An encoder of rows that give their own logits, fitted on these rows."""

    settings = {"features": "raw", "hidden": (2,), "epochs": 1, "random_state": 0, "key": key}
    model = quick(InvariantEncoder, logits.shape[1], **settings)
    model.fit(logits, sensitive_features=s, ids=np.arange(len(s)))
    scaler = model.coder_.features.raw_[-1]
    model.coder_ = replace(model.coder_, encoder=Told(scaler), share=share)

    return model


def rows(seed=0, n=N):
    rng = np.random.default_rng(seed)
    return rng, rng.choice(["a", "b"], n), [f"new {seed} {i}" for i in range(n)]


def frame(values, prefix):
    return pd.DataFrame(values, columns=[f"{prefix}{j}" for j in range(values.shape[1])])


@pytest.fixture(scope="module")
def trap():
    """A coin, and the coin or its opposite by group: two columns, and an encoder of each."""

    rng, s, ids = rows(1, 4000)
    coin = rng.integers(2, size=4000)
    X = pd.DataFrame({"coin": coin, "twin": coin ^ (s == "b")}) * 8.0 - 4
    models = [
        told(X.loc[:1999, [name]], s[:2000], key)
        for name, key in zip(X, (KEY, OTHER), strict=True)
    ]

    return models, X[2000:], s[2000:], ids[2000:]


def test_two_codes_that_reveal_nothing_reveal_everything_together(trap):
    models, X, s, ids = trap
    alone = [
        model.audit(X[[name]], sensitive_features=s, ids=ids)
        for model, name in zip(models, X, strict=True)
    ]
    both = compose(models).audit(X, sensitive_features=s, ids=ids)

    assert all(found.certificate.bound < 0.1 for found in alone)
    assert both.total_variation > 0.9
    assert both.certain_gap > 0.8
    assert "2 codes of the same people together, of 1 + 1 bits" in str(both)


def test_expected_counts_of_both_codes_are_the_product_of_their_probabilities():
    rng, s, ids = rows(2)
    logits = [rng.normal(size=(N, m)) + (s == "a")[:, None] for m in (2, 1)]
    tables = [frame(each, name) for each, name in zip(logits, "uv", strict=True)]
    models = [
        told(each[:400], s[:400], key) for each, key in zip(tables, (KEY, OTHER), strict=True)
    ]
    new = pd.concat(tables, axis=1)[400:].assign(extra=1)
    found = compose(models).audit(new, sensitive_features=s[400:], ids=ids[400:])
    theta = 1 / (1 + np.exp(-np.hstack(logits)[400:]))
    chances = np.stack(
        [np.where(code, theta, 1 - theta).prod(1) for code in itertools.product((0, 1), repeat=3)]
    )
    p = [chances[:, s[400:] == group].mean(1) for group in "ab"]

    assert found.counted.startswith("expected")
    assert found.total_variation == pytest.approx(abs(p[0] - p[1]).sum() / 2, abs=1e-6)


def test_draws_under_two_keys_are_independent_and_under_one_key_they_are_not():
    _, s, ids = rows(3)
    logits = frame(np.zeros((N, 1)) + 1e-9 * np.arange(N)[:, None], "u")
    one, two, three = (told(logits, s, key) for key in (KEY, OTHER, OTHER))
    codes = compose([one, two]).transform(logits, ids=ids)
    table = pd.crosstab(codes[:, 0], codes[:, 1])

    assert chi2_contingency(table).pvalue > 1e-3
    assert (two.transform(logits, ids=ids) == three.transform(logits, ids=ids)).all()
    with pytest.raises(ValueError, match="an encoder twice"):
        compose([two, three])


def test_under_one_key_the_codes_are_counted_as_they_are_drawn():
    """With one key T2 equals T1 in group a, and is independent of it in b: a gap of one half."""

    rng, s, ids = rows(4)
    fair = 1e-9 * rng.normal(size=(N, 1))
    other = np.where(s == "a", 0, rng.choice([-50, 50], N))[:, None] + 1e-9 * rng.normal(
        size=(N, 1)
    )
    table = pd.concat([frame(fair, "u"), frame(other, "v")], axis=1)
    found = {}
    for key in (KEY, OTHER):
        models = [told(table[["u0"]][:400], s[:400], KEY), told(table[["v0"]][:400], s[:400], key)]
        both = compose(models)
        found[key] = both.audit(table[400:], sensitive_features=s[400:], ids=ids[400:])
        assert both.independent == (key == OTHER)

    assert found[OTHER].total_variation < 0.1
    assert found[KEY].total_variation == pytest.approx(0.5, abs=0.1)
    assert found[KEY].certificate.draws == "hard"
    assert "the same key" in str(found[KEY])


def test_blanks_of_each_code_are_part_of_what_is_counted():
    rng, s, ids = rows(5)
    logits = [rng.normal(size=(N, 1)) + 3 * (s == "a")[:, None] for _ in range(2)]
    tables = [frame(each, name) for each, name in zip(logits, "uv", strict=True)]
    models = [
        told(each[:400], s[:400], key, share)
        for each, key, share in zip(tables, (KEY, OTHER), (0.5, 1.0), strict=True)
    ]
    both, new = compose(models), pd.concat(tables, axis=1)[400:]
    codes = both.transform(new, ids=ids[400:])
    found = both.audit(new, sensitive_features=s[400:], ids=ids[400:])
    by_hand = audit(pd.DataFrame(codes), s[400:])

    assert both.get_feature_names_out().tolist() == ["code0 bit0", "code0 blank", "code1 bit0"]
    assert codes[:, 1].mean() == pytest.approx(0.5, abs=0.06)
    assert found.total_variation == pytest.approx(by_hand.total_variation)
    assert found.certificate.bound == pytest.approx(by_hand.certificate.bound)
    assert "leave rows blank" in str(found)


def test_expected_counts_with_blanks_are_those_of_every_pattern():
    """Which parts are blank is visible and says nothing: the gap is the mean over the patterns."""

    rng, s, ids = rows(8)
    logits = [rng.normal(size=(N, m)) + 2 * (s == "a")[:, None] for m in (2, 1)]
    tables = [frame(each, name) for each, name in zip(logits, "uv", strict=True)]
    models = [
        told(each[:400], s[:400], key, share)
        for each, key, share in zip(tables, (KEY, OTHER), (0.3, 0.2), strict=True)
    ]
    both, new = compose(models), pd.concat(tables, axis=1)[400:]
    about = {"sensitive_features": s[400:], "ids": ids[400:]}
    found, theta = both.certify(new, **about), 1 / (1 + np.exp(-np.hstack(logits)[400:]))

    def gap(bits):
        chances = [
            np.where(code, theta[:, bits], 1 - theta[:, bits]).prod(1)
            for code in itertools.product((0, 1), repeat=len(bits))
        ]
        p = [np.stack(chances)[:, s[400:] == group].mean(1) for group in "ab"]
        return abs(p[0] - p[1]).sum() / 2

    measured = 0.3 * 0.2 * gap([0, 1, 2]) + 0.3 * 0.8 * gap([0, 1]) + 0.7 * 0.2 * gap([2])
    sizes = [int((s[400:] == group).sum()) for group in "ab"]
    published = audit(pd.DataFrame(both.transform(new, ids=ids[400:])), s[400:])
    assert found.estimate == pytest.approx(measured, abs=1e-6)
    assert found.bound == pytest.approx(measured + (1 - 0.7 * 0.8) * slack(sizes, 0.05), abs=1e-6)
    assert found.bound < published.certificate.bound
    assert str(found) in str(both.audit(new, **about)).replace("\n", " ").replace("  ", " ")


@pytest.mark.parametrize("named", [False, True])
def test_certify_and_audit_agree_where_every_row_has_a_code(named, numbers):
    X, y, s = numbers
    hired = pd.Series(y, name="hired")
    models = [
        quick(criterion="equal_opportunity", positive="no", key=key, n_bits=n).fit(
            X[:300], hired[:300], sensitive_features=s[:300], ids=range(300)
        )
        for n, key in ((1, KEY), (2, OTHER))
    ]
    about = {"sensitive_features": s[300:], "ids": range(300, 600) if named else None}
    found = compose(models).certify(X[300:], hired[300:], **about)
    audited = compose(models).audit(X[300:], hired[300:], **about).certificate

    assert found.bound == pytest.approx(audited.bound)
    assert (found.sizes, found.quantity) == (audited.sizes, audited.quantity)
    assert (found.draws, found.quantity.positive) == ("soft" if named else "hard", 0)


def test_within_several_targets_an_audit_does_and_certify_says_why_not(numbers):
    X, y, s = numbers
    both = pd.DataFrame({"hired": y, "tall": np.where(X["height"] > 1, "tall", "small")})
    models = [
        quick(InvariantEncoder, criterion="separation", key=key).fit(
            X[:300], both[:300], sensitive_features=s[:300], ids=range(300)
        )
        for key in (KEY, OTHER)
    ]
    models[0].coder_ = replace(models[0].coder_, share=0.5)
    about = {"sensitive_features": s[300:], "ids": range(300, 600)}

    found = compose(models).audit(X[300:], both[300:], **about)
    assert found.certificate.quantity.criterion == "separation"
    with pytest.raises(ValueError, match=r"within one target .* has 2"):
        compose(models).certify(X[300:], both[300:], **about)


def test_rows_without_names_are_counted_as_they_are_published():
    rng, s, _ = rows(6)
    table = frame(rng.normal(size=(N, 2)), "u")
    models = [
        told(table[[name]][:400], s[:400], key) for name, key in (("u0", KEY), ("u1", OTHER))
    ]
    both = compose(models)
    found = both.audit(table[400:], sensitive_features=s[400:])
    by_hand = audit(both.transform(table[400:]), s[400:])

    assert found.certificate == by_hand.certificate
    assert "as they are drawn" not in str(found)


def test_each_target_leads_to_the_encoder_that_was_fitted_on_it(numbers):
    X, y, s = numbers
    tall = pd.Series(np.where(X["height"] > 1, "tall", "small"), name="size")
    hired = pd.Series(y, name="hired")
    half = slice(0, 300)
    models = [
        quick(criterion="separation", key=key).fit(
            X[half], target[half], sensitive_features=s[half], ids=range(300)
        )
        for target, key in ((hired, KEY), (tall, OTHER))
    ]
    new = {"sensitive_features": s[300:], "ids": range(300, 600)}
    for target in (hired, tall):
        found = compose(models).audit(X[300:], target[300:], **new)
        assert found.target == target.name
        assert found.certificate.quantity.criterion == "separation"
    assert compose(models).audit(X[300:], **new).certificate.quantity.name == "parity gap"


def test_used_rows_and_what_does_not_belong_together_are_refused(trap):
    models, X, s, _ = trap
    used = np.arange(len(X))
    with pytest.raises(ValueError, match="that the encoder was fitted on"):
        compose(models).audit(X, sensitive_features=s, ids=used)
    with pytest.raises(ValueError, match=r"lacks columns .*twin"):
        compose(models).transform(X[["coin"]])
    with pytest.raises(ValueError, match="two encoders or more, got 1"):
        compose(models[:1])
    with pytest.raises(ValueError, match="got Mixture as number 0"):
        compose([Mixture.__new__(Mixture), models[0]])
    rng, s, _ = rows(7, 200)
    others = told(frame(rng.normal(size=(200, 1)), "u"), np.where(s == "a", "x", "y"))
    with pytest.raises(ValueError, match=r"same sensitive attribute.*'a', 'b'.*'x', 'y'"):
        compose([models[0], others])
    named = told(frame(rng.normal(size=(200, 1)), "u"), pd.Series(s, name="race"))
    again = told(frame(rng.normal(size=(200, 1)), "u"), pd.Series(s, name="sex"), OTHER)
    with pytest.raises(ValueError, match=r"\['race'\] with .* \['sex'\] with"):
        compose([named, again])


@pytest.fixture(scope="module")
def second(people, tmp_path_factory):
    """The folder of an encoder with another key."""

    seen = table_of(people, seed=2)
    X = seen.drop(columns=["person", "sex", "hired", "extra"])
    folder = tmp_path_factory.mktemp("second") / "second"
    model = quick(key=OTHER, n_bits=2)
    model.fit(X, seen["hired"], sensitive_features=seen[["sex"]]).save(folder)

    return folder


@pytest.fixture
def folders(place, second, people):
    """Two encoders with other keys, and a table of new people."""

    shutil.copytree(second, place / "second")
    new = table_of(people, seed=3)
    new.assign(person=new["person"] + "x")[:150].to_csv("new.csv", index=False)

    return place


def test_the_command_audits_both_codes_as_one(command_line, folders):
    code, out, err = command_line("compose", "encoder", "second", "new.csv", "--id", "person")
    assert (code, err) == (0, "")
    assert "What the codes from encoder, second reveal together about sex" in out
    assert "3 + 2 bits" in out

    code, out, _ = command_line("compose", "encoder", "second", "new.csv", "--json")
    assert code == 0
    assert json.loads(out)["sensitive"] == ["sex"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("encoder", "new.csv"), "two encoders or more"),
        (("encoder", "encoder", "new.csv"), "Name each encoder once"),
        (("encoder", "nothing", "new.csv"), "not a saved encoder"),
        (("encoder", "second", "less.csv"), "less.csv lacks columns"),
    ],
)
def test_mistakes_give_one_line(command_line, folders, words, said):
    pd.read_csv("new.csv").drop(columns="age").to_csv("less.csv", index=False)
    code, out, err = command_line("compose", *words)

    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
