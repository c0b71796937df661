"""Several processes train what one would: the same gradient and encoder, or a clear error."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bitveil import InvariantClassifier, Training
from bitveil.batches import Rows
from bitveil.layers import StochasticBinary, table_encoder
from bitveil.measures import Measure
from bitveil.objectives import Constrained, Weighted
from bitveil.processes import in_team
from bitveil.shared_batches import shared_batch
from bitveil.tasks import DecoderTask, input_task, task_information, task_usefulness
from bitveil.teams import LostProcessError
from bitveil.training import train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it needs a launcher")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def world(n=101, seed=0, *, weighted=False, unknown=False, numbers=False, dtype=torch.float64):
    """Rows ordered by group, so that the first of two processes sees one group alone."""

    generator = seeded(seed)
    s = torch.randint(2, (n,), generator=generator).sort().values
    x = torch.randn(n, 2, generator=generator, dtype=dtype) + s.unsqueeze(1)
    y = (x[:, 0] > 0.8).long()
    if unknown:
        y[-n // 4 :] = -1
    weights = torch.rand(n, generator=generator) + 0.5 if weighted else None
    rows = Rows.of_target(x, y, s, n_classes=2, n_groups=2, weights=weights)
    gaps = torch.where(x > 0, x, torch.nan)  # each column has its own gaps

    return replace(rows, values=gaps) if numbers else rows


def network(seed=0, bits=3, *, deep=False):
    generator = seeded(seed)
    if not deep:
        return table_encoder(2, bits, (16,), generator=generator)
    inner = table_encoder(2, 4, (), generator=generator)
    last = table_encoder(4, bits, (), generator=generator)
    return nn.Sequential(inner, StochasticBinary(generator=generator), last)


@in_team
def loss_and_gradient(make, rows, *, devices=1, device="cpu", team=None, deep=False):
    """The loss of the rows and the gradient of all networks, in double precision."""

    encoder, objective = network(deep=deep).double(), make(seeded(7)).double()
    batch = rows.batch(encoder) if team is None else shared_batch(rows, encoder, team)
    loss = objective(batch).loss
    parameters = [*encoder.parameters(), *objective.parameters()]
    (loss if team is None else loss / team.size).backward()
    if team is not None:
        team.add_gradients(parameters)
    noise = objective.noise(batch)

    return torch.cat([loss.detach()[None], noise, *(p.grad.flatten() for p in parameters)])


def weighted_sum(task, **measure):
    def make(generator):
        return Weighted(task, Measure(generator=generator, **measure), strength=0.7)

    return make


def with_decoder(*, exact=True, outputs=2):
    def make(generator):
        decoder = table_encoder(3, outputs, (8,), generator=seeded(3))
        task = DecoderTask(decoder, exact=exact, generator=generator)
        return Weighted(task, Measure(), strength=0.7)

    return make


CASES = {
    "tables": (weighted_sum(task_information), {}),
    "usefulness and the worst stratum": (
        weighted_sum(task_usefulness, criterion="separation"),
        {},
    ),
    "weights": (weighted_sum(task_information), {"weighted": True}),
    "unknown targets": (
        weighted_sum(task_information, reading="mutual_information", criterion="separation"),
        {"unknown": True, "weighted": True},
    ),
    "numbers": (weighted_sum(task_information), {"numbers": True, "weighted": True}),
    "neurons": (weighted_sum(task_information, reading="neuron_information"), {}),
    "rows as targets": (weighted_sum(input_task), {"weighted": True}),
    "a decoder of all codes": (with_decoder(), {}),
    "a decoder of draws": (with_decoder(exact=False), {"weighted": True}),
    "a decoder of numbers": (with_decoder(exact=False, outputs=4), {"numbers": True}),
    "drawn codes": (
        weighted_sum(task_information, reading="mutual_information", engine="sampled"),
        {"weighted": True},
    ),
    "drawn distances": (
        weighted_sum(task_information, engine="sampled", criterion="separation", n_draws=31),
        {"unknown": True},
    ),
    "a limit": (lambda _: Constrained(task_information, Measure(), limit=0.1), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_two_processes_have_the_loss_and_the_gradient_of_one(name):
    make, kind = CASES[name]
    one, two = (loss_and_gradient(make, world(**kind), devices=n) for n in (1, 2))

    assert (one[3:] != 0).any()
    assert (one - two).norm() <= 1e-6 * one.norm()
    torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9)


def test_layers_that_draw_give_each_row_the_bits_that_one_process_gives():
    make = weighted_sum(task_information)
    one, two = (loss_and_gradient(make, world(), devices=n, deep=True) for n in (1, 2))

    torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_process_may_have_few_rows_or_none(n):
    make = weighted_sum(task_information, engine="sampled", reading="mutual_information")
    one, three = (loss_and_gradient(make, world(n), devices=k) for k in (1, 3))

    torch.testing.assert_close(three, one, rtol=1e-6, atol=1e-9)


# A whole training


def trained(devices, **settings):
    encoder, generator = network(), seeded(1)
    objective = Weighted(task_information, Measure(), strength=0.5)
    rows, others = world(401, dtype=torch.float32), world(101, seed=1, dtype=torch.float32)
    settings = {"epochs": 4, "batch_size": 150, **settings}
    history = train(
        encoder, objective, rows, others, generator=generator, devices=devices, **settings
    )

    return torch.cat([p.flatten() for p in encoder.parameters()]), history, generator


def test_two_processes_train_the_encoder_of_one():
    one, history, after = trained(1)
    two, again, also_after = trained(2)

    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)
    assert again.best == history.best
    assert again.epochs[-1].loss == pytest.approx(history.epochs[-1].loss, abs=1e-4)
    assert torch.equal(after.get_state(), also_after.get_state())


def test_the_same_seed_gives_the_same_bits():
    assert torch.equal(trained(2)[0], trained(2)[0])


def test_an_interrupted_training_continues_in_several_processes(tmp_path):
    def interrupt(epoch):
        seen.append(epoch)
        if len(seen) == 2:
            raise KeyboardInterrupt

    seen, whole = [], trained(2)
    with pytest.raises(KeyboardInterrupt):
        trained(2, checkpoint=tmp_path / "state.pt", after_epoch=interrupt)
    again = trained(2, checkpoint=tmp_path / "state.pt", after_epoch=seen.append)

    assert torch.equal(again[0], whole[0])
    assert seen == again[1].epochs
    assert list(tmp_path.iterdir()) == [tmp_path / "state.pt"]


def people(n=300):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    return X, (X[:, 0] > 0).astype(int), (X[:, 1] > 0).astype(int)


def fitted(devices, **settings):
    X, y, s = people()
    training = Training(hidden=(8,), epochs=3, batch_size=100, devices=devices)
    settings = {"strength": 0.3, "features": "raw", "random_state": 0, **settings}
    model = InvariantClassifier(3, training=training, **settings)
    return model.fit(X, y, sensitive_features=s)


@pytest.mark.parametrize(
    "settings", [{}, {"strength": None, "max_gap": 0.5}], ids=["weight", "goal"]
)
def test_a_plain_fit_starts_the_processes_itself(settings):
    """It is this process that goes on: nothing is pickled, and no script runs twice."""

    one, two = fitted(1, **settings), fitted(2, **settings)

    X = people()[0]
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-2)
    assert two.coder_.key == one.coder_.key
    assert not torch.distributed.is_initialized()


# Launchers

SCRIPT = """
import atexit, hashlib, os, sys
import numpy as np


