"""What does lesson 4 cost beside its training steps: previews, history, distance, checkpoints?

python -m tests.benchmarks.callbacks [--steps 200]

Trains the course's recipe for 28x28 with the callbacks of lesson 4, as many steps as asked for in
each of six epochs, and prints what each callback takes in an epoch, as a share of the time that
60,000 images take. The images are noise, for the time is the same. Starting and tracing come before
and are not counted.
"""

import argparse
import io
import os
import tempfile
import time
from collections import Counter
from contextlib import redirect_stdout
from types import SimpleNamespace

import numpy as np
from IPython.core.interactiveshell import InteractiveShell

import helpers
from helpers.training.callbacks import Distance
from tests.taught_model import taught_model

SHAPE = (28, 28, 1)
EPOCHS = 2 * Distance.EVERY


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    InteractiveShell.instance()  # without one, no picture is drawn
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):  # the bar
        os.environ["DCGAN_RUNS"] = folder
        seconds, batch_size, spent = measure(steps)
    training = seconds - sum(spent.values())
    epoch = training / (EPOCHS * steps) * (60_000 // batch_size)
    print(f"an epoch of 60,000 images: {epoch:.1f} s, from {EPOCHS * steps} steps")
    ends = {name: each / EPOCHS for (name, hook), each in spent.items() if hook == "on_epoch_end"}
    for name, each in ends.items():
        print(f"{name:12} {each:6.2f} s at the end of an epoch, {each / epoch:.2%} of it")
    print(f"{'in all':12} {sum(ends.values()):6.2f} s, {sum(ends.values()) / epoch:.2%}")
    batches = sum(each for (_, hook), each in spent.items() if hook == "on_train_batch_end")
    print(f"after each step, all together: {batches / training:.2%} of the time of the steps")


def measure(steps) -> tuple:
    """Seconds of six epochs, images a batch, and seconds within each callback's hooks."""
    run, images = helpers.open_run("fashion_mnist"), made_of_noise()
    model, batch_size = taught_model(SHAPE)
    checkpoint = helpers.Checkpoint(run.folder, {}, images.card)
    # One epoch more than is trained, for the last of all measures a distance, due or not.
    callbacks = helpers.training_callbacks(run, images, checkpoint, 1 + EPOCHS + 1)

    def train(done, epochs):
        batches = helpers.training_batches(images.train_images, batch_size, 0, done * steps)
        model.fit(batches, epochs, initial_epoch=done, steps_per_epoch=steps, callbacks=callbacks)

    train(0, 1)
    spent = Counter()
    for callback in callbacks:
        for hook in ("on_epoch_end", "on_train_batch_end"):
            setattr(callback, hook, timed(callback, hook, spent))
    start = time.perf_counter()
    train(1, 1 + EPOCHS)
    return time.perf_counter() - start, batch_size, spent


def made_of_noise():
    noise = np.random.default_rng(0).integers(0, 256, (2, Distance.IMAGES, *SHAPE), np.uint8)
    card = {"dataset": "fashion_mnist", "title": "Fashion-MNIST", "image_shape": SHAPE}
    card |= {"labelled": True, "class_names": ["any"] * 10, "images": "noise", "profile": "full"}
    return SimpleNamespace(card=card, train_images=noise[0], held_out_images=noise[1])


def timed(callback, hook, spent):
    """The hook, which adds the seconds it takes to those spent."""
    action, what = getattr(callback, hook), (type(callback).__name__, hook)

    def act(*arguments, **named):
        start = time.perf_counter()
        action(*arguments, **named)
        spent[what] += time.perf_counter() - start

    return act


if __name__ == "__main__":
    main()
