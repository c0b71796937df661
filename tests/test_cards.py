"""Cards, and what notebooks show: what they say, and what they must never say."""

import datetime
import json
import re

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markupsafe import escape
from sklearn import config_context
from sklearn.pipeline import make_pipeline

from audit_pages import Parsed
from bitveil import InvariantClassifier, InvariantEncoder, InvariantRegressor, Training
from bitveil.audits import audit
from bitveil.cards import CARD_SCHEMA, card
from bitveil.columns.printing import as_markdown

KEY = bytes(range(32))
NASTY = "<b>a|b</b>\n# [x](y) `z` *w* @me"
RAW = {"features": "raw", "training": Training(epochs=2), "random_state": 0}


def rows(n=600, seed=0):
    """People: their skill leans on their sex and gets them hired."""

    rng = np.random.default_rng(seed)
    s = np.array(["women", "men"])[rng.integers(0, 2, n)]
    skill = rng.normal(size=n) + 0.3 * (s == "men")
    X = pd.DataFrame({"skill": skill, NASTY: rng.normal(size=n)})
    y = pd.Series(np.where(skill + 0.2 * rng.normal(size=n) > 0, "yes", "no"), name="hired")

    return X, y, pd.Series(s, name="sex")


@pytest.fixture(scope="module")
def fitted():
    X, y, s = rows()
    model = InvariantClassifier(
        2, features="raw", max_gap=0.5, training=Training(epochs=2), random_state=0, key=KEY
    )

    return model.fit(X, y, sensitive_features=s, ids=range(len(X)))


@pytest.fixture(scope="module")
def found(fitted):
    X, y, s = rows(seed=1)

    return fitted.audit(X, y, sensitive_features=s, ids=range(1_000, 1_600))


def test_a_card_says_what_is_certified_and_how_to_read_the_codes(fitted, found):
    made = card(
        fitted,
        purpose="A study of pay",
        contact="Ann",
        audit=found,
        date=datetime.date(2026, 11, 30),
    )
    text = made.to_markdown()

    assert text.startswith("# Codes that hide sex\n")
    assert (
        "No rule that sees only these codes treats men and women more than 50 percentage" in text
    )
    for words in ("A study of pay", "| Contact | Ann |", "2026-11-30", "hired", "bit0, bit1"):
        assert words in text
    assert "max\\_gap = 0.5" in text
    assert "not pass on the folder of the encoder" in text
    assert "GDPR" in text
    assert (
        "| Certificate | parity gap at most 0.5, wrong with probability at most 0.05, from 300"
        in text
    )
    assert "An audit of 600 other rows found" in text.replace("\\", "")
    assert made.schema == CARD_SCHEMA
    assert made.certificate["bound"] == fitted.certificate_.bound


def test_the_answers_are_those_of_the_decoder_and_count_its_rows(fitted):
    (answers,) = card(fitted).answers
    fitted_rows = sum(len(fitted.rows_[use]) for use in ("fit", "select"))

    assert answers.classes == ("no", "yes")
    assert sum(each.rows for each in answers.codes) == pytest.approx(fitted_rows, abs=30)
    assert answers.constant.rows == fitted_rows
    for each in answers.codes:
        bits = np.array([[*map(int, each.code)]], np.uint8)
        blank = np.zeros((1, len(fitted.coder_.columns) - 2), np.uint8)
        chances = fitted.decode(np.hstack([bits, blank]))[0]
        assert each.probabilities == pytest.approx(chances.tolist(), abs=1e-3)
        assert each.answer == fitted.classes_[chances.argmax()]
        assert each.rows >= 10


def test_codes_of_few_rows_are_only_counted_together(fitted):
    tables = fitted.decoder_.tables
    kept = tables["target0"].clone()
    try:
        tables["target0"][:] = kept.new_tensor([[300, 4, 2, 100], [100, 5, 3, 86]])
        (answers,) = card(fitted).answers
        text = card(fitted).to_markdown()
    finally:
        tables["target0"][:] = kept

    assert [(each.code, each.rows) for each in answers.codes] == [("00", 400), ("11", 186)]
    assert (answers.n_rare, answers.n_more) == (2, 0)
    assert "Not listed: 2 codes that fewer than 10 rows have." in text
    assert "| 01 |" not in text


def test_a_card_holds_no_key_no_rows_and_no_counts_by_group(fitted):
    X, _, _ = rows()
    made = card(fitted)
    text = made.to_markdown() + made.to_json()

    for secret in (KEY.hex(), repr(KEY), str([*KEY])[1:-1]):
        assert secret not in text
    for value in X["skill"].head(50):
        assert repr(float(value)) not in text
    assert fitted.coder_.key.hex() not in text
    cells = [key for answers in made.to_dict()["answers"] for key in answers["codes"][0]]
    assert cells == ["code", "rows", "answer", "probabilities"]


def test_the_json_is_plain_and_has_a_version(fitted):
    content = json.loads(card(fitted, purpose="x").to_json())

    assert content["schema"] == "bitveil.card/1"
    assert content["reads"] == ["skill", NASTY]
    assert content["groups"] == ["men", "women"]
    assert content["goal"] == {"max_gap": 0.5, "criterion": "independence", "delta": 0.05}
    assert content["answers"][0]["classes"] == ["no", "yes"]


def test_names_from_the_data_are_no_markdown(fitted):
    text = card(fitted, purpose=f"a {NASTY}", contact="<script>|x").to_markdown()

    assert "<" not in text
    assert "\\[x\\](y)" in text
    assert "&#64;me" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (3, 6)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Codes that hide sex",
        "## What must not be done",
        "## How to read the codes",
        *(["## Remarks on the fit"] if fitted.remarks_ else []),
    ]