@atexit.register  # before bitveil is there, so that it runs after all that bitveil registers
def see_what_is_left():
    folder = "/proc/self/task"
    names = [open(f"{folder}/{task}/comm").read() for task in os.listdir(folder)]
    if any("gloo_runloop" in name for name in names):
        os._exit(3)  # if such a thread needs Python when it is gone, the process aborts


from bitveil import InvariantClassifier, Training

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 3))
y, s = (X[:, 0] > 0).astype(int), (X[:, 1] > 0).astype(int)
seen = []


def fit(devices=2, random_state=0, X=X, **settings):
    training = Training(
        devices=devices, strategy="ddp", hidden=(8,), epochs=2, after_epoch=seen.append, **settings
    )
    model = InvariantClassifier(
        3, features="raw", max_gap=0.6, training=training, random_state=random_state
    )
    return model.fit(X, y, sensitive_features=s)


def refused(**settings):
    try:
        fit(**settings)
    except ValueError as error:
        return str(error)


rank = int(os.environ["RANK"])
model = fit(checkpoint=sys.argv[1])
digest = hashlib.sha256(repr(model.coder_.key).encode() + str(model.certificate_).encode())
for tensor in model.coder_.encoder.state_dict().values():
    digest.update(tensor.numpy().tobytes())
epochs = len(seen)
errors = [refused(devices=3), refused(random_state=None), refused(X=X + rank)]
with open(f"{sys.argv[1]}-{rank}", "w") as file:
    print(digest.hexdigest(), epochs, *errors, sep="\\n", file=file)
