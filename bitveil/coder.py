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
from bitveil.cells import Cells
from bitveil.codes import code_index
from bitveil.columns.table import Table
from bitveil.features import Features
from bitveil.frozen import Secret, freeze, frozen_uniforms, name_digests, row_digests
from bitveil.group_tables import GroupTables
from bitveil.layers import drawing_from
from bitveil.networks import network_digest
from bitveil.workers import one_thread

__all__ = [
    "Coder",
    "count_codes",
    "draw_names",
    "frozen_layers",
    "published_tables",
    "shown_rows",
]

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

    @property
    def certain(self) -> bool:
        """Whether a row has one code for certain: see `bitveil.cells`."""

        return isinstance(self.encoder, Cells)

    def logits(self, table: Table, names: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The logits of the bits, with shape (n, m).

        Arguments:
            table: Rows that were read as the fitted ones.
            names: What decides the draws of each row: see `draw_names`. Logits depend on it only
                where the network has stochastic layers before the last.
        """

        if not len(table):
            return np.zeros((0, self.n_bits))
        with one_thread():
            return self.logits_of(self.features.transform(table), names)

    def logits_of(self, x: NDArray[Any], names: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The logits of rows whose features are known: see `logits`.

        Arguments:
            x: The features, as `features.transform` gives them.
            names: What decides the draws of each row.
        """

        with one_thread(), frozen_layers(self.encoder, names, self.key), torch.no_grad():
            return self.encoder(torch.from_numpy(x).double()).numpy()

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

    def uniforms(self, names: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The uniform numbers of rows: one for each bit, and one for the coin if rows are blank.

        A bit is 1 where its number is less than its probability. A row is shown where its last
        number is less than `share`. The numbers are as secret as the key.
        """

        of_bits = frozen_uniforms(names, self.n_bits, self.key)
        if self.share == 1:
            return of_bits

        return np.hstack([of_bits, frozen_uniforms(names, 1, self.key, layer=_BLANK_COIN)])

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
        draws: `"hard"` for the codes that are published, `"soft"` or `"certain"` for expected
            counts.
    """

    with frozen_layers(encoder, names, key):
        logits = encoder(rows.x.double())
    if draws != "hard":
        return GroupTables.expected(logits, rows.strata, rows.s, rows.n_strata, rows.n_groups)
    packed = np.packbits(freeze(logits.sigmoid().numpy(), names, key), axis=1)
    codes, numbers = np.unique(packed, axis=0, return_inverse=True)
    numbered, c = torch.from_numpy(numbers.ravel()), len(codes)
    strata = rows.strata, rows.s, rows.n_strata, rows.n_groups
    if share < 1:
        shown = torch.from_numpy(shown_rows(names, key, share))
        return GroupTables.observed(torch.where(shown, numbered, c), *strata, c=c + 1)

    return GroupTables.observed(numbered, *strata, c=c, codes=torch.from_numpy(codes))


def published_tables(
    bits: NDArray[np.uint8],
    strata: NDArray[np.int64],
    groups: NDArray[np.int64],
    n_strata: int,
    k: int,
    *,
    n_bits: int,
    listed: bool,
) -> GroupTables:
    """The counts of published codes, in columns that are the same for all batches of rows.

    If rows may be blank, the last column counts those.

    Arguments:
        bits: What was published, as `Coder.bits` gives it.
        strata: The stratum of each row, or -1.
        groups: The group of each row.
        n_strata: The number of strata.
        k: The number of groups.
        n_bits: The number of bits of a code.
        listed: Whether there is a column for every code that is possible, and not only for those
            that occur.

    Example:
        >>> bits = np.array([[0, 1, 0], [0, 0, 1]], dtype=np.uint8)  # the second row is blank
        >>> none, groups = np.array([-1, -1]), np.array([0, 1])
        >>> published_tables(bits, none, groups, 0, 2, n_bits=2, listed=True).groups.long()
        tensor([[0, 1, 0, 0, 0],
                [0, 0, 0, 0, 1]])
    """

    cells = (torch.from_numpy(strata), torch.from_numpy(groups), n_strata, k)
    blanks = bits[:, n_bits:]
    if listed:
        numbers, c = code_index(torch.from_numpy(bits[:, :n_bits])), 2**n_bits
        if blanks.shape[1]:
            numbers, c = torch.where(torch.from_numpy(blanks[:, 0] == 1), c, numbers), c + 1
        return GroupTables.observed(numbers, *cells, c=c)

    packed = np.hstack([blanks, np.packbits(bits[:, :n_bits], axis=1)])  # the blank is last
    if blanks.shape[1]:
        blank = np.zeros((1, packed.shape[1]), dtype=np.uint8)
        blank[0, 0] = 1
        codes, places = np.unique(np.vstack([packed, blank]), axis=0, return_inverse=True)
        places = places.ravel()[:-1]
    else:
        codes, places = np.unique(packed, axis=0, return_inverse=True)
    listing = torch.from_numpy(codes)

    return GroupTables.observed(
        torch.from_numpy(places.ravel()), *cells, c=len(codes), codes=listing
    )
