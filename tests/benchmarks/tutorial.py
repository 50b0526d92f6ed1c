"""The peer: the recipe of TensorFlow's DCGAN tutorial, written from its published settings.

tensorflow.org/tutorials/generative/dcgan: batches of 256, both gradients from one pass, Adam with
1e-4 and Keras's other defaults, Keras's own starting weights, latents of 100 normal numbers.
"""

import keras
import tensorflow as tf
from keras import layers

import helpers

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def losses(real_logits, generated_logits):
    """The discriminator's loss and the generator's."""
    d_loss = cross_entropy(tf.ones_like(real_logits), real_logits)
    d_loss += cross_entropy(tf.zeros_like(generated_logits), generated_logits)
    return d_loss, cross_entropy(tf.ones_like(generated_logits), generated_logits)


class Tutorial(helpers.AdversarialModel):
    def train_step(self, real_images):
        latents = self.sample_latents(real_images.shape[0])
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            generated_images = self.generator(latents, training=True)
            real_logits = self.discriminator(real_images, training=True)
            generated_logits = self.discriminator(generated_images, training=True)
            d_loss, g_loss = losses(real_logits, generated_logits)
        d_weights = self.discriminator.trainable_variables
        g_weights = self.generator.trainable_variables
        g_gradients = g_tape.gradient(g_loss, g_weights)
        self.discriminator_optimizer.apply(d_tape.gradient(d_loss, d_weights), d_weights)
        self.generator_optimizer.apply(g_gradients, g_weights)
        return self.report(d_loss, g_loss, real_logits, generated_logits, g_gradients)


def recipe(image_shape, seed, feature_maps):
    """The model, compiled, and its batch size; for 28x28 gray only, with 64 feature maps."""
    if (*image_shape, feature_maps) != (28, 28, 1, 64):
        raise ValueError(f"The tutorial is for 28x28 gray with 64 maps, not {image_shape}.")
    model = Tutorial(build_generator(), build_discriminator(), seed=seed)
    model.compile(keras.optimizers.Adam(1e-4), keras.optimizers.Adam(1e-4))
    return model, 256


def build_generator():
    def paint(maps, strides, **options):
        return layers.Conv2DTranspose(
            maps, 5, strides=strides, padding="same", use_bias=False, **options
        )

    return keras.Sequential([
        keras.Input((100,)),
        layers.Dense(7 * 7 * 256, use_bias=False),
        layers.BatchNormalization(),
        layers.LeakyReLU(negative_slope=0.3),
        layers.Reshape((7, 7, 256)),
        paint(128, 1),
        layers.BatchNormalization(),
        layers.LeakyReLU(negative_slope=0.3),
        paint(64, 2),
        layers.BatchNormalization(),
        layers.LeakyReLU(negative_slope=0.3),
        paint(1, 2, activation="tanh"),
    ])  # fmt: skip


def build_discriminator():
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(64, 5, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.3),
        layers.Dropout(0.3),
        layers.Conv2D(128, 5, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.3),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(1),
    ])  # fmt: skip


def make_step(generator, discriminator, generator_optimizer, discriminator_optimizer, batch_size):
    """The tutorial's compiled step for any networks: real images in, nothing out."""

    @tf.function
    def step(real_images):
        latents = tf.random.normal((batch_size, generator.input_shape[-1]))
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            generated_images = generator(latents, training=True)
            real_logits = discriminator(real_images, training=True)
            generated_logits = discriminator(generated_images, training=True)
            d_loss, g_loss = losses(real_logits, generated_logits)
        g_weights, d_weights = generator.trainable_variables, discriminator.trainable_variables
        generator_optimizer.apply(g_tape.gradient(g_loss, g_weights), g_weights)
        discriminator_optimizer.apply(d_tape.gradient(d_loss, d_weights), d_weights)

    return step
