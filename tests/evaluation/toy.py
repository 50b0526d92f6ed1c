"""Small sets of images for the tests of feature spaces and classifiers."""

from types import SimpleNamespace

import numpy as np

from helpers.machine import PROFILES

CARD = {
    "dataset": "./shapes",
    "title": "shapes",
    "labelled": True,
    "class_names": ["lying", "standing", "square"],
    "images": "a hash of the pixels",
}


def made_run(folder, profile="tiny"):
    return SimpleNamespace(folder=folder, profile=PROFILES[profile])


def shapes(train=300, held_out=60, seed=0, side=16, channels=1, **changes):
    """Lying bars, standing bars and squares, anywhere in the picture, in noise."""
    random = np.random.default_rng(seed)
    count = train + held_out
    labels = random.integers(0, 3, count)
    images = random.integers(0, 100, (count, side, side, channels), np.uint8)
    for image, label in zip(images, labels):
        height, width = ((3, 9), (9, 3), (6, 6))[label]
        top, left = random.integers(0, 16 - height), random.integers(0, 16 - width)
        image[top : top + height, left : left + width] += 120
    return SimpleNamespace(
        train_images=images[:train],
        train_labels=labels[:train],
        held_out_images=images[train:],
        held_out_labels=labels[train:],
        card=CARD | {"image_shape": [side, side, channels]} | changes,
    )
