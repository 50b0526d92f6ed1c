"""Regenerate assets/trained: the course's own DCGAN, by default on all of Fashion-MNIST.

    TFDS_DATA_DIR=/path/to/tensorflow_datasets python -m assets.make.trained_run [DATASET ...]

Notebooks 3 and 4 in the `full` profile without their prose. It resumes after an interruption.
Run it with the oldest Keras the course supports (`make assets` does), so every Keras can load it.
"""

import argparse
import os
import shutil

os.environ["DCGAN_PROFILE"] = "full"

import keras

from helpers import (
    ASSETS,
    Checkpoint,
    image_grid,
    load_previews,
    open_run,
    prepare,
    save_gif,
    save_json,
    save_model,
    steps_per_epoch,
    taught_model,
    training_batches,
    training_callbacks,
)

DATASETS = {"fashion_mnist": 64, "mnist": 64, "emoji": 32}  # with their feature maps
SEED = 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", choices=DATASETS, help="default: fashion_mnist")
    for dataset in parser.parse_args().datasets or ["fashion_mnist"]:
        train(dataset, DATASETS[dataset])


def train(dataset, feature_maps):
    run = open_run(dataset, name=f"shipped-{dataset}")
    images = prepare(run)
    if dataset != "emoji" and len(images.train_images) != 60_000:
        raise SystemExit("Only part of the images could be read; set TFDS_DATA_DIR.")
    keras.utils.set_random_seed(SEED)
    image_shape = images.train_images.shape[1:]
    model, batch_size = taught_model(image_shape, feature_maps=feature_maps, seed=SEED)
    steps = steps_per_epoch(images.train_images, batch_size, run.profile)
    checkpoint = Checkpoint(run.folder, steps, {"BATCH_SIZE": batch_size, "SEED": SEED})
    first_step = checkpoint.restore(model)
    model.fit(
        training_batches(images.train_images, batch_size, SEED, first_step),
        steps_per_epoch=steps,
        epochs=run.profile.epochs,
        first_step=first_step,
        callbacks=training_callbacks(run, images, checkpoint, run.profile.epochs),
    )
    target = ASSETS / "trained" / f"{dataset}-{run.image_size}"
    save_model(model.average_generator, target / "generator_trained.keras")
    save_model(model.best_generator, target / "generator_best.keras")
    save_model(model.discriminator, target / "discriminator_trained.keras")
    previews = load_previews(run.folder, run.profile.epochs)
    save_gif(target / "training.gif", [image_grid(images) for images in previews])
    some = [previews[0], *previews[1::2]]  # for lesson 1's page
    save_gif(target / "training_small.gif", [image_grid(images[:36]) for images in some])
    for name in ("history.csv", "distance.json"):
        shutil.copy(run.folder / name, target / name)
    save_json(target / "dataset.json", images.card)


if __name__ == "__main__":
    main()
