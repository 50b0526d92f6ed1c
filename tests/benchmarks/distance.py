"""What does the distance to real pictures cost, beside the training it is measured in?

python -m tests.benchmarks.distance [--rounds 5]

Prints the seconds of one measurement (2,000 pictures of the default generator for 28x28, the
shipped classifier of Fashion-MNIST) as a share of an epoch of 60,000 images: 468 steps of batch 128
with the default networks. Each round trains some steps, then measures, so that other work on the
machine slows both alike. Beside the seconds of the clock stand those of the processor.
"""

import argparse
import time
from types import SimpleNamespace

import numpy as np

import helpers
from helpers.callbacks import Distance
from tests.benchmarks.data import BATCH_SIZE, make_model

EPOCH, STEPS = 60_000 // BATCH_SIZE, 20
SHAPE = (28, 28, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    clock, processor = measure(parser.parse_args().rounds, STEPS)
    print(
        f"one measurement is {clock:.1%} of an epoch by the clock, {processor:.1%} by the "
        f"processor; it is made every {Distance.EVERY} epochs"
    )


def measure(rounds, steps) -> np.ndarray:
    """A measurement as a share of an epoch, by the clock and by the processor; prints its parts."""
    model, distance, batches = set_up()
    show("begin, once in a training", seconds(distance.begin))
    model.train_function(batches)  # to trace it
    distance.measure()
    found = []
    for _ in range(rounds):
        step = seconds(lambda: [model.train_function(batches) for _ in range(steps)]) / steps
        found.append((EPOCH * step, seconds(distance.measure)))
        show(f"epoch of {EPOCH} steps, from {steps} steps", found[-1][0])
        show(f"distance of {distance.count:,} pictures", found[-1][1])
    epoch, measurement = np.median(found, axis=0)
    return measurement / epoch


def set_up():
    """The default pair, the callback and endless batches; of noise, for the time is the same."""
    noise = np.random.default_rng(0).integers(0, 256, (Distance.IMAGES, *SHAPE), np.uint8)
    card = {"dataset": "fashion_mnist", "title": "Fashion-MNIST", "image_shape": SHAPE}
    card |= {"labelled": True, "class_names": ["any"] * 10}
    images = SimpleNamespace(card=card, train_images=noise, test_images=noise)
    distance = Distance(None, images, SimpleNamespace(history=[], floor=None), epochs=1)
    model = make_model(SHAPE)
    distance.set_model(model)
    model.make_train_function()
    return model, distance, iter(helpers.training_batches(noise, BATCH_SIZE, seed=0))


def seconds(action) -> np.ndarray:
    """Those of the clock and of the processor that an action takes."""
    clock, processor = time.perf_counter(), time.process_time()
    action()
    return np.array([time.perf_counter() - clock, time.process_time() - processor])


def show(name, each):
    print(f"{name:34} {each[0]:7.2f} s ({each[1]:7.2f} s)")


if __name__ == "__main__":
    main()
