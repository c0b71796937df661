"""Resuming: a fit that was killed ends as one that was not; warm starts, and jobs beside."""

import os
import pickle
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from bitveil.batches import Rows
from bitveil.estimators import InvariantEncoder
from bitveil.layers import StochasticBinary, table_encoder
from bitveil.measures import Measure
from bitveil.models import InvariantClassifier, InvariantRegressor
from bitveil.objectives import Constrained, Weighted
from bitveil.tasks import DecoderTask, task_information
from bitveil.training import train
from builders import assert_equal_fits, changed, quick
from builders import leaning_rows as world

encoder = partial(quick, epochs=6, batch_size=100)


class Killed(BaseException):
    """What no `except Exception` catches, as a signal to the process."""


class Killer:
    """Lets some epochs pass, then kills the fit."""

    def __init__(self, epochs):
        self.left = epochs

    def __call__(self, epoch):
        self.left -= 1
        if self.left == 0:
            raise Killed


def interrupted(model, killed_after, X, y, s, folder, **given):
    """Fit with a checkpoint, killed after some epochs, and then again."""

    model.set_params(training__checkpoint=folder, training__after_epoch=Killer(killed_after))
    with pytest.raises(Killed):
        model.fit(X, y, sensitive_features=s, **given)
    seen = []
    model.set_params(training__after_epoch=seen.append)

    return model.fit(X, y, sensitive_features=s, **given), seen


# Fits that are killed


@pytest.mark.parametrize("killed_after", [1, 6])
def test_a_fit_that_was_killed_ends_as_one_that_was_not(tmp_path, killed_after):
    X, y, s = world()
    whole = encoder(strength=1.0).fit(X, y, sensitive_features=s)
    again, seen = interrupted(encoder(strength=1.0), killed_after, X, y, s, tmp_path)

    assert len(seen) == 6 - killed_after
    assert_equal_fits(again, whole, X)


@pytest.mark.parametrize("times", [5])
def test_a_fit_may_be_killed_more_than_once(tmp_path, times):
    X, y, s = world()
    whole = encoder(strength=1.0).fit(X, y, sensitive_features=s)
    model = encoder(strength=1.0, checkpoint=tmp_path)
    for _ in range(times):
        with pytest.raises(Killed):
            model.set_params(training__after_epoch=Killer(1)).fit(X, y, sensitive_features=s)
    model.set_params(training__after_epoch=None).fit(X, y, sensitive_features=s)

    assert_equal_fits(model, whole, X)


@pytest.mark.parametrize("killed_after", [6 + 6 + 3, 5 * 6])
def test_a_fit_for_a_goal_goes_on_in_the_encoder_where_it_was_killed(tmp_path, killed_after):
    X, y, s = world(1500)
    goal = {"max_gap": 0.5, "batch_size": 400}
    whole = encoder(**goal).fit(X, y, sensitive_features=s)
    again, seen = interrupted(encoder(**goal), killed_after, X, y, s, tmp_path)

    assert len(seen) == 5 * 6 - killed_after
    assert_equal_fits(again, whole, X)
    assert again.certificate_.bound == 0.5


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (InvariantClassifier, {"n_bits": 20}),  # drawn codes, and a decoder that sees draws
        (InvariantRegressor, {"n_bits": 20}),
        (InvariantClassifier, {"decoder": torch.nn.Linear(3, 2)}),
        (InvariantEncoder, {"task": "reconstruction"}),
        (InvariantEncoder, {"task": "information", "criterion": "separation"}),
        (InvariantClassifier, {"patience": 2, "epochs": 6, "learning_rate": 0.5}),
        (InvariantClassifier, {"precision": "64-true"}),
    ],
)
def test_whatever_is_fitted_goes_on_to_the_same_end(tmp_path, cls, settings):
    X, y, s = world()
    y = X[:, 0] if cls is InvariantRegressor else y
    whole = encoder(cls, **settings).fit(X, y, sensitive_features=s)
    again, _ = interrupted(encoder(cls, **settings), 2, X, y, s, tmp_path)

    assert_equal_fits(again, whole, X)


def test_layers_that_draw_go_on_with_their_draws(tmp_path):
    X, y, s = world()
    network = torch.nn.Sequential(torch.nn.Linear(2, 8), StochasticBinary(), torch.nn.Linear(8, 3))
    whole = encoder(encoder=network).fit(X, y, sensitive_features=s)
    again, _ = interrupted(encoder(encoder=network), 3, X, y, s, tmp_path)

    assert_equal_fits(again, whole, X)


def test_weights_of_rows_and_unlabelled_rows_go_on_too(tmp_path):
    X, y, s = world()
    rng = np.random.default_rng(0)
    weights, y = rng.random(400), np.where(rng.random(400) < 0.3, np.nan, y)
    settings = {"missing_target": "unlabelled", "strength": 1.0}
    whole = encoder(**settings).fit(X, y, sensitive_features=s, sample_weight=weights)
    again, _ = interrupted(encoder(**settings), 3, X, y, s, tmp_path, sample_weight=weights)

    assert_equal_fits(again, whole, X)


