"""A peer: the relativistic loss with both gradient penalties, on the course's networks.

Huang et al., 2024, arXiv 2501.05441 ("R3GAN"): each real image is compared with a generated one,
and the discriminator's squared slope is held small at both. It has no batch normalisation, so it
starts with He's weights.
"""

import keras
import tensorflow as tf

import helpers
from tests.taught_model import compiled

PENALTY = 1.0
RECIPE = {
    "batch_size": 32,
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "betas": (0.0, 0.99),
    "ema_decay": 0.999,
}
architecture, training = helpers.taught("03_architecture"), helpers.taught("04_training")


def recipe(image_shape, seed, feature_maps):
    """The model, compiled, and its batch size."""
    generator = architecture.build_generator(image_shape, feature_maps=feature_maps)
    discriminator = build_discriminator(image_shape, feature_maps)
    model = Relativistic(generator, discriminator, seed=seed, ema_decay=RECIPE["ema_decay"])
    return compiled(model, RECIPE), RECIPE["batch_size"]


def build_discriminator(image_shape, feature_maps):
    """Lesson 3's discriminator without batch normalisation, with He's weights."""
    images = keras.Input(image_shape)
    x = images
    for level in range(len(architecture.halvings(image_shape[0])) - 1):
        x = architecture.downsample(x, feature_maps * 2**level, 4, batch_norm=False)
    logits = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    network = keras.Model(images, logits, name="discriminator")
    he = keras.initializers.HeNormal()
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(he(layer.kernel.shape))
    return network


class Relativistic(training.DCGAN):
    def train_step(self, real_images):
        latents = self.sample_latents(real_images.shape[0])
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            generated_images = self.generator(latents, training=True)
            real_logits, real_penalty = self.judge(real_images)
            generated_logits, generated_penalty = self.judge(generated_images)
            lead = real_logits - generated_logits
            penalties = PENALTY / 2 * (real_penalty + generated_penalty)
            d_loss = tf.reduce_mean(tf.nn.softplus(-lead)) + penalties
            g_loss = tf.reduce_mean(tf.nn.softplus(lead))
        d_weights = self.discriminator.trainable_variables
        g_weights = self.generator.trainable_variables
        d_gradients = d_tape.gradient(d_loss, d_weights)
        g_gradients = g_tape.gradient(g_loss, g_weights)
        self.discriminator_optimizer.apply(d_gradients, d_weights)
        self.generator_optimizer.apply(g_gradients, g_weights)
        training.update_ema(self.ema_generator, self.generator, self.step, self.ema_decay)
        return self.report(d_loss, g_loss, real_logits, generated_logits, g_gradients)

    def judge(self, images):
        """Logits, and the mean over the images of the squared length of the logit's slope."""
        with tf.GradientTape() as slope_tape:
            slope_tape.watch(images)
            logits = self.discriminator(images, training=True)
        slope = slope_tape.gradient(logits, images)
        return logits, tf.reduce_mean(tf.reduce_sum(slope**2, axis=(1, 2, 3)))
