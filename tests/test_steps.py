"""Steps: what long work says of itself, and when the command line shows it."""

import json
from threading import Event

import numpy as np
import pandas as pd
import pytest
from sklearn.naive_bayes import GaussianNB

from bitveil.audits import audit, audit_table
from bitveil.audits.attacks import repeated_draw_attack, search_attack
from bitveil.audits.probes import Split
from bitveil.cli import progress
from bitveil.cli.progress import shown_steps
from bitveil.steps import counted_step, listening, say_step
from builders import leaning_rows, quick


@pytest.fixture
def heard():
    """What was said, with the number of rows."""

    return []


@pytest.fixture
def listener(heard):
    return lambda step, n_rows: heard.append((step, n_rows))


def counted(heard, name):
    """What was said of a step that counts: how many are done, and of how many."""

    said = [step.removeprefix(f"{name}: ") for step, _ in heard if step.startswith(f"{name}: ")]

    return [tuple(int(word) for word in each.split() if word.isdigit()) for each in said]


def some_codes(n=200):
    rng = np.random.default_rng(0)
    s = rng.integers(2, size=n)

    return rng.integers(2, size=(n, 2)), s, (s + rng.integers(2, size=n)) % 2


def test_an_audit_says_its_steps_in_order_and_counts_attackers(heard, listener):
    codes, s, y = some_codes()
    found = audit(codes, s, y, progress=listener)

    assert counted(heard, "training attackers") == [(0, 2), (1, 2), (2, 2)]
    assert counted(heard, "training classifiers of the target") == [(0, 1), (1, 1)]
    names = list(dict.fromkeys(step.partition(":")[0] for step, _ in heard))
    assert names == [
        "counting codes",
        "training attackers",
        "training classifiers of the target",
        "reading what the codes mean",
    ]
    assert found == audit(codes, s, y)  # whether anyone listens or not


def test_an_audit_of_counts_says_its_steps(heard, listener):
    audit_table([[60, 40], [50, 50]], progress=listener)

    assert ("counting codes", 0) in heard


def test_searches_and_repeated_draws_are_counted(heard, listener):
    codes, s, _ = some_codes()
    with listening(listener):
        search_attack(Split.halves(codes, s, 0), n_configurations=2)
        repeated_draw_attack(codes - 0.5, s, draws=(1,), family="linear")

    assert counted(heard, "searching for the best attacker") == [(0, 2), (1, 2), (2, 2)]
    name = "training attackers who see several draws"
    assert counted(heard, name) == [(0, 2), (1, 2), (2, 2)]


def test_a_fit_says_what_it_trains_and_that_it_certifies(heard, listener):
    X, y, s = leaning_rows(300)
    model = quick(n_bits=2, features="both", posteriors=GaussianNB(), max_gap=0.9)
    model.fit(X, y, sensitive_features=s, progress=listener)
    names = list(dict.fromkeys(step.partition(":")[0] for step, _ in heard))

    assert names[0] == "training models for the posteriors"
    assert any("training for a limit of" in name for name in names)
    assert names[-1] == "certifying"
    encoders = counted(heard, "training encoders")
    assert encoders[0][0] == 0
    assert encoders[-1][0] == encoders[-1][1] == len(model.path_)


def test_an_audit_of_a_model_reaches_the_same_listener(heard, listener):
    X, y, s = leaning_rows(400)
    model = quick(n_bits=2).fit(X[:200], y[:200], sensitive_features=s[:200])
    model.audit(X[200:], y[200:], sensitive_features=s[200:], progress=listener)

    assert heard[0] == ("encoding the rows", 0)
    assert ("counting codes", 0) in heard


def test_nobody_listens_after_an_error(heard, listener):
    def divide():
        with listening(listener):
            say_step("dividing", 3)
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        divide()
    say_step("more")

    assert heard == [("dividing", 3)]


# On a terminal


@pytest.fixture
def terminal(monkeypatch):
    """Makes the error stream a terminal on which progress starts at once.

    Returns an event that tells when it has started. Each phase of a test has an error stream of
    its own, so a test calls this itself.
    """

    shown, start = Event(), progress.Bar.start

    def started(bar):
        start(bar)
        shown.set()

    def prepared():
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        monkeypatch.setattr(progress, "_AFTER", 0.0)
        monkeypatch.setattr(progress.Bar, "start", started)
        monkeypatch.setenv("TERM", "xterm")
        return shown

    return prepared


def test_a_terminal_sees_the_step_even_if_no_other_step_follows(terminal, capsys):
    shown = terminal()
    with shown_steps():
        say_step("counting codes of [b]1[/b]")
        assert shown.wait(30)
    out, err = capsys.readouterr()

    assert out == ""
    assert "counting codes of [b]1[/b]" in err


def test_rows_of_one_step_add_up(terminal, capsys):
    shown = terminal()
    with shown_steps():
        assert shown.wait(30)
        for n_rows in (700, 500):
            say_step("counting groups", n_rows)
        counted_step("attackers", 3)(1)
        say_step("reading", 5)
        say_step("counting groups", 1200)
    err = capsys.readouterr().err

    assert "counting groups: 1,200 rows" in err


def test_what_ends_soon_and_what_no_terminal_sees_shows_nothing(monkeypatch, capsys):
    with shown_steps():
        say_step("counting codes")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with shown_steps():
        say_step("counting codes")

    assert capsys.readouterr() == ("", "")


def test_an_audit_on_a_terminal_shows_its_steps_beside_clean_json(
    terminal, command_line, tmp_path, monkeypatch
):
    from bitveil import audits

    shown = terminal()

    def slow(*args, **settings):
        assert shown.wait(30)
        return audit_table(*args, **settings)

    monkeypatch.setattr(audits, "audit_table", slow)
    table = pd.DataFrame({"sex": ["f", "m"], "a": [60, 50], "b": [40, 50]})
    table.to_csv(tmp_path / "counts.csv", index=False)
    words = ("audit", "--counts", tmp_path / "counts.csv", "--sensitive", "sex", "--json")
    code, out, err = command_line(*words)

    assert code == 0
    assert json.loads(out)["n_rows"] == 200
    assert "reading what the codes mean" in err or "training attackers" in err
