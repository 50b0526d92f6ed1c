"""Image sources by name: where the images come from, with what licence."""

import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.environment import ASSETS
from helpers.files import load_arrays

NETWORK_TIMEOUT = 10  # seconds until an unreachable server is given up
_KERAS_SERVER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"


@dataclass(frozen=True)
class Source:
    """What is known of a data set before a single image is read."""

    title: str
    url: str
    licence: str
    shows_people: str
    class_names: tuple[str, ...]
    tfds_server: str  # a file that tensorflow-datasets downloads, asked for before it tries
    keras_cache: str  # where keras.datasets keeps it, below the Keras folder


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
        tfds_server="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
        "t10k-labels-idx1-ubyte.gz",
        keras_cache="datasets/fashion-mnist/train-images-idx3-ubyte.gz",
    ),
    "mnist": Source(
        title="MNIST",
        url="https://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0, copyright Yann LeCun and Corinna Cortes",
        shows_people="no: handwritten digits, the writers are not named",
        class_names=tuple("0123456789"),
        tfds_server="https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
        keras_cache="datasets/mnist.npz",
    ),
}  # fmt: skip


def find_source(dataset: str) -> Source:
    """The source of that name.

    Raises:
        ValueError: there is none; the message names the ones there are.
    """
    if dataset not in SOURCES:
        raise ValueError(
            f"There is no data set {dataset!r}; DATASET is one of {', '.join(SOURCES)}."
        )
    return SOURCES[dataset]


def load_source(dataset: str, whole: bool) -> tuple[dict[str, np.ndarray], str]:
    """Read a data set, stepping down to the next place where one fails.

    Args:
        dataset: a name in SOURCES.
        whole: True for all images, from tensorflow-datasets, else Keras, else the repository;
            False for the smaller set the repository ships.

    Returns:
        Arrays `train_images`, `test_images`, uint8 (N, 28, 28, 1), and `train_labels`,
        `test_labels`, int64 (N,); and a phrase that says where they came from.
    """
    source = find_source(dataset)
    if whole:
        for place, read in (
            ("tensorflow-datasets", _from_tensorflow_datasets),
            ("keras.datasets", _from_keras),
        ):
            try:
                return read(dataset, source), place
            except Exception as error:  # missing, incompatible or offline: all step down
                reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason"
                print(f"Not from {place} ({type(error).__name__}: {reason[:120]}).")
        print("Using the smaller set that comes with the course.")
    arrays = load_arrays(ASSETS / "datasets" / f"{dataset}.npz")
    for split in ("train", "test"):  # bytes in the file, to keep it small
        arrays[f"{split}_labels"] = arrays[f"{split}_labels"].astype(np.int64)
    return arrays, "the course's assets"


def _from_tensorflow_datasets(dataset, source):
    import tensorflow_datasets as tfds  # lazily: with Colab's protobuf this import is broken

    # Prepared sets are read without the network; a download first asks whether anyone answers.
    builder = tfds.builder(dataset, data_dir=os.environ.get("TFDS_DATA_DIR"), try_gcs=False)
    if not builder.data_path.exists():
        _require_server(source.tfds_server, "tensorflow-datasets")
        builder.download_and_prepare()
    arrays = {}
    for split in ("train", "test"):
        everything = builder.as_dataset(split=split, batch_size=-1)
        arrays[f"{split}_images"] = everything["image"].numpy()
        arrays[f"{split}_labels"] = everything["label"].numpy()
    return arrays


def _from_keras(dataset, source):
    import keras

    keras_folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    if not (keras_folder / source.keras_cache).exists():
        _require_server(_KERAS_SERVER, "keras.datasets")
    (train, train_labels), (test, test_labels) = getattr(keras.datasets, dataset).load_data()
    return {
        "train_images": train[..., None],
        "train_labels": train_labels.astype(np.int64),
        "test_images": test[..., None],
        "test_labels": test_labels.astype(np.int64),
    }


def _require_server(url, place):
    print(f"Downloading through {place} ...", flush=True)
    urllib.request.urlopen(url, timeout=NETWORK_TIMEOUT).close()
