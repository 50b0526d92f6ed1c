"""Feature spaces: numbers that describe an image, and figures that name their space."""

import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from helpers.data.images import normalise, resize
from helpers.data.sources import SOURCES
from helpers.evaluation.classifier import own_classifier, weights_sha256
from helpers.files import load_model, sha256
from helpers.machine import ASSETS, has_gpu
from helpers.plots import to_uint8

INCEPTION_SIDE, INCEPTION_FEATURES = 299, 2048  # pixels and numbers of InceptionV3

# The random network. Change any of these, and distances cannot be compared with earlier ones.
RANDOM_SIDE = 64  # pixels; every image is resized to it
RANDOM_MAPS = (8, 16, 32, 32)  # feature maps of each convolution, 3 x 3; all but the first halve
KEPT_MAPS = 8  # of each convolution, described by two numbers each
RANDOM_SCALE = 10  # so that distances have few zeros after the point


@dataclass(frozen=True)
class FeatureSpace:
    """A way to describe images; distances of different spaces cannot be compared.

    Attributes:
        name: for people.
        sha256: of the shipped file, else of the weights, for comparing spaces.
        classes: the classes of the probabilities, or None where there are none.
        extract_features: function from images to features float32 (N, d) and probabilities float32
            (N, K), or None where there are no classes; d is 64, of InceptionV3 2,048. Images are
            uint8, or float in [-1, 1], (N, H, W, C), at least 8 pixels high and wide, with the C
            of the prepared images; for random convolutions 1 or 3. Floats are rounded to uint8
            first, so that real and generated images are treated alike. Images of another shape,
            or floats outside [-1, 1], raise a ValueError.
    """

    name: str
    sha256: str
    classes: tuple[str, ...] | None
    extract_features: Callable | None = field(repr=False, compare=False)

    def __str__(self):
        return _in_words(self.record())

    def record(self) -> dict:
        """Name and SHA-256, as JSON holds them."""
        return {"name": self.name, "sha256": self.sha256}


PIXELS = FeatureSpace("pixels", "", None, None)  # what distances to nearest images are measured in


def feature_space(run, images, kind: str = "") -> FeatureSpace:
    """The feature space for a run's images; says in one line which, and before it why no other.

    The first of these that can be had:

    1. The shipped classifier, for a known set with labels in gray.
    2. For images in colour, InceptionV3, as Keras offers it: the same for everybody, trained on
       a million photographs, and nearest to what papers use. It is not the network of their FID,
       whose weights differ. Only with a GPU, for it takes minutes on a CPU, and only from 2,048
       images of each kind on, for it has so many features; and without class probabilities.
    3. A small classifier trained on the run's own images and labels, see `own_classifier`.
    4. Random convolutions, see `random_features`. They need no labels and are the same everywhere.

    Args:
        images: of `prepare`.
        kind: "classifier" leaves out InceptionV3, "random" is 4 alone.

    Raises:
        ValueError: an unknown kind.
        OSError: the run's folder cannot be written.
    """
    if kind not in ("", "classifier", "random"):
        raise ValueError(f"There is no feature space {kind!r}; it is classifier or random.")
    space = None
    if kind != "random":
        space = _shipped_space(images.card) or (not kind and _inception_space(run, images))
        space = space or _own_space(run, images)
    space = space or _random_space()
    print(f"Features: {space}.")
    return space


def _shipped_space(card):
    path = ASSETS / "classifiers" / f"{card['dataset']}.keras"
    known = card["dataset"] in SOURCES and path.is_file()
    if not (known and card["labelled"] and card["image_shape"][-1] == 1):
        return None
    name = f"the shipped {card['title']} classifier"
    return FeatureSpace(name, sha256(path), tuple(card["class_names"]), _by(load_model(path)))


def _own_space(run, images):
    classifier = own_classifier(run, images) if images.card["labelled"] else None
    if classifier is None:
        return None
    name = f"a classifier trained on {images.card['title']}"
    classes = tuple(images.card["class_names"])
    return FeatureSpace(name, weights_sha256(classifier), classes, _by(classifier))


def _by(classifier):
    """The function from images to features and probabilities by a classifier."""
    _, side, _, channels = classifier.input_shape
    outputs = [classifier.get_layer("features").output, classifier.outputs[0]]
    model = keras.Model(classifier.inputs, outputs)

    def extract_features(images):
        blocks = _blocks(images, (channels,))
        found = [model(normalise(resize(block, side)), training=False) for block in blocks]
        features, logits = (np.concatenate(part) for part in zip(*found))
        return features, keras.ops.convert_to_numpy(keras.ops.softmax(logits))

    return extract_features


