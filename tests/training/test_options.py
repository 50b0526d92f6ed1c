"""What is chosen for a device, what is refused, and which layers compute in bfloat16."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers.refused import Refused
from helpers.training.options import computing_in, fast_precision, training_options
from tests.training.toy import make_model, train


def resizing(interpolation="bilinear", kind=keras.layers.UpSampling2D):
    size = (2,) if kind is keras.layers.UpSampling2D else (8, 8)
    inner = keras.Sequential([keras.Input((4, 4, 1)), kind(*size, interpolation=interpolation)])
    return keras.Sequential(
        [keras.Input((16,)), keras.layers.Reshape((4, 4, 1)), inner, keras.layers.Conv2D(1, 1)]
    )


@pytest.mark.parametrize(
    ("gpu", "capability", "flags", "expected"),
    [
        ("Tesla T4", (7, 5), ["avx512_bf16"], "float32"),
        ("NVIDIA L4", (8, 9), [], "mixed_bfloat16"),
        ("NVIDIA A100", (8, 0), [], "mixed_bfloat16"),
        ("METAL", None, [], "float32"),
        (None, None, ["avx2", "avx512f", "avx512_vnni"], "float32"),
        (None, None, ["avx512f", "avx512_bf16"], "float32"),
        (None, None, ["avx512_bf16", "amx_tile", "amx_bf16"], "mixed_bfloat16"),
        (None, None, [], "float32"),
    ],
)
def test_precision_by_the_chip(gpu, capability, flags, expected):
    assert fast_precision(gpu, capability, flags) == expected


def test_what_is_chosen_by_hand(capsys):
    found = training_options(resizing(), 78, "mixed_bfloat16", False, 39)
    assert found == {
        "precision": "mixed_bfloat16", "jit_compile": False, "steps_per_execution": 39,
    }  # fmt: skip
    line = capsys.readouterr().out
    assert line.endswith(" in mixed_bfloat16, without XLA, 39 steps per execution.\n")


@pytest.mark.parametrize(("steps", "expected"), [(78, 26), (64, 32), (157, 1), (30, 30)])
def test_an_epoch_on_a_gpu_is_whole_executions(steps, expected, monkeypatch, capsys):
    t4 = {"device_name": "Tesla T4", "compute_capability": (7, 5)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["gpu"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: t4)
    found = training_options(resizing(), steps)
    assert tuple(found.values()) == ("float32", "auto", expected)
    assert capsys.readouterr().out.startswith("Trains on Tesla T4 in float32")


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"precision": "mixed_float16"},
         "PRECISION is 'mixed_float16'; take one of 'auto', 'float32', 'mixed_bfloat16'."),
        ({"xla": "on"}, "XLA is 'on'; take one of 'auto', True, False."),
        ({"xla": True, "deterministic": True},
         "XLA is True, but its kernels do not keep what DETERMINISTIC = True promises; set XLA to "
         '"auto".'),
        ({"deterministic": "no"}, "DETERMINISTIC is 'no'; take one of True, False."),
        ({"steps_per_execution": 10}, "STEPS_PER_EXECUTION is 10; take a divisor of the 78 "
         "steps of an epoch, or 0 to have it chosen."),
        ({"steps_per_execution": -1}, "STEPS_PER_EXECUTION is -1; take a divisor of the 78 "
         "steps of an epoch, or 0 to have it chosen."),
    ],
)  # fmt: skip
def test_bad_values_are_refused(wanted, sentence):
    with pytest.raises(Refused) as caught:
        training_options(resizing(), 78, **wanted)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("network", "hard"),
    [
        (resizing("nearest"), ""),
        (resizing("bicubic"), "bicubic"),
        (resizing("nearest", keras.layers.Resizing), "nearest"),
        (resizing("bilinear", keras.layers.Resizing), ""),
    ],
)
def test_what_xla_has_no_gradient_of_trains_without(network, hard):
    """Asked for, it is refused; a network inside another is looked at, too."""
    assert training_options(network, 1)["jit_compile"] == (False if hard else "auto")
    if not hard:
        assert training_options(network, 1, xla=True)["jit_compile"] is True
        return
    with pytest.raises(Refused, match=f"XLA is True, but it has no gradient of {hard} interp"):
        training_options(network, 1, xla=True)


# Which layers compute in which precision


def odd_network():
    """Wrapped and nested layers, a join, and an interpolation of which bfloat16 has no gradient."""
    layers = keras.layers
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3), layers.LeakyReLU()])
    inputs = keras.Input((8, 8, 2))
    x = layers.SpectralNormalization(layers.Conv2D(4, 1))(inputs)
    x = layers.BatchNormalization()(layers.Add()([x, x]))
    x = layers.UpSampling2D(2, interpolation="bicubic")(inner(x))
    x = layers.Dense(6)(layers.GlobalAveragePooling2D()(layers.PReLU()(x)))
    return keras.Model(inputs, layers.Activation("tanh")(layers.Reshape((3, 2))(x)))


def test_hidden_layers_compute_in_bfloat16_and_the_output_is_float32():
    network = odd_network()
    images = tf.random.stateless_normal((4, 8, 8, 2), seed=(0, 0))
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    spy = keras.Model(network.inputs, [layer.output for layer in layers])
    with computing_in("mixed_bfloat16", network), tf.GradientTape() as tape:
        found = {layer.name: value.dtype.name for layer, value in zip(layers, spy(images))}
        loss = tf.reduce_sum(network(images) ** 2)
        gradients = tape.gradient(loss, network.trainable_variables)
    full = [name.rstrip("_0123456789") for name, dtype in found.items() if dtype == "float32"]
    assert full == ["up_sampling2d", "dense", "reshape", "activation"]
    assert set(found.values()) == {"float32", "bfloat16"}
    assert None not in gradients
    assert {variable.dtype for variable in network.variables} <= {"float32", "uint32", "int64"}


def test_a_network_comes_back_as_it_was(tmp_path):
    network = odd_network()
    images = tf.random.stateless_normal((4, 8, 8, 2), seed=(0, 0))
    expected = network(images)

    def saved():
        network.save(tmp_path / "network.keras")
        with zipfile.ZipFile(tmp_path / "network.keras") as file:
            return file.read("config.json")

    config = saved()
    with pytest.raises(ZeroDivisionError), computing_in("mixed_bfloat16", network):
        assert saved() != config
        1 / 0  # noqa: B018
    assert saved() == config
    np.testing.assert_array_equal(network(images), expected)


def test_a_training_in_bfloat16(tmp_path):
    """All three networks compute in it, and are float32 again when it is over."""
    model = make_model(precision="mixed_bfloat16")
    networks = (model.generator, model.ema_generator, model.discriminator)
    during = []
    look = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: during.append(
            {network.layers[0].compute_dtype for network in networks}
        )
    )
    train(model, tmp_path, 1, look)
    assert during[0] == {"bfloat16"}
    assert {network.layers[0].compute_dtype for network in networks} == {"float32"}
    assert np.isfinite(helpers.load_table(tmp_path / "history.csv")["generator_loss"]).all()
