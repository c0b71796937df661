"""The page: what it says, that it is whole and safe, and, in a browser, that it can be used."""

import base64
import hashlib
import os
import re
import shutil
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import audit, html_report, report, search_attack
from bitveil.audits.meaning import Pattern
from bitveil.audits.page import View
from bitveil.audits.plots import at_least, at_most, axis_of, bits_at_most
from bitveil.columns.printing import printable
from bitveil.datasets import load_adult
from worlds import audit_named, noisy_copy, parity_trap

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Parsed(HTMLParser):
    """The elements of a page, its text, and whether its tags are balanced."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    def words(self):
        return " ".join(self.text.split())


def rows_of(world, copies):
    return world.logits.repeat(copies, 1).numpy(), world.groups.repeat(copies).numpy()


@pytest.fixture(scope="module")
def adult():
    """All that a page can show: 3,000 rows of Adult, under a code made of a few columns."""

    data, rng = load_adult(), np.random.default_rng(0)
    some = rng.permutation(len(data.target))[:3_000]
    X = data.features[["age", "education_num", "hours_per_week"]].iloc[some].reset_index(drop=True)
    people = data.sensitive.iloc[some].reset_index(drop=True)
    groups = pd.DataFrame({"sex": people["sex"], "old": X["age"] > 40})

    def encode(rows):
        weight = np.array([[1.0, 0.3, 0.0, 2.0], [0.5, -1.0, 2.0, 0.0], [0.0, 0.5, 1.0, 1.0]])
        return ((rows - X.mean()) / X.std()).to_numpy() @ weight

    class Step:
        strength = None

        def __init__(self, gap, score, certified):
            self.measure = self.gap = gap
            self.limit, self.score, self.certified, self.information = gap, score, certified, score

    steps = [Step(0.04, 0.77, True), Step(0.08, 0.79, True), Step(0.12, 0.8, False)]
    with pytest.MonkeyPatch.context() as quick:
        quick.setattr(report, "_BOOT", 5)
        quick.setattr(report, "search_attack", partial(search_attack, n_configurations=3))
        return audit_named(
            encode(X),
            groups,
            data.target.iloc[some].reset_index(drop=True),
            attackers="all",
            encode=encode,
            X=X,
            path=steps,
        )


@pytest.fixture(scope="module")
def pages(adult):
    """Pages of every kind, by what they are of."""

    rng = np.random.default_rng(0)
    s, codes = rng.integers(0, 2, 1_200), rng.integers(0, 30, 1_200)
    foreign = audit(codes, s)
    wide = audit(rng.integers(0, 2, (1_200, 8)) | (np.arange(8) == 4) & s[:, None], s)
    trap = audit_named(*rows_of(parity_trap(extra=1), 100))
    audits = {"Adult": adult, "a code of others": foreign, "<b>": trap}

    return {
        "adult": adult.to_html(),
        "foreign": foreign.to_html(sources=["codes.csv, SHA-256 1234"]),
        "wide": wide.to_html(title="Eight bits"),
        "several": html_report(audits),
    }


@pytest.fixture(params=["adult", "foreign", "wide", "several"])
def content(request, pages):
    return pages[request.param]


# Numbers


def test_what_is_certified_is_never_rounded_to_its_favour():
    for share in [*np.random.default_rng(0).random(2_000), 0, 0.1, 0.0949, 0.095, 1]:
        assert share - 1e-9 <= float(at_most(share)) / 100 < share + 0.001 + 1e-9
        assert share - 0.001 - 1e-9 < float(at_least(share)) / 100 <= share + 1e-9
        assert share - 1e-9 <= float(bits_at_most(share)) < share + 0.001 + 1e-9


@pytest.mark.parametrize("low", [None, 0.0])
@pytest.mark.parametrize(
    "values", [[0.0], [0.3], [1.0], [0.01, 0.99], [0.8649, 0.8651], [7, 9], [-0.2, 0.1]]
)
def test_an_axis_holds_its_numbers(values, low):
    axis = axis_of([value for value in values if low is None or value >= low], "bits", "", low=low)
    values = [max(value, axis.low) for value in values] if low == 0 else values

    assert axis.low <= min(values)
    assert max(values) <= axis.high
    assert axis.length > 0
    assert 2 <= len(axis.ticks) <= 8
    assert (axis.share(axis.low), axis.share(axis.high)) == (0, 1)
    assert (axis.at(axis.low - 9), axis.at(axis.high + 9)) == ("0%", "100%")


# What it says


def test_the_first_sentence_says_what_is_certified_and_what_is_certain():
    logits, s = rows_of(noisy_copy(0.3), 1_000)
    sex = pd.Series(np.where(s, "women", "men"), name="sex")
    found = audit_named(logits, sex)
    words = Parsed(found.to_html()).words()

    assert found.certificate.gap == pytest.approx(0.4547, abs=1e-4)
    assert found.certain_gap == pytest.approx(0.3226, abs=1e-4)
    assert (
        "Any classifier of these codes treats men and women differently by at most 45.5 "
        "percentage points, with probability 95 %. Some classifier reaches at least 32.2 points"
    ) in words
    assert "What these codes reveal of sex" in words
    assert "for each of 2,000 rows a code of 1 bit" in words
    assert "in at most 5 of 100 such audits" in words


def test_where_nothing_is_certified_or_certain_that_is_said():
    blind = audit_named(np.zeros((2_000, 1)), np.arange(2_000) % 3)
    few = audit_named(*rows_of(parity_trap(), 4), delta=0.01)

    assert (
        "treats any two of the 3 groups differently by at most 7.9 percentage points, with "
        "probability 95 %. Whether any gap is there at all, these rows cannot say."
    ) in Parsed(blind.to_html()).words()
    assert "no gap" not in Parsed(blind.to_html()).words()
    assert (
        "Nothing is certified. Some classifier of these codes may treat 0 and 1 differently by up "
        "to 100 percentage points. Whether any gap is there at all, these rows cannot say."
    ) in Parsed(few.to_html()).words()


def leaning(n=2_000, p=0.6):
    """An audit of a code that leans on the group, with a target."""

    rng = np.random.default_rng(0)
    s, y = rng.integers(0, 2, (2, n))
    sex = pd.Series(np.array(["f", "m"])[s], name="sex")
    hired = pd.Series(np.array(["no", "yes"])[y], name="hired")

    return audit(np.where(rng.random(n) < p, s, 1 - s), sex, hired)


def led_by(found, interval):
    """The same audit of an encoder that was fitted for another gap."""

    others = tuple(each for each in found.intervals if each is not interval)

    return replace(
        found,
        intervals=(interval, *others),
        certificate=interval.certificate,
        certain_gap=interval.least,
    )


def test_an_audit_leads_with_the_gap_that_the_encoder_was_fitted_for():
    found = leaning()
    parity, odds = found.intervals[0], found.intervals[3]
    leads = led_by(found, odds)
    words = Parsed(leads.to_html()).words()

    assert odds.certificate.quantity == "equalised odds gap"
    assert (
        "Among rows of the same hired, any classifier of these codes treats f and m differently "
        f"by at most {at_most(odds.certificate.bound)} percentage points"
    ) in words
    assert f"Some classifier reaches at least {at_least(odds.least)} points" in words
    assert words.index("equalised odds") < words.index("demographic parity")
    assert f"certified: at most {at_most(parity.certificate.bound)}" in words  # beside attackers
    first, second = [line for line in str(leads).splitlines() if line.startswith("certified")]
    assert f"rows of the same hired ≤ {odds.certificate.bound:.4f}" in first
    assert first.index("≤") > 0
    assert f"on the codes ≤ {parity.certificate.bound:.4f}" in second


def test_equal_opportunity_is_said_of_the_rows_of_one_target():
    found = leaning()
    parity = found.intervals[0]
    one = replace(parity.certificate, quantity="equal opportunity gap", bound=0.321)
    leads = led_by(found, replace(parity, certificate=one))
    leads = replace(leads, intervals=(*leads.intervals, parity))

    assert (
        "Among rows whose hired is the positive one, any classifier of these codes treats f and m "
        "differently by at most 32.1 percentage points"
    ) in Parsed(leads.to_html()).words()
    assert "among rows whose hired is the positive one ≤ 0.3210" in str(leads)
    object.__setattr__(leads, "positive", "yes")
    assert "Among rows whose hired is yes, any classifier" in Parsed(leads.to_html()).words()
    assert "among rows whose hired is yes ≤ 0.3210" in str(leads)


def test_a_bound_that_an_attacker_refutes_is_not_said_as_if_it_stood():
    found = leaning(p=0.9)
    forged = replace(found.certificate, bound=0.05)
    checks = tuple(replace(check, bound=0.05, holds=False) for check in found.checks)
    parity, *others = found.intervals
    broken = replace(
        found,
        certificate=forged,
        intervals=(replace(parity, certificate=forged), *others),
        checks=checks,
    )
    worst = max(checks, key=lambda check: check.excess)
    content = broken.to_html()
    words = Parsed(content).words()

    assert worst.excess == pytest.approx(worst.measured - worst.noise - 0.05)
    assert "The certified bound is refuted. An attacker" in words
    assert f"treats the groups differently by at least {at_least(worst.least)} perc" in words
    assert "The certificate allows at most 5." in words
    assert "at most 7.5 of 100 audits" in words
    assert "rows were used in fitting, rows are copies of others, or these codes are not" in words
    assert "Any classifier of these codes" not in words
    for certified in ("to 5 points", "at most 5", "0.0500"):
        for after in words.split(certified)[1:]:
            assert after.startswith((" (does not stand)", ".")), after[:40]
    lines = str(broken).splitlines()
    assert lines[0].startswith("THE BOUND IS REFUTED")
    assert f"{worst.excess:.4f} too much" in lines[0]
    assert all("DOES NOT STAND" in line for line in lines if line.startswith("certified"))
    assert "DOES NOT STAND" not in str(found)
    assert "does not stand" not in found.to_html()


def few_have_a_code():
    """Two thousand rows, of which 4 have one code and 9 another, all of one group."""

    s, codes = np.arange(2_000) % 2, np.arange(2_000) // 2 % 2
    codes[0:8:2], codes[9:27:2] = 7, 8

    return audit(pd.Series(codes, name="zone"), pd.Series(s, name="sex"))


def test_codes_of_few_rows_are_not_listed_with_their_group():
    found = few_have_a_code()
    assert {cell.code: cell.rows for cell in found.meaning.cells}["7"] == 4
    view, asked = View("x", "", found), View("x", "", found, small_cells=True)
    figure, whole = view.plots["codes"], asked.plots["codes"]
    content, full = found.to_html(), found.to_html(small_cells=True)

    assert [sorted(row.label for row in plot.rows) for plot in (figure, whole)] == [
        ["0", "1"],
        ["0", "1", "7", "8"],
    ]
    assert len(figure.table.rows) == 2
    assert "Left out: 2 of 4 codes, which have fewer than 10 rows each and 13 in all" in content
    assert "published codes could tell the group of those rows" in content
    assert 'data-code="7"' not in content
    assert 'data-code="7"' in full
    assert "Left out" not in full
    assert 'data-code="7"' in html_report({"": found}, small_cells=True)


def test_patterns_of_few_rows_are_not_listed():
    found = few_have_a_code()
    few = Pattern(("zone",), (7,), False, 9, 0.0045, 0, 1.0, 0.5, 0.75, 0.05)
    found = replace(found, meaning=replace(found.meaning, patterns=(few,)))
    words = Parsed(found.to_html()).words()

    assert "zone = 7" not in words
    assert "Left out: 1 of 1 patterns that stand out" in words
    assert "No rows stand out" not in words
    assert "zone = 7" in Parsed(found.to_html(small_cells=True)).words()
    assert "zone = 7" in str(found)  # the record keeps all


def test_bits_of_few_rows_and_pages_without_a_code_to_list():
    s, bits = np.arange(60) % 2, np.zeros((60, 2), int)
    bits[:8:2, 0], bits[:, 1] = 1, np.arange(60) // 2 % 2
    rare = audit(bits, s)
    names = audit(np.arange(60) // 8, s)

    assert "fewer than 10 rows have a 1, or a 0" in rare.to_html()
    assert "fewer than 10 rows have" not in rare.to_html(small_cells=True)
    words = Parsed(names.to_html()).words()
    assert "No code is listed. Left out: 8 of 8 codes" in words
    assert 'id="a0-codes"' not in names.to_html()


def test_planted_leaks_are_named():
    rng = np.random.default_rng(0)
    s, bits = rng.integers(0, 2, 8_000), rng.integers(0, 2, (8_000, 8))
    trap, rare = bits.copy(), bits.copy()
    trap[:, 5] = trap[:, 2] ^ s
    rare[:, 7] = np.where(rng.random(8_000) < 0.01, s, 0)
    by_trap, by_rare = audit(trap, s), audit(rare, s)
    told = Parsed(by_trap.to_html()).words()

    assert "bit 2, bit 5 together tell 1.0000 of the 1.0000 bits" in told
    assert "bit 2 = 0 and bit 5 = 1" in told
    assert "bit 2 and bit 5 together tell 1.0000 of 1.0000 bits" in str(by_trap)
    told = Parsed(by_rare.to_html()).words()
    share = f"{rare[:, 7].mean():.1%}".replace("%", " %")
    assert f"{rare[:, 7].sum()} rows ({share}), those with bit 7 = 1, are 1 in 100.0 %" in told
    assert "bit 7 = 1" in str(by_rare)


def test_what_it_does_not_say_and_how_to_make_it_again_stand_on_every_page(content):
    words = Parsed(content).words()

    for part in (
        "What this does not say",
        "rows that were used in fitting",
        "another population",
        "two draws for one row",
        "other columns of the row",
        "How to make it again",
        "Seed",
        "SHA-256",
        "scikit-learn",
        "bitveil.audit/1",
    ):
        assert part in words


def test_a_full_page_shows_all_that_was_found(adult, pages):
    words = Parsed(pages["adult"]).words()

    for part in (
        "None of",
        "boosting, 50 draws",
        "not covered",
        "search: ",
        "equalised odds",
        "Each sensitive column",
        "old alone",
        "How this code was chosen",
        "education_num",
        "Counted: expected counts, since every row has a name of its own",
        "true positive rate",
    ):
        assert part in words
    assert adult.made.checksum in words


def test_several_audits_stand_beside_each_other(pages):
    words = Parsed(pages["several"]).words()

    assert "What 3 codes reveal of" in words
    for label in ("Adult", "a code of others", "<b>"):
        assert words.count(label) > 3
    with pytest.raises(ValueError, match="at least one audit"):
        html_report({})


# Whole and safe


def test_a_page_is_one_file_that_asks_for_nothing(content):
    page = Parsed(content)

    assert len(content) < 600_000
    assert not re.search(r"https?://|@import|url\(", content)
    for tag, attributes in page.elements:
        assert tag not in {"img", "iframe", "object", "embed", "form", "audio", "video", "base"}
        assert not {"src", "srcset", "action", "style"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith(("#", "data:,"))


def test_a_page_of_one_code_is_small(pages):
    assert len(pages["adult"]) < 300_000


def test_a_page_allows_its_own_script_and_style_and_nothing_else(content):
    policy = next(m["content"] for m in Parsed(content).all("meta") if "http-equiv" in m)

    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        (inside,) = re.findall(rf"<{kind}>(.*?)</{kind}>", content, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_every_name_on_a_page_is_one_element_and_every_reference_finds_it(content):
    page = Parsed(content)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    wanted = [
        name
        for _, attributes in page.elements
        for key in ("aria-labelledby", "data-codes")
        for name in attributes.get(key, "").split()
    ]
    wanted += [link["href"][1:] for link in page.all("a")]

    assert len(ids) == len(set(ids))
    assert set(wanted) <= set(ids)


def test_every_plot_has_its_numbers_as_a_table(content):
    page = Parsed(content)
    tables = {attributes.get("id") for attributes in page.all("table")}
    figures = [attributes["id"] for attributes in page.all("figure")]

    assert figures
    for figure in figures:
        assert f"{figure}-table" in tables


def test_headings_are_in_order(content):
    levels = [int(tag[1]) for tag, _ in Parsed(content).elements if re.fullmatch("h[1-6]", tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


NASTY = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a'b&c"]


def test_what_comes_from_the_data_is_escaped():
    s = np.tile([0, 1, 2], 200)
    groups = pd.Series(np.array(NASTY, dtype=object)[s], name=NASTY[0])
    y = pd.Series(np.array(NASTY[:2], dtype=object)[s % 2], name=NASTY[1])
    codes = pd.Series(np.array(NASTY, dtype=object)[(s + 1) % 3], name=NASTY[1])
    found = audit(codes, groups, y)
    content = html_report({NASTY[0]: found, NASTY[1]: found}, title=NASTY[0], sources=NASTY)
    page = Parsed(content)

    assert len(page.all("script")) == 1
    assert page.all("img") == []
    for nasty in NASTY:
        assert nasty in page.text


HOSTILE = "a\x00\x1b[31mred\u202eevil\u2066\u200fend\nline"
OBEYED = "\x00\x1b\u202e\u2066\u200f\u2028"


def test_what_a_browser_or_a_terminal_would_obey_is_spelled():
    s = np.tile([0, 1, 2], 200)
    names = np.array([HOSTILE, "x" * 500, "[bold]km[/h]"], dtype=object)
    groups = pd.DataFrame({HOSTILE: names[s], "old\u2028": s > 1})
    y = pd.Series(names[s % 2], name=f"{HOSTILE}y")
    codes = pd.DataFrame({HOSTILE: names[(s + 1) % 3], "\u202ecode": s % 2})
    found = audit(codes, groups, y)
    content = html_report(
        {HOSTILE: found, "b": found}, title=HOSTILE, sources=[HOSTILE, "bad\udce9name.csv"]
    )

    for text in (content, found.to_html(), str(found)):
        assert not set(OBEYED) & set(text)
        assert "x" * 100 not in text
        assert "x...x" in text
        assert "[bold]km[/h]" in text
        assert r"\u202eevil\u2066\u200fend\nline" in text
    content.encode()
    assert len(str(found).splitlines()) == len(found._lines())


def test_joiners_of_scripts_and_emojis_are_kept():
    assert printable("\u0645\u06cc\u200c\u062e") == "\u0645\u06cc\u200c\u062e"
    assert printable("\U0001f469\u200d\U0001f52c") == "\U0001f469\u200d\U0001f52c"
    assert printable("é\x9b\u061c") == r"é\x9b\u061c"
    assert len(printable("\x1b" * 500)) <= 80


def test_words_fit_what_is_audited():
    s = np.arange(60) % 3
    table = pd.DataFrame({"a": s > 0, "b": s > 1})
    view = View("x", "", audit(pd.Series(s % 2, name="zone").map(str), table))

    assert view.attribute == "a and b"
    assert view.code == "the value of zone (2 different ones)"
    assert view.groups == ["False, False", "True, False", "True, True"]
    assert View("x", "", audit(s, s)).attribute == "the sensitive attribute"


def test_a_page_needs_neither_target_nor_certificate_to_be_drawn():
    found = audit_named(*rows_of(noisy_copy(0.3), 50))
    bare = replace(
        found, path=(), notes=(), meaning=replace(found.meaning, telling=None, patterns=())
    )

    assert "No rows stand out" in Parsed(bare.to_html()).words()


# In a browser


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if chromium() is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page; afterwards no error was said and nothing but the file was asked for."""

    said, asked, contexts = [], [], []

    def go(content, width=1280, **settings):
        file = tmp_path / "page.html"
        file.write_text(content, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        assert asked.pop() == file.as_uri()
        page.set_default_timeout(5_000)
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == []
    assert asked == []


BOXES = """Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => [
  figure.id,
  [...figure.querySelectorAll(".mark")].map((mark) => mark.getBoundingClientRect())
    .filter((box) => box.width + box.height > 0).map((box) => [box.x, box.width, box.height]),
]))"""


@pytest.mark.parametrize("width", [1280, 390])
def test_every_plot_is_drawn_within_the_page(visit, content, width):
    page = visit(content, width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figures = page.evaluate(BOXES)
    assert len(figures) == content.count("<figure")
    for boxes in figures.values():
        assert boxes
        assert all(wide + high > 0 and -8 <= left <= width + 8 for left, wide, high in boxes)


def test_nothing_is_lost_without_the_script(visit, pages):
    page = visit(pages["adult"], java_script_enabled=False)

    assert page.locator(".controls:visible").count() == 0
    assert page.locator("#a0-codes .row:visible").count() > 12
    assert page.locator("#a0-bits tbody tr").count() == 4


def test_marks_say_their_numbers_to_pointer_and_keyboard(visit, pages):
    page = visit(pages["adult"])
    tip = page.locator("#tip")
    figure = page.locator("#a0-attackers")

    figure.locator(".mark").nth(0).hover()
    assert "exact for these rows" in tip.inner_text()
    figure.locator('.mark[tabindex="0"]').focus()
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert first != second
    assert tip.inner_text() in second
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    assert figure.locator('.mark[tabindex="0"]').count() == 1  # one stop in the order of tabs


def test_rows_are_sorted_shown_and_marked(visit, pages):
    page = visit(pages["wide"])
    codes = page.locator("#a0-codes .row:not(.axis)")
    shown = page.locator("#a0-codes .row:not(.axis):visible")
    assert shown.count() == 12
    page.get_by_role("button", name="code", exact=True).click()
    names = [codes.nth(i).get_attribute("data-code") for i in range(codes.count())]
    assert names == sorted(names)
    assert shown.count() == 12
    page.locator("#a0-codes [data-more]").click()
    assert shown.count() == codes.count()

    page.locator("[data-match]").first.click()
    lit = page.locator("#a0-codes .row.lit")
    assert lit.count() > 0
    assert {lit.nth(i).get_attribute("data-code")[4] for i in range(lit.count())} == {"0"}

    page.get_by_role("button", name="Tells of the sensitive attribute alone").click()
    assert page.locator("#a0-bits tbody tr").first.locator("th").inner_text() == "bit 4"


def test_another_scale_moves_the_marks_and_back(visit, pages):
    page = visit(pages["adult"])
    dot = page.locator("#a0-attackers [data-v]").first
    before = dot.get_attribute("x")
    button = page.locator("#a0-attackers [data-scale]")
    button.click()
    assert dot.get_attribute("x") != before
    button.click()
    assert float(dot.get_attribute("x")[:-1]) == pytest.approx(float(before[:-1]), abs=0.01)


def test_a_page_prints_with_its_tables(visit, pages):
    page = visit(pages["adult"])

    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator(".controls:visible").count() == 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#a0-attackers-table").is_visible()
    assert len(page.pdf()) > 20_000


def axe():
    """axe-core, from where the variable AXE says, or from node_modules beside the repository."""

    root = Path(__file__).parents[1]
    places = [os.environ.get("AXE", ""), root / "node_modules/axe-core/axe.min.js"]

    return next((Path(place) for place in places if place and Path(place).is_file()), None)


@pytest.mark.skipif(axe() is None, reason="axe-core is not there: npm install axe-core, or AXE")
@pytest.mark.parametrize(
    ("kind", "width", "scheme"),
    [
        ("adult", 1280, "light"),
        ("adult", 390, "dark"),
        ("foreign", 390, "light"),
        ("several", 1280, "dark"),
    ],
)
def test_axe_finds_no_barrier(visit, pages, kind, width, scheme):
    page = visit(pages[kind], width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate(axe().read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")

    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
    passed = {rule["id"] for rule in found["passes"]}
    assert {
        "color-contrast",
        "landmark-one-main",
        "region",
        "svg-img-alt",
        "heading-order",
    } <= passed
