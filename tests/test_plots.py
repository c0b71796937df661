"""Plots: every step stands where its numbers say, and what was certified shows by its shape."""

import math
import runpy
import sys

import numpy as np
import pytest

from bitveil import plots
from bitveil.estimators import InvariantEncoder
from bitveil.plots import MARKS, plot_path
from bitveil.search import Step
from builders import build

SAFE = Step(0.05, None, 0.20, 0.04, gap=0.04, score=0.7, certified=True)
USEFUL = Step(0.10, None, 0.30, 0.09, gap=0.09, score=0.8, certified=True)
LEAKY = Step(0.20, None, 0.40, 0.21, gap=0.21, score=0.9, certified=False)
UNASKED = Step(None, 1.0, 0.35, 0.15, gap=0.15, score=0.85)
PATH = [SAFE, USEFUL, LEAKY, UNASKED]


@pytest.fixture
def axes():
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")

    return figure.Figure().add_subplot()


def drawn(axes):
    """The marks of each name: their shape, and the places in order."""

    return {
        line.get_label(): (line.get_marker(), list(zip(*line.get_data(), strict=True)))
        for line in axes.lines
    }


def test_every_step_stands_at_its_gap_and_score(axes):
    plot_path(PATH, axes)

    assert {name: places for name, (_, places) in drawn(axes).items()} == {
        "certified": [(0.04, 0.7), (0.09, 0.8)],
        "not certified": [(0.21, 0.9)],
        "not tested": [(0.15, 0.85)],
    }


def test_shapes_and_not_only_colours_tell_them_apart(axes):
    plot_path(PATH, axes)
    shapes = [shape for shape, _ in drawn(axes).values()]
    named = [text.get_text() for text in axes.get_legend().get_texts()]

    assert len(set(shapes)) == 3
    assert all(line.get_linestyle() == "None" for line in axes.lines)
    assert named == list(drawn(axes)) == [name for name, _ in MARKS.values()]


def test_the_axes_say_what_they_are(axes):
    plot_path(PATH, axes)

    assert "gap" in axes.get_xlabel()
    assert "0 to 1" in axes.get_xlabel()
    assert "accuracy" in axes.get_ylabel()
    assert "selection" in axes.get_title()


def test_without_a_score_the_information_is_drawn_in_bits(axes):
    step = Step(None, 1.0, math.log(2), 0.1, gap=0.1, score=None)
    plot_path([step], axes)

    assert drawn(axes)["not tested"][1] == [(0.1, pytest.approx(1.0))]
    assert axes.get_ylabel() == "information (bits)"


def test_axes_are_made_where_none_are_given(axes):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    made, given = plot_path(PATH), plot_path(PATH, axes)

    assert drawn(made) == drawn(given)
    assert given is axes
    assert made is not axes
    pyplot.close(made.figure)


def test_the_path_of_a_fit_is_drawn(axes):
    rng = np.random.default_rng(0)
    X, s = rng.normal(size=(200, 2)), np.arange(200) % 2
    encoder = build(InvariantEncoder, 2, strength=1.0, features="raw", epochs=1, random_state=0)
    encoder.fit(X, X[:, 0] > 0, sensitive_features=s)
    plot_path(encoder.path_, axes)
    (step,) = encoder.path_

    assert drawn(axes) == {"not tested": ("^", [(step.gap, step.score)])}


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="got none"):
        plot_path([])


def test_a_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    anew = runpy.run_path(plots.__file__)  # the module itself does without

    with pytest.raises(ImportError, match=r"^`plot_path` needs matplotlib: `pip install"):
        anew["plot_path"]([SAFE])
