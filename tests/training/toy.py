"""A toy adversarial pair on noise, and what notebook 4 does with a pair; for several tests."""

import signal
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

import helpers

COUNT, BATCH, SEED = 26, 8, 3
STEPS = COUNT // BATCH
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 1), np.uint8)
HELD_OUT = np.random.default_rng(1).integers(0, 256, (20, 8, 8, 1), np.uint8)
SETTINGS = {"BATCH_SIZE": BATCH, "SEED": SEED}
CARD = {"dataset": "own", "title": "noise", "labelled": False, "image_shape": [8, 8, 1]}
CARD |= {"profile": "tiny", "images": "f00d"}
LESSON = helpers.taught("04_training")


class ToyGAN(LESSON.DCGAN):
    """The lesson's own; `bad_step` makes one loss NaN at that step, counted from 0."""

    bad_step = -1
    statistics_batches = 4

    def report(self, d_loss, g_loss, *others):
        g_loss = tf.where(tf.equal(self.step, self.bad_step), np.nan, g_loss)
        return super().report(d_loss, g_loss, *others)


def make_networks(units=16, last=(keras.layers.Activation, "tanh"), initializer="glorot_uniform"):
    kind, argument = last
    generator = keras.Sequential([
        keras.Input((4,)),
        keras.layers.Dense(units, kernel_initializer=initializer),
        keras.layers.BatchNormalization(momentum=0.8),  # state that no gradient changes
        keras.layers.ReLU(),
        keras.layers.Dense(64),
        keras.layers.Reshape((8, 8, 1)),
        kind(argument),
    ])  # fmt: skip
    discriminator = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="tanh"),
        keras.layers.Dense(1),
    ])  # fmt: skip
    return generator, discriminator


def make_model(
    weights_seed=1, seed=SEED, kind=ToyGAN, ema_decay=0.9, networks=None, max_shift=0, noise=0.0,
    **options,
):  # fmt: skip
    keras.utils.set_random_seed(weights_seed)
    networks = networks or make_networks()
    seen = {"max_shift": max_shift, "noise": noise}
    model = kind(*networks, seed=seed, previews=5, ema_decay=ema_decay, **seen)
    model.compile(
        keras.optimizers.Adam(0.01, beta_1=0.5), keras.optimizers.Adam(0.02, beta_1=0.5), **options
    )
    return model


def train(
    model, folder, epochs, *more, held_out=HELD_OUT, settings=SETTINGS, card=CARD, labels=None
):
    """What notebook 4 does: restore, then go on; returns the epochs restored.

    Args:
        labels: of `IMAGES` and of the held-out ones, a pair; None for a model without labels.
    """
    checkpoint = helpers.Checkpoint(folder, settings, card)
    done = checkpoint.restore(model)
    run = SimpleNamespace(folder=folder, drive=None)
    train_labels, held_out_labels = labels or (None, None)
    images = SimpleNamespace(
        card=card, train_images=IMAGES, train_labels=train_labels, held_out_images=held_out,
        held_out_labels=held_out_labels,
    )  # fmt: skip
    model.fit(
        helpers.training_batches(IMAGES, BATCH, SEED, done * STEPS, train_labels),
        steps_per_epoch=STEPS,
        initial_epoch=done,
        epochs=epochs,
        callbacks=[*more, *helpers.training_callbacks(run, images, checkpoint, epochs)],
    )
    return done


class PressStop(keras.callbacks.Callback):
    """Interrupts this process after a number of steps, as a kernel's stop button does."""

    def __init__(self, step, epoch_end=False):
        super().__init__()
        self.step, self.epoch_end = step, epoch_end

    def on_train_batch_end(self, batch, logs=None):
        if not self.epoch_end and int(self.model.step.numpy()) == self.step:
            signal.raise_signal(signal.SIGINT)

    def on_epoch_end(self, epoch, logs=None):
        if self.epoch_end and int(self.model.step.numpy()) == self.step:
            signal.raise_signal(signal.SIGINT)


def values(model):
    """A copy of every variable that training changes or depends on."""
    groups = {
        "generator": model.generator.variables,
        "ema": model.ema_generator.variables,
        "best": model.best_generator.variables,
        "discriminator": model.discriminator.variables,
        "generator_optimizer": model.generator_optimizer.variables,
        "discriminator_optimizer": model.discriminator_optimizer.variables,
        "constant": [model.seed, model.fixed_latents],
        "step": [model.step],
    }
    return {
        f"{group} {number}": np.copy(variable.numpy())
        for group, variables in groups.items()
        for number, variable in enumerate(variables)
    }


def assert_equal(found, expected):
    """Two models, or what `values` gave of them, agree in every bit."""
    found, expected = (
        each if isinstance(each, dict) else values(each) for each in (found, expected)
    )
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def files(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())
