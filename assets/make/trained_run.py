"""Regenerate assets/trained: the course's own DCGAN on all 60,000 Fashion-MNIST images.

    TFDS_DATA_DIR=/path/to/tensorflow_datasets python -m assets.make.trained_run

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
    taught,
    training_batches,
    training_callbacks,
)

DATASET, SEED, BATCH_SIZE = "fashion_mnist", 0, 128


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    run = open_run(DATASET, name="shipped")
    images = prepare(run)
    if len(images.train_images) != 60_000:
        raise SystemExit("Only part of the images could be read; set TFDS_DATA_DIR.")
    architecture, training = taught("03_architecture"), taught("04_training")
    keras.utils.set_random_seed(SEED)
    image_shape = images.train_images.shape[1:]
    model = training.DCGAN(
        architecture.build_generator(image_shape),
        architecture.build_discriminator(image_shape),
        seed=SEED,
    )
    model.compile(training.make_optimizer(), training.make_optimizer())
    steps = steps_per_epoch(images.train_images, BATCH_SIZE, run.profile)
    checkpoint = Checkpoint(run.folder, steps, {"BATCH_SIZE": BATCH_SIZE, "SEED": SEED})
    first_step = checkpoint.restore(model)
    model.fit(
        training_batches(images.train_images, BATCH_SIZE, SEED, first_step),
        steps_per_epoch=steps,
        epochs=run.profile.epochs,
        first_step=first_step,
        callbacks=training_callbacks(run, images, checkpoint, run.profile.epochs),
    )
    target = ASSETS / "trained" / f"{DATASET}-{run.image_size}"
    save_model(model.generator, target / "generator_trained.keras")
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
