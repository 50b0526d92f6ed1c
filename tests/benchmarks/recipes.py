"""How good do the pictures of a recipe get, in which time? One row per measurement, in a CSV.

    TFDS_DATA_DIR=/path/to/tensorflow_datasets \
        python -m tests.benchmarks.recipes course plain --seeds 3 --minutes 10

Trains each recipe with the seeds 0, 1, ..., seed by seed, on all training images, or with
`--images` on the first so many, in the runs folder in force. It measures ever more seldom, and
after every measurement `assets/results/recipes.csv` is written anew. A training that was stopped
goes on, from the last eighth of an epoch.

Distances are those of 10,000 generated images to the 10,000 test images in the feature space of the
shipped classifier; of sets without one, of as many images as are held out, in random convolutions.
Seconds are those of making the networks, compiling and training, on all cores; imports,
measurements and checkpoints are not counted. At the end, `pictures.png` in the run's folder shows
36 pictures.
"""

import argparse
import csv
import os
import re
import time

os.environ["DCGAN_PROFILE"] = "full"

import helpers  # isort: skip  before Keras, for oneDNN
import keras
import numpy as np

from helpers.evaluation import metrics
from helpers.files import save_table
from helpers.machine import ASSETS, short
from helpers.networks import with_labels
from helpers.training.options import CPU_FACTS
from tests.benchmarks import augmented, relativistic, tutorial
from tests.taught_model import taught_model

TABLE = ASSETS / "results" / "recipes.csv"
INTERVAL = 7_500  # images between two checkpoints, an eighth of an epoch
GROWTH = 1.4  # of the number of images from one measurement to the next, at least
# What names a training in the table:
TRAINING = (
    "dataset", "training_images", "recipe", "seed", "feature_maps", "precision", "processor",
)  # fmt: skip
MEASUREMENT = (*TRAINING, "interval")  # and what names a row


def variant(**changes):
    return lambda shape, seed, maps: taught_model(shape, feature_maps=maps, seed=seed, **changes)


def quiet(**changes):
    """What was measured before the course had noise."""
    return variant(noise=0.0, **changes)


def shifted(share, kind=variant):
    return lambda shape, seed, maps: kind(max_shift=round(share * shape[0]))(shape, seed, maps)


def on_two_devices(shape, seed, maps):
    with helpers.open_devices("cpu:2").scope():
        return quiet()(shape, seed, maps)


