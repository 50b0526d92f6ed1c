"""Is a set larger than memory prepared and fed without filling it, and fast enough?

python -m tests.benchmarks.data [--images 200000]

Prints the anonymous memory (RssAnon of /proc, so Linux only) that preparing and feeding a large
set takes above TensorFlow's own; a chi-square test of the classes in its batches; and how many
images a second the pipeline delivers, as a multiple of what training consumes, at 28x28 and 64x64.
"""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import helpers
from tests.taught_model import taught_model

BATCH_SIZE, CLASSES = 128, 10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DCGAN_RUNS": folder, "DCGAN_PROFILE": "full"}
        measure_memory(Path(folder), arguments.images)
    for side, channels in ((28, 1), (64, 3)):
        measure_speed(side, channels)


def measure_memory(folder, count):
    path = folder / "large.npy"
    write_sorted_by_class(path, count)
    warm_up()
    memory = Peak()
    start = time.perf_counter()
    images = helpers.prepare(helpers.open_run(str(path), image_size=64))
    seconds = time.perf_counter() - start
    size = images.train_images.nbytes / 1e9
    print(f"prepared {len(images.train_images):,} images of {size:.2f} GB in {seconds:.0f} s")
    print(f"anonymous memory at most {memory.stop():.2f} GB above TensorFlow's own")
    memory = Peak()
    batches = helpers.training_batches(images.train_images, BATCH_SIZE, seed=0)
    classes = [np.rint(batch[:, 0, 0, 0] * 127.5 + 127.5) for batch in batches.take(400)]
    print(f"feeding 400 batches: at most {memory.stop():.2f} GB")
    print(f"classes of the batches against random ones: p = {p_value(classes):.3f}")


def write_sorted_by_class(path, count):
    """Random 64x64 RGB images whose first pixel is their class, class by class."""
    rng = np.random.default_rng(0)
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 64, 64, 3))
    for start in range(0, count, 1000):
        block = rng.integers(0, 256, (min(1000, count - start), 64, 64, 3), np.uint8)
        block[:, 0, 0, 0] = np.arange(start, start + len(block)) * CLASSES // count
        images[start : start + len(block)] = block
    images.flush()


def p_value(classes) -> float:
    """Chi-square test that the classes of each batch are drawn evenly and independently."""
    import tensorflow as tf  # after the course, which sets it up

    counts = np.stack([np.bincount(batch.astype(int), minlength=CLASSES) for batch in classes])
    expected = BATCH_SIZE / CLASSES
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = counts.shape[0] * (CLASSES - 1)
    return float(tf.math.igammac(freedom / 2, statistic / 2))  # the upper tail of chi-square


def measure_speed(side, channels):
    images = np.random.default_rng(0).integers(0, 256, (10_000, side, side, channels), np.uint8)
    model, batch_size = taught_model((side, side, channels))
    dataset = helpers.training_batches(images, batch_size, seed=0)
    batches = iter(dataset)
    delivered = batch_size * rate(lambda: next(batches), 1000)
    model.fit(dataset, epochs=1, steps_per_epoch=3, verbose=0)  # to compile
    start = time.perf_counter()
    model.fit(dataset, epochs=1, steps_per_epoch=50, verbose=0)
    consumed = batch_size * 50 / (time.perf_counter() - start)
    print(
        f"{side}x{side}x{channels}: the pipeline delivers {delivered:,.0f} images/s, training "
        f"takes {consumed:,.0f}: {delivered / consumed:.0f} times as many"
    )


def rate(action, times) -> float:
    """How often a second, over so many times, after three to warm up."""
    for _ in range(3):
        action()
    start = time.perf_counter()
    for _ in range(times):
        action()
    return times / (time.perf_counter() - start)


def warm_up():
    """Let TensorFlow take the memory it takes anyway."""
    small = np.zeros((256, 64, 64, 3), np.uint8)
    next(iter(helpers.training_batches(small, BATCH_SIZE, seed=0)))


class Peak:
    """The most anonymous memory this process takes, in GB above what it has now."""

    def __init__(self):
        self.before = self.most = self.now()
        self.running = True
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while self.running:
            self.most = max(self.most, self.now())
            time.sleep(0.05)

    def stop(self) -> float:
        self.running = False
        self.thread.join()
        return self.most - self.before

    @staticmethod
    def now() -> float:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        (line,) = [line for line in lines if line.startswith("RssAnon")]
        return int(line.split()[1]) / 1e6


if __name__ == "__main__":
    main()