MARKS = "a|1.|12) x|- x|+ x|# x|===|---|http://x.y|www.x.y|~~a~~|&lt;|$x$|<b>c</b>|[x](y)|![x](y)|"
MARKS += "`z`|*w*|__w__|a@b.c|> q|\\*x|{x}`y`|***|a_b_c|a: b. c"


@pytest.mark.parametrize("text", [*MARKS.split("|"), "a|b"])
def test_escaped_text_is_shown_as_it_is(text):
    markdown, shown = MarkdownIt("gfm-like", {"linkify": False}), as_markdown(text)

    assert markdown.render(shown) == f"<p>{escape(text)}</p>\n".replace("&#34;", "&quot;")
    (cell,) = re.findall("<td>(.*)</td>", markdown.render(f"| a |\n|---|\n| {shown} |"))
    assert cell == escape(text)


def test_encoders_without_goal_target_or_table_have_cards_too():
    X, y, s = rows(200)
    bare = InvariantEncoder(2, **RAW).fit(X.to_numpy(), sensitive_features=s.to_numpy())
    pay = InvariantRegressor(1, **RAW).fit(X, X["skill"] * 3, sensitive_features=s)
    wide = InvariantClassifier(17, **RAW).fit(X, y, sensitive_features=s)
    words = card(bare).to_markdown()

    assert "No goal was set, so nothing is certified about these codes." in words
    assert "column 0, column 1" in words
    assert "Codes that hide the sensitive attribute" in words
    assert "No table of answers belongs to these codes." in words
    use = "telling the contents of the 2 columns that the encoder reads (no target was set)"
    assert card(bare).useful_for == use
    assert f"| Useful for | {use} |" in words
    assert card(pay).useful_for == "skill"
    (answers,) = card(pay).answers
    bits = np.array([[*map(int, answers.codes[0].code)]], np.uint8)
    assert answers.codes[0].answer == pytest.approx(pay.decode(bits)[0], rel=1e-3)
    assert answers.classes is None
    assert card(wide).answers == ()
    with pytest.raises(ValueError, match="not fitted"):
        card(InvariantEncoder(2))


@pytest.mark.parametrize(
    ("task", "use"),
    [
        ("columns", "telling the contents of the column that the encoder reads"),
        ("reconstruction", "rebuilding the column that the encoder reads with a decoder"),
        ("information", "telling a row from other rows"),
    ],
)
def test_a_target_that_the_task_does_not_read_is_no_use(task, use):
    X, y, s = rows(100)
    model = InvariantEncoder(2, task=task, **RAW).fit(X[["skill"]], y, sensitive_features=s)

    assert card(model).useful_for == use


def test_an_information_goal_is_said_in_bits():
    X, y, s = rows(2_000)
    model = InvariantEncoder(1, max_information=0.3, **RAW).fit(X, y, sensitive_features=s)

    assert "These codes reveal at most 0.3 of" in card(model).says
    assert "bits about men and women (95 % certain)" in card(model).says


def test_the_opportunity_of_a_goal_is_named():
    X, y, s = rows(1_200)
    settings = {"criterion": "equal_opportunity", "max_gap": 0.6, **RAW}
    model = InvariantClassifier(1, **settings).fit(X, y, sensitive_features=s)

    assert card(model).says.startswith("Among those whose hired is yes, no rule that sees only")


def test_the_command_writes_both_files_and_overwrites_none(fitted, bitveil, tmp_path):
    fitted.save(tmp_path / "encoder")
    place = tmp_path / "codes.card.md"
    words = ("card", tmp_path / "encoder", "-o", place, "--purpose", "A study", "--contact", "Ann")

    assert bitveil(*words)[0] == 0
    assert "A study" in place.read_text("utf-8")
    assert json.loads((tmp_path / "codes.card.json").read_text("utf-8"))["contact"] == "Ann"
    assert bitveil(*words)[0] == 2
    assert bitveil(*words, "--force")[0] == 0
    assert bitveil("card", "nothing", "-o", tmp_path / "card.txt")[0] == 2


# Notebooks


def test_a_notebook_shows_both_bounds_of_an_audit(found):
    shown = Parsed(found._repr_html_())
    words = shown.words()

    assert "Kept: at most 50 points promised. What these codes reveal about sex" in words
    assert "No rule that sees only these codes treats men and women more than" in words
    assert "600: " in words
    assert "predicting hired" in words
    assert shown.all("script") == shown.all("style") == shown.all("link") == []


def test_a_notebook_shows_text_of_the_data_and_does_not_obey_it():
    s = np.arange(400) % 2
    names = np.array([NASTY, "\x1bmen"], dtype=object)[s]
    found = audit(pd.Series(s, name=NASTY), pd.Series(names, name=NASTY))
    shown = found._repr_html_()

    assert "<b>" not in shown
    assert "\x1b" not in shown
    assert "&lt;b&gt;" in shown
    assert len(shown) < 10_000


def test_a_notebook_shows_the_certificate_above_the_diagram_of_scikit_learn(fitted):
    shown, bare = fitted._repr_html_(), InvariantClassifier(2)._repr_html_()
    words = Parsed(shown[: shown.index("<style")]).words()

    assert "No rule that sees only these codes treats men and women more than 50" in words
    assert "predicting hired" in words or fitted.price_ is None
    assert "sk-top-container" in shown
    assert "sk-top-container" in bare
    assert "No rule that sees" not in bare
    assert fitted._repr_mimebundle_()["text/html"].startswith("<div")
    assert fitted.coder_.key.hex() not in shown
    assert "InvariantClassifier" in make_pipeline(fitted)._repr_html_()
    with config_context(display="text"):
        assert "text/html" not in fitted._repr_mimebundle_()
