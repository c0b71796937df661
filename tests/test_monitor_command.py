"""`bitveil monitor`: periods from files of counts, exit codes, and what is refused."""

import json

import numpy as np
import pytest
import torch

from bitveil.group_tables import GroupTables
from bitveil.models import load
from bitveil.monitors import Monitor
from bitveil.tallies import Counted, CountedPart, Tally
from builders import table_of

COUNTED = Counted("an encoder", 1, 1.0, "soft", "independence", 0, ("f", "m"), (), ("sex",), None)


def counts(folder, name, apart=0.0, mark=1, n=5000, counted=COUNTED):
    """A file of counts of two groups whose gap is known."""

    table = torch.tensor([[0.5 + apart, 0.5 - apart], [0.5, 0.5]]).double() * n
    half = GroupTables.of(table)
    file = folder / f"{name}.counts"
    Tally(counted, half, half, parts=(CountedPart(name, 4 * n, mark),)).save(file)

    return file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, apart in enumerate((0.01, 0.01, 0.2)):
        counts(tmp_path, f"2026-0{number + 1}", apart, number)

    return tmp_path


def test_periods_join_a_folder_until_one_gives_an_alarm(command_line, folder):
    code, out, err = command_line("monitor", "m", "--add", "2026-01.counts", "--limit", "0.1")
    assert (code, err) == (0, "")
    assert "2026-01" in out
    assert "probability ≥ 0.95" in out

    code, out, _ = command_line("monitor", "m", "--add", "2026-02.counts", "--name", "February")
    assert code == 0
    assert "All 2 periods together" in out

    code, out, _ = command_line("monitor", "m", "--add", "2026-03.counts")
    assert code == 1
    assert "limit and drift" in out
    assert "2026-03: the largest gap of any classifier that sees the code is certainly" in out
    assert "the groups f and m have moved apart since 2026-03" in out
    assert "All 3 periods together" not in out
    assert Monitor.load("m").names == ["2026-01", "February", "2026-03"]


def test_json_and_a_drawing_say_the_same_of_a_folder_again(command_line, folder):
    for number in (1, 2, 3):
        words = ("--add", f"2026-0{number}.counts", "--limit", "0.1", "--delta", "0.1")
        command_line("monitor", "m", *words)
    code, out, _ = command_line("monitor", "m", "--json", "--plot", "m.svg")
    found, monitor = json.loads(out), Monitor.load("m")

    assert code == 1
    assert (found["schema"], found["limit"], found["delta"]) == ("bitveil.monitored/1", 0.1, 0.1)
    assert [period["alarm"] for period in found["periods"]] == [False, False, True]
    assert found["periods"] == json.loads(json.dumps([p.to_dict() for p in monitor.periods]))
    assert found["pooled"]["least"] == monitor.pooled().least
    assert (folder / "m.svg").read_text().startswith("<?xml")


def test_counts_of_an_encoder_go_in_and_those_of_another_do_not(command_line, place, people):
    for number in (2, 3):
        rows = table_of(people, seed=number)
        rows["person"] += f"-{number}"
        rows.to_csv(f"{number}.csv", index=False)
        words = ("count", "encoder", f"{number}.csv", "--id", "person", "-o", f"{number}.counts")
        assert command_line(*words)[0] == 0
    assert command_line("monitor", "m", "--add", "2.counts")[0] == 0
    code, out, _ = command_line("monitor", "m", "--add", "3.counts", "--json")
    periods = json.loads(out)["periods"]

    assert code == 0
    assert [period["name"] for period in periods] == ["2", "3"]
    assert [sum(period["sizes"]) for period in periods] == [400, 400]
    assert len(load("encoder").groups_) == len(periods[0]["sizes"])

    code, _, err = command_line("monitor", "m", "--add", counts(place, "other"))
    assert code == 2
    assert "differ in `encoder`" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("m", "--add", "2026-01.counts"), "already"),
        (("m", "--add", "2026-01.counts", "--name", "again"), "The same rows were counted twice"),
        (("m", "--add", "2026-02.counts", "--limit", "0.2"), "was begun with --limit 0.1"),
        (("m", "--add", "2026-02.counts", "--delta", "0.2"), "was begun with --delta 0.05"),
        (("m", "--add", "nothing.counts"), "no file"),
        (("m", "--add", "m/monitor.json"), "damaged"),
        (("m", "--name", "x"), "only with --add"),
        (("m", "--plot", "m.txt"), "ends in .svg"),
        (("m", "--plot", "m/plot.svg"), "would overwrite"),
        (("nowhere",), "is not a monitor"),
        ((".", "--add", "2026-02.counts"), "is no monitor"),
        (("new", "--add", "2026-02.counts", "--delta", "2"), "--delta expects"),
        (("new", "--add", "2026-02.counts", "--limit", "-1"), "--limit expects"),
    ],
)
def test_mistakes_give_one_line_and_change_nothing(command_line, folder, words, said):
    command_line("monitor", "m", "--add", "2026-01.counts", "--limit", "0.1")
    code, out, err = command_line("monitor", *words)

    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert Monitor.load("m").names == ["2026-01"]
    assert not (folder / "new").exists()


def test_a_period_without_a_group_is_refused_with_advice(command_line, folder):
    half = GroupTables.of(np.array([[5.0, 5.0], [0.0, 0.0]]))
    Tally(COUNTED, half, half, parts=(CountedPart("x", 20, 9),)).save("alone.counts")
    code, _, err = command_line("monitor", "m", "--add", "alone.counts")

    assert code == 2
    assert "alone.counts: The period 'alone' has no row of the group m" in err
    assert "bitveil merge" in err
    assert not (folder / "m").exists()


def test_a_picture_shows_bounds_limit_and_alarms(folder):
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    from bitveil.plots import plot_monitor

    monitor = Monitor(limit=0.1)
    for number in (1, 2, 3):
        monitor.add(f"2026-0{number}", Tally.load(f"2026-0{number}.counts"))
    axes = plot_monitor(monitor, figure.Figure().add_subplot())
    lines = axes.collections[0].get_segments()
    bounds = [(p.interval.least, p.interval.certificate.bound) for p in monitor.periods]

    np.testing.assert_allclose([(line[0, 1], line[1, 1]) for line in lines], bounds)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "between both bounds",
        "limit 0.1",
        "alarm",
    ]
    crosses = next(line for line in axes.lines if line.get_label() == "alarm")
    assert crosses.get_xdata().tolist() == [3]
    assert min(crosses.get_ydata()) > max(bounds)[1]
    with pytest.raises(ValueError, match="got none"):
        plot_monitor(Monitor())
