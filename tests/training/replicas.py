"""One process with four logical CPUs: what toy trainings give on 1, 2 and 4 of them, as JSON.

python -m tests.training.replicas FOLDER

TensorFlow can be given logical CPUs only before it starts, so no test can do this in its own
process.
"""

import json
import shutil
import sys
from pathlib import Path

import helpers  # isort: skip  before TensorFlow, for oneDNN
import keras
import numpy as np
import tensorflow as tf

from helpers.refused import Refused, Stopped
from helpers.training.model import MEANS
from tests.training import toy

BATCH = 8


def strategy_of(replicas):
    """What `open_devices` makes of `replicas` CPUs, of the four that there are."""
    if replicas == 1:
        return tf.distribute.get_strategy()
    cpus = [cpu.name for cpu in tf.config.list_logical_devices("CPU")][:replicas]
    return tf.distribute.MirroredStrategy(cpus, tf.distribute.ReductionToOneDevice())


def make_networks():
    """The toy pair, with batch normalisation in both."""
    generator, _ = toy.make_networks()
    discriminator = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(4, 3, strides=2),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.LeakyReLU(negative_slope=0.2),
        keras.layers.Flatten(),
        keras.layers.Dense(1),
    ])  # fmt: skip
    return generator, discriminator


def make_model(replicas, optimizer=None, kind=toy.ToyGAN):
    with strategy_of(replicas).scope():
        keras.utils.set_random_seed(1)
        model = toy.make_model(kind=kind, networks=make_networks(), max_shift=1, noise=0.2)
        if optimizer:
            model.compile(optimizer(), optimizer())
    return model


def weights(model, what="trainable_variables"):
    networks = (model.generator, model.discriminator, model.ema_generator)
    return [np.array(each.numpy()) for network in networks for each in getattr(network, what)]


