"""The tutorial's step in a process where TensorFlow is imported as the tutorial does it.

python -m tests.benchmarks.published 28 28 1 128

It prints a line when it is ready. For every line with a number of seconds that it reads, it trains
for so long and prints the images a second. `tests.benchmarks.step` calls it.
"""

import sys

import tensorflow as tf  # isort: skip  before the course, which would switch oneDNN on

tf.ones(1) + 1  # and used, for TensorFlow looks at that setting only once

import contextlib  # noqa: E402

from tests.benchmarks.step import batches_of_noise, rate, tutorial_step  # noqa: E402


def main():
    *shape, batch_size = map(int, sys.argv[1:])
    with contextlib.redirect_stdout(sys.stderr):
        step = tutorial_step(shape, iter(batches_of_noise(shape, batch_size)), batch_size)
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        print(batch_size * rate(step, float(line)), flush=True)


if __name__ == "__main__":
    main()
