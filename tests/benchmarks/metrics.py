"""Are all metrics of 10,000 against 10,000 images computed in time, within little memory?

python -m tests.benchmarks.metrics [--images 10000]

Scores random images of 28x28 against others as lesson 5 does: described by the shipped classifier,
every metric with its standard error, copies looked for among as many training images. Prints the
seconds on the clock, those of the processor (more than the clock's where both cores work, less
where other work slows it down), and the anonymous memory (RssAnon of /proc, so Linux only) that
the metrics take.
"""

import argparse
import os
import tempfile
import time

os.environ["DCGAN_PROFILE"] = "tiny"

import numpy as np

import helpers
from tests.benchmarks.data import Peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DCGAN_RUNS"] = folder
        run = helpers.open_run("fashion_mnist")
        space = helpers.feature_space(run, helpers.prepare(run))
    images = np.random.default_rng(0).integers(0, 256, (3, count, 28, 28, 1), np.uint8)
    space.extract_features(images[0][:1000])  # so that TensorFlow's own memory is not counted
    memory, clock, processor = Peak(), time.perf_counter(), time.process_time()
    scores = helpers.score({"random images": images[0]}, space, images[1], images[2])
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    helpers.print_scores(scores)
    print(
        f"{count:,} against {count:,} images of 28x28: {clock:.1f} s ({processor:.1f} s of the "
        f"processor), at most {memory.stop():.2f} GB"
    )


if __name__ == "__main__":
    main()
