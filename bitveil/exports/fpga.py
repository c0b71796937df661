r"""FPGA: an encoder whose stochastic bits are drawn on the chip, through hls4ml.

A bit is 1 where its logit exceeds a random threshold with the logistic distribution: then its
probability is :math:`\sigma(\text{logit})`. On the chip every neuron has a linear feedback shift
register (LFSR) of 32 bits. Its lowest k bits choose one of :math:`2^k` thresholds, the quantiles
:math:`\log((r + 1/2) / (2^k - r - 1/2))`. So the probability that is drawn is a multiple of
:math:`2^{-k}`, and at most :math:`2^{-k-1}` from the wanted one. The rounding of logits and
thresholds comes on top.

The draws are new for every input, and **not secret**: whoever knows the logits of some inputs and
their bits can work out the state of a register, and so all its draws. That suits a detector, where
nobody else sees the inputs, and nobody asks twice about one of them. A certificate is about the
encoder and not about the chip, which rounds: audit the codes that the simulation draws.

Source:
    Efficient Shift Registers, LFSR Counters, and Long Pseudo-Random Sequence Generators (Alfke,
    1996), https://docs.amd.com/v/u/en-US/xapp052, for the feedback of the registers;
    hls4ml: An Open-Source Codesign Workflow (Fahim et al., 2021), https://arxiv.org/abs/2103.05579
"""

import os
from contextlib import redirect_stdout
from copy import deepcopy
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor, nn

from bitveil.cells import Cells
from bitveil.checks import check_choice
from bitveil.layers import stochastic_layers

__all__ = ["drawn_probabilities", "lfsr_numbers", "logistic_thresholds", "to_hls"]

FEEDBACK = 0x8020_0003
"""The bits of a register that change when a 1 leaves it: x^32 + x^22 + x^2 + x + 1."""

_FRACTION = 10  # the bits of a threshold behind the point
_HEADER = Path(__file__).with_name("stochastic_binary.h")
_TEMPLATE = "hls4ml.backends.template"
_CONFIG = """struct config{index} : nnet::stochastic_binary_config {{
    static const unsigned n_in = {n_in};
    static const unsigned draw_bits = {draw_bits};
    typedef {threshold_t.name} threshold_t;
    static unsigned seed(unsigned i) {{
        const unsigned seeds[] = {{{seeds}}};
        return seeds[i];
    }}
}};
"""
_CALL = "nnet::stochastic_binary<{input_t}, {output_t}, {config}>({input}, {output}, {table});"


def logistic_thresholds(draw_bits: int) -> NDArray[np.float64]:
    """The quantiles that a random number of so many bits chooses from, in its order.

    Example:
        >>> logistic_thresholds(1).round(3)
        array([-1.099,  1.099])
    """

    shares = (np.arange(2**draw_bits) + 0.5) / 2**draw_bits

    return np.log(shares / (1 - shares))


def drawn_probabilities(logits: NDArray[np.float64], draw_bits: int = 10) -> NDArray[np.float64]:
    """The probability with which the chip draws a 1, with the shape of the logits.

    Arguments:
        logits: The logits as the chip has them.
        draw_bits: The number of bits of a random number.

    Example:
        >>> drawn_probabilities(np.array([-9.0, 0.0, 1.5]), draw_bits=2)
        array([0.  , 0.5 , 0.75])
    """

    rounded = np.floor(logistic_thresholds(draw_bits) * 2**_FRACTION) / 2**_FRACTION

    return np.searchsorted(rounded, logits) / 2**draw_bits


def lfsr_numbers(seeds: NDArray[np.uint32], n: int, draw_bits: int = 10) -> NDArray[np.int64]:
    """The random numbers of registers, with shape (n, registers).

    Arguments:
        seeds: The first state of each register, not 0.
        n: How many numbers each gives.
        draw_bits: The number of bits of a number.

    Example:
        >>> lfsr_numbers(np.array([1], dtype=np.uint32), 3, draw_bits=2).ravel().tolist()
        [2, 3, 1]
    """

    state, numbers = seeds.astype(np.uint32), np.empty((n, len(seeds)), np.int64)
    for row in numbers:
        for _ in range(draw_bits):
            state = (state >> np.uint32(1)) ^ (state & np.uint32(1)) * np.uint32(FEEDBACK)
        row[:] = state & np.uint32(2**draw_bits - 1)

    return numbers


