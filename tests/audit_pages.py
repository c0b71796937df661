"""Pages of audits of every kind, for the tests that read them, and for those with a browser."""

from functools import cache, partial
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import audit, held_out, html_report, search_attack
from bitveil.datasets import load_adult
from worlds import audit_named, noisy_copy, parity_trap

APART = set("p li dt dd td th h1 h2 h3 h4 h5 h6 summary".split())
"""Elements whose words do not run into those of the next one."""

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
        if tag in APART:
            self.text += " "

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


@cache
def full_audit():
    """All that a page can show: 3,000 rows of Adult, under a code made of a few columns."""

    return adult_audit(["sex", "old"])


@cache
def odds_audit():
    """Half of the rows by equalised odds, with a goal and a target of words."""

    return adult_audit(["sex"], 1_500, criterion="separation", goal=0.7)


def adult_audit(sensitive, n=3_000, **settings):
    data, rng = load_adult(), np.random.default_rng(0)
    some = rng.permutation(len(data.target))[:n]
    X = data.features[["age", "education_num", "hours_per_week"]].iloc[some].reset_index(drop=True)
    people = data.sensitive.iloc[some].reset_index(drop=True)
    groups = pd.DataFrame({"sex": people["sex"], "old": X["age"] > 40})[sensitive].squeeze()
    target = data.target.iloc[some].reset_index(drop=True)
    if "goal" in settings:
        target = target.map({0: "<=50K", 1: ">50K"}).rename("income")

    def encode(rows):
        weight = np.array([[1.0, 0.3, 0.0, 2.0], [0.5, -1.0, 2.0, 0.0], [0.0, 0.5, 1.0, 1.0]])
        return ((rows - X.mean()) / X.std()).to_numpy() @ weight

    with pytest.MonkeyPatch.context() as quick:
        quick.setattr(held_out, "_BOOT", 5)
        quick.setattr(held_out, "search_attack", partial(search_attack, n_configurations=3))
        return audit_named(
            encode(X),
            groups,
            target,
            attackers="all",
            encode=encode,
            X=X,
            path=adult_path(),
            **settings,
        )


def adult_path():
    """The steps of a fit for a goal."""

    class Step:
        strength = None

        def __init__(self, gap, score, certified):
            self.measure = self.gap = gap
            self.limit, self.score, self.certified, self.information = gap, score, certified, score

    return [Step(0.04, 0.77, True), Step(0.08, 0.79, True), Step(0.12, 0.8, False)]


@cache
def every_page():
    """Pages of every kind, by what they are of."""

    adult, rng = full_audit(), np.random.default_rng(0)
    s, codes = rng.integers(0, 2, 1_200), rng.integers(0, 30, 1_200)
    foreign = audit(codes, s)
    t = np.arange(4_000) % 2
    wide = audit(rng.integers(0, 2, (4_000, 8)) | (np.arange(8) == 4) & t[:, None], t)
    trap = audit_named(*rows_of(parity_trap(extra=1), 100))
    audits = {"Adult": adult, "a code of others": foreign, "<b>": trap}
    race = np.array(["a", "b", "c", "d", "e"])[rng.choice(5, 1_200, p=[0.5, 0.3, 0.1, 0.06, 0.04])]
    hired = pd.Series(np.array(["no", "yes"])[rng.integers(0, 2, 1_200)], name="hired")
    groups = audit(pd.Series(codes % 7, name="zone"), pd.Series(race, name="race"), hired)
    logits, copied = rows_of(noisy_copy(0.4), 600)
    blank = audit_named(logits, copied, share=0.6, goal=0.2, path=adult_path())

    return {
        "odds": html_report(odds_audit(), data="Adult", command="bitveil audit encoder new.csv"),
        "broken": html_report(odds_audit(), limit=0.001, quantity="parity_gap"),
        "groups": html_report(groups, data="Some people"),
        "blank": html_report(blank),
        "adult": html_report(adult),
        "foreign": html_report(foreign, sources=["codes.csv, SHA-256 1234"]),
        "wide": html_report(wide, title="Eight bits"),
        "several": html_report(audits),
    }
