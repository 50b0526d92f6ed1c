"""Are all metrics of 10,000 against 10,000 images computed in time, within little memory?

python -m tests.benchmarks.metrics [--images 10000]

Prints for each metric, of features of 64 numbers and of images of 28x28, the seconds on the clock,
those of the processor, and the anonymous memory (RssAnon of /proc, so Linux only) that it takes;
at last their sum and the most memory. The processor's seconds tell where other work slows it down.
"""

import argparse
import time

import numpy as np

from helpers import metrics
from tests.benchmarks.data import Peak

NEIGHBOUR_SPLITS = 10  # each compares every image with every other


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    count = parser.parse_args().images
    random = np.random.default_rng(0)
    sets = random.normal(size=(2, count, 64)).astype(np.float32)
    images = random.integers(0, 256, (3, count, 28, 28, 1), np.uint8)
    labels = random.integers(0, 10, (2, count))
    probabilities = np.eye(10, dtype=np.float32)[labels]

    neighbours = (metrics.precision_recall, metrics.density_coverage)
    memory = Peak()
    seconds = [
        measure("class counts and divergence", class_divergence, *probabilities),
        measure("  standard error", metrics.standard_error, class_divergence, *probabilities),
        measure("Fréchet distance", metrics.frechet_distance, *sets),
        measure("  standard error", metrics.standard_error, metrics.frechet_distance, *sets),
        measure("  at infinity, standard error", metrics.extrapolated_distance, *sets),
        measure("kernel distance, standard error", metrics.kernel_distance, *sets),
        measure("memorisation, standard error", metrics.memorisation, *images),
    ]
    for metric in neighbours:
        seconds.append(measure(metric.__name__.replace("_", " and "), metric, *sets))
        seconds.append(
            measure(
                "  standard error", metrics.standard_error, metric, *sets, splits=NEIGHBOUR_SPLITS
            )
        )
    clock, processor = np.sum(seconds, axis=0)
    print(f"{'all':34} {clock:5.1f} s ({processor:5.1f} s), at most {memory.stop():.2f} GB")


def class_divergence(real, generated) -> float:
    return metrics.class_divergence(metrics.class_counts(real), metrics.class_counts(generated))


def measure(name, metric, *arguments, **options) -> tuple[float, float]:
    """Print and return the seconds of the clock and of the processor that a metric takes."""
    memory, clock, processor = Peak(), time.perf_counter(), time.process_time()
    metric(*arguments, **options)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    print(f"{name:34} {clock:5.1f} s ({processor:5.1f} s), {memory.stop():.2f} GB")
    return clock, processor


if __name__ == "__main__":
    main()
