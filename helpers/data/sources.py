"""Image sources: the known ones by name, tensorflow-datasets, and the learner's own files."""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.data.own_files import Collection, UnreadablePicture, open_path, read_csv
from helpers.files import load_arrays
from helpers.machine import ASSETS, ROOT, runs_folder

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
    augmented: bool = False  # many pictures are variants of a few
    size: int = 28  # pixels a side
    channels: int = 1
    tfds_server: str = ""  # a file that tensorflow-datasets downloads, asked for before it tries
    keras_cache: str = ""  # where keras.datasets keeps it, below the Keras folder


@dataclass(frozen=True)
class Stream:
    """Pictures that can only be read one after the other, as tensorflow-datasets gives them."""

    count: int
    items: Callable[[], Iterator[tuple[np.ndarray, int]]]  # uint8 (H, W, 1 or 3), label
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A source whose pictures are about to be read.

    Attributes:
        splits: `train` and `test`, or `all` where nobody has divided them yet.
        read_from: a phrase that says where the pictures came from.
        size: the side a run takes by default, in pixels.
        channels: 1 or 3, what a run takes by default.
        fingerprint: changes when the learner's files change; "" for known sets.
    """

    about: Source
    splits: dict[str, Collection | Stream]
    read_from: str
    size: int
    channels: int
    fingerprint: str = ""


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
ANYTHING = "tfds:NAME, or the path of a folder, .zip, .csv, .npz or .npy of pictures"
USUAL_SIZES = (28, 32, 64)
KAGGLE_SET = "datamunge/sign-language-mnist"


def find_source(dataset: str) -> Source:
    """The source of that name.

    Raises:
        ValueError: there is none; the message names the ones there are.
    """
    if dataset not in SOURCES:
        raise ValueError(
            f"There is no data set {dataset!r}; DATASET is one of {', '.join(SOURCES)}, {ANYTHING}."
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
    if whole and source.tfds_server:
        for place, read in (
            ("tensorflow-datasets", _from_tensorflow_datasets),
            ("keras.datasets", _from_keras),
        ):
            try:
                return read(dataset, source), place
            except Exception as error:  # missing, incompatible or offline: all step down
                print(f"Not from {place} ({type(error).__name__}: {first_line(error)}).")
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
        require_server(source.tfds_server, "tensorflow-datasets")
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
        require_server(_KERAS_SERVER, "keras.datasets")
    (train, train_labels), (test, test_labels) = getattr(keras.datasets, dataset).load_data()
    return {
        "train_images": train[..., None],
        "train_labels": train_labels.astype(np.int64),
        "test_images": test[..., None],
        "test_labels": test_labels.astype(np.int64),
    }


def require_server(url, place):
    print(f"Downloading through {place} ...", flush=True)
    urllib.request.urlopen(url, timeout=NETWORK_TIMEOUT).close()


def is_known(dataset: str) -> bool:
    """True for a name in SOURCES, whose size and channels are known before it is opened."""
    return dataset in SOURCES


def slug(dataset: str) -> str:
    """A short name for a run's folder: `cifar10` for "tfds:cifar10", `cats` for "my/cats.zip"."""
    if dataset.startswith("tfds:"):
        return re.sub(r"[^\w-]+", "_", dataset.removeprefix("tfds:")) or "images"
    name = re.split(r"[/\\:]", dataset.rstrip("/\\"))[-1]
    return re.sub(r"[^\w-]+", "_", name.rsplit(".", 1)[0] if "." in name[1:] else name) or "images"


