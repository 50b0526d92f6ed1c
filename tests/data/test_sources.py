"""Where the sets with a name come from, and the steps down when a place fails."""

import socket
import sys
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from pictures import noise, refused

from helpers.data import downloads
from helpers.data.sources import load_source, open_source


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """Empty caches, and a server that takes connections and never answers."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(downloads, "NETWORK_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, url)
            monkeypatch.setenv(name.upper(), url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield


@pytest.mark.parametrize("dataset", ["fashion_mnist", "mnist"])
def test_shipped_set(dataset):
    arrays, place = load_source(dataset, whole=False)
    assert place == "the course's assets"
    for split, each in (("train", 1000), ("test", 200)):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        assert images.dtype == np.uint8 and images.shape == (10 * each, 28, 28, 1)
        assert labels.dtype == np.int64 and np.bincount(labels).tolist() == [each] * 10
        assert images.min() == 0 and images.max() == 255
        assert max(np.mean(labels[part::5] == 0) for part in range(5)) < 0.2  # not class by class


class FakeImage(SimpleNamespace):
    pass


class FakeLabel:
    names = ("cat", "dog")


PETS = {"image": FakeImage(shape=(None, 50, 3)), "label": FakeLabel()}


def fake_tfds(folder, features=PETS, splits=("train", "test"), prepared=True, change=np.asarray):
    """What the course uses of tensorflow-datasets; a download that asks no server would fail."""
    path = folder / "tfds" / "pets"
    if prepared:
        path.mkdir(parents=True, exist_ok=True)
    tensor = lambda value: SimpleNamespace(numpy=lambda: value)  # noqa: E731

    def as_dataset(split, batch_size=None):
        if batch_size == -1:
            labels = np.arange(30) % 10
            return {"image": tensor(noise(30, 28, 1)), "label": tensor(labels)}
        examples = enumerate(noise(30, 48))
        return ({"image": tensor(change(x)), "label": tensor(n % 2)} for n, x in examples)

    info = SimpleNamespace(
        features=features,
        splits={name: SimpleNamespace(num_examples=30) for name in splits},
        homepage="https://example.org",
        redistribution_info=SimpleNamespace(license=""),
    )
    builder = SimpleNamespace(info=info, data_path=path, as_dataset=as_dataset)
    kinds = SimpleNamespace(Image=FakeImage, ClassLabel=FakeLabel)
    known = {"pets": builder, "mnist": builder}
    return SimpleNamespace(builder=lambda name, **_: known[name], features=kinds)


@pytest.mark.parametrize("broken", ["import fails", "half imported", "not prepared"])
def test_without_a_network_it_steps_down_to_the_assets_within_seconds(
    broken, tmp_path, monkeypatch, capsys
):
    modules = {"import fails": None, "half imported": SimpleNamespace()}  # the latter in Colab
    module = modules.get(broken, fake_tfds(tmp_path, prepared=False))
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    load = keras.datasets.mnist.load_data
    monkeypatch.setattr("keras.datasets.mnist.load_data", lambda: load("never-downloaded.npz"))
    start = time.monotonic()
    arrays, place = load_source("mnist", whole=True)
    assert time.monotonic() - start < 20
    assert place == "the course's assets" and len(arrays["train_images"]) == 10_000
    lines = capsys.readouterr().out.splitlines()
    downs = [line.split()[2] for line in lines if line.startswith("Not from")]
    assert downs == ["tensorflow-datasets", "keras.datasets"]
    assert "Using the smaller set that comes with the course." in lines
    assert max(map(len, lines)) < 200


def test_cifar_comes_from_keras_where_tensorflow_datasets_is_broken(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", SimpleNamespace())
    part = noise(30, 32), np.arange(30)[:, None] % 3
    monkeypatch.setattr("keras.datasets.cifar10.load_data", lambda: (part, part))
    about, splits, place = open_source("tfds:cifar10", True)
    assert (place, about.size, about.channels) == ("keras.datasets", 32, 3)
    assert splits["held_out"].labels.tolist() == (np.arange(30) % 3).tolist()
    np.testing.assert_array_equal(splits["train"].read(7), part[0][7])
    refused(lambda: open_source("tfds:pets", True), '%pip install "tensorflow-metadata<1.18"')


def test_prepared_sets_need_no_network_and_keras_is_next(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_tfds(tmp_path))
    arrays, place = load_source("mnist", whole=True)
    assert place == "tensorflow-datasets" and len(arrays["train_images"]) == 30
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    part = (noise(60, 28, 1)[..., 0], np.arange(60, dtype=np.uint8) % 10)
    monkeypatch.setattr("keras.datasets.mnist.load_data", lambda: (part, part))
    arrays, place = load_source("mnist", whole=True)
    assert place == "keras.datasets" and arrays["test_images"].shape == (60, 28, 28, 1)
    assert arrays["test_labels"].dtype == np.int64
    refused(lambda: load_source("cifar", False), "'cifar'", "fashion_mnist, mnist")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "test"), {"train", "held_out"}),
        (("train", "validation"), {"train", "held_out"}),
        (("all",), {"all"}),
    ],
)
def test_any_set_of_tensorflow_datasets(names, splits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_tfds(tmp_path, splits=names))
    about, found, place = open_source("tfds:pets", False)
    assert (about.size, about.channels, about.class_names) == (64, 3, ("cat", "dog"))
    assert place == "tensorflow-datasets" and set(found) == splits
    for stream in found.values():
        images, labels = zip(*stream.items())
        assert stream.count == 30 and labels == (0, 1) * 15
        np.testing.assert_array_equal(images, noise(30, 48))


def test_sets_of_tensorflow_datasets_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    for dataset, options, parts in (
        ("tfds:petz", {}, ["tfds:petz could not be had ('petz')", "catalog"]),
        ("tfds:pets", {"prepared": False}, ["tfds:pets could not be had", "check the network"]),
        ("tfds:pets", {"features": {"text": None}}, ["has no images: its features are text"]),
        ("tfds:pets", {"change": np.float32}, ["images of type float32"]),
    ):
        (tmp_path / "tfds" / "pets").rmdir() if (tmp_path / "tfds" / "pets").is_dir() else None
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_tfds(tmp_path, **options))

        def read(dataset=dataset):
            return list(open_source(dataset, True)[1]["train"].items())

        refused(read, *parts)


def test_sign_language_comes_through_kagglehub(tmp_path, monkeypatch):
    labels = np.array([0, 10, 24, 8] * 5)  # A, K, Y, I
    for split in ("train", "test"):
        path = tmp_path / f"sign_mnist_{split}" / f"sign_mnist_{split}.csv"
        path.parent.mkdir()
        rows = np.column_stack([labels, noise(20, 28, 1).reshape(20, -1)])
        header = ",".join(["label", *(f"pixel{n}" for n in range(1, 785))])
        np.savetxt(path, rows, fmt="%d", delimiter=",", header=header, comments="")
    module = SimpleNamespace(dataset_download=lambda name: str(tmp_path))
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    about, splits, place = open_source("sign_language_mnist", True)
    letters = np.array(about.class_names)
    assert place == "kagglehub" and about.augmented
    assert letters[splits["held_out"].labels].tolist() == ["A", "K", "Y", "I"] * 5
    np.testing.assert_array_equal(splits["train"].read(3), noise(20, 28, 1)[3])

    def offline(name):
        raise ConnectionError("no route\nto host")

    module.dataset_download = offline
    refused(lambda: open_source("sign_language_mnist", True), "(no route)", "sign_mnist_train.csv")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    refused(lambda: open_source("sign_language_mnist", True), "pip install kagglehub")
