"""The data sets that have a name: shipped with the course, or downloaded through a library."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from helpers.data import downloads
from helpers.data.own_files import Collection, collect
from helpers.machine import ASSETS
from helpers.refused import Refused

USUAL_SIZES = (28, 32, 64)


@dataclass(frozen=True)
class Source:
    """What a data set's card says of it, and the format a run takes by default."""

    title: str
    url: str
    licence: str
    shows_people: str
    class_names: tuple[str, ...]
    augmented: bool = False  # many pictures are variants of a few
    size: int = 28  # pixels a side
    channels: int = 1


@dataclass(frozen=True)
class Stream:
    """Pictures that can only be read one after the other, as tensorflow-datasets gives them."""

    count: int
    items: Callable[[], Iterator[tuple[np.ndarray, int]]]  # uint8 (H, W, 1 or 3), label


SOURCES = {
    "fashion_mnist": Source(
        title="Fashion-MNIST",
        url="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT, copyright 2017 Zalando SE",
        shows_people="a few: some photographs show somebody wearing the garment",
        class_names=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
    ),
    "mnist": Source(
        title="MNIST",
        url="https://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0, copyright Yann LeCun and Corinna Cortes",
        shows_people="no: handwritten digits, the writers are not named",
        class_names=tuple("0123456789"),
    ),
    "emoji": Source(
        title="Noto Emoji",
        url="https://github.com/googlefonts/noto-emoji",
        licence="Apache 2.0, copyright Google",
        shows_people="no: drawings, many of them of people",
        class_names=(),
        augmented=True,  # of skin tone, which are held out together, and of gender, which are not
        size=64,
        channels=3,
    ),
    "sign_language_mnist": Source(
        title="Sign Language MNIST",
        url="https://www.kaggle.com/datasets/datamunge/sign-language-mnist",
        licence="CC0 1.0",
        shows_people="yes: the hands of some people, cropped from photographs",
        class_names=tuple("ABCDEFGHIKLMNOPQRSTUVWXY"),
        augmented=True,
    ),
}  # fmt: skip


def open_source(dataset: str, whole: bool) -> tuple[Source, dict[str, Collection | Stream], str]:
    """A set with a name, whose pictures are about to be read.

    Args:
        dataset: a name in SOURCES, or "tfds:NAME".
        whole: all images of a known set, or the smaller selection that the repository ships.

    Returns:
        What is known of it; its pictures under `train` and `held_out`, or under `all` where nobody
        has divided them; and a phrase that says where they come from.

    Raises:
        Refused: there is no such set, or it cannot be had; one sentence.
    """
    try:
        if dataset.startswith("tfds:"):
            return _open_tensorflow_datasets(dataset.removeprefix("tfds:"))
        arrays, place = load_source(dataset, whole)
    except Refused:
        raise
    except Exception as error:  # an unknown name, offline, by hand only, no space, and more
        hint = "look its name up in https://www.tensorflow.org/datasets/catalog/overview"
        if dataset == "sign_language_mnist":
            hint = "set DATASET to the path of your own copy of sign_mnist_train.csv"
        raise Refused(
            f"{dataset} could not be had ({downloads.first_line(error)}); check the network, or "
            f"{hint}."
        ) from error
    return SOURCES[dataset], _splits(arrays, SOURCES[dataset].class_names), place


