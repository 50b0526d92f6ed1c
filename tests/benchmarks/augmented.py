"""The course's recipe, whose discriminator sees every image varied at random, real or generated.

Zhao et al., 2020, arXiv 2006.10738 ("DiffAugment"): another brightness, a shift, a square cut out,
with gradients through all three. The sizes are theirs.
"""

import keras
import tensorflow as tf

import helpers

architecture, training = helpers.taught("03_architecture"), helpers.taught("04_training")


def recipe(*ways):
    """A function of (image_shape, seed, feature_maps) to a compiled model and its batch size."""

    def make(image_shape, seed, feature_maps):
        settings = training.RECIPES["course"]
        generator = architecture.build_generator(image_shape, feature_maps=feature_maps)
        judge = architecture.build_discriminator(image_shape, feature_maps=feature_maps)
        images = keras.Input(image_shape)
        discriminator = keras.Model(images, judge(Vary(ways)(images)), name="discriminator")
        model = training.DCGAN(generator, discriminator, seed=seed, ema_decay=settings["ema_decay"])
        model.compile(
            *(
                training.make_optimizer(settings[f"{name}_rate"], *settings["betas"])
                for name in ("generator", "discriminator")
            ),
            **helpers.training_options(model, steps_per_epoch=1),
        )
        return model, settings["batch_size"]

    return make


class Vary(keras.layers.Layer):
    """Vary images (N, H, W, C) in [-1, 1] in training; functions of images and a seed say how."""

    def __init__(self, ways):
        super().__init__()
        self.ways = ways
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, images, training=False):
        if training:
            for way in self.ways:
                images = way(images, self.seeds.next())
        return images

    def get_config(self):  # which checkpoints compare
        return super().get_config() | {"ways": [way.__name__ for way in self.ways]}


def brighten(images, seed):
    """All pixels of an image plus one number from -0.5 to 0.5."""
    shape = (tf.shape(images)[0], 1, 1, 1)
    more = tf.random.stateless_uniform(shape, tf.cast(seed, tf.int32), -0.5, 0.5)
    return images + tf.cast(more, images.dtype)


def shift(images, seed):
    """Each image moved by at most an eighth of its side, gray beyond its border."""
    side = images.shape[1]
    most = round(side / 8)
    images = tf.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    starts = _whole((2, tf.shape(images)[0], 1), seed, 2 * most + 1)
    rows, columns = tf.unstack(tf.range(side) + starts)
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def cut_out(images, seed):
    """A square of half the side becomes gray in each image, somewhere, maybe over the border."""
    side = images.shape[1]
    down, right = tf.unstack(
        tf.abs(tf.range(side) - _whole((2, tf.shape(images)[0], 1), seed, side)) <= side // 4
    )
    hole = down[:, :, None] & right[:, None, :]
    return tf.where(hole[..., None], tf.zeros((), images.dtype), images)


def _whole(shape, seed, below):
    """Random whole numbers from 0 to below this, int32."""
    return tf.random.stateless_uniform(shape, tf.cast(seed, tf.int32), 0, below, tf.int32)
