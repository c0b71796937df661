"""Network: an encoder as an ONNX file, without the features before it.

The file does not hold the keyed hash of the frozen draws either. The model takes the draws as a
second input, so that anyone with the key can make the same bits elsewhere.

If an encoder leaves rows blank (`share_` below 1), the coin that decides which is not in the file
either. `bitveil.coder.shown_rows` says which rows it shows: only their bits may be published.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bitveil.exports.wires import OPERATORS
from bitveil.staging import staged

__all__ = ["check_packages", "network_program", "to_onnx", "try_file"]

_CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5}  # how far probabilities may differ


def to_onnx(
    encoder: nn.Module,
    path: str | os.PathLike[str],
    *,
    n_inputs: int | None = None,
    example: Tensor | None = None,
    draws: bool = True,
) -> None:
    """Write an encoder as an ONNX model, for any number of rows at a time.

    The inputs are `features`, as the encoder takes them, and `uniforms`, with shape (n, m), in
    double precision. The outputs are `probabilities`, with shape (n, m), in double precision, and
    `bits`, with shape (n, m), as whole numbers of 8 bits. A bit is 1 where its uniform number is
    less than its probability, as in `bitveil.frozen.freeze`. With the uniform numbers of
    `bitveil.frozen.frozen_uniforms` these are the frozen bits. The coin that leaves rows blank is
    not in the file: see the module.

    The probabilities agree with those of torch up to rounding: 1e-12 in double precision, 1e-5 for
    an encoder of float32. A bit differs only if its uniform number lies between the two. Before
    the file appears, onnxruntime runs the model on the example and the two are compared.

    onnxruntime has no convolution in double precision on a CPU. There a convolution is written as
    products of shifted inputs, one for each place of the kernel.

    Arguments:
        encoder: A module from features to logits, such as `encoder_` of a fitted estimator. It
            does not change: the file holds a copy for evaluation on a CPU.
        path: The path of the file. An existing file is replaced.
        n_inputs: The number of features, if a row is a vector.
        example: Otherwise some rows of features, which give the shape and the dtype.
        draws: Whether there are `uniforms` and `bits`. Never publish probabilities.

    Raises:
        ImportError: If onnx, onnxruntime or onnxscript is not installed, or torch is too old.
        ValueError: If not exactly one of `n_inputs` and `example` is given, the encoder gives no
            logits for the example, or onnxruntime cannot run the model.

    Example:
        >>> to_onnx(nn.Linear(3, 2), "encoder.onnx")
        Traceback (most recent call last):
        ValueError: `to_onnx` expects either `n_inputs` or `example`, got neither.
    """

    model = _Drawing(deepcopy(encoder).cpu().eval(), draws=draws).requires_grad_(False)
    features = _example_rows(model, n_inputs, example)
    inputs = _model_inputs(model, features)
    check_packages()
    program = _program(model, inputs)
    expected = model(*inputs)[0]
    names = ("features", "uniforms")[: len(inputs)]
    fed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}

    with staged(path, overwrite=True) as file:
        program.save(file)
        try_file(file, fed, expected.numpy(), _CLOSE.get(features.dtype, 1e-2))


def network_program(encoder: nn.Module, example: Tensor) -> Any:
    """A program from `features` to `probabilities`, for any number of rows at a time.

    Arguments:
        encoder: A module from features to logits. It does not change.
        example: Some rows of features.
    """

    model = _Drawing(deepcopy(encoder).cpu().eval(), draws=False).requires_grad_(False)

    return _program(model, _model_inputs(model, _example_rows(model, None, example)))


def try_file(
    file: Path, fed: Mapping[str, NDArray[Any]], expected: NDArray[Any], close: float
) -> None:
    """Run a file on some rows, and on the first alone.

    Arguments:
        file: The file.
        fed: What each input gets.
        expected: The probabilities that it must give.
        close: How far they may be off.

    Raises:
        ValueError: If onnxruntime cannot run it, or gives other probabilities.
    """

    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1  # threads that wait would spin
    try:
        session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no other base class
        raise ValueError(
            f"onnxruntime cannot run this encoder: {error}. Where it lacks an operation in double "
            "precision, export `encoder.float()` with an example of float32; its probabilities "
            "are then rounded to about 1e-7."
        ) from error
    for rows in (slice(None), slice(1)):
        some = {name: values[rows] for name, values in fed.items()}
        apart = np.abs(session.run(["probabilities"], some)[0] - expected[rows]).max()
        if not apart <= close:
            raise ValueError(
                f"The probabilities of onnxruntime and torch are {apart:.1e} apart, so the "
                "model is not written. Does the encoder draw, or depend on other rows?"
            )


class _Drawing(nn.Module):
    """An encoder, followed by the rule of the frozen draws."""

    def __init__(self, encoder: nn.Module, *, draws: bool) -> None:
        super().__init__()
        self.encoder, self.draws = encoder, draws

    def forward(self, features: Tensor, uniforms: Tensor | None = None) -> tuple[Tensor, ...]:
        probabilities = self.encoder(features).double().sigmoid()
        if uniforms is None:
            return (probabilities,)

        return probabilities, (uniforms < probabilities).to(torch.uint8)


def check_packages() -> None:
    """Refuse to go on without the packages that write and check ONNX."""

    for name in ("onnx", "onnxruntime", "onnxscript"):
        try:
            import_module(name)
        except ImportError as error:
            raise ImportError(
                f"`to_onnx` needs {name}, which cannot be imported ({error}). Install the "
                "packages that write and check ONNX: `pip install onnx onnxruntime onnxscript`."
            ) from error
    if not hasattr(torch.onnx.ONNXProgram, "rename_axes"):
        raise ImportError(f"`to_onnx` needs torch 2.11 or newer, got {torch.__version__}.")


def _example_rows(model: _Drawing, n_inputs: int | None, example: Tensor | None) -> Tensor:
    """At least two rows, because torch would treat a single row as a fixed size."""

    if (n_inputs is None) == (example is None):
        raise ValueError(
            "`to_onnx` expects either `n_inputs` or `example`, got "
            f"{'neither' if n_inputs is None else 'both'}."
        )
    if example is None:
        dtype = next((p.dtype for p in model.parameters()), torch.get_default_dtype())
        return torch.linspace(-2, 2, 4 * (n_inputs or 0), dtype=dtype).view(4, -1)
    if example.ndim < 2 or not len(example):
        raise ValueError(
            "`example` expects rows of features, with at least two dimensions and one row, got "
            f"shape {tuple(example.shape)}."
        )

    return example.detach().cpu() if len(example) > 1 else torch.cat([example.detach().cpu()] * 2)


def _model_inputs(model: _Drawing, features: Tensor) -> tuple[Tensor, ...]:
    """The inputs of the model: the features, and a uniform number for each bit."""

    shape = model(features)[0].shape
    if len(shape) != 2 or shape[0] != len(features):
        raise ValueError(
            f"`encoder` is expected to give logits of shape (n, m), got shape {tuple(shape)} for "
            f"{len(features)} rows."
        )
    if not model.draws:
        return (features,)
    middle = (torch.arange(shape.numel(), dtype=torch.float64) + 0.5) / shape.numel()

    return features, middle.view(shape)


def _program(model: _Drawing, inputs: tuple[Tensor, ...]) -> Any:
    """The ONNX program, for any number of rows."""

    with _quiet():
        program = _exported(model, inputs)
    program.rename_axes({program.model.graph.inputs[0].shape[0]: "n"})

    return program


def _exported(model: _Drawing, inputs: tuple[Tensor, ...]) -> Any:
    rows = torch.export.Dim("n")
    exported = torch.export.export(model, inputs, dynamic_shapes=({0: rows},) * len(inputs))
    if any(p.dtype == torch.float64 for p in model.parameters()):
        table = torch.export.default_decompositions()
        table[torch.ops.aten.convolution.default] = _summed_convolution
        exported = exported.run_decompositions(table)

    return torch.onnx.export(
        exported,
        dynamo=True,
        verbose=False,
        opset_version=OPERATORS[""],
        input_names=["features", "uniforms"][: len(inputs)],
        output_names=["probabilities", "bits"][: len(inputs)],
    )


def _summed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """A convolution as a sum over the places of the kernel, each times its part of the input."""

    if transposed:
        return NotImplemented
    kernel = weight.shape[2:]
    x = F.pad(x, [width for width in reversed(padding) for _ in range(2)])
    x, weight = x.unflatten(1, (groups, -1)), weight.unflatten(0, (groups, -1)).flatten(3)
    products = []
    for number, place in enumerate(product(*map(range, kernel))):
        met = x
        axes = zip(place, kernel, stride, dilation, strict=True)
        for axis, (offset, size, step, gap) in enumerate(axes, start=3):
            stop = met.shape[axis] - (size - 1 - offset) * gap
            before: tuple[Any, ...] = (slice(None),) * axis
            met = met[(*before, slice(offset * gap, stop, step))]
        products.append(torch.einsum("goi,ngi...->ngo...", weight[..., number], met))
    total = torch.stack(products).sum(0).flatten(1, 2)

    return total if bias is None else total + bias.view(-1, *(1 for _ in kernel))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter logs and warns about itself."""

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
