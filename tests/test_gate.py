"""`--limit`: exit codes, Markdown, JUnit and JSON of audits and of merged counts."""

import json
import os
from importlib.resources import files
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from bitveil.audits import audit_table
from bitveil.audits.summaries import Judged, junit_xml, markdown_summary
from builders import KEY, quick, table_of

COUNTS = ("audit", "--counts", "counts.csv", "--sensitive", "sex")
"""An audit of counts, whose parity gap is between about 0.05 and 0.14."""

CODES = ("audit", "--codes", "codes.csv", "--sensitive", "sex")
NASTY = "<img src=x onerror=alert(1)> | [x](http://e.org) ![i](//e) `@admin` #1 *b* www.e.org"


@pytest.fixture(scope="module")
def encoders(people, tmp_path_factory):
    """Two encoders of the same rows."""

    folder, seen = tmp_path_factory.mktemp("encoders"), table_of(people, seed=1)
    X = seen[["skill", "height", "age"]].fillna(0)
    for name, settings in (("tight", {"max_gap": 0.9}), ("loose", {"strength": 0.0})):
        model = quick(n_bits=2, key=KEY, epochs=1, **settings)
        ids = seen["person"].str.replace("p", "f")
        model.fit(X, seen["hired"], sensitive_features=seen[["sex"]], ids=ids)
        model.save(folder / name)

    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, table):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pd.DataFrame({"sex": ["f", "m"], "a": [600, 500], "b": [400, 500]}).to_csv(
        "counts.csv", index=False
    )
    sex = np.repeat(["f", "m"], 300)
    pd.DataFrame({"code": rng.integers(3, size=600), "sex": sex}).to_csv("codes.csv", index=False)
    table.assign(skill=table["skill"].fillna(0)).to_csv("people.csv", index=False)

    return tmp_path


def schema():
    return json.loads((files("bitveil.audits") / "schema" / "audit-1.json").read_text())


# Exit codes, and what each form says


@pytest.mark.parametrize(
    ("limit", "code", "word"), [("0.2", 0, "Kept"), ("0.1", 1, "Not shown"), ("0.01", 1, "Broken")]
)
def test_the_exit_code_and_the_last_line_say_whether_the_limit_is_kept(
    command_line, place, limit, code, word
):
    left, out, err = command_line(*COUNTS, "--limit", limit)

    assert (left, err) == (code, "")
    assert out.splitlines()[-1].startswith(f"{word}: the largest parity gap of any rule")


def test_without_a_limit_nothing_is_judged(command_line, place):
    code, out, _ = command_line(*COUNTS)

    assert code == 0
    assert "Kept" not in out
    assert "verdict" not in json.loads(command_line(*COUNTS, "--json")[1])


def test_an_encoder_its_goal_and_an_information_are_judged(command_line, place, encoders):
    words = ("audit", encoders / "tight", "people.csv", "--id", "person", "--json")
    code, out, err = command_line(*words, "--limit", "goal")
    verdict = json.loads(out)["verdict"]

    assert (code, err) == (0, "")
    assert (verdict["limit"], verdict["quantity"]) == (0.9, "parity gap")
    code, out, _ = command_line(*words, "--limit", "1e-9", "--quantity", "information")
    assert code == 1
    assert json.loads(out)["verdict"]["unit"] == "bits"


def test_codes_of_others_are_judged_and_the_report_is_written(command_line, place):
    words = (*CODES, "--limit", "0.5", "--report", "page.html", "--attackers", "quick")
    code, out, _ = command_line(*words)

    assert code == 0
    assert out.splitlines()[-1].startswith("Kept")
    assert (place / "page.html").exists()


def test_every_one_of_several_encoders_must_keep_the_limit(command_line, place, encoders):
    words = ("audit", encoders / "tight", "people.csv", "--id", "person", "--json")
    words = (*words, "--against", encoders / "loose", "--summary", "s.md", "--junit", "j.xml")
    code, out, _ = command_line(*words, "--limit", "1")
    found = json.loads(out)
    bounds = [each["verdict"]["bound"] for each in found["audits"].values()]
    jsonschema.validate(found, schema())
    assert (code, found["kept"]) == (0, True)

    code, out, _ = command_line(*words, "--limit", sum(bounds) / 2)
    found = json.loads(out)
    verdicts = [each["verdict"] for each in found["audits"].values()]
    assert (code, found["kept"]) == (1, False)
    assert [v["outcome"] == "kept" for v in verdicts] == [b == min(bounds) for b in bounds]
    suite = ElementTree.parse("j.xml").find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert "The 2 verdicts are right at once with probability ≥ 0.9." in (
        place / "s.md"
    ).read_text(encoding="utf-8")