RECIPES = {
    "course": variant(),
    "plain": variant(recipe="paper", smallest_side=7),
    "tutorial": tutorial.recipe,
    "relativistic": relativistic.recipe,
    "more noise": variant(noise=0.1),
    "course, shifted": shifted(1 / 16),
    # The course's without its noise, and with one more change.
    "no noise": quiet(),
    "no noise, two devices": on_two_devices,
    "no noise, no third block": quiet(smallest_side=7),
    "no noise, paper's steps": quiet(batch_size=128, generator_rate=2e-4, discriminator_rate=2e-4),
    "no noise, slower generator": quiet(generator_rate=5e-4),
    "no noise, momentum": quiet(betas=(0.5, 0.999)),
    "no noise, no average": quiet(ema_decay=0.0),
    "no noise, shifted": shifted(1 / 16, quiet),
    "no noise, shifted by an eighth": shifted(1 / 8, quiet),
    "no noise, varied": augmented.recipe,
    # With labels, as in notebooks/further/choose.ipynb.
    "plane": variant(way="plane"),
    "projection": variant(way="projection"),
    "plane, fast generator": variant(way="plane", generator_rate=2e-3),
    "projection, fast generator": variant(way="projection", generator_rate=2e-3),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+", choices=RECIPES)
    parser.add_argument(
        "--dataset", default="fashion_mnist", choices=("fashion_mnist", "mnist", "emoji")
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--feature-maps", type=int, default=64)
    parser.add_argument("--images", type=int, help="how many of the training images, at most")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="of training")
    length.add_argument("--epochs", type=float, help="of 60,000 images, in eighths")
    arguments = parser.parse_args()
    if "no noise, two devices" in arguments.recipes:
        helpers.open_devices("cpu:2")  # before TensorFlow starts
    for seed in range(arguments.seeds):
        for recipe in arguments.recipes:
            train(arguments, recipe, seed)


def train(arguments, recipe, seed):
    dataset = arguments.dataset
    name = f"{dataset}-{recipe}-{seed}-{processor()}"
    name += f"-{arguments.images}-images" if arguments.images else ""
    name = re.sub("[^a-z0-9]+", "-", name.lower())
    run = helpers.open_run(dataset, name=f"recipe-{name}")
    images = helpers.prepare(run)
    if dataset != "emoji" and len(images.train_images) != 60_000:
        raise SystemExit("Only part of the images could be read; set TFDS_DATA_DIR.")
    train_images = images.train_images[: arguments.images]
    scores = Scores(images, train_images, helpers.feature_space(run, images, "classifier"))
    start = time.perf_counter()
    keras.utils.set_random_seed(seed)
    shape = train_images.shape[1:]
    model, batch_size = RECIPES[recipe](shape, seed, arguments.feature_maps)
    steps = INTERVAL // batch_size
    labels = None if model.fixed_labels is None else images.train_labels[: arguments.images]
    settings = {"recipe": recipe, "SEED": seed}
    checkpoint = helpers.Checkpoint(run.folder, settings, images.card)
    done = checkpoint.restore(model)
    log = Log(checkpoint, start, arguments.minutes, scores)
    log.steps = steps
    log.about = {
        "dataset": dataset,
        "training_images": len(train_images),
        "recipe": recipe,
        "seed": seed,
        "feature_maps": arguments.feature_maps,
        "batch_size": batch_size,
        "precision": model.precision,
        "processor": processor(),
    }
    if not done and in_table(log.about, TRAINING):
        raise SystemExit(
            f"{short(TABLE)} has rows of {dataset}, {recipe}, seed {seed}, but {short(run.folder)} "
            "has no training to go on with; delete those rows to measure it anew."
        )
    intervals = 100_000 if arguments.minutes else round(8 * arguments.epochs)
    if log.minutes_left() > 0:
        batches = helpers.training_batches(
            train_images, batch_size, seed, done * steps, labels, model.distribute_strategy
        )
        model.fit(
            batches,
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=intervals,
            callbacks=[log, checkpoint],
        )
    log.set_model(model)
    log.measure(len(checkpoint.history), last=True)  # where it is not in the table yet
    helpers.save_png(run.folder / "pictures.png", helpers.image_grid(model.preview()[:36]))


def processor() -> str:
    """The widest instructions that oneDNN takes here, as the table names them.

    Where this process has one core (`taskset -c 0`), it says so: by images seen, two trainings on
    a core each are as good as one on both, and take less time together.
    """
    wide = "avx512f" in CPU_FACTS.read_text(encoding="utf-8").split()
    name = "AVX-512" if wide and os.environ.get("ONEDNN_MAX_CPU_ISA") != "AVX2" else "AVX2"
    return name if len(os.sched_getaffinity(0)) > 1 else f"{name}, one core"


class Log(keras.callbacks.Callback):
    """Log the seconds of training, those before a stop included; measure; end after some minutes.

    It must come before the checkpoint, and measures a state after that has saved it.
    """

    def __init__(self, checkpoint, start, minutes, scores):
        super().__init__()
        self.checkpoint, self.minutes, self.scores = checkpoint, minutes, scores
        history = checkpoint.history
        self.seconds = history[-1]["seconds"] if history else 0.0
        self.start = time.perf_counter() if history else start  # networks are made once

    def minutes_left(self) -> float:
        return self.minutes - self.seconds / 60 if self.minutes else np.inf

    def on_train_begin(self, logs=None):
        self.seconds += time.perf_counter() - self.start
        self.start = None  # what is done between epochs is not counted

    def on_epoch_begin(self, epoch, logs=None):
        if self.due(epoch):
            self.measure(epoch)
        self.start = self.start or time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.perf_counter() - self.start
        self.start = None
        logs["seconds"] = self.seconds
        self.model.stop_training = self.minutes_left() <= 0

    def due(self, interval) -> bool:
        """Whether this many intervals are one of 1, 2, 3, 4, 5, 7, 9, 12, ..."""
        mark = 1
        while mark < interval:
            mark = max(mark + 1, int(mark * GROWTH))
        return mark == interval

    def measure(self, interval, last=False):
        about = self.about | {"interval": interval}
        if not interval or in_table(about, MEASUREMENT):
            return
        began = time.perf_counter()
        self.model.estimate_statistics()
        row = about | {
            "images_seen": interval * self.steps * about["batch_size"],
            "seconds": round(self.checkpoint.history[interval - 1]["seconds"], 1),
            **self.scores.of(self.model.ema_generator, about["seed"], last),
        }
        save_table(TABLE, [*read(TABLE), row])
        print(
            f"{row['dataset']} {row['recipe']} {row['seed']}: {row['seconds']:.0f} s, "
            f"{row['images_seen']:,} images, distance {row['distance']:.2f}",
            flush=True,
        )
        if self.start:
            self.start += time.perf_counter() - began


class Scores:
    """What a generator scores against the held-out images."""

    def __init__(self, images, train_images, space):
        self.images, self.train_images, self.space = images, train_images, space
        self.count = len(images.held_out_images)
        self.real, self.real_probabilities = space.extract_features(images.held_out_images)

    def of(self, generator, seed, copies) -> dict:
        """Columns of the table; those of copies, which take longer, where they are asked for."""
        rng = np.random.default_rng([seed, 1])
        shape = (self.count, generator.inputs[0].shape[-1])
        latents = rng.standard_normal(shape).astype(np.float32)
        ordered = self.images.held_out_labels if len(generator.inputs) > 1 else None
        inputs = with_labels(latents, ordered)
        drawn = helpers.to_uint8(generator.predict(inputs, batch_size=500, verbose=0))
        features, probabilities = self.space.extract_features(drawn)
        found = {
            "images": self.count,
            "space": self.space.sha256,
            "distance": metrics.frechet_distance(features, self.real),
            # Of the generated images alone: trainings are compared by the same real ones.
            "distance_error": metrics.standard_error(
                lambda some: metrics.frechet_distance(some, self.real), features
            ),
        }
        if probabilities is not None:
            counts = [metrics.class_counts(p) for p in (self.real_probabilities, probabilities)]
            found["class_divergence"] = metrics.class_divergence(*counts)
            found["classes_covered"] = metrics.classes_covered(*counts)
            shown = probabilities.argmax(axis=1)
            if ordered is not None:
                found["obedience"] = np.mean(shown == ordered)
            shown = shown if ordered is None else ordered
            recalls = [self.recall_of(c, features[shown == c]) for c in range(len(counts[0]))]
            found["class_recall"] = np.mean(recalls)
            found["lowest_class_recall"] = np.min(recalls)
        if copies:
            nearest, _ = metrics.nearest_distances(drawn, self.train_images)
            honest, _ = metrics.nearest_distances(self.images.held_out_images, self.train_images)
            found["memorisation"] = metrics.nearer_probability(nearest, honest)
            found["near_copies"] = metrics.near_copies(nearest, honest)
        return found

    def recall_of(self, label, features) -> float:
        """The recall of one class by the features of its generated images, of 500 each."""
        real = self.real[self.images.held_out_labels == label][:500]
        some = features[:500]
        return metrics.precision_recall(real, some)[1] if len(some) > 3 else 0.0


def in_table(about, names) -> bool:
    """Whether a row of the table has, in the columns of these names, what `about` has."""
    return any(all(row[name] == str(about[name]) for name in names) for row in read(TABLE))


def read(path) -> list[dict]:
    """The rows of a table, with text in every field; none where there is no file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