_VICTIM = """
import os, signal, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, os.path.dirname({file!r}))
from test_resume import encoder, world

left = 4
def die(epoch):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

X, y, s = world()
encoder(strength=1.0, checkpoint={folder!r}, after_epoch=die).fit(X, y, sensitive_features=s)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_process_that_was_killed_leaves_what_another_goes_on_from(tmp_path):
    X, y, s = world()
    victim = _VICTIM.format(file=__file__, folder=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", victim], env=dict(os.environ), timeout=120)
    seen = []
    again = encoder(strength=1.0, checkpoint=tmp_path, after_epoch=seen.append)
    again.fit(X, y, sensitive_features=s)

    assert ended.returncode == -signal.SIGKILL
    assert len(seen) == 2
    assert_equal_fits(again, encoder(strength=1.0).fit(X, y, sensitive_features=s), X)


def test_a_fit_that_was_not_killed_is_not_changed_by_its_checkpoint(tmp_path):
    X, y, s = world()
    plain = encoder().fit(X, y, sensitive_features=s)

    assert_equal_fits(encoder(checkpoint=tmp_path).fit(X, y, sensitive_features=s), plain, X)
    assert_equal_fits(encoder(checkpoint=str(tmp_path)).fit(X, y, sensitive_features=s), plain, X)


# Checkpoints of another fit


@pytest.mark.parametrize(
    "settings",
    [
        {"random_state": 1},
        {"epochs": 7},
        {"strength": 2.0},
        {"hidden": (9,)},
        {"measure": "mutual_information"},
        {"criterion": "separation"},
        {"learning_rate": 0.02},
        {"batch_size": 101},
        {"max_gap": 0.9, "strength": None},
    ],
)
def test_the_checkpoint_of_other_settings_is_refused(tmp_path, settings):
    X, y, s = world()
    fitted = encoder(strength=1.0, checkpoint=tmp_path).fit(X, y, sensitive_features=s)

    with pytest.raises(ValueError, match=r"belongs to another fit.*name another folder"):
        changed(fitted, **settings).fit(X, y, sensitive_features=s)


@pytest.mark.parametrize("changed", ["X", "y", "s", "order", "weights", "fewer"])
def test_the_checkpoint_of_other_rows_is_refused(tmp_path, changed):
    X, y, s = world()
    encoder(checkpoint=tmp_path).fit(X, y, sensitive_features=s)
    weights = None
    if changed == "X":
        X[7, 1] += 1e-9
    elif changed == "y":
        y[7] = 1 - y[7]
    elif changed == "s":
        s[7] = 1 - s[7]
    elif changed == "order":
        X, y, s = X[::-1], y[::-1], s[::-1]
    elif changed == "fewer":
        X, y, s = X[:-1], y[:-1], s[:-1]
    else:
        weights = np.linspace(1, 2, 400)

    with pytest.raises(ValueError, match="belongs to another fit"):
        encoder(checkpoint=tmp_path).fit(X, y, sensitive_features=s, sample_weight=weights)


def test_what_does_not_change_the_training_may_change(tmp_path):
    X, y, s = world()
    fitted = encoder(checkpoint=tmp_path).fit(X, y, sensitive_features=s)
    seen = []
    other = encoder(checkpoint=tmp_path, key=b"another secret key", after_epoch=seen.append)

    assert not seen
    np.testing.assert_array_equal(
        other.fit(X, y, sensitive_features=s).logits(X), fitted.logits(X)
    )


NETWORK = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


@pytest.mark.parametrize("part", ["layers", "weights", "none", "decoder"])
def test_a_checkpoint_of_another_network_is_refused(tmp_path, part):
    X, y, s = world()
    encoder(encoder=NETWORK, checkpoint=tmp_path).fit(X, y, sensitive_features=s)
    torch.manual_seed(0)
    others = {
        "layers": {"encoder": torch.nn.Sequential(NETWORK[0], torch.nn.Tanh(), NETWORK[2])},
        "weights": {"encoder": torch.nn.Sequential(NETWORK[0], NETWORK[1], torch.nn.Linear(8, 3))},
        "none": {"encoder": None},
        "decoder": {"encoder": NETWORK, "decoder": torch.nn.Linear(3, 2)},
    }

    with pytest.raises(
        ValueError, match="belongs to another fit, with other rows, settings or net"
    ):
        encoder(**others[part], checkpoint=tmp_path).fit(X, y, sensitive_features=s)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"fit": 1}', "\udcff", "[" * 100_000])
def test_a_damaged_mark_is_refused_with_what_to_do(tmp_path, content):
    X, y, s = world()
    (tmp_path / "fit.json").write_bytes(content.encode(errors="surrogateescape"))

    with pytest.raises(ValueError, match=r"fit\.json is damaged.*Remove the folder"):
        encoder(checkpoint=tmp_path).fit(X, y, sensitive_features=s)


def test_a_damaged_state_is_refused_with_its_file(tmp_path):
    X, y, s = world()
    encoder(checkpoint=tmp_path).fit(X, y, sensitive_features=s)
    (file,) = tmp_path.glob("*.pt")
    file.write_bytes(file.read_bytes()[:500])

    with pytest.raises(ValueError, match=rf"{file} is damaged, or .*Remove it"):
        encoder(checkpoint=tmp_path).fit(X, y, sensitive_features=s)


# The loop alone


def rows(n=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=generator)
    s = torch.randint(2, (n,), generator=generator)

    return Rows.of_target(x, (x[:, 0] + 0.3 * s > 0).long(), s, n_classes=2, n_groups=2)


def trained(objective, file=None, killed_after=None, held_out=True, epochs=7, seed=1):
    """Train anew, or from the file; the weights of encoder and objective, and the history."""

    generator = torch.Generator().manual_seed(seed)
    network = table_encoder(2, 3, (8,), generator=generator)
    made = objective(generator)
    history = train(
        network,
        made,
        rows(),
        rows(200, seed=1) if held_out else None,
        epochs=epochs,
        batch_size=100,
        generator=generator,
        after_epoch=None if killed_after is None else Killer(killed_after),
        checkpoint=file,
    )

    return {**network.state_dict(), **made.state_dict()}, history, generator.get_state()


OBJECTIVES = {
    "weighted": lambda g: Weighted(task_information, Measure(), strength=1.0),
    "constrained": lambda g: Constrained(task_information, Measure(), limit=0.1),
    "decoder": lambda g: Constrained(
        DecoderTask(table_encoder(3, 2, (4,), generator=g), exact=False, generator=g),
        Measure("mutual_information", engine="sampled", n_draws=50, generator=g),
        limit=0.01,
    ),
}


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("killed_after", [1, 5])
def test_training_goes_on_from_its_file(tmp_path, name, held_out, killed_after):
    make, file = OBJECTIVES[name], tmp_path / "state.pt"
    weights, history, generator = trained(make, held_out=held_out)
    with pytest.raises(Killed):
        trained(make, file, killed_after, held_out)
    resumed, so_far, its_generator = trained(make, file, held_out=held_out, seed=99)

    assert so_far == history
    assert torch.equal(its_generator, generator)
    assert all(torch.equal(resumed[name], weight) for name, weight in weights.items())


def test_a_training_that_is_over_is_not_trained_again(tmp_path):
    file = tmp_path / "state.pt"
    weights, history, _ = trained(OBJECTIVES["weighted"], file)
    again, told, _ = trained(OBJECTIVES["weighted"], file, killed_after=1)

    assert told == history
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())


def test_the_state_of_another_network_is_refused(tmp_path):
    file = tmp_path / "state.pt"
    trained(OBJECTIVES["weighted"], file)

    with pytest.raises(ValueError, match=r"(?s)is from another training .*Remove it"):
        trained(OBJECTIVES["decoder"], file)


def without(name):
    return lambda kept: {n: part for n, part in kept.items() if n != name}


def holding(name, part):
    return lambda kept: kept | {name: part}


@pytest.mark.parametrize(
    "change",
    [
        *map(
            without, ["model", "optimizer", "schedule", "generator", "epochs", "best", "weights"]
        ),
        *(holding(name, 7) for name in ("model", "optimizer", "schedule", "generator", "epochs")),
        holding("optimizer", {"state": 1, "param_groups": 2}),
        holding("schedule", {}),
        holding("epochs", [(1.0,)]),
        holding("epochs", [("a",) * 6]),
        holding("best", 99),
        holding("merit", "low"),
        holding("weights", {"0.weight": torch.zeros(1)}),
        lambda kept: [kept],
        lambda kept: torch.zeros(3),
    ],
)
def test_a_state_that_lacks_a_part_is_refused_with_its_file(tmp_path, change):
    file = tmp_path / "state.pt"
    trained(OBJECTIVES["weighted"], file)
    torch.save(change(torch.load(file)), file)

    with pytest.raises(ValueError, match=rf"(?s){file} is .*Remove it"):
        trained(OBJECTIVES["weighted"], file)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "zip", "code", "flipped"])
def test_a_file_that_is_no_state_is_refused_with_its_name(tmp_path, damage):
    file = tmp_path / "state.pt"
    trained(OBJECTIVES["weighted"], file)
    content = file.read_bytes()
    contents = {
        "empty": b"",
        "text": b"hello",
        "cut": content[: len(content) // 2],
        "zip": b"PK\x05\x06" + bytes(18),
        "code": pickle.dumps(Killer(1)),
        "flipped": content[:-40] + bytes(40),
    }
    file.write_bytes(contents[damage])

    with pytest.raises(ValueError, match=rf"{file} is damaged, or .*Remove it"):
        trained(OBJECTIVES["weighted"], file)


def test_nothing_but_the_state_is_left_beside(tmp_path):
    trained(OBJECTIVES["weighted"], tmp_path / "state.pt")

    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
