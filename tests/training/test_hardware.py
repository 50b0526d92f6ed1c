"""What depends on the device: its options, and that each of them trains the same model."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers import hardware

LESSON_3, LESSON_4 = helpers.taught("03_architecture"), helpers.taught("04_training")
IMAGES = helpers.load_source("fashion_mnist", whole=False)[0]["train_images"][:512]
SHAPE = (28, 28, 1)
BATCH = 16
HALVES = ["mixed_bfloat16", "mixed_float16"]
LOSSES = ("discriminator_loss", "generator_loss")


def without_kinks(network):
    """The same network with tanh for every ReLU and LeakyReLU."""

    def smooth(layer):
        if isinstance(layer, (keras.layers.ReLU, keras.layers.LeakyReLU)):
            return keras.layers.Activation("tanh")
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=smooth)


def make_model(seed=0, kinks=True, jit_compile=False, memory=0.0, **options):
    keras.utils.set_random_seed(seed)
    # Three blocks without kinks have gradients that overflow in float16; the first step is skipped.
    smallest_side = 4 if kinks else 7
    networks = [
        LESSON_3.build_generator(SHAPE, latent_dim=20, feature_maps=8),
        LESSON_3.build_discriminator(SHAPE, feature_maps=8, smallest_side=smallest_side),
    ]
    if not kinks:
        networks = [without_kinks(network) for network in networks]
    model = LESSON_4.DCGAN(*networks, seed=seed, previews=4, memory=memory)
    model.compile(
        LESSON_4.make_optimizer(), LESSON_4.make_optimizer(), jit_compile=jit_compile, **options
    )
    return model


def train(model, steps, epochs=1, callbacks=()):
    return model.fit(
        helpers.training_batches(IMAGES, BATCH, 0, int(model.step)),
        steps_per_epoch=steps,
        epochs=epochs,
        first_step=int(model.step),
        callbacks=list(callbacks),
    ).history


def values(model):
    return {
        f"{group} {number}": np.copy(variable.numpy())
        for group, variables in model.state().items()
        for number, variable in enumerate(variables)
    }


def assert_bit_equal(model, expected):
    expected, found = values(expected), values(model)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name], err_msg=name)


def first_gradients(model, network):
    """All gradients of the first step, one after the other: Adam's momentum is half of them."""
    variables = getattr(model, f"{network}_optimizer").variables
    return 2 * np.concatenate([v.numpy().ravel() for v in variables if "_momentum" in v.path])


def weights(model, network):
    variables = getattr(model, network).trainable_variables
    return np.concatenate([variable.numpy().ravel() for variable in variables])