class Losses(keras.callbacks.Callback):
    """Both losses after each step."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def on_train_batch_end(self, batch, logs=None):
        self.rows.append([logs[name] for name in MEANS])


class FirstStep(Losses):
    """Takes the first step with rate 1, keeps how it moved the weights, and takes it back."""

    def on_train_begin(self, logs=None):
        self.before = self.model.get_weights()
        self.optimizers = (self.model.generator_optimizer, self.model.discriminator_optimizer)
        for optimizer in self.optimizers:
            optimizer.learning_rate = 1.0

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            trained = (self.model.generator, self.model.discriminator)
            after = [each.numpy() for network in trained for each in network.trainable_variables]
            self.model.set_weights(self.before)
            before = [each.numpy() for network in trained for each in network.trainable_variables]
            moved = [(one - other).ravel() for one, other in zip(before, after)]
            self.gradients = np.concatenate(moved)
            for optimizer in self.optimizers:
                optimizer.learning_rate = 1e-2


def train(replicas, steps, kind=toy.ToyGAN):
    """SGD; the gradients of the first step, the losses of each, weights and statistics after."""
    model, seen = make_model(replicas, lambda: keras.optimizers.SGD(1.0), kind), FirstStep()
    devices = model.distribute_strategy
    batches = helpers.training_batches(toy.IMAGES, BATCH, toy.SEED, devices=devices)
    model.fit(batches, steps_per_epoch=1, epochs=1 + steps, callbacks=[seen])
    weights_after = weights(model), weights(model, "non_trainable_variables")
    return seen.gradients, np.array(seen.rows), *weights_after


def apart(ones, others):
    return max(float(np.abs(one - other).max()) for one, other in zip(ones, others, strict=True))


def difference(ones, others):
    return float(np.linalg.norm(ones - others) / np.linalg.norm(ones))


class Own(toy.ToyGAN):
    """A discriminator that answers 0 to everything; a loss that is no mean over the images."""

    @staticmethod
    def discriminator_loss(real_logits, generated_logits):
        return toy.LESSON.discriminator_loss(0.0 * real_logits, 0.0 * generated_logits)

    @staticmethod
    def generator_loss(generated_logits):
        return tf.math.log(tf.reduce_sum(tf.exp(-generated_logits)))


class Mixed(toy.ToyGAN):
    @staticmethod
    def generator_loss(generated_logits):
        theirs = toy.LESSON.generator_loss(generated_logits)
        return theirs + 0.1 * tf.reduce_mean(generated_logits**2)


def sentence(action):
    try:
        action()
    except (Refused, Stopped, ValueError) as said:
        return str(said)
    return None


def same_steps(found):
    """Fifty steps with SGD, on one, two and four."""
    gradients, rows, after, statistics = train(1, 50)
    for replicas in (2, 4):
        its_gradients, its_rows, its_after, its_statistics = train(replicas, 50)
        found[f"on {replicas}"] = {
            "gradients": difference(gradients, its_gradients),
            "first row": apart(rows[:1], its_rows[:1]),
            "losses": apart(rows[:, :2], its_rows[:, :2]),
            "weights": apart(after, its_after),
            "statistics": apart(statistics, its_statistics),
        }
    gradients, rows, *_ = train(2, 0, Own)
    found["own loss"] = difference(train(1, 0, Own)[0], gradients)
    found["undecided"] = float(rows[0, 0])


def checkpoints(found, folder):
    """Lesson 4's training with Adam and all callbacks: six steps on two, then on one and four.

    The stop button ends both after five more.
    """
    rows = {}
    for replicas in (1, 2):
        model, losses = make_model(replicas), Losses()
        layers = [layer.get_config() for layer in model.discriminator.layers]
        toy.train(model, folder / f"{replicas}", 2, losses)
        rows[replicas] = np.array(losses.rows)
    found["Adam on 2"] = apart(rows[1], rows[2])
    found["layers as before"] = layers == [
        layer.get_config() for layer in model.discriminator.layers
    ]
    helpers.save_model(model.ema_generator, folder / "on_two.keras")
    alone = helpers.load_model(folder / "on_two.keras")
    found["file"] = apart(alone.get_weights(), model.ema_generator.get_weights())
    ends = []
    for replicas in (1, 4):
        place = folder / f"then_{replicas}"
        shutil.copytree(folder / "2" / "checkpoints", place / "checkpoints")
        model, losses = make_model(replicas), Losses()
        stop = toy.PressStop(2 * toy.STEPS + 5)
        found[f"stopped on {replicas}"] = sentence(
            lambda model=model, place=place, more=(losses, stop): toy.train(model, place, 4, *more)
        )
        found[f"files on {replicas}"] = toy.files(place)
        ends.append(int(model.step.numpy()))
        rows[replicas] = np.array(losses.rows)
    found["steps taken"], found["Adam on 4"] = ends, apart(rows[1], rows[4])


def sentences(found, folder):
    def fit(model, **options):
        batches = helpers.training_batches(toy.IMAGES, BATCH, toy.SEED)
        model.fit(batches, epochs=1, **({"steps_per_epoch": 3} | options))

    found["option"] = sentence(lambda: fit(make_model(2), validation_data=None))
    found["mixed"] = sentence(lambda: fit(make_model(2, kind=Mixed)))
    model = make_model(2)
    found["batch"] = sentence(
        lambda: helpers.training_batches(toy.IMAGES, 7, 0, devices=model.distribute_strategy)
    )
    for name, options in (("XLA", {"xla": True}), ("steps", {"steps_per_execution": 3})):
        found[name] = sentence(
            lambda options=options: helpers.training_options(model, 3, **options)
        )
    found["options"] = helpers.training_options(model, 3, precision="float32")
    clips = keras.optimizers.Adam(clipnorm=1.0)
    found["clips"] = sentence(lambda: model.compile(clips, keras.optimizers.Adam()))
    found["again"] = helpers.open_devices("cpu:4").num_replicas_in_sync
    found["another number"] = sentence(lambda: helpers.open_devices("cpu:2"))


if __name__ == "__main__":
    helpers.open_devices("cpu:4")
    results = {}
    same_steps(results)
    checkpoints(results, Path(sys.argv[1]))
    sentences(results, Path(sys.argv[1]))
    print(json.dumps(results))
