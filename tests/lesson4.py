"""Lesson 4's training in a plain process, to be killed: python -m tests.lesson4 EPOCHS=4

The cells are the lesson's own: the parameters (those named on the command line replaced), the
taught definitions, the making of the model and the training. What it makes lies in DCGAN_RUNS.
"""

import ast
import sys

import helpers  # isort: skip  before Keras, for oneDNN
import keras

from helpers.cluster import run_lesson
from helpers.refused import Refused, Stopped


def run(given):
    """The lesson with these parameters, by name; it ends with one sentence where it refuses."""
    try:
        run_lesson(given)
    except (Refused, Stopped) as sentence:  # a notebook shows them likewise
        sys.exit(str(sentence))


def make_networks(folder, feature_maps):
    """Put lesson 3's networks into a run's folder, of any size; those that lie there stay."""
    architecture = helpers.taught("03_architecture")
    keras.utils.set_random_seed(0)
    for name in ("generator", "discriminator"):
        if not (folder / f"{name}.keras").is_file():
            build = getattr(architecture, f"build_{name}")
            helpers.save_model(
                build((28, 28, 1), feature_maps=feature_maps), folder / f"{name}.keras"
            )


if __name__ == "__main__":
    pairs = (argument.split("=", 1) for argument in sys.argv[1:])
    run({name: ast.literal_eval(value) for name, value in pairs})
