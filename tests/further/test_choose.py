"""The lesson on labels: its networks, its step, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers.machine import ROOT
from helpers.networks import flat_layers
from helpers.training.options import computing_in
from tests.further.cells import stopped_by
from tests.test_lessons import execute, printed

LESSON = ROOT / "notebooks" / "further" / "choose.ipynb"
architecture, training = helpers.taught("03_architecture"), helpers.taught("04_training")
lesson = helpers.taught("further/choose")
LABELS = tf.constant([0, 1, 2, 2])

every_shape = pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3), (11, 11, 3)], ids=str)
every_way = pytest.mark.parametrize("way", lesson.WAYS)


@every_shape
def test_the_order_changes_the_picture_and_the_latent_too(shape):
    generator = lesson.build_generator(shape, 3, feature_maps=8)
    latents = tf.random.stateless_normal((1, 100), seed=(0, 0))
    latents = tf.concat([tf.repeat(latents, 3, axis=0), -latents], axis=0)
    pictures = generator([latents, LABELS], training=True).numpy()
    assert pictures.shape == (4, *shape) and np.abs(pictures).max() <= 1
    assert all(np.abs(pictures[a] - pictures[b]).max() > 1e-4 for a, b in [(0, 1), (1, 2), (2, 3)])


@every_way
@every_shape
def test_a_discriminator_hears_the_order_and_learns_from_it(shape, way):
    discriminator = lesson.WAYS[way](shape, 3, feature_maps=8)
    image = tf.random.stateless_uniform((1, *shape), (0, 0), -1.0, 1.0)
    images = tf.repeat(image, 4, axis=0)
    with tf.GradientTape() as tape:
        logits = discriminator([images, LABELS], training=False)
        loss = training.generator_loss(logits)
    assert logits.shape == (4, 1) and float(logits[2, 0]) == pytest.approx(float(logits[3, 0]))
    assert abs(float(logits[0, 0] - logits[1, 0])) > 1e-6
    for gradient in tape.gradient(loss, discriminator.trainable_variables):
        assert float(tf.norm(tf.convert_to_tensor(gradient))) > 0


def test_the_projection_adds_the_sum_of_products():
    """To the logit of lesson 3's discriminator inside it."""
    discriminator = lesson.WAYS["projection"]((28, 28, 1), 3, feature_maps=8)
    (table,) = (layer for layer in discriminator.layers if hasattr(layer, "embeddings"))
    (judge,) = (layer for layer in discriminator.layers if isinstance(layer, keras.Model))
    images = tf.random.stateless_uniform((4, 28, 28, 1), (0, 0), -1.0, 1.0)
    features, looks_real = judge(images, training=False)
    fits = np.sum(features * table.embeddings.numpy()[LABELS], axis=1, keepdims=True)
    logits = discriminator([images, LABELS], training=False)
    np.testing.assert_allclose(logits, looks_real + fits, rtol=1e-4, atol=1e-5)


@every_way
def test_in_half_precision_the_logit_is_computed_in_full(way):
    discriminator = lesson.WAYS[way]((28, 28, 1), 3, feature_maps=8)
    with computing_in("mixed_bfloat16", discriminator):
        computes = {
            type(layer): layer.compute_dtype
            for layer in flat_layers(discriminator)
            if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))
        }
    assert computes == {keras.layers.Conv2D: "bfloat16", keras.layers.Dense: "float32"}


def test_where_nobody_listens_to_the_label_the_step_is_lesson_4s():
    shape, images = (11, 11, 1), tf.random.stateless_uniform((4, 11, 11, 1), (0, 0), -1.0, 1.0)
    models = []
    for kind in (training.DCGAN, lesson.ConditionalDCGAN):
        keras.utils.set_random_seed(0)
        pair = [
            build(shape, feature_maps=8)
            for build in (architecture.build_generator, architecture.build_discriminator)
        ]
        options = {"seed": 1, "ema_decay": 0.9}
        if kind is lesson.ConditionalDCGAN:
            label = keras.Input((), dtype="int32")
            pair = [keras.Model([each.input, label], each.output) for each in pair]
            options["labels"] = [0, 1]
        models.append(kind(*pair, **options))
        models[-1].compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    plain, conditional = models
    expected, found = plain.train_step(images), conditional.train_step((images, LABELS))
    assert float(found["generator_loss"]) == float(expected["generator_loss"])
    for name in ("generator", "discriminator", "ema_generator"):
        weights = zip(getattr(plain, name).weights, getattr(conditional, name).weights, strict=True)
        assert all(np.array_equal(one, other) for one, other in weights)


def test_the_shipped_generator_obeys_and_is_small():
    """The classifier sees what was ordered in at least 0.95 of the share of real images, 0.92."""
    path = helpers.ASSETS / "trained" / "fashion_mnist-28" / "conditional_generator.keras"
    assert path.stat().st_size < 4e6
    orders = np.arange(500) % 10
    latents = np.random.default_rng(0).standard_normal((500, 100)).astype(np.float32)
    pictures = helpers.load_model(path).predict([latents, orders], verbose=0)
    classifier = helpers.load_model(helpers.ASSETS / "classifiers" / "fashion_mnist.keras")
    assert np.mean(classifier.predict(pictures, verbose=0).argmax(axis=1) == orders) > 0.88


# The lesson as a whole


def test_images_without_classes_are_refused_in_one_sentence(tmp_path, monkeypatch):
    said = stopped_by(LESSON, tmp_path, monkeypatch, "load", DATASET="emoji")
    assert said.startswith("Noto Emoji has no classes to order; take a set that has")


def test_an_unknown_way_is_refused(tmp_path, monkeypatch):
    said = stopped_by(LESSON, tmp_path, monkeypatch, "load", WAY="plan")
    assert said == "WAY is 'plan'; it is plane or projection."


def test_own_pictures_in_colour_with_three_classes(tmp_path, monkeypatch):
    """From a folder with a folder for each class, to the file at the end."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("middle", 128), ("light", 210)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(140):
            picture = np.clip(rng.normal(level, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
            helpers.save_png(tmp_path / "pictures" / name / f"{number}.png", picture)
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    executed = execute(
        LESSON, LESSON.parent, DATASET=str(tmp_path / "pictures"), IMAGE_SIZE=16, RUN_NAME="own",
        EPOCHS=1, WAY="projection",
    )  # fmt: skip
    assert "3 classes: dark, light, middle" in printed(executed)
    generator = helpers.load_model(tmp_path / "runs" / "own-choose" / "conditional_generator.keras")
    drawn = generator([tf.zeros((3, 100)), tf.range(3)])
    assert drawn.shape == (3, 16, 16, 3)
