"""The plumbing of an adversarial pair under `keras.Model.fit`: compile, latents, metrics."""

import keras
import tensorflow as tf

from helpers.networks import flat_layers, with_labels
from helpers.refused import Refused, Stopped
from helpers.training.distributed import (
    fit_on_replicas,
    own_slice,
    replicas_here,
    replicas_of,
    require_no_clipping,
    summed,
)
from helpers.training.options import computing_in

MEANS = (
    "discriminator_loss", "generator_loss", "real_accuracy", "generated_accuracy", "gradient_norm",
)  # fmt: skip


class AdversarialModel(keras.Model):
    """A generator and a discriminator with one optimizer each; subclasses add `train_step`.

    Random latents depend on the seed and on the number of steps taken, so a restored model draws
    what an uninterrupted one would have drawn.

    `ema_generator` draws the previews and is what is scored and saved. With an `ema_decay` it is a
    copy of the generator, which `train_step` must keep moving towards it; what its batch
    normalisations use in inference is estimated at the end of `fit`, and by the previews before
    they draw. Without, it is the generator itself.
    `best_generator` is a copy of it as `keep_generator` found it last. Both stay trainable, for a
    frozen one would be saved frozen; no optimizer knows them.

    Args:
        generator: latents float32 (N, latent_dim) to images float32 (N, H, W, C) in [-1, 1]. With
            `labels`, it takes a list of latents and labels int32 (N,), and the discriminator one
            of images and labels.
        discriminator: such images to logits float32 (N, 1); positive means "real".
        seed: of the latents drawn in training and of the fixed latents.
        previews: number of fixed latents whose images are shown after each epoch.
        ema_decay: share of the averaged weights, at most, that stays at each step, in [0, 1);
            0.0 for no average.
        labels: int (previews,), the class of each fixed latent's image, or None.
        max_shift: pixels by which `train_step` moves images at most, with `sample_starts`; 0 for
            none.
        noise: standard deviation of what `with_noise` adds, in units of the images; 0.0 for none.

    Raises:
        ValueError: the discriminator does not take what the generator makes, another ema_decay, a
            shift that is no whole number from 0 to below the images' sides, noise below 0, or
            labels without networks that take them, or the other way round.
    """

    statistics_batches = 32  # for `estimate_statistics`

    def __init__(
        self, generator, discriminator, seed=0, previews=64, ema_decay=0.0, labels=None,
        max_shift=0, noise=0.0,
    ):  # fmt: skip
        super().__init__()
        made, taken = generator.output_shape[1:], discriminator.inputs[0].shape[1:]
        if made != taken:
            raise ValueError(
                f"The generator makes images of shape {made}, the discriminator takes {taken}; "
                "build both for one shape."
            )
        inputs = 1 if labels is None else 2
        for network in (generator, discriminator):
            if len(network.inputs) != inputs:
                raise ValueError(
                    f"The {network.name} has {len(network.inputs)} inputs, and {inputs} are given; "
                    "the second one is for labels, which the model needs, too: labels=…"
                )
        if not 0 <= ema_decay < 1:
            raise ValueError(f"ema_decay is {ema_decay}; it lies from 0 to below 1.")
        if max_shift not in range(min(made[:2])):
            raise ValueError(
                f"max_shift is {max_shift}; it is a whole number of pixels from 0 to below "
                f"{min(made[:2])}."
            )
        if not noise >= 0:
            raise ValueError(f"noise is {noise}; it is a standard deviation, at least 0.")
        self.max_shift, self.noise = max_shift, noise
        self.generator = generator
        self.discriminator = discriminator
        self.ema_decay = ema_decay
        self.ema_generator = _copy(generator) if ema_decay else generator
        self.best_generator = _copy(generator)
        self.latent_dim = generator.inputs[0].shape[-1]
        self.fixed_labels = None if labels is None else tf.constant(labels, tf.int32)
        previews = previews if labels is None else len(labels)
        self.seed = self.add_weight(name="seed", shape=(), dtype="int32", trainable=False)
        self.seed.assign(seed)
        self.step = self.add_weight(name="step", shape=(), dtype="int32", trainable=False)
        self.step.assign(0)
        self.fixed_latents = self.add_weight(
            name="fixed_latents", shape=(previews, self.latent_dim), trainable=False
        )
        self.fixed_latents.assign(
            tf.random.stateless_normal((previews, self.latent_dim), seed=(seed, -1))
        )
        self.means = [keras.metrics.Mean(name=name) for name in MEANS]
        self.built = True

    def compile(self, generator_optimizer, discriminator_optimizer, precision="float32", **options):
        """Like `keras.Model.compile`, with two optimizers, both built on their variables.

        Args:
            precision: "float32" or "mixed_bfloat16", in which `fit` computes.
            options: of `keras.Model.compile`.

        Raises:
            ValueError: one optimizer for both networks, or one that clips, on several devices.
        """
        if generator_optimizer is discriminator_optimizer:
            raise ValueError("Each network needs an optimizer of its own: pass two, not one twice.")
        if replicas_of(self) > 1:
            for optimizer in (generator_optimizer, discriminator_optimizer):
                require_no_clipping(optimizer)
        self.precision = precision
        super().compile(optimizer=generator_optimizer, **options)
        self.discriminator_optimizer = discriminator_optimizer
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    @property
    def generator_optimizer(self):
        return self.optimizer

    def fit(self, batches, epochs, initial_epoch=0, **options):
        """`keras.Model.fit` in the precision of `compile`; an interrupt ends it with one line.

        Where all epochs are done already, nothing happens.

        Args:
            batches: of `helpers.training_batches`.
            epochs: in all, with those that `initial_epoch` leaves behind.
            options: of `keras.Model.fit`.

        Raises:
            Refused: there is no epoch to train.
            Stopped: by the kernel's stop button, or Ctrl-C.
        """
        if epochs < 1:
            raise Refused(f"EPOCHS is {epochs}; it is a number of epochs, at least 1.")
        if initial_epoch >= epochs:
            return None
        options = {"initial_epoch": initial_epoch} | options
        networks = (self.generator, self.ema_generator, self.discriminator)
        try:
            with computing_in(self.precision, *networks):
                if replicas_of(self) > 1:
                    history = fit_on_replicas(self, batches, epochs=epochs, **options)
                else:
                    options = {"shuffle": False, "verbose": 0} | options
                    history = super().fit(batches, epochs=epochs, **options)
                self.estimate_statistics()
                return history
        except KeyboardInterrupt:
            raise Stopped(
                "Stopped. Run this cell again: with RESUME = True a training with checkpoints goes "
                "on after its last finished epoch; one without starts anew."
            ) from None
        finally:
            if self.step.numpy():  # for the model of another cell may have this generator, too
                self.generator.has_trained = True

    def sample_latents(self, count):
        """Standard normal latents, float32 (count, latent_dim), new at every training step."""
        shape = (count * replicas_here(), self.latent_dim)  # of the global batch
        return own_slice(tf.random.stateless_normal(shape, self._seed_at(self.step)))

    def sample_starts(self, count):
        """Where to cut windows: int32 (count, 2) from 0 to 2 * max_shift, new at every step."""
        shape = (count * replicas_here(), 2)
        seed = self._seed_at(-100 - 2 * self.step)  # which nothing else has
        most = 2 * self.max_shift + 1
        return own_slice(tf.random.stateless_uniform(shape, seed, 0, most, tf.int32))

    def with_noise(self, real_images, generated_images):
        """Both batches, each with normal noise of its own, new at every step."""
        if not self.noise:
            return real_images, generated_images
        count, *rest = real_images.shape
        seed = self._seed_at(-101 - 2 * self.step)  # nor this one
        noise = tf.random.stateless_normal((count * replicas_here(), 2, *rest), seed)
        noise = self.noise * own_slice(noise)
        return real_images + noise[:, 0], generated_images + noise[:, 1]

    def _seed_at(self, number):
        return tf.stack([tf.convert_to_tensor(self.seed), tf.convert_to_tensor(number)])

    def report(
        self, discriminator_loss, generator_loss, real_logits, generated_logits, gradients
    ) -> dict:
        """Count the step, add it to the epoch's means and return them; the end of `train_step`.

        Args:
            gradients: of the generator's loss, as its optimizer gets them.

        Returns:
            Two losses; the share of real images with a positive logit and of generated images
            with a negative one; the global norm of the generator's gradients.
        """
        self.step.assign_add(1)
        values = (
            discriminator_loss,
            generator_loss,
            tf.cast(real_logits > 0, tf.float32),
            tf.cast(generated_logits < 0, tf.float32),
            tf.linalg.global_norm(summed(gradients)),
        )
        for mean, value in zip(self.means, values):
            mean.update_state(value)
        return {mean.name: mean.result() for mean in self.means}

    def save(self, *arguments, **options):
        """Not as one file: Keras cannot make a pair with its optimizers anew from one.

        Raises:
            Refused: always; says what to save.
        """
        raise Refused(
            "A pair of networks is not saved as one model: save model.generator or "
            "model.ema_generator. The whole training is in the run's checkpoints after each epoch, "
            "and Keras's ModelCheckpoint works with save_weights_only=True."
        )

    def estimate_statistics(self):
        """Estimate the means and variances by which `ema_generator` normalises in inference.

        They become the mean of what some batches of 32 images have that it draws now.
        """
        if not self.ema_decay:
            return
        norms = [
            layer
            for layer in flat_layers(self.ema_generator)
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        momenta = [norm.momentum for norm in norms]
        for number in range(self.statistics_batches):
            for norm in norms:  # so that all batches count alike
                norm.momentum = number / (number + 1)
            seed = (int(self.seed.numpy()), -3 - number)
            labels = self.fixed_labels
            if labels is not None:
                places = tf.random.stateless_uniform((32,), seed, 0, len(labels), tf.int32)
                labels = tf.gather(labels, places)
            latents = tf.random.stateless_normal((32, self.latent_dim), seed)
            self.ema_generator(with_labels(latents, labels), training=True)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum

    def preview(self):
        """Images of the fixed latents, float32 (previews, H, W, C) in [-1, 1]."""
        latents = tf.convert_to_tensor(self.fixed_latents)
        return self.ema_generator(with_labels(latents, self.fixed_labels), training=False)

    def keep_generator(self):
        """Let `best_generator` be `ema_generator` as it is now."""
        self.best_generator.set_weights(self.ema_generator.get_weights())


def _copy(network):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy
