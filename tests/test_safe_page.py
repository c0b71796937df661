"""The page: one file that is whole, safe and small, and that a machine can read."""

import base64
import hashlib
import re
from itertools import pairwise

import numpy as np
import pandas as pd

from audit_pages import Parsed
from bitveil.audits import audit, html_report
from bitveil.columns.printing import printable


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


def test_control_characters_are_spelled_out():
    s = np.tile([0, 1, 2], 200)
    names = np.array([HOSTILE, "x" * 500, "[bold]km[/h]"], dtype=object)
    groups = pd.DataFrame({HOSTILE: names[s], "old\u2028": s > 1})
    y = pd.Series(names[s % 2], name=f"{HOSTILE}y")
    codes = pd.DataFrame({HOSTILE: names[(s + 1) % 3], "\u202ecode": s % 2})
    found = audit(codes, groups, y)
    content = html_report(
        {HOSTILE: found, "b": found}, title=HOSTILE, sources=[HOSTILE, "bad\udce9name.csv"]
    )

    for text in (content, html_report(found), str(found)):
        assert not set(OBEYED) & set(text)
        assert "x" * 100 not in text
        assert "x...x" in text
        assert "[bold]km[/h]" in text
        assert r"\u202eevil\u2066\u200fend\nline" in text
    content.encode()
    assert len(str(found).splitlines()) == len(found._lines())


def test_joiners_in_scripts_and_emojis_are_kept():
    assert printable("\u0645\u06cc\u200c\u062e") == "\u0645\u06cc\u200c\u062e"
    assert printable("\U0001f469\u200d\U0001f52c") == "\U0001f469\u200d\U0001f52c"
    assert printable("é\x9b\u061c") == r"é\x9b\u061c"
    assert len(printable("\x1b" * 500)) <= 80
