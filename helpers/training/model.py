"""The plumbing of an adversarial pair under `keras.Model.fit`: compile, fit, metrics, state."""

import math
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from helpers.notebook import Refused
from helpers.training.interrupt import postponed_interrupt
from helpers.training.options import computing_in, standard_normal, wrap_optimizer


class AdversarialModel(keras.Model):
    """A generator and a discriminator with one optimizer each; subclasses add `train_step`.

    Random latents depend on the seed and on the number of steps taken, so a restored model draws
    what an uninterrupted one would have drawn.

    `ema_generator` draws the previews and is what is scored and saved. With a `memory` it is a
    copy of the generator, which `train_step` must keep moving towards it; without, the generator
    itself. `best_generator` is a copy of it as `keep_generator` found it last. Both stay trainable,
    for a frozen one would be saved frozen; no optimizer knows them.

    Args:
        generator: latents float32 (N, latent_dim) to images float32 (N, H, W, C) in [-1, 1].
        discriminator: such images to logits float32 (N, 1); positive means "real".
        seed: of the latents drawn in training and of the fixed preview latents.
        previews: number of fixed latents whose images are shown after each epoch.
        memory: share of the average, at most, that stays at each step; 0.0 for no average.

    Raises:
        ValueError: the discriminator does not take what the generator makes, or a memory outside
            [0, 1).
    """

    def __init__(self, generator, discriminator, seed=0, previews=64, memory=0.0):
        super().__init__()
        if generator.output_shape[1:] != discriminator.input_shape[1:]:
            raise ValueError(
                f"The generator makes images of shape {generator.output_shape[1:]}, the "
                f"discriminator takes {discriminator.input_shape[1:]}; build both for one shape."
            )
        if not 0 <= memory < 1:
            raise ValueError(f"The memory of the average is {memory}; it lies from 0 to below 1.")
        self.generator = generator
        self.discriminator = discriminator
        self.memory = memory
        self.ema_generator = _copy(generator) if memory else generator
        self.best_generator = _copy(generator)
        self.latent_dim = generator.input_shape[-1]
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
        self.score_metrics = [
            keras.metrics.Mean(name=name)
            for name in (
                "discriminator_loss", "generator_loss", "real_accuracy", "generated_accuracy",
                "gradient_norm",
            )
        ]  # fmt: skip
        self.built = True

    def compile(self, generator_optimizer, discriminator_optimizer, precision="float32", **options):
        """Like `keras.Model.compile`, with two optimizers, both built on their variables.

        Args:
            precision: "float32", "mixed_bfloat16" or "mixed_float16", in which `fit` computes; the
                last with loss scaling, which `train_step` takes part in by `scale_loss`.
            options: of `keras.Model.compile`.

        Raises:
            ValueError: one optimizer for both networks, or an unknown precision.
        """
        if generator_optimizer is discriminator_optimizer:
            raise ValueError("Each network needs an optimizer of its own: pass two, not one twice.")
        self.precision = precision
        super().compile(optimizer=wrap_optimizer(generator_optimizer, precision), **options)
        self.discriminator_optimizer = wrap_optimizer(discriminator_optimizer, precision)
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def fit(self, batches, steps_per_epoch, epochs, first_step=0, **options):
        """Like `keras.Model.fit`, but from a step, which may lie in the middle of an epoch.

        Args:
            batches: a dataset of real images, float32 (N, H, W, C) in [-1, 1], that begins with the
                batch of `first_step`.
            steps_per_epoch: training steps, one batch each.
            epochs: in all, with the ones that `first_step` leaves behind.
            first_step: how many steps this model has taken.

        Raises:
            Refused: these networks have been trained already, and it is not gone on from there; or
                there is no epoch to train.
        """
        if epochs < 1:
            raise Refused(f"EPOCHS is {epochs}; it is a number of epochs, at least 1.")
        trained = getattr(self.generator, "has_trained", False) and not first_step
        if trained or int(self.step) != first_step:
            raise Refused(
                "These networks have been trained. To go on with them, set RESUME = True; to start "
                "over, run all cells from the top, so that new ones are made."
            )
        epoch, done = divmod(first_step, steps_per_epoch)
        options = {"shuffle": False, "verbose": 0} | options  # the batches have their order
        with (
            self._noting_whether_trained(),
            postponed_interrupt() as self.interrupt,
            computing_in(self.precision, *self.networks),
        ):
            if done and epoch < epochs:
                rest = steps_per_epoch - done
                with self._executing(math.gcd(rest, self.steps_per_execution)):
                    super().fit(
                        batches,
                        steps_per_epoch=rest,
                        initial_epoch=epoch,
                        epochs=epoch + 1,
                        **options,
                    )
                batches, epoch = batches.skip(rest), epoch + 1
            return super().fit(
                batches,
                steps_per_epoch=steps_per_epoch,
                initial_epoch=epoch,
                epochs=epochs,
                **options,
            )

    @contextmanager
    def _noting_whether_trained(self):
        """After the block, the generator knows it; the model of another cell may have it, too."""
        try:
            yield
        finally:
            self.generator.has_trained = int(self.step) > 0

    @contextmanager
    def _executing(self, steps):
        """Within the block, `fit` takes so many steps per execution."""
        usual = self.steps_per_execution
        if steps != usual:
            self.steps_per_execution, self.train_function = steps, None
        try:
            yield
        finally:
            if steps != usual:
                self.steps_per_execution, self.train_function = usual, None

    @property
    def networks(self):
        """Those that `train_step` computes with."""
        return {self.generator, self.ema_generator, self.discriminator}

    @property
    def generator_optimizer(self):
        return self.optimizer

    def keep_generator(self):
        """Let `best_generator` be `ema_generator` as it is now."""
        _assign(self.best_generator, self.ema_generator)

    def sample_latents(self, count, draw=0):
        """Standard normal latents, float32 (count, latent_dim), new at every training step.

        A step that draws more than once gives each draw a number of its own.
        """
        seed = tf.convert_to_tensor(self.seed) + draw * 1_000_003
        seed = tf.stack([seed, tf.convert_to_tensor(self.step)])
        return standard_normal((count, self.latent_dim), seed)

    def report(
        self, discriminator_loss, generator_loss, real_logits, generated_logits, gradients
    ) -> dict:
        """Count the step, add it to the epoch's means and return them; the end of `train_step`.

        Args:
            gradients: of the generator's (scaled) loss, as its optimizer gets them.

        Returns:
            Two losses; the share of real images with a positive logit and of generated images
            with a negative one; the global norm of the generator's gradients.
        """
        self.step.assign_add(1)
        norm = tf.linalg.global_norm(gradients) / self.generator_optimizer.scale_loss(1.0)
        finite = tf.math.is_finite(norm)  # with float16, steps that overflow are left out
        values = (
            (discriminator_loss, None),
            (generator_loss, None),
            (tf.cast(real_logits > 0, tf.float32), None),
            (tf.cast(generated_logits < 0, tf.float32), None),
            (tf.where(finite, norm, 0.0), tf.cast(finite, tf.float32)),
        )
        for metric, (value, weight) in zip(self.score_metrics, values):
            metric.update_state(value, weight)
        return {metric.name: metric.result() for metric in self.score_metrics}

    def state(self) -> dict:
        """Every variable that training changes or depends on, in named groups."""
        optimizers = {
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        plain = {name: getattr(o, "inner_optimizer", o) for name, o in optimizers.items()}
        known = {id(variable) for o in plain.values() for variable in o.variables}
        groups = {
            "generator": self.generator.variables,
            "ema_generator": self.ema_generator.variables if self.memory else [],
            "best_generator": self.best_generator.variables,
            "discriminator": self.discriminator.variables,
            **{name: optimizer.variables for name, optimizer in plain.items()},
            "loss_scales": [
                variable
                for optimizer in optimizers.values()
                for variable in optimizer.variables
                if id(variable) not in known
            ],
            "random": [self.seed, self.step, self.fixed_latents],
            "means": [variable for metric in self.score_metrics for variable in metric.variables],
        }
        known = {id(variable) for group in groups.values() for variable in group}
        groups["others"] = [variable for variable in self.variables if id(variable) not in known]
        return groups

    def preview(self):
        """Images of the preview latents, float32 (previews, H, W, C) in [-1, 1]."""
        return self.ema_generator(tf.convert_to_tensor(self.fixed_latents), training=False)


def _copy(network):
    copy = keras.models.clone_model(network)
    _assign(copy, network)
    return copy


def _assign(network, other):
    """Give a network the variables of another one of the same design."""
    for variable, now in zip(network.variables, other.variables, strict=True):
        variable.assign(np.asarray(now))
