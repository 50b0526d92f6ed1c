"""The plumbing of an adversarial pair under `keras.Model.fit`: compile, metrics, state."""

import keras
import tensorflow as tf


class AdversarialModel(keras.Model):
    """A generator and a discriminator with one optimizer each; subclasses add `train_step`.

    Random latents depend on the seed and on the number of steps taken, so a restored model draws
    what an uninterrupted one would have drawn.

    Args:
        generator: latents float32 (N, latent_dim) to images float32 (N, H, W, C) in [-1, 1].
        discriminator: such images to logits float32 (N, 1); positive means "real".
        seed: of the latents drawn in training and of the fixed preview latents.
        previews: number of fixed latents whose images are shown after each epoch.

    Raises:
        ValueError: the discriminator does not take what the generator makes.
    """

    def __init__(self, generator, discriminator, seed=0, previews=64):
        super().__init__()
        if generator.output_shape[1:] != discriminator.input_shape[1:]:
            raise ValueError(
                f"The generator makes images of shape {generator.output_shape[1:]}, the "
                f"discriminator takes {discriminator.input_shape[1:]}; build both for one shape."
            )
        self.generator = generator
        self.discriminator = discriminator
        self.latent_dim = generator.input_shape[-1]
        self.seed = self.add_weight(name="seed", shape=(), dtype="int32", trainable=False)
        self.seed.assign(seed)
        self.preview_latents = self.add_weight(
            name="preview_latents", shape=(previews, self.latent_dim), trainable=False
        )
        self.preview_latents.assign(
            tf.random.stateless_normal((previews, self.latent_dim), seed=(seed, -1))
        )
        self.score_metrics = [
            keras.metrics.Mean(name=name)
            for name in (
                "discriminator_loss", "generator_loss", "real_accuracy", "generated_accuracy",
            )
        ]  # fmt: skip
        self.built = True

    def compile(self, generator_optimizer, discriminator_optimizer, **options):
        """Like `keras.Model.compile`, with two optimizers, both built on their variables."""
        if generator_optimizer is discriminator_optimizer:
            raise ValueError("Each network needs an optimizer of its own: pass two, not one twice.")
        super().compile(optimizer=generator_optimizer, **options)
        self.discriminator_optimizer = discriminator_optimizer
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    @property
    def generator_optimizer(self):
        return self.optimizer

    def sample_latents(self, count):
        """Standard normal latents, float32 (count, latent_dim), new at every training step."""
        step = tf.cast(self.generator_optimizer.iterations, tf.int32)
        seed = tf.stack([tf.convert_to_tensor(self.seed), step])
        return tf.random.stateless_normal((count, self.latent_dim), seed=seed)

    def report(self, discriminator_loss, generator_loss, real_logits, generated_logits) -> dict:
        """Add one step to the epoch's means and return them: two losses, two accuracies.

        Real accuracy is the share of real images with a positive logit, generated accuracy the
        share of generated images with a negative one.
        """
        values = (
            discriminator_loss,
            generator_loss,
            tf.cast(real_logits > 0, tf.float32),
            tf.cast(generated_logits < 0, tf.float32),
        )
        for metric, value in zip(self.score_metrics, values):
            metric.update_state(value)
        return {metric.name: metric.result() for metric in self.score_metrics}

    def state(self) -> dict:
        """Every variable that training changes or depends on, in named groups."""
        return {
            "generator": self.generator.variables,
            "discriminator": self.discriminator.variables,
            "generator_optimizer": self.generator_optimizer.variables,
            "discriminator_optimizer": self.discriminator_optimizer.variables,
            "random": [self.seed, self.preview_latents],
        }

    def preview(self):
        """Images of the preview latents, float32 (previews, H, W, C) in [-1, 1]."""
        return self.generator(tf.convert_to_tensor(self.preview_latents), training=False)
