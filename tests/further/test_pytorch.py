"""The lesson on PyTorch: its networks, gradients and steps beside those of lessons 3 and 4."""

import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import helpers
from helpers.machine import ROOT
from tests.further.cells import stopped_by
from tests.test_lessons import execute, printed

LESSON = ROOT / "notebooks" / "further" / "pytorch.ipynb"
architecture, training = helpers.taught("03_architecture"), helpers.taught("04_training")
lesson = helpers.taught("further/pytorch")
BATCH = 8

every_design = pytest.mark.parametrize(
    "shape, kernel_size",
    [((28, 28, 1), 4), ((28, 28, 1), 5), ((64, 64, 3), 4), ((64, 64, 3), 5), ((11, 11, 3), 3)],
    ids=str,
)


def make_pairs(shape, kernel_size=4):
    """Both pairs with the same weights, none of them at its starting value."""
    keras.utils.set_random_seed(0)
    build = (architecture.build_generator, architecture.build_discriminator)
    networks = [each(shape, feature_maps=8, kernel_size=kernel_size) for each in build]
    rng = np.random.default_rng(0)
    for network in networks:
        for weight in network.weights:
            values = weight * rng.uniform(0.5, 1.5, weight.shape)
            weight.assign(values + rng.normal(0, 0.1, weight.shape))
    sides = architecture.halvings(shape[0])
    modules = [
        kind(sides, shape[2], feature_maps=8, kernel_size=kernel_size)
        for kind in (lesson.Generator, lesson.Discriminator)
    ]
    for network, module in zip(networks, modules):
        lesson.carry(network, module.to(lesson.device))
    return networks, modules


def make_batch(shape):
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (BATCH, *shape)).astype(np.float32)
    return images, rng.standard_normal((BATCH, 100)).astype(np.float32)


def keras_gradients(generator, discriminator, real_images, latents):
    with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
        real_logits = discriminator(real_images, training=True)
        generated_logits = discriminator(generator(latents, training=True), training=True)
        d_loss = training.discriminator_loss(real_logits, generated_logits)
        g_loss = training.generator_loss(generated_logits)
    return [
        tape.gradient(loss, network.trainable_variables)
        for tape, loss, network in (
            (g_tape, g_loss, generator),
            (d_tape, d_loss, discriminator),
        )
    ], (float(d_loss), float(g_loss))


def trained_weights(network, module):
    """Each trained weight of a network beside the module's, as arrays with Keras's axes."""
    for weight, tensor in lesson.pairs(network, module):
        if weight.trainable:
            yield weight, lesson.to_keras(weight.name, tensor), tensor


@every_design
def test_the_same_pictures_and_logits(shape, kernel_size):
    (generator, discriminator), modules = make_pairs(shape, kernel_size)
    images, latents = make_batch(shape)
    for module in modules:
        module.eval()
    with torch.no_grad():
        drawn = lesson.to_numpy(modules[0](torch.tensor(latents, device=lesson.device)))
        logits = modules[1](lesson.to_torch(images)).cpu().numpy()
    expected = generator(latents, training=False).numpy()
    assert expected.std() > 0.05
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-5)
    expected = discriminator(images, training=False).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_weights_come_back():
    networks, modules = make_pairs((28, 28, 1))
    for network, module in zip(networks, modules):
        other = keras.models.clone_model(network)
        lesson.carry_back(module, other)
        for weight, copy in zip(network.get_weights(), other.get_weights()):
            np.testing.assert_array_equal(copy, weight)


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3)], ids=str)
def test_the_same_losses_and_gradients(shape):
    networks, modules = make_pairs(shape)
    images, latents = make_batch(shape)
    expected, losses = keras_gradients(*networks, images, latents)
    torch_latents = torch.tensor(latents, device=lesson.device)
    found = lesson.find_gradients(*modules, lesson.to_torch(images), torch_latents)
    assert found == pytest.approx(losses, rel=1e-5)
    for network, module, gradients in zip(networks, modules, expected):
        pairs = list(trained_weights(network, module))
        assert len(pairs) == len(gradients)
        apart, length = 0.0, 0.0
        for (weight, _, tensor), gradient in zip(pairs, gradients):
            apart += np.square(lesson.to_keras(weight.name, tensor.grad) - gradient).sum()
            length += np.square(gradient).sum()
        assert (apart / length) ** 0.5 < 1e-4


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3)], ids=str)
def test_one_step_moves_all_weights_alike(shape):
    """With PyTorch's epsilon at the place of Keras's, and its first correction, 0.01 ** 0.5."""
    networks, modules = make_pairs(shape)
    recipe = training.RECIPES["course"]
    images, latents = make_batch(shape)
    gradients, _ = keras_gradients(*networks, images, latents)
    optimizers = lesson.make_optimizers(*modules, recipe)
    for optimizer in optimizers:
        optimizer.param_groups[0]["eps"] /= (1 - recipe["betas"][1]) ** 0.5
    torch_latents = torch.tensor(latents, device=lesson.device)
    lesson.one_pass(*modules, *optimizers, lesson.to_torch(images), torch_latents)
    for network, module, found, rate in zip(
        networks, modules, gradients, (recipe["generator_rate"], recipe["discriminator_rate"])
    ):
        before = [weight.numpy() for weight in network.trainable_variables]
        training.make_optimizer(rate, *recipe["betas"]).apply(found, network.trainable_variables)
        for (weight, moved, _), start in zip(trained_weights(network, module), before):
            assert np.abs(moved - start).max() > 0
            apart = np.abs(moved - weight) > 0.02 * rate  # a gradient as small as rounding is
            assert apart.mean() < 1e-3


