"""Labels on their way through batches, model, previews and distance."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers.evaluation.metrics import frechet_distance
from helpers.refused import Refused
from tests.training.toy import (
    BATCH,
    CARD,
    COUNT,
    HELD_OUT,
    IMAGES,
    SEED,
    assert_equal,
    make_networks,
    train,
)

LESSON = helpers.taught("further/choose")
LABELS = np.arange(COUNT) % 3
HELD_OUT_LABELS = np.arange(len(HELD_OUT)) % 3
ROWS = np.arange(3).repeat(2)  # of the previews: two pictures of each class


def make_model():
    """A toy of three classes, each of which adds a row of its own to latent and image."""
    keras.utils.set_random_seed(1)
    generator, discriminator = make_networks()

    def with_label(network):
        first, label = keras.Input(network.input_shape[1:]), keras.Input((), dtype="int32")
        row = keras.layers.Embedding(3, int(np.prod(first.shape[1:])))(label)
        row = keras.layers.Reshape(first.shape[1:])(row)
        return keras.Model([first, label], network(keras.layers.Add()([first, row])))

    pair = with_label(generator), with_label(discriminator)
    model = LESSON.ConditionalDCGAN(*pair, seed=SEED, ema_decay=0.9, labels=ROWS)
    model.statistics_batches = 4
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02))
    return model


def test_every_image_keeps_its_label_and_a_later_start_finds_the_same_pairs():
    numbered = np.arange(COUNT, dtype=np.uint8).reshape(-1, 1, 1, 1) * np.ones((8, 8, 1), np.uint8)
    pairs = list(helpers.training_batches(numbered, BATCH, SEED, labels=LABELS).take(8))
    for images, labels in pairs:
        numbers = np.round((images[:, 0, 0, 0].numpy() + 1) * 127.5).astype(int)
        np.testing.assert_array_equal(labels, LABELS[numbers])
    later = list(helpers.training_batches(numbered, BATCH, SEED, 5, LABELS).take(3))
    for one, other in zip(pairs[5:], later, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_too_few_labels_are_refused():
    with pytest.raises(Refused, match="26 images and 25 labels; each image needs one"):
        helpers.training_batches(IMAGES, BATCH, SEED, labels=LABELS[:-1])


def test_a_training_with_labels_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = make_model()
    train(whole, tmp_path / "whole", 3, labels=(LABELS, HELD_OUT_LABELS))
    train(make_model(), tmp_path / "parts", 1, labels=(LABELS, HELD_OUT_LABELS))
    resumed = make_model()
    train(resumed, tmp_path / "parts", 3, labels=(LABELS, HELD_OUT_LABELS))
    assert_equal(resumed, whole)
    np.testing.assert_array_equal(resumed.preview(), whole.preview())


def test_previews_and_distance_are_of_the_labels_they_are_said_to_be(tmp_path):
    model = make_model()
    train(model, tmp_path, 1, labels=(LABELS, HELD_OUT_LABELS))

    def draw(latents, labels):
        return model.ema_generator([latents, tf.constant(labels)], training=False)

    latents = tf.random.stateless_normal((len(ROWS), 4), seed=(SEED, -1))
    np.testing.assert_array_equal(model.preview(), draw(latents, ROWS))
    assert np.abs(model.preview() - draw(latents, ROWS[::-1])).max() > 0.01
    held_out = tf.random.stateless_normal((len(HELD_OUT), 4), seed=(SEED, -2))
    space = helpers.feature_space(None, SimpleNamespace(card=CARD), "random")
    drawn = helpers.to_uint8(draw(held_out, HELD_OUT_LABELS))
    features = [space.extract_features(images)[0] for images in (drawn, HELD_OUT)]
    (distance,) = helpers.load_table(tmp_path / "history.csv")["distance"]
    assert distance == pytest.approx(frechet_distance(*features), rel=1e-4)


def test_statistics_are_those_of_all_classes():
    """A generator of one layer that shows the label: its mean must be that of all three."""
    latents, label = keras.Input((4,)), keras.Input((), dtype="int32")
    shown = keras.layers.Embedding(3, 1, keras.initializers.Constant(0), name="shown")(label)
    x = keras.layers.BatchNormalization()(shown)
    x = keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(x))
    pair = keras.Model([latents, label], x), make_model().discriminator
    model = LESSON.ConditionalDCGAN(*pair, seed=SEED, ema_decay=0.9, labels=ROWS)
    model.ema_generator.get_layer("shown").set_weights([np.array([[0], [3], [6]], "f4")])
    model.estimate_statistics()
    norm = next(
        layer
        for layer in model.ema_generator.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    assert float(norm.moving_mean[0]) == pytest.approx(3, abs=0.3)  # of 1,024 draws


@pytest.mark.parametrize("labels, networks", [(ROWS, make_networks), (None, None)])
def test_networks_and_labels_must_fit(labels, networks):
    pair = networks() if networks else (make_model().generator, make_model().discriminator)
    with pytest.raises(ValueError, match="the second one is for labels"):
        LESSON.ConditionalDCGAN(*pair, labels=labels)