def to_hls(
    encoder: nn.Module,
    directory: str | os.PathLike[str],
    *,
    shape: tuple[int, ...],
    random_state: int | np.random.RandomState | None = None,
    draw_bits: int = 10,
    precision: str = "ap_fixed<18,8,AP_RND,AP_SAT>",
    backend: Literal["Vitis", "Vivado"] = "Vitis",
    **settings: Any,
) -> Any:
    """An encoder and its draws as a project of hls4ml.

    Call `compile()` of what it returns. Then `predict(x)` gives the bits that a compiled C++
    simulation of the chip draws, one row after the other. `build()` needs the tools of the chip's
    maker.

    Arguments:
        encoder: A network from features to logits that hls4ml can convert, such as
            `bitveil.layers.table_encoder`. It does not change.
        directory: The folder of the project.
        shape: The shape of the features of one row.
        random_state: The seed of the first states of the registers.
        draw_bits: The number of bits of a random number, from 4 to 16. The table of thresholds has
            2^draw_bits entries.
        precision: The type of the numbers on the chip, in hls4ml's words.
        backend: The backend of hls4ml.
        settings: Other settings of hls4ml's `convert_from_pytorch_model`, such as `part`.

    Returns:
        hls4ml's model. Its `lfsr_seeds` are the first states of the registers.

    Raises:
        ImportError: If hls4ml is not installed.
        ValueError: If `draw_bits` or `backend` is none of these, or hls4ml cannot convert the
            encoder.

    Example:
        >>> to_hls(nn.Linear(3, 2), "project", shape=(3,), draw_bits=20)
        Traceback (most recent call last):
        ValueError: `draw_bits` expects a whole number from 4 to 16, got 20.
    """

    if draw_bits not in range(4, 17):
        raise ValueError(f"`draw_bits` expects a whole number from 4 to 16, got {draw_bits!r}.")
    check_choice("backend", backend, ("Vitis", "Vivado"))
    if isinstance(encoder, Cells) or stochastic_layers(encoder):
        raise ValueError(
            "`to_hls` writes networks that draw nothing but their code, and no cells. Fit with "
            "`features='raw'`, and leave out stochastic layers before the last."
        )
    hls, layer = _hls4ml(), _registered(backend)
    network = deepcopy(encoder).cpu().float().eval()
    with torch.no_grad():
        width = network(torch.zeros(1, *shape)).shape[1]
    seeds = check_random_state(random_state).randint(1, 2**32, size=width, dtype=np.uint32)
    whole = nn.Sequential(network, layer(seeds, draw_bits))
    with redirect_stdout(StringIO()):
        config = hls.utils.config_from_pytorch_model(
            whole, shape, granularity="name", default_precision=precision, backend=backend
        )
        model = hls.converters.convert_from_pytorch_model(
            whole, output_dir=os.fspath(directory), backend=backend, hls_config=config, **settings
        )
    model.lfsr_seeds = seeds

    return model


def _hls4ml() -> Any:
    try:
        return import_module("hls4ml")
    except ImportError as error:
        raise ImportError(
            f"`to_hls` needs hls4ml, which cannot be imported ({error}): `pip install hls4ml`."
        ) from error


# The layer, in the words of hls4ml


@cache
def _registered(backend: str) -> type[nn.Module]:
    """The layer that draws, as a module of torch. hls4ml and its backend know it afterwards."""

    on_chip, module = _known_layer()
    chip, template = _hls4ml().backends.get_backend(backend), import_module(_TEMPLATE)
    config_form: Any = template.LayerConfigTemplate
    call_form: Any = template.FunctionCallTemplate

    class Config(config_form):
        def __init__(self) -> None:
            super().__init__(on_chip)

        def format(self, node: Any) -> str:
            seeds = ", ".join(f"{seed}u" for seed in node.get_attr("seeds"))
            return _CONFIG.format(**self._default_config_params(node) | {"seeds": seeds})

    class Call(call_form):
        def __init__(self) -> None:
            super().__init__(on_chip, include_header=[f"nnet_utils/{_HEADER.name}"])

        def format(self, node: Any) -> str:
            table = node.get_weights("threshold").name
            return _CALL.format(**self._default_function_params(node), table=table)

    chip.register_template(Config)
    chip.register_template(Call)
    chip.register_source(_HEADER)

    return module


@cache
def _known_layer() -> tuple[Any, type[nn.Module]]:
    """The layer in hls4ml's words and in torch's, once for all backends."""

    hls = _hls4ml()
    parts, types = hls.model.layers, import_module("hls4ml.model.types")
    layer_form: Any = parts.Layer
    module_form: Any = import_module("hls4ml.utils.torch").HLS4MLModule

    class DrawnOnChip(module_form):
        def __init__(self, seeds: NDArray[np.uint32], draw_bits: int) -> None:
            super().__init__()
            self.seeds, self.draw_bits = seeds.tolist(), draw_bits

        def forward(self, logits: Tensor) -> Tensor:
            return logits  # nobody calls it: hls4ml reads the settings

    class OnChip(layer_form):
        _expected_attributes: ClassVar = [
            parts.Attribute("n_in"),
            parts.Attribute("draw_bits"),
            parts.WeightAttribute("threshold"),
            parts.TypeAttribute("threshold"),
        ]

        def initialize(self) -> None:
            bit = types.IntegerPrecisionType(width=1, signed=False)
            fixed = types.FixedPrecisionType(_FRACTION + 6, 6, signed=True)
            self.add_output_variable(self.get_input_variable().shape, precision=bit)
            self.add_weights_variable(name="threshold", precision=fixed)

    hls.converters.register_pytorch_layer_handler("DrawnOnChip", _read_layer)
    parts.register_layer("OnChip", OnChip)

    return OnChip, DrawnOnChip


def _read_layer(
    _kind: str, name: str, inputs: Any, shapes: Any, _node: Any, module: Any, *_more: Any
) -> tuple[dict[str, Any], Any]:
    """What hls4ml must know of the layer, and the shape of its output."""

    layer = {
        "class_name": "OnChip",
        "name": name,
        "inputs": inputs,
        "n_in": shapes[0][-1],
        "draw_bits": module.draw_bits,
        "seeds": module.seeds,
        "threshold_data": logistic_thresholds(module.draw_bits),
    }

    return layer, list(shapes[0])
