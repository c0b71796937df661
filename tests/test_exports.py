"""Exports: an ONNX file gives the probabilities and the frozen bits of the encoder."""

import logging
import sys

import numpy as np
import pytest
import torch
from torch import nn

from bitveil.estimators import InvariantEncoder
from bitveil.exports import to_onnx
from bitveil.frozen import freeze, frozen_uniforms, row_digests
from bitveil.gradients import straight_through
from bitveil.layers import table_encoder
from builders import build

KEY = b"0123456789abcdef"
ROWS = (0, 1, 2, 1000)


@pytest.fixture(scope="module")
def ort():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    if not hasattr(torch.onnx.ONNXProgram, "rename_axes"):
        pytest.skip("torch is older than 2.11")

    return pytest.importorskip("onnxruntime")


@pytest.fixture
def run(ort, tmp_path):
    """Export an encoder, and return the outputs of onnxruntime by name."""

    def make(encoder, **settings):
        to_onnx(encoder, tmp_path / "encoder.onnx", **settings)
        session = ort.InferenceSession(
            tmp_path / "encoder.onnx", providers=["CPUExecutionProvider"]
        )

        def answer(**inputs):
            names = [output.name for output in session.get_outputs()]
            return dict(zip(names, session.run(None, inputs), strict=True))

        return answer

    return make


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def convolutional(dtype):
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(2, 4, (2, 3), stride=(2, 1), padding=(1, 0)),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, (1, 2), dilation=(1, 2), groups=2, bias=False),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.LazyLinear(5),
    ]
    encoder = nn.Sequential(*layers)
    for _ in range(3):  # the statistics of the normalisation
        encoder(torch.randn(64, 2, 12, 12))

    return encoder.to(dtype).eval()


def of_torch(encoder, features):
    with torch.no_grad():
        return encoder(torch.from_numpy(features)).double().sigmoid().numpy()


def check(answer, encoder, shape, dtype, close):
    """Check the probabilities and the frozen bits of any number of rows."""

    rng = np.random.default_rng(0)
    for n in ROWS:
        features = (3 * rng.normal(size=(n, *shape))).astype(dtype)
        theta = of_torch(encoder, features)
        digests = row_digests(np.arange(n).reshape(-1, 1) + 0.0)
        uniforms = frozen_uniforms(digests, theta.shape[1], KEY)
        found = answer(features=features, uniforms=uniforms)

        assert found["probabilities"].dtype == np.float64
        assert found["bits"].dtype == np.uint8
        np.testing.assert_allclose(found["probabilities"], theta, rtol=0, atol=close)
        np.testing.assert_array_equal(found["bits"], freeze(theta, digests, KEY))
        np.testing.assert_array_equal(found["bits"], uniforms < found["probabilities"])


def test_an_mlp_in_double_precision(run):
    encoder = table_encoder(7, 70, (32, 32), generator=generator()).double()

    check(run(encoder, n_inputs=7), encoder, (7,), np.float64, 1e-12)


def test_an_mlp_of_float32(run):
    encoder = table_encoder(7, 6, (32,), generator=generator())

    check(run(encoder, n_inputs=7), encoder, (7,), np.float32, 1e-6)


@pytest.mark.parametrize(
    ("dtype", "name", "close"),
    [(torch.float64, "float64", 1e-12), (torch.float32, "float32", 1e-6)],
)
def test_a_convolutional_encoder(run, dtype, name, close):
    encoder = convolutional(dtype)
    example = torch.randn(3, 2, 12, 12, dtype=dtype, generator=generator())

    check(run(encoder, example=example), encoder, (2, 12, 12), name, close)


def test_a_convolution_along_one_axis(run):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv1d(1, 2, 3, padding="same"), nn.Flatten(), nn.LazyLinear(3))
    encoder(torch.zeros(2, 1, 5))
    encoder = encoder.double().eval()
    example = torch.zeros(2, 1, 5, dtype=torch.float64)

    check(run(encoder, example=example), encoder, (1, 5), np.float64, 1e-12)


def test_the_encoder_of_a_fitted_estimator_gives_the_published_bits(run):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y, s = (X[:, 0] > 0).astype(int), np.where(X[:, 1] > 0, "a", "b")
    model = build(InvariantEncoder, 8, epochs=2, random_state=0).fit(X, y, sensitive_features=s)
    features = model.coder_.features.transform(X).astype(np.float64)
    answer = run(model.coder_.encoder, n_inputs=features.shape[1])

    found = answer(
        features=features, uniforms=frozen_uniforms(row_digests(X), 8, model.coder_.key)
    )
    np.testing.assert_array_equal(found["bits"], model.transform(X))
    np.testing.assert_allclose(found["probabilities"], model.probabilities(X), rtol=0, atol=1e-12)


