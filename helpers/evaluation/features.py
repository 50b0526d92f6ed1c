"""Feature spaces: numbers that describe an image, and figures that name their space."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from helpers.data.images import normalise, resize
from helpers.data.sources import SOURCES
from helpers.evaluation import inception
from helpers.evaluation.classifier import own_classifier, weights_sha256
from helpers.files import load_model, sha256
from helpers.machine import ASSETS, has_gpu
from helpers.plots import to_uint8

KINDS = ("classifier", "inception", "random")
_BLOCK = 500  # images described at once; bounds the memory
_INCEPTION_BLOCK = 50

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
        sha256: of the shipped file, else of the weights, for comparing spaces.
        classes: the classes of the probabilities, or None where there are none.
    """

    name: str
    sha256: str
    classes: tuple[str, ...] | None
    _describe: Callable = field(repr=False, compare=False)

    def __str__(self):
        return _in_words(self.record())

    def extract_features(self, images) -> tuple[np.ndarray, np.ndarray | None]:
        """Features and class probabilities of images.

        Args:
            images: uint8, or float in [-1, 1]; (N, H, W, C) with the C of the prepared images,
                for random convolutions 1 or 3. Floats are rounded to uint8 first, so that real and
                generated images are treated alike.

        Returns:
            Features float32 (N, 64), of InceptionV3 (N, 2048), and probabilities float32 (N, K) for
            K classes, or None.

        Raises:
            ValueError: images of another shape, or floats outside [-1, 1].
        """
        return self._describe(images)

    def record(self) -> dict:
        """Name and SHA-256, as JSON holds them."""
        return {"name": self.name, "sha256": self.sha256}


def _pixels(images) -> tuple[np.ndarray, None]:
    return np.reshape(images, (len(images), -1)), None


# What distances to the nearest training images are measured in.
PIXELS = FeatureSpace("pixels", "", None, _pixels)


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
        kind: "classifier" (1 or 3), "inception" (also on a CPU, and of fewer images) or "random"
            asks for one; where it cannot be had, the answer is 4.

    Raises:
        ValueError: an unknown kind.
        OSError: the run's folder cannot be written.
    """
    if kind not in ("", *KINDS):
        raise ValueError(f"There is no feature space {kind!r}; it is one of {', '.join(KINDS)}.")
    space = None
    if kind in ("", "classifier"):
        space = _shipped_space(images.card)
    if not space and (kind == "inception" or (not kind and _suits_inception(run, images))):
        space = _inception_space(images.card)
    if not space and kind in ("", "classifier"):
        space = _own_space(run, images)
    space = space or _random_space()
    print(f"Features: {space}.")
    return space


def _shipped_space(card):
    path = ASSETS / "classifiers" / f"{card['dataset']}.keras"
    known = card["dataset"] in SOURCES and path.is_file()
    if not (known and card["image_shape"][-1] == 1 and card["labelled"]):
        return None
    return FeatureSpace(
        f"the shipped {card['title']} classifier",
        sha256(path),
        tuple(card["class_names"]),
        functools.partial(classify, card["dataset"]),
    )


def _suits_inception(run, images) -> bool:
    """Whether InceptionV3 is worth its time; for images in colour, a line says why not."""
    if images.card["image_shape"][-1] != 3:
        return False
    count = min(run.profile.samples, len(images.train_images), len(images.held_out_images))
    if count < inception.FEATURES:
        print(
            f"Not Keras's InceptionV3: its {inception.FEATURES:,} features need as many images of "
            f"each kind, and there are {count:,}."
        )
        return False
    if not has_gpu():
        print("Not Keras's InceptionV3: without a GPU it takes many minutes.")
        return False
    return True


def _inception_space(card):
    if card["image_shape"][-1] != 3:
        print("Not Keras's InceptionV3: it needs images in colour.")
        return None
    model = inception.load_inception()
    if model is None:
        return None
    return FeatureSpace(
        "Keras's InceptionV3 of ImageNet, not that of FID",
        weights_sha256(model),
        None,
        lambda images: (_inception_features(model, images), None),
    )


def _own_space(run, images):
    if not images.card["labelled"]:
        return None
    model = own_classifier(run, images)
    if model is None:
        return None
    return FeatureSpace(
        f"a classifier trained on {images.card['title']}",
        weights_sha256(model),
        tuple(images.card["class_names"]),
        functools.partial(_classify, _two_outputs(model)),
    )


def _random_space():
    content = b"".join(kernel.tobytes() for kernel in _random_kernels())
    return FeatureSpace(
        "random convolutions, no labels",
        hashlib.sha256(content).hexdigest(),
        None,
        lambda images: (random_features(images), None),
    )


# Figures


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


def require_same(first, second) -> None:
    """Refuse to compare across feature spaces.

    Args:
        first, second: feature spaces, or records of `figure`.

    Raises:
        ValueError: two spaces, by the SHA-256 of their weights, or a record that names none.
    """
    first, second = _space_of(first), _space_of(second)
    if first["sha256"] != second["sha256"]:
        raise ValueError(
            f"Figures of {_in_words(first)} and of {_in_words(second)} cannot be compared; compute "
            "both in one feature space."
        )


def comparable(records) -> list[dict]:
    """The records of `figure`, to be put on one axis or into one table.

    Raises:
        ValueError: they are of several feature spaces, or one names none.
    """
    records = list(records)
    for record in records:
        require_same(records[0], record)
    return records


def _space_of(thing) -> dict:
    if isinstance(thing, FeatureSpace):
        return thing.record()
    try:
        return {key: thing["space"][key] for key in ("name", "sha256")}
    except (KeyError, TypeError):
        raise ValueError("A figure that names no feature space cannot be compared.") from None


def _in_words(space) -> str:
    if not space["sha256"]:  # pixels
        return space["name"]
    return f"{space['name']} (SHA-256 {space['sha256'][:12]}…)"


# Describing images


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
    return _classify(_classifier(ASSETS / "classifiers" / f"{dataset}.keras"), images)


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
    return _two_outputs(load_model(path))


def _two_outputs(classifier) -> keras.Model:
    return keras.Model(
        classifier.inputs, [classifier.get_layer("features").output, classifier.outputs[0]]
    )


def _classify(model, images) -> tuple[np.ndarray, np.ndarray]:
    """Features and class probabilities of images, resized to what the model takes."""
    _, side, _, channels = model.input_shape
    outputs = [
        model(normalise(resize(block, side)), training=False)
        for block in _blocks(images, (channels,))
    ]
    features, logits = (np.concatenate(part) for part in zip(*outputs))
    return features, keras.ops.convert_to_numpy(keras.ops.softmax(logits))


def _inception_features(model, images) -> np.ndarray:
    """Features float32 (N, 2048) of images (N, H, W, 3), resized to 299 pixels."""
    blocks = _blocks(images, (3,), _INCEPTION_BLOCK)
    return np.concatenate(
        [model.predict_on_batch(normalise(resize(block, inception.SIDE))) for block in blocks]
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


def _blocks(images, channels, size=None):
    """Check images and yield them as uint8, block by block."""
    images = np.asanyarray(images)
    shape = images.shape
    if images.ndim != 4 or shape[-1] not in channels or min(shape[1:3]) < 8 or not len(images):
        wanted = " or ".join(map(str, channels))
        raise ValueError(
            f"Images have shape {shape}; needed is (N, height, width, {wanted}), N at least 1, "
            "height and width at least 8."
        )
    size = size or _BLOCK
    for start in range(0, len(images), size):
        block = images[start : start + size]
        yield block if block.dtype == np.uint8 else to_uint8(block)