"""


def test_torchrun_starts_it_and_every_process_ends_with_the_same_encoder(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "script.py"]
    source = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, *words, "kept"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not done.returncode, done.stderr
    first, second = ((tmp_path / f"kept-{rank}").read_text().splitlines() for rank in (0, 1))

    assert first[0] == second[0]
    assert int(first[1]) > 0
    assert int(second[1]) == 0  # callbacks and files belong to the first process
    for errors in (first[2:], second[2:]):
        assert "2 processes were started" in errors[0]
        assert "whole number as `random_state`" in errors[1]
        assert "same data and the same `random_state`" in errors[2]


# What goes wrong


@in_team
def failing(fail, *, devices=1, device="cpu", team=None):
    """The first process waits for the second, which fails."""

    if team.rank:
        fail()
    return team.add(torch.ones(1))


def test_a_killed_process_is_an_error_that_says_so():
    with pytest.raises(LostProcessError, match=r"Process 1 of the 2 .* was ended by signal 9"):
        failing(lambda: os.kill(os.getpid(), signal.SIGKILL), devices=2)


def test_the_error_of_another_process_is_the_error():
    def fail():
        raise ValueError("These logits are not finite.")

    with pytest.raises(ValueError, match="These logits are not finite"):
        failing(fail, devices=2)


def test_no_process_is_left_after_an_error():
    def fail(_):
        raise ZeroDivisionError

    before = set(torch.multiprocessing.active_children())  # joblib keeps some of its own
    with pytest.raises(ZeroDivisionError):
        trained(2, after_epoch=fail)
    assert not set(torch.multiprocessing.active_children()) - before


@in_team
def unlike(*, devices=1, device="cpu", team=None):
    rows = world(50, seed=team.rank, dtype=torch.float32)
    objective = Weighted(task_information, Measure(), strength=0.5)
    train(network(), objective, rows, generator=seeded(0), epochs=1, team=team)


def test_processes_with_other_rows_are_refused():
    with pytest.raises(ValueError, match="the same data and the same `random_state`"):
        unlike(devices=2)


def test_layers_that_normalise_over_a_batch_are_refused():
    encoder = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    objective = Weighted(task_information, Measure(), strength=0.5)
    with pytest.raises(ValueError, match="BatchNorm1d normalises over the rows of a batch"):
        train(encoder, objective, world(), generator=seeded(0), devices=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"devices": 0}, "`devices` expects a whole number from 1 on, got 0"),
        ({"devices": 1.5}, "`devices` expects a whole number"),
        ({"devices": True}, "`devices` expects a whole number"),
        ({"strategy": "fsdp"}, "`strategy` expects one of"),
        ({"strategy": "ddp"}, "trains by several processes, got `devices=1`"),
    ],
)
def test_settings_are_checked(settings, said):
    with pytest.raises(ValueError, match=said):
        Training(**settings).check()


def test_an_accelerator_needs_a_launcher_and_random_numbers_a_source():
    with pytest.raises(ValueError, match="torchrun --nproc-per-node 2"):
        trained(2, device="cuda")
    with pytest.raises(ValueError, match="needs a `generator`"):
        train(
            network(),
            Weighted(task_information, Measure(), strength=0.5),
            world(dtype=torch.float32),
            devices=2,
        )