def open_source(dataset: str, whole: bool, background: str = "white") -> Opened:
    """Find a source and say what its pictures are, without reading all of them.

    Args:
        dataset: a name in SOURCES, "tfds:NAME", or the path of a folder, `.zip`, `.csv`, `.npz` or
            `.npy`; a relative path counts from the working directory, then from the repository.
        whole: all images of a known set, or the smaller selection that the repository ships.
        background: a colour that Pillow knows, laid under transparent pictures.

    Raises:
        ValueError, FileNotFoundError: there is no such source, or it cannot be used; one sentence.
    """
    if dataset == "sign_language_mnist":
        return _open_sign_language()
    if is_known(dataset):
        arrays, place = load_source(dataset, whole)
        about = SOURCES[dataset]
        splits = {
            split: _collect(
                arrays[f"{split}_images"],
                arrays[f"{split}_labels"] if about.class_names else None,
                about.class_names,
            )
            for split in ("train", "test")
        }
        return Opened(about, splits, place, about.size, about.channels)
    if dataset.startswith("tfds:"):
        return _open_tensorflow_datasets(dataset.removeprefix("tfds:"))
    path = find_path(dataset)
    if path is None:
        find_source(dataset)  # raises, and names what there is
    for inside in (ROOT, runs_folder()):
        if inside.resolve().is_relative_to(path.resolve()):
            raise ValueError(
                f"The folder {path.resolve().name} holds the course itself; put your pictures into "
                "a folder of their own."
            )
    collection = open_path(path, background)
    size, channels = _look_at(collection)
    about = Source(
        title=path.name,
        url="your own",
        licence="yours to know",
        shows_people="yours to know",
        class_names=collection.class_names,
        augmented=path.name.startswith("sign_mnist"),
    )
    return Opened(
        about,
        {"all": collection},
        "your files",
        size,
        channels,
        collection.fingerprint,
    )


def find_path(dataset: str) -> Path | None:
    """The existing file or folder that `dataset` names, or None."""
    try:
        path = Path(dataset).expanduser()
        places = (path, ROOT / path) if dataset else ()
        return next((place for place in places if place.exists()), None)
    except (OSError, RuntimeError, ValueError):  # a name no file can have
        return None


def _collect(images, labels, class_names) -> Collection:
    """Arrays as a collection."""
    names = [f"image {number}" for number in range(len(images))]
    return Collection(names, lambda index: images[index], "", labels, class_names)


def _look_at(collection) -> tuple[int, int]:
    """Side and channels to take for pictures, from up to 50 of them spread over the whole.

    The smallest usual side that holds half of them, at most 64; gray only if all are.
    """
    sides, gray = [], True
    for index in np.unique(np.linspace(0, len(collection.names) - 1, 50).astype(int)):
        try:
            image = collection.read(int(index))
        except UnreadablePicture:
            continue
        sides.append(min(image.shape[:2]))
        gray = gray and bool((image == image[..., :1]).all())
    return _usual_size(np.median(sides or USUAL_SIZES[-1:])), 1 if gray and sides else 3


def _usual_size(side) -> int:
    """The smallest usual size that holds `side` pixels, at most 64."""
    return next((usual for usual in USUAL_SIZES if usual >= side), USUAL_SIZES[-1])


def _open_sign_language() -> Opened:
    about = SOURCES["sign_language_mnist"]
    try:
        import kagglehub
    except ImportError:
        raise ValueError(
            "Sign Language MNIST comes through the package kagglehub, which this Python lacks: run "
            "`python -m pip install kagglehub`, or download the set from Kaggle and set DATASET to "
            "the path of its sign_mnist_train.csv."
        ) from None
    try:
        folder = Path(kagglehub.dataset_download(KAGGLE_SET))
    except Exception as error:  # offline, refused, or gone
        raise ValueError(
            f"Kaggle did not give {KAGGLE_SET} ({first_line(error)}); check the network, or set "
            "DATASET to the path of your own copy of sign_mnist_train.csv."
        ) from error
    splits = {}
    for split in ("train", "test"):
        files = sorted(folder.rglob(f"sign_mnist_{split}.csv"))
        if not files:
            raise ValueError(
                f"What Kaggle gave for {KAGGLE_SET} has no sign_mnist_{split}.csv; set DATASET to "
                "the path of your own copy of sign_mnist_train.csv."
            )
        splits[split] = _with_letters(read_csv(files[0]))
    return Opened(about, splits, "kagglehub", about.size, about.channels)


def _with_letters(collection) -> Collection:
    """Labels 0 to 24 without 9 (J is a movement, as Z is) as indices of the set's letters."""
    letters = SOURCES["sign_language_mnist"].class_names
    indices = [letters.index(chr(ord("A") + int(name))) for name in collection.class_names]
    return Collection(
        collection.names,
        collection.read,
        collection.fingerprint,
        np.array(indices)[collection.labels],
        letters,
    )


