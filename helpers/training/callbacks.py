"""Keras callbacks of lesson 4: what is seen and measured, and what stops a training."""

import math
import time

import keras
import numpy as np
import tensorflow as tf
from IPython import get_ipython
from IPython.display import display

from helpers.data.images import normalise
from helpers.drive import save_run
from helpers.evaluation.features import circumstances, feature_space, figure
from helpers.evaluation.metrics import frechet_distance
from helpers.networks import with_labels
from helpers.plots import image_grid, live_picture, png
from helpers.refused import Stopped
from helpers.training.history import best_epoch, diagnose
from helpers.training.previews import Previews, as_pictures, evenly


def training_callbacks(run, images, checkpoint, epochs: int) -> list:
    """The callbacks of lesson 4, in the order in which they build on each other.

    Args:
        run: the run whose folder is written to.
        images: its images, as `prepare` gives them.
        checkpoint: its `Checkpoint`.
        epochs: to train in all.
    """
    previews = Previews(run, images)
    return [
        StopAtNaN(checkpoint),
        previews,
        Ends(previews, images),
        Distance(run, images, checkpoint, epochs),
        checkpoint,
        LiveView(previews, checkpoint, epochs),
        SaveToDrive(run),
    ]


class StopAtNaN(keras.callbacks.Callback):
    """End the training as soon as a loss is not a finite number, looked at after each execution.

    The model goes back to the last checkpoint.

    Raises:
        Stopped: from `fit`; names the loss and the step and says what to try.
    """

    on_every_machine = True  # where several train together; the others are the chief's

    def __init__(self, checkpoint):
        super().__init__()
        self.checkpoint = checkpoint

    def on_train_batch_end(self, batch, logs=None):
        for name, value in logs.items():
            if not math.isfinite(value):
                step = int(self.model.step.numpy())
                epochs = self.checkpoint.restore(self.model)
                raise Stopped(
                    f"{name} became {value} at step {step}, in epoch {epochs + 1}. The networks "
                    "are back in the state before that epoch. Take smaller learning rates, in a "
                    "new run (RUN_NAME), and check that the images lie in [-1, 1]."
                )


class Ends(keras.callbacks.Callback):
    """After the first epoch of a `fit`, say in a line that a network seems to end in a sigmoid."""

    def __init__(self, previews, images):
        super().__init__()
        self.previews, self.images, self.looked = previews, images, False

    def on_epoch_end(self, epoch, logs=None):
        if self.looked:
            return
        self.looked = True
        drawn, labels = self.previews.images, self.model.fixed_labels
        count = min(len(drawn), len(self.images.train_images))
        real = evenly(self.images.train_images, count)
        its_labels = None if labels is None else evenly(self.images.train_labels, count)
        answers = [
            self.model.discriminator(with_labels(normalise(some), names), training=False)
            for some, names in ((real, its_labels), (drawn, labels))
        ]
        answers = np.concatenate(answers)
        if answers.min() >= 0 and answers.max() <= 1 and logs["real_accuracy"] > 0.999:
            print(
                "\nAll answers of the discriminator lie between 0 and 1, so it seems to end in a "
                "sigmoid: then its accuracies mean nothing, and a loss of logits teaches little. "
                "End it with Dense(1) alone (lesson 3), in a new run (RUN_NAME)."
            )
        if drawn.min() >= 127 and real.min() < 100:  # 127.5 is the middle
            print(
                "\nThe generator draws no pixel darker than middle gray, so it seems to end in a "
                "sigmoid; end it with tanh (lesson 3), in a new run (RUN_NAME)."
            )


