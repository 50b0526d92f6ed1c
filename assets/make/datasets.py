"""Regenerate assets/datasets: 10,000 training and 2,000 test images of each set, balanced.

    TFDS_DATA_DIR=/path/to/tensorflow_datasets python -m assets.make.datasets

The test images come from the original test images, so nothing that was held out is trained on.
"""

import argparse

import numpy as np

from helpers import ASSETS, load_source, short
from helpers.files import atomic_write

DATASETS = ("fashion_mnist", "mnist")
COUNTS = {"train": 10_000, "test": 2_000}


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    for dataset in DATASETS:
        arrays, place = load_source(dataset, whole=True)
        if len(arrays["train_images"]) != 60_000:
            raise SystemExit(f"Only part of {dataset} could be read; set TFDS_DATA_DIR.")
        kept = {}
        for split, count in COUNTS.items():
            chosen = choose_balanced(arrays[f"{split}_labels"], count)
            kept[f"{split}_images"] = arrays[f"{split}_images"][chosen]
            kept[f"{split}_labels"] = arrays[f"{split}_labels"][chosen].astype(np.uint8)
        path = ASSETS / "datasets" / f"{dataset}.npz"
        with atomic_write(path) as partial:
            np.savez_compressed(partial, **kept)
        print(f"{short(path)}: from {place}, {path.stat().st_size / 1e6:.1f} MB")


def choose_balanced(labels, count, seed=0) -> np.ndarray:
    """Random indices, the same number of each class, in random order."""
    generator = np.random.default_rng(seed)
    classes = np.unique(labels)
    chosen = [
        generator.choice(np.flatnonzero(labels == label), count // len(classes), replace=False)
        for label in classes
    ]
    return generator.permutation(np.concatenate(chosen))


if __name__ == "__main__":
    main()
