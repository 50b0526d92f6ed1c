"""A small classifier: its architecture, and one trained on a run's own images and kept."""

import hashlib

import keras
import numpy as np
from keras import layers

from helpers.data.images import normalise, resize
from helpers.files import load_json, load_model, save_json, save_model
from helpers.machine import short

FEATURES = 64
LARGEST_SIDE = 32  # pixels; larger images are resized to it, for speed
BATCH = 64
STEPS = 1200  # of training, at most: about a minute on 2 CPU cores
PASSES = 40  # over the images, at most
LEAST_IMAGES = 300  # to train on
LEAST_OF_A_CLASS = 20


def build_classifier(image_shape, class_count: int, seed: int | None = None) -> keras.Model:
    """Images float32 (N, H, W, C) in [-1, 1] to class logits (N, K); layer `features` inside.

    The averages of batch normalisation move fast, so that a hundred steps of training suffice.

    Args:
        image_shape: (H, W, C).
        seed: of the initial weights and of dropout; None leaves them to Keras.
    """
    seeds = [None if seed is None else 10 * seed + number for number in range(7)]
    start = [keras.initializers.GlorotUniform(seed) for seed in seeds]
    options = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(32, 3, **options, kernel_initializer=start[0]),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(64, 3, strides=2, **options, kernel_initializer=start[1]),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(64, 3, strides=2, **options, kernel_initializer=start[2]),
            layers.BatchNormalization(momentum=0.9),
            layers.Flatten(),
            layers.Dropout(0.4, seed=seeds[5]),
            layers.Dense(FEATURES, activation="relu", kernel_initializer=start[3], name="features"),
            layers.Dropout(0.2, seed=seeds[6]),
            layers.Dense(class_count, kernel_initializer=start[4], name="logits"),
        ]
    )


def own_classifier(run, images) -> keras.Model | None:
    """The classifier of a run's labelled images, kept or trained now; says which, or why none.

    It is trained on the training images, at 32 pixels or less and so blind to finer detail, and
    judged on the held-out ones. `classifier.keras` and `classifier.json`, which names the images
    and labels, stay in the run's folder; those of another run with the same images and labels are
    taken over, so that the scores of both can be compared. On one CPU two trainings give equal
    weights, on a GPU they need not.

    It knows its training images better than others, so a floor measured with them is too high where
    they are few: with 540 of MNIST it was 11.7, and 6.9 with images that it had not seen.

    None is made of fewer than 300 images, of one class, or where a class has fewer than 20. None
    is used that is hardly above chance, the share c of the largest class among the n held-out
    images: it must be right on more than c + max(0.2 (1 - c), 3 sqrt(c (1 - c) / n)) of them.

    Args:
        images: of `prepare`, with labels.

    Returns:
        A model like that of `build_classifier`, or None.

    Raises:
        OSError: the run's folder cannot be written.
    """
    unsuitable = _unsuitable(images)
    if unsuitable:
        print(f"No classifier is trained: {unsuitable}.")
        return None
    folders = sorted(path.parent for path in run.folder.parent.glob("*/classifier.json"))
    folders.sort(key=lambda folder: folder != run.folder)  # the run's own first
    for folder in folders:
        classifier = _read(folder, images)
        if classifier:
            origin = f"the one of {short(folder)}"
            break
    else:
        folder, count = None, len(images.train_images)
        print(f"Training a small classifier on {count:,} images, once ...", flush=True)
        classes = len(images.card["class_names"])
        classifier = train_classifier(images.train_images, images.train_labels, classes)
        origin = f"trained now, kept as {short(run.folder / 'classifier.keras')}"
    if folder != run.folder:
        save_model(classifier, run.folder / "classifier.keras")
        save_json(run.folder / "classifier.json", _about(images))
    return classifier if _judge(classifier, images, origin) else None


