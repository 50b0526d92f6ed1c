"""Regenerate assets/trained: what the lessons make of a data set in profile `full`.

    TFDS_DATA_DIR=/path/to/tensorflow_datasets python -m assets.make.trained_run [DATASET ...]

Executes copies of lessons 2 to 5 in the runs folder in force, where they resume after an
interruption, and takes networks, history and scores from there. The generator is that of the best
epoch. Run it with the oldest Keras the course supports (`make assets` does), so every Keras can
load the networks.
"""

import os
import shutil

os.environ["DCGAN_PROFILE"] = "full"

from assets.make.arguments import chosen
from helpers import (
    ASSETS,
    best_epoch,
    caption,
    image_grid,
    load_previews,
    open_run,
    prepare,
    save_gif,
)
from helpers.course import NOTEBOOKS, execute
from helpers.run import newest_record

FEATURE_MAPS = {"fashion_mnist": 64, "mnist": 64, "emoji": 32}
FILES = {  # in the run: as shipped
    "generator_best.keras": "generator_trained.keras",  # one generator a set, for the size's sake
    "discriminator_trained.keras": "discriminator_trained.keras",
    "history.csv": "history.csv",
    "distance.json": "distance.json",
    "metrics.json": "metrics.json",
    "moments.json": "moments.json",
}


def main():
    for dataset in chosen(__doc__, FEATURE_MAPS):
        train(dataset)


def train(dataset):
    run = open_run(dataset)
    if dataset != "emoji" and len(prepare(run).train_images) != 60_000:
        raise SystemExit("Only part of the images could be read; set TFDS_DATA_DIR.")
    executed = run.folder / "executed"
    executed.mkdir(parents=True, exist_ok=True)
    for notebook in NOTEBOOKS[1:]:
        parameters = {"DATASET": dataset}
        if notebook.stem == "03_architecture":
            parameters["FEATURE_MAPS"] = FEATURE_MAPS[dataset]
        execute(notebook, executed / notebook.name, parameters)
    target = ASSETS / "trained" / f"{dataset}-{run.image_size}"
    target.mkdir(parents=True, exist_ok=True)
    for name, shipped in FILES.items():
        shutil.copy(run.folder / name, target / shipped)
    shutil.copy(run.images_folder / "dataset.json", target)
    record = newest_record(run.folder)
    steps, epochs = record["settings"]["steps an epoch"], record["epoch"]
    labels, previews = load_previews(run.folder, steps, epochs, best_epoch(record["history"]))
    many, few = (64, 36) if run.image_size < 64 else (36, 16)
    for name, count in (("training.gif", many), ("training_small.gif", few)):
        grids = [
            caption(image_grid(images[:count]), text) for images, text in zip(previews, labels)
        ]
        save_gif(target / name, grids, frame_ms=300)


if __name__ == "__main__":
    main()
