"""Networks: how an estimator makes its encoder and its decoder, the user's own or ours."""

import hashlib
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bitveil.layers import conv_encoder, stochastic_layers, table_encoder
from bitveil.quotes import quoted
from bitveil.tasks import DecoderTask, Term, input_task, task_information

__all__ = ["Decoding", "Encoding", "network_digest"]


@dataclass(frozen=True)
class Encoding:
    """How encoders are made: as copies of a given one, or new for the shape of the features.

    Attributes:
        given: A network from features to the logits of the code, or None.
        shape: The shape of the features of one row.
        n_bits: The number of bits.
        hidden: The widths of the hidden layers of a perceptron.
        start: An encoder whose weights a new one starts with; None: random weights.

    Example:
        >>> Encoding(None, (5,), n_bits=3)(torch.Generator())(torch.zeros(2, 5)).shape
        torch.Size([2, 3])
    """

    given: nn.Module | None
    shape: tuple[int, ...]
    n_bits: int
    hidden: tuple[int, ...] = (64, 64)
    start: nn.Module | None = None

    def __call__(self, generator: torch.Generator) -> nn.Module:
        """An encoder, with initial weights from the generator."""

        encoder = self._new(generator)
        if self.start is not None:
            _copy_weights(encoder, self.start)

        return encoder

    def check(self, x: Tensor) -> None:
        """Refuse a given network that does not give the logits of a code.

        Raises:
            ValueError: If it is not a module, does not take such features, or gives another shape.
        """

        shape = _given_shape("encoder", self.given, x, "features")
        if shape != (len(x), self.n_bits):
            raise ValueError(
                f"`encoder` is expected to give logits of shape (n, n_bits) = ({len(x)}, "
                f"{self.n_bits}), got {shape}."
            )

    def _new(self, generator: torch.Generator) -> nn.Module:
        if self.given is not None:
            return _copied("encoder", self.given)
        if len(self.shape) > 1:
            return conv_encoder(self.shape, self.n_bits, generator=generator)

        return table_encoder(self.shape[0], self.n_bits, self.hidden, generator=generator)


@dataclass(frozen=True)
class Decoding:
    """How the task of a code is made: with its table as decoder, or with a network.

    Attributes:
        task: `"target"`, `"columns"` or `"reconstruction"`; or `"information"`, which needs no
            decoder.
        network: Whether a network decodes; otherwise the table does.
        given: A network from bits to the logits of the classes, followed by the numbers, or None.
        n_bits: The number of bits.
        n_outputs: The number of logits and numbers.
        hidden: The widths of the hidden layers of a perceptron.
        exact: Whether the loss of the network is the mean over all codes, and not over draws.
        start: A decoder whose weights a new one starts with; None: random weights.
        term: The task where the table decodes.
        n_columns: By how many columns a network's loss is divided.
    """

    task: str
    network: bool
    given: nn.Module | None
    n_bits: int
    n_outputs: int
    hidden: tuple[int, ...] = (64, 64)
    exact: bool = False
    start: nn.Module | None = None
    term: Term = task_information
    n_columns: int = 1

    def __call__(self, generator: torch.Generator) -> Term:
        """A task, whose initial weights and draws come from the generator."""

        if self.task == "information":
            return input_task
        if not self.network:
            return self.term

        return DecoderTask(
            self.decoder(generator),
            exact=self.exact,
            generator=generator,
            n_columns=self.n_columns,
        )

    def check(self) -> None:
        """Refuse a given network that does not give the outputs for the targets.

        Raises:
            ValueError: If it is not a module, does not take bits, or gives another shape.
        """

        if self.task == "information":
            raise ValueError("`decoder` has nothing to decode with `task='information'`.")
        shape = _given_shape("decoder", self.given, torch.zeros(2, self.n_bits), "bits")
        if shape != (2, self.n_outputs):
            raise ValueError(
                "`decoder` is expected to give the logits of the classes of each target, and one "
                f"number for each target of numbers: shape (n, {self.n_outputs}), got {shape}."
            )

    def decoder(self, generator: torch.Generator) -> nn.Module:
        """A decoder, with initial weights from the generator."""

        if self.given is not None:
            decoder = _copied("decoder", self.given)
        else:
            widths = self.n_bits, self.n_outputs, self.hidden
            decoder = table_encoder(*widths, generator=generator)
        if self.start is not None:
            _copy_weights(decoder, self.start)

        return decoder


def network_digest(network: Any) -> bytes:
    """Bytes that differ between networks with other layers, another order or other weights.

    They depend on the names of the network's types, its printed form and its tensors, but not on
    the code of your own modules.

    Example:
        >>> network_digest(nn.ReLU()) == network_digest(nn.Tanh())
        False
    """

    said = hashlib.sha256(repr(network).encode())
    if isinstance(network, nn.Module):
        said.update(repr([type(part).__qualname__ for part in network.modules()]).encode())
        for name, tensor in network.state_dict().items():
            said.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            said.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())

    return said.digest()


def _copied(name: str, given: Any) -> nn.Module:
    """A copy of the user's network, in single precision."""

    if not isinstance(given, nn.Module):
        raise ValueError(f"`{name}` expects a torch module, got {quoted(given)}.")

    return deepcopy(given).float()


def _given_shape(name: str, given: Any, x: Tensor, kind: str) -> tuple[int, ...] | str:
    """The shape of the output of the user's network, or its type if it is not a tensor."""

    network = _copied(name, given).eval()
    for layer in stochastic_layers(network):
        layer.generator = torch.Generator()
    try:
        with torch.no_grad():
            output = network(x)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"`{name}` does not take {kind} of shape {tuple(x.shape)}: {error}"
        ) from error

    return tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__


def _copy_weights(network: nn.Module, before: nn.Module) -> None:
    """Give a network the weights of another one of the same shape.

    Raises:
        ValueError: If the shapes differ.
    """

    kept = before.state_dict()
    shapes = {name: weight.shape for name, weight in network.state_dict().items()}
    if shapes != {name: weight.shape for name, weight in kept.items()}:
        raise ValueError(
            "`warm_start` expects a network of the same shape as before: the features, `n_bits` "
            "or `hidden` have changed. Fit again with `warm_start=False`."
        )
    network.load_state_dict(kept)