class Distance(keras.callbacks.Callback):
    """Log the Fréchet distance of generated to held-out images as `distance`.

    It is measured every third epoch and at the last one; in between, nan is logged. The latents
    are the same each time. So are the held-out images and the feature space, a classifier where
    there is one and else random convolutions: InceptionV3 would take too long. Up to 2,000 images
    of each kind are compared, fewer where fewer are held out, none where that is one.

    The circumstances go to `checkpoint.floor`, with what as many training images score. A training
    that is resumed under others says so and measures no more: its curve would mean nothing.

    Raises:
        OSError: from `fit`; a classifier of these images cannot be saved.
        Refused: from `fit`; the generator's images are no images.
    """

    EVERY = 3  # epochs
    IMAGES = 2000
    BLOCK = 100  # images generated at once; bounds the memory

    def __init__(self, run, images, checkpoint, epochs):
        super().__init__()
        self.run, self.images = run, images
        self.checkpoint, self.epochs = checkpoint, epochs
        self.count = min(self.IMAGES, len(images.held_out_images), len(images.train_images))
        self.space = None

    def on_train_begin(self, logs=None):
        if self.count < 2:
            print("No distance to real pictures is measured: too few images are held out.")
            return
        space = feature_space(self.run, self.images, "classifier")
        self.real = space.extract_features(evenly(self.images.held_out_images, self.count))[0]
        seed = int(self.model.seed.numpy())
        shape = (self.count, self.model.latent_dim)
        self.latents = tf.random.stateless_normal(shape, seed=(seed, -2))
        labelled = self.model.fixed_labels is not None
        self.labels = evenly(self.images.held_out_labels, self.count) if labelled else None
        before = self.checkpoint.floor if best_epoch(self.checkpoint.history) else None
        now = figure(0, space, self.count, self.count, seed)
        if before and before | {"value": 0.0} != now:
            print(
                f"No distance is measured any more: until now it was that of "
                f"{circumstances(before)}; now it would be that of {circumstances(now)}."
            )
            return
        if not before:
            train = space.extract_features(evenly(self.images.train_images, self.count))[0]
            self.checkpoint.floor = now | {"value": frechet_distance(train, self.real)}
        self.space = space

    def on_epoch_end(self, epoch, logs=None):
        due = (epoch + 1) % self.EVERY == 0 or epoch + 1 == self.epochs
        logs["distance"] = self.measure() if due and self.space else math.nan

    def measure(self) -> float:
        """The distance of the generator as it is now, in squared units of the features."""
        pictures = []
        for at in range(0, self.count, self.BLOCK):
            block = slice(at, at + self.BLOCK)
            labels = None if self.labels is None else self.labels[block]
            inputs = with_labels(self.latents[block], labels)
            pictures.append(as_pictures(self.model.ema_generator(inputs, training=False)))
        return frechet_distance(self.space.extract_features(np.concatenate(pictures))[0], self.real)


class LiveView(keras.callbacks.Callback):
    """Previews and curves in one picture, and one progress bar, both updated in place.

    The first diagnosis (`helpers.training.history`) is printed.
    """

    def __init__(self, previews, checkpoint, epochs):
        super().__init__()
        self.previews, self.checkpoint, self.epochs = previews, checkpoint, epochs
        self.shown = None
        self.diagnosis = ""

    def on_train_begin(self, logs=None):
        self.draw()
        self.first_step = int(self.model.step.numpy())
        steps = (self.epochs - len(self.checkpoint.history)) * self.params["steps"]
        self.bar = keras.utils.Progbar(steps, width=20)

    def on_train_batch_end(self, batch, logs=None):
        if self.previews.images is not self.drawn:
            self.draw()
        self.bar.update(int(self.model.step.numpy()) - self.first_step)

    def on_epoch_end(self, epoch, logs=None):
        self.draw()
        if not self.diagnosis:
            self.diagnosis = diagnose(self.checkpoint.history)
            if self.diagnosis:
                print(f"\n{self.diagnosis}")

    def draw(self):
        self.drawn = self.previews.images
        if get_ipython() is None:  # a script has no cell to show it in
            return
        images, rows = self.drawn, self.checkpoint.history
        labels = self.model.fixed_labels  # a row for each class, where there are any
        columns = None if labels is None else int(np.sum(labels == labels[0]))
        grid = image_grid(images, columns, scale=2 if images.shape[1] < 64 else 1)
        picture = png(live_picture(grid, rows, self.epochs, self.checkpoint.floor))
        if self.shown is None:
            self.shown = display(picture, display_id=True)
        else:
            self.shown.update(picture)


class SaveToDrive(keras.callbacks.Callback):
    """Copy the run to Drive after an epoch, at most every two minutes, if it has a folder there."""

    SECONDS = 120

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_train_begin(self, logs=None):
        self.saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self.saved >= self.SECONDS:
            save_run(self.run)
            self.saved = time.monotonic()
