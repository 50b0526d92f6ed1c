"""Regenerate the shipped conditional generators, from trainings of the recipes' benchmark.

    DCGAN_RUNS=folder python -m assets.make.conditional [DATASET ...]

Takes the training of seed 0 that `python -m tests.benchmarks.recipes WAY` left in the runs folder
in force. Weights are rounded to half precision and the file is compressed, which leaves half of its
bytes; who loads them gets float32. Run it with the oldest Keras the course supports.
"""

import os
import zipfile

os.environ["DCGAN_PROFILE"] = "full"

import helpers  # isort: skip  before Keras, for oneDNN
import keras
import numpy as np

from assets.make.arguments import chosen
from helpers.files import atomic_write
from helpers.machine import runs_folder
from tests.taught_model import taught_model

WAY = "plane"


def main():
    for dataset in chosen(__doc__, ("fashion_mnist", "mnist")):
        name = f"recipe-{dataset.replace('_', '-')}-{WAY}-0-"
        folder = next(runs_folder().glob(f"{name}*"), None)
        if folder is None:
            raise SystemExit(f"{runs_folder()} holds no training {name}…; run the benchmark first.")
        run = helpers.open_run(dataset, name=folder.name)
        model, _ = taught_model((28, 28, 1), way=WAY)
        checkpoint = helpers.Checkpoint(
            folder, {"recipe": WAY, "SEED": 0}, helpers.prepare(run).card
        )
        if not checkpoint.restore(model):
            raise SystemExit(f"{helpers.short(folder)} has no checkpoint; run the benchmark first.")
        model.estimate_statistics()
        path = helpers.ASSETS / "trained" / f"{dataset}-28" / "conditional_generator.keras"
        save_small(model.ema_generator, path)
        print(f"{helpers.short(path)}: {path.stat().st_size / 1e6:.1f} MB")


def save_small(network, path):
    """Write a network with weights of half precision, compressed."""
    rounded = keras.models.clone_model(network)
    rounded.set_weights([np.float32(np.float16(weight)) for weight in network.get_weights()])
    helpers.save_model(rounded, path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    deflated = zipfile.ZIP_DEFLATED
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w", deflated) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


if __name__ == "__main__":
    main()