def load_source(dataset: str, whole: bool) -> tuple[dict[str, np.ndarray], str]:
    """Read a known data set, from the next place where one fails.

    Args:
        dataset: a name in SOURCES.
        whole: True for all images, from tensorflow-datasets, else Keras, else the repository;
            False for the smaller set the repository ships.

    Returns:
        Arrays `train_images`, `test_images`, uint8 (N, H, W, C), and `train_labels`,
        `test_labels`, int64 (N,); and a phrase that says where they came from.

    Raises:
        Refused: there is no such set, or it cannot be had.
    """
    if dataset not in SOURCES:
        raise Refused(f"The course knows no data set {dataset!r}, but {', '.join(SOURCES)}.")
    if dataset == "sign_language_mnist":
        return downloads.from_kaggle(), "kagglehub"
    if whole and dataset in ("fashion_mnist", "mnist"):  # of emoji, all there are come along
        places = {
            "tensorflow-datasets": downloads.from_tensorflow_datasets,
            "keras.datasets": downloads.from_keras,
        }
        for place, read in places.items():
            try:
                return read(dataset), place
            except Exception as error:  # missing, incompatible or offline: all step down
                print(f"Not from {place} ({type(error).__name__}: {downloads.first_line(error)}).")
        print("Using the smaller set that comes with the course.")
    with np.load(ASSETS / "datasets" / f"{dataset}.npz") as file:
        arrays = dict(file)
    for split in ("train", "test"):  # bytes in the file, to keep it small
        arrays[f"{split}_labels"] = arrays[f"{split}_labels"].astype(np.int64)
    return arrays, "the course's assets"


def _splits(arrays, class_names) -> dict[str, Collection]:
    parts = {
        split: (arrays[f"{name}_images"], arrays[f"{name}_labels"] if class_names else None)
        for split, name in (("train", "train"), ("held_out", "test"))
    }
    return collect(parts, class_names)


def usual_size(side) -> int:
    """The smallest usual size that holds `side` pixels, at most 64."""
    return next((usual for usual in USUAL_SIZES if usual >= side), USUAL_SIZES[-1])


def _open_tensorflow_datasets(name):
    """Any image set of tensorflow-datasets; CIFAR also from Keras, where that cannot be had."""
    try:
        import tensorflow_datasets as tfds

        kinds, _ = tfds.features, tfds.builder  # missing in Colab, where protobuf does not fit
    except Exception as error:
        print(
            f"Not from tensorflow-datasets ({type(error).__name__}: {downloads.first_line(error)})."
        )
        return _open_cifar(name)
    builder = downloads.find_builder(name)
    features = builder.info.features
    keys = [key for key in features if isinstance(features[key], kinds.Image)]
    if not keys:
        raise Refused(
            f"{name} has no images: its features are {', '.join(features)}; choose another set."
        )
    downloads.download(builder)
    key = "image" if "image" in keys else keys[0]
    labelled = isinstance(features.get("label"), kinds.ClassLabel)

    def stream(split):
        def items():
            for example in builder.as_dataset(split=split):
                image = example[key].numpy()[..., :3]
                label = int(example["label"].numpy()) if labelled else 0
                if image.dtype != np.uint8 or label < 0:
                    raise Refused(
                        f"{name} has images of type {image.dtype} and a label {label}; needed are "
                        "uint8, and labels from 0. Choose another set."
                    )
                yield image, label

        return Stream(builder.info.splits[split].num_examples, items)

    names = list(builder.info.splits)
    held_out = next((split for split in ("validation", "test") if split in names), None)
    if "train" in names and held_out:
        splits = {"train": stream("train"), "held_out": stream(held_out)}
    else:
        splits = {"all": stream("train" if "train" in names else names[0])}
    about = Source(
        title=name,
        url=builder.info.homepage or f"https://www.tensorflow.org/datasets/catalog/{name}",
        licence=str(builder.info.redistribution_info.license or "see its homepage"),
        shows_people="see its homepage",
        class_names=tuple(features["label"].names) if labelled else (),
        size=usual_size(min(filter(None, features[key].shape[:2]), default=USUAL_SIZES[-1])),
        channels=1 if features[key].shape[2] == 1 else 3,
    )
    return about, splits, "tensorflow-datasets"


def _open_cifar(name):
    if name not in ("cifar10", "cifar100"):
        raise Refused(
            f"tensorflow-datasets cannot be used here, and {name} is nowhere else. In Colab, run "
            '`%pip install "tensorflow-metadata<1.18"` in a new cell and restart the session.'
        )
    arrays = downloads.from_keras(name)
    names = tuple(map(str, range(1 + arrays["train_labels"].max())))
    url, see = "https://www.cs.toronto.edu/~kriz/cifar.html", "see its homepage"
    about = Source(name.upper(), url, see, see, names, size=32, channels=3)
    return about, _splits(arrays, names), "keras.datasets"
