"""The peer: the recipe of TensorFlow's DCGAN tutorial, written from its published settings.

tensorflow.org/tutorials/generative/dcgan: batches of 256, both gradients from one pass, Adam with
1e-4 and Keras's other defaults, Keras's own starting weights, latents of 100 normal numbers.
"""

import keras
import tensorflow as tf
from keras import layers

import helpers


def recipe(image_shape, seed, feature_maps):
    """The model, compiled, and its batch size; for 28x28 gray only, with 64 feature maps."""
    if (*image_shape, feature_maps) != (28, 28, 1, 64):
        raise ValueError(f"The tutorial is for 28x28 gray with 64 maps, not {image_shape}.")
    # Lesson 4's losses and order of steps are the tutorial's.
    model = helpers.taught("04_training").DCGAN(build_generator(), build_discriminator(), seed=seed)
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

    lesson = helpers.taught("04_training")

    @tf.function
    def step(real_images):
        latents = tf.random.normal((batch_size, generator.input_shape[-1]))
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            generated_images = generator(latents, training=True)
            real_logits = discriminator(real_images, training=True)
            generated_logits = discriminator(generated_images, training=True)
            d_loss = lesson.discriminator_loss(real_logits, generated_logits)
            g_loss = lesson.generator_loss(generated_logits)
        g_weights, d_weights = generator.trainable_variables, discriminator.trainable_variables
        generator_optimizer.apply(g_tape.gradient(g_loss, g_weights), g_weights)
        discriminator_optimizer.apply(d_tape.gradient(d_loss, d_weights), d_weights)

    return step
