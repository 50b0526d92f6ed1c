"""The course's recipe, whose discriminator sees every image varied in three ways.

Zhao et al., 2020, arXiv 2006.10738 ("DiffAugment"): another brightness, a shift, a square cut out,
with gradients through all three. The sizes are theirs.
"""

import keras
import tensorflow as tf

import helpers
from tests.taught_model import compiled

architecture, training = helpers.taught("03_architecture"), helpers.taught("04_training")


def recipe(image_shape, seed, feature_maps):
    """The model, compiled, and its batch size."""
    settings = training.RECIPES["course"]
    generator = architecture.build_generator(image_shape, feature_maps=feature_maps)
    judge = architecture.build_discriminator(image_shape, feature_maps=feature_maps)
    images = keras.Input(image_shape)
    discriminator = keras.Model(images, judge(Vary()(images)), name="discriminator")
    model = training.DCGAN(generator, discriminator, seed=seed, ema_decay=settings["ema_decay"])
    return compiled(model, settings), settings["batch_size"]


class Vary(keras.layers.Layer):
    """Vary images (N, H, W, C) in [-1, 1] in training."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, images, training=False):
        if training:
            for way in (brighten, move, cut_out):
                images = way(images, tf.cast(self.seeds.next(), tf.int32))
        return images


def brighten(images, seed):
    """All pixels of an image plus one number from -0.5 to 0.5."""
    shape = (tf.shape(images)[0], 1, 1, 1)
    return images + tf.cast(tf.random.stateless_uniform(shape, seed, -0.5, 0.5), images.dtype)


def move(images, seed):
    """Lesson 4's, by up to an eighth of the side."""
    most = round(images.shape[1] / 8)
    shape = (tf.shape(images)[0], 2)
    starts = tf.random.stateless_uniform(shape, seed, 0, 2 * most + 1, tf.int32)
    return training.shift(images, starts, most)


def cut_out(images, seed):
    """A square of half the side becomes gray in each image, somewhere, maybe over the border."""
    side = images.shape[1]
    middles = tf.random.stateless_uniform((2, tf.shape(images)[0], 1), seed, 0, side, tf.int32)
    down, right = tf.unstack(tf.abs(tf.range(side) - middles) <= side // 4)
    hole = down[:, :, None] & right[:, None, :]
    return tf.where(hole[..., None], tf.zeros((), images.dtype), images)