def _open_tensorflow_datasets(name) -> Opened:
    """Any image set of tensorflow-datasets; CIFAR also from Keras, where that cannot be had."""
    try:
        import tensorflow_datasets as tfds

        make_builder = tfds.builder
    except Exception as error:  # missing, or broken by protobuf in Colab
        print(f"Not from tensorflow-datasets ({type(error).__name__}: {first_line(error)}).")
        if name in ("cifar10", "cifar100"):
            return _open_cifar(name)
        raise ValueError(
            f"tensorflow-datasets cannot be used here, and {name} is nowhere else. In Colab, run "
            '`%pip install "tensorflow-metadata<1.18"` in a new cell and restart the session.'
        ) from None
    try:
        builder = make_builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"), try_gcs=False)
    except Exception as error:  # tensorflow-datasets raises many kinds for a name it does not know
        raise ValueError(
            f"tensorflow-datasets has no set {name!r} ({first_line(error)}); its catalogue is at "
            "https://www.tensorflow.org/datasets/catalog/overview."
        ) from error
    features = builder.info.features
    keys = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if not keys:
        raise ValueError(
            f"{name} has no images: its features are {', '.join(features)}; choose another set."
        )
    key = "image" if "image" in keys else keys[0]
    if not builder.data_path.exists():
        try:
            require_server(_KERAS_SERVER, "tensorflow-datasets")
            builder.download_and_prepare()
        except Exception as error:  # offline, to be downloaded by hand, no space, and more
            raise ValueError(
                f"{name} could not be downloaded ({first_line(error)}); check the network and the "
                "set's page in the catalogue of tensorflow-datasets."
            ) from error
    label = features.get("label")
    class_names = tuple(label.names) if isinstance(label, tfds.features.ClassLabel) else ()

    def stream(split):
        def items():
            for example in builder.as_dataset(split=split):
                image = example[key].numpy()[..., :3]
                if image.dtype == np.uint16:
                    image = np.uint8(image // 257)
                number = int(example["label"].numpy()) if class_names else 0
                if image.dtype != np.uint8 or number < 0:
                    raise ValueError(
                        f"{name} has images of type {image.dtype} and a label {number}; needed are "
                        "uint8 or uint16, and labels from 0. Choose another set."
                    )
                yield image, number

        return Stream(builder.info.splits[split].num_examples, items, class_names)

    names = list(builder.info.splits)
    held_out = next((split for split in ("validation", "test") if split in names), None)
    if "train" in names and held_out:
        splits = {"train": stream("train"), "test": stream(held_out)}
    else:
        splits = {"all": stream("train" if "train" in names else names[0])}
    sides = [side for side in features[key].shape[:2] if side]
    size = _usual_size(min(sides, default=USUAL_SIZES[-1]))
    about = Source(
        title=name,
        url=builder.info.homepage or f"https://www.tensorflow.org/datasets/catalog/{name}",
        licence=str(builder.info.redistribution_info.license or "see its homepage"),
        shows_people="see its homepage",
        class_names=class_names,
    )
    channels = 1 if features[key].shape[-1] == 1 else 3
    return Opened(about, splits, "tensorflow-datasets", size, channels)


def _open_cifar(name) -> Opened:
    import keras

    try:
        require_server(_KERAS_SERVER, "keras.datasets")
        parts = getattr(keras.datasets, name).load_data()
    except OSError as error:
        raise ValueError(
            f"{name} could not be downloaded ({first_line(error)}); check the network, or choose "
            f"one of {', '.join(SOURCES)}."
        ) from error
    classes = 1 + max(int(labels.max()) for _, labels in parts)
    class_names = tuple(str(number) for number in range(classes))
    splits = {
        split: _collect(images, labels.reshape(-1).astype(np.int64), class_names)
        for split, (images, labels) in zip(("train", "test"), parts)
    }
    url = "https://www.cs.toronto.edu/~kriz/cifar.html"
    about = Source(name.upper(), url, "see its homepage", "see its homepage", class_names)
    return Opened(about, splits, "keras.datasets", 32, 3)


def first_line(error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__
