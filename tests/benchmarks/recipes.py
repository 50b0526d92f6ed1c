"""How good do the pictures of a recipe get, in which time? One row per measurement, in a CSV.

    DCGAN_PROFILE=quick TFDS_DATA_DIR=/path/to/tensorflow_datasets \
        python -m tests.benchmarks.recipes lesson --seeds 5

Trains the recipe on Fashion-MNIST with the seeds 0, 1, ... one after the other, in the profile and
in the runs folder in force. After every measurement `assets/results/recipes-<profile>.csv` is
written anew. A training that was stopped goes on. Distances are those of 10,000 generated images to
the 10,000 test images, in the feature space of the shipped classifier. Seconds are those of making
the networks, compiling and training; measurements and checkpoints are not counted.
"""

import argparse
import csv
import time

import keras
import numpy as np

import helpers
from helpers import metrics
from helpers.environment import ASSETS, current_profile
from helpers.files import save_table

DATASET, BATCH_SIZE = "fashion_mnist", 128
MEASUREMENTS = 6  # of a training


def lesson(image_shape, seed):
    """The networks of lesson 3, trained as lesson 4 does."""
    architecture, training = helpers.taught("03_architecture"), helpers.taught("04_training")
    keras.utils.set_random_seed(seed)
    model = training.DCGAN(
        architecture.build_generator(image_shape),
        architecture.build_discriminator(image_shape),
        seed=seed,
    )
    model.compile(training.make_optimizer(), training.make_optimizer())
    return model


RECIPES = {"lesson": lesson}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--epochs", type=int, default=0, help="of a training; 0: the profile's")
    arguments = parser.parse_args()
    arrays, _ = helpers.load_source(DATASET, whole=True)
    if len(arrays["test_images"]) != 10_000:
        raise SystemExit("Only part of the test images could be read; set TFDS_DATA_DIR.")
    for seed in range(arguments.seeds):
        train(
            arguments.recipe,
            seed,
            arguments.epochs or current_profile().epochs,
            arrays["test_images"],
        )


def train(recipe, seed, epochs, real_images):
    run = helpers.open_run(DATASET, name=f"recipe-{recipe}-{seed}")
    images = helpers.prepare(run)
    steps = helpers.steps_per_epoch(images.train_images, BATCH_SIZE, run.profile)
    scores = Scores(run, images, real_images, {"recipe": recipe, "seed": seed})
    start = time.perf_counter()
    model = RECIPES[recipe](images.train_images.shape[1:], seed)
    checkpoint = helpers.Checkpoint(run.folder, steps, {"recipe": recipe, "SEED": seed})
    first_step = checkpoint.restore(model)
    clock = Clock(checkpoint, start)
    model.fit(
        helpers.training_batches(images.train_images, BATCH_SIZE, seed, first_step),
        steps_per_epoch=steps,
        epochs=epochs,
        first_step=first_step,
        callbacks=[clock, checkpoint, scores],
    )
    scores.complete(epochs, checkpoint.history[-1]["seconds"])  # if it was stopped just there


class Clock(keras.callbacks.Callback):
    """Log the seconds of training so far, those before a stop included."""

    def __init__(self, checkpoint, start):
        super().__init__()
        self.checkpoint, self.start = checkpoint, start
        self.seconds = 0.0

    def on_train_begin(self, logs=None):
        if self.checkpoint.history:  # making and compiling the networks is counted once
            self.seconds = self.checkpoint.history[-1]["seconds"]
            self.start = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        if self.start is None:
            self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.perf_counter() - self.start
        self.start = None  # what the other callbacks do is not counted
        logs["seconds"] = self.seconds


class Scores(keras.callbacks.Callback):
    """Add a row to the table every few epochs; a row that is there already is replaced."""

    def __init__(self, run, images, real_images, about):
        super().__init__()
        self.path = ASSETS / "results" / f"recipes-{run.profile.name}.csv"
        self.about = about
        self.space = helpers.feature_space(run, images, "classifier")
        self.count = len(real_images)
        self.real, self.real_probabilities = self.space.describe(real_images)

    def on_epoch_end(self, epoch, logs=None):
        every = max(1, self.params["epochs"] // MEASUREMENTS)
        if (epoch + 1) % every == 0 or epoch + 1 == self.params["epochs"]:
            self.measure(epoch + 1, logs["seconds"])

    def complete(self, epoch, seconds):
        """Measure the state after an epoch where the table has no row of it."""
        if not any(
            self.key(row) == self.key(self.about | {"epoch": epoch}) for row in read(self.path)
        ):
            self.measure(epoch, seconds)

    @staticmethod
    def key(row):
        return row["recipe"], int(row["seed"]), int(row["epoch"])

    def measure(self, epoch, seconds):
        rng = np.random.default_rng([self.about["seed"], 1])
        latents = rng.standard_normal((self.count, self.model.latent_dim)).astype(np.float32)
        generated = self.model.generator.predict(latents, batch_size=500, verbose=0)
        features, probabilities = self.space.describe(generated)
        counts = [metrics.class_counts(p) for p in (self.real_probabilities, probabilities)]
        row = {
            **self.about,
            "epoch": epoch,
            "seconds": round(seconds, 1),
            "images": self.count,
            "space": self.space.sha256,
            "distance": metrics.frechet_distance(features, self.real),
            "distance_error": metrics.standard_error(metrics.frechet_distance, features, self.real),
            # Of the generated images alone: trainings are compared by the same real ones.
            "generated_error": metrics.standard_error(
                lambda drawn: metrics.frechet_distance(drawn, self.real), features
            ),
            "class_divergence": metrics.class_divergence(*counts),
            "classes_covered": metrics.classes_covered(*counts),
        }
        rows = [other for other in read(self.path) if self.key(other) != self.key(row)]
        save_table(self.path, [*rows, row])
        print(
            f"{row['recipe']}, seed {row['seed']}, epoch {row['epoch']}: "
            f"{row['seconds']:.0f} s, distance {row['distance']:.1f}",
            flush=True,
        )


def read(path) -> list[dict]:
    """The rows of a table, with text in every field; none where there is no file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
