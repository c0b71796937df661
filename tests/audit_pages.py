"""Pages of audits of every kind, for the tests that read them, and for those with a browser."""

from functools import cache, partial
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import audit, held_out, html_report, search_attack
from bitveil.datasets import load_adult
from worlds import audit_named, parity_trap

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


@cache
def full_audit():
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
        quick.setattr(held_out, "_BOOT", 5)
        quick.setattr(held_out, "search_attack", partial(search_attack, n_configurations=3))
        return audit_named(
            encode(X),
            groups,
            data.target.iloc[some].reset_index(drop=True),
            attackers="all",
            encode=encode,
            X=X,
            path=steps,
        )


@cache
def every_page():
    """Pages of every kind, by what they are of."""

    adult, rng = full_audit(), np.random.default_rng(0)
    s, codes = rng.integers(0, 2, 1_200), rng.integers(0, 30, 1_200)
    foreign = audit(codes, s)
    wide = audit(rng.integers(0, 2, (1_200, 8)) | (np.arange(8) == 4) & s[:, None], s)
    trap = audit_named(*rows_of(parity_trap(extra=1), 100))
    audits = {"Adult": adult, "a code of others": foreign, "<b>": trap}

    return {
        "adult": html_report(adult),
        "foreign": html_report(foreign, sources=["codes.csv, SHA-256 1234"]),
        "wide": html_report(wide, title="Eight bits"),
        "several": html_report(audits),
    }
