"""A small classifier: its architecture, and one trained on a run's own images and kept."""

import hashlib
import json

import keras
import numpy as np
from keras import layers

from helpers.data.images import normalise, resize
from helpers.files import load_model, save_json, save_model
from helpers.machine import short

FEATURES = 64
LARGEST_SIDE = 32  # pixels; larger images are resized to it, for speed
BATCH = 64
STEPS = 1200  # of training, at most: about a minute on 2 CPU cores
PASSES = 40  # over the images, at most
LEAST_IMAGES = 300  # to train on
LEAST_OF_A_CLASS = 20
SEED = 0


def build_classifier(image_shape, class_count: int, seed: int | None = None) -> keras.Model:
    """Images float32 (N, H, W, C) in [-1, 1] to class logits (N, K); layer `features` inside.

    The averages of batch normalisation move fast, so that a hundred steps of training suffice.

    Args:
        image_shape: (H, W, C).
        seed: of the initial weights and of dropout; None leaves them to Keras.
    """
    seeds = [None if seed is None else 10 * seed + number for number in range(7)]
    start = [keras.initializers.GlorotUniform(seed) for seed in seeds[:5]]
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(32, 3, padding="same", activation="relu", kernel_initializer=start[0]),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(
                64, 3, strides=2, padding="same", activation="relu", kernel_initializer=start[1]
            ),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(
                64, 3, strides=2, padding="same", activation="relu", kernel_initializer=start[2]
            ),
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
    judged on the held-out ones. `classifier.keras` and `classifier.json`, which names the images,
    the labels and the accuracy, stay in the run's folder; those of another run with the same images
    and labels are taken over. On one CPU two trainings give equal weights, on a GPU they need not.

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
    classifier, record, origin = _find(run, images) or _train_and_keep(run, images)
    judged = f"right on {record['accuracy']:.1%} of {record['held_out_images']:,} held-out images"
    if classifier:
        print(f"Classifier: {origin}, {judged}.")
    else:
        print(
            f"No classifier is used: one trained on these labels is {judged}, hardly above the "
            f"{record['chance']:.1%} of chance."
        )
    return classifier


def train_classifier(images, labels, class_count: int, seed: int) -> keras.Model:
    """A classifier trained on images, at most 1,200 batches of 64 and 40 passes.

    Args:
        images: uint8 (N, H, W, C), also mapped from a file.
        labels: int (N,), from 0 to K - 1.
        seed: decides initial weights, dropout and the order of the images.

    Returns:
        A model for images of at most 32 pixels, not compiled.
    """
    steps = min(STEPS, -(-PASSES * len(images) // BATCH))
    random = np.random.default_rng(seed)
    passes = -(-steps * BATCH // len(images))
    order = np.concatenate([random.permutation(len(images)) for _ in range(passes)])
    shape = _input_shape(images)
    classifier = build_classifier(shape, class_count, seed)
    classifier.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)),
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
    content = hashlib.sha256()
    for weight in model.get_weights():
        content.update(np.ascontiguousarray(weight, "<f4").tobytes())
    return content.hexdigest()


def _unsuitable(images) -> str:
    """Why no classifier can be trained on these images, or ""."""
    counts = np.bincount(images.train_labels)
    present = np.flatnonzero(counts)
    least = present[counts[present].argmin()]
    if len(images.train_labels) < LEAST_IMAGES:
        return f"{len(images.train_labels)} training images are fewer than {LEAST_IMAGES}"
    if len(present) == 1:
        return "all training images are of one class"
    if counts[least] < LEAST_OF_A_CLASS:
        name = images.card["class_names"][least]
        return f"{counts[least]} training images of {name} are fewer than {LEAST_OF_A_CLASS}"
    return ""


def _belonging(images) -> dict:
    """What a classifier was trained on, by hashes; the card's is of the pixels alone."""
    labels = hashlib.sha256()
    for part in (images.train_labels, images.held_out_labels):
        labels.update(np.ascontiguousarray(part, "<i8").tobytes())
    return {
        "images": images.card["images"],
        "labels": labels.hexdigest(),
        "class_names": images.card["class_names"],
    }


def _find(run, images) -> tuple | None:
    """A kept classifier (None for a hopeless one), its record and a phrase; None where none is."""
    others = sorted(path.parent for path in run.folder.parent.glob("*/classifier.json"))
    for folder in (run.folder, *(other for other in others if other != run.folder)):
        kept = _read(folder, images)
        if kept:
            if folder != run.folder:
                _keep(run.folder, *kept)
            return *kept, f"the one of {short(folder)}"
    return None


def _read(folder, images) -> tuple | None:
    """The classifier in a folder (None for a hopeless one) and its record; None where none is.

    Of the file only the weights are used, for it may have come from anywhere.
    """
    about = folder / "classifier.json"
    if not about.is_file():
        return None
    try:
        record = json.loads(about.read_text(encoding="utf-8"))
        wanted = _belonging(images)
        if {key: record[key] for key in wanted} != wanted:
            return None
        if not _above_chance(record):
            return None, record
        classifier = build_classifier(_input_shape(images.train_images), _class_count(images))
        classifier.set_weights(load_model(folder / "classifier.keras").get_weights())
        if weights_sha256(classifier) != record["sha256"]:
            raise ValueError("other weights")
        return classifier, record
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
        print(f"The classifier in {short(folder)} is damaged or of another Keras: not used.")
        return None


def _train_and_keep(run, images) -> tuple:
    """A new classifier (None for a hopeless one), its record and a phrase."""
    count = len(images.train_images)
    print(f"Training a small classifier on {count:,} images, once ...", flush=True)
    classifier = train_classifier(
        images.train_images, images.train_labels, _class_count(images), SEED
    )
    record = _belonging(images) | _judge(classifier, images)
    record |= {
        "train_images": count,
        "seed": SEED,
        "keras": keras.__version__,
        "sha256": weights_sha256(classifier),
    }
    if not _above_chance(record):
        classifier = None
    _keep(run.folder, classifier, record)
    return classifier, record, f"trained now, kept as {short(run.folder / 'classifier.keras')}"


def _keep(folder, classifier, record) -> None:
    """Save a classifier, then its record; of a hopeless one only the record."""
    if classifier:
        save_model(classifier, folder / "classifier.keras")
    save_json(folder / "classifier.json", record)


def _judge(classifier, images) -> dict:
    """Accuracy on the held-out images, and that of always naming their largest class."""
    labels = np.asarray(images.held_out_labels)
    side = classifier.input_shape[1]
    right = 0
    for start in range(0, len(labels), 500):
        block = normalise(resize(images.held_out_images[start : start + 500], side))
        logits = np.asarray(classifier(block, training=False))
        right += int(np.sum(logits.argmax(axis=1) == labels[start : start + 500]))
    return {
        "accuracy": right / len(labels),
        "chance": float(np.bincount(labels).max() / len(labels)),
        "held_out_images": len(labels),
    }


def _above_chance(record) -> bool:
    chance, count = record["chance"], record["held_out_images"]
    margin = max(0.2 * (1 - chance), 3 * np.sqrt(chance * (1 - chance) / count))
    return record["accuracy"] > chance + margin


def _input_shape(images) -> tuple[int, int, int]:
    """What a classifier of these images takes."""
    side = min(images.shape[1], LARGEST_SIDE)
    return side, side, images.shape[-1]


def _class_count(images) -> int:
    return len(images.card["class_names"])
