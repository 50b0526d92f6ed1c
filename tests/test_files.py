"""Atomic writing, and what is written comes back."""

import hashlib
import json
from contextlib import contextmanager

import keras
import numpy as np
import pytest

from helpers import files, pictures


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("earlier", [True, False])
def test_replacing_keeps_the_earlier_file(error, earlier, tmp_path):
    path = tmp_path / "scores.json"
    if earlier:
        path.write_text("earlier")
    with pytest.raises(error), files.atomic_write(path) as partial:
        partial.write_text("half")
        raise error("broken off")
    assert names(tmp_path) == (["scores.json"] if earlier else [])
    assert not earlier or path.read_text() == "earlier"


def test_replacing_shows_nothing_before_the_end(tmp_path):
    path = tmp_path / "new folder" / "scores.json"
    with files.atomic_write(path) as partial:
        partial.write_text("whole")
        assert not path.exists() and partial.parent == path.parent
        assert partial.suffix == path.suffix
    assert path.read_text() == "whole"
    assert names(path.parent) == ["scores.json"]


def test_reader_of_the_earlier_file_is_not_disturbed(tmp_path):
    """The new file takes the name at once; it is not written into the earlier one."""
    path = tmp_path / "scores.json"
    path.write_text("earlier")
    with open(path) as reader:
        files.save_json(path, {"new": 1})
        assert reader.read() == "earlier"
    assert json.loads(path.read_text()) == {"new": 1}


def test_block_that_writes_nothing_is_an_error(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("earlier")
    with pytest.raises(OSError, match=r"scores\.json"), files.atomic_write(path):
        pass
    assert path.read_text() == "earlier"


@pytest.fixture
def little_space():
    """No file of this process may grow beyond 5,000 bytes; the system refuses to write on."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


@pytest.mark.parametrize("kind", ["json", "csv", "npz", "keras", "png", "gif"])
def test_file_that_outgrows_its_space(kind, little_space, tmp_path, monkeypatch):
    """Whatever library writes: the earlier file stays, and nothing else is left."""
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    save = {
        "json": lambda path: files.save_json(path, list(range(9_999))),
        "csv": lambda path: files.save_table(path, [{"n": n} for n in range(9_999)]),
        "npz": lambda path: files.save_arrays(path, compressed=True, a=noise),
        "keras": lambda path: files.save_model(model, path),
        "png": lambda path: pictures.save_png(path, noise),
        "gif": lambda path: pictures.save_gif(path, [noise]),
    }[kind]
    path = tmp_path / f"a.{kind}"
    path.write_text("earlier")
    with pytest.raises(OSError) as caught, little_space():
        save(path)
    message = str(caught.value)
    assert f"runs/a.{kind}" in message and "File too large" in message and "\n" not in message
    assert path.read_text() == "earlier"
    assert names(tmp_path) == [f"a.{kind}"]
    save(path)
    assert path.stat().st_size > 5_000 and names(tmp_path) == [f"a.{kind}"]


def test_json_round_trip(tmp_path):
    content = {"title": "Fréchet", "numbers": [1, 2.5], "none": None}
    files.save_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == content


def test_table_round_trip_is_exact(tmp_path):
    values = np.random.default_rng(0).normal(size=7)
    rows = [{"epoch": n + 1, "loss": float(value)} for n, value in enumerate(values)]
    files.save_table(tmp_path / "history.csv", rows)
    table = files.load_table(tmp_path / "history.csv")
    assert list(table) == ["epoch", "loss"]
    np.testing.assert_array_equal(table["epoch"], np.arange(1, 8))
    np.testing.assert_array_equal(table["loss"], values)
    assert table["loss"].dtype == np.float64


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_round_trip(compressed, tmp_path):
    arrays = {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "group/b": np.float32([0.1])}
    files.save_arrays(tmp_path / "a.npz", compressed=compressed, **arrays)
    back = files.load_arrays(tmp_path / "a.npz")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_model_round_trip(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="last")])
    files.save_model(model, tmp_path / "a.keras")
    back = files.load_model(str(tmp_path / "a.keras"))
    assert back.get_layer("last").units == 2
    for old, new in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert names(tmp_path) == ["a.keras"]


def test_model_with_code_inside_is_refused(tmp_path):
    """A model file from elsewhere must not bring code that runs when it is opened."""
    inputs = keras.Input((3,))
    double = keras.layers.Lambda(lambda x: x * 2, output_shape=(3,))(inputs)
    keras.Model(inputs, double).save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=r"a\.keras"):
        files.load_model(tmp_path / "a.keras")


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