def test_merged_counts_are_judged(command_line, place, encoders):
    counting = ("count", encoders / "loose", "people.csv", "--id", "person", "-o", "a.counts")
    assert command_line(*counting)[0] == 0
    for limit, code in (("0.99", 0), ("0.001", 1)):
        merging = ("merge", "a.counts", "--limit", limit, "--summary", "s.md", "--junit", "j.xml")
        left, out, _ = command_line(*merging)
        assert left == code
        assert out.splitlines()[-1].startswith("Kept" if code == 0 else ("Not shown", "Broken"))
        assert out.splitlines()[-1].split(":")[0] in (place / "s.md").read_text().splitlines()[2]
    answer = json.loads(command_line("merge", "a.counts", "--limit", "0.99", "--json")[1])
    jsonschema.validate(answer, schema())
    assert answer["verdict"]["outcome"] == "kept"
    code, _, err = command_line("merge", "a.counts", "--limit", "goal")
    assert code == 2
    assert "Files of counts know no goal" in err


def test_a_fault_of_bitveil_is_no_verdict(command_line, place, monkeypatch):
    from bitveil.cli import audit

    def fail(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr(audit, "audit_counts", fail)
    code, out, err = command_line(*COUNTS, "--limit", "0.2")

    assert (code, out) == (3, "")
    assert "RuntimeError: a fault" in err


# Mistakes

MISTAKES = {
    "a limit above every gap": (
        ("--limit", "1.5"),
        "--limit expects a gap above 0 and up to 1, got 1.5",
    ),
    "a limit of nothing": (("--limit", "0"), "--limit expects a gap above 0"),
    "a limit that is no number": (("--limit", "nan"), "--limit expects a gap above 0"),
    "a limit in words": (("--limit", "small"), "--limit expects a number, or goal"),
    "bits below zero": (
        ("--limit", "-1", "--quantity", "information"),
        "--limit expects a number of bits above 0",
    ),
    "an accuracy below chance": (
        ("--limit", "0.4", "--quantity", "balanced_attack_accuracy"),
        "--limit expects a balanced accuracy above 0.5 and up to 1, got 0.4",
    ),
    "equalised odds without a target": (
        ("--limit", "0.1", "--quantity", "equalised_odds_gap"),
        "does not bound the equalised odds gap. It bounds",
    ),
    "a goal that nobody set": (
        ("--limit", "goal"),
        "These codes were not fitted for a goal. Give a number as --limit",
    ),
    "a quantity without a limit": (
        ("--quantity", "information"),
        "--quantity can be used only with --limit",
    ),
    "files without a limit": (
        ("--summary", "s.md", "--junit", "j.xml"),
        "--summary and --junit can be used only with --limit",
    ),
    "a folder that is not there": (
        ("--limit", "0.1", "--summary", "no/s.md"),
        "There is no folder no to write into",
    ),
    "a folder instead of a file": (("--limit", "0.1", "--summary", "folder"), "exists"),
    "a report that is no XML": (
        ("--limit", "0.1", "--junit", "j.json"),
        "ends in .xml, got j.json",
    ),
    "one file for two": (
        ("--limit", "0.1", "--summary", "a.xml", "--junit", "./a.xml"),
        "--summary and --junit both name",
    ),
    "a summary over the counts": (
        ("--limit", "0.1", "--summary", "counts.csv", "--force"),
        "counts.csv would overwrite counts.csv",
    ),
    "a summary over another file": (
        ("--limit", "0.1", "--summary", "README.md"),
        "README.md already exists",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_leaves_nothing(command_line, place, name):
    words, said = MISTAKES[name]
    (place / "README.md").write_text("# Mine\n")
    (place / "folder").mkdir()
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    code, out, err = command_line(*COUNTS, *words)

    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err
    assert "`" not in err
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_a_place_that_cannot_be_written_is_refused_before_the_audit(
    command_line, place, monkeypatch
):
    access = os.access  # a superuser may write everywhere
    monkeypatch.setattr("os.access", lambda path, how: how == os.R_OK and access(path, how))
    code, out, err = command_line(*COUNTS, "--limit", "0.1", "--junit", "j.xml")

    assert (code, out) == (2, "")
    assert "cannot be written to" in err


# Files


def test_an_empty_file_and_an_earlier_file_are_replaced_and_no_other(command_line, place):
    (place / "s.md").touch()  # as GitHub makes it
    named = ("--summary", "s.md", "--junit", "j.xml")
    for limit, word in (("0.2", "Kept"), ("0.01", "Broken")):
        command_line(*COUNTS, "--limit", limit, *named)
        assert f"## {word}" in (place / "s.md").read_text(encoding="utf-8")
        assert f">{word}: " in (place / "j.xml").read_text(encoding="utf-8")

    (place / "j.xml").write_text("<mine/>")
    assert command_line(*COUNTS, "--limit", "0.2", *named)[0] == 2
    assert (place / "j.xml").read_text() == "<mine/>"
    assert command_line(*COUNTS, "--limit", "0.2", *named, "--force")[0] == 0
    assert "testsuites" in (place / "j.xml").read_text(encoding="utf-8")


def judged(limit=0.1, name="encoder", groups=("f", "m"), notes=()):
    found = audit_table([[600, 400], [500, 500]], list(groups))

    return Judged(
        name, found.check(limit), ("sex",), found.groups, found.sizes, found.counted, notes
    )


def rendered(summary):
    """The page as a reader sees it: tables, and HTML passed through, as on GitHub."""

    return MarkdownIt("commonmark", {"html": True}).enable("table").render(summary)


def test_the_summary_puts_the_verdict_first_and_says_what_it_does_not_cover():
    page = rendered(markdown_summary([judged(0.1)]))

    assert page.split("\n")[1] == "<h2>Not shown: limit of 0.1 on the parity gap</h2>"
    assert page.count("<tr>") == 2
    assert "prove neither that the limit is kept nor that it is broken" in page
    assert "What this does not cover" in page
    assert "prove neither" not in rendered(markdown_summary([judged(0.2)]))


def test_limits_that_differ_are_all_named():
    title = markdown_summary([judged(0.2, "a"), judged(0.3, "b"), judged(0.2, "c")])

    assert "\n## Kept: limit of 0.2 on the parity gap, limit of 0.3 on the parity gap\n" in title


def test_names_from_the_data_can_put_nothing_into_the_summary():
    plain = markdown_summary([judged(notes=("a",))])
    nasty = markdown_summary(
        [judged(name=NASTY + "\n# big\n", groups=(NASTY, "| a |\n- b"), notes=(NASTY,))]
    )
    page, expected = rendered(nasty), rendered(plain)
    for tag in ("<h", "<img", "<a ", "<em", "<li", "<td", "<tr", "<code", "<p", "<table"):
        assert page.count(tag) == expected.count(tag), tag
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "www.e.org" not in nasty  # GitHub makes links of such words
    assert "@admin" not in page.replace("<code>", "").split("Notes")[1]


def test_a_test_that_injects_markup_can_fail():
    assert "<img" in rendered(f"# {NASTY}")


def test_the_report_has_what_readers_of_junit_expect():
    several = [
        judged(limit, name) for limit, name in ((0.2, "a"), (0.1, "b"), (0.01, "c\x00\ufffe"))
    ]
    root = ElementTree.fromstring(junit_xml(several))
    suite = root.find("testsuite")
    cases = suite.findall("testcase")

    assert [child.tag for child in root] == ["testsuite"]
    for element in (root, suite):
        assert (element.get("tests"), element.get("failures"), element.get("errors")) == (
            "3",
            "2",
            "0",
        )
    assert [case.get("name") for case in cases[:2]] == [
        "a: limit of 0.2 on the parity gap",
        "b: limit of 0.1 on the parity gap",
    ]
    assert all(case.get("classname") and float(case.get("time")) == 0 for case in cases)
    failures = [case.find("failure") for case in cases]
    assert [None if each is None else each.get("type") for each in failures] == [
        None,
        "not shown",
        "broken",
    ]
    assert all(each.get("message") == each.text for each in failures[1:])


# JSON


def test_the_schema_is_a_schema_and_fits_what_is_printed(command_line, place, encoders):
    jsonschema.Draft202012Validator.check_schema(schema())
    for words in (COUNTS, (*COUNTS, "--limit", "0.1"), (*CODES, "--limit", "0.5")):
        answer = json.loads(command_line(*words, "--json")[1])
        jsonschema.validate(answer, schema())
        assert ("verdict" in answer) == ("--limit" in words)
    jsonschema.validate(judged().verdict.to_dict(), schema())
    loaded = command_line("audit", encoders / "tight", "people.csv", "--id", "person", "--json")[1]
    jsonschema.validate(json.loads(loaded), schema())


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "bitveil.verdict/2"},
        {"outcome": "fine"},
        {"limit": "0.1"},
        {"quantity": "parity_gap"},
        {"delta": 0},
    ],
)
def test_the_schema_refuses_what_is_not_as_it_says(change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(judged().verdict.to_dict() | change, schema())


def test_the_schema_names_every_field_of_a_verdict():
    named = schema()["$defs"]["verdict"]

    assert set(named["required"]) == set(named["properties"]) == set(judged().verdict.to_dict())
