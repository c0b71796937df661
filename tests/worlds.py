"""Worlds with a known answer: logits of rows, their groups, and what the code reveals."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bitveil.audits import audit
from bitveil.batches import Batch


@dataclass(frozen=True)
class World:
    """Logits of rows, their groups, and the information of the whole code about these, in nats."""

    logits: Tensor
    groups: Tensor
    k: int
    information: float


def parity_trap(extra: int = 0, copies: int = 1) -> World:
    """T1 is a fair coin, and T2 is T1 xor S. One bit alone reveals nothing; both reveal S."""

    bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64).repeat(copies, 1)
    noise = torch.zeros(len(bits), extra, dtype=torch.float64)
    logits = torch.cat([400 * bits - 200, noise], 1)

    return World(logits, (bits[:, 0] != bits[:, 1]).long(), 2, math.log(2))


def noisy_copy(flip: float, extra: int = 0) -> World:
    """T1 is S, flipped with a probability: log 2 - h(flip) nats, with any number of coins."""

    logit = math.log((1 - flip) / flip)
    logits = torch.tensor([[-logit], [logit]], dtype=torch.float64)
    noise = torch.zeros(2, extra, dtype=torch.float64)
    entropy = -flip * math.log(flip) - (1 - flip) * math.log(1 - flip)

    return World(torch.cat([logits, noise], 1), torch.tensor([0, 1]), 2, math.log(2) - entropy)


def blind(n: int = 60, m: int = 5, k: int = 3) -> World:
    """The same rows in every group, which reveal nothing."""

    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(n, m, generator=generator, dtype=torch.float64).repeat(k, 1)

    return World(logits, torch.arange(k).repeat_interleave(n), k, 0.0)


def random_rows(
    n: int = 40, m: int = 5, k: int = 3, *, seed: int = 0, scale: float = 2.0
) -> tuple[Tensor, Tensor]:
    """Logits that lean on the group, and the groups. Each group has at least one row."""

    generator = torch.Generator().manual_seed(seed)
    groups = torch.cat([torch.arange(k), torch.randint(k, (n - k,), generator=generator)])
    lean = torch.randn(k, m, generator=generator, dtype=torch.float64)
    logits = scale * torch.randn(n, m, generator=generator, dtype=torch.float64) + lean[groups]

    return logits, groups


def audit_named(logits, s, y=None, **settings):
    """The audit of rows with different names, which uses expected counts."""

    return audit(None, s, y, logits=logits, ids=range(len(logits)), **settings)


def trap_batch():
    """A batch of the parity trap, whose target is the first bit."""

    world = parity_trap(copies=5)
    y = (world.logits[:, 0] > 0).long()

    return Batch.of_target(world.logits, y, world.groups, n_classes=2, n_groups=2)
