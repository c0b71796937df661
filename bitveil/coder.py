"""Coders: from a table to the frozen bits that are published."""

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn

from bitveil.batches import Rows
from bitveil.columns.table import Table
from bitveil.features import Features
from bitveil.frozen import Secret, freeze, frozen_uniforms, name_digests, row_digests
from bitveil.group_tables import GroupTables
from bitveil.layers import drawing_from
from bitveil.networks import network_digest
from bitveil.workers import one_thread

__all__ = ["Coder", "count_codes", "draw_names", "frozen_layers", "shown_rows"]

_BLANK_COIN = 2**32 - 2  # a layer that no network has, so that the coin differs from every bit


@dataclass(frozen=True)
class Coder:
    """A trained encoder, with the preparation of the table before it and the draws after it.

    Attributes:
        features: The fitted preparation of the table.
        encoder: The network from features to logits, in double precision.
        key: The secret key of the draws.
        n_bits: The number of bits.
        shape: The shape of a row's features.
        share: The probability that a row's code is published. The other rows stay blank.
    """

    features: Features
    encoder: nn.Module
    key: bytes
    n_bits: int
    shape: tuple[int, ...]
    share: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", Secret(self.key))  # nothing that prints it shows it

    def logits(self, table: Table, names: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The logits of the bits, with shape (n, m).

        Arguments:
            table: Rows that were read as the fitted ones.
            names: What decides the draws of each row: see `draw_names`. Logits depend on it only
                where the network has stochastic layers before the last.
        """

        if not len(table):
            return np.zeros((0, self.n_bits))
        with one_thread(), frozen_layers(self.encoder, names, self.key), torch.no_grad():
            features = torch.from_numpy(self.features.transform(table)).double()
            return self.encoder(features).numpy()

    def bits(self, table: Table, names: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What is published: the frozen bits, with shape (n, m).

        If some rows stay blank there is one column more, which is 1 where a row is blank. Then its
        bits are 0.
        """

        return self.published(self.logits(table, names), names)

    def published(
        self, logits: NDArray[np.float64], names: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """What is published of rows whose logits are known: see `bits`."""

        bits = freeze(expit(logits), names, self.key)
        if self.share == 1:
            return bits
        shown = shown_rows(names, self.key, self.share)[:, None]

        return np.hstack([bits * shown, ~shown]).astype(np.uint8)

    @property
    def digest(self) -> str:
        """A digest of the network and the key, which reveals neither."""

        network = network_digest(self.encoder)

        return hashlib.blake2b(network, key=self.key, digest_size=16).hexdigest()

    @property
    def columns(self) -> list[str]:
        """The names of the columns that are published."""

        return [f"bit{j}" for j in range(self.n_bits)] + ["blank"] * (self.share < 1)


def draw_names(table: Table, ids: Any) -> NDArray[np.uint8]:
    """The bytes that decide the draws of each row: from its id, or else from its content."""

    return row_digests(table) if ids is None else name_digests(ids, len(table))


def shown_rows(names: NDArray[np.uint8], key: bytes, share: float) -> NDArray[np.bool_]:
    """Whether the coin of each row publishes its code. It is frozen, like the bits.

    A row that is shown at one share is also shown at every larger one.

    Arguments:
        names: The bytes that decide the draws of each row.
        key: The secret key.
        share: The probability of each row.
    """

    return frozen_uniforms(names, 1, key, layer=_BLANK_COIN)[:, 0] < share


def frozen_layers(
    encoder: nn.Module, names: NDArray[np.uint8], key: bytes
) -> AbstractContextManager[None]:
    """Let the stochastic layers before the last draw frozen numbers, until the end of the block.

    Arguments:
        encoder: The network.
        names: The bytes that decide the draws of each row.
        key: The secret key.
    """

    return drawing_from(
        encoder,
        lambda layer: (
            lambda shape: torch.from_numpy(frozen_uniforms(names, shape[1], key, layer=layer + 1))
        ),
    )


@torch.no_grad()
def count_codes(
    encoder: nn.Module,
    share: float = 1.0,
    *,
    rows: Rows,
    names: NDArray[np.uint8],
    key: bytes,
    draws: str,
) -> GroupTables:
    """Count the codes of rows: what a certificate of this encoder reads.

    Arguments:
        encoder: The network from features to logits, in double precision.
        share: The share of the rows whose drawn codes are published. Below 1 the last column
            counts the blanks.
        rows: The rows, with their features.
        names: The bytes that decide the draws of each row.
        key: The secret key of the draws.
        draws: `"soft"` for expected counts, `"hard"` for the codes that are published.
    """

    with frozen_layers(encoder, names, key):
        logits = encoder(rows.x.double())
    if draws == "soft":
        return GroupTables.expected(logits, rows.strata, rows.s, rows.n_strata, rows.n_groups)
    packed = np.packbits(freeze(logits.sigmoid().numpy(), names, key), axis=1)
    codes, numbers = np.unique(packed, axis=0, return_inverse=True)
    numbered, c = torch.from_numpy(numbers.ravel()), len(codes)
    strata = rows.strata, rows.s, rows.n_strata, rows.n_groups
    if share < 1:
        shown = torch.from_numpy(shown_rows(names, key, share))
        return GroupTables.observed(torch.where(shown, numbered, c), *strata, c=c + 1)

    return GroupTables.observed(numbered, *strata, c=c, codes=torch.from_numpy(codes))