def _inception_space(run, images):
    """InceptionV3 for images in colour where it is worth its time; else a line says why not."""
    if images.card["image_shape"][-1] != 3:
        return None
    count = min(run.profile.samples, len(images.train_images), len(images.held_out_images))
    if count < INCEPTION_FEATURES:
        reason = (
            f"its {INCEPTION_FEATURES:,} features need as many images of each kind, and there are "
            f"{count:,}"
        )
    elif not has_gpu():
        reason = "without a GPU it takes many minutes"
    else:
        model, reason = _load_inception()
    if reason:
        print(f"Not Keras's InceptionV3: {reason}.")
        return None

    def extract_features(images):
        blocks = _blocks(images, (3,), size=50)
        parts = [model.predict_on_batch(normalise(resize(b, INCEPTION_SIDE))) for b in blocks]
        return np.concatenate(parts), None

    name = "Keras's InceptionV3 of ImageNet, not that of FID"
    return FeatureSpace(name, weights_sha256(model), None, extract_features)


def _load_inception():
    """InceptionV3 without its last layer, from Keras's cache or downloaded; or why there is none.

    Szegedy et al. (2015), arXiv 1512.00567, trained on ImageNet; 88 MB. A model from float32
    (N, 299, 299, 3) in [-1, 1] to features float32 (N, 2048).
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10)  # seconds; Keras's own download would wait for ever
    try:
        model = keras.applications.InceptionV3(include_top=False, pooling="avg", weights="imagenet")
        return model, ""
    except Exception as error:  # offline, stalled, refused, no space, damaged: all step down
        first_line = str(error).partition("\n")[0][:120]
        return None, f"its weights could not be had ({type(error).__name__}: {first_line})"
    finally:
        socket.setdefaulttimeout(before)


def _random_space():
    content = b"".join(kernel.tobytes() for kernel in _random_kernels())
    weights = hashlib.sha256(content).hexdigest()
    return FeatureSpace(
        "random convolutions, no labels",
        weights,
        None,
        lambda images: (random_features(images), None),
    )


def random_features(images) -> np.ndarray:
    """Features of images by four convolutions whose weights are random and never trained.

    Naeem et al. (2020), arXiv 2002.09797, describe images by a network with random weights where
    no trained one suits them. Ours is smaller. Of eight feature maps of each convolution it takes
    the mean over the image, and the logarithm of the deviation, which sees blur and noise. Half
    the maps of the first convolution have kernels of mean 0: they see edges only.

    Args:
        images: as for `FeatureSpace.extract_features`. Gray is repeated to three channels, and all
            are resized to 64 pixels.

    Returns:
        Features float32 (N, 64).
    """
    kernels, features = _random_kernels(), []
    for block in _blocks(images, (1, 3)):
        block = resize(block, RANDOM_SIDE)
        maps = normalise(np.broadcast_to(block, (*block.shape[:3], 3)))
        parts = []
        for number, kernel in enumerate(kernels):
            maps = tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
            maps = tf.nn.conv2d(maps, kernel, strides=2 if number else 1, padding="VALID")
            maps = tf.nn.leaky_relu(maps, alpha=0.2)
            kept = maps[..., :: maps.shape[-1] // KEPT_MAPS]
            mean, variance = tf.nn.moments(kept, axes=[1, 2])
            parts += [mean, tf.math.log(0.05 + tf.sqrt(variance))]
        features.append(RANDOM_SCALE * tf.concat(parts, axis=1).numpy())
    return np.concatenate(features)


def _random_kernels() -> list[np.ndarray]:
    """The weights of the random network, float32 (3, 3, in, out), drawn with seed 0."""
    generator = np.random.default_rng(0)
    kernels, channels = [], 3
    for number, maps in enumerate(RANDOM_MAPS):
        kernel = generator.normal(0, np.sqrt(2 / (9 * channels)), (3, 3, channels, maps))
        if number == 0:  # every second map sees edges only
            kernel[..., ::2] -= kernel[..., ::2].mean(axis=(0, 1))
        kernels.append(kernel.astype("<f4"))
        channels = maps
    return kernels


def _blocks(images, channels, size=500):
    """Check images and yield them as uint8, so many at once, which bounds the memory."""
    images = np.asanyarray(images)
    shape = images.shape
    if images.ndim != 4 or shape[-1] not in channels or min(shape[1:3]) < 8 or not len(images):
        wanted = " or ".join(map(str, channels))
        raise ValueError(
            f"Images have shape {shape}; needed is (N, height, width, {wanted}), N at least 1, "
            "height and width at least 8."
        )
    for start in range(0, len(images), size):
        block = images[start : start + size]
        yield block if block.dtype == np.uint8 else to_uint8(block)


def figure(value: float, space: FeatureSpace, real: int, generated: int, seed: int) -> dict:
    """A number with its circumstances, as JSON holds it.

    Args:
        real, generated: numbers of images. In a floor, real images stand in for generated ones.
    """
    return {
        "value": float(value),
        "space": space.record(),
        "real": int(real),
        "generated": int(generated),
        "seed": int(seed),
    }


def circumstances(record: dict) -> str:
    """What belongs beside a printed figure, or below an axis: all of the record but the value."""
    return (
        f"{_in_words(record['space'])}, {record['real']:,} real and {record['generated']:,} "
        f"generated images, seed {record['seed']}"
    )


def _in_words(space) -> str:
    return f"{space['name']} (SHA-256 {space['sha256'][:12]}…)"
