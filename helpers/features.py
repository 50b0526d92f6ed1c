"""Numbers that describe an image: from a shipped classifier, else from random convolutions."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from helpers.environment import ASSETS
from helpers.files import load_model, sha256
from helpers.pipeline import normalise, to_uint8
from helpers.pixels import resize
from helpers.sources import SOURCES

_BLOCK = 500  # images described at once; bounds the memory

# The random network. Change any of these, and distances cannot be compared with earlier ones.
_SIDE = 64  # pixels; every image is resized to it
_MAPS = (8, 16, 32, 32)  # feature maps of each convolution, 3 x 3; all but the first halve
_KEPT = 8  # maps of each convolution that are described, by two numbers each
_SCALE = 10  # so that distances have few zeros after the point


@dataclass(frozen=True)
class FeatureSpace:
    """A way to describe images; distances of different spaces cannot be compared.

    Attributes:
        name: for people.
        sha256: of the weights, for comparing spaces.
        classes: the classes of the probabilities, or None where there are none.
    """

    name: str
    sha256: str
    classes: tuple[str, ...] | None
    _describe: Callable = field(repr=False, compare=False)

    def describe(self, images) -> tuple[np.ndarray, np.ndarray | None]:
        """Features and class probabilities of images.

        Args:
            images: uint8, or float in [-1, 1]; (N, H, W, 1), or for random convolutions also
                (N, H, W, 3). Floats are rounded to uint8 first, so that real and generated images
                are treated alike.

        Returns:
            Features float32 (N, 64), and probabilities float32 (N, K) for K classes, or None.

        Raises:
            ValueError: images of another shape, or floats outside [-1, 1].
        """
        return self._describe(images)


def feature_space(card: dict) -> FeatureSpace:
    """The feature space for the images of a dataset card.

    That is the shipped classifier where there is one for this data set, its images are gray and
    the card says nothing against labels; else random convolutions, which need no labels.

    Args:
        card: `images.card`; used are dataset, title, image_shape, class_names and labelled.
    """
    path = ASSETS / "classifiers" / f"{card['dataset']}.keras"
    known = card["dataset"] in SOURCES and path.is_file()
    if known and card["image_shape"][-1] == 1 and card["labelled"]:
        return FeatureSpace(
            f"the shipped {card['title']} classifier",
            sha256(path),
            tuple(card["class_names"]),
            functools.partial(classify, card["dataset"]),
        )
    content = b"".join(kernel.tobytes() for kernel in _random_kernels())
    return FeatureSpace(
        "random convolutions, no labels",
        hashlib.sha256(content).hexdigest(),
        None,
        lambda images: (random_features(images), None),
    )


def classify(dataset: str, images) -> tuple[np.ndarray, np.ndarray]:
    """Features and class probabilities of images, by the shipped classifier of a data set.

    Args:
        dataset: a data set that has a shipped classifier.
        images: uint8, or float in [-1, 1]; (N, H, W, 1). Floats are rounded to uint8 first, and
            all are resized to 28 pixels.

    Returns:
        Features float32 (N, 64), each at least 0, and probabilities float32 (N, 10).

    Raises:
        FileNotFoundError: no classifier is shipped for that data set.
        ValueError: images of another shape, or floats outside [-1, 1].
    """
    classifier = _classifier(ASSETS / "classifiers" / f"{dataset}.keras")
    outputs = [
        classifier(normalise(resize(block, 28)), training=False) for block in _blocks(images, (1,))
    ]
    features, logits = (np.concatenate(part) for part in zip(*outputs))
    return features, keras.ops.convert_to_numpy(keras.ops.softmax(logits))


def random_features(images) -> np.ndarray:
    """Features of images by four convolutions whose weights are random and never trained.

    Naeem et al. (2020), arXiv 2002.09797, describe images by a network with random weights where
    no trained one suits them. Ours is smaller. Of eight feature maps of each convolution it takes
    the mean over the image, and the logarithm of the deviation, which sees blur and noise. Half
    the maps of the first convolution have kernels of mean 0: they see edges only.

    Args:
        images: uint8, or float in [-1, 1]; (N, H, W, 1) or (N, H, W, 3), H and W at least 8.
            Floats are rounded to uint8 first. Gray is repeated to three channels, and all are
            resized to 64 pixels.

    Returns:
        Features float32 (N, 64).

    Raises:
        ValueError: images of another shape, or floats outside [-1, 1].
    """
    features = []
    for block in _blocks(images, (1, 3)):
        block = resize(block, _SIDE)
        maps = normalise(np.broadcast_to(block, (*block.shape[:3], 3)))
        parts = []
        for number, kernel in enumerate(_random_kernels()):
            maps = tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
            maps = tf.nn.conv2d(maps, kernel, strides=2 if number else 1, padding="VALID")
            maps = tf.nn.leaky_relu(maps, alpha=0.2)
            kept = maps[..., :: maps.shape[-1] // _KEPT]
            mean, variance = tf.nn.moments(kept, axes=[1, 2])
            parts += [mean, tf.math.log(0.05 + tf.sqrt(variance))]
        features.append(_SCALE * tf.concat(parts, axis=1).numpy())
    return np.concatenate(features)


@functools.cache
def _classifier(path) -> keras.Model:
    """A shipped classifier with two outputs: features and logits."""
    classifier = load_model(path)
    return keras.Model(
        classifier.inputs, [classifier.get_layer("features").output, classifier.outputs[0]]
    )


@functools.cache
def _random_kernels() -> tuple[np.ndarray, ...]:
    """The weights of the random network, float32 (3, 3, in, out), drawn with seed 0."""
    generator = np.random.default_rng(0)
    kernels, channels = [], 3
    for number, maps in enumerate(_MAPS):
        kernel = generator.normal(0, np.sqrt(2 / (9 * channels)), (3, 3, channels, maps))
        if number == 0:  # every second map sees edges only
            kernel[..., ::2] -= kernel[..., ::2].mean(axis=(0, 1))
        kernels.append(kernel.astype("<f4"))
        channels = maps
    return tuple(kernels)


def _blocks(images, channels):
    """Check images and yield them as uint8, block by block."""
    images = np.asanyarray(images)
    shape = images.shape
    if images.ndim != 4 or shape[-1] not in channels or min(shape[1:3]) < 8 or not len(images):
        wanted = " or ".join(map(str, channels))
        raise ValueError(
            f"Images have shape {shape}; needed is (N, height, width, {wanted}), N at least 1, "
            "height and width at least 8."
        )
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        yield block if block.dtype == np.uint8 else to_uint8(block)
