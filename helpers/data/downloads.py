"""Getting a data set: through tensorflow-datasets, Keras or Kaggle."""

import os
import socket
import urllib.request
from pathlib import Path

import numpy as np

from helpers.data.tables import read_csv
from helpers.refused import Refused

NETWORK_TIMEOUT = 10  # seconds until an unreachable server is given up
SERVER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SIGNS = "datamunge/sign-language-mnist"


def from_tensorflow_datasets(dataset):
    builder = find_builder(dataset)
    download(builder)
    arrays = {}
    for split in ("train", "test"):
        everything = builder.as_dataset(split=split, batch_size=-1)
        arrays[f"{split}_images"] = everything["image"].numpy()
        arrays[f"{split}_labels"] = everything["label"].numpy()
    return arrays


def from_keras(dataset):
    import keras

    patience, arrays = socket.getdefaulttimeout(), {}
    socket.setdefaulttimeout(NETWORK_TIMEOUT)  # Keras's own download would wait for ever
    try:
        train, test = getattr(keras.datasets, dataset).load_data()
    finally:
        socket.setdefaulttimeout(patience)
    for split, (images, labels) in (("train", train), ("test", test)):
        arrays[f"{split}_images"] = images if images.ndim == 4 else images[..., None]
        arrays[f"{split}_labels"] = labels.reshape(-1).astype(np.int64)
    return arrays


def from_kaggle():
    try:
        import kagglehub
    except ImportError:
        raise Refused(
            "Sign Language MNIST comes through the package kagglehub, which this Python lacks: run "
            "`python -m pip install kagglehub`, or set DATASET to the path of your own copy of "
            "sign_mnist_train.csv."
        ) from None
    folder, arrays = Path(kagglehub.dataset_download(SIGNS)), {}
    for split in ("train", "test"):
        images, labels = read_csv(next(folder.rglob(f"sign_mnist_{split}.csv")))[0]["all"]
        arrays[f"{split}_images"] = images
        arrays[f"{split}_labels"] = labels - (labels > 9)  # J, 9, is a movement, as Z is
    return arrays


def find_builder(name):
    import tensorflow_datasets as tfds  # lazily: with Colab's protobuf this import is broken

    return tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"), try_gcs=False)


def download(builder) -> None:
    """Prepared sets are read without the network; a download first asks whether anyone answers."""
    if not builder.data_path.exists():
        require_server(SERVER, "tensorflow-datasets")
        builder.download_and_prepare()


def require_server(url: str, place: str) -> None:
    """Raise OSError within seconds where a server does not answer; libraries try for minutes."""
    print(f"Downloading through {place} ...", flush=True)
    urllib.request.urlopen(url, timeout=NETWORK_TIMEOUT).close()


def first_line(error) -> str:
    """The first line of an error's message, for a line of ours."""
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__
