"""Networks: given encoders and decoders, images, layers that draw, and precision."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from bitveil.batches import Rows
from bitveil.estimators import InvariantEncoder
from bitveil.layers import StochasticBinary, conv_encoder, drawing_from, stochastic_layers
from bitveil.models import InvariantClassifier, InvariantRegressor, load
from bitveil.networks import Decoding, Encoding
from builders import KEY, leaning_rows, quick

encoder = partial(quick, features="auto", epochs=4, batch_size=200, key=KEY)
world = partial(leaning_rows, noise=0.0)


def deep():
    """A network that draws at two depths before the code."""

    return nn.Sequential(
        nn.Linear(2, 6), StochasticBinary(), nn.Linear(6, 5), StochasticBinary(), nn.Linear(5, 3)
    )


def images(n=300, channels=None, seed=0):
    """The upper half is bright for the target, the left half for the attribute."""

    rng = np.random.default_rng(seed)
    y, s = rng.integers(2, size=(2, n))
    X = rng.normal(size=(n, 8, 8))
    X[:, :4] += 2 * y[:, None, None]
    X[:, :, :4] += 2 * s[:, None, None]

    return (X if channels is None else np.stack([X] * channels, 1)), y, s


# A given network


def test_a_given_network_is_copied_and_trained():
    X, y, s = world()
    own = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
    before = copy.deepcopy(own.state_dict())
    model = encoder(encoder=own, epochs=25, learning_rate=0.03).fit(X, y, sensitive_features=s)

    assert all(torch.equal(weight, before[name]) for name, weight in own.state_dict().items())
    assert type(model.coder_.encoder[1]) is nn.Tanh
    assert not torch.equal(model.coder_.encoder[0].weight.float(), own[0].weight)
    assert own[0].weight.dtype == torch.float32
    assert model.coder_.features.kind == "raw"
    assert model.score(X, y) > 0.7


def test_a_fit_does_not_change_the_mode_or_the_layers_of_the_given_network():
    X, y, s = world()
    own = deep()
    own[1].generator = generator = torch.Generator()
    state = generator.get_state()
    encoder(encoder=own, epochs=1).fit(X, y, sensitive_features=s)

    assert own.training
    assert own[1].generator is generator
    assert torch.equal(generator.get_state(), state)
    assert own[1].logits is None
    assert own[3].generator is None


def test_networks_with_a_training_mode_are_evaluated_in_evaluation_mode():
    X, y, s = world()
    own = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    torch.manual_seed(0)
    model = encoder(encoder=own).fit(X, y, sensitive_features=s)
    logits = model.logits(X)

    np.testing.assert_array_equal(model.logits(X), logits)
    np.testing.assert_allclose(model.logits(X[:3]), logits[:3])
    assert (model.coder_.encoder[1].num_batches_tracked > 0).item()


def test_layers_that_draw_give_the_same_draws_for_the_same_row():
    X, y, s = world()
    model = encoder(encoder=deep()).fit(X, y, sensitive_features=s)
    bits, logits = model.transform(X), model.logits(X)

    np.testing.assert_array_equal(model.transform(X), bits)
    np.testing.assert_array_equal(model.logits(X), logits)
    np.testing.assert_array_equal(model.transform(X[::-1])[::-1], bits)
    for i in range(0, 400, 40):
        np.testing.assert_array_equal(model.transform(X[[i]]), bits[[i]])


def test_draws_of_layers_depend_on_the_name_and_the_key():
    X, y, s = world()
    model = encoder(encoder=deep()).fit(X, y, sensitive_features=s)
    logits = model.logits(X)
    named = model.logits(X, ids=np.arange(400))
    model.coder_ = replace(model.coder_, key=b"another secret key")

    assert (named != logits).any()
    assert (model.logits(X) != logits).any()


def test_layers_draw_with_their_probabilities_and_their_own_numbers():
    X, y, s = world()
    model = encoder(encoder=deep(), epochs=1).fit(X, y, sensitive_features=s)
    first, second = stochastic_layers(model.coder_.encoder)
    for layer in (first, second):
        layer.register_forward_hook(lambda layer, _, bits: setattr(layer, "seen", bits))
    one = np.repeat(X[:1], 3000, axis=0)
    model.logits(one, ids=np.arange(3000))
    theta = first.logits.sigmoid()

    assert first.seen.mean(0).numpy() == pytest.approx(theta[0].numpy(), abs=0.05)
    likely = (first.seen[:, 0] == 1).numpy()
    by_first = np.corrcoef(likely, second.seen[:, 0] - second.logits[:, 0].sigmoid())[0, 1]
    assert abs(by_first) < 0.1  # beyond its probabilities, the second layer draws by itself


def test_layers_that_draw_are_penalised_like_the_code():
    X, y, s = world(600)
    told = []
    for strength in (0.0, 10.0):
        torch.manual_seed(0)
        settings = {"measure": "mutual_information", "strength": strength, "epochs": 30}
        model = encoder(encoder=deep(), **settings).fit(X, y, sensitive_features=s)
        told.append(model.path_[0].measure)

    assert told[1] < 0.5 * told[0]


def test_a_network_that_draws_is_certified(tmp_path):
    X, y, s = world(1500)
    model = encoder(encoder=deep(), max_gap=0.6)
    rows = model.fit(X, y, sensitive_features=s, ids=range(1500)).rows_["certify"]
    theta, s = model.probabilities(X[rows], ids=rows), s[rows]
    codes = np.indices((2, 2, 2)).reshape(3, -1).T
    likelihood = np.prod(np.where(codes[None] == 1, theta[:, None], 1 - theta[:, None]), axis=2)
    first, second = (likelihood[s == g].mean(0) for g in (0, 1))

    assert model.certificate_.estimate == pytest.approx(np.abs(first - second).sum() / 2)


@pytest.mark.parametrize("kind", ["plain", "deep"])
def test_a_given_network_is_saved_as_weights_and_has_to_be_given_again(tmp_path, kind):
    X, y, s = world()
    plain = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    own = plain if kind == "plain" else deep()
    model = encoder(encoder=own).fit(X, y, sensitive_features=s)
    model.save(tmp_path / "own")
    with pytest.raises(ValueError, match=r"its own encoder.*`load\(directory, encoder=\.\.\.\)`"):
        load(tmp_path / "own")
    before = copy.deepcopy(own.state_dict())
    loaded = load(tmp_path / "own", encoder=own)

    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert all(torch.equal(weight, before[name]) for name, weight in own.state_dict().items())


def test_a_network_other_than_the_saved_one_is_refused(tmp_path):
    X, y, s = world()
    own = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    encoder(encoder=own).fit(X, y, sensitive_features=s).save(tmp_path / "own")
    other = nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Linear(9, 3))

    with pytest.raises(ValueError, match=r"(?s)`encoder` is another network than .*size mismatch"):
        load(tmp_path / "own", encoder=other)


def test_a_network_for_an_encoder_that_was_fitted_without_one_is_refused(tmp_path):
    X, y, s = world()
    encoder(features="raw").fit(X, y, sensitive_features=s).save(tmp_path / "ours")

    with pytest.raises(ValueError, match="fitted without its own encoder: give none"):
        load(tmp_path / "ours", encoder=nn.Linear(2, 3))
    with pytest.raises(ValueError, match="fitted without its own decoder: give none"):
        load(tmp_path / "ours", decoder=nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Linear(2, 4), r"logits of shape \(n, n_bits\) = \(2, 3\), got \(2, 4\)"),
        (nn.Linear(3, 3), r"`encoder` does not take features of shape \(2, 2\)"),
        (nn.Sequential(nn.Linear(2, 3), nn.Flatten(0)), r"got \(6,\)"),
        (nn.LSTM(2, 3), "`encoder` is expected to give logits .* got tuple"),
        ("mlp", "`encoder` expects a torch module, got 'mlp'"),
        (nn.Linear, "`encoder` expects a torch module, got .*Linear"),
    ],
)
def test_a_network_that_gives_no_code_is_refused_before_training(network, words):
    X, y, s = world()

    with pytest.raises(ValueError, match=words):
        encoder(encoder=network).fit(X, y, sensitive_features=s)


# Decoders


def test_a_given_decoder_is_copied_trained_and_saved(tmp_path):
    X, y, s = world()
    own = nn.Linear(3, 2)
    before = copy.deepcopy(own.state_dict())
    model = encoder(decoder=own, epochs=40, strength=0.0).fit(X, y, sensitive_features=s)
    model.save(tmp_path / "own")
    with pytest.raises(ValueError, match=r"its own decoder.*`load\(directory, decoder=\.\.\.\)`"):
        load(tmp_path / "own")
    loaded = load(tmp_path / "own", decoder=own)

    assert all(torch.equal(weight, before[name]) for name, weight in own.state_dict().items())
    assert model.decoder_.tables == {}
    assert model.score(X, y) > 0.7
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    with torch.no_grad():
        by_hand = model.decoder_.network(torch.from_numpy(model.transform(X)).double()).softmax(1)
    np.testing.assert_allclose(model.predict_proba(X), by_hand)


def test_a_decoder_of_numbers_is_trained_at_draws():
    X, _, s = world(1000)
    own = nn.Linear(3, 1)
    settings = {"decoder": own, "epochs": 40, "strength": 0.0, "features": "raw"}
    model = encoder(InvariantRegressor, **settings).fit(X, 5 * X[:, 0], sensitive_features=s)

    assert model.score(X, 5 * X[:, 0]) > 0.4


@pytest.mark.parametrize(
    ("cls", "network", "words"),
    [
        (InvariantClassifier, nn.Linear(3, 3), r"shape \(n, 2\), got \(2, 3\)"),
        (InvariantClassifier, nn.Linear(3, 1), r"shape \(n, 2\), got \(2, 1\)"),
        (InvariantRegressor, nn.Linear(3, 2), r"shape \(n, 1\), got \(2, 2\)"),
        (InvariantClassifier, nn.Linear(4, 2), r"`decoder` does not take bits of shape \(2, 3\)"),
        (InvariantClassifier, "mlp", "`decoder` expects a torch module, got 'mlp'"),
    ],
)
def test_a_decoder_of_other_targets_is_refused_before_training(cls, network, words):
    X, y, s = world()
    y = y + 0.5 * X[:, 1] if cls is InvariantRegressor else y

    with pytest.raises(ValueError, match=words):
        encoder(cls, decoder=network).fit(X, y, sensitive_features=s)


# Images


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_images_are_encoded_by_convolutions(tmp_path, channels):
    X, y, s = images(channels=channels)
    model = encoder(epochs=15, batch_size=100, strength=0.1).fit(X, y, sensitive_features=s)
    model.save(tmp_path / "images")
    loaded = load(tmp_path / "images")
    fresh, truth, _ = images(channels=channels, seed=1)

    assert any(isinstance(layer, nn.Conv2d) for layer in model.coder_.encoder)
    assert model.transform(fresh).shape == (300, 3)
    assert model.score(fresh, truth) > 0.8
    np.testing.assert_array_equal(loaded.transform(fresh), model.transform(fresh))
    np.testing.assert_array_equal(model.transform(fresh[5:6]), model.transform(fresh)[5:6])


def test_the_type_that_pixels_are_stored_in_does_not_matter():
    X, y, s = images()
    X = np.clip(40 * X + 100, 0, 255).astype(np.uint8)
    model = encoder(epochs=2).fit(X, y, sensitive_features=s)

    np.testing.assert_array_equal(model.transform(X.astype(float)), model.transform(X))
    assert model.used_rows(X.astype(float)) == 300
    assert model.used_rows(255 - X) == 0


def test_images_without_a_target_are_reconstructed():
    X, _, s = images()
    model = encoder(InvariantEncoder, epochs=3).fit(X, sensitive_features=s)

    assert model.path_[0].score > 0.01
    assert model.n_outputs_ == 64


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"features": "posterior"}, r"Images have raw features only"),
        ({"encoder": nn.Linear(64, 3)}, r"`encoder` does not take features of shape \(2, 8, 8\)"),
    ],
)
def test_settings_that_do_not_work_with_images_are_refused(settings, words):
    X, y, s = images(100)

    with pytest.raises(ValueError, match=words):
        encoder(**settings).fit(X, y, sensitive_features=s)


def test_images_of_another_size_are_refused():
    X, y, s = images(100)
    model = encoder(epochs=1).fit(X, y, sensitive_features=s)

    for other in (X[:, :7], X[:, :, :7], np.stack([X] * 3, 1), X.reshape(100, -1)):
        with pytest.raises(ValueError, match="Expected "):
            model.transform(other)


def test_missing_pixels_are_refused():
    X, y, s = images(100)
    X[3, 2, 1] = np.nan

    with pytest.raises(ValueError, match="images of finite numbers"):
        encoder(epochs=1).fit(X, y, sensitive_features=s)


# Layers


def test_a_copy_of_a_layer_shares_the_generator_and_has_no_logits():
    layer = StochasticBinary(generator=torch.Generator().manual_seed(3))
    layer(torch.zeros(2, 2, requires_grad=True) * 1.0)  # logits with a graph cannot be copied
    copied = copy.deepcopy(nn.Sequential(nn.Linear(2, 2), layer))[1]

    assert copied is not layer
    assert copied.generator is layer.generator
    assert copied.logits is None


def test_layers_draw_from_given_numbers_in_their_order_inside_the_context_only():
    network, asked = deep(), []

    def uniforms(number):
        def of(shape):
            asked.append((number, shape))
            return torch.full(shape, 0.0 if number == 0 else 1.0)

        return of

    with drawing_from(network, uniforms):
        network(torch.zeros(4, 2))
        _, second = stochastic_layers(network)
        assert second.logits.shape == (4, 5)
    with pytest.raises(ZeroDivisionError), drawing_from(network, uniforms):
        raise ZeroDivisionError

    network(torch.zeros(4, 2))  # from its generators again

    assert asked == [(0, (4, 6)), (1, (4, 5))]


def test_a_layer_that_draws_works_between_convolutions():
    X, y, s = images(120)
    own = nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.Conv2d(1, 2, 3, padding=1),
        StochasticBinary(),
        *conv_encoder((2, 8, 8), 3, (4,)),
    )
    settings = {"measure": "neuron_information", "epochs": 2}
    model = encoder(encoder=own, **settings).fit(X, y, sensitive_features=s)

    np.testing.assert_array_equal(model.transform(X[7:9]), model.transform(X)[7:9])


# Precision


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true", "bf16-true"])
@pytest.mark.parametrize("kind", ["table", "drawing", "wide"])
def test_every_precision_trains_a_useful_code(precision, kind):
    X, y, s = world(500)
    torch.manual_seed(0)
    drawing = nn.Sequential(nn.Linear(2, 8), StochasticBinary(), nn.Linear(8, 3))
    own = {"encoder": drawing} if kind == "drawing" else {"features": "raw"}
    wide = {"n_bits": 17} if kind == "wide" else {}
    settings = {"precision": precision, "epochs": 40, "strength": 0.0, "learning_rate": 0.03}
    model = encoder(**settings, **own, **wide).fit(X, y, sensitive_features=s)

    assert all(np.isfinite([e.loss, e.merit]).all() for e in model.history_.epochs)
    assert all(weight.dtype == torch.float64 for weight in model.coder_.encoder.parameters())
    assert model.score(X, y) > 0.6


def test_an_unknown_precision_is_refused():
    X, y, s = world(100)

    with pytest.raises(ValueError, match="16"):
        encoder(precision="31-true", features="raw").fit(X, y, sensitive_features=s)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tables_of_every_layer_are_made_in_single_precision_at_least(dtype):
    X, y, s = (torch.from_numpy(column) for column in world(50))
    network = deep().to(dtype)
    for layer in stochastic_layers(network):
        layer.generator = torch.Generator().manual_seed(0)
    batch = Rows.of_target(X.to(dtype), y, s, n_classes=2, n_groups=2).batch(network)
    least = torch.promote_types(dtype, torch.float32)

    assert [logits.dtype for logits in (batch.logits, *batch.inner)] == [least] * 3


# New networks


def test_networks_depend_only_on_the_generator():
    make = Encoding(None, (4,), 3, (8,))
    one, same = (make(torch.Generator().manual_seed(1)) for _ in range(2))
    other = make(torch.Generator().manual_seed(2))

    assert torch.equal(one[0].weight, same[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)


def test_a_network_starts_with_a_copy_of_the_weights():
    start = Encoding(None, (4,), 3, (8,))(torch.Generator())
    made = Encoding(None, (4,), 3, (8,), start)(torch.Generator().manual_seed(5))
    with torch.no_grad():
        made[0].weight += 1

    assert not torch.equal(made[0].weight, start[0].weight)
    assert torch.equal(made[2].weight, start[2].weight)


def test_the_task_decides_what_decodes():
    tasks = {
        (task, network): Decoding(task, network, None, 3, 2)(torch.Generator())
        for task in ("target", "information")
        for network in (False, True)
    }

    assert [getattr(task, "__name__", type(task).__name__) for task in tasks.values()] == [
        "task_information",
        "DecoderTask",
        "input_task",
        "input_task",
    ]
