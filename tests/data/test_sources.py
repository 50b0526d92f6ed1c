"""Where images come from, and the steps down when a place fails."""

import dataclasses
import inspect
import socket
import sys
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from helpers import sources

DOWNLOADED = [name for name, source in sources.SOURCES.items() if source.tfds_server]


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture
def offline(monkeypatch):
    """No network; the list collects the timeouts that were asked for."""
    timeouts = []

    def refuse(url, timeout=None):
        timeouts.append(timeout)
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return timeouts


def fake_arrays(count):
    return np.zeros((count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10


class FakeTensor(np.ndarray):
    def numpy(self):
        return np.asarray(self)


def fake_tfds(tmp_path, prepared):
    """What sources uses of tensorflow-datasets; a download would be noticed."""
    path = tmp_path / "tfds" / "mnist"
    if prepared:
        path.mkdir(parents=True)

    def as_dataset(split, batch_size):
        images, labels = fake_arrays({"train": 60, "test": 20}[split])
        return {
            "image": images[..., None].view(FakeTensor),
            "label": labels.astype(np.int64).view(FakeTensor),
        }

    def builder(name, data_dir, **options):
        assert data_dir == str(tmp_path / "tfds")
        return SimpleNamespace(data_path=path, as_dataset=as_dataset)

    return SimpleNamespace(builder=builder)


def assert_contract(arrays):
    assert set(arrays) == {"train_images", "train_labels", "test_images", "test_labels"}
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        assert images.dtype == np.uint8 and images.shape == (len(labels), 28, 28, 1)
        assert labels.dtype == np.int64 and labels.ndim == 1


@pytest.mark.parametrize("dataset", DOWNLOADED)
def test_shipped_set(dataset, offline):
    arrays, place = sources.load_source(dataset, whole=False)
    assert_contract(arrays)
    assert "assets" in place and offline == []
    for split, each in (("train", 1000), ("test", 200)):
        labels, counts = np.unique(arrays[f"{split}_labels"], return_counts=True)
        np.testing.assert_array_equal(labels, np.arange(10))
        np.testing.assert_array_equal(counts, [each] * 10)
        assert arrays[f"{split}_images"].min() == 0 and arrays[f"{split}_images"].max() == 255
        shares = [np.mean(arrays[f"{split}_labels"][part::5] == 0) for part in range(5)]
        assert max(shares) < 0.2, "the images should not stand in order of their class"


@pytest.mark.parametrize("dataset", list(sources.SOURCES))
def test_source_is_described(dataset):
    source = sources.find_source(dataset)
    assert len(set(source.class_names)) == len(source.class_names)
    assert source.size in sources.USUAL_SIZES and source.channels in (1, 3)
    assert source.url.startswith("https://")
    assert source.licence and source.title and source.shows_people


@pytest.mark.parametrize(
    "broken",
    [None, SimpleNamespace()],
    ids=["import fails", "half imported, as in Colab"],
)
def test_steps_down_to_the_assets(broken, offline, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", broken)
    arrays, place = sources.load_source("mnist", whole=True)
    assert_contract(arrays)
    assert len(arrays["train_images"]) == 10_000 and "assets" in place
    lines = capsys.readouterr().out.splitlines()
    downs = [line for line in lines if line.startswith("Not from")]
    assert [line.split()[2] for line in downs] == ["tensorflow-datasets", "keras.datasets"]
    assert "no route to host" in downs[1]
    assert lines[-1].startswith("Using the smaller set")
    assert len(offline) == 1 and 0 < offline[0] <= 30


def test_unprepared_tfds_asks_the_server_first(offline, tmp_path, monkeypatch, capsys):
    """The fake has no download_and_prepare: to start one offline would be another error."""
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_tfds(tmp_path, prepared=False))
    _, place = sources.load_source("mnist", whole=True)
    assert "assets" in place
    assert len(offline) == 2 and all(0 < timeout <= 30 for timeout in offline)
    printed = capsys.readouterr().out
    assert printed.count("Not from") == printed.count("no route to host") == 2


def test_prepared_tfds_needs_no_network(offline, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_tfds(tmp_path, prepared=True))
    arrays, place = sources.load_source("mnist", whole=True)
    assert_contract(arrays)
    assert (place, len(arrays["train_images"]), offline) == ("tensorflow-datasets", 60, [])
    assert "Not from" not in capsys.readouterr().out


@pytest.mark.parametrize("dataset", DOWNLOADED)
def test_keras_cache_needs_no_network(dataset, offline, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    cached = tmp_path / "keras" / sources.SOURCES[dataset].keras_cache
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"")
    reader = getattr(keras.datasets, dataset)
    monkeypatch.setattr(reader, "load_data", lambda: (fake_arrays(60), fake_arrays(20)))
    arrays, place = sources.load_source(dataset, whole=True)
    assert_contract(arrays)
    assert (place, len(arrays["test_images"]), offline) == ("keras.datasets", 20, [])
    assert capsys.readouterr().out.count("Not from") == 1


def test_cached_names_are_those_of_keras():
    """Keras writes these files; a wrong name here would ask the network for nothing."""
    for dataset in DOWNLOADED:
        source = sources.SOURCES[dataset]
        code = inspect.getsource(getattr(keras.datasets, dataset).load_data)
        assert Path(source.keras_cache).name in code
        folder = Path(source.keras_cache).parent.name
        assert folder == "datasets" or folder in code


def test_silent_server_is_given_up(monkeypatch, tmp_path, capsys):
    """A server that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(sources, "NETWORK_TIMEOUT", 0.2)
        monkeypatch.setattr(sources, "_KERAS_SERVER", url)
        silent = dataclasses.replace(sources.SOURCES["mnist"], tfds_server=url)
        monkeypatch.setitem(sources.SOURCES, "mnist", silent)
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_tfds(tmp_path, False))
        _, place = sources.load_source("mnist", whole=True)
    assert "assets" in place
    assert capsys.readouterr().out.count("timed out") == 2


def test_long_reason_is_one_line(offline, monkeypatch, capsys):
    def fail(*_, **__):
        raise RuntimeError("first line " + "x" * 500 + "\nsecond line")

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", SimpleNamespace(builder=fail))
    sources.load_source("mnist", whole=True)
    lines = capsys.readouterr().out.splitlines()
    assert not any("second line" in line for line in lines)
    assert max(map(len, lines)) < 200