def test_the_tutorials_order_judges_with_the_moved_discriminator():
    networks, (generator, discriminator) = make_pairs((28, 28, 1))
    images, latents = make_batch((28, 28, 1))
    torch_latents = torch.tensor(latents, device=lesson.device)
    torch_images = lesson.to_torch(images)
    still = torch.optim.SGD(generator.parameters(), lr=0.0)
    moving = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    d_loss, g_loss = lesson.judged_later(
        generator, discriminator, still, moving, torch_images, torch_latents
    )
    with torch.no_grad():
        expected = lesson.generator_loss(discriminator(generator(torch_latents))).item()
    assert g_loss == pytest.approx(expected, rel=1e-4)
    _, (d_expected, g_one_pass) = keras_gradients(*networks, images, latents)
    assert d_loss == pytest.approx(d_expected, rel=1e-5) and abs(g_loss - g_one_pass) > 0.01


def test_the_average_moves_as_lesson_4s():
    (generator, _), (module, _) = make_pairs((28, 28, 1))
    average, mean = keras.models.clone_model(generator), make_pairs((28, 28, 1))[1][0]
    lesson.carry(average, mean)
    for step in (0, 5, 50_000):
        training.update_ema(average, generator, step, 0.999)
        lesson.update_average(mean, module, step, 0.999)
    for weight, found, _ in trained_weights(average, mean):
        np.testing.assert_allclose(found, weight, rtol=1e-5, atol=1e-6)


# The lesson as a whole


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The lesson in colour, in a copy of the course in which no other lesson has run."""
    course = tmp_path_factory.mktemp("course")
    for name in ("notebooks", "helpers", "assets"):
        shutil.copytree(ROOT / name, course / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_RUNS", str(course / "runs"))
        folder = course / "notebooks" / "further"
        executed = execute(folder / LESSON.name, folder, DATASET="emoji", STEPS=2)
    return SimpleNamespace(text=printed(executed), run=course / "runs" / "emoji-64-tiny")


def test_it_runs_in_colour_with_the_shipped_networks(alone):
    assert "Trained networks: the shipped ones" in alone.text
    assert alone.text.count("largest difference") == 5
    assert "2 steps of 32 images each" in alone.text


def test_what_it_saves_is_loaded_without_the_course(alone):
    saved = alone.run / "elsewhere"
    weights = torch.load(saved / "generator.pt", weights_only=True)
    shipped = ROOT / "assets" / "trained" / "emoji-64" / "generator_trained.keras"
    generator = helpers.load_model(shipped)
    assert sum(value.numel() for name, value in weights.items() if "num_batches" not in name) == (
        generator.count_params()
    )
    latents = np.load(saved / "latents.npy")
    loaded = tf.saved_model.load(str(saved / "generator_saved_model"))
    served = loaded.serve(latents)
    np.testing.assert_allclose(served, generator(latents, training=False), rtol=0, atol=1e-5)


def test_without_pytorch_one_sentence_says_which_build_is_enough(tmp_path, monkeypatch):
    said = stopped_by(
        LESSON, tmp_path, monkeypatch, "needs",
        prepend="import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'torch' else find(name)",
    )  # fmt: skip
    assert "build for CPUs is enough" in said and "pytorch.org" in said


def test_another_design_is_named_by_its_layer(tmp_path, monkeypatch):
    shape = (28, 28, 1)
    generator = architecture.build_generator(shape)
    discriminator = architecture.build_discriminator(shape)
    steep = next(layer for layer in discriminator.layers if hasattr(layer, "negative_slope"))
    steep.negative_slope = 0.3
    folder = tmp_path / "runs" / "fashion_mnist-28-tiny"
    folder.mkdir(parents=True)
    helpers.save_model(generator, folder / "generator_trained.keras")
    helpers.save_model(discriminator, folder / "discriminator_trained.keras")
    said = stopped_by(LESSON, tmp_path, monkeypatch, "design-checked")
    number = discriminator.layers.index(steep)
    assert f"Layer {number} of your discriminator: negative_slope is 0.3, in lesson 3 0.2" in said