def train_classifier(images, labels, class_count: int, seed: int = 0) -> keras.Model:
    """A classifier trained on images, at most 1,200 batches of 64 and 40 passes.

    Args:
        images: uint8 (N, H, W, C), also mapped from a file.
        labels: int (N,), from 0 to K - 1.
        seed: decides initial weights, dropout and the order of the images.

    Returns:
        A model for images of at most 32 pixels, not compiled.
    """
    steps = min(STEPS, PASSES * len(images) // BATCH)
    random = np.random.default_rng(seed)
    order = np.concatenate([random.permutation(len(images)) for _ in range(PASSES)])
    shape = _input_shape(images)
    classifier = build_classifier(shape, class_count, seed)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    classifier.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for step in range(steps):
        chosen = np.sort(order[step * BATCH : (step + 1) * BATCH])
        classifier.train_on_batch(normalise(resize(images[chosen], shape[0])), labels[chosen])
    bare = build_classifier(shape, class_count)
    bare.set_weights(classifier.get_weights())  # without the optimizer, a third of the size
    return bare


def weights_sha256(model) -> str:
    """SHA-256 of a model's weights as float32; a file's would depend on the date inside."""
    weights = (np.ascontiguousarray(weight, "<f4").tobytes() for weight in model.get_weights())
    return hashlib.sha256(b"".join(weights)).hexdigest()


def _unsuitable(images) -> str:
    """Why no classifier can be trained on these images, or ""."""
    counts = np.bincount(images.train_labels)
    present = np.flatnonzero(counts)
    least = present[counts[present].argmin()]
    if counts.sum() < LEAST_IMAGES:
        return f"{counts.sum()} training images are fewer than {LEAST_IMAGES}"
    if len(present) == 1:
        return "all training images are of one class"
    if counts[least] < LEAST_OF_A_CLASS:
        name = images.card["class_names"][least]
        return f"{counts[least]} training images of {name} are fewer than {LEAST_OF_A_CLASS}"
    return ""


def _about(images) -> dict:
    """What a classifier is trained on: the card's hash is of the pixels alone."""
    labels = np.concatenate([images.train_labels, images.held_out_labels]).astype("<i8")
    return {
        "images": images.card["images"],
        "labels": hashlib.sha256(labels.tobytes()).hexdigest(),
        "class_names": images.card["class_names"],
    }


def _read(folder, images) -> keras.Model | None:
    """The classifier in a folder; None where it is of other images or cannot be read.

    Of the file only the weights are used, for it may have come from anywhere.
    """
    try:
        if load_json(folder / "classifier.json") != _about(images):
            return None  # of other images
        class_count = len(images.card["class_names"])
        classifier = build_classifier(_input_shape(images.train_images), class_count)
        classifier.set_weights(load_model(folder / "classifier.keras").get_weights())
        return classifier
    except (OSError, ValueError):
        print(f"The classifier in {short(folder)} is damaged or of another Keras: not used.")
        return None


def _judge(classifier, images, origin) -> bool:
    """Whether a classifier is right on enough held-out images; says so in one line."""
    labels = np.asarray(images.held_out_labels)
    pictures = normalise(resize(images.held_out_images, classifier.input_shape[1]))
    found = classifier.predict(pictures, batch_size=500, verbose=0).argmax(axis=1)
    accuracy, chance = np.mean(found == labels), np.bincount(labels).max() / len(labels)
    judged = f"{origin}, right on {accuracy:.1%} of {len(labels):,} held-out images"
    if accuracy > chance + max(
        0.2 * (1 - chance), 3 * np.sqrt(chance * (1 - chance) / len(labels))
    ):
        print(f"Classifier: {judged}.")
        return True
    print(f"No classifier is used: {judged}, hardly above the {chance:.1%} of chance.")
    return False


def _input_shape(images) -> tuple[int, int, int]:
    """What a classifier of these images takes."""
    side = min(images.shape[1], LARGEST_SIDE)
    return side, side, images.shape[-1]