def test_the_rule_is_strict_like_the_rule_of_frozen_bits(run):
    answer = run(nn.Identity(), example=torch.zeros(2, 1, dtype=torch.float64))
    features = np.array([[-800.0], [-1.0], [0.0], [2.0], [40.0]])
    theta = answer(features=features, uniforms=np.zeros((5, 1)))["probabilities"]

    assert theta[[0, 2, 4]].tolist() == [[0.0], [0.5], [1.0]]
    for step, expected in ((-(2.0**-53), [0, 1, 1, 1, 1]), (0.0, [0] * 5), (2.0**-53, [0] * 5)):
        bits = answer(features=features, uniforms=np.clip(theta + step, 0, 1))["bits"]
        assert bits.ravel().tolist() == expected


def test_without_draws_there_are_probabilities_only(run):
    encoder = table_encoder(3, 4, (8,), generator=generator()).double()
    features = np.ones((5, 3))
    found = run(encoder, n_inputs=3, draws=False)(features=features)

    assert list(found) == ["probabilities"]
    np.testing.assert_allclose(found["probabilities"], of_torch(encoder, features), atol=1e-12)


def test_the_encoder_does_not_change_and_is_written_for_evaluation(run):
    encoder = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 4)).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    features = np.ones((5, 3), dtype=np.float32)
    answer = run(encoder, example=torch.ones(1, 3))
    found = answer(features=features, uniforms=np.zeros((5, 4)))

    assert encoder.training
    assert all(p.requires_grad for p in encoder.parameters())
    assert all((encoder.state_dict()[name] == tensor).all() for name, tensor in before.items())
    expected = of_torch(encoder.eval(), features)
    np.testing.assert_allclose(found["probabilities"], expected, rtol=0, atol=1e-6)


def test_a_file_is_replaced_quietly_and_describes_its_inputs(ort, tmp_path, capsys):
    level = logging.getLogger("torch.onnx").level
    (tmp_path / "e.onnx").write_text("an older one")
    to_onnx(table_encoder(3, 4, (8,)), tmp_path / "e.onnx", n_inputs=3)
    session = ort.InferenceSession(tmp_path / "e.onnx", providers=["CPUExecutionProvider"])
    shapes = {x.name: x.shape for x in [*session.get_inputs(), *session.get_outputs()]}

    assert shapes == {
        "features": ["n", 3],
        "uniforms": ["n", 4],
        "probabilities": ["n", 4],
        "bits": ["n", 4],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["e.onnx"]
    assert "".join(capsys.readouterr()) == ""
    assert logging.getLogger("torch.onnx").level == level


# Refusals


@pytest.mark.parametrize("settings", [{}, {"n_inputs": 3, "example": torch.zeros(2, 3)}])
def test_the_shape_of_a_row_is_given_exactly_once(tmp_path, settings):
    with pytest.raises(ValueError, match=r"either `n_inputs` or `example`, got (neither|both)"):
        to_onnx(nn.Linear(3, 2), tmp_path / "e.onnx", **settings)


@pytest.mark.parametrize("shape", [(3,), (0, 3)])
def test_an_example_without_rows_is_refused(tmp_path, shape):
    with pytest.raises(ValueError, match="one row, got"):
        to_onnx(nn.Linear(3, 2), tmp_path / "e.onnx", example=torch.zeros(shape))


def test_an_encoder_that_gives_no_logits_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(n, m\), got shape \(4, 3, 1\) for 4 rows"):
        to_onnx(nn.Unflatten(1, (3, 1)), tmp_path / "e.onnx", n_inputs=3)


class Drawing(nn.Module):
    def forward(self, x):
        return 20 * straight_through(x) - 10


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


@pytest.mark.parametrize("encoder", [Drawing(), Centred()])
def test_an_encoder_that_is_not_a_function_of_the_row_is_refused(ort, tmp_path, encoder):
    torch.manual_seed(0)
    with pytest.raises(
        ValueError, match=r"onnxruntime and torch are .* apart.*depend on other rows"
    ):
        to_onnx(encoder, tmp_path / "e.onnx", example=torch.zeros(40, 3).normal_())
    assert not list(tmp_path.iterdir())


def test_an_operation_that_onnxruntime_lacks_leaves_no_file(ort, tmp_path):
    encoder = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 2)).double()
    example = torch.zeros(2, 1, 4, 4, dtype=torch.float64)

    with pytest.raises(ValueError, match=r"export `encoder.float\(\)`"):
        to_onnx(encoder, tmp_path / "e.onnx", example=example)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, name):
    for package in ("onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None if package == name else object())

    with pytest.raises(ImportError, match=f"{name}.*pip install onnx onnxruntime onnxscript"):
        to_onnx(nn.Linear(3, 2), tmp_path / "e.onnx", n_inputs=3)