def deviation(found, expected):
    """Length of the difference by the length of what is expected."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def one_step():
    """Models in float32 after their first step, and its losses; with kinks and without."""
    models = {kinks: make_model(kinks=kinks) for kinks in (True, False)}
    return {kinks: (model, train(model, 1)) for kinks, model in models.items()}


@pytest.fixture(scope="module")
def fifty_steps():
    return train(make_model(), 50)


# Half precision.


# Over six seeds the losses of the first step were off by at most 4e-4 and the weights after it by
# 2e-3. The gradients were off by 0.9 % of their length in bfloat16 and by 0.1 % in float16, but
# with kinks by 9 % and 3 %: where rounding moves a sum across the kink of a ReLU, its slope flips.
@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("kinks", [True, False], ids=["kinks", "no kinks"])
def test_first_step_in_half_precision(one_step, precision, kinks):
    expected, expected_losses = one_step[kinks]
    model = make_model(kinks=kinks, precision=precision)
    losses = train(model, 1)
    for name in LOSSES:
        np.testing.assert_allclose(losses[name], expected_losses[name], rtol=0.01)
    for network in ("generator", "discriminator"):
        found = weights(model, network)
        assert found.dtype == np.float32
        assert deviation(found, weights(expected, network)) < 0.01
        gradients = first_gradients(model, network)
        off = deviation(gradients, first_gradients(expected, network))
        assert 0 < off < (0.2 if kinks else 0.01)


# The mean loss of 50 steps was off by at most 0.09 % over six seeds with 8 feature maps, and by
# 0.9 % over three seeds with 32.
@pytest.mark.parametrize("precision", HALVES)
def test_fifty_steps_in_half_precision(fifty_steps, precision):
    losses = train(make_model(precision=precision), 50)
    for name in LOSSES:
        np.testing.assert_allclose(losses[name], fifty_steps[name], rtol=0.03)


def test_loss_is_scaled_where_float16_needs_it():
    plain = keras.optimizers.Adam()
    for precision in ("float32", "mixed_bfloat16"):
        assert hardware.wrap_optimizer(plain, precision) is plain
    scaling = hardware.wrap_optimizer(plain, "mixed_float16")
    assert scaling.inner_optimizer is plain
    assert hardware.wrap_optimizer(scaling, "mixed_float16") is scaling
    assert plain.scale_loss(tf.constant(3.0)) == 3
    assert scaling.scale_loss(tf.constant(3.0)) == 3 * 2**15


def test_scaled_gradients_do_not_vanish():
    """A loss of 1e-9 has a gradient that float16 cannot hold."""
    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4), keras.layers.Dense(1)]
    )  # fmt: skip
    kernel = network.trainable_variables[0]
    optimizer = hardware.wrap_optimizer(keras.optimizers.SGD(), "mixed_float16")
    optimizer.build(network.trainable_variables)

    def gradient(scale=lambda loss: loss):
        with tf.GradientTape() as tape:
            loss = scale(1e-9 * tf.reduce_sum(network(tf.ones((1, 4)))))
        return tape.gradient(loss, kernel)

    expected = gradient()
    with hardware.computing_in("mixed_float16", network):
        assert not np.any(gradient())
        scaled = gradient(optimizer.scale_loss) / optimizer.scale_loss(1.0)
    np.testing.assert_allclose(scaled, expected, rtol=0.01)


@pytest.mark.parametrize("xla", [False, True])
def test_a_step_that_overflows_is_skipped_and_halves_the_scale(xla):
    weight = keras.Variable(1.0)
    optimizer = hardware.wrap_optimizer(keras.optimizers.SGD(0.25), "mixed_float16")
    optimizer.build([weight])

    @tf.function(jit_compile=xla)
    def step(size):
        with tf.GradientTape() as tape:
            loss = optimizer.scale_loss(size * weight)
        optimizer.apply(tape.gradient(loss, [weight]), [weight])

    for size, expected in (
        (1.0, (0.75, 2**15, 1)),
        (1e38, (0.75, 2**14, 1)),
        (1.0, (0.5, 2**14, 2)),
    ):
        step(tf.constant(size))
        found = weight.numpy(), optimizer.dynamic_scale.numpy(), optimizer.iterations.numpy()
        assert found == expected


def test_an_overflow_in_training_costs_one_step():
    model = make_model(precision="mixed_float16")
    optimizer = model.discriminator_optimizer
    optimizer.dynamic_scale.assign(2.0**127)
    before = weights(model, "discriminator"), weights(model, "generator")
    losses = train(model, 1)
    assert np.isfinite(losses["discriminator_loss"]).all()
    np.testing.assert_array_equal(weights(model, "discriminator"), before[0])
    assert not np.array_equal(weights(model, "generator"), before[1])
    assert int(optimizer.iterations) == 0 and optimizer.dynamic_scale.numpy() == 2.0**126


# Which layers compute in which precision.


def odd_network():
    """Wrapped and nested layers, a join, and an interpolation of which half has no gradient."""
    layers = keras.layers
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3), layers.LeakyReLU()])
    inputs = keras.Input((8, 8, 2))
    x = layers.SpectralNormalization(layers.Conv2D(4, 1))(inputs)
    x = layers.BatchNormalization()(layers.Add()([x, x]))
    x = layers.Dropout(0.1)(inner(x))
    x = layers.UpSampling2D(2, interpolation="bicubic")(x)
    x = layers.GlobalAveragePooling2D()(layers.PReLU()(x))
    x = layers.Dense(6)(x)
    x = layers.Reshape((3, 2))(x)
    return keras.Model(inputs, layers.Activation("tanh")(x))


def sequential_network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Rescaling(0.5),
            keras.layers.Dense(4),
        ]
    )


NETWORKS = {
    "generator": (lambda: LESSON_3.build_generator(SHAPE, 20, 4), ["conv2d_transpose"]),
    "discriminator": (lambda: LESSON_3.build_discriminator(SHAPE, 4), ["dense"]),
    "odd": (odd_network, ["up_sampling2d", "dense", "reshape", "activation"]),
    "sequential": (sequential_network, ["dense"]),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    """A network and the kinds of its layers that stay in float32, in their order."""
    keras.utils.set_random_seed(0)
    build, full = NETWORKS[request.param]
    return build(), full


def dtypes(network, images):
    """What every layer really returns."""
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    spy = keras.Model(network.inputs, [layer.output for layer in layers])
    return [(layer.name, value.dtype.name) for layer, value in zip(layers, spy(images))]


@pytest.mark.parametrize("precision", HALVES)
def test_hidden_layers_compute_in_half_and_the_output_is_float32(network, precision):
    network, full = network
    images = tf.random.stateless_normal((4, *network.input_shape[1:]), seed=(0, 0))
    expected = network(images)
    half = precision.removeprefix("mixed_")
    with hardware.computing_in(precision, network):
        found = [(name.rstrip("_0123456789"), dtype) for name, dtype in dtypes(network, images)]
        off = deviation(network(images), expected)
    assert [name for name, dtype in found if dtype != half] == full, found
    assert {dtype for _, dtype in found} == {half, "float32"}
    assert found[-1][1] == "float32"
    assert {variable.dtype for variable in network.variables} <= {"float32", "uint32", "int64"}
    assert 0 < off < 0.02


@pytest.mark.parametrize("loaded", [False, True], ids=["built", "loaded"])
def test_a_network_comes_back_as_it_was(network, loaded, tmp_path):
    network, _ = network
    if loaded:
        network.save(tmp_path / "saved.keras")
        network = helpers.load_model(tmp_path / "saved.keras")
    images = tf.random.stateless_normal((4, *network.input_shape[1:]), seed=(0, 0))
    expected, variables = network(images), [v.numpy() for v in network.variables]

    def saved():
        network.save(tmp_path / "network.keras")
        with zipfile.ZipFile(tmp_path / "network.keras") as file:
            return file.read("config.json")

    config = saved()
    with pytest.raises(ZeroDivisionError), hardware.computing_in("mixed_float16", network):
        assert saved() != config
        1 / 0  # noqa: B018
    assert saved() == config
    np.testing.assert_array_equal(network(images), expected)
    for variable, value in zip(network.variables, variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("precision", HALVES)
def test_all_networks_of_a_training_compute_in_half(precision):
    model = make_model(memory=0.9, precision=precision)
    networks = (model.generator, model.ema_generator, model.discriminator)

    def found():
        return {network.layers[0].compute_dtype for network in networks}

    during = []
    look = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: during.append(found())
    )
    train(model, steps=1, callbacks=[look])
    assert during == [{precision.removeprefix("mixed_")}]
    assert found() == {"float32"}


def test_precision_of_another_name_is_refused():
    with pytest.raises(ValueError, match=r"PRECISION is 'float16'; take \"auto\", 'float32'"):
        make_model(precision="float16")


RESIZES = [
    (kind, interpolation)
    for kind in hardware.XLA_RESIZES
    for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
]


def gradient_of_resizing(kind, interpolation, precision, xla):
    """The gradient, or None where TensorFlow has none."""
    size = 2 if kind is keras.layers.UpSampling2D else (8, 8)
    sizes = (size,) if kind is keras.layers.UpSampling2D else size
    layer = kind(*sizes, interpolation=interpolation, dtype=precision)

    @tf.function(jit_compile=xla)
    def gradient(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(layer(images) ** 2)
        return tape.gradient(loss, images)

    try:
        return gradient(tf.ones((1, 4, 4, 2)))
    except (tf.errors.InvalidArgumentError, TypeError):
        return None


@pytest.mark.parametrize(("kind", "interpolation"), RESIZES)
def test_tables_of_interpolations_are_what_tensorflow_can(kind, interpolation):
    """When this fails, TensorFlow has learned something, and a refusal can go."""
    found = gradient_of_resizing(kind, interpolation, "float32", xla=True) is not None
    assert found == (interpolation in hardware.XLA_RESIZES[kind])
    for precision in HALVES:
        found = gradient_of_resizing(kind, interpolation, precision, xla=False) is not None
        assert found == (interpolation in hardware.HALF_RESIZES)


# XLA and several steps per execution.


# Over three seeds: losses off by 1e-7, gradients by 9e-7, weights by 3e-7 of their length.
def test_first_step_under_xla(one_step):
    expected, expected_losses = one_step[True]
    model = make_model(jit_compile=True)
    losses = train(model, 1)
    for name in LOSSES:
        np.testing.assert_allclose(losses[name], expected_losses[name], rtol=1e-5)
    for network in ("generator", "discriminator"):
        for what in (weights, first_gradients):
            assert deviation(what(model, network), what(expected, network)) < 1e-5


@pytest.mark.parametrize("shape", [(16, 100), (5, 3), (1,)])
def test_latents_do_not_depend_on_xla(shape):
    seed = tf.Variable([3, 7])  # a constant would be folded before XLA sees it

    def draw():
        return hardware.standard_normal(shape, seed + 0)

    plain, compiled = (tf.function(draw, jit_compile=xla)() for xla in (False, True))
    assert plain.shape == shape and plain.dtype == tf.float32
    np.testing.assert_allclose(plain, compiled, atol=1e-5)
    np.testing.assert_allclose(plain, tf.random.stateless_normal(shape, seed=(3, 7)), atol=1e-5)


def test_latents_are_finite_and_standard_normal():
    latents = hardware.standard_normal((100_000, 3), (0, 0)).numpy()
    np.testing.assert_allclose(latents.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(latents.T), np.eye(3), atol=0.02)
    assert np.isfinite(latents).all() and 4 < np.abs(latents).max() < 6


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_several_steps_per_execution_change_no_bit(precision):
    single = make_model(precision=precision)
    several = make_model(precision=precision, steps_per_execution=3)
    assert train(single, 6, epochs=2) == train(several, 6, epochs=2)
    assert_bit_equal(several, single)
    assert int(several.discriminator_optimizer.iterations) == 12


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "mixed_bfloat16"},
        {"precision": "mixed_float16"},
        {"jit_compile": True},
        {"steps_per_execution": 2},
        {"precision": "mixed_float16", "jit_compile": True, "steps_per_execution": 4},
    ],
    ids=["bfloat16", "float16", "xla", "several steps", "all"],
)
def test_resumed_training_equals_an_uninterrupted_one(options, tmp_path):
    whole = make_model(**options)
    train(whole, 4, callbacks=[helpers.Checkpoint(tmp_path, 4, {})])
    resumed = make_model(seed=9, **options)
    assert helpers.Checkpoint(tmp_path, 4, {}).restore(resumed) == 4
    assert train(whole, 4, 2) == train(resumed, 4, 2)
    assert_bit_equal(resumed, whole)


def test_the_rest_of_an_epoch_need_not_be_whole_executions(tmp_path):
    """Stopped one step at a time, at step 3 of 4; gone on with four at a time."""
    whole, stopped, resumed = make_model(), make_model(), make_model(9, steps_per_execution=4)
    train(stopped, 3)
    checkpoint = helpers.Checkpoint(tmp_path, 4, {})
    checkpoint.save(stopped)
    assert checkpoint.restore(resumed) == 3
    expected, found = (
        model.fit(
            helpers.training_batches(IMAGES, BATCH, 0, int(model.step)),
            steps_per_epoch=4,
            epochs=2,
            first_step=int(model.step),
            callbacks=[each],
        ).history
        for model, each in (
            (whole, helpers.Checkpoint(tmp_path / "whole", 4, {})),
            (resumed, checkpoint),
        )
    )
    assert_bit_equal(resumed, whole)
    assert {name: values[-1:] for name, values in expected.items()} == found


@pytest.mark.parametrize("precisions", [("float32", "mixed_float16"), ("mixed_float16", "float32")])
def test_a_training_goes_on_in_another_precision(precisions, tmp_path, capsys):
    before, after = (make_model(seed, precision=p) for seed, p in enumerate(precisions))
    train(before, 2, callbacks=[helpers.Checkpoint(tmp_path, 2, {})])
    assert helpers.Checkpoint(tmp_path, 2, {}).restore(after) == 2
    line = f"Goes on in {precisions[1]}; until now it was {precisions[0]}.\n"
    assert capsys.readouterr().out == line
    for network in ("generator", "discriminator"):
        np.testing.assert_array_equal(weights(after, network), weights(before, network))
        assert int(getattr(after, f"{network}_optimizer").iterations) == 2
    assert np.isfinite(train(after, 2, 2)["generator_loss"]).all()


# What is chosen for a device.


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    """Let TensorFlow report a GPU, or none, and Linux a CPU with such instructions."""

    def devices(details=None, flags=()):
        facts = tmp_path / "cpuinfo"
        facts.write_text("\n".join(["flags\t\t: fpu sse2", *flags]), encoding="utf-8")
        monkeypatch.setattr(hardware, "CPU_FACTS", facts)
        gpus = [] if details is None else ["gpu"]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: gpus)
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)

    devices()
    return devices


@pytest.fixture
def determinism(monkeypatch):
    """Nothing turns it off again, so here it is only counted."""
    calls = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: calls.append(None))
    return calls


def resizing(interpolation, kind=keras.layers.UpSampling2D):
    inner = keras.Sequential([keras.Input((4, 4, 1)), kind(2, interpolation=interpolation)])
    return keras.Sequential(
        [keras.Input((16,)), keras.layers.Reshape((4, 4, 1)), inner, keras.layers.Conv2D(1, 1)]
    )


def options(network=None, steps_per_epoch=78, **wanted):
    return hardware.training_options(
        network or resizing("nearest"), steps_per_epoch, **wanted
    ).values()


T4 = {"device_name": "Tesla T4", "compute_capability": (7, 5)}


@pytest.mark.parametrize(
    ("details", "expected", "line"),
    [
        (None, ("float32", False, 1), "the CPU in float32."),
        (T4, ("mixed_float16", True, 26),
         "Tesla T4 in mixed_float16, with XLA, 26 steps per execution."),
        ({"device_name": "NVIDIA L4", "compute_capability": (8, 9)}, ("mixed_bfloat16", True, 26),
         "NVIDIA L4 in mixed_bfloat16, with XLA, 26 steps per execution."),
        ({"device_name": "Tesla P100", "compute_capability": (6, 0)}, ("float32", True, 26),
         "Tesla P100 in float32, with XLA, 26 steps per execution."),
        ({"compute_capability": (12, 0)}, ("mixed_bfloat16", True, 26),
         "a GPU in mixed_bfloat16, with XLA, 26 steps per execution."),
        ({"device_name": "METAL"}, ("float32", False, 26),
         "METAL in float32, 26 steps per execution."),
    ],
)  # fmt: skip
def test_choice_for_a_device(details, expected, line, pretend, capsys):
    pretend(details)
    assert tuple(options()) == expected
    assert capsys.readouterr().out == f"Trains on {line}\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["avx512f avx512_vnni"], "float32"),
        (["avx512f avx512_bf16"], "mixed_bfloat16"),
        (["amx_tile amx_bf16"], "mixed_bfloat16"),
    ],
)
def test_a_cpu_with_bfloat16_uses_it(flags, expected, pretend, monkeypatch, tmp_path):
    pretend(flags=flags)
    assert next(iter(options())) == expected
    monkeypatch.setattr(hardware, "CPU_FACTS", tmp_path / "no such file")
    assert next(iter(options())) == "float32"


@pytest.mark.parametrize("details", [None, T4], ids=["CPU", "GPU"])
@pytest.mark.parametrize("precision", hardware.PRECISIONS)
@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize("steps", [1, 39])
def test_every_choice_can_be_made_by_hand(details, precision, xla, steps, pretend, capsys):
    pretend(details)
    found = options(precision=precision, xla=xla, steps_per_execution=steps)
    assert tuple(found) == (precision, xla, steps)
    line = capsys.readouterr().out
    assert precision in line and ("XLA" in line) == xla and ("39 steps" in line) == (steps > 1)


@pytest.mark.parametrize(("details", "xla"), [(None, False), (None, True), (T4, False)])
def test_float16_on_a_cpu_comes_with_a_warning(details, xla, pretend, capsys):
    pretend(details)
    options(precision="mixed_float16", xla=xla)
    (line,) = capsys.readouterr().out.splitlines()
    assert ("many times faster in float32" in line) == (details is None and not xla)


def test_options_are_those_of_compile(pretend):
    network = resizing("nearest")
    chosen = hardware.training_options(network, 78, "mixed_float16", True, 2)
    assert chosen == {
        "precision": "mixed_float16", "jit_compile": True, "steps_per_execution": 2,
    }  # fmt: skip
    model = make_model(**chosen)
    assert model.jit_compile is True and model.steps_per_execution == 2


@pytest.mark.parametrize(
    ("steps_per_epoch", "expected"), [(78, 26), (64, 32), (157, 1), (1, 1), (33, 11), (30, 30)]
)
def test_an_epoch_on_a_gpu_is_whole_executions(steps_per_epoch, expected, pretend):
    pretend(T4)
    assert list(options(steps_per_epoch=steps_per_epoch))[2] == expected


@pytest.mark.parametrize(
    ("steps", "epoch", "near"),
    [(10, 78, "6 or 13"), (40, 78, "39 or 78"), (100, 78, "78"), (5, 7, "1 or 7")],
)
def test_steps_that_do_not_divide_an_epoch_are_refused(steps, epoch, near, pretend):
    with pytest.raises(ValueError) as caught:
        options(steps_per_epoch=epoch, steps_per_execution=steps)
    assert str(caught.value) == (
        f"STEPS_PER_EXECUTION is {steps}, which does not divide the {epoch} steps of an epoch; "
        f"take {near}, or 0 to have it chosen."
    )


def test_keras_runs_past_an_epoch_that_is_not_whole_executions():
    """Why they are refused."""
    model = make_model(steps_per_execution=3)
    train(model, 4)
    assert int(model.generator_optimizer.iterations) == 6


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"precision": "float16"}, "PRECISION is 'float16'; take \"auto\", 'float32'"),
        ({"precision": None}, "PRECISION is None; take"),
        ({"xla": "on"}, "XLA is 'on'; take \"auto\", True or False."),
        ({"xla": 1}, "XLA is 1; take"),
        ({"steps_per_execution": -1}, "STEPS_PER_EXECUTION is -1; take a whole number, or 0"),
        ({"steps_per_execution": 2.0}, "STEPS_PER_EXECUTION is 2.0; take"),
        ({"steps_per_execution": True}, "STEPS_PER_EXECUTION is True; take"),
        ({"deterministic": "yes"}, "DETERMINISTIC is 'yes'; take True or False."),
        ({"xla": True, "deterministic": True},
         "XLA is True, but its kernels do not keep what DETERMINISTIC = True promises; "
         'set XLA to "auto" or False.'),
    ],
)  # fmt: skip
def test_bad_values_are_refused(wanted, sentence, pretend, determinism, capsys):
    with pytest.raises(ValueError) as caught:
        options(**wanted)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert not determinism and not capsys.readouterr().out


@pytest.mark.parametrize("details", [None, T4], ids=["CPU", "GPU"])
def test_determinism_is_enabled_and_xla_is_not(details, pretend, determinism, capsys):
    pretend(details)
    assert list(options(deterministic=True))[1] is False
    assert len(determinism) == 1
    assert ", the same in every run." in capsys.readouterr().out
    options()
    assert len(determinism) == 1


@pytest.mark.parametrize(
    ("network", "part"),
    [
        (lambda: resizing("bicubic"), "it has no gradient of bicubic interpolation (up_sampling2d"),
        (lambda: resizing("lanczos3"), "it has no gradient of lanczos3 interpolation"),
        (lambda: keras.Sequential([keras.Input((4, 4, 1)), keras.layers.RandomZoom(0.1)]),
         "it cannot compile the layer random_zoom"),
    ],
)  # fmt: skip
def test_networks_that_xla_cannot_train(network, part, pretend):
    pretend(T4)
    network = network()
    assert list(options(network))[1] is False
    with pytest.raises(ValueError) as caught:
        options(network, xla=True)
    assert str(caught.value).startswith(f"XLA is True, but {part}")
    assert str(caught.value).endswith('; set XLA to "auto" or False.')


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_networks_that_xla_can_train(interpolation, pretend):
    pretend(T4)
    assert list(options(resizing(interpolation)))[1] is True


def test_the_whole_model_is_looked_at(pretend):
    pretend(T4)
    discriminator = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Resizing(4, 4, interpolation="nearest"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model = helpers.AdversarialModel(resizing("nearest"), discriminator)
    assert list(options(model.generator))[1] is True
    assert list(options(model))[1] is False


def test_several_replicas_take_one_plain_step_at_a_time(pretend):
    pretend(T4)
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        assert tuple(options()) == ("mixed_float16", False, 1)
        assert tuple(options(steps_per_execution=1)) == ("mixed_float16", False, 1)
        with pytest.raises(ValueError, match=r"STEPS_PER_EXECUTION is 2, but under tf\.distribute"):
            options(steps_per_execution=2)
        with pytest.raises(ValueError, match=r"XLA is True, but it does not go with tf\.distri"):
            options(xla=True)
