"""Regenerate assets/classifiers: a small classifier for each data set, and its accuracy.

    TFDS_DATA_DIR=/path/to/tensorflow_datasets python -m assets.make.classifiers

Trained on the 60,000 original training images, judged on the 10,000 original test images.
Run it with the oldest Keras the course supports (`make assets` does), so every Keras can load it.
"""

import argparse

import helpers  # isort: skip  # noqa: F401  before Keras, for oneDNN
import keras
import numpy as np

from helpers import ASSETS, load_source, normalise, save_json, save_model, sha256, short
from helpers.evaluation.classifier import FEATURES, build_classifier

DATASETS = ("fashion_mnist", "mnist")
EPOCHS = 8


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    report = {}
    for dataset in DATASETS:
        arrays, _ = load_source(dataset, whole=True)
        if len(arrays["train_images"]) != 60_000:
            raise SystemExit(f"Only part of {dataset} could be read; set TFDS_DATA_DIR.")
        keras.utils.set_random_seed(0)
        model = build_classifier((28, 28, 1), 10)
        steps = EPOCHS * (60_000 // 128)
        model.compile(
            optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        model.fit(
            normalise(arrays["train_images"]).numpy(),
            arrays["train_labels"],
            batch_size=128,
            epochs=EPOCHS,
            verbose=2,
        )
        logits = model.predict(normalise(arrays["test_images"]).numpy(), verbose=0)
        accuracy = float(np.mean(logits.argmax(1) == arrays["test_labels"]))
        path = ASSETS / "classifiers" / f"{dataset}.keras"
        bare = keras.models.clone_model(model)  # without the optimizer, a third of the size
        bare.set_weights(model.get_weights())
        save_model(bare, path)
        report[dataset] = {
            "accuracy": round(accuracy, 4),
            "test_images": len(logits),
            "feature_dimensions": FEATURES,
            "keras": keras.__version__,
            "sha256": sha256(path),
        }
        print(f"{short(path)}: {report[dataset]}")
    save_json(ASSETS / "classifiers" / "classifiers.json", report)


if __name__ == "__main__":
    main()
